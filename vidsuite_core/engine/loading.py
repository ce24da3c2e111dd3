"""Data loaders on machines as they are: with little shared memory, and never hanging for want of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidsuite_core.support import surroundings

TIMEOUT = 600
"""Seconds that a batch may take to come from another process: one that has died for lack of memory never comes."""
_OF_PROCESSES = ("persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context", "worker_init_fn")


def fitted(loader: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """A loader's config as this machine can run it.

    Processes hand batches over in shared memory, of which containers often have 64 MiB; beyond, torch waits for ever.
    There data are loaded in the training process instead, which `warnings` say: random transforms draw otherwise.
    """
    if not loader.get("num_workers"):
        return dict(loader)
    free = surroundings.shared_memory()
    if free is None or free >= surroundings.SMALL:
        return {"timeout": TIMEOUT, **loader}
    text = f"{surroundings.SHARED_MEMORY} has {free >> 20} MiB free, so data were loaded without processes of their own"
    if text not in warnings:
        warnings.append(text)
    return {name: value for name, value in loader.items() if name not in _OF_PROCESSES} | {"num_workers": 0}

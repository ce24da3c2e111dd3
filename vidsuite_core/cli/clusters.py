"""What commands that run cells share about clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidsuite_core.errors import UsageError


def with_address(options: Mapping[str, Any]) -> dict[str, Any]:
    """A command's options with `--ray-address` among those of the executor.

    Raises:
        UsageError: the cells do not run on Ray.
    """
    rest = dict(options)
    address = rest.pop("ray_address")
    if address is None:
        return rest
    if rest["executor"] not in ("ray", "core/ray"):
        raise UsageError(f"--ray-address {address} goes with --executor ray, not {rest['executor']}")
    return {**rest, "executor_options": (*rest["executor_options"], f"address={address}")}

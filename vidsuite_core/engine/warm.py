"""What a worker has in memory before its cells begin: the libraries, and the modules that all its cells import."""

from __future__ import annotations

import sys
from importlib import import_module

from vidsuite_core import openmmlab
from vidsuite_core.engine import cell  # noqa: F401 (imported here so that no cell has to)
from vidsuite_core.engine.build import import_modules
from vidsuite_core.engine.order import Order
from vidsuite_core.specs import resolve

LATE = ("torchvision", "torch._dynamo", "matplotlib.figure", "matplotlib.backends.backend_agg", "mpl_toolkits.mplot3d")
"""What mmengine's Runner imports only once it is built."""


def libraries() -> None:
    """Import what every cell needs."""
    openmmlab.prepare()
    for name in LATE:
        import_module(name)


def preload(order: Order) -> None:
    """Import what all cells of the order's kind import before anything else; raises what these modules raise."""
    import_modules(order.score_key["config"])
    resolve(order.task)
    resolve(order.dataset)


def try_out(device: str) -> None:
    """Compute a little as cells do: on several threads, and on the GPU where there is one.

    Called in a forked process, to find out whether libraries bear being forked as they were loaded.
    """
    import torch

    for place in {"cpu", device}:
        values = torch.ones(512, 512, device=place)
        total = float((values @ values).sum())
        if total != 512**3:
            sys.exit(f"a product on {place} came to {total}")

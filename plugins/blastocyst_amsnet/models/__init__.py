"""The plugin's networks: `build(NAME)`, and for the suite a builder of each under its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from vidsuite_plugins.blastocyst_amsnet.models.amsnet import ROWS, build

__all__ = ["ROWS", "build"]


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """`build` for the row `name`, so that a `ModelSpec` can name it as `…models:amsnet7`."""
    if name in ROWS:
        return partial(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The module that stands in for mmcv's compiled one, `mmcv._ext`: its operators by torchvision and torch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_EXTENSION = "mmcv._ext"
OPERATORS = {
    "boxes": ("nms", "softnms", "bbox_overlaps"),
    "regions": ("roi_align_forward", "roi_align_backward", "roi_pool_forward", "roi_pool_backward"),
    "deformable": (
        "deform_conv_forward",
        "deform_conv_backward_input",
        "deform_conv_backward_parameters",
        "modulated_deform_conv_forward",
        "modulated_deform_conv_backward",
        "ms_deform_attn_forward",
        "ms_deform_attn_backward",
    ),
    "losses": (
        "sigmoid_focal_loss_forward",
        "sigmoid_focal_loss_backward",
        "softmax_focal_loss_forward",
        "softmax_focal_loss_backward",
    ),
}
"""The operators that there are, by the module here that holds them."""
_MODULES = {name: module for module, names in OPERATORS.items() for name in names}


def install() -> bool:
    """Put the bridge in place of a missing `mmcv._ext`; whether mmcv's operators now come from it.

    False means that a compiled mmcv is installed and serves its own. Calling it again changes nothing.
    """
    loaded = sys.modules.get(_EXTENSION)
    if loaded is None and importlib.util.find_spec(_EXTENSION) is None:
        loaded = sys.modules[_EXTENSION] = _Bridge()
    return isinstance(loaded, _Bridge)


class _Bridge(ModuleType):
    """Stands in for `mmcv._ext`; every public name is an operator, most of which only raise."""

    def __init__(self) -> None:
        super().__init__(_EXTENSION, "torchvision's operators under the names of mmcv's compiled ones")
        # Without a loader mmengine still sees that mmcv is not the full one, and asks for no more of it.
        self.__spec__ = ModuleSpec(_EXTENSION, loader=None)
        self.get_compiler_version = self.get_compiling_cuda_version = lambda: "n/a (mmcv-lite)"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"module {_EXTENSION!r} has no attribute {name!r}")
        if name in _MODULES:
            found: Callable[..., Any] = getattr(import_module(f"{__package__}.{_MODULES[name]}"), name)
            return found

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(
                f"mmcv's operator {name!r} is compiled code that mmcv-lite lacks; to build the full mmcv run "
                "'pip uninstall mmcv-lite' and 'pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0'"
            )

        return missing

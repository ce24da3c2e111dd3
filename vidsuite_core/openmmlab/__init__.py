"""OpenMMLab without compiling: `prepare()` is called once before any of its libraries is imported.

mmcv-lite lacks mmcv's compiled module `mmcv._ext`, which `mmcv.ops`, and so `mmdet.models`, imports.
The operators that detectors need exist in torchvision too; a bridge module gives mmcv those.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pickle import UnpicklingError
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vidsuite_core.support.surroundings import settle

if TYPE_CHECKING:
    from torch import Tensor

_EXTENSION = "mmcv._ext"

_NOISE: tuple[tuple[type[Warning], str, str], ...] = (
    (DeprecationWarning, r"`torch\.jit\.(script|interface)` is deprecated", r"torch\.jit\."),
    (FutureWarning, r"`torch\.cuda\.amp\.(autocast|GradScaler)\(args", r"mm(cv|det|engine|seg|action)\."),
    (ImportWarning, r"``MultiScaleDeformableAttention`` has been moved", r"mmcv\.cnn\."),
    (UserWarning, r"``build_(loss|backbone|neck|head)`` would be deprecated soon", r"mmseg\."),
    (UserWarning, r"torch\.meshgrid: in an upcoming release", r"torch\.functional"),
)
"""Warnings of the pinned libraries about their own code: category, message, module that warns."""


def prepare() -> None:
    """Make OpenMMLab usable in this process: the bridge, its own checkpoints, fewer warnings.

    Cheap after the first call. Call it before `mmcv.ops`, mmdet, mmseg or mmaction2 is imported.
    """
    settle()
    install()
    allow_checkpoints()
    for category, message, module in _NOISE:
        warnings.filterwarnings("ignore", message=message, category=category, module=module)


def install() -> bool:
    """Put the bridge in place of a missing `mmcv._ext`; whether mmcv's operators now come from it.

    False means that a compiled mmcv is installed and serves its own. Calling it again changes nothing.
    """
    loaded = sys.modules.get(_EXTENSION)
    if loaded is None and importlib.util.find_spec(_EXTENSION) is None:
        loaded = sys.modules[_EXTENSION] = _Bridge()
    return isinstance(loaded, _Bridge)


def allow_checkpoints() -> None:
    """Let `torch.load(..., weights_only=True)` read what mmengine's `CheckpointHook` writes.

    Beside tensors that is its `HistoryBuffer` and numpy's arrays and scalars of numbers. It also names
    `getattr`, to find the buffer's statistics; a stranger's file gets one that finds nothing else.
    """
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer
    from numpy._core.multiarray import _reconstruct, scalar
    from torch.serialization import add_safe_globals

    numbers = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}
    add_safe_globals([HistoryBuffer, np.ndarray, np.dtype, *numbers, (_statistic, "builtins.getattr")])
    # numpy 2 renamed the module; files written under numpy 1 hold the old name.
    for module in ("numpy._core.multiarray", "numpy.core.multiarray"):
        add_safe_globals([(_reconstruct, f"{module}._reconstruct"), (scalar, f"{module}.scalar")])


def _statistic(owner: Any, name: str) -> Any:
    """`getattr(HistoryBuffer, "mean")` and its like, and nothing else."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise UnpicklingError(f"the checkpoint asks for attribute {name!r} of {owner!r}, which none of mmengine's does")
    return getattr(owner, name)


class _Bridge(ModuleType):
    """Stands in for `mmcv._ext`; every public name is an operator, most of which only raise."""

    def __init__(self) -> None:
        super().__init__(_EXTENSION, "torchvision's operators under the names of mmcv's compiled ones")
        # Without a loader mmengine still sees that mmcv is not the full one, and asks for no more of it.
        self.__spec__ = ModuleSpec(_EXTENSION, loader=None)
        self.nms = _nms
        self.roi_align_forward = _roi_align_forward
        self.roi_align_backward = _roi_align_backward
        self.get_compiler_version = self.get_compiling_cuda_version = lambda: "n/a (mmcv-lite)"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"module {_EXTENSION!r} has no attribute {name!r}")

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(
                f"mmcv's operator {name!r} is compiled code that mmcv-lite lacks; to build the full mmcv run "
                "'pip uninstall mmcv-lite' and 'pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0'"
            )

        return missing


def _wide(values: Tensor) -> Tensor:
    """float32 for the 16-bit types: torchvision's CPU operators lack bfloat16."""
    return values.float() if values.element_size() == 2 else values


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept `boxes` (n, 4) xyxy, best first; `offset` 1 counts x2 and y2 as inside."""
    from torchvision.ops import nms

    if offset:
        boxes = boxes + boxes.new_tensor((0, 0, offset, offset))
    return nms(_wide(boxes), _wide(scores), iou_threshold)


def _require_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "RoIAlign with pool_mode 'max' needs a compiled mmcv; use pool_mode 'avg', the default of mmdet's configs"
        )


def _roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `output` (n, C, h, w) from `input` (N, C, H, W) and `rois` (n, 5): image, x1, y1, x2, y2."""
    from torchvision.ops import roi_align

    _require_average(pool_mode)
    size = (aligned_height, aligned_width)
    output.copy_(roi_align(_wide(input), _wide(rois), size, spatial_scale, sampling_ratio, aligned))


def _roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `grad_input` (N, C, H, W) from `grad_output` (n, C, h, w)."""
    import torch
    import torchvision  # noqa: F401 - registers the operator

    _require_average(pool_mode)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            _wide(grad_output),
            _wide(rois),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )

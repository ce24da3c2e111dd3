"""OpenMMLab without compiling: `prepare()` is called once before any of its libraries is imported.

mmcv-lite lacks mmcv's compiled module `mmcv._ext`, which `mmcv.ops`, and so `mmdet.models`, imports. The operators that
most configs need exist in torchvision too, or are a few lines of torch; a bridge module gives mmcv those (bridge.py).
Importing this package is cheap.
"""

from __future__ import annotations

import warnings

from vidsuite_core.openmmlab.bridge import install
from vidsuite_core.openmmlab.checkpoints import allow_checkpoints
from vidsuite_core.support.surroundings import settle

__all__ = ["allow_checkpoints", "install", "prepare"]

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

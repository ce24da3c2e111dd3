"""What mmengine's own checkpoints hold, allowed to be read; nothing else is."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any

import numpy as np


def allow_checkpoints() -> None:
    """Let `torch.load(..., weights_only=True)` read what mmengine's `CheckpointHook` writes.

    Beside tensors that is its `HistoryBuffer` and numpy's arrays and scalars of numbers. It also names
    `getattr`, to find the buffer's statistics; a stranger's file gets one that finds nothing else.
    """
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

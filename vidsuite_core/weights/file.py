"""Files of tensors: opened without running their code, told apart by content, loaded strictly."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights.download import MAX_BYTES

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("state_dict", "model")


def content_sha256(state: Mapping[str, Tensor]) -> str:
    """sha256 (hex) of named tensors, whatever file they lie in: the identity of weights in score ids.

    Hashed are, in the order of the names, a JSON line `[name, dtype, shape]` and the elements in
    row-major order, little-endian.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(header, separators=(",", ":")).encode() + b"\n")
        raw = tensor.reshape(-1).view(torch.uint8)
        if sys.byteorder == "big":
            raw = raw.reshape(-1, tensor.element_size()).flip(1).reshape(-1)
        digest.update(raw.numpy().data)
    return digest.hexdigest()


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote, running none of its code.

    A state dict below "state_dict" or "model" is unwrapped. Tensors are mapped from the file where
    its format allows.

    Raises:
        VidsuiteError: no such file, too large, damaged, or holding more than tensors.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise VidsuiteError(f"there is no file of weights at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise VidsuiteError(f"{path} is larger than the {MAX_BYTES >> 30} GiB that weights may have")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {wanted[1]}" if wanted else "holds more than tensors, or is damaged"
        raise VidsuiteError(
            f"{path} {what}, which vidsuite does not load; save the network's state_dict() alone in its place"
        ) from error
    except Exception as error:  # what a damaged file raises is not limited
        line = str(error).strip().partition("\n")[0]
        raise VidsuiteError(f"{path} is damaged or no file of torch weights ({line}); get it anew") from error
    return _tensors(_unwrapped(data), path)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Copy `state` into `module`; names and shapes must be the module's own.

    Only `num_batches_tracked`, a counter that files older than torch 0.4.1 lack, may be missing.

    Args:
        origin: what an error calls the weights, as the file's path.

    Raises:
        VidsuiteError: tensors are missing, left over or of another shape; the first of each are named.
    """
    own = module.state_dict()
    missing = [n for n in own if n not in state and not n.endswith("num_batches_tracked")]
    unknown = [n for n in state if n not in own]
    reshaped = [
        f"{n} {_shape(state[n])} in place of {_shape(own[n])}"
        for n in own
        if n in state and state[n].shape != own[n].shape
    ]
    groups = {"missing": missing, "left over": unknown, "of another shape": reshaped}
    faults = "; ".join(f"{len(names)} {what} ({_first(names)})" for what, names in groups.items() if names)
    if faults:
        raise VidsuiteError(f"weights {origin} do not fit {type(module).__name__}: {faults}")
    module.load_state_dict(dict(state))


def _unwrapped(data: Any) -> Any:
    while isinstance(data, Mapping):
        inner = next((data[key] for key in _WRAPPERS if isinstance(data.get(key), Mapping)), None)
        if inner is None:
            break
        data = inner
    return data


def _tensors(data: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if not isinstance(data, Mapping) or not data:
        raise VidsuiteError(f"{path} holds no state dict but {type(data).__name__}; save the network's state_dict()")
    others = [name for name, value in data.items() if not (isinstance(name, str) and isinstance(value, torch.Tensor))]
    if others:
        raise VidsuiteError(f"{path} holds more than named tensors ({_first(others)}); save the network's state_dict()")
    if sum(tensor.numel() * tensor.element_size() for tensor in data.values()) > MAX_BYTES:
        raise VidsuiteError(f"{path} unfolds to tensors larger than the {MAX_BYTES >> 30} GiB that weights may have")
    return dict(data)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _first(names: Sequence[object], count: int = 3) -> str:
    return ", ".join(map(str, names[:count])) + (", ..." if len(names) > count else "")

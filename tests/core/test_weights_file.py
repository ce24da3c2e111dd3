"""Files of weights: identity, and opening strangers'."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vidsuite_core import weights
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import file, form

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
        with pytest.raises(VidsuiteError, match="unfolds to far more bytes than it has"):
            weights.load(tmp_path / "w.pt")
        monkeypatch.setattr(file, "MAX_BYTES", 100)
        with pytest.raises(VidsuiteError, match="larger than"):
            weights.load(tmp_path / "w.pt")


def rewritten(path: Path, change: bytes | None, packed: int = zipfile.ZIP_STORED) -> Path:
    """`path`, a file of torch.save, with another pickle beside its tensors."""
    torch.save(STATE, path.with_suffix(".source"))
    with zipfile.ZipFile(path.with_suffix(".source")) as source, zipfile.ZipFile(path, "w", packed) as target:
        for member in source.infolist():
            content = source.read(member)
            target.writestr(member.filename, change if change and member.filename.endswith("data.pkl") else content)
    return path


def encoded_again_and_again() -> bytes:
    """A pickle of 300 kB that asks for 20 GB: one text of 100 kB, made into bytes 200,000 times."""
    text = b"X" + (100_000).to_bytes(4, "little") + b"x" * 100_000 + b"X\6\0\0\0latin1\x86q\1"
    return b"\x80\x02c_codecs\nencode\nq\0" + text + b"](" + b"h\0h\1R" * 200_000 + b"e."


class TestHostileFiles:
    """Each is refused in a line, quickly, and without taking the memory that it asks for."""

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_one_that_refers_to_itself(self, tmp_path, depth):
        loop: dict[str, object] = {}
        inner = loop
        for _ in range(depth):
            inner["state_dict"] = {}
            inner = inner["state_dict"]
        inner["state_dict"] = loop
        torch.save(loop, tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match="holds more than named tensors"):
            weights.load(tmp_path / "w.pt")

    @pytest.mark.parametrize(
        ("content", "packed", "text"),
        [
            (None, zipfile.ZIP_DEFLATED, "packed archive"),
            (
                b"\x80\x02" + b"]" * (form.MAX_OPERATIONS + 10) + b".",
                zipfile.ZIP_STORED,
                "more than 1000000 operations",
            ),
            (encoded_again_and_again(), zipfile.ZIP_STORED, "asks for far more memory than it has bytes"),
            (
                b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
                zipfile.ZIP_STORED,
                "asks for builtins.bytearray",
            ),
        ],
        ids=["packed", "lists", "encoded", "bytearray"],
    )
    def test_one_that_grows(self, tmp_path, content, packed, text):
        path = rewritten(tmp_path / "w.pt", content, packed)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(VidsuiteError, match=text):
            weights.load(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB
        assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY

    def test_a_large_pickle(self, tmp_path, monkeypatch):
        monkeypatch.setattr(form, "MAX_PICKLE", 100)
        for zipped, text in ((True, "holds a pickle of more than"), (False, "its pickle has more than")):
            torch.save(
                {f"name {n}": torch.zeros(1) for n in range(9)},
                tmp_path / "w.pt",
                _use_new_zipfile_serialization=zipped,
            )
            with pytest.raises(VidsuiteError, match=text):
                weights.load(tmp_path / "w.pt")

    def test_a_large_directory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(form, "MAX_DIRECTORY", 10)
        (tmp_path / "w.pt").write_bytes(saved(STATE))
        with pytest.raises(VidsuiteError, match="has a directory of more than"):
            weights.load(tmp_path / "w.pt")

    def test_a_pipe_is_no_file(self, tmp_path):
        os.mkfifo(tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match="no file of weights"):
            weights.load(tmp_path / "w.pt")


class TestOtherForms:
    """What people take for weights is called by its name, with what to do."""

    def test_safetensors(self, tmp_path):
        save_file(STATE, tmp_path / "w.safetensors")
        found = weights.load(tmp_path / "w.safetensors")
        assert weights.content_sha256(found) == weights.content_sha256(STATE)
        (tmp_path / "cut").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-1])
        with pytest.raises(VidsuiteError, match="cut is a damaged file of safetensors"):
            weights.load(tmp_path / "cut")

    @pytest.mark.filterwarnings("ignore:`torch.jit")
    def test_torchscript(self, tmp_path):
        torch.jit.save(torch.jit.script(nn.Linear(2, 3)), tmp_path / "w.pt")
        with pytest.raises(
            VidsuiteError, match=r"is a TorchScript archive.*torch\.jit\.load\(FILE\)\.state_dict"
        ) as caught:
            weights.load(tmp_path / "w.pt")
        assert "weights_only" not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a git-lfs pointer"),
            (b"\n<!DOCTYPE html><html>", "is a web page"),
            (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "is an HDF5 file"),
        ],
    )
    def test_files_of_others(self, tmp_path, content, text):
        (tmp_path / "w.pt").write_bytes(content)
        with pytest.raises(VidsuiteError, match=text):
            weights.load(tmp_path / "w.pt")

    @pytest.mark.filterwarnings("ignore:.*quant")
    @pytest.mark.parametrize(
        "make",
        [
            lambda: torch.zeros(3, device="meta"),
            lambda: torch.eye(3).to_sparse(),
            lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
        ],
        ids=["meta", "sparse", "quantized"],
    )
    def test_tensors_that_are_not_plain(self, tmp_path, make):
        torch.save({"a": make()}, tmp_path / "w.pt")
        with pytest.raises(
            VidsuiteError, match=r"w\.pt asks for torch\._utils\._rebuild_\w+, which vidsuite does not load"
        ):
            weights.load(tmp_path / "w.pt")

    def test_not_a_number(self, tmp_path):
        torch.save({"a": torch.tensor([1.0, float("nan")]), "mask": torch.tensor([float("-inf")])}, tmp_path / "w.pt")
        with pytest.raises(VidsuiteError, match=r"holds NaN in 1 of 2 tensors \(a\): its training went astray"):
            weights.load(tmp_path / "w.pt")
        torch.save({"mask": torch.tensor([float("-inf")])}, tmp_path / "w.pt")
        assert weights.load(tmp_path / "w.pt")["mask"].item() == float("-inf")


class TestPinned:
    """What a cell loads is what was hashed."""

    @pytest.fixture
    def kept(self, tmp_path):
        torch.save(STATE, tmp_path / "w.pt")
        return tmp_path / "w.pt"

    @staticmethod
    def scramble(path: Path) -> None:
        """Other numbers in a file of the same size and time."""
        content, times = bytearray(path.read_bytes()), path.stat()
        place = content.index(np.float32(5).tobytes())
        content[place : place + 4] = np.float32(6).tobytes()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def test_genuine_files_are_read_once(self, kept, monkeypatch):
        read = []
        real = file.load
        monkeypatch.setattr(file, "load", lambda path: read.append(path) or real(path))
        for _ in range(2):
            with weights.pinned({kept: weights.content_sha256(STATE)}):
                pass
        assert len(read) == 1

    def test_an_altered_file_of_the_same_size_and_time_is_refused(self, kept):
        expected = weights.identity(kept)
        self.scramble(kept)
        refused = pytest.raises(VidsuiteError, match="holds other tensors than this cell was planned with")
        with refused, weights.pinned({kept: expected}):
            pytest.fail("began")

    def test_a_file_that_is_altered_while_a_cell_runs(self, kept):
        refused = pytest.raises(VidsuiteError, match="holds other tensors")
        with refused, weights.pinned({kept: weights.identity(kept)}):
            self.scramble(kept)

    def test_a_file_that_is_only_touched_is_read_again_and_holds(self, kept):
        with weights.pinned({kept: weights.identity(kept)}):
            kept.touch()


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

    def test_says_what_stands_before_all_names(self):
        module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        for prefix, words in (
            ("module.", r"'module\.' \(DataParallel puts it there\)"),
            ("model.net.", r"'model\.net\.':"),
        ):
            state = {f"{prefix}{name}": value for name, value in module.state_dict().items()}
            with pytest.raises(VidsuiteError, match=f"names begin with {words}.*of the network inside"):
                weights.load_strictly(module, state, "FILE")
        with pytest.raises(VidsuiteError) as caught:
            weights.load_strictly(module, {"module.0.weight": torch.zeros(1)}, "FILE")
        assert "begin with" not in str(caught.value)

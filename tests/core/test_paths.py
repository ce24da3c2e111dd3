"""Where things lie, and files that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support import paths


def test_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIDSUITE_CACHE", "VIDSUITE_DATA", "VIDSUITE_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache_home() == tmp_path / ".cache" / "vidsuite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.cache_home() == tmp_path / "xdg" / "vidsuite"
    monkeypatch.setenv("VIDSUITE_CACHE", "~/mine")
    assert paths.cache_home() == tmp_path / "mine"
    assert paths.data_home() == tmp_path / "mine" / "data"
    assert paths.weights_home() == tmp_path / "mine" / "weights"
    monkeypatch.setenv("VIDSUITE_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("VIDSUITE_WEIGHTS", str(tmp_path / "w"))
    assert (paths.data_home(), paths.weights_home()) == (tmp_path / "d", tmp_path / "w")


@pytest.mark.parametrize(("value", "forbidden"), [("1", True), ("yes", True), ("", False), ("0", False)])
def test_offline(value: str, forbidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_OFFLINE", value)
    assert paths.offline() is forbidden


def test_inside_takes_what_lies_below(tmp_path: Path) -> None:
    assert paths.inside(tmp_path, "a/../b/c.txt") == tmp_path.resolve() / "b" / "c.txt"
    assert paths.inside(tmp_path, Path("new")) == tmp_path.resolve() / "new"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert paths.inside(tmp_path, "link/x") == tmp_path.resolve() / "real" / "x"
    root = tmp_path / "root"
    root.symlink_to(tmp_path / "real")
    assert paths.inside(root, "x") == tmp_path.resolve() / "real" / "x"


def test_inside_refuses_what_leads_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    for relative in ("/etc/passwd", "..", "../root2/x", "a/../../x", "out/x", "out", "loop/x", "a\0b"):
        with pytest.raises(VidsuiteError):
            paths.inside(root, relative)


@given(relative=st.lists(st.sampled_from(["..", ".", "a", "b", "", " "]), max_size=8).map("/".join))
def test_inside_never_leaves_the_root(relative: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        assert paths.inside(root, relative).is_relative_to(root.resolve())
    except VidsuiteError:
        assert relative.startswith("/") or not (root / os.path.normpath(relative)).resolve().is_relative_to(root)


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    paths.atomic_write(path, b"one")
    assert path.read_bytes() == b"one"
    paths.atomic_write(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"

    def fail(file) -> None:
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        paths.atomic_write(path, fail)
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    paths.atomic_write(tmp_path / "file", b"")
    with paths.atomic_folder(tmp_path / "folder"):
        pass
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask


def test_atomic_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with paths.atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("x")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), paths.atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_folders_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with paths.atomic_folder(target) as late:
        (late / "who").write_text("late")
        with paths.atomic_folder(target) as early:
            (early / "who").write_text("early")
    assert (target / "who").read_text() == "early"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_the_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(OSError), paths.atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").read_text() == "mine"


def test_only_the_temporaries_of_dead_processes_are_stale(tmp_path: Path) -> None:
    with paths.temporary_file(tmp_path / "a.npz") as mine:
        mine.touch()
        script = (
            "import sys; from pathlib import Path; from vidsuite_core.support import paths\n"
            "paths._temporary_name(Path(sys.argv[1])).touch()"
        )
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "b.npz")], check=True)
        foreign = [tmp_path / f".c.npz.00000000-{pid}-00000000.tmp" for pid in (1, 2)]
        for file in foreign:
            file.touch()
        os.utime(foreign[1], (0, 0))
        (tmp_path / ".theirs.tmp").touch()
        stale = list(paths.stale_temporaries(tmp_path))
        assert [path.name[:3] for path in stale] == [".b.", ".c."]
        assert stale[1] == foreign[1]
    assert (tmp_path / "a.npz").exists()


def test_imports_are_light() -> None:
    """What commands import first loads no library; what deals with arrays loads numpy alone."""
    script = (
        "import sys, vidsuite_core.support.paths\n"
        "print([name for name in ('numpy', 'cv2', 'av', 'torch') if name in sys.modules])\n"
        "import vidsuite_core.media, vidsuite_core.support.cache\n"
        "print([name for name in ('cv2', 'av', 'torch') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["[]", "[]"]

"""Machines as they are: users without a name or a home, folders that cannot be written or synced, odd terminals."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from called import vidsuite

from vidsuite_core.errors import Note, VidsuiteError
from vidsuite_core.support import paths, surroundings
from vidsuite_core.support.text import show_anywhere

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
NAMELESS = """
import os, pwd
def nobody(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
"""
"""What Python sees as a user id that no user has."""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No home, no user's name, no folder of caches that is named; temporary files lie in the folder returned."""
    import tempfile

    chosen = ("HOME", "VIDSUITE_CACHE", "XDG_CACHE_HOME", *surroundings.LIBRARIES, *surroundings.HOMELESS, *NAMES)
    for name in chosen:
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_without_a_home_or_a_name_a_folder_is_taken_and_named(bare: Path) -> None:
    import getpass

    with pytest.raises(KeyError):
        getpass.getuser()
    with pytest.warns(Note, match=r"no home folder can be written: data and caches are kept in .*/vidsuite-\d+ "):
        surroundings.settle()
    spare = bare / f"vidsuite-{os.getuid()}"
    assert spare.stat().st_mode & 0o777 == 0o700
    assert paths.cache_home() == spare
    assert paths.user_home() == spare
    assert getpass.getuser() == f"uid{os.getuid()}"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(spare / "libraries" / "torchinductor")
    assert os.environ["MPLCONFIGDIR"] == str(spare / "libraries" / "matplotlib")


def test_a_home_that_is_there_stays(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "ada")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        surroundings.settle()
    assert paths.cache_home() == tmp_path / ".cache" / "vidsuite"
    assert (os.environ["HOME"], os.environ["USER"]) == (str(tmp_path), "ada")
    assert "MPLCONFIGDIR" not in os.environ
    assert not list(bare.iterdir())


@pytest.mark.parametrize("home", ["locked", "file", ""])
def test_a_home_that_cannot_be_written(home: str, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / home) if home else "")
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: "locked" not in str(place) and access(place, mode))  # as root
    assert paths.cache_home() == bare / f"vidsuite-{os.getuid()}"


def test_a_cache_that_was_named_is_not_replaced(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "locked" / "cache"))
    monkeypatch.setattr(os, "access", lambda place, mode: "locked" not in str(place))
    (tmp_path / "locked").mkdir()
    with pytest.warns(Note, match=r"the cache .*locked/cache cannot be written"):
        surroundings.settle()
    assert paths.cache_home() == tmp_path / "locked" / "cache"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"].startswith(str(bare))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        surroundings.settle()  # as a process that this one starts: it is said once
    monkeypatch.setenv("VIDSUITE_CACHE", "~ghost/cache")
    with pytest.raises(VidsuiteError, match="VIDSUITE_CACHE=~ghost/cache begins with a home folder"):
        paths.cache_home()


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_another_users_folder_is_not_taken(trap: str, bare: Path, tmp_path: Path) -> None:
    place = bare / f"vidsuite-{os.getuid()}"
    if trap == "link":
        place.symlink_to(tmp_path)
    elif trap == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.write_text("")
    with pytest.raises(VidsuiteError, match="is not a folder of yours alone; set VIDSUITE_CACHE"):
        paths.cache_home()


@pytest.mark.parametrize("home", [None, "/dev/null"])
def test_heavy_libraries_are_imported_by_a_user_without_a_name(home: str | None, tmp_path: Path) -> None:
    dropped = ("HOME", "VIDSUITE_CACHE", "XDG_CACHE_HOME", *surroundings.LIBRARIES, *NAMES)
    env = {name: value for name, value in os.environ.items() if name not in dropped} | {"TMPDIR": str(tmp_path)}
    env |= {"HOME": home} if home else {}
    code = f"{NAMELESS}\nimport vidsuite_core; vidsuite_core.load()\nimport torchvision, mmengine.config"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"vidsuite-{os.getuid()}" / "libraries" / "torchinductor").is_dir()
    bare = subprocess.run([sys.executable, "-c", f"{NAMELESS}\nimport torchvision"], env=env, capture_output=True)
    assert b"uid not found" in bare.stderr  # else this test shows nothing


def fail_to_sync(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_is_noted_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidsuite_core.support.files import write_synced

    fail_to_sync(number, monkeypatch)
    with pytest.warns(Note, match="this file system cannot say when files are on the disk") as noted:
        paths.atomic_write(tmp_path / "a", b"one")
        write_synced(tmp_path / "b", b"two")
        with paths.atomic_folder(tmp_path / "c") as folder:
            (folder / "d").write_bytes(b"three")
    assert (tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes() == b"onetwo"
    assert (tmp_path / "c" / "d").read_bytes() == b"three"
    assert len({str(note.message) for note in noted}) == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_is_an_error(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_sync(number, monkeypatch)
    with pytest.raises(OSError, match=os.strerror(number)):
        paths.atomic_write(tmp_path / "a", b"one")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_a_terminal_shows_what_it_can(encoding: str) -> None:
    code = (
        "from vidsuite_core.support.text import show_anywhere; show_anywhere(); import sys\n"
        "for stream in (sys.stdout, sys.stderr): print('0.5 ± 0.1 – ≈ Karácsony 发 \\udcff', file=stream)"
    )
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    shown = {
        "ascii": "0.5 +- 0.1 - ~ Karacsony ? ?",
        "latin-1": "0.5 ± 0.1 - ~ Karácsony ? ?",
        "cp1252": "0.5 ± 0.1 – ~ Karácsony ? ?",
        "cp437": "0.5 ± 0.1 - ≈ Karácsony ? ?",
        "utf-8": "0.5 ± 0.1 – ≈ Karácsony 发 ?",
    }[encoding]
    assert [text.decode(encoding).strip() for text in (done.stdout, done.stderr)] == [shown, shown]


def test_streams_that_are_no_terminals_are_left_alone() -> None:
    show_anywhere()  # pytest's own streams


def test_a_note_is_a_line_whatever_is_asked_of_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in surroundings.LIBRARIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "locked" / "cache"))
    (tmp_path / "locked").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: "locked" not in str(place) and access(place, mode))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = vidsuite("list", "plugins")
    assert done.returncode == 0
    assert done.stderr.count("note: the cache ") == 1
    assert "Traceback" not in done.stderr

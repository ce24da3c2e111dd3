"""Where things lie on disk, and how files get there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vidsuite_core.errors import VidsuiteError

STALE_SECONDS = 24 * 3600
"""Age beyond which a temporary of another host, whose processes cannot be asked, counts as left behind."""

_TEMPORARY = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.tmp\Z", re.DOTALL)


def cache_home() -> Path:
    """`VIDSUITE_CACHE`, else `XDG_CACHE_HOME/vidsuite`, else `~/.cache/vidsuite`."""
    if chosen := os.environ.get("VIDSUITE_CACHE"):
        return Path(chosen).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path("~/.cache").expanduser()) / "vidsuite"


def data_home() -> Path:
    """`VIDSUITE_DATA`, else the folder `data` of `cache_home()`: the roots of prepared datasets."""
    chosen = os.environ.get("VIDSUITE_DATA")
    return Path(chosen).expanduser() if chosen else cache_home() / "data"


def weights_home() -> Path:
    """`VIDSUITE_WEIGHTS`, else the folder `weights` of `cache_home()`: the named weights."""
    chosen = os.environ.get("VIDSUITE_WEIGHTS")
    return Path(chosen).expanduser() if chosen else cache_home() / "weights"


def offline() -> bool:
    """Whether `VIDSUITE_OFFLINE` forbids the network; unset, empty and 0 do not."""
    return os.environ.get("VIDSUITE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def inside(root: Path, relative: str | Path) -> Path:
    """The resolved path of `relative`, a name from a manifest or archive, below `root`.

    It need not exist.

    Raises:
        VidsuiteError: it is absolute or leaves `root`, be it by `..` or through a symbolic link.
    """
    if Path(relative).is_absolute():
        raise VidsuiteError(f"{str(relative)!r} is an absolute path; give it relative to {root}")
    try:
        base = Path(root).resolve()
        path = (base / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a null byte in the name
        raise VidsuiteError(f"{str(relative)!r} is no usable path below {root}: {error}") from error
    if not path.is_relative_to(base):
        raise VidsuiteError(f"{str(relative)!r} leads out of {root}; only paths below it are taken")
    return path


def atomic_write(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that others see all of it or nothing, also after a crash or a power cut.

    Args:
        path: the file, replaced where it exists; its folder is made where missing.
        content: the bytes, or a function that writes them to the open binary file that it is given.
    """
    path = Path(path)
    with temporary_file(path) as temporary, temporary.open("xb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """A free name beside `path`, moved to `path` at the end, or removed where the block raises.

    The block creates the file; nothing is synced to the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to fill, synced and renamed to `target` at the end.

    Where the block raises, the folder is removed. Where another process made `target` meanwhile,
    theirs is kept and ours is removed.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(target)
    temporary.mkdir()
    try:
        yield temporary
        _sync_tree(temporary)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def stale_temporaries(folder: Path) -> Iterator[Path]:
    """The temporaries directly in `folder` of dead processes, or of another host and a day old."""
    for path in sorted(folder.glob(".*.tmp")):
        found = _TEMPORARY.match(path.name)
        if found and _is_stale(path, found["host"], int(found["pid"])):
            yield path


def _is_stale(path: Path, host: str, pid: int) -> bool:
    import psutil

    if host == _host():
        return not psutil.pid_exists(pid)
    try:
        return time.time() - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False


def _temporary_name(path: Path) -> Path:
    # The start of the name is enough to recognise it by, and keeps the whole within 255 bytes.
    return path.with_name(f".{path.name[:48]}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sync_tree(folder: Path) -> None:
    for name in folder.rglob("*"):
        if not name.is_symlink():
            _sync(name)
    _sync(folder)


def _sync(path: Path) -> None:
    """fsync a file or, on systems that can, a folder."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where things lie on disk, and how files get there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vidsuite_core.errors import Note, VidsuiteError
from vidsuite_core.support.environment import process_space
from vidsuite_core.support.ids import digest

STALE_SECONDS = 24 * 3600
"""Age beyond which a temporary of another host, whose processes cannot be asked, counts as left behind."""

_TEMPORARY = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.tmp\Z", re.DOTALL)


_UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EISDIR}
"""What file systems answer that cannot sync a folder or a file (CIFS, FUSE, shared folders of virtual machines)."""


def cache_home() -> Path:
    """`VIDSUITE_CACHE`, else the folder `vidsuite` where the system keeps caches, else `spare_home()`.

    On Linux that is in `XDG_CACHE_HOME`, or `~/.cache`; where there is no home, or none that can be written, caches
    are kept with the temporary files.
    """
    if chosen := os.environ.get("VIDSUITE_CACHE"):
        return _named(chosen, "VIDSUITE_CACHE")
    return usual_cache() or spare_home()


def usual_cache() -> Path | None:
    """The folder `vidsuite` where the system keeps a user's caches; None where there is none that can be written."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("vidsuite", appauthor=False)
    except RuntimeError:  # there is no home
        return None
    return folder if can_write(folder) else None


def data_home() -> Path:
    """`VIDSUITE_DATA`, else the folder `data` of `cache_home()`: the roots of prepared datasets."""
    chosen = os.environ.get("VIDSUITE_DATA")
    return _named(chosen, "VIDSUITE_DATA") if chosen else cache_home() / "data"


def weights_home() -> Path:
    """`VIDSUITE_WEIGHTS`, else the folder `weights` of `cache_home()`: the named weights."""
    chosen = os.environ.get("VIDSUITE_WEIGHTS")
    return _named(chosen, "VIDSUITE_WEIGHTS") if chosen else cache_home() / "weights"


def spare_home() -> Path:
    """A folder of this user's among the temporary files, for where no better one can be written.

    It is the user's own: one that another user made, or may write to, is not taken.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"vidsuite-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        found = folder.lstat()
    except OSError:
        found = None
    ours = found is not None and stat.S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == user)
    if found is None or not ours or (os.name != "nt" and found.st_mode & 0o022):
        raise VidsuiteError(f"{folder} is not a folder of yours alone; set VIDSUITE_CACHE to a folder you can write")
    return folder


def user_home() -> Path | None:
    """The user's home folder, where it can be found."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def can_write(folder: Path) -> bool:
    """Whether files can be made in `folder`, which need not exist yet."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def _named(text: str, variable: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise VidsuiteError(
            f"{variable}={text} begins with a home folder that cannot be found; name it whole"
        ) from error


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
        sync_open(file.fileno(), path)
    sync(path.parent)


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
        sync(target.parent)
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
    """Tells whose processes can be seen from here: those of other containers and boots are as those of another host."""
    return digest(process_space())[:8]


def _sync_tree(folder: Path) -> None:
    for name in folder.rglob("*"):
        if not name.is_symlink():
            sync(name)
    sync(folder)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's entries, on the disk, where its file system offers that: see `sync_open`."""
    if os.name == "nt" and path.is_dir():
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    except OSError as error:
        if not path.is_dir():
            raise
        _not_synced(path, error)
        return
    try:
        sync_open(descriptor, path)
    finally:
        os.close(descriptor)


def sync_open(descriptor: int, path: Path) -> None:
    """fsync an open file of `path`; a file system that has no such thing is noted once, a disk that fails is an error.

    Raises:
        OSError: what was written is not on the disk (no space left, a failing device, and the like).
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        _not_synced(path, error)


def _not_synced(path: Path, error: OSError) -> None:
    if error.errno not in _UNSYNCED:
        raise error
    place = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_mount())
    text = "this file system cannot say when files are on the disk; after a power cut the newest may be missing"
    warnings.warn(f"{place}: {text}", Note, stacklevel=4)

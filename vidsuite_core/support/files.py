"""The files of an attempt: written so that they last, read as what they are, the files of strangers."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import struct
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.paths import sync_open

if TYPE_CHECKING:
    import numpy as np

MAX_PREDICTIONS = 2 * 2**30
"""Bytes that the unpacked predictions of one attempt may take."""
MAX_RATIO, FREE = 64, 64 * 2**20
"""How many times its size a file may unpack to beyond the first bytes that are free; ours come to 33 times at most."""
MAX_ARRAYS = 1000
"""Arrays that the predictions of one attempt may have."""
_END = struct.Struct("<4s4H2LH")
"""The end of a zip file."""
_ZIP64_LOCATOR = 20
_ENTRY = 46 + 700
"""Bytes that an entry of a zip file's directory may have on average: names of ours are shorter."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file from a stranger for reading.

    Raises:
        VidsuiteError: it is a link, a pipe or a device, which might lead anywhere or never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        if path.is_symlink():
            raise VidsuiteError(f"{path} is a symbolic link, which is not followed") from None
        raise
    file = os.fdopen(handle, "rb") if stat.S_ISREG(os.fstat(handle).st_mode) else None
    if file is None:
        os.close(handle)
        raise VidsuiteError(f"{path} is no plain file")
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a file from a stranger; raises `VidsuiteError` beyond `limit` of them, or as `open_regular`."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise VidsuiteError(f"{path} is larger than {limit} bytes, which no such file is")
    return data


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a plain file's bytes."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_directory(file: IO[bytes], most: int) -> None:
    """Look at the end of a stranger's zip file, so that reading its directory cannot fill the memory.

    Raises:
        VidsuiteError: it is no plain zip file (without a comment, not zip64), or has more than `most` members.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _ZIP64_LOCATOR))
    tail = file.read()
    end = tail[-_END.size :]
    if len(end) < _END.size or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise VidsuiteError("it is no zip file, or has a comment")
    if tail[: -_END.size][:4] == b"PK\6\7":
        raise VidsuiteError("it is a zip64 file, which none of ours needs to be")
    length = min(_END.unpack(end)[5], size - _END.size)
    if length > most * _ENTRY:
        raise VidsuiteError(f"its directory has {length} bytes, more than {most} members take")
    file.seek(size - _END.size - length)
    if (members := file.read(length).count(b"PK\1\2")) > most:
        raise VidsuiteError(f"it has {members} members; the limit is {most}")
    file.seek(0)


def predictions_size(path: Path) -> int:
    """Bytes that an .npz file from a stranger would unpack to; raises as `read_predictions`."""
    with open_regular(path) as file:
        return _size(file, path)


def _size(file: IO[bytes], path: Path) -> int:
    import zipfile

    try:
        check_directory(file, MAX_ARRAYS)
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # a damaged archive makes zipfile and struct raise a dozen types
        kind = "" if isinstance(error, VidsuiteError) else f"{type(error).__name__}: "
        raise VidsuiteError(f"{path} cannot be read: {kind}{error}") from error
    most = min(MAX_PREDICTIONS, FREE + MAX_RATIO * file.seek(0, os.SEEK_END))
    if size > most:
        raise VidsuiteError(f"{path} unpacks to {size >> 20} MiB; the limit for its size is {most >> 20} MiB")
    return size


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file from a stranger: no pickles, size bounded before anything is unpacked.

    Raises:
        VidsuiteError: the file is missing, damaged, too large, or holds something that is no array.
    """
    import numpy as np

    try:
        with open_regular(path) as file:
            _size(file, path)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                read = {name: arrays[name] for name in arrays.files}
    except VidsuiteError:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise a dozen types
        raise VidsuiteError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    foreign = [name for name, value in read.items() if not isinstance(value, np.ndarray)]
    if foreign:
        raise VidsuiteError(f"{path} cannot be read: its member {foreign[0]!r} is no array")
    return read


def write_predictions(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed .npz."""
    import numpy as np

    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and have it on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        sync_open(file.fileno(), path)


def why(error: OSError, place: Path) -> str:
    """Why `place`, or something below it, could not be used; of a full disk, how much is free there."""
    reason = error.strerror or str(error)
    return f"{reason} ({free_at(place)}); free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else reason


def free_at(place: Path) -> str:
    """How much is free on the disk that `place`, which need not exist, is to lie on."""
    there = next((folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir()), Path("/"))
    try:
        free = f"{shutil.disk_usage(there).free / 1e6:.1f} MB are free on the disk of {there}"
        nameless = os.name != "nt" and os.statvfs(there).f_files and not os.statvfs(there).f_favail
        return f"{free}, but no room for the name of another file" if nameless else free
    except OSError:
        return f"how much is free at {there} cannot be told"

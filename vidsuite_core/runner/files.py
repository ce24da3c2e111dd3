"""The files of an attempt: written so that they last, read as what they are, the files of strangers."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError

if TYPE_CHECKING:
    import numpy as np

MAX_PREDICTIONS = 2 * 2**30
"""Bytes that the unpacked predictions of one attempt may take."""
MAX_ARRAYS = 1000
"""Arrays that the predictions of one attempt may have."""


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


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file from a stranger: no pickles, size bounded before anything is unpacked.

    Raises:
        VidsuiteError: the file is missing, damaged, too large, or holds something that is no array.
    """
    import zipfile

    import numpy as np

    try:
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > MAX_PREDICTIONS or len(members) > MAX_ARRAYS:
                raise VidsuiteError(
                    f"{path} unpacks to {len(members)} arrays of {size >> 20} MiB; "
                    f"the limits are {MAX_ARRAYS} and {MAX_PREDICTIONS >> 20} MiB"
                )
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
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have a file's content, or a folder's entries, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

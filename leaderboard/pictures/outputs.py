"""Files that an attempt kept in `outputs.zip`: a stranger's archive, of which nothing is unpacked unseen."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.files import check_directory, open_regular

MAX_MEMBERS = 50_000
"""Files of an archive that is looked into."""
MAX_FILE = 32 * 2**20
"""Bytes of one file, packed or unpacked from the archive."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened_outputs(path: Path) -> Iterator[Outputs]:
    """The files in an archive.

    Raises:
        VidsuiteError: it is missing, no plain file, no archive, or larger than one of ours would be.
    """
    try:
        with open_regular(path) as file:
            check_directory(file, MAX_MEMBERS)
            with zipfile.ZipFile(file) as archive:
                yield Outputs(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise VidsuiteError(f"{path.name} cannot be read: {error}") from error


class Outputs:
    """Files by name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            VidsuiteError: there is none, or it cannot be unpacked without harm.
        """
        try:
            info = self._archive.getinfo(name)
            size = max(info.file_size, info.compress_size)
            if info.compress_type not in _METHODS or info.flag_bits & 1 or size > MAX_FILE:
                raise VidsuiteError(
                    f"{name} of its kept outputs is encrypted, packed in a way of its own, or too large"
                )
            with self._archive.open(info) as file:
                return file.read(MAX_FILE)
        except KeyError:
            raise VidsuiteError(f"its kept outputs lack {name}") from None
        except VidsuiteError:
            raise
        except Exception as error:  # a damaged archive makes zipfile and zlib raise half a dozen types
            raise VidsuiteError(f"{name} of its kept outputs cannot be read: {type(error).__name__}") from error

"""Label maps that an attempt kept in `outputs.zip`: a stranger's archive, of which nothing is unpacked unseen."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.files import check_directory, open_regular

if TYPE_CHECKING:
    import numpy as np

MAX_MEMBERS = 50_000
"""Label maps of an archive that is looked into."""
MAX_MAP = 32 * 2**20
"""Bytes of one label map, packed or unpacked from the archive."""
MAX_PIXELS = 2**26
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_GREY_8 = bytes((8, 0))
"""Bit depth and colour type of a PNG with a number of 8 bits a pixel."""


@contextmanager
def opened_maps(path: Path) -> Iterator[LabelMaps]:
    """The label maps in an archive.

    Raises:
        VidsuiteError: it is missing, no plain file, no archive, or larger than one of ours would be.
    """
    try:
        with open_regular(path) as file:
            check_directory(file, MAX_MEMBERS)
            with zipfile.ZipFile(file) as archive:
                yield LabelMaps(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise VidsuiteError(f"{path.name} cannot be read: {error}") from error


class LabelMaps:
    """Predicted label maps by sample."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def read(self, sample_id: str, classes: int) -> np.ndarray:
        """The label map (H, W) uint8 of a sample, its labels below `classes`.

        Raises:
            VidsuiteError: there is none, or it is not as `save_label_map` writes it.
        """
        import cv2
        import numpy as np

        from vidsuite_core.tasks.segmentation_reducer import label_map_name

        name = label_map_name(sample_id)
        data = self._member(name)
        _check_png(name, data)
        labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if labels is None or labels.ndim != 2 or labels.dtype != np.uint8 or labels.max() >= classes:
            raise VidsuiteError(f"{name} of its kept outputs is damaged, or holds a label that is no class")
        return labels

    def _member(self, name: str) -> bytes:
        try:
            info = self._archive.getinfo(name)
            size = max(info.file_size, info.compress_size)
            if info.compress_type not in _METHODS or info.flag_bits & 1 or size > MAX_MAP:
                raise VidsuiteError(
                    f"{name} of its kept outputs is encrypted, packed in a way of its own, or too large"
                )
            with self._archive.open(info) as file:
                return file.read(MAX_MAP)
        except KeyError:
            raise VidsuiteError(f"its kept outputs lack {name}") from None
        except VidsuiteError:
            raise
        except Exception as error:  # a damaged archive makes zipfile and zlib raise half a dozen types
            raise VidsuiteError(f"{name} of its kept outputs cannot be read: {type(error).__name__}") from error


def _check_png(name: str, data: bytes) -> None:
    """Refuse what is no grey PNG of a size that a frame may have, before anything is decoded."""
    is_png = data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and data[24:26] == _GREY_8
    width, height = (int.from_bytes(data[place : place + 4], "big") for place in (16, 20))
    if not is_png or not 0 < width * height <= MAX_PIXELS:
        raise VidsuiteError(f"{name} of its kept outputs is no label map (8 bit grey PNG of up to {MAX_PIXELS} pixels)")

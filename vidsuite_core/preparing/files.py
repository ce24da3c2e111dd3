"""Looking at other people's image files: many at once, and every bad one is noted before anything is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import VOID

T = TypeVar("T")
R = TypeVar("R")

TAIL = 4096
"""Bytes at the end of a PNG among which its end marker is looked for: some programs write a little after it."""

NAMED = 3
"""So many of the bad files are named where an import is refused."""


@dataclass(frozen=True)
class LabelCode:
    """What the values in a label file mean.

    Attributes:
        name: what such files are called.
        label_of: class of each value; 255 is void.
        void: further values that may occur, all void.
    """

    name: str
    label_of: Mapping[int, int]
    void: frozenset[int]

    def read(self, path: Path) -> np.ndarray:
        """The classes (H, W) uint8 in a file, 255 where void.

        Raises:
            VidsuiteError: it is missing, damaged, no 8-bit grey image, or holds a value that the code does not know.
        """
        from vidsuite_core.media.images import read_image

        values = read_image(path)
        if values.shape[2] != 1 or values.dtype != np.uint8:
            raise VidsuiteError(f"{path}: is no 8-bit grey image, as {self.name} are; copy or make it again")
        occurring = np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist()
        if strange := sorted({*occurring} - {*self.label_of} - self.void):
            raise VidsuiteError(f"{path}: holds the value {strange[0]}, which {self.name} do not; make it again")
        table = np.full(256, VOID, np.uint8)
        table[list(self.label_of)] = list(self.label_of.values())
        return table[values[..., 0]]


def spelt(path: Path) -> Path:
    """The file as its suffix is spelt on the disk, in lower or upper case; `path` where there is neither."""
    suffixes = (path.suffix, path.suffix.lower(), path.suffix.upper())
    return next((found for found in map(path.with_suffix, suffixes) if found.is_file()), path)


def png_size(path: Path) -> tuple[int, int]:
    """(width, height) of a PNG by its first and last bytes alone, which show a wrong or truncated file too.

    Raises:
        VidsuiteError: the file is missing, no PNG, or not whole.
    """
    from vidsuite_core.media.formats import seen_in

    try:
        with path.open("rb") as file:
            head = file.read(24)
            file.seek(-min(TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read()
    except OSError as error:
        raise VidsuiteError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR":
        raise VidsuiteError(f"{path}: is no PNG image, but {seen_in(path)}; copy it again")
    if b"\0\0\0\0IEND" not in tail:
        raise VidsuiteError(f"{path}: is cut short; copy it again")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def require_size(labels: Path, shape: tuple[int, ...], image: Path, size: tuple[int, int]) -> None:
    """Refuse labels of shape (H, W, ...) for an image of another size (width, height).

    Raises:
        VidsuiteError: they differ; it names both files.
    """
    if shape[:2] != size[::-1]:
        raise VidsuiteError(
            f"{labels}: is {shape[1]} x {shape[0]} pixels, its frame {image.name} {size[0]} x {size[1]}; "
            "copy both again"
        )


def attempt_all(
    work: Callable[[T], R], items: Sequence[T], what: str, progress: Progress = silent
) -> list[R | VidsuiteError]:
    """`work(item)` of each item in order, on all cores, or the error that it raised."""

    def attempt(item: T) -> R | VidsuiteError:
        try:
            return work(item)
        except VidsuiteError as error:
            return error

    results = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = cast("Generator[R | VidsuiteError]", pool.map(attempt, items))
        with closing(outcomes):  # where the loop ends early, what has not begun is not begun
            for done, outcome in enumerate(outcomes, 1):
                results.append(outcome)
                progress(what, done, len(items))
    return results


def require_all(source: Path, results: Sequence[R | VidsuiteError]) -> list[R]:
    """The results, where none is an error.

    Raises:
        VidsuiteError: how many are, and the first of them.
    """
    bad = [result for result in results if isinstance(result, VidsuiteError)]
    if bad:
        first = [f"  {error}" for error in bad[:NAMED]]
        more = f"; the first {NAMED}" if len(bad) > NAMED else ""
        files = "1 bad file" if len(bad) == 1 else f"{len(bad)} bad files"
        raise VidsuiteError("\n".join([f"{source}: {files}, nothing was imported{more}:", *first]))
    return [result for result in results if not isinstance(result, VidsuiteError)]


def content_of(classes: np.ndarray) -> str:
    """sha256 (hex) of a label map (H, W) uint8 and its shape."""
    return hashlib.sha256(f"{classes.shape}".encode() + classes.tobytes()).hexdigest()

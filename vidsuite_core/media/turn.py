"""How stored pictures must be turned to stand upright: cameras store what the sensor gives, and how it was held."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.media.base import VideoError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_TOLERANCE = 0.01
"""A matrix may be so far from one of whole quarter turns (about half a degree)."""

_ORIENTATION = 0x0112
"""The tag of TIFF 6.0, which Exif uses as well, that says how the picture is to be shown."""


@dataclass(frozen=True)
class Turn:
    """A quarter turn, a mirror image, or both: rows and columns are exchanged first, then both directions reversed.

    Attributes:
        exchanged: rows become columns.
        left_right, upside_down: whether what comes out is reversed in that direction.
    """

    exchanged: bool = False
    left_right: bool = False
    upside_down: bool = False

    def __bool__(self) -> bool:
        return self.exchanged or self.left_right or self.upside_down

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The picture (H, W, C) upright: a view of it."""
        if self.exchanged:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.upside_down else 1, :: -1 if self.left_right else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) upright of a picture that is stored so."""
        return (height, width) if self.exchanged else (width, height)

    def __str__(self) -> str:
        """What was done to the picture."""
        if self.exchanged:
            quarter = "turned by 90 degrees to the " + ("right" if self.left_right else "left")
            return quarter + (" and mirrored" if self.left_right == self.upside_down else "")
        if self.left_right and self.upside_down:
            return "turned by 180 degrees"
        return "mirrored" if self.left_right else "mirrored upside down" if self.upside_down else "as stored"


def turn_of(frame: VideoFrame, name: str) -> Turn:
    """The turn that a decoded frame's display matrix asks for.

    Raises:
        VideoError: by no whole quarter.
    """
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    return Turn() if side is None else turn_of_matrix(bytes(side), name)


def turn_of_matrix(matrix: bytes, name: str) -> Turn:
    """The turn by a display matrix (ISO/IEC 14496-12, 6.2.2: a, b, u, c, d, v, x, y, w; 16.16 fixed point).

    Raises:
        VideoError: it turns by no whole quarter, or shears.
    """
    a, b, _, c, d, *_ = (value / 65536 for value in struct.unpack("=9i", matrix[:36]))
    size = max(abs(a), abs(b), abs(c), abs(d))
    small = [abs(value) < _TOLERANCE * size for value in (a, b, c, d)]
    if not size or small not in ([False, True, True, False], [True, False, False, True]):
        raise VideoError(
            f"{name}: is to be shown turned by no whole quarter (matrix {a:g} {b:g} {c:g} {d:g}); re-encode it upright"
        )
    # A point (x, y) is shown at (a x + c y, b x + d y).
    return Turn(exchanged=small[0], left_right=a + c < 0, upside_down=b + d < 0)


_EXIF_TURNS = {
    1: Turn(),
    2: Turn(left_right=True),
    3: Turn(left_right=True, upside_down=True),
    4: Turn(upside_down=True),
    5: Turn(exchanged=True),
    6: Turn(exchanged=True, left_right=True),
    7: Turn(exchanged=True, left_right=True, upside_down=True),
    8: Turn(exchanged=True, upside_down=True),
}
"""By the value of the tag: where the stored picture's first row and column are shown."""


def turn_of_tags(tags: dict[int, int]) -> Turn:
    """The turn by a TIFF or Exif directory; values that mean nothing turn nothing, as viewers have it."""
    return _EXIF_TURNS.get(tags.get(_ORIENTATION, 1), Turn())

"""Boxes of actions in videos, whatever file they came from, and what can be wrong with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Box

SHOWN = 20
"""Faults that are named one by one."""


@dataclass(frozen=True, slots=True)
class Row:
    """A box that holds in frames [start, stop) of a video.

    Attributes:
        video: the video's name as the annotation has it.
        start, stop: frames from 0.
        box: xyxy in pixels of the frame.
        name: the action's class.
        where: which line or entry of the file it stands in, for errors.
        action: a number or name that the boxes of one action share ("" where the file has none).
    """

    video: str
    start: int
    stop: int
    box: Box
    name: str
    where: str
    action: str = ""


@dataclass(frozen=True)
class VideoSize:
    """Width and height in pixels, and number of frames."""

    width: int
    height: int
    frames: int


def faults_of(rows: Iterable[Row], videos: Mapping[str, VideoSize], classes: Sequence[str] | None = None) -> list[str]:
    """Everything that is wrong, a line each: unknown videos and classes, boxes and frames that cannot be.

    Args:
        rows: the annotation.
        videos: of each video that is there, by the name in the annotation.
        classes: names that may stand in it; None takes any.
    """
    faults = []
    for row in rows:
        x1, y1, x2, y2 = row.box
        size = videos.get(row.video)
        if not all(map(math.isfinite, row.box)):
            faults.append(f"{row.where}: box {_text(row.box)} is not finite")
        elif x2 <= x1 or y2 <= y1:
            faults.append(f"{row.where}: box {_text(row.box)} ends before it begins; x1 < x2 and y1 < y2 are needed")
        elif size is not None and (x1 < 0 or y1 < 0 or x2 > size.width or y2 > size.height):
            faults.append(f"{row.where}: box {_text(row.box)} reaches beyond the {size.width}x{size.height} pixels")
        if row.start < 0 or row.stop <= row.start:
            faults.append(f"{row.where}: frames {row.start} to {row.stop} are none")
        elif size is not None and row.stop > size.frames:
            faults.append(f"{row.where}: frame {row.stop - 1} is beyond the {size.frames} of {row.video}")
        if size is None:
            faults.append(f"{row.where}: there is no video {row.video!r}")
        if classes is not None and row.name not in classes:
            faults.append(f"{row.where}: class {row.name!r} is unknown; there are {', '.join(classes[:8])}")
    return faults


def refuse(faults: Sequence[str], source: str) -> None:
    """Raise `VidsuiteError` with the first faults, one a line, unless there are none."""
    if faults:
        more = f"\n... and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise VidsuiteError(f"{source} has {len(faults)} faults:\n" + "\n".join(faults[:SHOWN]) + more)


def class_names(rows: Iterable[Row]) -> tuple[str, ...]:
    """The classes of an annotation, the most frequent first, of equally frequent ones in the order of the alphabet.

    What is counted are actions (or boxes, where the file does not tell actions apart), as in the paper's figure 2.
    """
    actions = {(row.video, row.name, row.action or (row.start, row.box)) for row in rows}
    counts = Counter(name for _, name, _ in actions)
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _text(box: Box) -> str:
    return " ".join(f"{side:g}" for side in box)

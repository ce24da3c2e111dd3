"""The user's own videos, with an annotation in any of the forms of `vidsuite_plugins.restaurant_yowo.annotations`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.media import (
    Examined,
    Times,
    VideoInfo,
    content_hash,
    decoder_version,
    examine,
    open_video,
)
from vidsuite_core.support.litter import entries
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.restaurant_yowo.annotations.formats import read_annotation, scaled
from vidsuite_plugins.restaurant_yowo.annotations.splits import BLOCK, Clip, blocks, clips
from vidsuite_plugins.restaurant_yowo.annotations.table import Row, VideoSize, class_names, faults_of, refuse
from vidsuite_plugins.restaurant_yowo.datasets.table import Boxes, Listed, TableDataset

DIVISIONS = ("recording", "blocks", "clips")
UNSTATED = 30.0
"""Frames a second of videos that do not say."""

ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v")


class Videos(TableDataset):
    """Videos beside an annotation file, which stay where they are.

    Options:
        divide: "recording" holds back whole recordings, a fifth of them (the default, and the one without leaks);
            "blocks" a fifth of each recording's blocks of 120 frames, as the paper does for single frames (section
            4.5); "clips" a fifth of its clips of continuous action, as for the recurrence. The last two leak: a
            scored frame's neighbours can be in training, at blocks' borders and where clips overlap.
        seed: of the draw.
        every: see `TableDataset`.
    """

    def __init__(self, root: Path, *, divide: str = "recording", seed: int = 0, every: int = 1) -> None:
        if divide not in DIVISIONS:
            raise UsageError(f"divide={divide!r} is none of {', '.join(DIVISIONS)}")
        super().__init__(root, every=every, divide=divide, seed=seed)
        self.divide, self.seed = divide, seed

    @property
    def folder(self) -> Path:
        """Where the table of this division lies."""
        return self.root / f"{self.divide}-{self.seed}"

    def how_to_get(self) -> str:
        """See `Dataset.how_to_get`."""
        return (
            "no videos are imported; write an annotation (CSV with video, start, end, x1, y1, x2, y2, class, or COCO, "
            "CVAT, AVA) beside them and run 'vidsuite data import restaurant_yowo ANNOTATION'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check an annotation and the videos beside it; every fault is named at once."""
        paths = {path.name: path for path in entries(source.parent) if path.suffix.lower() in ENDINGS}
        if not paths:
            raise VidsuiteError(f"there is no video beside {source} ({', '.join(ENDINGS)})")
        seen = {}
        for done, (name, path) in enumerate(paths.items(), 1):
            seen[name] = _look(path)
            progress("check videos", done, len(paths))
        sizes = {name: VideoSize(one.info.width, one.info.height, len(one.times)) for name, one in seen.items()}
        stems = {path.stem: name for name, path in paths.items()}
        rates = {name: one.times for name, one in seen.items()}
        rates |= {stem: rates[name] for stem, name in stems.items()}
        rows = [_named(row, stems, sizes) for row in read_annotation(source, rates)]
        if not rows:
            raise VidsuiteError(f"{source} has no box")
        refuse(faults_of(rows, sizes), str(source))
        classes = class_names(rows)
        used = [name for name in paths if any(row.video == name for row in rows)]
        listed = self._divided([_listed(paths[name], seen[name]) for name in used], rows)
        actions = {
            key: number for number, key in enumerate(dict.fromkeys((r.video, r.action or r.where) for r in rows))
        }
        boxes = Boxes.of(
            [
                (used.index(r.video), frame, r.box, classes.index(r.name), actions[r.video, r.action or r.where])
                for r in rows
                for frame in range(r.start, r.stop)
            ]
        )
        with atomic_folder(self.folder) as folder:
            self.write_table(folder, classes, listed, boxes)
        line = f"{len(listed)} videos, {len(boxes.frame)} boxes of {len(classes)} classes, divided by {self.divide}"
        return "; ".join([line, *(f"note: {name}: {note}" for name in used for note in seen[name].notes())])

    def _divided(self, listed: list[Listed], rows: list[Row]) -> list[Listed]:
        rng = np.random.default_rng(self.seed)
        if self.divide == "recording":
            if len(listed) < 2:
                raise VidsuiteError("one recording cannot be divided by recording; import with --divide blocks")
            held = set(rng.permutation(len(listed))[: max(1, round(0.2 * len(listed)))].tolist())
            return [replace(one, split="test" if n in held else "train") for n, one in enumerate(listed)]
        if self.divide == "blocks":
            return [replace(one, split="train", parts=_by_blocks(one.frames, rng)) for one in listed]
        found = []
        for number, one in enumerate(listed):
            busy = np.zeros(one.frames, dtype=bool)
            for row in rows:
                if Path(row.video).stem == one.name:
                    busy[row.start : row.stop] = True
            found += [(number, clip) for clip in clips(busy)]
        held = set(rng.permutation(len(found))[: max(1, round(0.2 * len(found)))].tolist())
        divided = []
        for number, one in enumerate(listed):
            own = [(clip, place in held) for place, (n, clip) in enumerate(found) if n == number]
            divided.append(replace(one, parts=_by_clips(one.frames, own)))
        return divided


@dataclass(frozen=True)
class _Seen:
    """What a look at a video has shown."""

    info: VideoInfo
    times: Times
    examined: Examined

    def notes(self) -> list[str]:
        """What its owner should be told."""
        seeks = "seeks find other frames than decoding does; it is read from its start, slowly"
        rate = "it does not state its rate; 30 frames/s are taken"
        unstated, lying = [rate] * (not self.info.fps), [seeks] * (not self.examined.seeks)
        return [*self.info.notes, *self.times.notes, *unstated, *lying]


def _look(path: Path) -> _Seen:
    """Decode a video from start to end; every frame must be whole."""
    with open_video(path) as video:
        times = video.times(None if video.info.fps else UNSTATED)
        return _Seen(video.info, times, examine(video, 0, len(times)))


def _listed(path: Path, seen: _Seen) -> Listed:
    steady = seen.times.constant
    return Listed(
        name=path.stem, subject=path.stem, video=str(path.resolve()), frames=len(seen.times),
        fps=(seen.info.fps or UNSTATED) if steady else seen.times.fps, width=seen.info.width, height=seen.info.height,
        content=content_hash(path), times=None if steady else tuple(seen.times.seconds.tolist()),
        hashes=seen.examined.hashes, decoder=decoder_version(), seek=seen.examined.seeks,
    )  # fmt: skip


def _by_blocks(frames: int, rng: np.random.Generator) -> tuple[tuple[int, str], ...]:
    """Where the splits of a recording begin, blocks drawn at random."""
    held = blocks(frames, rng)
    return tuple((n, "test" if held[n] else "train") for n in range(0, frames, BLOCK))


def _by_clips(frames: int, found: Sequence[tuple[Clip, bool]]) -> tuple[tuple[int, str], ...]:
    """Where the splits of a recording begin, by clips and whether they are held back; between clips there is none."""
    split = np.full(frames, "", dtype="U5")
    for side in (False, True):  # where clips overlap, what is scored wins
        for clip, held in found:
            if held is side:
                split[clip.start : clip.stop] = "test" if held else "train"
    changes = [0, *(np.flatnonzero(split[1:] != split[:-1]) + 1).tolist()]
    return tuple((n, str(split[n])) for n in changes)


def _named(row: Row, stems: dict[str, str], sizes: dict[str, VideoSize]) -> Row:
    """The row with its video's file name, and a box in pixels where it was given in shares of the frame."""
    video = row.video if row.video in sizes else stems.get(Path(row.video).stem, row.video)
    box = row.box
    if video in sizes and max(map(abs, box)) <= 1.0:
        box = scaled(box, sizes[video].width, sizes[video].height)
    return replace(row, video=video, box=box)

"""J-HMDB-21 (Jhuang et al., ICCV 2013): one actor's box in each frame of short clips, by the official splits.

A user's copy has `clips.csv` (clip, class, source_video, split1, nframes), `boxes.csv` (clip, frame1, x1, y1, x2, y2,
frames from 1) and `videos/<clip>.avi`. Clips of one class that were cut from one source are the group that no split
divides; the official splits put one source ("American_History_X") on both sides, with different actions.
"""

from __future__ import annotations

import csv
from pathlib import Path

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.media import content_hash, count_frames, probe
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.restaurant_yowo.annotations.table import Row, VideoSize, faults_of, refuse
from vidsuite_plugins.restaurant_yowo.datasets.table import Boxes, Listed, TableDataset

_CLIPS = {"clip", "class", "source_video"}
_BOXES = {"clip", "frame1", "x1", "y1", "x2", "y2"}


class Jhmdb(TableDataset):
    """J-HMDB, whole or a part, from a user's copy, which stays where it is.

    Options:
        official: which official split, 1, 2 or 3; the copy's `clips.csv` must have its column.
        every: see `TableDataset`.
    """

    def __init__(self, root: Path, *, official: int = 1, every: int = 1) -> None:
        if official not in (1, 2, 3):
            raise UsageError(f"official split {official!r} is none of 1, 2, 3")
        super().__init__(root, every=every, official=official)
        self.official = official

    @property
    def folder(self) -> Path:
        """Where the table of this split lies."""
        return self.root / f"split{self.official}"

    def how_to_get(self) -> str:
        """See `Dataset.how_to_get`."""
        return (
            "no copy of J-HMDB is imported; see plugins/restaurant_yowo/README.md for its form, and run "
            "'vidsuite data import restaurant_yowo/jhmdb FOLDER'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check a copy and refer to it; every fault is named at once."""
        clips = _read(source / "clips.csv", _CLIPS | {f"split{self.official}"})
        rows, videos, listed = [], {}, []
        classes = sorted({clip["class"] for clip in clips})
        for number, clip in enumerate(clips):
            path = source / "videos" / f"{clip['clip']}.avi"
            if not path.is_file():
                raise VidsuiteError(f"{path} is missing; the copy has no video for clip {clip['clip']}")
            info, frames = probe(path), count_frames(path)
            videos[clip["clip"]] = VideoSize(info.width, info.height, frames)
            split = clip[f"split{self.official}"]
            listed.append(
                Listed(
                    name=clip["clip"],
                    subject=f"{clip['class']}/{clip['source_video']}",
                    video=str(path.resolve()),
                    frames=frames,
                    fps=info.fps or 30.0,
                    width=info.width,
                    height=info.height,
                    content=content_hash(path),
                    split=split,
                )
            )
            progress("check videos", number + 1, len(clips))
        of_clip = {clip["clip"]: (number, clip["class"]) for number, clip in enumerate(clips)}
        for line, row in enumerate(_read(source / "boxes.csv", _BOXES), 2):
            if row["clip"] in of_clip:
                frame = int(row["frame1"]) - 1
                box = tuple(float(row[side]) for side in ("x1", "y1", "x2", "y2"))
                name = of_clip[row["clip"]][1]
                rows.append(Row(row["clip"], frame, frame + 1, box, name, f"boxes.csv line {line}"))  # type: ignore[arg-type]
        refuse(faults_of(rows, videos, classes), str(source))
        boxes = Boxes.of(
            [(of_clip[r.video][0], r.start, r.box, classes.index(r.name), of_clip[r.video][0]) for r in rows]
        )
        with atomic_folder(self.folder) as folder:
            self.write_table(folder, classes, listed, boxes)
        sides = [sum(one.split == side for one in listed) for side in ("train", "test")]
        told = f"{len(listed)} clips of {len(classes)} classes, {len(rows)} boxes"
        return f"{told}; {sides[0]} train and {sides[1]} are scored"


def _read(path: Path, columns: set[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = columns - set(reader.fieldnames or ())
            if missing:
                raise VidsuiteError(f"{path} lacks the column {min(missing)!r}")
            return list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise VidsuiteError(f"{path} cannot be read: {error}") from error

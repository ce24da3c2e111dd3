"""What the datasets share: recordings with boxes in a table, and every so-manieth frame of them as a key frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidsuite_core.datasets import Dataset, Progress, digest, silent
from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media import content_hash, decoder_version, decoding_change
from vidsuite_core.samples import KeyFrameSample, Recording

TABLE = "recordings.json"
BOXES = "boxes.npz"
FORMAT = 1
_UNMEANT = ("video", "hashes", "decoder", "seek")
"""Fields of a recording that say where it is and how it is decoded, not what it is."""


@dataclass(frozen=True)
class Listed:
    """A recording of the table.

    Attributes:
        name: unique within the dataset.
        subject: what no split may divide.
        video: its file; relative to the dataset's folder, or absolute where a user's copy is only referred to.
        frames, fps, width, height: of the video.
        content: sha256 of the file.
        split: "train", "val" or "test"; or of each of its frames, in `parts`.
        parts: frames from which on another split holds, as (frame, split), for recordings that are divided themselves.
        times: seconds of each frame, where their rate is not steady.
        hashes: sha256 of some decoded frames by their number, and the `decoder` that they are from.
        seek: whether seeks find the frames that decoding in order gives.
    """

    name: str
    subject: str
    video: str
    frames: int
    fps: float
    width: int
    height: int
    content: str
    split: str = ""
    parts: tuple[tuple[int, str], ...] = ()
    times: tuple[float, ...] | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)
    decoder: str = ""
    seek: bool = True

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Listed:
        """The recording that `asdict` and JSON made `row` of."""
        hashes = {int(number): found for number, found in row.get("hashes", {}).items()}
        return cls(**{**row, "parts": tuple(map(tuple, row["parts"])), "hashes": hashes})

    def decodes_otherwise(self, folder: Path) -> str | None:
        """What to tell where its frames decode to other pixels than when it came in."""
        return decoding_change(folder / self.video, self.hashes, self.decoder, seek=self.seek)

    def split_of(self, frame: int) -> str:
        """The split of a frame."""
        found = self.split
        for start, split in self.parts:
            if frame < start:
                break
            found = split
        return found


@dataclass(frozen=True)
class Boxes:
    """Boxes of all recordings, a row each, sorted by recording and frame.

    Attributes:
        recording: (n,) index into the table.
        frame: (n,) frame of the recording.
        box: (n, 4) float32 xyxy in pixels.
        label: (n,) class.
        action: (n,) a number that the boxes of one action share, or -1.
    """

    recording: np.ndarray
    frame: np.ndarray
    box: np.ndarray
    label: np.ndarray
    action: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, Sequence[float], int, int]]) -> Boxes:
        """From rows (recording, frame, box, label, action)."""
        order = sorted(rows, key=lambda row: row[:2])
        return cls(
            recording=np.array([row[0] for row in order], np.int32),
            frame=np.array([row[1] for row in order], np.int32),
            box=np.array([row[2] for row in order], np.float32).reshape(-1, 4),
            label=np.array([row[3] for row in order], np.int32),
            action=np.array([row[4] for row in order], np.int32),
        )

    def digest(self) -> str:
        """sha256 (hex) of all of it."""
        return digest([getattr(self, name).tolist() for name in ("recording", "frame", "box", "label")])


class TableDataset(Dataset):
    """Key frames of recordings that a table lists. A subclass says where the table comes from.

    Options:
        every: a key frame is every so-manieth frame.
    """

    def __init__(self, root: Path, *, every: int = 1, **options: Any) -> None:
        if type(every) is not int or every < 1:
            raise UsageError(f"every is {every!r}; give the step from one key frame to the next, 1 or more")
        super().__init__(root, every=every, **options)
        self.every = every

    @property
    def folder(self) -> Path:
        """Where the table lies."""
        return self.root / "imported"

    def is_ready(self) -> bool:
        """Whether the table is there; it is written last."""
        return (self.folder / TABLE).is_file()

    def write_table(
        self, folder: Path, classes: Sequence[str], recordings: Sequence[Listed], boxes: Boxes, **more: Any
    ) -> None:
        """Write recordings and boxes into `folder`."""
        np.savez_compressed(folder / BOXES, **asdict(boxes))
        table = {
            "format": FORMAT, "classes": list(classes), "boxes": boxes.digest(),
            "recordings": [asdict(one) for one in recordings], **more,
        }  # fmt: skip
        (folder / TABLE).write_text(json.dumps(table, indent=1), encoding="utf-8")

    def table(self) -> Mapping[str, Any]:
        """The table as it was written.

        Raises:
            DataNotReady: there is none yet.
            VidsuiteError: it is damaged.
        """
        if not self.is_ready():
            raise DataNotReady(self.how_to_get())
        path = self.folder / TABLE
        try:
            table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if table["format"] != FORMAT:
                raise ValueError(f"format {table['format']} is of another version")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VidsuiteError(
                f"{path} is damaged ({error}); remove {self.folder} and bring the data in again"
            ) from error
        return table

    def recordings(self) -> list[Listed]:
        """The recordings of the table."""
        return [Listed.from_json(row) for row in self.table()["recordings"]]

    def boxes(self) -> Boxes:
        """The boxes of the table."""
        with np.load(self.folder / BOXES, allow_pickle=False) as stored:
            return Boxes(**{name: stored[name] for name in stored.files})

    def class_names(self) -> tuple[str, ...]:
        """The classes in label order, as the table has them."""
        return self.classes or tuple(self.table()["classes"])

    def samples(self) -> list[KeyFrameSample]:
        """Every `every`-th frame of each recording, with boxes or without."""
        samples = []
        recordings, boxes = self.recordings(), self.boxes()
        for number, listed in enumerate(recordings):
            first, last = np.searchsorted(boxes.recording, [number, number + 1])
            frames = boxes.frame[first:last]
            recording = Recording(
                name=listed.name,
                subject=listed.subject,
                planes=(self.folder / listed.video,),
                frames=listed.frames,
                fps=listed.fps,
                times=listed.times,
                content=listed.content,
                seek=listed.seek,
            )
            for frame in range(0, listed.frames, self.every):
                low, high = first + np.searchsorted(frames, [frame, frame + 1])
                samples.append(
                    KeyFrameSample(
                        id=f"{listed.name}/{frame:06d}",
                        footage=recording,
                        split=listed.split_of(frame),
                        index=frame,
                        boxes=tuple(map(tuple, boxes.box[low:high].tolist())),
                        classes=tuple(boxes.label[low:high].tolist()),
                    )
                )
        return samples

    def fingerprint(self) -> str:
        """sha256 (hex) of classes, recordings' contents, groups and splits, boxes and the step between key frames."""
        table = self.table()
        rows = [{k: v for k, v in row.items() if k not in _UNMEANT} for row in table["recordings"]]
        return digest([table["format"], table["classes"], table["boxes"], rows, self.every])

    def decoding_changes(self, progress: Progress = silent) -> list[str]:
        """See `Dataset.decoding_changes`."""
        known, lines = ("", decoder_version()), []
        others = [one for one in self.recordings() if one.decoder not in known] if self.is_ready() else []
        for done, one in enumerate(others, 1):
            if change := one.decodes_otherwise(self.folder):
                lines.append(f"{one.name}: {change}")
            progress("compare frames", done, len(others))
        return lines

    def verify(self, progress: Progress = silent) -> list[str]:
        """Compare videos and boxes with what they hashed to when they came in."""
        if not self.is_ready():
            return [self.how_to_get()]
        faults = []
        listed = self.recordings()
        for done, one in enumerate(listed, 1):
            path = self.folder / one.video
            if not path.is_file():
                faults.append(f"{path} is missing")
            elif content_hash(path) != one.content:
                faults.append(f"{path} is not what it was when it came in")
            elif change := one.decodes_otherwise(self.folder):
                faults.append(f"{path}: {change}")
            progress("verify videos", done, len(listed))
        if self.boxes().digest() != self.table()["boxes"]:
            faults.append(f"{self.folder / BOXES} is not what it was when it came in")
        return faults

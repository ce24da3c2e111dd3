"""What the seizure plugin's datasets share: recordings of subjects, cut into two-second samples."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vidsuite_core.datasets import Dataset, Progress, digest, silent
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.samples import Box, ClipSample, ImageFiles
from vidsuite_core.samples import Recording as Footage
from vidsuite_core.support.paths import atomic_write

TABLE = "recordings.json"
FORMAT = 1
RATE = 30.0
"""Frames a second that the paper counts in (section 3.1), and that clips of a varying rate are shown at."""
_INSTANT = 1e-6
"""Seconds that two times may differ by and be one: sums of fractions do."""
CLIP, SHORTEST = 60, 10
"""Frames of a sample, and of the shortest left-over that is kept (paper, section 3.3.3)."""


def slice_samples(frames: int, clip: int = CLIP, shortest: int = SHORTEST) -> list[tuple[int, int]]:
    """Cut a recording of `frames` frames into samples [start, stop) of `clip` frames.

    What is left over at the end is kept where it has at least `shortest` frames and dropped otherwise
    (paper, section 3.3.3: 2 s at 30 frames/s; "less than 60 frames, but more than 9 frames were still included").

    Raises:
        UsageError: not 1 <= shortest <= clip, or a negative number of frames.
    """
    if not 1 <= shortest <= clip or frames < 0:
        raise UsageError(f"cannot cut {frames} frames into samples of {clip} with {shortest} or more left over")
    whole, left = divmod(frames, clip)
    samples = [(i * clip, (i + 1) * clip) for i in range(whole)]
    if left >= shortest:
        samples.append((whole * clip, frames))
    return samples


def cuts(recording: Recording, clip: int, shortest: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the first frame, and what a `ClipSample` needs to know, of each sample of a recording.

    Where its rate varies, what is cut are the frames that it has when shown at `RATE`.
    """
    times = recording.times
    if times is None:
        for start, stop in slice_samples(recording.stop - recording.start, clip, shortest):
            yield start, {"start": start, "stop": stop}
        return
    for number, end in slice_samples(round((recording.until - times[0]) * RATE), clip, shortest):
        seconds = times[0] + number / RATE, times[0] + end / RATE
        start = bisect_right(times, seconds[0] + _INSTANT) - 1
        stop = bisect_left(times, seconds[1] - _INSTANT)
        yield number, {"start": start, "stop": max(stop, start + 1), "seconds": seconds}


def sample_count_bounds(frames: int, recordings: int, clip: int = CLIP, shortest: int = SHORTEST) -> tuple[int, int]:
    """The fewest and the most samples that `recordings` recordings with `frames` frames in all can give.

    A recording of f frames gives between (f - (shortest - 1)) / clip samples (a left-over just too short) and
    (f + (clip - shortest)) / clip (one just long enough).
    """
    fewest = -(-(frames - recordings * (shortest - 1)) // clip)
    return max(fewest, 0), (frames + recordings * (clip - shortest)) // clip


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts `frame2` before `frame10`; no two names share one."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), "") if part[:1] in "0123456789" else (1, 0, part) for part in parts if part], name


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One row of `recordings.json`.

    Attributes:
        name: unique within the dataset.
        subject: the person recorded; no split divides a subject.
        label: name of the class.
        video: a video file or a folder of frames: absolute, or relative to the table's folder.
        images: file names of the frames in order, where `video` is a folder.
        start, stop: frames [start, stop) of the video that belong to the recording.
        fps: frames per second; on average where `times` are given.
        times: seconds in the video of each frame in [start, stop), where its rate varies; `until` when the last ends.
        sha256: content hash of the whole video.
        content: the same for [start, stop); what caches are keyed by.
        boxes: known regions ("bed", "person") on the first frame, in pixels.
        value_range: the pixel values that become black and white, or None.
        hashes: sha256 of some decoded frames, by their number in the video; none where nobody looked.
        decoder: what decoded them, as `media.decoder_version` has it.
        seek: whether seeks find the frames that decoding in order gives.
        own_rate: whether `fps` is the user's own word, which the content does not tell.
    """

    name: str
    subject: str
    label: str
    video: str
    images: tuple[str, ...] = ()
    start: int = 0
    stop: int
    fps: float
    sha256: str
    content: str
    boxes: Mapping[str, Box] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None
    times: tuple[float, ...] | None = None
    until: float = 0.0
    hashes: Mapping[int, str] = field(default_factory=dict)
    decoder: str = ""
    seek: bool = True
    own_rate: bool = False

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Recording:
        """The recording that `asdict` and JSON made `row` of."""
        values = dict(row)
        values["images"] = tuple(values["images"])
        values["times"] = tuple(values["times"]) if values.get("times") else None
        values["hashes"] = {int(number): found for number, found in values.get("hashes", {}).items()}
        values["boxes"] = {name: tuple(box) for name, box in values["boxes"].items()}
        values["value_range"] = tuple(values["value_range"]) if values["value_range"] else None
        return cls(**values)

    def source(self, folder: Path) -> Path | ImageFiles:
        """What `open_video` takes, for a table that lies in `folder`."""
        video = folder / self.video
        return ImageFiles(video, self.images) if self.images else video

    def footage(self, folder: Path) -> Footage:
        """What samples refer to, for a table that lies in `folder`."""
        return Footage(
            name=self.name,
            subject=self.subject,
            planes=(self.source(folder),),
            frames=self.stop - self.start,
            fps=self.fps if self.times is None else RATE,
            content=self.content,
            times=self.times,
            first=self.start,
            value_range=self.value_range,
            regions=self.boxes,
            seek=self.seek,
        )


class RecordingsDataset(Dataset):
    """Recordings listed in a table `recordings.json`, cut into samples of `clip` frames.

    A subclass writes the table with `write_table` once everything that it names is in place.
    """

    def __init__(self, root: Path, *, clip: int = CLIP, shortest: int = SHORTEST, **options: Any) -> None:
        super().__init__(root, clip=clip, shortest=shortest, **options)
        slice_samples(0, clip, shortest)
        self.clip, self.shortest = clip, shortest

    @property
    def folder(self) -> Path:
        """Where the table lies."""
        return self.root

    def is_ready(self) -> bool:
        """Whether the table is there; it is written last."""
        return (self.folder / TABLE).is_file()

    def write_table(self, folder: Path, classes: Sequence[str], recordings: Sequence[Recording]) -> None:
        """Write the table into `folder`, the recordings in natural order of their names."""
        ordered = sorted(recordings, key=lambda recording: natural_key(recording.name))
        table = {"format": FORMAT, "classes": list(classes), "recordings": [asdict(row) for row in ordered]}
        atomic_write(folder / TABLE, json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False).encode())
        self.__dict__.pop("_table", None)

    @cached_property
    def _table(self) -> tuple[tuple[str, ...], tuple[Recording, ...]]:
        super().prepare()  # raises DataNotReady with the remedy where nothing is there
        path = self.folder / TABLE
        try:
            table = json.loads(path.read_bytes())
            if table["format"] != FORMAT:
                raise VidsuiteError(f"{path} has format {table['format']}, this version reads {FORMAT}; make it again")
            recordings = tuple(Recording.from_json(row) for row in table["recordings"])
            return tuple(table["classes"]), recordings
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VidsuiteError(f"{path} is damaged ({error!r}); delete it and make it again") from error

    def recordings(self) -> tuple[Recording, ...]:
        """All recordings in a stable order."""
        return self._table[1]

    def class_names(self) -> tuple[str, ...]:
        """The classes in label order."""
        return self.classes or self._table[0]

    def identity(self, recording: Recording) -> str:
        """What stands for a recording's content in the fingerprint."""
        return recording.content

    def samples(self) -> list[ClipSample]:
        """All samples, recording by recording in natural order of the names."""
        labels = {name: index for index, name in enumerate(self.class_names())}
        return [
            ClipSample(id=f"{footage.name}/{number:06d}", footage=footage, label=labels[recording.label], **where)
            for recording, footage in ((row, row.footage(self.folder)) for row in self.recordings())
            for number, where in cuts(recording, self.clip, self.shortest)
        ]

    def fingerprint(self) -> str:
        """sha256 of classes, clip rule and rows; paths, and rates that the content tells, have no part in it."""
        rows = [
            {
                "recording": recording.name,
                "subject": recording.subject,
                "class": recording.label,
                "frames": recording.stop - recording.start,
                "content": self.identity(recording),
                "boxes": {name: list(box) for name, box in recording.boxes.items()},
                "values": list(recording.value_range) if recording.value_range else None,
                **({"fps": recording.fps} if recording.own_rate else {}),
            }
            for recording in self.recordings()
        ]
        rule = [self.clip, self.shortest]
        return digest({"format": FORMAT, "classes": list(self.class_names()), "clip": rule, "recordings": rows})

    def verify(self, progress: Progress = silent) -> list[str]:
        """Compare every video with the hash in the table, and some decoded frames with theirs; one line a fault."""
        faults = super().verify(progress)
        if faults:
            return faults
        seen: dict[tuple[str, tuple[str, ...]], str | None] = {}
        for done, recording in enumerate(self.recordings(), 1):
            key = (recording.video, recording.images)
            if key not in seen:
                seen[key] = self._fault(recording)
            if fault := seen[key] or self._decodes_otherwise(recording):
                faults.append(f"{recording.name}: {fault}")
            progress("verify recordings", done, len(self.recordings()))
        return faults

    def decoding_changes(self, progress: Progress = silent) -> list[str]:
        """See `Dataset.decoding_changes`."""
        from vidsuite_core.media import decoder_version

        known, lines = ("", decoder_version()), []
        others = [row for row in self.recordings() if row.decoder not in known] if self.is_ready() else []
        for done, recording in enumerate(others, 1):
            if line := self._decodes_otherwise(recording):
                lines.append(f"{recording.name}: {line}")
            progress("compare frames", done, len(others))
        return lines

    def _decodes_otherwise(self, recording: Recording) -> str | None:
        from vidsuite_core.media import decoding_change

        source = recording.source(self.folder)
        return decoding_change(source, recording.hashes, recording.decoder, seek=recording.seek)

    def _fault(self, recording: Recording) -> str | None:
        from vidsuite_core.media import content_hash

        source = recording.source(self.folder)
        missing = [path for path in ([source] if isinstance(source, Path) else source) if not path.is_file()]
        if missing:
            more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
            return f"{missing[0]}{more} is missing; put it back or make the dataset again"
        if content_hash(source) != recording.sha256:
            return f"{self.folder / recording.video} has changed since it was recorded; put the original back"
        return None

"""Labelled frames of a user's copy, which is referenced where it lies, never copied, and checked on the way in.

Below a dataset's root, `imported/sequences.json` names the copy's folder and every frame with what it is recognised
by; labels that had to be converted lie beside it. Fingerprints never depend on where the copy is.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from statistics import median_low
from typing import Any

from vidsuite_core.datasets import Dataset, Progress, digest, silent
from vidsuite_core.errors import DataNotReady, VidsuiteError
from vidsuite_core.preparing.files import (
    LabelCode,
    attempt_all,
    content_of,
    png_size,
    require_all,
    require_size,
)
from vidsuite_core.samples import FrameSample, ImageFiles, Recording
from vidsuite_core.support.paths import atomic_folder

TABLE = "sequences.json"
FORMAT = 1
GAP = 1.5
"""A step of more than so many usual ones is a gap: frames are missing there, and a new sequence begins."""


@dataclass(frozen=True)
class Frame:
    """A frame of the table.

    Attributes:
        image: PNG file, relative to the user's copy.
        labels: PNG file, relative to the dataset's `label_folder`; empty where the frame is unlabelled.
        mark: what the image is recognised by: its sha256, or its size in bytes.
        content: sha256 of the classes in `labels`, however the file codes them.
    """

    image: str
    labels: str = ""
    mark: str = ""
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive frames of the table at a steady rate.

    Attributes:
        name: unique within the dataset: what groups the frames, and the first of them, as `train/0006R0_f00930`.
        subject, split: as in `FrameSample`.
        fps: frames per second.
        frames: in order.
    """

    name: str
    subject: str
    split: str
    fps: float
    frames: tuple[Frame, ...]

    def plain(self) -> dict[str, Any]:
        """All fields in JSON's own types."""
        rows = [[frame.image, frame.labels, frame.mark, frame.content] for frame in self.frames]
        return {"name": self.name, "subject": self.subject, "split": self.split, "fps": self.fps, "frames": rows}

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> Stretch:
        """The stretch that `plain` and JSON made `row` of."""
        return cls(**{**row, "frames": tuple(Frame(*frame) for frame in row["frames"])})


@dataclass(frozen=True)
class Found:
    """What a copy holds: stretches without marks and contents, and what the user should be told of it."""

    stretches: Sequence[Stretch]
    notes: tuple[str, ...] = ()


class ImportedDataset(Dataset):
    """Labelled frames of a user's copy. A subclass says which (`find`), and what its label files hold (`code_of`)."""

    @abstractmethod
    def find(self, source: Path, folder: Path, progress: Progress) -> Found:
        """What is below `source`; labels that have to be converted are written into `folder`.

        Raises:
            VidsuiteError: `source` does not hold this dataset.
        """

    @abstractmethod
    def code_of(self, labels: str) -> LabelCode:
        """How the label file of this name codes classes."""

    def mark_of(self, path: Path) -> str:
        """What an image is recognised by: its size, since hashing tens of gigabytes would take an hour."""
        return str(path.stat().st_size)

    def label_folder(self, source: Path, folder: Path) -> Path:
        """What the label files' names are relative to: the user's copy, or the dataset's own folder."""
        return source

    @property
    def folder(self) -> Path:
        """Where the table lies."""
        return self.root / "imported"

    def is_ready(self) -> bool:
        """Whether the table is there."""
        return (self.folder / TABLE).is_file()

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check the copy at `source` and record it; it must stay there.

        Raises:
            VidsuiteError: it is not this dataset, or holds bad files, of which the first are named; nothing is taken.
        """
        if self.is_ready():
            count = len(self.samples())
            return f"already here, {count} labelled frames of {self._table[0]}; delete {self.folder} to import again"
        source = Path(source).absolute()
        with atomic_folder(self.folder) as folder:
            found = self.find(source, folder, progress)
            stretches = self._marked(source, folder, found.stretches, progress)
            table = {
                "format": FORMAT,
                "source": str(source),
                "classes": list(self.class_names()),
                "sequences": [stretch.plain() for stretch in stretches],
            }
            (folder / TABLE).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
        self.__dict__.pop("_table", None)
        return "; ".join([_summary(stretches), *found.notes, f"the files stay in {source}"])

    def samples(self) -> list[FrameSample]:
        """All labelled frames, sequence by sequence."""
        source, stretches = self._table
        if not source.is_dir():
            raise DataNotReady(self._gone(source))
        labels = self.label_folder(source, self.folder)
        return [sample for stretch in stretches for sample in self._samples(stretch, source, labels)]

    def _samples(self, stretch: Stretch, source: Path, labels: Path) -> list[FrameSample]:
        recording = Recording(
            name=stretch.name,
            subject=stretch.subject,
            planes=(ImageFiles(source, tuple(frame.image for frame in stretch.frames)),),
            frames=len(stretch.frames),
            fps=stretch.fps,
            content=digest([[frame.image, frame.mark] for frame in stretch.frames]),
        )
        group = PurePosixPath(stretch.name).parent
        return [
            FrameSample(
                id=str(group / PurePosixPath(frame.image).stem),
                footage=recording,
                index=index,
                labels=labels / frame.labels,
                label_of=self.code_of(frame.labels).label_of,
                split=stretch.split,
            )
            for index, frame in enumerate(stretch.frames)
            if frame.labels
        ]

    def fingerprint(self) -> str:
        """sha256 of the classes and rows; neither where the copy lies nor how its label files code counts."""
        rows = [
            {**stretch.plain(), "frames": [[frame.image, frame.mark, frame.content] for frame in stretch.frames]}
            for stretch in self._table[1]
        ]
        return digest({"format": FORMAT, "classes": list(self.class_names()), "sequences": rows})

    def verify(self, progress: Progress = silent) -> list[str]:
        """Decode every file; a line for each that is missing, damaged or has changed since it was imported."""
        if not self.is_ready():
            return [self.how_to_get()]
        source, stretches = self._table
        if not source.is_dir():
            return [self._gone(source)]
        frames = [frame for stretch in stretches for frame in stretch.frames]
        seen = attempt_all(lambda frame: self._decoded(source, frame), frames, "verify frames", progress)
        faults = []
        for recorded, found in zip(frames, seen, strict=True):
            if isinstance(found, VidsuiteError):
                faults.append(str(found))
            else:
                faults += [self._changed(path) for path in self._differences(source, recorded, found)]
        return faults

    def _decoded(self, source: Path, frame: Frame) -> Frame:
        """The frame as it is now on disk, all of its pixels having been read, not its size alone."""
        from vidsuite_core.media.images import read_image

        read_image(source / frame.image)
        return self._seen(source, self.folder, frame)[0]

    def _differences(self, source: Path, recorded: Frame, found: Frame) -> Iterator[Path]:
        if found.mark != recorded.mark:
            yield source / recorded.image
        if found.content != recorded.content:
            yield self.label_folder(source, self.folder) / recorded.labels

    def _changed(self, path: Path) -> str:
        remedy = f"put the original back, or delete {self.folder} and import again"
        return f"{path} has changed since it was imported; {remedy}"

    def _gone(self, source: Path) -> str:
        remedy = f"put it back, or delete {self.folder} and import the frames from where they are now"
        return f"the frames were imported from {source}, which is gone; {remedy}"

    @cached_property
    def _table(self) -> tuple[Path, tuple[Stretch, ...]]:
        self.prepare()  # raises DataNotReady with the remedy where nothing is there
        path = self.folder / TABLE
        try:
            table = json.loads(path.read_bytes())
            if table["format"] != FORMAT:
                raise VidsuiteError(f"{path} has format {table['format']}, this version reads {FORMAT}; import again")
            if table["classes"] != list(self.class_names()):
                raise VidsuiteError(f"{path} was imported for other classes; delete {self.folder} and import again")
            return Path(table["source"]), tuple(Stretch.from_plain(row) for row in table["sequences"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VidsuiteError(f"{path} is damaged ({error!r}); delete it and import again") from error

    def _marked(self, source: Path, folder: Path, found: Sequence[Stretch], progress: Progress) -> list[Stretch]:
        """The stretches with marks and contents, once every file of them has been looked at."""
        frames = [frame for stretch in found for frame in stretch.frames]
        seen = attempt_all(lambda frame: self._seen(source, folder, frame), frames, "check frames", progress)
        good, stretches = iter(require_all(source, seen)), []
        for stretch in found:
            marked = [next(good) for _ in stretch.frames]
            sizes = sorted({size for _, size in marked})
            if len(sizes) > 1:
                raise VidsuiteError(f"{source}: frames of {stretch.name} have the sizes {sizes}; copy them again")
            stretches.append(replace(stretch, frames=tuple(frame for frame, _ in marked)))
        return stretches

    def _seen(self, source: Path, folder: Path, frame: Frame) -> tuple[Frame, tuple[int, int]]:
        """The frame as it is now on disk, and its (width, height)."""
        image = source / frame.image
        size = png_size(image)
        content = ""
        if frame.labels:
            path = self.label_folder(source, folder) / frame.labels
            classes = self.code_of(frame.labels).read(path)
            require_size(path, classes.shape, image, size)
            content = content_of(classes)
        return replace(frame, mark=self.mark_of(image), content=content), size


def steady_runs(times: Sequence[float]) -> tuple[list[tuple[int, int]], float]:
    """A rising series cut at its gaps: ranges [start, stop) of places; and the usual (median) step, 0 without one."""
    steps = [after - before for before, after in pairwise(times)]
    usual = median_low(steps) if steps else 0.0
    cuts = [0, *(place for place, step in enumerate(steps, 1) if step > GAP * usual), len(times)]
    return list(pairwise(cuts)), usual


def _summary(stretches: Sequence[Stretch]) -> str:
    splits: Counter[str] = Counter()
    for stretch in stretches:
        splits[stretch.split] += sum(bool(frame.labels) for frame in stretch.frames)
    counts = ", ".join(f"{split} {count}" for split, count in splits.items())
    frames = sum(len(stretch.frames) for stretch in stretches)
    return f"{splits.total()} labelled frames ({counts}) among {frames} in {len(stretches)} sequences"

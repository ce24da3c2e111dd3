"""Embryos of a user's copy, in a table: the files stay where they are, and are checked on the way in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Frames, ImageFiles, Recording
from vidsuite_core.support.paths import atomic_write
from vidsuite_plugins.embryo_timelapse.embryos import HOUR, Embryo, Embryos

TABLE = "embryos.json"
FORMAT = 1
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
_TAIL = 4096
"""Bytes at a file's end among which its end marker is looked for: some programs write a little after it."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The frames of a focal plane: a video file, or image files (`names`) below a folder; absolute."""

    path: str
    names: tuple[str, ...] = ()

    def source(self) -> Path | ImageFiles:
        """What the reader takes."""
        return ImageFiles(Path(self.path), self.names) if self.names else Path(self.path)

    def files(self) -> list[Path]:
        """All its files."""
        return [Path(self.path) / name for name in self.names] or [Path(self.path)]


@dataclass(frozen=True, kw_only=True)
class Row:
    """An embryo of the table.

    Attributes:
        outcome: a class's name, or empty where it was not observed.
        planes: in order of depth.
        hours: since insemination, of each frame.
        events: see `Embryo.events`.
        content: of each plane, sha256 of its files.
        phases: see `Embryo.phases`.
    """

    name: str
    patient: str
    outcome: str
    planes: tuple[Plane, ...]
    hours: tuple[float, ...]
    content: tuple[str, ...]
    events: Mapping[str, float] = field(default_factory=dict)
    phases: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Row:
        """The row that `asdict` and JSON made `row` of."""
        planes = tuple(Plane(path=one["path"], names=tuple(one["names"])) for one in row["planes"])
        phases = tuple((str(name), float(first), float(last)) for name, first, last in row["phases"])
        lists = {name: tuple(row[name]) for name in ("hours", "content")}
        return cls(**{**row, **lists, "planes": planes, "phases": phases})

    def recording(self) -> Recording:
        """As the core knows it; a single frame has a rate of one an hour."""
        planes: tuple[Frames, ...] = tuple(plane.source() for plane in self.planes)
        span = self.hours[-1] - self.hours[0]
        return Recording(
            name=self.name,
            subject=self.patient,
            planes=planes,
            frames=len(self.hours),
            fps=(len(self.hours) - 1) / (span * HOUR) if span else 1 / HOUR,
            times=tuple(hour * HOUR for hour in self.hours),
            content=digest(list(self.content)),
        )


class ListedEmbryos(Embryos):
    """Embryos in a table below the dataset's root, which an import writes last."""

    @property
    def folder(self) -> Path:
        """Where the table lies."""
        return self.root / "imported"

    def is_ready(self) -> bool:
        """Whether the table is there."""
        return (self.folder / TABLE).is_file()

    def write_table(self, rows: Sequence[Row]) -> None:
        """Write the table."""
        table = {"format": FORMAT, "classes": list(self.class_names()), "embryos": [asdict(row) for row in rows]}
        atomic_write(self.folder / TABLE, json.dumps(table, ensure_ascii=False, allow_nan=False).encode())
        self.__dict__.pop("rows", None)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The table's rows; raises `DataNotReady` with the remedy where there is none."""
        self.prepare()
        path = self.folder / TABLE
        try:
            table = json.loads(path.read_bytes())
            if table["format"] != FORMAT or table["classes"] != list(self.class_names()):
                raise VidsuiteError(f"{path} was written by another version; delete {self.folder} and import again")
            return tuple(Row.from_json(row) for row in table["embryos"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VidsuiteError(f"{path} is damaged ({error!r}); delete it and import again") from error

    def embryos(self) -> list[Embryo]:
        """See `Embryos`."""
        labels = {name: label for label, name in enumerate(self.class_names())}
        return [
            Embryo(
                footage=row.recording(),
                label=labels.get(row.outcome),
                events=row.events,
                phases=row.phases,
                identity=digest([row.name, *row.content, list(row.hours)]),
            )
            for row in self.rows
        ]

    def verify(self, progress: Progress = silent) -> list[str]:
        """Compare all files with the hashes recorded at the import; one line a fault."""
        from vidsuite_core.media import content_hash

        if not self.is_ready():
            return [self.how_to_get()]
        faults = []
        for done, row in enumerate(self.rows, 1):
            for plane, recorded in zip(row.planes, row.content, strict=True):
                gone = [path for path in plane.files() if not path.is_file()]
                if gone:
                    faults.append(f"{row.name}: {gone[0]} is missing; put it back, or import again")
                elif content_hash(plane.source()) != recorded:
                    faults.append(f"{row.name}: files of {plane.path} have changed since the import; import again")
            progress("verify embryos", done, len(self.rows))
        return faults


def whole_image(path: Path) -> tuple[int, int, int]:
    """(height, width, channels) of an image file that can be decoded and ends as its format does.

    Raises:
        VidsuiteError: it cannot, or is cut short, as a file that is still being written.
    """
    from vidsuite_core.media.images import read_image

    image = read_image(path)
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(-min(_TAIL, path.stat().st_size), 2)
        tail = file.read()
    end = _JPEG_END if head[:2] == b"\xff\xd8" else _PNG_END if head[:4] == b"\x89PNG" else b""
    if end not in tail:
        raise VidsuiteError(f"{path}: is cut short, perhaps still being written; copy it again when it is whole")
    height, width, channels = image.shape
    return height, width, channels

"""Real far-infrared motion at a bed and chairs: falling while standing up against standing up, 9 subjects.

Nagoya University Extremely Low-resolution FIR Image Action Dataset 2018 (Kawashima et al., AVSS 2017; CC BY-NC-SA
4.0): 16 x 16 degrees Celsius from an OMRON D6T-1616L on the ceiling, nominally 10 frames/s. `import_from` takes a
folder with `index.csv` and `clips/`, cut from the authors' recordings at their annotations plus 8 frames either side.

Degrees are multiples of 1/640, so frames are stored without loss as 16-bit grey: `degrees * 640`. Black and white are
`LOW` and `HIGH`, fixed over the data set so that warm stays warm: of the pixels of both classes, 0.023 % are
colder and 0.003 % warmer.

`index.csv` has a row a clip: `file` below `clips/` (a gzipped table, see `read_clip`), `subject`, `tag` (the action),
and the rows of the clip, counted from 0, at which the annotated action begins and ends.

Known cue: the classes were acted in different scenes (standing up in the scenarios 2 and 3, falling in 5), so a place
or posture that only one scene has can tell them apart besides the motion. It does: a random forest on moments of the
first frame alone (`blob_forest_first`) reaches a macro F1 of 0.956.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.support.paths import atomic_folder, inside
from vidsuite_plugins.seizure_i3d.data import CLIP, SHORTEST, Recording, RecordingsDataset

FPS = 10.0
STEPS = 640
"""Stored values a degree."""

LOW, HIGH = 22.5 * STEPS, 26.5 * STEPS
SIDE = 16
MAX_BYTES = 8 * 2**20
"""A clip (some 60 frames, 150 KB of text) or index that unpacks to more is refused."""

_COLUMNS = ("file", "subject", "tag", "action_first_row", "action_last_row")


class Fir16(RecordingsDataset):
    """`falling2` (144 clips) against `standup` (288), 16 and 32 a subject, each clip a recording.

    `rows="action"`, the default, takes the annotated frames alone (13 to 47, each clip one sample); `rows="window"` the
    8 frames before and after as well (29 to 63, one sample each too: at most 3 left over). The default keeps the task
    about the motion: after the action a person who fell lies and one who stood up stands, which single frames show.
    Frames are neither resampled nor enlarged here.
    """

    classes = ("falling2", "standup")

    def __init__(
        self,
        root: Path,
        *,
        rows: Literal["action", "window"] = "action",
        clip: int = CLIP,
        shortest: int = SHORTEST,
    ) -> None:
        if rows not in ("action", "window"):
            raise UsageError(f"rows is {rows!r}; give action or window")
        super().__init__(root, clip=clip, shortest=shortest, rows=rows)
        self.rows = rows

    @property
    def folder(self) -> Path:
        """One folder for each choice of `rows`."""
        return self.root / self.rows

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no far-infrared clips are imported below {self.root}; cut github.com/muralab/"
            "Low-Resolution-FIR-Action-Dataset at its annotations into a folder with clips/ and an index.csv "
            f"({', '.join(_COLUMNS)}), and run 'vidsuite data import fir16 FOLDER'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Convert the clips of both classes that `source`/index.csv lists.

        Raises:
            VidsuiteError: the index or a clip is missing, or does not hold what it should.
        """
        if self.is_ready():
            return f"already here, {len(self.samples())} samples in {self.folder}; delete that folder to import again"
        chosen = [row for row in _read_index(Path(source) / "index.csv") if row["tag"] in self.classes]
        if {row["tag"] for row in chosen} != set(self.classes):
            raise VidsuiteError(f"{source}/index.csv lists no clips of {' or '.join(self.classes)}; give the whole set")
        with atomic_folder(self.folder) as folder:
            recordings = []
            for done, row in enumerate(chosen, 1):
                recordings.append(self._convert(Path(source) / "clips", row, folder))
                progress("convert clips", done, len(chosen))
            self.write_table(folder, self.classes, recordings)
        counts = [sum(recording.label == name for recording in recordings) for name in self.classes]
        each = ", ".join(f"{name} {count}" for name, count in zip(self.classes, counts, strict=True))
        subjects = len({recording.subject for recording in recordings})
        return f"{len(recordings)} recordings of {subjects} subjects ({each}), {len(self.samples())} samples"

    def _convert(self, clips: Path, row: Mapping[str, str], folder: Path) -> Recording:
        from vidsuite_core.media import content_hash, write_video

        path = inside(clips, row["file"])
        codes = read_clip(path)
        if self.rows == "action":
            first, last = int(row["action_first_row"]), int(row["action_last_row"])
            if not 0 <= first <= last < len(codes):
                raise VidsuiteError(f"{path}: has {len(codes)} frames, index.csv names rows {first} to {last}")
            codes = codes[first : last + 1]
        name = f"{row['subject']}_{path.name.removesuffix('.csv.gz')}"
        video = folder / f"{name}.mkv"
        write_video(video, iter(codes), FPS, codec="ffv1")
        return Recording(
            name=name,
            subject=row["subject"],
            label=row["tag"],
            video=video.name,
            stop=len(codes),
            fps=FPS,
            sha256=content_hash(video),
            content=digest({"shape": list(codes.shape), "steps": STEPS, "codes": codes.astype("<u2").tobytes().hex()}),
            value_range=(LOW, HIGH),
        )


def read_clip(path: Path) -> NDArray[np.uint16]:
    """A clip's frames (T, 16, 16) in 1/640 of a degree Celsius.

    The file is a gzipped table with a header: time, sensor temperature, and the pixels P000 to P255 row by row.

    Raises:
        VidsuiteError: it is missing, damaged, no such table, or holds what 16 bit cannot.
    """
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise VidsuiteError(f"{path}: unpacks to more than {MAX_BYTES} bytes; that is no clip of this data set")
        table = np.loadtxt(io.BytesIO(data), delimiter=",", skiprows=1, ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VidsuiteError(f"{path}: cannot be read ({error}); copy the clip again") from error
    codes = table[:, 2:] * STEPS
    if codes.shape[1] != SIDE * SIDE or not len(codes):
        raise VidsuiteError(f"{path}: has {codes.shape[1]} pixels a row, not {SIDE * SIDE}; copy the clip again")
    whole = np.rint(codes)
    if not np.isfinite(codes).all() or np.abs(codes - whole).max() > 1e-3 or whole.min() < 0 or whole.max() > 65535:
        raise VidsuiteError(f"{path}: holds values that are not 0 to 102.4 degrees in steps of 1/{STEPS}")
    return whole.astype(np.uint16).reshape(-1, SIDE, SIDE)


def _read_index(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VidsuiteError(f"{path}: is larger than {MAX_BYTES} bytes; give the index of the clips")
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VidsuiteError(f"{path}: cannot be read ({error}); give the folder with index.csv and clips/") from error
    for number, row in enumerate(rows, start=2):
        absent = [name for name in _COLUMNS if not row.get(name)]
        if absent or not (row["action_first_row"] + row["action_last_row"]).isdecimal():
            raise VidsuiteError(f"{path}: row {number} lacks {', '.join(absent) or 'whole row numbers'}; correct it")
    return rows

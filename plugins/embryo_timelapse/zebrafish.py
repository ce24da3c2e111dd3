"""Ten zebrafish embryos that develop or die: an excerpt of EmbryoNet's demo (Capek et al., Nature Methods 2023).

`import_from` takes a folder with `labels.csv` (columns file, embryo, t, label, more) and the images that it names: 90
crops an embryo, one every 16 minutes of 24 hours; t counts frames that were taken every 2 minutes. Labels are UNKNOWN
until it can be seen what becomes of the embryo, then WNT (it develops, as the treatment has it) or BOOM (dead).

**What it can and cannot show**: real images over time with labels by frame, and when a death is seen. Two of ten die,
all are of one experiment: no accuracy of outcomes measured on it says anything of other embryos.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import attempt_all
from vidsuite_core.support.paths import inside
from vidsuite_plugins.embryo_timelapse.embryos import Clips
from vidsuite_plugins.embryo_timelapse.listed import ListedEmbryos, Plane, Row, whole_image
from vidsuite_plugins.embryo_timelapse.phases.samples import Phases

MINUTES = 2.0
"""Between values of t."""
LABELS = {"UNKNOWN": "unknown", "WNT": "develops", "BOOM": "dead"}
_COLUMNS = ("file", "embryo", "t", "label")


class _Zebrafish(ListedEmbryos):
    """The ten embryos; see the module."""

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no zebrafish embryos are imported below {self.root}; crop Demo/experiment_1 of "
            "github.com/mueller-lab/EmbryoNet (GPL-3.0) at its boxes into a folder with a labels.csv "
            f"({', '.join(_COLUMNS)}), and run 'vidsuite data import embryo_timelapse/zebrafish FOLDER'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check the images that `source`/labels.csv names, and take them; the files stay where they are.

        Raises:
            VidsuiteError: the table or an image cannot be read, or is not what it should be.
        """
        source = Path(source).absolute()
        by_embryo = _read(source / "labels.csv")
        rows = []
        for done, (embryo, frames) in enumerate(sorted(by_embryo.items()), 1):
            rows.append(self._row(source, embryo, sorted(frames)))
            progress("check embryos", done, len(by_embryo))
        self.write_table(rows)
        dead = sum(row.outcome == "dies" for row in rows)
        return f"{len(rows)} embryos, {dead} of which die: too few for a claim about outcomes"

    def _row(self, source: Path, embryo: int, frames: list[tuple[int, str, str]]) -> Row:
        from vidsuite_core.media import content_hash

        steps = [t for t, _, _ in frames]
        if len(set(steps)) != len(steps):
            raise VidsuiteError(f"{source / 'labels.csv'}: embryo {embryo} has two images of one t; remove one")
        plane = Plane(path=str(source), names=tuple(name for _, name, _ in frames))
        for seen in attempt_all(whole_image, plane.files(), "look at images"):
            if isinstance(seen, VidsuiteError):
                raise seen
        hours = {t: t * MINUTES / 60 for t in steps}
        phases = []
        for label, run in groupby(frames, key=lambda frame: frame[2]):
            inside_run = [hours[t] for t, _, _ in run]
            phases.append((LABELS[label], inside_run[0], inside_run[-1]))
        return Row(
            name=f"e{embryo:02d}",
            patient=f"e{embryo:02d}",
            outcome="dies" if any(name == "dead" for name, _, _ in phases) else "develops",
            planes=(plane,),
            hours=tuple(hours[t] for t in steps),
            content=(content_hash(plane.source()),),
            phases=tuple(phases),
        )


class Zebrafish(_Zebrafish, Clips):
    """Whole recordings, and whether the embryo dies."""

    classes: ClassVar[tuple[str, ...]] = ("develops", "dies")


class ZebrafishPhases(_Zebrafish, Phases):
    """What can be seen of it by frame: nothing yet, that it develops, or that it is dead."""

    classes: ClassVar[tuple[str, ...]] = tuple(LABELS.values())


def _read(path: Path) -> dict[int, list[tuple[int, str, str]]]:
    """For each embryo its frames: t, file and label."""
    found: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if lacking := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
                raise VidsuiteError(f"{path}: row 1 lacks the column {', '.join(lacking)}")
            for number, row in enumerate(table, 2):
                if row["label"] not in LABELS:
                    raise VidsuiteError(f"{path}: row {number}: label {row['label']!r} is none of {', '.join(LABELS)}")
                inside(path.parent, row["file"])
                found[int(row["embryo"])].append((int(row["t"]), row["file"], row["label"]))
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise VidsuiteError(
            f"{path}: cannot be read ({error}); give the folder with labels.csv and its images"
        ) from error
    return dict(found)

"""Human embryos with phases by frame: Gomez et al., Data in Brief 42 (2022) 108258, zenodo.org/records/7912264.

704 recordings of an EmbryoScope; CC BY-NC-SA 4.0. `import_from` takes the folder that the archives were unpacked in,
whole or in part:

    embryo_dataset/AA83-7/..._RUN1.jpeg             frames of the central focal plane, in order of RUN; or AA83-7/ alone
    embryo_dataset_F-15/AA83-7/..., embryo_dataset_F15/AA83-7/...    of other focal planes
    embryo_dataset_annotations/AA83-7_phases.csv    rows phase,first,last (RUN numbers); or beside the folders
    embryo_dataset_time_elapsed/AA83-7_timeElapsed.csv               rows frame_index,time (hours)

The layout of the other planes and of times is written down from the set's description; only an excerpt of three
recordings of the central plane without times could be tried.

Two recordings of a couple have a common beginning of their names (AA83-7, AA83-2), which stands in for the patient.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.preparing.files import attempt_all
from vidsuite_core.preparing.manifest import Findings
from vidsuite_core.support.litter import entries
from vidsuite_plugins.embryo_timelapse.embryos import Embryo
from vidsuite_plugins.embryo_timelapse.listed import ListedEmbryos, Plane, Row, whole_image
from vidsuite_plugins.embryo_timelapse.phases.samples import PHASES, Phases

INTERVAL = 15.0
"""Minutes between frames, taken where no times are given: pronuclei then fade at 22 to 30 h, as they do."""
DOUBTFUL = {"AAL839-6": "its labels' clock is not its images': the frame is about 1.21 RUN + 9, the well empty at tB"}
"""Recordings whose labels are known to be off; found by eye, and in the audit CLEAVE (nantes_video_defects_v4)."""
_LAYOUT = "give the folder that embryo_dataset and embryo_dataset_annotations were unpacked in"
_RUN = re.compile(r"RUN(\d+)\.", re.IGNORECASE)
_PLANE_FOLDER = re.compile(r"embryo_dataset_F(-?\d+)\Z")


@dataclass(frozen=True)
class Found:
    """The files of one recording: folders by focal plane in micrometres, its phases, and its times or None."""

    name: str
    planes: dict[float, Path]
    phases: Path
    times: Path | None


class Nantes(ListedEmbryos, Phases):
    """Recordings with their phases by frame; see the module.

    Options:
        doubtful: "leave out" recordings whose labels are known to be off (`DOUBTFUL`), or "keep" them.
    """

    def __init__(self, root: Path, *, doubtful: str = "leave out", **options: Any) -> None:
        if doubtful not in ("leave out", "keep"):
            raise UsageError(f"option doubtful={doubtful!r} is neither 'leave out' nor 'keep'")
        super().__init__(root, doubtful=doubtful, **options)
        self.doubtful = doubtful

    def how_samples_are_made(self) -> dict[str, Any]:
        """See `Embryos`."""
        return {**super().how_samples_are_made(), "doubtful": self.doubtful}

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no recordings are imported below {self.root}; unpack zenodo.org/records/7912264 (frames and annotations; "
            "CC BY-NC-SA 4.0) and run 'vidsuite data import embryo_timelapse/nantes FOLDER'"
        )

    def embryos(self) -> list[Embryo]:
        """See `Embryos`."""
        return [one for one in super().embryos() if self.doubtful == "keep" or one.footage.name not in DOUBTFUL]

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check all recordings below `source`, and take them if nothing is wrong; the files stay where they are.

        Raises:
            VidsuiteError: one line for every fault of every recording; nothing is changed.
        """
        source = Path(source).absolute()
        findings = Findings()
        recordings = list(_recordings(source))
        if not recordings:
            raise VidsuiteError(f"{source}: holds no NAME_phases.csv with a folder NAME of frames; {_LAYOUT}")
        rows = []
        for number, one in enumerate(recordings, 1):
            row = _row(number, one, findings)
            if row is not None:
                rows.append(row)
            progress("check recordings", number, len(recordings))
        if findings.faults:
            lines = [f"{column}: {text}" for _, column, text in findings.faults]
            raise VidsuiteError("\n".join([f"{source}: {len(lines)} faults, nothing was imported", *lines]))
        self.write_table(rows)
        guessed = sum(one.times is None for one in recordings)
        left = [f"{row.name} is left out ({DOUBTFUL[row.name]})" for row in rows if row.name in DOUBTFUL]
        notes = [f"{guessed} without times, taken as {INTERVAL:g} minutes a frame"] if guessed else []
        couples = len({row.patient for row in rows})
        return "; ".join([f"{len(rows)} recordings of {couples} couples", *notes, *left, *findings.notes])


def _recordings(source: Path) -> Iterator[Found]:
    """All recordings that have phases and a folder of frames in the central plane, in order of their names."""
    tables = {file.name.removesuffix("_phases.csv"): file for file in sorted(source.glob("*_phases.csv"))}
    tables |= {
        file.name.removesuffix("_phases.csv"): file
        for file in sorted((source / "embryo_dataset_annotations").glob("*_phases.csv"))
    }
    outer = {float(m[1]): folder for folder in entries(source) if (m := _PLANE_FOLDER.match(folder.name))}
    for name, table in sorted(tables.items()):
        central = [folder / name for folder in (source / "embryo_dataset", source) if (folder / name).is_dir()]
        if not central:
            continue
        times = source / "embryo_dataset_time_elapsed" / f"{name}_timeElapsed.csv"
        others = {depth: folder / name for depth, folder in outer.items() if (folder / name).is_dir()}
        yield Found(name, {0.0: central[0], **others}, table, times if times.is_file() else None)


def _row(number: int, found: Found, findings: Findings) -> Row | None:
    """The recording's row, once everything of it has been looked at; faults go to `findings`."""
    before = len(findings.faults)
    frames = {depth: _runs(number, found.name, folder, findings) for depth, folder in found.planes.items()}
    runs = list(frames[0.0])
    for depth, names in frames.items():
        if list(names) != runs:
            missing = sorted(set(runs) ^ set(names))[:3]
            findings.fault(
                number, found.name, f"plane {depth:g} and the central one differ, at RUN {missing}; complete it"
            )
    marked = _marked(number, found, findings)
    hours = _hours(number, found, runs, findings)
    if len(findings.faults) > before or hours is None:
        return None
    phases = []
    for name, first, last in marked:
        inside = [hours[run] for run in runs if first <= run <= last]
        if inside:
            phases.append((name, inside[0], inside[-1]))
    if not phases:
        findings.fault(
            number, found.name, "no frame lies within a phase; look whether the table is another recording's"
        )
        return None
    return _whole(number, found, frames, tuple(hours[run] for run in runs), tuple(phases), findings)


def _whole(
    number: int,
    found: Found,
    frames: dict[float, dict[int, str]],
    hours: tuple[float, ...],
    phases: Any,
    findings: Findings,
) -> Row | None:
    from vidsuite_core.media import content_hash

    planes = tuple(
        Plane(path=str(found.planes[depth]), names=tuple(names.values())) for depth, names in sorted(frames.items())
    )
    files = [file for plane in planes for file in plane.files()]
    seen = attempt_all(whole_image, files, "look at images")
    wrong = [str(one) for one in seen if isinstance(one, VidsuiteError)]
    sizes = {one for one in seen if not isinstance(one, VidsuiteError)}
    for text in wrong:
        findings.fault(number, found.name, text)
    if len(sizes) > 1:
        findings.fault(number, found.name, f"frames have mixed sizes, {sorted(sizes)}; make them alike")
    if wrong or len(sizes) > 1:
        return None
    return Row(
        name=found.name,
        patient=found.name.partition("-")[0],
        outcome="",
        planes=planes,
        hours=hours,
        content=tuple(content_hash(plane.source()) for plane in planes),
        phases=phases,
    )


def _runs(number: int, name: str, folder: Path, findings: Findings) -> dict[int, str]:
    """The frames' files by RUN number, in order."""
    from vidsuite_core.media.images import image_files

    found: dict[int, str] = {}
    for file in image_files(folder):
        match = _RUN.search(file.name)
        if match is None or int(match[1]) in found:
            what = "has no RUN number in its name" if match is None else "has the RUN number of another frame"
            findings.fault(number, name, f"{file} {what}; remove it")
        else:
            found[int(match[1])] = file.name
    if not found:
        findings.fault(number, name, f"{folder} holds no frame; unpack it again")
    return dict(sorted(found.items()))


def _marked(number: int, found: Found, findings: Findings) -> list[tuple[str, int, int]]:
    """The phases of a table with their first and last RUN."""
    rows: list[tuple[str, int, int]] = []
    for line, cells in enumerate(_cells(found.phases), 1):
        where = f"{found.phases} row {line}"
        try:
            phase, first, last = cells[0].strip(), int(cells[1]), int(cells[2])
        except (IndexError, ValueError):
            findings.fault(number, found.name, f"{where}: {','.join(cells)!r} is not phase,first,last; correct it")
            continue
        if phase not in PHASES:
            findings.fault(number, found.name, f"{where}: {phase!r} is no phase; there are {', '.join(PHASES)}")
        elif first > last or (rows and first <= rows[-1][2]):
            findings.fault(number, found.name, f"{where}: {phase} from {first} to {last} goes back; correct it")
        else:
            rows.append((phase, first, last))
    return rows


def _hours(number: int, found: Found, runs: list[int], findings: Findings) -> dict[int, float] | None:
    """The hour of each frame: by the recording's table of times, or `INTERVAL` apart."""
    if found.times is None:
        return {run: run * INTERVAL / 60 for run in runs}
    hours: dict[int, float] = {}
    for cells in _cells(found.times):
        try:
            hours[int(cells[0])] = float(cells[1])
        except (IndexError, ValueError):
            continue  # the header
    known = [hours[run] for run in runs if run in hours]
    if len(known) < len(runs):
        findings.fault(number, found.name, f"{found.times} lacks {len(runs) - len(known)} of its frames; complete it")
        return None
    if any(after <= before for before, after in pairwise(known)):
        findings.fault(number, found.name, f"{found.times}: times go back; correct them")
        return None
    return hours


def _cells(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VidsuiteError(f"{path}: cannot be read ({error}); unpack it again") from error
    return [cells for cells in csv.reader(text.splitlines()) if any(cells)]

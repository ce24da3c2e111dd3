"""A user's own embryos: a manifest (CSV) of images, videos or folders, checked with every fault named at once.

A row is an embryo with its folder or video, or one image of it. Paths are relative to the manifest. Columns, in any
order:

| column | |
|---|---|
| embryo, patient | names; no split divides a patient |
| path | an image, a video, a folder of images, or one of folders F-15, F0, F15, ... (a focal plane each) |
| outcome | blastocyst or arrested; empty where it was not observed |
| outcome_time | hours at which it was; kept as the event tB or tArrest |
| time | hours since insemination: of an image, or of the first frame of a folder or video |
| interval | minutes between frames of a folder or video, where files' names do not tell the time (`..._12.5h.jpg`) |
| plane | focal plane of an image or video, in micrometres from the middle; empty is 0 |
| tPNf, t2, ... tB | hours of events, for morphokinetics |
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidsuite_core.datasets import Progress, silent
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import attempt_all
from vidsuite_core.preparing.manifest import Findings, Table, read_number
from vidsuite_core.support.litter import entries, is_litter
from vidsuite_plugins.embryo_timelapse.embryos import CLASSES, Clips, Moments
from vidsuite_plugins.embryo_timelapse.listed import ListedEmbryos, Plane, Row, whole_image
from vidsuite_plugins.embryo_timelapse.phases.samples import Phases

EVENTS = ("tPNa", "tPNf", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "tM", "tSB", "tB")
COLUMNS = Table(
    required=("embryo", "patient", "path"),
    optional=("outcome", "outcome_time", "time", "interval", "plane", *(name.lower() for name in EVENTS)),
)
MANIFEST = "embryos.csv"
LATEST = 400.0
"""Hours after insemination up to which times are believed."""
_PLANE = re.compile(r"f([+-]?\d+(?:\.\d+)?)\Z", re.IGNORECASE)
_HOUR = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)h(?![a-z0-9])", re.IGNORECASE)


@dataclass
class Gathered:
    """What the manifest's rows say of one embryo."""

    row: int
    patient: str
    outcome: str
    events: dict[str, float]
    images: dict[float, list[tuple[float, Path, int]]] = field(default_factory=lambda: defaultdict(list))
    planes: dict[float, tuple[Plane, tuple[float, ...]]] = field(default_factory=dict)


class _Folder(ListedEmbryos):
    """Embryos of a manifest; see the module."""

    def how_to_get(self) -> str:
        """How to bring a manifest in."""
        return (
            f"no embryos are imported below {self.root}; write a CSV manifest with the columns "
            f"{', '.join(COLUMNS.required)} (and outcome, time, interval, plane, ... where needed) and run "
            "'vidsuite data import embryo_timelapse/folder MANIFEST'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check the manifest `source` (or `embryos.csv` in that folder) as a whole, and take it if nothing is wrong.

        Raises:
            VidsuiteError: one line for every fault of every row; nothing is changed.
        """
        source = Path(source)
        manifest = source / MANIFEST if source.is_dir() else source
        findings = Findings()
        embryos = _gather(manifest, findings)
        if not embryos:
            findings.fault(1, "row", "no embryo follows; give a row for each")
        rows = []
        for done, (name, found) in enumerate(embryos.items(), 1):
            row = _checked(name, found, findings)
            if row is not None:
                rows.append(row)
            progress("check embryos", done, len(embryos))
        findings.raise_if_any(manifest)
        self.write_table(rows)
        counts = {name: sum(row.outcome == name for row in rows) for name in (*CLASSES, "")}
        patients = len({row.patient for row in rows})
        line = f"{len(rows)} embryos of {patients} patients ({counts['blastocyst']} blastocysts, "
        line += f"{counts['arrested']} arrested, {counts['']} of unknown outcome)"
        return "; ".join([line, *(f"note: {note}" for note in findings.told())])


class Folder(_Folder, Clips):
    """A user's embryos as clips."""


class FolderMoments(_Folder, Moments):
    """A user's embryos in moments."""


class FolderPhases(_Folder, Phases):
    """A user's embryos with the phases that the manifest's hours of events tell."""


def _gather(manifest: Path, findings: Findings) -> dict[str, Gathered]:
    """The embryos of a manifest's rows, whose frames are found but not yet looked at."""
    embryos: dict[str, Gathered] = {}
    for number, cells in COLUMNS.read(manifest, findings):
        outcome = cells["outcome"].lower()
        if outcome not in ("", *CLASSES):
            findings.fault(number, "outcome", f"{cells['outcome']!r} is none of {', '.join(CLASSES)}, or empty")
            outcome = ""
        events = _events(number, cells, outcome, findings)
        known = embryos.setdefault(cells["embryo"], Gathered(number, cells["patient"], outcome, events))
        for column, before, now in (("patient", known.patient, cells["patient"]), ("outcome", known.outcome, outcome)):
            if before != now:
                findings.fault(number, column, f"{now!r}, but row {known.row} of this embryo says {before!r}")
        if events != known.events:
            findings.fault(number, "row", f"hours of events differ from those of row {known.row} of this embryo")
        if cells["path"]:
            _add_frames(number, (manifest.parent / cells["path"]).absolute(), cells, known, findings)
    return embryos


def _events(number: int, cells: Mapping[str, str], outcome: str, findings: Findings) -> dict[str, float]:
    events = {}
    for name in EVENTS:
        hour = _hours(number, name.lower(), cells[name.lower()], findings)
        if hour is not None:
            events[name] = hour
    hour = _hours(number, "outcome_time", cells["outcome_time"], findings)
    if hour is not None and outcome:
        events.setdefault("tB" if outcome == "blastocyst" else "tArrest", hour)
    ordered = [(name, events[name]) for name in EVENTS if name in events]
    for (before, first), (after, second) in pairwise(ordered):
        if second < first:
            findings.fault(number, after.lower(), f"{second:g} h is before {before}, {first:g} h; correct one")
    return events


def _hours(number: int, column: str, cell: str, findings: Findings) -> float | None:
    hour = read_number(number, column, cell, findings)
    if hour is not None and not 0 <= hour <= LATEST:
        findings.fault(number, column, f"{hour:g} h is not between 0 and {LATEST:g}; give hours since insemination")
        return None
    return hour


def _add_frames(number: int, path: Path, cells: Mapping[str, str], known: Gathered, findings: Findings) -> None:
    """Note the frames that a row names: an image, or the focal planes of a folder, or a video."""
    from vidsuite_core.media.images import SUFFIXES, image_files

    start = _hours(number, "time", cells["time"], findings)
    depth = read_number(number, "plane", cells["plane"], findings) or 0.0
    if not path.exists():
        findings.fault(number, "path", f"{path} does not exist; correct it (it is relative to the manifest)")
    elif is_litter(path.name):
        findings.fault(number, "path", f"{path} is what an operating system left there, no frame; leave the row out")
    elif path.is_dir():
        planes = {float(found[1]): one for one in entries(path) if (found := _PLANE.match(one.name)) and one.is_dir()}
        for plane, folder in sorted((planes or {depth: path}).items()):
            names = [file.name for file in image_files(folder)]
            if not names:
                findings.fault(
                    number, "path", f"{folder} holds no {', '.join(SUFFIXES)} files; give a folder of frames"
                )
                continue
            hours = _hours_of(number, names, start, cells, findings)
            _add_plane(number, plane, Plane(path=str(folder), names=tuple(names)), hours, known, findings)
    elif path.suffix.lower() in SUFFIXES:
        if start is None:
            findings.fault(number, "time", "is empty; give the hours since insemination at which the image was taken")
            return
        before = known.images[depth][-1] if known.images[depth] else None
        if before and start <= before[0]:
            text = f"{start:g} h is not after {before[0]:g} h of row {before[2]}: time stamps go back; sort or correct"
            findings.fault(number, "time", text)
        known.images[depth].append((start, path, number))
    else:
        hours = _video_hours(number, path, start, cells, findings)
        _add_plane(number, depth, Plane(path=str(path)), hours, known, findings)


def _add_plane(
    number: int,
    depth: float,
    plane: Plane,
    hours: tuple[float, ...] | None,
    known: Gathered,
    findings: Findings,
) -> None:
    if depth in known.planes:
        findings.fault(number, "plane", f"{depth:g} is there twice for this embryo; give each focal plane once")
    elif hours is not None:
        known.planes[depth] = (plane, hours)


def _hours_of(
    number: int, names: list[str], start: float | None, cells: Mapping[str, str], findings: Findings
) -> tuple[float, ...] | None:
    """Hours of a folder's frames: from their names where all of these tell it, else by the interval."""
    told = [_HOUR.search(name) for name in names]
    if all(told):
        hours = [float(found[1]) for found in told if found]
        back = next(((names[k], a, b) for k, (a, b) in enumerate(pairwise(hours), 1) if b <= a), None)
        if back:
            name, before, after = back
            text = f"{name}: time stamps go back, {after:g} h after {before:g} h; name files so that they sort by time"
            findings.fault(number, "path", text)
            return None
        return tuple(hours)
    return _steady(number, len(names), start, cells, findings)


def _steady(
    number: int, count: int, start: float | None, cells: Mapping[str, str], findings: Findings
) -> tuple[float, ...] | None:
    interval = read_number(number, "interval", cells["interval"], findings)
    if interval is None or interval <= 0:
        text = "give the minutes between frames, as the files' names do not tell hours (like name_12.5h.jpg)"
        findings.fault(number, "interval", text)
        return None
    return tuple(round((start or 0.0) + index * interval / 60, 6) for index in range(count))


def _video_hours(
    number: int, path: Path, start: float | None, cells: Mapping[str, str], findings: Findings
) -> tuple[float, ...] | None:
    from vidsuite_core.media import VideoError, count_frames

    try:
        count = count_frames(path)
    except (VideoError, OSError) as error:
        findings.fault(number, "path", str(error))
        return None
    return _steady(number, count, start, cells, findings)


def _checked(name: str, found: Gathered, findings: Findings) -> Row | None:
    """The embryo's row, once its planes agree and every file of it has been looked at; faults go to `findings`."""
    before = len(findings.faults)
    planes = dict(found.planes)
    for depth, images in found.images.items():
        if depth in planes:
            findings.fault(
                images[0][2], "plane", f"plane {depth:g} of {name} is given by folder and by image; give one"
            )
        plane = Plane(path=str(Path("/")), names=tuple(str(path.relative_to(path.anchor)) for _, path, _ in images))
        planes[depth] = (plane, tuple(hour for hour, _, _ in images))
    if not planes:
        return None
    hours = max((own for _, own in planes.values()), key=len)
    for depth, (_, own) in sorted(planes.items()):
        if missing := sorted(set(hours) - set(own)):
            shown = ", ".join(f"{hour:g}" for hour in missing[:3]) + (", ..." if len(missing) > 3 else "")
            text = f"plane {depth:g} of {name} lacks {len(missing)} frames that others have (at {shown} h)"
            findings.fault(found.row, "plane", f"{text}; add them, or leave the moment out of all planes")
        elif len(own) > len(hours) or set(own) - set(hours):
            findings.fault(found.row, "plane", f"plane {depth:g} of {name} has frames at hours that others lack")
    _check_sizes(name, found.row, [plane for plane, _ in planes.values()], findings)
    if len(findings.faults) > before:
        return None
    return _row(name, found, planes, hours)


def _check_sizes(name: str, number: int, planes: list[Plane], findings: Findings) -> None:
    files = [file for plane in planes if plane.names for file in plane.files()]
    seen = attempt_all(whole_image, files, "look at images")
    sizes: dict[Any, list[Path]] = defaultdict(list)
    for file, shape in zip(files, seen, strict=True):
        if isinstance(shape, VidsuiteError):
            findings.fault(number, "path", str(shape))
        else:
            sizes[shape[:2]].append(file)
    if len(sizes) > 1:
        ordered = sorted(sizes.items(), key=lambda item: -len(item[1]))
        usual, other = ordered[0][0], ordered[1]
        text = f"{name}: frames have mixed sizes, as {other[1][0].name} of {other[0][1]} x {other[0][0]} pixels"
        findings.fault(number, "path", f"{text} where most have {usual[1]} x {usual[0]}; make them alike")


def _row(name: str, found: Gathered, planes: Mapping[float, tuple[Plane, tuple[float, ...]]], hours: Any) -> Row:
    from vidsuite_core.media import content_hash

    ordered = [plane for _, (plane, _) in sorted(planes.items())]
    return Row(
        name=name,
        patient=found.patient,
        outcome=found.outcome,
        planes=tuple(ordered),
        hours=tuple(hours),
        content=tuple(content_hash(plane.source()) for plane in ordered),
        events=found.events,
    )

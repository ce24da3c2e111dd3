"""The user's own recordings, listed in a CSV manifest; the videos stay where they are.

The manifest has a row a recording and these columns, in any order:

| column | |
|---|---|
| recording | a name of its own |
| path | a video file, or a folder with the frames as images; relative to the manifest, or absolute |
| subject | who is seen; no split divides a subject |
| class | at least two different ones; more than two are welcome |
| start, end | optional: seconds in the video, as players show them, at which the recording begins and ends |
| fps | optional: frames per second of a folder of frames (30 if empty), of a video that does not state it, or that does
        so wrongly: what is given here counts |
| bed_box, person_box | optional: regions as `x1 y1 x2 y2`, in pixels of the recording's first frame |
| low, high | optional: the pixel values that become black and white |
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.preparing.manifest import Findings
from vidsuite_core.samples import ImageFiles
from vidsuite_core.support.litter import entries
from vidsuite_plugins.seizure_i3d.data import RATE, Recording, RecordingsDataset, slice_samples
from vidsuite_plugins.seizure_i3d.manifest_csv import BOXES, TABLE, Row, read_rows

if TYPE_CHECKING:
    from vidsuite_core.media import Examined, Times, Video

FOLDER_FPS = RATE
"""Frame rate of a folder of frames whose `fps` is empty; the paper's (section 3.1)."""

RATE_TOLERANCE = 0.01
"""Rates that differ by less are taken for the same."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A video as the manifest's row needs it: where it is, its frames [start, stop) and what they look like."""

    video: Path
    images: tuple[str, ...]
    start: int
    stop: int
    total: int
    fps: float
    times: tuple[float, ...] | None
    until: float
    own_rate: bool
    examined: Examined
    width: int
    height: int

    def source(self) -> Path | ImageFiles:
        """What `open_video` takes."""
        return ImageFiles(self.video, self.images) if self.images else self.video


class Recordings(RecordingsDataset):
    """The recordings of a manifest; `import_from` checks and takes it.

    Every recording's frames are decoded from start to end at the import, and the files' hashes recorded; `verify`
    compares them again. Classes are those of the manifest, in alphabetical order.
    """

    def how_to_get(self) -> str:
        """How to bring in a manifest."""
        return (
            f"no recordings are imported below {self.root}; write a CSV manifest with the columns "
            f"{', '.join(TABLE.required)} (and {', '.join(TABLE.optional)} where needed) and run "
            "'vidsuite data import seizure_i3d MANIFEST'"
        )

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Check the manifest `source` as a whole, and take it if nothing is wrong.

        Raises:
            VidsuiteError: one line for every fault of every row; nothing is changed.
        """
        source, findings = Path(source), Findings()
        rows = read_rows(source, findings)
        if not rows:
            findings.fault(1, "row", "no recording follows; give a row for each")
        _check_names(rows, findings)
        recordings: dict[int, Recording] = {}
        for done, row in enumerate(rows, 1):
            before = len(findings.faults)
            footage = self._footage(row, source.parent, findings) if row.path else None
            if footage and len(findings.faults) == before:
                recordings[row.number] = _recording(row, footage)
            progress("check recordings", done, len(rows))
        _check_overlaps(recordings, findings)
        findings.raise_if_any(source)
        classes = sorted({row.label for row in rows})
        self.write_table(self.folder, classes, list(recordings.values()))
        return self._summary(classes, findings)

    def _footage(self, row: Row, folder: Path, findings: Findings) -> Footage | None:
        """Find, open and decode what the row names."""
        from vidsuite_core.media import VideoError, examine, open_video
        from vidsuite_core.media.images import SUFFIXES, image_files

        video = (folder / row.path).absolute()
        try:
            images = tuple(file.name for file in image_files(video)) if video.is_dir() else ()
            if not images and not video.is_file():
                known = f"holds no {', '.join(SUFFIXES)} files{_others(video)}" if video.is_dir() else "does not exist"
                findings.fault(row.number, "path", f"{video} {known}; correct it (it is relative to the manifest)")
                return None
            with open_video(ImageFiles(video, images) if images else video) as opened:
                times = self._times(row, opened, findings, is_folder=bool(images))
                if times is None:
                    return None
                info, total = opened.info, len(times)
                start, stop = self._range(row, times, findings)
                examined = examine(opened, start, stop)
        except (VideoError, OSError) as error:
            findings.fault(row.number, "path", str(error))
            return None
        footage = Footage(
            video=video,
            images=images,
            start=start,
            stop=stop,
            total=total,
            fps=row.fps or _rate(info.fps, times.fps),
            until=0.0 if times.constant else _until(times, stop),
            own_rate=times.source == "given" and row.fps is not None,
            examined=examined,
            times=None if times.constant else tuple(times.seconds[start:stop].round(9).tolist()),
            width=info.width,
            height=info.height,
        )
        _check_boxes(row, footage, findings)
        if not examined.seeks:
            findings.note(row.number, "seeks find other frames than decoding does; it is read from its start, slowly")
        return footage

    def _times(self, row: Row, opened: Video, findings: Findings, *, is_folder: bool) -> Times | None:
        """When the frames are shown: by the row's rate where it gives one, else by the video."""
        stated = opened.info.fps
        if stated <= 0 and not row.fps and not is_folder:
            findings.fault(row.number, "fps", "the video does not state its frame rate; give it here")
            return None
        times = opened.times(row.fps or (FOLDER_FPS if is_folder else None))
        if row.fps and stated > 0 and abs(row.fps - stated) > RATE_TOLERANCE * stated:
            findings.note(row.number, f"{row.fps:g} frames/s are given and count, the video states {stated:g}")
        for note in (*opened.info.notes, *times.notes):
            findings.note(row.number, note)
        if not times.constant:
            steps = np.diff(times.seconds)
            text = (
                f"varies its rate, {1 / steps.max():.3g} to {1 / steps.min():.3g} frames/s; clips are shown at {RATE:g}"
            )
            findings.note(row.number, text)
        return times

    def _range(self, row: Row, times: Times, findings: Findings) -> tuple[int, int]:
        from vidsuite_core.media import last_second

        total, latest = len(times), last_second(times.seconds, times.duration)
        start, stop = times.between(row.start, row.end)
        counted = _counted(times, start, stop)
        length = f"{times.duration:.2f} s ({total} frames at {times.fps:.4g} frames/s)"
        if row.end is not None and row.end > latest:
            findings.fault(row.number, "end", f"{row.end:g} s is after the video's end, {length}; give at most that")
        elif start >= total:
            findings.fault(row.number, "start", f"{row.start or 0:g} s is after the video's end, {length}")
        elif not slice_samples(counted, self.clip, self.shortest) and not _ends_early(row):
            column = "path" if row.start is None and row.end is None else "end"
            text = f"leaves {counted} frames, and a sample needs {self.shortest}; give a longer recording"
            findings.fault(row.number, column, text)
        return start, stop

    def _summary(self, classes: Sequence[str], findings: Findings) -> str:
        counts = Counter(recording.label for recording in self.recordings())
        subjects = {recording.subject for recording in self.recordings()}
        each = ", ".join(f"{name} {counts[name]}" for name in classes)
        line = f"{counts.total()} recordings of {len(subjects)} subjects ({each}), {len(self.samples())} samples"
        return "; ".join([line, *(f"note: {note}" for note in findings.told())])


def _others(folder: Path) -> str:
    """What a folder holds in place of images, by the commonest suffix."""
    suffixes = Counter(path.suffix.lower() for path in entries(folder) if path.is_file())
    return "".join(f", but {count} {suffix or 'without a suffix'}" for suffix, count in suffixes.most_common(1))


def _rate(stated: float, shown: float) -> float:
    """The rate that a file states, which has no rounding in it, unless its frames come at another one."""
    return stated if abs(shown - stated) < RATE_TOLERANCE * stated else shown


def _counted(times: Times, start: int, stop: int) -> int:
    """The frames that samples are cut from: those that are stored, or those shown where the rate varies."""
    if times.constant or start >= stop:
        return stop - start
    return round((_until(times, stop) - times.seconds[start]) * RATE)


def _until(times: Times, stop: int) -> float:
    """Second at which the display of the frame before `stop` ends."""
    return float(times.seconds[stop]) if stop < len(times) else times.duration


def _ends_early(row: Row) -> bool:
    """Whether the row names an end before its start, which is noted as its fault already."""
    return row.end is not None and row.end <= (row.start or 0)


def _recording(row: Row, footage: Footage) -> Recording:
    from vidsuite_core.media import content_hash, decoder_version

    sha256 = content_hash(footage.source())
    whole = (footage.start, footage.stop) == (0, footage.total)
    # Two recordings may be parts of one video: their crops and features are cached apart.
    part = {"video": sha256, "start": footage.start, "stop": footage.stop}
    return Recording(
        name=row.recording,
        subject=row.subject,
        label=row.label,
        video=str(footage.video),
        images=footage.images,
        start=footage.start,
        stop=footage.stop,
        fps=footage.fps,
        times=footage.times,
        until=footage.until,
        own_rate=footage.own_rate,
        hashes=footage.examined.hashes,
        decoder=decoder_version(),
        seek=footage.examined.seeks,
        sha256=sha256,
        content=sha256 if whole else digest(part),
        boxes=dict(row.boxes),
        value_range=row.value_range,
    )


def _check_names(rows: Sequence[Row], findings: Findings) -> None:
    """Names that are repeated, or spelt in more than one way."""
    first: dict[str, int] = {}
    for row in rows:
        if row.recording and first.setdefault(row.recording, row.number) != row.number:
            text = f"{row.recording!r} is the recording of row {first[row.recording]} already; give each its own name"
            findings.fault(row.number, "recording", text)
    labels = [row.label for row in rows if row.label]
    if labels and len(set(labels)) == 1:
        findings.fault(1, "class", f"all recordings are of class {labels[0]!r}; there must be two classes or more")
    common = Counter(labels)
    for spellings in _alike(labels):
        usual = max(spellings, key=lambda name: (common[name], name))
        for row in rows:
            if row.label in spellings and row.label != usual:
                findings.fault(row.number, "class", f"{row.label!r} is {usual!r} elsewhere; use one spelling")
    for spellings in _alike([row.subject for row in rows if row.subject]):
        names = ", ".join(map(repr, sorted(spellings)))
        findings.notes.append(f"subjects {names} differ by case or spaces only and count as different persons")


def _alike(names: Sequence[str]) -> list[set[str]]:
    """Sets of different names that become the same without case and spaces."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups["".join(name.split()).casefold()].add(name)
    return [spellings for spellings in groups.values() if len(spellings) > 1]


def _check_boxes(row: Row, footage: Footage, findings: Findings) -> None:
    for column, label in BOXES.items():
        x1, y1, x2, y2 = row.boxes.get(label, (0, 0, 0, 0))
        if x1 < 0 or y1 < 0 or x2 > footage.width or y2 > footage.height:
            text = f"leaves the frame of {footage.width} x {footage.height} pixels; give pixels of the first frame"
            findings.fault(row.number, column, text)


def _check_overlaps(recordings: dict[int, Recording], findings: Findings) -> None:
    """Frames that two rows share: they would count twice, or be learnt and scored at once."""
    by_video: dict[str, list[tuple[int, Recording]]] = defaultdict(list)
    for number, recording in recordings.items():
        for other_number, other in by_video[recording.sha256]:
            if recording.start < other.stop and other.start < recording.stop:
                text = f"the same frames are those of row {other_number} ({other.name!r}); remove one of the rows"
                findings.fault(number, "path", text)
                break
        by_video[recording.sha256].append((number, recording))

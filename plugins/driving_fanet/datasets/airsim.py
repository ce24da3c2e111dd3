"""Recordings of the AirSim simulator (Shah et al., 2017), which is where the paper's own data came from.

The folder to import holds a folder a run, as AirSim's recorder writes it, and a class map (see `airsim_classes`):

    <run>/airsim_rec.txt   a line a moment, tab separated; of its columns `TimeStamp` (ms) and `ImageFile` are used, the
                           latter naming the images of that moment, separated by ";"
    <run>/images/          img_[<vehicle>_]<camera>_<image type>_<ns>.png, type 0 being the scene and 5 the segmentation
    class_map.csv, .yaml   which ids are which of the 11 classes
    splits.csv             optional: columns `run` and `split` (train, val or test), a row for each run

So `settings.json` has to record both image types of one camera, compressed, of one vehicle. Of a moment the first
scene image counts, and the segmentation of the same camera; a moment without one is a frame without labels. Colours are
RGB as in AirSim's docs/seg_rgbs.txt; 8-bit images of ids are taken too.

A run is a subject and, where time stamps show no gap, one sequence; its frame rate is that of the median step. Without
`splits.csv` the last sixth of the runs in order of their names (the recorder names them by date) is test, the sixth
before validation: 12, 3 and 3 of 18 runs. The paper's own recordings are `tartanair`.

The frames stay where they are; segmentations are converted once to 8-bit label maps below the dataset's root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsuite_core.datasets import Progress
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import attempt_all, require_all, spelt
from vidsuite_core.preparing.imported import Found, Frame, Stretch, steady_runs
from vidsuite_core.support.litter import files_below
from vidsuite_core.support.text import natural
from vidsuite_plugins.driving_fanet.datasets.airsim_classes import read_class_map, read_csv
from vidsuite_plugins.driving_fanet.datasets.simulator import (
    Rendered,
    SimulatorDataset,
    convert,
    read_ids,
    require_both_sides,
    split_in_order,
)

LOG, IMAGES, SPLITS = "airsim_rec.txt", "images", "splits.csv"
SCENE, SEGMENTATION = "0", "5"
"""AirSim's image types, as they stand in file names."""

MAX_LOG_BYTES = 64 * 2**20

_IMAGE = re.compile(r"(?P<camera>img_[^/\\]*)_(?P<kind>[0-9]+)_[0-9]+\.[A-Za-z]+\Z")


@dataclass(frozen=True)
class Moment:
    """A line of a run's log: time in ms, file names of the scene and, or else empty, of its segmentation."""

    time: float
    scene: str
    segmentation: str


@dataclass(frozen=True)
class Run:
    """A recorded run: its folder, and its moments in order of time."""

    folder: Path
    moments: tuple[Moment, ...]


class AirSim(SimulatorDataset):
    """The user's own recordings in the paper's 11 classes."""

    def how_to_get(self) -> str:
        """What to record."""
        return (
            f"no AirSim recordings are imported below {self.root}; record scene and segmentation (image types {SCENE} "
            f"and {SEGMENTATION}), put the runs' folders and a class_map.csv with the columns id, colour, class into "
            "one folder and run 'vidsuite data import driving_fanet/airsim FOLDER'"
        )

    def find(self, source: Path, folder: Path, progress: Progress) -> Found:
        """See `ImportedDataset.find`; writes the label maps below `folder`."""
        logs = sorted(files_below(source, f"*/{LOG}"), key=lambda path: natural(path.parent.name))
        if not logs:
            raise VidsuiteError(f"{source}: holds no <run>/{LOG}; give the folder in which the runs' folders lie")
        split_of = _splits(source, [log.parent.name for log in logs])
        classes = read_class_map(source)
        runs = require_all(source, attempt_all(read_run, logs, "read logs"))
        notes = convert(source, [one for run in runs for one in _rendered(run, folder)], classes, read_ids, progress)
        return Found([part for run in runs for part in _stretches(run, split_of[run.folder.name])], notes)


def read_run(log: Path) -> Run:
    """The run that an `airsim_rec.txt` describes.

    Raises:
        VidsuiteError: it cannot be read, lacks a column, or a line is not as the recorder writes it.
    """
    try:
        if log.stat().st_size > MAX_LOG_BYTES:
            raise VidsuiteError(f"{log}: is larger than {MAX_LOG_BYTES} bytes; give the recorder's log")
        lines = log.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VidsuiteError(f"{log}: cannot be read ({error}); copy the run again") from error
    header = [name.strip().lower() for name in lines[0].split("\t")] if lines else []
    if not {"timestamp", "imagefile"} <= {*header}:
        raise VidsuiteError(
            f"{log}: its first line names no columns TimeStamp and ImageFile; restore the recorder's log"
        )
    moments: list[Moment] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        moment = _moment(dict(zip(header, line.split("\t"), strict=False)))
        if moment is None:
            raise VidsuiteError(f"{log}: line {number} is no time and images with a PNG of type {SCENE}; remove it")
        if moments and moment.time <= moments[-1].time:
            raise VidsuiteError(f"{log}: line {number} is not after the one before; record one vehicle a run")
        moments.append(moment)
    if len({moment.scene for moment in moments}) < len(moments):
        raise VidsuiteError(f"{log}: names an image on two lines; remove one of them")
    if not any(moment.segmentation for moment in moments):
        raise VidsuiteError(
            f"{log}: names no image of type {SEGMENTATION}; record the segmentation too, or take it out"
        )
    return Run(log.parent, tuple(moments))


def _moment(row: Mapping[str, str]) -> Moment | None:
    names = row.get("imagefile", "").strip().split(";")
    matches = [match for match in map(_IMAGE.match, names) if match]
    images = {(match["camera"], match["kind"]): match.string for match in matches}
    cameras = [match["camera"] for match in matches if match["kind"] == SCENE]
    time = row.get("timestamp", "").strip()
    if not cameras or len(matches) < len(names) or not re.fullmatch(r"[0-9]{1,20}(\.[0-9]+)?", time):
        return None
    scene, segmentation = images[cameras[0], SCENE], images.get((cameras[0], SEGMENTATION), "")
    return Moment(float(time), scene, segmentation) if scene.lower().endswith(".png") else None


def _splits(source: Path, runs: Sequence[str]) -> dict[str, str]:
    """Split of each run, by `splits.csv` or else by their order."""
    path = source / SPLITS
    if not path.is_file():
        return split_in_order(source, runs, f"a {SPLITS}")
    given = {row["run"]: row["split"] for _, row in read_csv(path, ["run", "split"])}
    if wrong := [run for run in runs if given.get(run) not in ("train", "val", "test")]:
        raise VidsuiteError(f"{path}: does not put the run {wrong[0]!r} into train, val or test; add or correct it")
    splits = {run: given[run] for run in runs}
    require_both_sides(source, splits, f"a {SPLITS}")
    return splits


def _rendered(run: Run, folder: Path) -> list[Rendered]:
    """The run's labelled frames, their label maps below `folder`."""
    images = run.folder / IMAGES
    return [
        Rendered(spelt(images / one.scene), spelt(images / one.segmentation), folder / _labels(run, one))
        for one in run.moments
        if one.segmentation
    ]


def _stretches(run: Run, split: str) -> list[Stretch]:
    name = run.folder.name
    ranges, step = steady_runs([moment.time for moment in run.moments])
    frames = [
        Frame(
            f"{name}/{IMAGES}/{spelt(run.folder / IMAGES / moment.scene).name}",
            _labels(run, moment) if moment.segmentation else "",
        )
        for moment in run.moments
    ]
    return [
        Stretch(
            name=f"{name}/{start:06d}",
            subject=name,
            split=split,
            fps=round(1000 / step, 3) if step else 1.0,
            frames=tuple(frames[start:stop]),
        )
        for start, stop in ranges
    ]


def _labels(run: Run, moment: Moment) -> str:
    """Where the label map of a moment lies, relative to the dataset's folder."""
    return f"labels/{run.folder.name}/{Path(moment.scene).stem}.png"

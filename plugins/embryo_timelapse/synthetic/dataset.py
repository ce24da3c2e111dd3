"""The rendered embryos on disk: a folder an embryo, a video a focal plane, and a record of what is in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.preparing.processes import clear_left_behind, in_processes, processors
from vidsuite_core.samples import Recording
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.embryo_timelapse import embryos as listed
from vidsuite_plugins.embryo_timelapse.phases.samples import Phases
from vidsuite_plugins.embryo_timelapse.synthetic.plan import Embryo, Options, draw_embryos, draw_patients

GENERATOR = 1
"""Part of the fingerprint: raise it with every change of this package that changes a pixel or a draw."""
RECORD = "embryo.json"
RANDOM_CLOCK = 6
CODECS = {"ffv1": ".mkv", "h264": ".mp4"}
CRF = 14

JITTER, DROPPED = 0.05, 0.01
"""Standard deviation of the moments' times and share of moments that are missing, in intervals and of all."""

PAPERS: dict[str, dict[str, Any]] = {
    "blastocyst_dnn": {"embryos": 531, "blastocysts": 264, "patients": 83, "hours": 80.0, "interval": 5.0},
    "blastocyst_amsnet": {
        "embryos": 2898, "blastocysts": 1634, "patients": 414, "hours": 168.0, "interval": 15.0, "planes": 7,
    },
}  # fmt: skip
"""Statistics of the two papers' sets; how many patients the second has is not printed (414 are seven embryos each)."""


class _Synthetic(listed.Embryos):
    """Rendered embryos; see `plan.Options` for what they are drawn by.

    Options:
        paper: "blastocyst_dnn" or "blastocyst_amsnet" for the statistics of that paper's set; others override them.
        codec: "ffv1" (lossless), or "h264", a tenth of the size.
        workers: processes that render, as many as there are processors by default; without influence on the result.
    """

    def __init__(
        self,
        root: Path,
        *,
        paper: str | None = None,
        codec: str = "ffv1",
        workers: int | None = None,
        **options: Any,
    ) -> None:
        if paper is not None and paper not in PAPERS:
            raise UsageError(f"option paper={paper!r} is none of {', '.join(PAPERS)}")
        if codec not in CODECS:
            raise UsageError(f"option codec={codec!r} is none of {', '.join(CODECS)}")
        names = Options.__dataclass_fields__
        drawn = {**PAPERS.get(paper or "", {}), **{name: options.pop(name) for name in list(options) if name in names}}
        drawn = {name: float(value) if name in ("hours", "interval") else value for name, value in drawn.items()}
        self.recipe = Options(**drawn)
        self.codec = codec
        super().__init__(root, **asdict(self.recipe), codec=codec, **options)
        self.workers = workers or processors()

    @property
    def folder(self) -> Path:
        """Where embryos with these options are kept."""
        return self.root / digest(self._decides)[:12]

    @property
    def _decides(self) -> dict[str, Any]:
        return {"generator": GENERATOR, "codec": self.codec, **asdict(self.recipe)}

    def fingerprint(self) -> str:
        """sha256 (hex) of the generator's version, the options, and how samples are made; not of the files' bytes.

        Those vary with the encoder at hand, and pixels by a grey level here and there with the processor.
        """
        return digest({**self._decides, **self.how_samples_are_made()})

    @cached_property
    def _planned(self) -> list[Embryo]:
        return draw_embryos(self.recipe)

    def _missing(self) -> list[Embryo]:
        return [one for one in self._planned if not (self.folder / one.name / RECORD).is_file()]

    def is_ready(self) -> bool:
        """Whether all embryos are there; each appears as a whole."""
        return not self._missing()

    def prepare(self, progress: Progress = silent) -> None:
        """Render what is missing: about 250 planes a second and processor at 224 pixels and 7 planes, 70 at one.

        Embryos that a neighbouring root holds already, opened with another `group` or other moments, are linked.
        """
        missing = self._missing()
        if not missing:
            return
        clear_left_behind(self.folder)
        for neighbour in sorted(self.root.parent.glob(f"*/{self.folder.name}")):
            for planned in missing:
                _link(neighbour / planned.name, self.folder / planned.name)
            missing = self._missing()
        done, total = len(self._planned) - len(missing), len(self._planned)
        job = {"options": asdict(self.recipe), "codec": self.codec, "folder": str(self.folder.resolve())}
        jobs = [
            {**job, "embryos": [one.index for one in missing[k :: 4 * self.workers]]} for k in range(4 * self.workers)
        ]
        jobs = [one for one in jobs if one["embryos"]]
        for _ in in_processes(f"{__name__}:render", jobs, self.workers, "rendering embryos"):
            done += 1
            progress("render embryos", done, total)
        if missing := self._missing():
            raise VidsuiteError(f"{self.folder / missing[0].name} was not rendered; run the same command again")

    def embryos(self) -> list[listed.Embryo]:
        """See `Embryos`."""
        if not self.is_ready():
            raise DataNotReady(self.how_to_get())
        return [self._listed(one) for one in self._planned]

    def _listed(self, planned: Embryo) -> listed.Embryo:
        folder = self.folder / planned.name
        record = _read(folder)
        hours = record["hours"]
        end = {"tEnd": planned.emptied} if planned.emptied < float("inf") else {}
        return listed.Embryo(
            footage=Recording(
                name=planned.name,
                subject=f"p{planned.patient + 1:03d}",
                planes=tuple(folder / name for name in record["files"]),
                frames=len(hours),
                fps=rate(hours, self.recipe.interval),
                times=tuple(hour * listed.HOUR for hour in hours),
                content=digest(record["files"]),
            ),
            label=int(planned.blastocyst),
            events={**record["events"], **end},
            identity=digest([self._decides, planned.name]),
        )

    def verify(self, progress: Progress = silent) -> list[str]:
        """Compare all files with the hashes recorded when they were rendered."""
        from vidsuite_core.media import content_hash

        if not self.is_ready():
            return [self.how_to_get()]
        faults = []
        for done, planned in enumerate(self._planned, 1):
            folder = self.folder / planned.name
            for name, sha256 in _read(folder)["files"].items():
                path = folder / name
                if not path.is_file():
                    faults.append(f"{path} is missing; remove {folder} and prepare again")
                elif content_hash(path) != sha256:
                    faults.append(f"{path} has changed since it was rendered; remove {folder} and prepare again")
            progress("verify embryos", done, len(self._planned))
        return faults


class Synthetic(_Synthetic, listed.Clips):
    """Rendered embryos as clips."""


class SyntheticMoments(_Synthetic, listed.Moments):
    """Rendered embryos in moments."""


class SyntheticPhases(_Synthetic, Phases):
    """Rendered embryos with the phases that they go through."""


def render(job: dict[str, Any]) -> Iterator[str]:
    """Render the embryos of a job into folders of their own, unless somebody did; yields their names."""
    from vidsuite_core.media import content_hash, write_video
    from vidsuite_plugins.embryo_timelapse.synthetic.scene import Scene

    options, root = Options.from_json(job["options"]), Path(job["folder"])
    patients, embryos = draw_patients(options), draw_embryos(options)
    for index in job["embryos"]:
        embryo = embryos[index]
        target = root / embryo.name
        if not (target / RECORD).is_file():
            shutil.rmtree(target, ignore_errors=True)  # something was lost from it
            hours = moments(options, embryo)
            frames = Scene(options, embryo, patients[embryo.patient]).frames(hours)
            with atomic_folder(target) as folder:
                files = {}
                for plane, images in enumerate(by_plane(frames, len(hours), options, folder)):
                    name = f"plane{plane}{CODECS[job['codec']]}"
                    write_video(folder / name, images, 10, codec=job["codec"], crf=CRF)
                    files[name] = content_hash(folder / name)
                record = {"generator": GENERATOR, "hours": hours, "events": events(embryo), "files": files}
                (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        yield embryo.name


def _link(source: Path, target: Path) -> None:
    """Put the whole embryo at `source`, if there is one, to `target` too: hard links, or copies where none can be."""
    if not (source / RECORD).is_file() or (target / RECORD).is_file():
        return
    shutil.rmtree(target, ignore_errors=True)  # something was lost from it
    with atomic_folder(target) as folder:
        for file in source.iterdir():
            try:
                os.link(file, folder / file.name)
            except OSError:
                shutil.copy2(file, folder / file.name)


def by_plane(
    frames: Iterator[NDArray[np.uint8]], count: int, options: Options, folder: Path
) -> Iterator[Iterator[NDArray[np.uint8]]]:
    """`count` frames (planes, H, W) -> each plane's images, by way of a file in `folder`: memory may not hold them."""
    if options.planes == 1:
        yield (frame[0] for frame in frames)
        return
    spilled = folder / "frames.tmp"
    try:
        shape = (options.planes, count, options.size, options.size)
        store = np.memmap(spilled, np.uint8, "w+", shape=shape)
        for number, frame in enumerate(frames):
            store[:, number] = frame
        for plane in store:
            yield iter(plane)
    finally:
        spilled.unlink(missing_ok=True)


def moments(options: Options, embryo: Embryo) -> list[float]:
    """Hours of an embryo's frames: a little off the interval, some missing, up to the recording's end."""
    rng = options.random(RANDOM_CLOCK, embryo.index)
    step = options.interval / 60
    count = max(int(embryo.end / step), 2)
    hours = (np.arange(count) + 0.5 + np.clip(rng.normal(0, JITTER, count), -0.3, 0.3)) * step
    kept = rng.random(count) >= DROPPED
    kept[[0, -1]] = True
    return [round(float(hour), 4) for hour in hours[kept]]


def events(embryo: Embryo) -> dict[str, float]:
    """Hours of what happened to an embryo while it lived and was watched, under the names that embryologists use."""
    hours = {"tPNa": embryo.pronuclei[0], "tPNf": embryo.pronuclei[1]}
    hours |= {f"t{cells}": hour for cells, hour in zip(range(2, 10), embryo.divisions, strict=False)}
    hours |= {"tM": embryo.compaction, "tSB": embryo.cavity, "tB": embryo.expanded}
    last = min(embryo.arrest, embryo.end, embryo.emptied)
    return {name: round(hour, 3) for name, hour in hours.items() if hour <= last}


def rate(hours: Sequence[float], interval: float) -> float:
    """Frames a second on average, of frames at rising `hours`; by the interval in minutes where there is one frame."""
    if len(hours) < 2:
        return 1 / (interval * 60)
    return (len(hours) - 1) / ((hours[-1] - hours[0]) * listed.HOUR)


def _read(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["hours"], record["events"], record["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VidsuiteError(f"{folder / RECORD} is damaged ({error}); remove {folder} and prepare again") from error
    return dict(record)

"""The embedded dataset: a small street world, driven and flown through, with a label for every pixel.

Each sequence has a world of its own (`world`, `lots`, `traffic`), a camera's way through it (`camera`) and its weather
(`weather`); `raster` and `render` draw it. No place or person was recorded for it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidsuite_core.datasets import Dataset, Progress, digest, silent
from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media.overlay import RGB
from vidsuite_core.preparing.processes import clear_left_behind, in_processes, processors
from vidsuite_core.samples import FrameSample, ImageFiles, Recording
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.driving_fanet.classes import AIRSIM, palette
from vidsuite_plugins.driving_fanet.synthetic.sequence import FPS, Footage, Options, Planned, plan

GENERATOR = 1
"""Part of the fingerprint: raise it with every change of this package that changes a pixel or a label."""

QUALITY = 95
"""Of the frames' JPEG files. As H.264 (crf 12) they would take as much room, and a short run from the middle 20 times
as long to read (68 ms to 4 ms for 5 frames of 160 x 120; the noise leaves little to predict)."""

RECORD = "sequence.json"
FORMAT = 1
STEP = 10
"""Frames between two reports of progress."""


class Synthetic(Dataset):
    """Rendered sequences at 25 Hz in the paper's 11 classes; half driven, half flown, split by sequence.

    Options: `frames` of each sequence, `size` (width, height), `seed`, `sequences` (even), `tested` (how many of them
    are tested), `blind` (most frames in a row that show nothing), `workers` (processes that render: as many as there
    are processors by default; no influence on the result). Each set of options is kept in a
    folder of its own below `root`, each sequence in one below that, with `frames/`, `labels/` and what they hash to.

    The fingerprint counts the generator's version and the options, not the files' bytes, which vary with the JPEG
    encoder at hand; the recordings' `content`, which keys caches, is the hash of the frames' files.
    """

    classes = AIRSIM

    def __init__(
        self,
        root: Path,
        *,
        frames: int = 100,
        size: Sequence[int] = (160, 120),
        seed: int = 0,
        sequences: int = 18,
        tested: int | None = None,
        blind: int = 0,
        workers: int | None = None,
    ) -> None:
        if workers is not None and (type(workers) is not int or workers < 1):
            raise UsageError(f"workers is {workers!r}; give 1 or more, or leave it out for one a processor")
        sides = tuple(size) if isinstance(size, Sequence) else (size,)
        self.recipe = Options(frames=frames, size=sides, seed=seed, sequences=sequences, tested=tested, blind=blind)
        super().__init__(root, **asdict(self.recipe))
        self.workers = workers or processors()

    def palette(self) -> tuple[RGB, ...]:
        """See `Dataset.palette`."""
        return palette(self.classes)

    @property
    def folder(self) -> Path:
        """Where this generator keeps sequences with these options."""
        return self.root / self.fingerprint()[:12]

    def fingerprint(self) -> str:
        """sha256 (hex) of the generator's version and the options."""
        return digest({"generator": GENERATOR, **asdict(self.recipe)})

    def is_ready(self) -> bool:
        """Whether all sequences are there; each appears as a whole."""
        return not self._missing()

    def _missing(self) -> list[Planned]:
        return [planned for planned in plan(self.recipe) if not _is_rendered(self.folder / planned.name)]

    def prepare(self, progress: Progress = silent) -> None:
        """Render what is missing.

        A frame's median took 12 to 20 ms at 160 x 120 and 50 to 65 ms at 640 x 480, on one thread of a busy machine.
        """
        missing = self._missing()
        if not missing:
            return
        clear_left_behind(self.folder)
        total = len(plan(self.recipe)) * self.recipe.frames
        done = total - len(missing) * self.recipe.frames
        common = {"options": asdict(self.recipe), "folder": str(self.folder.resolve())}
        jobs = [{**common, "planned": asdict(planned)} for planned in missing]
        for frames in in_processes(f"{__name__}:render", jobs, self.workers, "rendering sequences"):
            done += frames
            progress("render frames", min(done, total), total)
        if missing := self._missing():
            raise VidsuiteError(f"{self.folder / missing[0].name} was not rendered; run the same command again")

    def samples(self) -> list[FrameSample]:
        """All frames, sequence by sequence.

        Raises:
            DataNotReady: before `prepare`.
        """
        if not self.is_ready():
            raise DataNotReady(self.how_to_get())
        samples = []
        for planned in plan(self.recipe):
            folder = self.folder / planned.name
            recording = Recording(
                name=planned.name,
                subject=planned.name,
                planes=(ImageFiles(folder, tuple(map(_frame_name, range(self.recipe.frames)))),),
                frames=self.recipe.frames,
                fps=FPS,
                content=_read_record(folder)["content"],
            )
            samples += [
                FrameSample(
                    id=f"{planned.name}/{k:06d}",
                    footage=recording,
                    index=k,
                    labels=folder / _label_name(k),
                    split=planned.split,
                )
                for k in range(self.recipe.frames)
            ]
        return samples

    def verify(self, progress: Progress = silent) -> list[str]:
        """Compare all files with the hashes recorded when they were rendered."""
        if not self.is_ready():
            return [self.how_to_get()]
        faults = []
        planned = plan(self.recipe)
        for done, sequence in enumerate(planned, 1):
            faults += _faults(self.folder / sequence.name)
            progress("verify sequences", done, len(planned))
        return faults


class SyntheticBlind(Synthetic):
    """The same, the camera blind now and then for 1 to 6 frames: only the past can tell what is there."""

    def __init__(self, root: Path, *, blind: int = 6, **options: Any) -> None:
        super().__init__(root, blind=blind, **options)


def _is_rendered(folder: Path) -> bool:
    """Whether a sequence's folder is whole: its record is written last."""
    return (folder / RECORD).is_file()


def _frame_name(number: int) -> str:
    return f"frames/{number:06d}.jpg"


def _label_name(number: int) -> str:
    return f"labels/{number:06d}.png"


def _read_record(folder: Path) -> dict:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["files"], record["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VidsuiteError(f"{folder / RECORD} is damaged ({error}); remove {folder} and prepare again") from error
    return record


def _faults(folder: Path) -> list[str]:
    try:
        files = _read_record(folder)["files"]
    except VidsuiteError as error:
        return [str(error)]
    faults = []
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{path} is missing; remove {folder} and prepare again")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            faults.append(f"{path} has changed since it was rendered; remove {folder} and prepare again")
    return faults


def render_sequence(options: Options, planned: Planned, root: Path) -> Iterator[int]:
    """Render one sequence into its folder below `root`, unless somebody did; yields how many frames were added.

    A folder without its record is removed first: something was lost from it.
    """
    from vidsuite_core.media import content_hash

    target = root / planned.name
    there = target.is_dir()  # before its record is looked for: another process may put the whole folder there
    if _is_rendered(target):
        yield options.frames
        return
    if there:
        shutil.rmtree(target)
    footage = Footage(options, planned)
    with atomic_folder(target) as folder:
        files: dict[str, str] = {}
        (folder / "frames").mkdir()
        (folder / "labels").mkdir()
        for number in range(options.frames):
            files.update(_write_frame(folder, number, footage))
            if (number + 1) % STEP == 0:
                yield STEP
        content = content_hash([folder / _frame_name(number) for number in range(options.frames)])
        record = {"format": FORMAT, "generator": GENERATOR, **asdict(planned), "content": content, "files": files}
        (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    yield options.frames % STEP


def _write_frame(folder: Path, number: int, footage: Footage) -> Iterator[tuple[str, str]]:
    """Write a frame and its labels; the files' names and hashes."""
    import cv2

    picture, labels = footage.frame(number)
    for name, image, suffix, parameters in (
        (_frame_name(number), picture[..., ::-1], ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY]),
        (_label_name(number), labels, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6]),
    ):
        written, encoded = cv2.imencode(suffix, image, parameters)
        if not written:
            raise VidsuiteError(f"{folder / name} cannot be encoded by this build of OpenCV; install opencv-python")
        content = encoded.tobytes()
        (folder / name).write_bytes(content)
        yield name, hashlib.sha256(content).hexdigest()


def render(job: Mapping[str, Any]) -> Iterator[int]:
    """Render the sequence that a job of `Synthetic.prepare` describes; yields how many frames were added."""
    options, folder = Options.from_json(job["options"]), Path(job["folder"])
    yield from render_sequence(options, Planned(**job["planned"]), folder)

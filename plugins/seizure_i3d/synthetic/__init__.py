"""The embedded dataset: rendered infrared recordings of patients in bed, with the proportions of the paper's Table 2.

20 frontal (FLE) and 15 temporal (TLE) patients in 35, 85 seizures to 41, mean lengths of 30.4 s to 76.0 s. Only motion
tells the classes apart (`motion` says how and how well); `body` and `scene` render it. No patient was recorded for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.errors import UsageError
from vidsuite_core.preparing.processes import clear_left_behind, in_processes, processors
from vidsuite_core.samples import Box
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.seizure_i3d.data import CLIP, SHORTEST, Recording, RecordingsDataset
from vidsuite_plugins.seizure_i3d.synthetic.motion import (
    Cue,
    Difficulty,
    draw_pose_track,
    draw_staff_track,
    draw_temperament,
)
from vidsuite_plugins.seizure_i3d.synthetic.plan import (
    CLASSES,
    RANDOM_PATIENT,
    RANDOM_RECORDING,
    Options,
    Planned,
    plan,
)

GENERATOR = 1
"""Part of the fingerprint: raise it with every change of `plan`, `motion`, `body` or `scene` that changes a pixel."""

CRF = 22
"""H.264 quality: keeps the outlines and most of the noise at 2 to 3 ms a frame of 256 x 212."""

RESTS = (
    ((-0.22, -0.42, 0.02), (0.22, -0.42, 0.02)),
    ((-0.08, -0.25, 0.16), (0.06, -0.25, 0.16)),
    ((-0.25, -0.10, 0.05), (0.10, -0.20, 0.16)),
    ((-0.30, 0.20, 0.00), (0.25, -0.40, 0.02)),
)
"""Where the left and right hand rest, in metres from between the shoulders: across, headwards, up."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A recording's frames (H, W) uint8, to be iterated once, and the boxes on the first of them."""

    frames: Iterator[NDArray[np.uint8]]
    boxes: dict[str, Box]


def render_recording(options: Options, planned: Planned) -> Rendered:
    """Render one recording; the same options and recording give the same frames in any process."""
    from vidsuite_plugins.seizure_i3d.synthetic import body, room, scene

    patient = options.random(RANDOM_PATIENT, planned.patient)
    look = body.draw_look(patient)
    temperament = draw_temperament(patient, planned.label, planned.atypical, options.difficulty, options.cue)
    rng = options.random(RANDOM_RECORDING, planned.index)
    rest = np.array(RESTS[int(rng.integers(len(RESTS)))]) + rng.normal(0, 0.03, (2, 3))
    if rng.random() < 0.5:
        rest = rest[::-1] * np.array([-1.0, 1.0, 1.0])
    coverage = float(rng.uniform(0.15, 1.1))
    track = draw_pose_track(rng, temperament, planned.frames, options.fps, options.difficulty, options.clip)
    lying = body.patient_capsules(track, look, rest)
    visitor = body.staff_capsules(draw_staff_track(rng, planned.frames, options.fps, options.difficulty), rng)
    empty = room.render_room(look, *options.size)
    blanket, sensor = scene.Blanket(look, rng, coverage), scene.Sensor(rng, empty.camera)
    return Rendered(
        frames=scene.render(empty, lying, visitor, blanket, sensor),
        boxes=scene.first_frame_boxes(lying, look, empty.camera),
    )


def write_recording(options: Options, planned: Planned, folder: Path) -> Recording:
    """Render one recording into an H.264 file in `folder`."""
    from vidsuite_core.media import content_hash, write_video

    rendered = render_recording(options, planned)
    path = folder / f"{planned.name}.mp4"
    write_video(path, rendered.frames, options.fps, codec="h264", crf=CRF)
    sha256 = content_hash(path)
    return Recording(
        name=planned.name,
        subject=f"p{planned.patient + 1:02d}",
        label=CLASSES[planned.label],
        video=path.name,
        stop=planned.frames,
        fps=float(options.fps),
        sha256=sha256,
        content=sha256,
        boxes=rendered.boxes,
    )


class Synthetic(RecordingsDataset):
    """Rendered recordings of frontal and temporal seizures; see `plan.Options` for the options.

    `difficulty` overrides fields of `motion.Difficulty`; `workers` processes render (2 at most by default) and have no
    influence on the result. Each set of options is kept in a folder of its own below `root`.

    The fingerprint counts the generator's version, the options and the plan, not the files' bytes: those vary with
    the FFmpeg at hand (and pixels, by one grey level here and there, with the processor). The recordings' `content`,
    which keys caches, is the hash of the files.
    """

    classes = CLASSES

    def __init__(
        self,
        root: Path,
        *,
        seconds: float = 320.0,
        seizures: int = 49,
        patients: int = 35,
        size: Sequence[int] = (256, 212),
        seed: int = 0,
        fps: int = 30,
        clip: int = CLIP,
        shortest: int = SHORTEST,
        difficulty: Mapping[str, float] | None = None,
        cue: Cue = "speed",
        workers: int | None = None,
    ) -> None:
        try:
            harder = Difficulty(**(difficulty or {}))
            width, height = size
        except (TypeError, ValueError) as error:
            raise UsageError(f"options of the synthetic recordings: {error}") from error
        self.recipe = Options(
            seconds=float(seconds),
            seizures=seizures,
            patients=patients,
            size=(width, height),
            seed=seed,
            fps=fps,
            clip=clip,
            shortest=shortest,
            difficulty=harder,
            cue=cue,
        )
        super().__init__(root, **self.recipe.to_json())
        self.workers = workers or min(2, processors())

    @property
    def folder(self) -> Path:
        """Where this generator keeps recordings with these options."""
        return self.root / digest({"generator": GENERATOR, **self.recipe.to_json()})[:12]

    def identity(self, recording: Recording) -> str:
        """The recipe that the recording was rendered by."""
        return digest({"generator": GENERATOR, "recording": recording.name, **self.recipe.to_json()})

    def prepare(self, progress: Progress = silent) -> None:
        """Render what is missing (about 3 ms a frame and processor at 256 x 212)."""
        if self.is_ready():
            return
        clear_left_behind(self.root)
        longest_first = sorted(plan(self.recipe), key=lambda recording: -recording.frames)
        with atomic_folder(self.folder) as folder:
            common = {"options": self.recipe.to_json(), "folder": str(folder.resolve())}
            jobs = [{**common, "planned": asdict(planned)} for planned in longest_first]
            rows = []
            for row in in_processes(f"{__name__}:render", jobs, self.workers, "rendering recordings"):
                rows.append(Recording.from_json(row))
                progress("render recordings", len(rows), len(jobs))
            self.write_table(folder, CLASSES, rows)


class Ordered(Synthetic):
    """Rendered recordings in which only the order of each clip's two phases tells the classes apart.

    Frontal patients begin each clip lively and end it quiet, temporal patients the other way round, so that the mean
    over a clip's time says nothing about the class. Smaller than `Synthetic` unless options say otherwise.
    """

    def __init__(self, root: Path, *, size: Sequence[int] = (128, 106), **options: Any) -> None:
        super().__init__(root, size=size, **{"cue": "order", **options})


def render(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Render the recording that a job of `Synthetic.prepare` describes; yields its row of the table."""
    options = Options.from_json(job["options"])
    yield asdict(write_recording(options, Planned(**job["planned"]), Path(job["folder"])))

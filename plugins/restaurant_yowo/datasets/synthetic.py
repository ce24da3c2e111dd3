"""The embedded dataset: sessions at a rendered counter as video files, with boxes that are a little off, as real ones
are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidsuite_core.datasets import Progress, digest, silent
from vidsuite_core.errors import UsageError
from vidsuite_core.media import content_hash, write_video
from vidsuite_core.support.paths import atomic_folder, stale_temporaries
from vidsuite_plugins.restaurant_yowo.datasets.table import Boxes, Listed, TableDataset
from vidsuite_plugins.restaurant_yowo.synthetic.actions import NAMES
from vidsuite_plugins.restaurant_yowo.synthetic.render import Session

GENERATOR = 1
"""Part of the fingerprint: raise it with every change of the world that changes a pixel or a box."""
CRF = 20
_SPLITS = ("train", "train", "train", "val", "test", "train", "test", "train")
"""Of sessions in turn: five of eight train."""
STEP = 50
"""Frames between two reports of progress."""


class Synthetic(TableDataset):
    """Sessions of `Session`, filmed by the two cameras in turn; a session is the group that no split divides.

    Options:
        sessions: how many, at least 8.
        seconds: of each.
        size: (width, height) in pixels.
        fps: frames per second.
        every: see `TableDataset`.
        seed: of all that is drawn.
        direction, looks: cues that can be turned off, see `Session`.
        jitter: standard deviation of the training boxes' sides, as a share of the box; the others are exact.
        wrong: share of the training actions whose class is another's.
    """

    classes = NAMES

    def __init__(
        self,
        root: Path,
        *,
        sessions: int = 16,
        seconds: float = 60.0,
        size: Sequence[int] = (320, 180),
        fps: float = 10.0,
        every: int = 4,
        seed: int = 0,
        direction: bool = True,
        looks: bool = True,
        jitter: float = 0.05,
        wrong: float = 0.02,
    ) -> None:
        width, height = size
        if sessions < len(_SPLITS) or seconds * fps < 16 or min(width, height) < 32:
            raise UsageError("the restaurant needs 8 sessions, 16 frames and 32 pixels a side, or more")
        self.recipe: dict[str, Any] = {
            "sessions": sessions, "seconds": float(seconds), "size": [int(width), int(height)], "fps": float(fps),
            "seed": seed, "direction": direction, "looks": looks, "jitter": float(jitter), "wrong": float(wrong),
        }  # fmt: skip
        super().__init__(root, every=every, **self.recipe)

    @property
    def folder(self) -> Path:
        """Where sessions with these options are kept."""
        return self.root / digest({"generator": GENERATOR, **self.recipe})[:12]

    def fingerprint(self) -> str:
        """sha256 (hex) of the generator's version and the options: encoders differ in bytes, not in what is shown."""
        return digest({"generator": GENERATOR, "every": self.every, **self.recipe})

    def prepare(self, progress: Progress = silent) -> None:
        """Render what is missing: about 150 frames a second at 320 x 180 on one thread."""
        if self.is_ready():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        for left_behind in stale_temporaries(self.root):
            shutil.rmtree(left_behind, ignore_errors=True)
        frames = round(self.recipe["seconds"] * self.recipe["fps"])
        listed: list[Listed] = []
        rows: list[tuple[int, int, Sequence[float], int, int]] = []
        with atomic_folder(self.folder) as folder:
            for number in range(self.recipe["sessions"]):
                done = number * frames

                def shown(frame: int, done: int = done) -> None:
                    if frame % STEP == 0:
                        progress("render frames", done + frame, self.recipe["sessions"] * frames)

                one, found = self._session(number, frames, folder, shown)
                listed.append(one)
                rows += found
            self.write_table(folder, NAMES, listed, Boxes.of(rows))

    def _session(
        self, number: int, frames: int, folder: Path, shown: Any
    ) -> tuple[Listed, list[tuple[int, int, Sequence[float], int, int]]]:
        recipe = self.recipe
        size = tuple(recipe["size"])
        split = _SPLITS[number % len(_SPLITS)]
        session = Session(
            int(np.random.SeedSequence([recipe["seed"], number]).generate_state(1)[0]), frames, size, recipe["fps"],
            camera=number % 2, workers=1 + number % 3, direction=recipe["direction"], looks=recipe["looks"],
        )  # fmt: skip
        rng = np.random.default_rng([recipe["seed"], number, 2])
        rows: list[tuple[int, int, Sequence[float], int, int]] = []

        def pictures() -> Any:
            for frame, (picture, boxes) in enumerate(session):
                rows.extend((number, frame, one.box, one.label, one.action) for one in boxes)
                shown(frame)
                yield picture

        name = f"session{number:02d}"
        path = folder / f"{name}.mp4"
        write_video(path, pictures(), recipe["fps"], codec="h264", crf=CRF)
        if split == "train":
            rows = _spoilt(rows, size, recipe["jitter"], recipe["wrong"], rng)
        listed = Listed(name, name, path.name, frames, recipe["fps"], *size, content=content_hash(path), split=split)
        return listed, rows


def _spoilt(
    rows: list[tuple[int, int, Sequence[float], int, int]],
    size: tuple[int, ...],
    jitter: float,
    wrong: float,
    rng: np.random.Generator,
) -> list[tuple[int, int, Sequence[float], int, int]]:
    """Boxes as hasty annotators give them: each side a little off, some actions under another's name."""
    labels = sorted({row[3] for row in rows})
    renamed: dict[int, int] = {}
    spoilt = []
    for number, frame, box, label, action in rows:
        if action not in renamed:
            renamed[action] = int(rng.choice(labels)) if rng.random() < wrong else label
        x1, y1, x2, y2 = box
        off = rng.normal(0, jitter, 4) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1)
        a, b, c, d = (np.array(box) + off).tolist()
        moved = max(a, 0.0), max(b, 0.0), min(c, size[0]), min(d, size[1])
        kept = moved if moved[2] - moved[0] > 1 and moved[3] - moved[1] > 1 else tuple(box)
        spoilt.append((number, frame, kept, renamed[action], action))
    return spoilt

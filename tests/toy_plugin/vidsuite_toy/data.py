"""Blobs that move left (class 0) or right (class 1), as small real video files."""

import numpy as np

from vidsuite_core.datasets import Dataset, silent
from vidsuite_core.media import write_video
from vidsuite_core.samples import ClipSample, Recording
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import atomic_folder

FRAMES, SIDE = 12, 32


class Blobs(Dataset):
    classes = ("left", "right")

    def __init__(self, root, subjects=4):
        super().__init__(root, subjects=subjects)
        self.subjects = subjects

    def is_ready(self):
        return (self.root / "videos").is_dir()

    def prepare(self, progress=silent):
        if self.is_ready():
            return
        with atomic_folder(self.root / "videos") as folder:
            for number in range(2 * self.subjects):
                write_video(folder / f"{number}.mkv", blob(number), fps=10, codec="ffv1")
                progress("draw blobs", number + 1, 2 * self.subjects)

    def samples(self):
        return [
            ClipSample(id=f"r{number}", footage=self.recording(number), label=number // 2 % 2, start=0, stop=FRAMES)
            for number in range(2 * self.subjects)
        ]

    def recording(self, number):
        return Recording(
            name=f"r{number}",
            subject=f"subject {number // 2 % self.subjects}",
            planes=(self.root / "videos" / f"{number}.mkv",),
            frames=FRAMES,
            fps=10,
            content=digest(["blob", number]),
        )

    def fingerprint(self):
        return digest([[sample.id, sample.subject, sample.label] for sample in self.samples()])


def blob(number):
    rng = np.random.default_rng(number)
    for step in range(FRAMES):
        place = step if number // 2 % 2 else FRAMES - step
        frame = rng.integers(0, 40, (SIDE, SIDE), dtype=np.uint8)
        frame[12:20, place + 4 : place + 12] = 220
        yield frame

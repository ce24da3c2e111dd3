"""Three small datasets of real files: a label map a frame, moments of focal planes, and boxes in key frames."""

import cv2
import numpy as np

from vidsuite_core.datasets import Dataset, silent
from vidsuite_core.media import content_hash, write_video
from vidsuite_core.samples import (
    FrameSample,
    ImageFiles,
    KeyFrameSample,
    MomentsSample,
    Recording,
    split_by_time,
)
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import atomic_folder

HOUR = 3600.0


class Drawn(Dataset):
    """Recordings, each drawn by `draw(folder, number)`; the last third is scored."""

    count = 6

    def is_ready(self):
        return (self.root / "drawn").is_dir()

    def prepare(self, progress=silent):
        if self.is_ready():
            return
        with atomic_folder(self.root / "drawn") as folder:
            for number in range(self.count):
                self.draw(folder / str(number), number)

    def samples(self):
        return [sample for number in range(self.count) for sample in self.of_recording(number)]

    def split(self, number):
        return "test" if number >= self.count * 2 // 3 else "train"

    def fingerprint(self):
        return digest([[sample.id, sample.subject, sample.footage.content] for sample in self.samples()])


class Crossing(Drawn):
    """A light square crosses a dark road; it is class 1."""

    classes = ("road", "square")
    frames = 6

    def draw(self, folder, number):
        folder.mkdir()
        for index in range(self.frames):
            labels = np.zeros((24, 32), np.uint8)
            labels[8:16, 4 * index : 4 * index + 8] = 1
            noise = np.random.default_rng([number, index]).integers(0, 40, (24, 32, 3), np.uint8)
            cv2.imwrite(str(folder / f"{index}.png"), noise + 180 * labels[..., None])
            labels[0] = 255
            cv2.imwrite(str(folder / f"{index}_labels.png"), labels)

    def of_recording(self, number):
        folder = self.root / "drawn" / str(number)
        files = ImageFiles(folder, [f"{index}.png" for index in range(self.frames)])
        recording = Recording(
            name=f"r{number}", subject=f"s{number}", planes=(files,), frames=self.frames, fps=10,
            content=content_hash(files),
        )  # fmt: skip
        return [
            FrameSample(
                id=f"r{number}/{index}",
                footage=recording,
                split=self.split(number),
                index=index,
                labels=folder / f"{index}_labels.png",
            )
            for index in range(self.frames)
        ]


class Growing(Drawn):
    """What grows lighter (class 1) or darker (class 0) from hour to hour, in three focal planes; some end early."""

    classes = ("fades", "grows")
    count = 12

    def minutes(self, number):
        """When the frames were taken: every 15 minutes or so, for four hours or three."""
        steps = np.random.default_rng(number).uniform(10, 20, 16 if number % 3 else 11)
        return [0.0, *np.cumsum(steps).tolist()]

    def draw(self, folder, number):
        folder.mkdir()
        for index, minute in enumerate(self.minutes(number)):
            level = 128 + (1 if number % 2 else -1) * minute / 4
            for plane in range(3):
                noise = np.random.default_rng([number, index, plane]).normal(level, 10, (20, 20))
                cv2.imwrite(str(folder / f"{index}_{plane}.png"), noise.clip(0, 255).astype(np.uint8))

    def of_recording(self, number):
        times = [60 * minute for minute in self.minutes(number)]
        planes = tuple(
            ImageFiles(self.root / "drawn" / str(number), [f"{index}_{plane}.png" for index in range(len(times))])
            for plane in range(3)
        )
        recording = Recording(
            name=f"r{number}", subject=f"s{number}", planes=planes, frames=len(times), fps=1 / 900, times=times,
            content=digest([content_hash(plane) for plane in planes]),
        )  # fmt: skip
        moments = split_by_time(recording, [HOUR * k for k in range(5)])
        split = self.split(number)
        return [MomentsSample(id=f"r{number}", footage=recording, split=split, label=number % 2, moments=moments)]


class Passing(Drawn):
    """A light square passes to the left (class 0) or right (class 1); before it comes there is none."""

    classes = ("left", "right")
    count = 9
    frames = 14

    def place(self, number, index):
        """Left edge of the square; None before it comes."""
        return None if index < 2 else 4 + 4 * (index if number % 2 else self.frames - 1 - index)

    def draw(self, folder, number):
        def frames():
            for index in range(self.frames):
                frame = np.random.default_rng([number, index]).integers(0, 40, (48, 80), np.uint8)
                left = self.place(number, index)
                if left is not None:
                    frame[16:32, left : left + 16] = 220
                yield frame

        write_video(folder.with_suffix(".mkv"), frames(), fps=10, codec="ffv1")

    def of_recording(self, number):
        path = self.root / "drawn" / f"{number}.mkv"
        recording = Recording(
            name=f"r{number}", subject=f"s{number}", planes=(path,), frames=self.frames, fps=10,
            content=digest(["passing", number]),
        )  # fmt: skip
        samples = []
        for index in range(1, self.frames):
            left = self.place(number, index)
            boxes = () if left is None else ((left, 16, left + 16, 32),)
            samples.append(
                KeyFrameSample(
                    id=f"r{number}/{index}",
                    footage=recording,
                    split=self.split(number),
                    index=index,
                    boxes=boxes,
                    classes=(number % 2,) * len(boxes),
                )
            )
        return samples

"""Datasets without any video, one for each task that has a floor; the first class is the more frequent one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidsuite_core.datasets import Dataset
from vidsuite_core.samples import VOID, ClipSample, FrameSample, MomentsSample, Recording
from vidsuite_core.support.ids import digest

LABELS = (0, 0, 0, 1, 0, 1, 0, 0, 1, 0)
NOWHERE = Path("/nowhere/to/be/found.mkv")


def nowhere(name: str, frames: int = 9) -> Recording:
    """A recording whose video is nowhere."""
    return Recording(name=name, subject=name, planes=(NOWHERE,), frames=frames, fps=10, content=name)


class Clips(Dataset):
    """Ten samples, the last four of which are scored."""

    classes = ("common", "rare")

    def is_ready(self) -> bool:
        """It needs nothing."""
        return True

    def samples(self) -> list[Any]:
        """See the class."""
        return [
            ClipSample(id=f"c{i}", footage=nowhere(f"r{i}"), label=label, start=0, stop=9, split=split_of(i))
            for i, label in enumerate(LABELS)
        ]

    def fingerprint(self) -> str:
        """Of the labels."""
        return digest([type(self).__name__, *LABELS])


class Moments(Clips):
    """The same, of which each is seen in three moments, or in two."""

    def samples(self) -> list[Any]:
        """See the class."""
        return [
            MomentsSample(
                id=f"m{i}",
                footage=nowhere(f"r{i}"),
                label=label,
                moments=((0, 3), (3, 6), (6, 9 if i % 2 == 0 else 6)),
                split=split_of(i),
            )
            for i, label in enumerate(LABELS)
        ]


def split_of(number: int) -> str:
    """The last four samples are scored."""
    return "train" if number < 6 else "test"


def street(number: int) -> np.ndarray:
    """A label map (6, 8): class 0 above, class 2 below, between them class 1 in most frames, and void at the left."""
    labels = np.zeros((6, 8), np.uint8)
    labels[4:] = 2
    labels[2:4] = 0 if number % 3 == 0 else 1
    labels[:, 0] = VOID
    return labels


class Street(Dataset):
    """Sequences of three frames, all labelled but the scored sequence's first; their video is nowhere."""

    classes = ("sky", "house", "road")

    def is_ready(self) -> bool:
        """Whether the label maps are there."""
        return (self.root / "labels").is_dir()

    def prepare(self, progress: Any = None) -> None:
        """Write the label maps."""
        (self.root / "labels").mkdir(parents=True, exist_ok=True)
        for number in range(9):
            cv2.imwrite(str(self.root / "labels" / f"{number}.png"), street(number))

    def samples(self) -> list[Any]:
        """See the class."""
        sequences = [nowhere(f"q{n}", frames=3) for n in range(3)]
        return [
            FrameSample(
                id=f"{sequence.name}/{index}",
                footage=sequence,
                index=index,
                labels=self.root / "labels" / f"{3 * place + index}.png",
                split="test" if place == 2 else "train",
            )
            for place, sequence in enumerate(sequences)
            for index in range(3)
            if (place, index) != (2, 0)
        ]

    def fingerprint(self) -> str:
        """Of nothing that changes."""
        return digest("street")

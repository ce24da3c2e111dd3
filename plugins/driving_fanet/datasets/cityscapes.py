"""Cityscapes (Cordts et al., CVPR 2016): 2,975 labelled frames to train on and 500 to validate, 2048 x 1024.

The layout is the one that mmsegmentation expects, which is the archives' own:

    leftImg8bit/{train,val}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_labelTrainIds.png, or _labelIds.png where that is missing
    leftImg8bit_sequence/{train,val}/...  optional, as leftImg8bit: 30 frames at 17 Hz, the labelled one being the 20th

Where the 19 frames before a labelled one are there, they are its sequence, so that a network can draw on them;
otherwise each labelled frame is a sequence of its own. The two copies have different fingerprints.

The test labels are not public, so what is scored (split "test") is `val`, as in the paper's Table 1, and no frame has
the split "val". Cities are the subjects; none is in both folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vidsuite_core.datasets import Progress
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.preparing.files import LabelCode, spelt
from vidsuite_core.preparing.imported import Found, Frame, Stretch
from vidsuite_core.samples import VOID
from vidsuite_core.support.litter import files_below
from vidsuite_plugins.driving_fanet.classes import CITYSCAPES, CITYSCAPES_VOID
from vidsuite_plugins.driving_fanet.datasets.driving import DrivingDataset

FOLDERS = {"train": "train", "val": "test"}
"""Split of each of the data set's folders."""

FPS = 17.0
BEFORE = 19
"""Frames of a snippet that precede the labelled one."""

TRAIN_ID = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
            28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
"""Train id of each label id that is evaluated (cityscapesScripts, helpers/labels.py); ids 0 to 33 occur."""

_TRAIN_IDS, _IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"
_IMAGE = "_leftImg8bit.png"
_STEM = re.compile(r"(?P<snippet>(?P<city>[a-z-]+)_[0-9]{6})_(?P<frame>[0-9]{6})\Z")


class Cityscapes(DrivingDataset):
    """The 19 classes that are evaluated, or, with `num_classes=20`, these and void as one more.

    Void as the 20th class is how the paper comes to "20 classes" (section 2.3.1; in its code void is class 19): void
    pixels then train and are scored, so the two numbers of classes are not comparable. Each is imported by itself.
    """

    classes = CITYSCAPES
    counts: ClassVar[Mapping[str, int]] = {"train": 2975, "val": 500}

    def __init__(self, root: Path, *, num_classes: int = 19) -> None:
        if num_classes not in (19, 20):
            raise UsageError(f"num_classes is {num_classes!r}; give 19, or 20 for void as a class")
        super().__init__(root, num_classes=num_classes)
        self._names = CITYSCAPES_VOID[:num_classes]
        self._codes = {suffix: _code(suffix, num_classes) for suffix in (_TRAIN_IDS, _IDS)}

    def class_names(self) -> tuple[str, ...]:
        """The 19 classes, and "void" where it is one."""
        return self._names

    def how_to_get(self) -> str:
        """Where the data comes from."""
        return (
            f"no Cityscapes is imported below {self.root}; get leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip "
            "and, for temporal context, leftImg8bit_sequence_trainvaltest.zip from cityscapes-dataset.com, unpack them "
            "into one folder and run 'vidsuite data import driving_fanet/cityscapes FOLDER'"
        )

    def find(self, source: Path, folder: Path, progress: Progress) -> Found:
        """See `ImportedDataset.find`; refuses a part, as scores on it are not Cityscapes'."""
        labels = {name: _label_files(source / "gtFine" / name) for name in FOLDERS}
        counts = {name: len(files) for name, files in labels.items()}
        if counts != self.counts:
            told, whole = (" and ".join(f"{n} {c}" for n, c in which.items()) for which in (counts, self.counts))
            raise VidsuiteError(f"{source}/gtFine: labels {told} frames, Cityscapes has {whole}; give all of it")
        twice = {path.parent.name for path in labels["train"]} & {path.parent.name for path in labels["val"]}
        if twice:
            raise VidsuiteError(f"{source}/gtFine: {min(twice)} is in train and val; unpack the archives once more")
        stretches = [_stretch(source, name, path) for name, files in labels.items() for path in files]
        whole = sum(len(stretch.frames) == BEFORE + 1 for stretch in stretches)
        return Found(stretches, (f"of these {whole} with the {BEFORE} frames before the labelled one",))

    def code_of(self, labels: str) -> LabelCode:
        """See `ImportedDataset.code_of`."""
        return self._codes[_IDS if _is_ids(labels) else _TRAIN_IDS]


def _is_ids(labels: str) -> bool:
    return labels.lower().endswith(_IDS.lower())


def _code(suffix: str, num_classes: int) -> LabelCode:
    if suffix == _IDS:
        label_of, values = dict(TRAIN_ID), {*range(34), VOID}
    else:
        label_of, values = {label: label for label in range(len(CITYSCAPES))}, {*range(len(CITYSCAPES)), VOID}
    if num_classes > len(CITYSCAPES):
        label_of |= dict.fromkeys(values - {*label_of}, len(CITYSCAPES))
    return LabelCode(f"files *{suffix}", label_of, frozenset(values - {*label_of}))


def _label_files(folder: Path) -> list[Path]:
    """A label file of each frame, that with train ids where there is one, in the order of the frames."""
    files = {path.name[: -len(code)]: path for code in (_IDS, _TRAIN_IDS) for path in files_below(folder, f"*/*{code}")}
    return [files[stem] for stem in sorted(files)]


def _stretch(source: Path, name: str, labels: Path) -> Stretch:
    stem = labels.name[: -len(_IDS if _is_ids(labels.name) else _TRAIN_IDS)]
    match = _STEM.match(stem)
    city = labels.parent.name
    if not match or match["city"] != city:
        raise VidsuiteError(f"{labels}: is not <city>_<6 digits>_<6 digits>{_TRAIN_IDS} in <city>; restore its name")
    last = int(match["frame"])
    frames: list[Frame] = []
    for number in range(last - 1, max(last - 1 - BEFORE, -1), -1):
        image = spelt(source / f"leftImg8bit_sequence/{name}/{city}/{match['snippet']}_{number:06d}{_IMAGE}")
        if not image.is_file():
            break
        frames.insert(0, Frame(image.relative_to(source).as_posix()))
    image = spelt(source / f"leftImg8bit/{name}/{city}/{stem}{_IMAGE}")
    frames.append(Frame(image.relative_to(source).as_posix(), labels.relative_to(source).as_posix()))
    return Stretch(name=f"{name}/{stem}", subject=city, split=FOLDERS[name], fps=FPS, frames=tuple(frames))

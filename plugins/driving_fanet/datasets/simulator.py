"""What the importers of a simulator's recordings share: segmentations of ids converted to the paper's 11 classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.datasets import Progress
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.files import LabelCode, attempt_all, png_size, require_all, require_size
from vidsuite_core.samples import VOID
from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.datasets.airsim_classes import ClassMap
from vidsuite_plugins.driving_fanet.datasets.driving import DrivingDataset

if TYPE_CHECKING:
    import numpy as np

TOLD = 5
"""So many of the ids without a class are named after an import."""

_CODE = LabelCode("converted labels", {label: label for label in range(len(AIRSIM))}, frozenset({VOID}))


class SimulatorDataset(DrivingDataset):
    """Recordings in the paper's 11 classes, whose segmentations are converted once, below the dataset's root."""

    classes = AIRSIM

    def code_of(self, labels: str) -> LabelCode:
        """See `ImportedDataset.code_of`."""
        return _CODE

    def label_folder(self, source: Path, folder: Path) -> Path:
        """The dataset's own folder."""
        return folder


@dataclass(frozen=True)
class Rendered:
    """A frame: the scene's PNG, the file of its ids, and where its label map is to be."""

    scene: Path
    ids: Path
    labels: Path


@dataclass(frozen=True)
class Converted:
    """Pixels of a segmentation: all, and those of ids or colours that are in no class."""

    pixels: int
    unnamed: Counter[str]


def convert(
    source: Path,
    frames: Sequence[Rendered],
    classes: ClassMap,
    read: Callable[[Path], np.ndarray],
    progress: Progress,
) -> tuple[str, ...]:
    """Write every label map, reading ids by `read`; returns what to tell of pixels that are in no class.

    Raises:
        VidsuiteError: a file is not as it should be, or nothing that is seen has a class.
    """
    for folder in {frame.labels.parent for frame in frames}:
        folder.mkdir(parents=True, exist_ok=True)

    def one(frame: Rendered) -> Converted:
        return _convert_one(frame, read(frame.ids), classes)

    done = require_all(source, attempt_all(one, frames, "convert labels", progress))
    pixels, unnamed = sum(each.pixels for each in done), Counter[str]()
    for each in done:
        unnamed.update(each.unnamed)
    if unnamed.total() == pixels:
        told = _told(unnamed, pixels)
        raise VidsuiteError(f"{source}: nothing in the images is in the class map; they show {told}; correct the map")
    return (f"not in the class map, so void: {_told(unnamed, pixels)}",) if unnamed else ()


def read_ids(path: Path) -> np.ndarray:
    """A segmentation image of 8 bits: ids (H, W, 1) or colours (H, W, 3), uint8.

    Raises:
        VidsuiteError: it cannot be read, or has other than 8 bits.
    """
    import numpy as np

    from vidsuite_core.media.images import read_image

    image = read_image(path)
    if image.dtype != np.uint8:
        raise VidsuiteError(f"{path}: is not an image of 8 bits; record it again")
    return image


def split_in_order(source: Path, runs: Sequence[str], remedy: str) -> dict[str, str]:
    """The last sixth of the runs is test, the sixth before validation (none of two runs), the others training.

    Raises:
        VidsuiteError: one side would have none; `remedy` says what else to bring.
    """
    held = max(1, round(len(runs) / 6))
    validation = held if len(runs) > 2 else 0
    names = ["train"] * (len(runs) - held - validation) + ["val"] * validation + ["test"] * held
    splits = dict(zip(runs, names, strict=True))
    require_both_sides(source, splits, remedy)
    return splits


def require_both_sides(source: Path, splits: Mapping[str, str], remedy: str) -> None:
    """Raises VidsuiteError where no run is left to train on, or none to test."""
    if not {"train", "test"} <= {*splits.values()}:
        raise VidsuiteError(f"{source}: leaves no run to train on or none to test; bring one for each, or {remedy}")


def _convert_one(frame: Rendered, ids: np.ndarray, classes: ClassMap) -> Converted:
    import cv2

    require_size(frame.ids, ids.shape, frame.scene, png_size(frame.scene))
    converted, unnamed = classes.classes_in(ids)
    frame.labels.write_bytes(cv2.imencode(".png", converted)[1].tobytes())
    return Converted(converted.size, unnamed)


def _told(unnamed: Counter[str], pixels: int) -> str:
    named = ", ".join(f"{name} ({100 * count / pixels:.3g} % of pixels)" for name, count in unnamed.most_common(TOLD))
    return named + (f" and {len(unnamed) - TOLD} more" if len(unnamed) > TOLD else "")

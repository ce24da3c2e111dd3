"""From label maps to what is stored of them: counts of each frame, and the maps themselves on request."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import VOID
from vidsuite_core.support.paths import inside
from vidsuite_core.tasks.base import Reducer
from vidsuite_core.tasks.segmentation_counts import (
    boundary_counts,
    centres,
    changed_pixels,
    class_counts,
    confusion,
    lagged_confusions,
    stable_counts,
)

if TYPE_CHECKING:
    from pathlib import Path

LAGS = 8
"""Earlier predictions that a frame is counted against, for scores of streams."""

MAX_PIXELS = 2**26
"""Of a label map that is read back."""

_LONGEST_NAME = 200
_GREY_8 = bytes((8, 0))
"""Bit depth and colour type of a PNG with a number of 8 bits a pixel."""


class FrameReducer(Reducer):
    """Counts each labelled frame as it is predicted; holds the last predictions of one sequence only.

    Args:
        classes: K.
        keep: folder to write each labelled frame's predicted label map into, as PNG.
    """

    def __init__(self, classes: int, keep: Path | None = None) -> None:
        if classes > VOID:
            raise VidsuiteError(f"{classes} classes do not fit 8-bit label maps, in which {VOID} is void; merge some")
        self.classes = classes
        self.keep = keep
        self._begun: set[str] = set()
        self._sequence, self._position = "", -1
        self._maps: deque[np.ndarray] = deque(maxlen=LAGS + 1)  # the newest first, as in `lagged_confusions`
        self._changes: deque[np.ndarray | None] = deque(maxlen=LAGS)
        self._truth: np.ndarray | None = None

    def add(self, output: Mapping[str, Any]) -> dict[str, Any] | None:
        """The counts of a frame, by the names under which they are stored; None for one that is context alone.

        Args:
            output: `sample_id`, `scored`, `sequence`, `position`, `latency` in seconds, and the maps (1, H, W)
                `pred_sem_seg` and `gt_sem_seg`, each a dict with `data`.

        Raises:
            RuntimeError: the frames of a sequence do not come in order and without another's between them.
            VidsuiteError: a label is no class, or the two maps differ in size.
        """
        name = str(output["sample_id"])
        self._enter(str(output["sequence"]), int(output["position"]), name)
        found = predicted_map(output["pred_sem_seg"]["data"], self.classes, name)
        if self._maps:
            if self._maps[0].shape != found.shape:
                raise VidsuiteError(f"frame {name!r} differs in size from the one before it; resize them alike")
            self._changes.appendleft(changed_pixels(found, self._maps[0]))
        self._maps.appendleft(found)
        before, self._truth = self._truth, None
        if not output["scored"]:
            return None
        self._truth = true_map(output["gt_sem_seg"]["data"], self.classes, name)
        if self.keep is not None:
            save_label_map(self.keep, name, found)
        counts = self._count(name, self._truth, before)
        return {"sample_id": name, "latency": float(output.get("latency", "nan")), **counts}

    def _enter(self, sequence: str, position: int, name: str) -> None:
        """Go to a frame, with nothing remembered unless it follows on the last one."""
        goes_on = sequence == self._sequence
        if not goes_on and sequence in self._begun:
            raise RuntimeError(f"frame {name!r}: sequence {sequence!r} goes on after another; predict it in one go")
        if goes_on and position <= self._position:
            raise RuntimeError(f"frame {name!r}: position {position} of {sequence!r} comes after {self._position}")
        if not goes_on or position != self._position + 1:
            self._maps.clear()
            self._changes.clear()
            self._truth = None
        self._begun.add(sequence)
        self._sequence, self._position = sequence, position

    def _count(self, name: str, truth: np.ndarray, before: np.ndarray | None) -> dict[str, Any]:
        maps = list(self._maps)
        if truth.shape != maps[0].shape:
            sizes = [f"{width}x{height}" for height, width in (maps[0].shape, truth.shape)]
            raise VidsuiteError(f"sample {name!r}: the prediction is {sizes[0]}, its labels {sizes[1]}; resize either")
        counts = lagged_confusions(truth, maps, list(self._changes), self.classes)
        lagged = np.zeros((LAGS, self.classes, self.classes), np.int32)
        lagged[: len(maps) - 1] = counts[1:]
        return {
            "confusion": counts[0],
            "boundary": boundary_counts(truth, maps[0], self.classes),
            "stable": np.zeros(2, np.int32) if before is None else stable_counts(truth, before, maps[0], maps[1]),
            "lagged": lagged,
            "lags": len(maps) - 1,
            "eighth": class_counts(confusion(centres(truth), centres(maps[0]), self.classes)),
        }


def predicted_map(value: Any, classes: int, name: str) -> np.ndarray:
    """A predicted map (1, H, W) of integers as uint8 (H, W); `VidsuiteError` where a label is no class."""
    labels = _label_map(value, f"frame {name!r}: its prediction")
    if labels.max() >= classes:
        raise VidsuiteError(
            f"frame {name!r}: its prediction holds label {labels.max()}; the task has classes 0 to {classes - 1}"
        )
    return labels


def true_map(value: Any, classes: int, name: str) -> np.ndarray:
    """A true map (1, H, W) of integers as uint8 (H, W); `VidsuiteError` where a label is neither class nor void."""
    labels = _label_map(value, f"sample {name!r}: its label map")
    wrong = (labels >= classes) & (labels != VOID)
    if wrong.any():
        raise VidsuiteError(
            f"sample {name!r}: its label map holds {labels[wrong][0]}; the task has classes 0 to {classes - 1} and "
            f"{VOID} for void, so mend the file or the dataset's `label_of`"
        )
    return labels


def _label_map(value: Any, what: str) -> np.ndarray:
    labels = np.asarray(value)
    if labels.ndim != 3 or len(labels) != 1 or not labels.size or labels.dtype.kind not in "iu":
        raise VidsuiteError(f"{what} is {labels.dtype} {labels.shape}, expected integers of shape 1xHxW")
    if labels.dtype != np.uint8 and (labels.min() < 0 or labels.max() > VOID):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise VidsuiteError(f"{what} holds label {wrong}; labels are 0 to {VOID}")
    return labels[0].astype(np.uint8, order="C")  # a copy: networks may write the next one in the same memory


def label_map_name(sample_id: str) -> str:
    """The file name of a sample's label map.

    Two samples have two names: what is no letter, digit or one of "_.-~" is written as in a URL, and what is too long
    for a file's name ends in its hash.
    """
    name = quote(sample_id, safe="")
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 17]}-{hashlib.sha256(sample_id.encode()).hexdigest()[:16]}"
    return f"{name}.png"


def save_label_map(folder: Path, sample_id: str, labels: np.ndarray) -> Path:
    """Write a label map (H, W) uint8 as grey PNG, values as they are, to a file in `folder` named after the sample."""
    path = inside(folder, label_map_name(sample_id))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(labels))
    return path


def encoded(labels: np.ndarray) -> bytes:
    """A label map (H, W) uint8 as grey PNG, values as they are."""
    import cv2

    # Runs are all there is in label maps: with this strategy files are as small as with others, in a tenth of the time.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    data: bytes = cv2.imencode(".png", labels, options)[1].tobytes()
    return data


def encoded_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of a file as `encoded` writes it tells; (0, 0) of any other file."""
    is_png = data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and data[24:26] == _GREY_8
    if not is_png:
        return 0, 0
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def read_label_map(data: bytes, classes: int, name: str) -> np.ndarray:
    """The label map (H, W) uint8 in a file as `save_label_map` writes it, its labels below `classes`.

    Args:
        name: what it is called where it is none.

    Raises:
        VidsuiteError: it is none; the file may be a stranger's, and nothing is decoded before its size is known.
    """
    import cv2

    width, height = encoded_size(data)
    if not 0 < width * height <= MAX_PIXELS:
        raise VidsuiteError(f"{name} is no label map (8 bit grey PNG of up to {MAX_PIXELS} pixels)")
    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8 or labels.max() >= classes:
        raise VidsuiteError(f"{name} is damaged, or holds a label that is no class")
    return labels

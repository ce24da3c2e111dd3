"""What `video_segmentation` stores of frames whose labels are kept back: the label maps that were predicted.

A labelled frame is counted against the predictions for the frames before it, too (see `segmentation_reducer`), so the
maps of up to `LAGS` frames that lead to it are stored as well. For N frames that are to be scored, M maps and B bytes:

- `latency` (N,): seconds that the prediction took; NaN where it was not timed.
- `map_offset` (N + 1,): frame i brings the maps [offset[i], offset[i + 1]), of frames that follow on each other; the
  last is its own.
- `png_offset` (M + 1,), `png` (B,) uint8: each map as a file, see `segmentation_reducer.encoded`.

Whoever has the labels sends the maps through the same reducer, frame by frame, so the counts are those of a run that
has them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media.labels import read_labels, resize_labels
from vidsuite_core.tasks.base import Reducer, require
from vidsuite_core.tasks.detection_boxes import offsets
from vidsuite_core.tasks.segmentation_reducer import (
    LAGS,
    FrameReducer,
    encoded,
    encoded_size,
    predicted_map,
    read_label_map,
    save_label_map,
)

if TYPE_CHECKING:
    from pathlib import Path

    from vidsuite_core.samples import FrameSample

ANSWERS = ("latency", "map_offset", "png_offset", "png")
LARGER = 2
"""Times that a predicted map may be larger than the true one, to either side: more than networks answer with."""


class FrameAnswerer(Reducer):
    """Holds the newest maps of one sequence, and gives each frame that is to be scored those that no frame before has.

    Args:
        classes: K.
        keep: folder to write each such frame's own map into, as PNG.
    """

    def __init__(self, classes: int, keep: Path | None = None) -> None:
        self.classes = classes
        self.keep = keep
        self._order = FrameReducer(classes)
        self._last: tuple[str, int] = ("", -1)
        self._maps: deque[bytes] = deque(maxlen=LAGS + 1)

    def add(self, output: Mapping[str, Any]) -> dict[str, Any] | None:
        """`sample_id`, `latency` and `maps` of a frame that is to be scored; None for one that is context alone.

        Raises:
            RuntimeError, VidsuiteError: as `FrameReducer.add`, which the maps are to go through.
        """
        name, place = str(output["sample_id"]), (str(output["sequence"]), int(output["position"]))
        self._order.add({**output, "scored": False})
        if place != (self._last[0], self._last[1] + 1):
            self._maps.clear()
        self._last = place
        labels = predicted_map(output["pred_sem_seg"]["data"], self.classes, name)
        self._maps.append(encoded(labels))
        if not output["scored"]:
            return None
        if self.keep is not None:
            save_label_map(self.keep, name, labels)
        maps = list(self._maps)
        self._maps.clear()
        return {"sample_id": name, "latency": float(output.get("latency", "nan")), "maps": maps}


def as_arrays(outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of `ANSWERS` from what the answerer returned, in the samples' order."""
    maps = [one for output in outputs for one in output["maps"]]
    return {
        "latency": np.array([output["latency"] for output in outputs], np.float64),
        "map_offset": offsets([len(output["maps"]) for output in outputs]),
        "png_offset": offsets([len(one) for one in maps]),
        "png": np.frombuffer(b"".join(maps), np.uint8),
    }


def check_maps(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `VidsuiteError` unless maps are divided among frames as they can be; the files are not looked at."""
    png = require(arrays, "png", "u", None)
    if png.dtype != np.uint8:
        raise VidsuiteError(f"predictions' 'png' is {png.dtype}, expected uint8")
    of_map = require(arrays, "png_offset", "iu", None).astype(np.int64)
    of_frame = require(arrays, "map_offset", "iu", len(arrays["sample_id"]) + 1).astype(np.int64)
    for name, offset, end in (("png_offset", of_map, len(png)), ("map_offset", of_frame, len(of_map) - 1)):
        if len(offset) < 2 or offset[0] != 0 or offset[-1] != end or (np.diff(offset) < 1).any():
            raise VidsuiteError(f"predictions' {name!r} must rise from 0 to {end}")
    sizes, position = np.diff(of_frame), arrays["position"].astype(np.int64)
    if (sizes > LAGS + 1).any() or (sizes > position + 1).any():
        raise VidsuiteError(f"predictions' 'map_offset' gives a frame more than {LAGS + 1} maps, or than lead to it")


def counted(
    arrays: Mapping[str, np.ndarray], samples: Sequence[FrameSample], reducer: FrameReducer, classes: int
) -> list[dict[str, Any]]:
    """What the reducer makes of stored maps and the samples' labels, in the samples' order.

    Raises:
        VidsuiteError: a map is damaged, is larger than the frame could be, or two maps are of one frame.
    """
    order = sorted(range(len(samples)), key=lambda row: (samples[row].recording, samples[row].index))
    found: dict[int, dict[str, Any]] = {}
    for row in order:
        sample = samples[row]
        truth = read_labels(sample)
        for position, labels in _maps(arrays, row, sample, classes, truth.shape):
            scored = position == sample.index
            output = {"sample_id": sample.id, "scored": scored, "sequence": sample.recording, "position": position}
            output |= {"latency": arrays["latency"][row], "pred_sem_seg": {"data": labels[None]}}
            if scored:
                output["gt_sem_seg"] = {"data": resize_labels(truth, labels.shape[::-1])[None]}
            try:
                counts = reducer.add(output)
            except RuntimeError as error:  # the order of frames is the submitter's here
                raise VidsuiteError(f"its label maps do not follow on each other: {error}") from error
            if counts is not None:
                found[row] = counts
    return [found[row] for row in range(len(samples))]


def _maps(
    arrays: Mapping[str, np.ndarray], row: int, sample: FrameSample, classes: int, shape: tuple[int, ...]
) -> Iterator[tuple[int, np.ndarray]]:
    """Position and map of each frame that a sample brings; none is decoded that is larger than `LARGER` allows."""
    first, stop = (int(place) for place in arrays["map_offset"][row : row + 2])
    for place in range(first, stop):
        start, end = (int(byte) for byte in arrays["png_offset"][place : place + 2])
        data, position = arrays["png"][start:end].tobytes(), sample.index - (stop - 1 - place)
        width, height = encoded_size(data)
        if width > LARGER * shape[1] or height > LARGER * shape[0]:
            raise VidsuiteError(
                f"sample {sample.id!r}: a predicted label map is {width}x{height}, its frame {shape[1]}x{shape[0]}"
            )
        yield position, read_label_map(data, classes, f"sample {sample.id!r}: a predicted label map")

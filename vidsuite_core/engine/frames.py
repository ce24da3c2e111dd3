"""The torch dataset of `video_segmentation`: labelled frames of sequences, as mmsegmentation's networks take them."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.structures import PixelData
from torch.utils.data import Dataset as TorchDataset

from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media import MAX_FRAME_PIXELS, VideoError, open_video
from vidsuite_core.samples import VOID, FrameSample, FrameSequence

CHUNK = 16
"""Frames that are decoded at once from a video file: runs of frames are read together, and seeking is what costs."""
MEMORY = 256 * 2**20
"""Bytes of decoded frames that a process keeps."""


@dataclass(frozen=True)
class Frame:
    """A frame that a network is shown; `sample` is None for one that is context alone."""

    sequence: FrameSequence
    index: int
    sample: FrameSample | None


@DATASETS.register_module()
class FrameDataset(TorchDataset[dict[str, Any]]):
    """Frames through a pipeline of mmcv's and mmseg's transforms, from `vidsuite.ReadFrame` to `vidsuite.PackFrame`.

    Items are `inputs` uint8 (3, H, W) RGB and `data_samples`, mmseg's SegDataSample with `gt_sem_seg` (1, H, W) and,
    in its metainfo, `sample_id`, `scored`, `sequence`, `position` and `draw` (None but where a draw was given).

    Args:
        samples: of one dataset, a sequence's in order.
        lead: up to so many frames before each sample are items as well, even those that are no samples: networks
            with a memory need them, and streaming scores. They bear void labels and `scored` False.
    """

    def __init__(self, samples: Sequence[FrameSample], pipeline: Sequence[Any], lead: int = 0) -> None:
        self.samples = list(samples)
        self.pipeline = Compose(list(pipeline))
        self.frames = list(_with_lead(self.samples, lead))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        """The item `index`; with (index, draw), items of one draw are augmented alike."""
        place, draw = index if isinstance(index, tuple) else (index, None)
        with _random_state(draw):
            item: dict[str, Any] = self.pipeline({**_entry(self.frames[place]), "draw": draw})
        return item

    def cost_items(self, count: int) -> tuple[list[dict[str, Any]], str]:
        """Up to `count` consecutive frames, to measure what one of a stream costs, and what one is."""
        first = self.frames[0]
        stream = [i for i, frame in enumerate(self.frames[:count]) if frame.sequence is first.sequence]
        items = [self[index] for index in stream]
        height, width = items[0]["inputs"].shape[-2:]
        return items, f"1 frame of {width}x{height}"


@TRANSFORMS.register_module()
class ReadFrame:
    """Adds mmseg's `img` (H, W, 3) uint8 RGB and `gt_seg_map` (H, W) uint8 to a dict that has `frame`, a `Frame`.

    Args:
        size: (width, height) to resize to, the frame by area averaging, the labels by their nearest pixel; None
            keeps the frame's own.
    """

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.size = tuple(size) if size else None
        self.reader = _reader()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        frame: Frame = results["frame"]
        image = self.reader.read(frame.sequence, frame.index)
        labels = np.full(image.shape[:2], VOID, np.uint8) if frame.sample is None else read_labels(frame.sample)
        if labels.shape != image.shape[:2]:
            where = f"{frame.sequence.name} frame {frame.index}"
            raise VidsuiteError(f"labels of {where} are {labels.shape[::-1]}, its frame is {image.shape[1::-1]} pixels")
        if self.size:
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
            labels = cv2.resize(labels, self.size, interpolation=cv2.INTER_NEAREST)
        results |= {"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2], "gt_seg_map": labels}
        results["seg_fields"] = ["gt_seg_map"]
        return results


@TRANSFORMS.register_module()
class PackFrame:
    """The item of `FrameDataset` from mmseg's keys; mmseg's PackSegInputs with the metainfo that streams need."""

    meta = ("sample_id", "scored", "sequence", "position", "draw", "ori_shape", "img_shape", "pad_shape", "flip",
            "flip_direction", "scale_factor", "reduce_zero_label")  # fmt: skip

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        from mmseg.structures import SegDataSample

        inputs = torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
        labels = torch.from_numpy(results["gt_seg_map"][None].astype(np.int64))  # a loss takes uint8 for a mask
        sample = SegDataSample(metainfo={name: results[name] for name in self.meta if name in results})
        sample.gt_sem_seg = PixelData(data=labels)
        return {"inputs": inputs, "data_samples": sample}


class FrameReader:
    """Decodes frames of sequences, from video files in chunks, and keeps the newest in memory.

    Args:
        memory: bytes of frames to keep.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory = memory
        self._kept: OrderedDict[tuple[str, str, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    def read(self, sequence: FrameSequence, index: int) -> np.ndarray:
        """Frame `index`, uint8 (H, W, 3), the caller's own; raises `VideoError` where it cannot be decoded."""
        step = CHUNK if isinstance(sequence.frames, Path) else 1
        first = index - index % step
        key = (sequence.content, sequence.name, first)
        chunk = self._kept.get(key)
        if chunk is None:
            chunk = self._kept[key] = _decode(sequence, first, min(first + step, sequence.length))
            self._bytes += chunk.nbytes
            while self._bytes > self.memory and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(key)
        return chunk[index - first].copy()


def read_labels(sample: FrameSample) -> np.ndarray:
    """The label map (H, W) uint8 of classes, 255 where void.

    Raises:
        VidsuiteError: the file is missing, no PNG of one channel, or too large.
    """
    labels = cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED) if sample.labels.is_file() else None
    if labels is None or labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        raise VidsuiteError(f"{sample.labels}: no readable label map (8 or 16 bit grey PNG); check or import it again")
    if labels.size > MAX_FRAME_PIXELS:
        raise VidsuiteError(f"{sample.labels}: larger than {MAX_FRAME_PIXELS} pixels")
    if sample.label_of is not None:
        labels = _table(tuple(sorted(sample.label_of.items())))[labels]
    elif labels.dtype != np.uint8:
        labels = np.where(labels < VOID, labels, VOID).astype(np.uint8)
    return labels


@lru_cache(maxsize=16)
def _table(label_of: tuple[tuple[int, int], ...]) -> np.ndarray:
    table = np.full(2**16, VOID, np.uint8)
    for value, label in label_of:
        table[value] = label
    return table


@lru_cache(maxsize=1)
def _reader() -> FrameReader:
    """One for all pipelines of a process: training and validation share its memory."""
    return FrameReader()


def _decode(sequence: FrameSequence, start: int, stop: int) -> np.ndarray:
    source = sequence.frames if isinstance(sequence.frames, Path) else sequence.frames[start:stop]
    offset = 0 if isinstance(sequence.frames, Path) else start
    with open_video(source) as video:
        frames = video.read(start - offset, stop - offset)
    if frames.dtype != np.uint8:
        raise VideoError(f"{sequence.name}: frames are {frames.dtype}; 8 bit are needed")
    return np.repeat(frames, 3, axis=3) if frames.shape[3] == 1 else frames


def _with_lead(samples: Sequence[FrameSample], lead: int) -> Iterator[Frame]:
    """The samples' frames, each after those of the `lead` frames before it that are not yet given."""
    given: tuple[str, int] = ("", -1)
    for sample in samples:
        first = max(0, sample.index - lead)
        if given[0] == sample.sequence.name:
            first = max(first, given[1] + 1)
        for index in range(first, sample.index):
            yield Frame(sample.sequence, index, None)
        yield Frame(sample.sequence, sample.index, sample)
        given = (sample.sequence.name, sample.index)


def _entry(frame: Frame) -> dict[str, Any]:
    name = frame.sample.id if frame.sample else f"{frame.sequence.name}#{frame.index}"
    return {
        "frame": frame,
        "sample_id": name,
        "scored": frame.sample is not None,
        "sequence": frame.sequence.name,
        "position": frame.index,
        "reduce_zero_label": False,
    }


@contextmanager
def _random_state(draw: int | None) -> Iterator[None]:
    """The state that transforms draw from is that of `draw`, and afterwards what it was."""
    if draw is None:
        yield
        return
    kept = random.getstate(), np.random.get_state()
    random.seed(draw)
    np.random.seed(draw % 2**32)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])

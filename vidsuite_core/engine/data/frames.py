"""The torch dataset of `video_segmentation`: labelled frames of sequences, as mmsegmentation's networks take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData

from vidsuite_core.engine.data.packing import SampleDataset
from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media.framing import Framing
from vidsuite_core.media.labels import read_labels, resize_labels
from vidsuite_core.media.reader import frame_size, shared_reader
from vidsuite_core.samples import VOID, FrameSample, Recording


@dataclass(frozen=True)
class Frame:
    """A frame that a network is shown; `sample` is None for one that is context alone."""

    footage: Recording
    index: int
    sample: FrameSample | None


@DATASETS.register_module()
class FrameDataset(SampleDataset):
    """Frames through a pipeline of mmcv's and mmseg's transforms, from `vidsuite.ReadFrame` to `vidsuite.PackFrame`.

    Items are `inputs` uint8 (3, H, W) RGB and `data_samples`, mmseg's SegDataSample with `gt_sem_seg` (1, H, W) and,
    in its metainfo, `sample_id`, `scored`, `sequence`, `position` and `draw` (None but where a draw was given).

    Args:
        samples: of one dataset, a sequence's in order.
        lead: up to so many frames before each sample are items as well, even those that are no samples: networks
            with a memory need them, and streaming scores. They bear `scored` False and void labels; void are also
            those of samples whose labels are kept back.
    """

    def __init__(self, samples: Sequence[FrameSample], pipeline: Sequence[Any], lead: int = 0) -> None:
        super().__init__(samples, pipeline)
        self.frames = list(_with_lead(self.samples, lead))

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, place: int) -> Frame:
        """See `SampleDataset.at`."""
        return self.frames[place]

    def entry(self, sample: Frame) -> dict[str, Any]:
        """What the pipeline starts from."""
        return {
            "frame": sample,
            "sample_id": sample.sample.id if sample.sample else f"{sample.footage.name}#{sample.index}",
            "scored": sample.sample is not None,
            "sequence": sample.footage.name,
            "position": sample.index,
            "reduce_zero_label": False,
        }

    def groups(self) -> list[list[int]]:
        """The places of each recording's frames, which are predicted one after another."""
        found: dict[str, list[int]] = {}
        for place, frame in enumerate(self.frames):
            found.setdefault(frame.footage.name, []).append(place)
        return list(found.values())

    def cost_items(self, count: int) -> tuple[list[dict[str, Any]], str]:
        """Up to `count` consecutive frames, to measure what one of a stream costs, and what one is."""
        first = self.frames[0]
        stream = [i for i, frame in enumerate(self.frames[:count]) if frame.footage is first.footage]
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
        self.framing = Framing(size=size, interpolation="area", channels=3)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        frame: Frame = results["frame"]
        image = shared_reader().frame(frame.footage, frame.index, self.framing)
        if frame.sample is not None and frame.sample.labelled:
            labels = self._labels(frame.sample)
        else:
            labels = np.full(image.shape[:2], VOID, np.uint8)
        results |= {"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2], "gt_seg_map": labels}
        results["seg_fields"] = ["gt_seg_map"]
        return results

    def _labels(self, sample: FrameSample) -> np.ndarray:
        labels, size = read_labels(sample), frame_size(sample.footage)
        if labels.shape != size:
            where = f"{sample.recording} frame {sample.index}"
            raise VidsuiteError(f"labels of {where} are {labels.shape[::-1]}, its frame is {size[::-1]} pixels")
        return resize_labels(labels, self.framing.size) if self.framing.size else labels


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


def _with_lead(samples: Sequence[FrameSample], lead: int) -> Iterator[Frame]:
    """The samples' frames, each after those of the `lead` frames before it that are not yet given."""
    given: tuple[str, int] = ("", -1)
    for sample in samples:
        first = max(0, sample.index - lead)
        if given[0] == sample.recording:
            first = max(first, given[1] + 1)
        for index in range(first, sample.index):
            yield Frame(sample.footage, index, None)
        yield Frame(sample.footage, sample.index, sample)
        given = (sample.recording, sample.index)

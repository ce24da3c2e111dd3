"""The torch dataset of `action_detection`: a key frame with its boxes, and the clip that ends in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vidsuite_core.engine.data.packing import PerChannel, SampleDataset, to_tensor
from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.errors import UsageError
from vidsuite_core.media.framing import Framing, Interpolation
from vidsuite_core.media.reader import frame_size, shared_reader

if TYPE_CHECKING:
    from vidsuite_core.samples import KeyFrameSample


@DATASETS.register_module()
class KeyFrameDataset(SampleDataset):
    """Key frames through a pipeline, from `vidsuite.ReadKeyFrame` to `vidsuite.PackKeyFrame` or mmdet's PackDetInputs.

    Items are `inputs` and `data_samples`, mmdet's DetDataSample: `gt_instances` (unless labels are kept back) holds
    `bboxes` (n, 4) xyxy in pixels of the inputs and `labels` (n,), and its metainfo `sample_id`, `ori_shape`,
    `img_shape` and `scale_factor` (width, height), and `sequence` and `position`, by which a network with a memory
    tells which key frames follow on each other: in steps of the distance from one key frame to the next. A detector
    predicts in pixels of the frame as it was, which is what mmdet's do with `rescale`.
    """

    def __init__(self, samples: Sequence[KeyFrameSample], pipeline: Sequence[Any]) -> None:
        super().__init__(samples, pipeline)
        self.step = _step(self.samples)

    def entry(self, sample: KeyFrameSample) -> dict[str, Any]:
        """`sample`, and what mmdet's PackDetInputs is to name among its `meta_keys`."""
        return {
            "sample": sample,
            "sample_id": sample.id,
            "img_id": sample.id,
            "sequence": sample.recording,
            "position": sample.index // self.step,
        }


def _step(samples: Sequence[KeyFrameSample]) -> int:
    """Frames from one key frame of a recording to the next: the greatest number that divides all their distances."""
    step = 0
    before: dict[str, int] = {}
    for sample in samples:
        step = math.gcd(step, sample.index - before.get(sample.recording, sample.index))
        before[sample.recording] = sample.index
    return step or 1


@TRANSFORMS.register_module()
class ReadKeyFrame:
    """Adds a key frame and the clip before it to a dict that has `sample` (a `KeyFrameSample`).

    `clip` is uint8 (T, H, W, C), its last frame the key frame; frames before the recording's first are the first one.
    As mmdet's transforms take them, there are also `img` (H, W, C), the key frame, RGB unlike mmdet's own; `gt_bboxes`
    float32 (n, 4) and `gt_bboxes_labels` int64 (n,), unless they are kept back; `img_shape`, `ori_shape` and
    `scale_factor`.

    Args:
        length: T; 1 for detectors of single frames.
        stride: frames from one of the clip to the next; of several, each time one is drawn.
        size: (width, height), or the side of a square, that frames are stretched to; None keeps their own, as it must
            be where mmdet's transforms resize, which tell their own `scale_factor`.
        interpolation: "bilinear" or "area".
        channels: 3 (grey is repeated), 1 (colour becomes grey) or None (as they are stored).
    """

    def __init__(
        self,
        length: int = 16,
        stride: int | Sequence[int] = 1,
        size: int | tuple[int, int] | None = 224,
        interpolation: Interpolation = "bilinear",
        channels: int | None = 3,
    ) -> None:
        self.strides = [stride] if isinstance(stride, int) else list(stride)
        if length < 1 or not self.strides or min(self.strides) < 1:
            raise UsageError(f"a clip of length={length} and stride={stride} has no frames; give 1 or more of both")
        self.length = length
        pair = (size, size) if isinstance(size, int) else size
        self.framing = Framing(size=pair, fit="stretch", interpolation=interpolation, channels=channels)
        self._whole = Framing(channels=channels)

    @property
    def span(self) -> int:
        """How many frames up to the key frame a clip may reach back to, itself among them."""
        return (self.length - 1) * max(self.strides) + 1

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample: KeyFrameSample = results["sample"]
        stride = self.strides[np.random.randint(len(self.strides))] if len(self.strides) > 1 else self.strides[0]
        indices = [max(sample.index - stride * back, 0) for back in reversed(range(self.length))]
        clip = shared_reader().read(sample.footage, indices, self.framing)
        height, width = frame_size(sample.footage)
        shown = clip.shape[1:3]
        truth = {}
        if sample.labelled:
            boxes = np.array(sample.boxes, np.float32).reshape(-1, 4)
            truth["gt_bboxes"] = self.framing.boxes(boxes, width, height)
            truth["gt_bboxes_labels"] = np.array(sample.classes, np.int64)
        return {
            **results,
            **truth,
            "clip": clip,
            "img": clip[-1],
            "ori_shape": (height, width),
            "img_shape": shown,
            "scale_factor": (shown[1] / width, shown[0] / height),
        }


@TRANSFORMS.register_module()
class PackKeyFrame:
    """The item of `KeyFrameDataset` with `inputs` float32 of the whole clip, from what `ReadKeyFrame` adds.

    Args:
        mean, std: pixels become (pixel - mean) / std, for all channels or for each; by default [0, 1].
        layout: order of the axes.
    """

    meta = ("sample_id", "img_id", "sequence", "position", "ori_shape", "img_shape", "scale_factor")

    def __init__(self, mean: PerChannel = 0.0, std: PerChannel = 255.0, layout: str = "CTHW") -> None:
        self.mean, self.std, self.layout = mean, std, layout

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        from mmdet.structures import DetDataSample
        from mmengine.structures import InstanceData

        sample = DetDataSample(metainfo={name: results[name] for name in self.meta})
        if "gt_bboxes" in results:
            boxes, labels = torch.from_numpy(results["gt_bboxes"]), torch.from_numpy(results["gt_bboxes_labels"])
            sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        return {"inputs": to_tensor(results["clip"], "THWC", self.layout, self.mean, self.std), "data_samples": sample}

"""What the datasets share: items from a pipeline, data elements, and pixels as tensors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset as TorchDataset

from vidsuite_core.errors import UsageError

PerChannel = float | Sequence[float]


class SampleDataset(TorchDataset[dict[str, Any]]):
    """Samples through a pipeline of transforms, which starts from `entry(sample)` and `draw`.

    Asked for (index, draw), items of one draw are augmented alike, as frames of a run must be; else `draw` is None.
    """

    def __init__(self, samples: Sequence[Any], pipeline: Sequence[Any]) -> None:
        self.samples = list(samples)
        self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        place, draw = index if isinstance(index, tuple) else (index, None)
        with _random_state(draw):
            return self.item(self.at(place), draw)

    def at(self, place: int) -> Any:
        """What the item at a place is made from: a sample."""
        return self.samples[place]

    def item(self, sample: Any, draw: int | None = None) -> dict[str, Any]:
        """The item of a sample, which need not be one of the dataset's."""
        item: dict[str, Any] = self.pipeline({**self.entry(sample), "draw": draw})
        return item

    def entry(self, sample: Any) -> dict[str, Any]:
        """What the pipeline starts from."""
        return {"sample": sample}


def data_sample(sample: Any, **fields: Any) -> BaseDataElement:
    """A data element with `sample_id` (meta) and `gt_label` (1,), as mmaction2's ActionDataSample has it.

    A sample whose label is kept back has no `gt_label`.
    """
    element = BaseDataElement(metainfo={"sample_id": sample.id})
    if sample.labelled:
        element.gt_label = torch.tensor([sample.label])
    for name, value in fields.items():
        element.set_field(value, name)
    return element


def to_tensor(frames: np.ndarray, axes: str, layout: str, mean: PerChannel, std: PerChannel) -> torch.Tensor:
    """Pixels as float32 (pixel - mean) / std with the axes in another order.

    Args:
        frames: uint8, its axes named by the letters of `axes`, of which the last is C: "THWC".
        layout: the same letters in the order of the result: "CTHW".
        mean, std: in pixel values, one for all channels or one for each.

    Raises:
        UsageError: the letters differ, or there are other numbers of channels.
    """
    if sorted(axes) != sorted(layout):
        raise UsageError(f"layout {layout!r} must name the axes {', '.join(axes)} once each")
    shape = [1] * len(layout)
    shape[layout.index("C")] = -1
    means, stds = (np.atleast_1d(np.asarray(values, np.float64)) for values in (mean, std))
    for name, values in (("mean", means), ("std", stds)):
        if values.ndim != 1 or len(values) not in (1, frames.shape[-1]):
            channels = f"each of {frames.shape[-1]} channels"
            raise UsageError(f"{name} {values.tolist()} is neither one number nor one for {channels}")
    scale = torch.from_numpy(stds).float().reshape(shape)
    shift = torch.from_numpy(means / stds).float().reshape(shape)
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).permute([axes.index(axis) for axis in layout])
    return tensor.float().div_(scale).sub_(shift)


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

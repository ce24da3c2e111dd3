"""The torch datasets of a cell: clips as they are, or features computed from them once and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset as TorchDataset

from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import ClipSample
from vidsuite_core.support.cache import cache_key, feature_cache

Report = Callable[[str, int, int], None]


class Extractor(Protocol):
    """What computes features from clips; built from a config by mmengine's MODELS registry."""

    batch_size: int

    def key(self) -> Mapping[str, Any]:
        """All that decides the features beside the clip: network, weights, precision."""

    def extract(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features of uint8 clips (T, H, W, 3); any shape, one array a clip."""

    def to(self, device: str) -> Extractor:
        """Move to a device; called before `extract`."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Of the network."""


def data_sample(sample: Any, **fields: Any) -> BaseDataElement:
    """A data element with `sample_id` (meta) and `gt_label` (1,), as mmaction2's ActionDataSample has it."""
    element = BaseDataElement(metainfo={"sample_id": sample.id})
    element.gt_label = torch.tensor([sample.label])
    for name, value in fields.items():
        element.set_field(value, name)
    return element


@DATASETS.register_module()
class ClipDataset(TorchDataset[dict[str, Any]]):
    """Clips through a pipeline of transforms, which begins with `vidsuite.ReadClip` or mmaction2's SampleFrames.

    A sample enters the pipeline as a dict of `sample`, `label`, and mmaction2's `filename`, `start_index`,
    `total_frames` and `modality`.
    """

    def __init__(self, samples: Sequence[ClipSample], pipeline: Sequence[Any]) -> None:
        self.samples = list(samples)
        self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.pipeline(entry(self.samples[index]))
        return item


@DATASETS.register_module()
class FeatureDataset(TorchDataset[dict[str, Any]]):
    """Features of clips: read by `pipeline` (which adds `clip`), computed by `extractor`, cached, kept in memory.

    Items are `inputs` (the features as a float tensor) and `data_samples`.
    """

    def __init__(self, samples: Sequence[ClipSample], pipeline: Sequence[Any], extractor: Any) -> None:
        self.samples = list(samples)
        self.pipeline = Compose(list(pipeline))
        unkeyed = [type(t).__name__ for t in self.pipeline.transforms if not hasattr(t, "key")]
        if unkeyed:
            raise UsageError(f"features are cached, so {unkeyed[0]} before them needs a method key(sample)")
        self.extractor: Extractor = MODELS.build(extractor) if isinstance(extractor, Mapping) else extractor
        self._items: list[dict[str, Any]] | None = None
        self._device = "cpu"

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self._items is None:
            raise RuntimeError("FeatureDataset.prepare() was not called")
        return self._items[index]

    def pack(self, index: int, features: np.ndarray) -> dict[str, Any]:
        """An item from a sample's features."""
        return {
            "inputs": torch.from_numpy(np.array(features, dtype=np.float32)),
            "data_samples": data_sample(self.samples[index]),
        }

    def clip(self, index: int) -> np.ndarray:
        """The decoded clip, uint8 (T, H, W, 3)."""
        clip: np.ndarray = self.pipeline(entry(self.samples[index]))["clip"]
        return clip

    def prepare(self, device: str, report: Report) -> int:
        """Compute the features that the cache lacks; returns how many those were."""
        self._device = device
        cache = feature_cache()
        keys = [self._key(sample) for sample in self.samples]
        stored = [cache.get(key) for key in keys]
        missing = [index for index, arrays in enumerate(stored) if arrays is None]
        features = [arrays["features"] if arrays else None for arrays in stored]
        if missing:
            self.extractor.to(device)
        done = 0
        for batch, clips in self._read_ahead(missing):
            for index, values in zip(batch, self.extractor.extract(clips), strict=True):
                cache.put(keys[index], {"features": values})
                features[index] = values
            done += len(batch)
            report("features", done, len(missing))
        # Packed once: with thousands of epochs over small features, packing would cost more than training.
        self._items = [self.pack(index, values) for index, values in enumerate(features) if values is not None]
        return len(missing)

    def _key(self, sample: ClipSample) -> str:
        return cache_key(
            clip=[transform.key(sample) for transform in self.pipeline.transforms],
            extractor=dict(self.extractor.key()),
            computed={"device": self._device, "torch": torch.__version__},
            kind="features",
        )

    def _read_ahead(self, indices: Sequence[int]) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Batches of clips; the next is decoded while the caller works on this one."""
        remaining = iter(sorted(indices, key=lambda index: (len(self.samples[index]), index)))
        batches = iter(lambda: list(islice(remaining, self.extractor.batch_size)), [])
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead = None
            for batch in batches:
                clips = pool.submit(lambda chosen: [self.clip(index) for index in chosen], batch)
                if ahead is not None:
                    yield ahead[0], ahead[1].result()
                ahead = (batch, clips)
            if ahead is not None:
                yield ahead[0], ahead[1].result()


@TRANSFORMS.register_module()
class PackClip:
    """`clip` uint8 (T, H, W, 3) -> `inputs` float32 (3, T, H, W) in [-1, 1], with `num_frames` in the sample's meta."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        clip = torch.from_numpy(np.ascontiguousarray(results["clip"]))
        sample = data_sample(results["sample"])
        sample.set_metainfo({"num_frames": len(clip)})
        return {"inputs": clip.permute(3, 0, 1, 2).float().div_(127.5).sub_(1), "data_samples": sample}


def entry(sample: ClipSample) -> dict[str, Any]:
    """What a pipeline starts from."""
    return {
        "sample": sample,
        "label": sample.label,
        "filename": str(sample.video),
        "start_index": sample.start,
        "total_frames": len(sample),
        "modality": "RGB",
    }

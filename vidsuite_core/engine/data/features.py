"""Features of clips, computed once by a frozen network and read from the cache as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.registry import MODELS

from vidsuite_core.engine.data.clips import ClipDataset
from vidsuite_core.engine.data.packing import data_sample
from vidsuite_core.engine.registry import DATASETS
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


@DATASETS.register_module()
class FeatureDataset(ClipDataset):
    """Features of clips: read by `pipeline` (which adds `clip`), computed by `extractor`, cached, kept in memory.

    Items are `inputs` (the features as a float tensor) and `data_samples`.
    """

    def __init__(self, samples: Sequence[ClipSample], pipeline: Sequence[Any], extractor: Any) -> None:
        super().__init__(samples, pipeline)
        unkeyed = [type(t).__name__ for t in self.pipeline.transforms if not hasattr(t, "key")]
        if unkeyed:
            raise UsageError(f"features are cached, so {unkeyed[0]} before them needs a method key(sample)")
        self.extractor: Extractor = MODELS.build(extractor) if isinstance(extractor, Mapping) else extractor
        self._items: list[dict[str, Any]] | None = None
        self._device = "cpu"

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
        clip: np.ndarray = self.pipeline(self.entry(self.samples[index]))["clip"]
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

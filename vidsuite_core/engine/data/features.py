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
from vidsuite_core.inference import Inference
from vidsuite_core.samples import ClipSample
from vidsuite_core.support.cache import cache_key, feature_cache

Report = Callable[[str, int, int], None]


class Extractor(Protocol):
    """What computes features from clips; built from a config by mmengine's MODELS registry.

    Attributes:
        batch_size: clips that it takes at once.
        path: how it computed last, as "openvino-fp32"; empty before it did.
        falls: back ends that could not take its network, and why.
    """

    batch_size: int
    path: str
    falls: list[str]

    def key(self) -> Mapping[str, Any]:
        """All that decides the features beside the clip: network, weights, precision."""

    def running(self, inference: Inference) -> Extractor:
        """The same network, run otherwise."""

    def extract(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features of uint8 clips (T, H, W, 3); any shape, one array a clip."""

    def to(self, device: str) -> Extractor:
        """Move to a device; called before `extract`."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Of the network."""


@DATASETS.register_module()
class FeatureDataset(ClipDataset):
    """Features of clips: read by `pipeline` (which adds `clip`), computed by `extractor` once, and cached.

    The cache has an entry a recording. Items are `inputs` (the features as a float tensor) and `data_samples`; they are
    read from the disk as they are asked for, but for the first of them, which are kept packed. `paths` are the
    extractor's (see `Extractor`) when it computed them, now or for the cache.

    Args:
        memory: bytes of features to keep packed: with thousands of epochs over small features, packing them anew would
            cost more than training.
    """

    def __init__(
        self, samples: Sequence[ClipSample], pipeline: Sequence[Any], extractor: Any, memory: int = 256 * 2**20
    ) -> None:
        super().__init__(samples, pipeline)
        unkeyed = [type(t).__name__ for t in self.pipeline.transforms if not hasattr(t, "key")]
        if unkeyed:
            raise UsageError(f"features are cached, so {unkeyed[0]} before them needs a method key(sample)")
        self.extractor: Extractor = MODELS.build(extractor) if isinstance(extractor, Mapping) else extractor
        self._features: dict[int, np.ndarray] = {}
        self._packed: dict[int, dict[str, Any]] = {}
        self._room = memory
        self.paths: list[str] = []
        self._device = "cpu"

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]  # features are not augmented
        if index in self._packed:
            return self._packed[index]
        if len(self._features) != len(self):
            raise RuntimeError("FeatureDataset.prepare() was not called")
        item = self.pack(index, self._features[index])
        if item["inputs"].nbytes <= self._room:
            self._room -= item["inputs"].nbytes
            self._packed[index] = item
        return item

    def pack(self, index: int, features: np.ndarray) -> dict[str, Any]:
        """An item from a sample's features."""
        return _packed(self.samples[index], features)

    def item(self, sample: ClipSample, draw: int | None = None) -> dict[str, Any]:
        """See `SampleDataset.item`: its features are computed now, and not kept."""
        (features,) = self.extractor.extract([super().item(sample, draw)["clip"]])
        return _packed(sample, features)

    def clip(self, index: int) -> np.ndarray:
        """The decoded clip, uint8 (T, H, W, 3)."""
        clip: np.ndarray = self.pipeline(self.entry(self.samples[index]))["clip"]
        return clip

    def prepare(self, device: str, report: Report) -> int:
        """Compute the features that the cache lacks; returns of how many clips those were."""
        self._device = device
        recordings: dict[str, list[int]] = {}
        for index, sample in enumerate(self.samples):
            recordings.setdefault(sample.recording, []).append(index)
        missing = [index for clips in recordings.values() if not self._found(clips) for index in clips]
        if missing:
            self.extractor.to(device)
        computed: dict[int, np.ndarray] = {}
        done = 0
        for batch, clips in self._read_ahead(missing):
            computed |= zip(batch, self.extractor.extract(clips), strict=True)
            for name in {self.samples[index].recording for index in batch}:
                if all(index in computed for index in recordings[name]):
                    self._keep(recordings[name], [computed.pop(index) for index in recordings[name]])
            done += len(batch)
            report("features", done, len(missing))
        return len(missing)

    def _found(self, clips: Sequence[int]) -> bool:
        """Take the features of a recording's clips from the cache."""
        arrays = feature_cache().map(self._key(clips))
        if arrays is None:
            return False
        self.paths = sorted({*self.paths, str(arrays["path"])})
        self._features |= {index: arrays[str(place)] for place, index in enumerate(clips)}
        return True

    def _keep(self, clips: Sequence[int], features: Sequence[np.ndarray]) -> None:
        """Put them into the cache; where it does not take them, they stay in memory."""
        arrays = {str(place): values for place, values in enumerate(features)}
        feature_cache().put(self._key(clips), {**arrays, "path": np.array(self.extractor.path)})
        if not self._found(clips):
            self.paths = sorted({*self.paths, self.extractor.path})
            self._features |= zip(clips, features, strict=True)

    def _key(self, clips: Sequence[int]) -> str:
        return cache_key(
            clips=[[transform.key(self.samples[index]) for transform in self.pipeline.transforms] for index in clips],
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


def _packed(sample: ClipSample, features: np.ndarray) -> dict[str, Any]:
    return {"inputs": torch.from_numpy(np.array(features, dtype=np.float32)), "data_samples": data_sample(sample)}

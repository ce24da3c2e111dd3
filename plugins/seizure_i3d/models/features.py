"""Feature extractors: from decoded clips to what the classifiers take (section 3.4)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_core.inference import Inference, accelerate
from vidsuite_core.inference.accelerated import Accelerated
from vidsuite_core.networks import i3d
from vidsuite_core.weights import content_sha256
from vidsuite_plugins.seizure_i3d.models import inception2d
from vidsuite_plugins.seizure_i3d.models.lstm_fc import MASK_VALUE
from vidsuite_plugins.seizure_i3d.models.views import checked, seen_from
from vidsuite_plugins.seizure_i3d.registry import MODELS

RANDOM_SEED = 0
"""Of weights that stand in for trained ones: the same for all cells, so that they share features."""


class _Extractor:
    """What both extractors share: a frozen network, built with given or random weights, and how it runs.

    Args:
        network: takes one tensor and gives one.
        inference: precision and back end, as `vidsuite_core.inference.Inference` has them.
        varying: axes of the input of which every length will do.
        views: sides from which clips are seen, see `views.seen_from`; of several, features have an axis (V, ...) more.
    """

    batch_size = 4

    def __init__(
        self, network: nn.Module, inference: Mapping[str, str] | None, varying: Sequence[int], views: Sequence[int]
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.weights = content_sha256(network.state_dict())
        self.inference = Inference(**(inference or {"precision": "fp32"}))
        self.varying = {0: tuple(varying)}
        self.views = checked(views)
        self.device = "cpu"
        self.fast: Accelerated | None = None

    def running(self, inference: Inference) -> _Extractor:
        """See `vidsuite_core.engine.data.Extractor`."""
        other = copy.copy(self)
        other.inference, other.fast = inference, None
        return other

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: all but the accelerated form, which they make for themselves."""
        return {**vars(self), "fast": None}

    def to(self, device: str) -> _Extractor:
        """Run there; more clips at once on a GPU."""
        if device != self.device:
            self.fast = None
        self.device = device
        self.batch_size = 4 if device == "cpu" else 16
        return self

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of the network."""
        return self.network.parameters()

    def key(self) -> Mapping[str, Any]:
        """See `vidsuite_core.engine.data.Extractor`."""
        seen = {} if self.views == (0,) else {"views": list(self.views)}
        inference = asdict(self.inference)
        return {"type": type(self).__name__, "weights": self.weights, "inference": inference, "version": 2, **seen}

    def extract(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `vidsuite_core.engine.data.Extractor`: clips uint8 (T, S, S, 3) -> (steps, C) each, or (V, steps, C)."""
        found = [self.of_view([seen_from(clip, view) for clip in clips]) for view in self.views]
        return found[0] if len(found) == 1 else [np.stack(sides) for sides in zip(*found, strict=True)]

    def of_view(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features (steps, C) of clips as they are."""
        raise NotImplementedError

    @property
    def path(self) -> str:
        """See `vidsuite_core.engine.data.Extractor`."""
        return "" if self.fast is None else self.fast.path

    @property
    def falls(self) -> list[str]:
        """See `vidsuite_core.engine.data.Extractor`."""
        trials = () if self.fast is None else self.fast.trials
        return [f"{type(self.network).__name__}: {one.backend}: {one.reason}" for one in trials if one.reason]

    def run(self, inputs: Tensor) -> np.ndarray:
        """The network's features of a batch; one by one on a CPU, whose caches prefer that."""
        parts = inputs.split(1) if self.device == "cpu" else (inputs,)
        if self.fast is None:
            self.fast = accelerate(
                self.network, parts[0], device=self.device, varying=self.varying, **asdict(self.inference)
            )
        return np.concatenate([self.fast(part).float().cpu().numpy() for part in parts])


class _I3dFeatureNetwork(nn.Module):
    """I3D up to its features, as a network of its own."""

    def __init__(self, network: i3d.InceptionI3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """See `InceptionI3d.extract_features`."""
        return self.network.extract_features(x)


@MODELS.register_module()
class I3dFeatures(_Extractor):
    """I3D features of clips (T, 224, 224, 3): (steps, 1024), pre-padded with steps of -1.

    Args:
        weights: file of I3D's weights; None is random.
        inference: see `_Extractor`; float32 unless given.
        steps: of a whole clip; the paper's 60 frames give 7.
        views: see `_Extractor`.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        inference: Mapping[str, str] | None = None,
        steps: int = 7,
        views: Sequence[int] = (0,),
    ) -> None:
        network = _seeded(i3d.build, weights)
        super().__init__(_I3dFeatureNetwork(network), inference, varying=(0, 2), views=views)
        self.weights = content_sha256(network.state_dict())
        self.steps = steps

    def key(self) -> Mapping[str, Any]:
        """See `vidsuite_core.engine.data.Extractor`."""
        return {**super().key(), "steps": self.steps}

    def of_view(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Clips uint8 (T, H, W, 3) of any lengths from 9 frames to 8 (steps + 1) -> (steps, 1024) each."""
        found: list[np.ndarray] = []
        for _, group in groupby(clips, key=len):
            found += [pre_pad(one, self.steps) for one in self.run(_to_video(list(group), self.device))]
        return found


@MODELS.register_module()
class FrameFeatures(_Extractor):
    """Features (1, 1024) of a clip's middle frame by I3D's network with its time collapsed (see `Inception2d`).

    Args:
        weights: file of I3D's weights; None is random.
        inference: see `_Extractor`; float32 unless given.
        views: see `_Extractor`.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        inference: Mapping[str, str] | None = None,
        views: Sequence[int] = (0,),
    ) -> None:
        super().__init__(_seeded(inception2d.build, weights), inference, varying=(0,), views=views)

    def of_view(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Clips uint8 (T, H, W, 3) -> (1, 1024) each."""
        frames = _to_video([clip[len(clip) // 2 : len(clip) // 2 + 1] for clip in clips], self.device)
        return list(self.run(frames[:, :, 0])[:, None])


def pre_pad(features: np.ndarray, steps: int) -> np.ndarray:
    """(t, C) -> (steps, C): missing steps are put before, all -1 (section 3.4).

    Raises:
        UsageError: more steps than that.
    """
    missing = steps - len(features)
    if missing < 0:
        raise UsageError(f"a clip gives {len(features)} I3D steps, the classifier takes {steps}; use shorter clips")
    return np.pad(features, ((missing, 0), (0, 0)), constant_values=MASK_VALUE)


def _to_video(clips: Sequence[np.ndarray], device: str) -> Tensor:
    """Equal clips uint8 (T, H, W, 3) -> (B, 3, T, H, W) float32 in [-1, 1]."""
    video = torch.from_numpy(np.stack(clips)).to(device)
    return video.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


def _seeded(build: Any, weights: str | Path | None) -> nn.Module:
    if weights is not None:
        return build(weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return build()

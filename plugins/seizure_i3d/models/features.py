"""Feature extractors: from decoded clips to what the classifiers take (section 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_core.networks import i3d
from vidsuite_core.weights import content_sha256
from vidsuite_plugins.seizure_i3d.models import inception2d
from vidsuite_plugins.seizure_i3d.models.i3d_fast import fast_extractor
from vidsuite_plugins.seizure_i3d.models.lstm_fc import MASK_VALUE
from vidsuite_plugins.seizure_i3d.models.registry import MODELS

RANDOM_SEED = 0
"""Of weights that stand in for trained ones: the same for all cells, so that they share features."""


class _Extractor:
    """What both extractors share: a frozen network, built with given or random weights, and its device."""

    batch_size = 4

    def __init__(self, network: nn.Module, path: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.path = path
        self.weights = content_sha256(network.state_dict())
        self.device = "cpu"

    def to(self, device: str) -> _Extractor:
        """Move the network; more clips at once on a GPU."""
        self.device = device
        self.batch_size = 4 if device == "cpu" else 16
        self.network.to(device)
        return self

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of the network."""
        return self.network.parameters()

    def key(self) -> Mapping[str, Any]:
        """See `vidsuite_core.engine.data.Extractor`."""
        return {"type": type(self).__name__, "weights": self.weights, "path": self.path, "version": 1}


@MODELS.register_module()
class I3dFeatures(_Extractor):
    """I3D features of clips (T, 224, 224, 3): (steps, 1024), pre-padded with steps of -1.

    Args:
        weights: file of I3D's weights; None is random.
        precision: "exact" runs the plain network in float32; "fp32" and "bf16" the faster form of it.
        steps: of a whole clip; the paper's 60 frames give 7.
    """

    def __init__(self, weights: str | Path | None = None, precision: str = "fp32", steps: int = 7) -> None:
        if precision not in ("exact", "fp32", "bf16"):
            raise UsageError(f"precision {precision!r} is none of exact, fp32, bf16")
        plain = _seeded(i3d.build, weights)
        network = plain if precision == "exact" else fast_extractor(plain, precision)
        super().__init__(network, "fp32-exact" if precision == "exact" else network.path)
        self.weights = content_sha256(plain.state_dict())
        self.steps = steps

    def key(self) -> Mapping[str, Any]:
        """See `vidsuite_core.engine.data.Extractor`."""
        return {**super().key(), "steps": self.steps}

    def extract(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Clips uint8 (T, H, W, 3) of any lengths from 9 frames to 8 (steps + 1) -> (steps, 1024) each."""
        found: list[np.ndarray] = []
        for _, group in groupby(clips, key=len):
            features = self.network.extract_features(_to_video(list(group), self.device)).float().cpu().numpy()
            found += [pre_pad(one, self.steps) for one in features]
        return found


@MODELS.register_module()
class FrameFeatures(_Extractor):
    """Features (1, 1024) of a clip's middle frame by I3D's network with its time collapsed (see `Inception2d`)."""

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__(_seeded(inception2d.build, weights), "fp32")

    def extract(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Clips uint8 (T, H, W, 3) -> (1, 1024) each."""
        frames = _to_video([clip[len(clip) // 2 : len(clip) // 2 + 1] for clip in clips], self.device)
        with torch.no_grad():
            features: Tensor = self.network(frames[:, :, 0])
        return list(features.float().cpu().numpy()[:, None])


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

"""The loss that all rows of a table share, FANet and its peers alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_core.media.labels import read_labels
from vidsuite_core.samples import VOID, FrameSample
from vidsuite_plugins.driving_fanet.registry import MODELS

Where = Literal["logits", "frame"]


@MODELS.register_module()
class VoidCrossEntropy(nn.Module):
    """Mean cross entropy over the pixels that are not void, 0 where all are.

    Takes the place of mmseg's CrossEntropyLoss in its heads, which fails on void where classes have weights.

    Args:
        class_weights: of each class, whose mean is weighed by them; None for equal ones.
        at: "logits", where labels are taken at the centres of the logits' cells, which is where `label_map` puts the
            logits when it enlarges them; or "frame", where the logits are enlarged bilinearly to the labels' size.
        loss_weight: factor of the whole.
        loss_name: under which mmseg logs it.

    Raises:
        UsageError: an unknown place.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        at: Where = "logits",
        loss_weight: float = 1.0,
        loss_name: str = "loss_ce",
    ) -> None:
        super().__init__()
        if at not in ("logits", "frame"):
            raise UsageError(f"a loss is taken at 'logits' or 'frame', not at {at!r}")
        self.at, self.loss_weight, self.loss_name = at, loss_weight, loss_name
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, *_: Any, **__: Any) -> Tensor:
        """Logits (B, K, h, w) and labels (B, H, W) integer, 255 void -> a scalar, computed in float32."""
        logits = logits.float()
        if logits.shape[2:] == labels.shape[1:]:
            pass
        elif self.at == "frame":
            logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        else:
            labels = F.interpolate(labels[:, None].float(), logits.shape[2:], mode="nearest-exact")[:, 0].long()
        weights: Tensor | None = self.class_weights
        total = F.cross_entropy(logits, labels, weights, ignore_index=VOID, reduction="sum")
        seen = labels != VOID
        count = seen.sum() if weights is None else weights[labels[seen]].sum()
        return self.loss_weight * total / count.clamp(min=1e-6)


def balance(config: Any, samples: Sequence[FrameSample]) -> None:
    """Where a config says `balance="median_frequency"`, fill in its `class_weights` by its training labels.

    For `adapt` of a config (see `vidsuite_core.engine.config`).

    Raises:
        UsageError: it says something else than that, or None.
    """
    if config.balance is None:
        return
    if config.balance != "median_frequency":
        raise UsageError(f"balance is 'median_frequency' or None, not {config.balance!r}")
    counts = [np.bincount(read_labels(one).ravel(), minlength=VOID + 1)[: config.num_classes] for one in samples]
    _fill(config, median_frequencies(np.array(counts)))


def median_frequencies(counts: np.ndarray) -> list[float]:
    """Weights of classes: the median of all classes' frequencies, divided by the class's own.

    A class's frequency is its share of the pixels of the images that have it (Eigen and Fergus, ICCV 2015, section
    6.3.2; Badrinarayanan et al., SegNet, section 3). A class that no image has weighs 0.

    Args:
        counts: pixels (images, K) of each class.
    """
    totals = counts.sum(1, keepdims=True) * (counts > 0)
    having = totals.sum(0)
    frequencies = np.divide(counts.sum(0), having, out=np.zeros(counts.shape[1]), where=having > 0)
    median = float(np.median(frequencies[frequencies > 0]))
    return [round(median / f, 6) if f else 0.0 for f in frequencies.tolist()]


def _fill(value: Any, weights: Sequence[float]) -> None:
    """Put `weights` wherever `class_weights` stands below `value`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "class_weights":
                value[key] = list(weights)  # type: ignore[index]
            else:
                _fill(item, weights)
    elif isinstance(value, list | tuple):
        for item in value:
            _fill(item, weights)

"""Classifiers of clips as mmengine's loops call them: the contract, and weighted losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError, VidsuiteError

Loss = Literal["mse", "cross_entropy"]
Samples = list[BaseDataElement]


class ClipClassifier(BaseModel):
    """A classifier of clips; a subclass turns a batch into logits.

    Two classes need one logit (sigmoid, of class 1) or two; K > 2 classes need K (softmax).

    Args:
        num_classes: K, at least 2.
        loss: "mse", the mean squared error of the probabilities, or "cross_entropy".
        class_weights: the weight of each class's samples in the loss; None weighs all alike.
        data_preprocessor, init_cfg: as mmengine's `BaseModel`.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int = 2,
        loss: Loss = "mse",
        class_weights: Sequence[float] | None = None,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if num_classes < 2:
            raise VidsuiteError(f"a classifier needs num_classes of at least 2, not {num_classes}")
        if loss not in ("mse", "cross_entropy"):
            raise VidsuiteError(f"loss {loss!r} is unknown; use 'mse' or 'cross_entropy'")
        self.num_classes = num_classes
        self.loss_name = loss
        # Not persistent: the weights belong to a training split, not to what was learned from it.
        self.register_buffer("class_weights", _checked_weights(class_weights, num_classes), persistent=False)

    @abstractmethod
    def logits(self, inputs: Tensor, data_samples: Samples | None) -> Tensor:
        """A batch of inputs -> logits (B, 1) or (B, K)."""

    def forward(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Samples | None = None, mode: str = "tensor"
    ) -> Tensor | dict[str, Tensor] | Samples:
        """Run the model as mmengine's loops do.

        Args:
            inputs: a batch, or its samples (stacked here).
            data_samples: B elements with field `gt_label`, LongTensor (1,) ("loss" only).
            mode: "tensor" returns logits; "loss" a dict of scalars, whose sum is minimised; "predict"
                the same data samples with field `pred_score`, probabilities (K,).

        Raises:
            UsageError: an unknown mode, or no data samples where the mode needs them.
        """
        if mode not in ("tensor", "loss", "predict"):
            raise UsageError(f"mode {mode!r} is unknown; use 'tensor', 'loss' or 'predict'")
        batch = self.collate(inputs)
        if mode == "tensor":
            return self.logits(batch, data_samples)
        if data_samples is None:
            raise UsageError(f"mode {mode!r} needs data_samples, one for each input")
        return self.loss(batch, data_samples) if mode == "loss" else self.predict(batch, data_samples)

    def collate(self, inputs: Tensor | Sequence[Tensor]) -> Tensor:
        """One float32 tensor (B, ...) of a batch that may still be a list of samples."""
        if isinstance(inputs, Tensor):
            return inputs.float()
        shapes = {tuple(sample.shape) for sample in inputs}
        if len(shapes) != 1:
            raise VidsuiteError(f"a batch mixes inputs of shapes {sorted(shapes)}; pad them in the input pipeline")
        return torch.stack(list(inputs)).float()

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """The weighted classification loss as `loss_cls`."""
        return {"loss_cls": self.classification_loss(self.logits(inputs, data_samples), data_samples)}

    def classification_loss(self, logits: Tensor, data_samples: Samples) -> Tensor:
        """The mean over the batch of weight[label] x loss, as Keras's `class_weight` (not divided by the weights)."""
        labels = torch.cat([sample.gt_label for sample in data_samples]).to(logits.device)
        return weighted_loss(logits, labels, self.loss_name, self.class_weights)

    def predict(self, inputs: Tensor, data_samples: Samples) -> Samples:
        """The data samples with field `pred_score`: probabilities (K,) that sum to 1."""
        scores = probabilities(self.logits(inputs, data_samples)).detach()
        for sample, score in zip(data_samples, scores, strict=True):
            # A view would carry the whole batch's storage into whatever stores the sample.
            sample.set_field(score.clone(), "pred_score")
        return data_samples


def _checked_weights(weights: Sequence[float] | None, num_classes: int) -> Tensor | None:
    if weights is None:
        return None
    numbers = not isinstance(weights, str) and all(isinstance(w, int | float) and 0 < w < float("inf") for w in weights)
    if not numbers or len(weights) != num_classes:
        raise VidsuiteError(f"class_weights must be {num_classes} positive numbers or None, not {weights!r}")
    return torch.tensor(weights, dtype=torch.float32)


def class_logits(logits: Tensor) -> Tensor:
    """(B, 1) or (B, K) -> (B, K) float32; one logit z becomes (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z))."""
    logits = logits.float()
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.shape[1] == 1 else logits


def probabilities(logits: Tensor) -> Tensor:
    """Logits (B, 1) or (B, K) -> probabilities (B, K)."""
    return class_logits(logits).softmax(dim=1)


def weighted_loss(logits: Tensor, labels: Tensor, loss: Loss, weights: Tensor | None) -> Tensor:
    """The scalar mean over the batch of weights[label] x loss.

    Args:
        logits: (B, 1) or (B, K).
        labels: (B,), integers.
        loss: "mse", the mean over classes of (p - one-hot)^2, which for two classes is (p - y)^2;
            or "cross_entropy".
        weights: (K,), or None for ones.
    """
    scores = class_logits(logits)
    if loss == "mse":
        each = (scores.softmax(dim=1) - F.one_hot(labels, scores.shape[1])).square().mean(dim=1)
    else:
        each = F.cross_entropy(scores, labels, reduction="none")
    return (each if weights is None else each * weights[labels]).mean()


def sum_of_squares(tensors: Iterable[Tensor]) -> Tensor:
    """The scalar sum of the squares of all elements of all tensors (Keras's `l2` with coefficient 1)."""
    return torch.stack([tensor.float().square().sum() for tensor in tensors]).sum()

"""Baselines on cached features: logistic regression without order, and a classifier of a single frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vidsuite_core.engine.fitting import Items, stacked
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.classifier import ClipClassifier, Samples
from vidsuite_core.networks.i3d import FEATURES
from vidsuite_plugins.seizure_i3d.models.heads import FcHead
from vidsuite_plugins.seizure_i3d.models.lstm_fc import valid_steps
from vidsuite_plugins.seizure_i3d.models.views import one_view, over_views
from vidsuite_plugins.seizure_i3d.registry import MODELS


@MODELS.register_module()
class PooledLogReg(ClipClassifier):
    """The mean of a clip's valid I3D steps, standardised, then logistic regression (scikit-learn).

    `fit` does what epochs do elsewhere; what it finds is kept in buffers, so checkpoints work as usual.

    Args:
        in_channels: features of a step.
        num_classes: K.
        C: inverse strength of the L2 regularisation, as scikit-learn's.
        max_iter: iterations of scikit-learn's solver.
        data_preprocessor, init_cfg: as mmengine's `BaseModel`.
    """

    def __init__(
        self,
        in_channels: int = FEATURES,
        num_classes: int = 2,
        C: float = 1.0,  # noqa: N803 (scikit-learn's name)
        max_iter: int = 1000,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(num_classes, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.C = C
        self.max_iter = max_iter
        rows = 1 if num_classes == 2 else num_classes
        self.register_buffer("mean", torch.zeros(in_channels))
        self.register_buffer("scale", torch.ones(in_channels))
        self.register_buffer("coef", torch.zeros(rows, in_channels))
        self.register_buffer("intercept", torch.zeros(rows))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, items: Items) -> None:
        """See `vidsuite_core.engine.fitting`."""
        self.fit_features(*stacked(items))

    def fit_features(self, inputs: Tensor, labels: Tensor) -> None:
        """Fit on all training samples at once, each class weighing the same (`class_weight="balanced"`).

        Args:
            inputs: (N, T, in_channels), masked steps all -1; or (N, V, T, in_channels), each view a sample.
            labels: LongTensor (N,), each of the K classes at least once.

        Raises:
            VidsuiteError: a class without a sample, or a sample whose steps are all masked.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        missing = sorted(set(range(self.num_classes)) ^ set(labels.tolist()))
        if missing:
            raise VidsuiteError(
                f"labels {missing} are without a training sample or beyond num_classes={self.num_classes}; "
                "check the split and the model's num_classes"
            )
        if inputs.ndim == 4:
            labels, inputs = labels.repeat_interleave(inputs.shape[1]), inputs.flatten(0, 1)
        scaler = StandardScaler()
        pooled = scaler.fit_transform(mean_of_valid_steps(inputs).double().cpu().numpy())
        regression = LogisticRegression(C=self.C, class_weight="balanced", max_iter=self.max_iter)
        regression.fit(pooled, labels.cpu().numpy())
        found = {
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "coef": regression.coef_,
            "intercept": regression.intercept_,
        }
        for name, value in found.items():
            self.get_buffer(name).copy_(torch.from_numpy(value))
        self.fitted.fill_(True)

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """(B, T, in_channels), or (B, V, T, in_channels) -> (B, 1) for two classes, else (B, K).

        Raises:
            UsageError: neither `fit` nor a checkpoint came before.
        """
        if not self.fitted:
            raise UsageError("PooledLogReg is not fitted; call fit or load a checkpoint first")
        return over_views(self._of_view, inputs)

    def _of_view(self, x: Tensor) -> Tensor:
        return (mean_of_valid_steps(x) - self.mean) / self.scale @ self.coef.T + self.intercept

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """Not trained by steps: raises UsageError."""
        raise UsageError("PooledLogReg is fitted in one go and has no loss; leave train_cfg out of its config")


def mean_of_valid_steps(x: Tensor) -> Tensor:
    """Features (B, T, C) -> (B, C), masked steps left out; a sample without a valid step raises VidsuiteError."""
    valid = valid_steps(x).unsqueeze(2)
    counts = valid.sum(dim=1)
    if not counts.all():
        raise VidsuiteError("a sample has only masked steps, so no mean; leave clips of under 9 frames out")
    return torch.where(valid, x, 0).sum(dim=1) / counts


@MODELS.register_module()
class SingleFrameFc(ClipClassifier):
    """CNN features of one frame and the paper's FC layers, without time (after Achilles [17] and Maia [21]).

    Those used other networks; here the features are `Inception2d`'s of the clip's middle frame, so that
    pretraining, blocks and head are those of the paper's model and only motion is missing.

    Args:
        in_channels: features of the frame.
        fc_units, dropout, bn_momentum, bn_eps, l2_kernel, l2_bias: as `LstmFc`.
        num_classes, loss, class_weights: as `ClipClassifier`.
    """

    def __init__(
        self,
        in_channels: int = FEATURES,
        fc_units: Sequence[int] = (64, 32),
        dropout: float = 0.5,
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
        l2_kernel: float = 1e-4,
        l2_bias: float = 1e-4,
        **classifier: Any,
    ) -> None:
        super().__init__(**classifier)
        self.head = FcHead(in_channels, self.num_classes, fc_units, dropout, bn_momentum, bn_eps)
        self.l2_kernel = l2_kernel
        self.l2_bias = l2_bias

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """(B, 1, in_channels), or (B, V, 1, in_channels) -> (B, 1) for two classes, else (B, K)."""
        if inputs.ndim not in (3, 4) or inputs.shape[-2] != 1:
            raise VidsuiteError(f"SingleFrameFc takes one frame's features (B, 1, C), not {tuple(inputs.shape)}")
        return over_views(lambda x: self.head(x[:, 0]), inputs)

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """`loss_cls`, and `loss_l2` on the weights."""
        return super().loss(one_view(inputs), data_samples) | {
            "loss_l2": self.head.penalty(self.l2_kernel, self.l2_bias)
        }

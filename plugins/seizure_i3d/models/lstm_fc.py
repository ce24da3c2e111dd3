"""The paper's classifier of I3D features: LSTM 128, LSTM 64, FC 64, FC 32, sigmoid (sections 3.5 and 3.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from vidsuite_core.networks.classifier import ClipClassifier, Samples, sum_of_squares
from vidsuite_core.networks.i3d import FEATURES
from vidsuite_plugins.seizure_i3d.models.heads import FcHead, NormDropout
from vidsuite_plugins.seizure_i3d.models.keras_lstm import KerasLstm, RecurrentActivation
from vidsuite_plugins.seizure_i3d.models.views import one_view, over_views
from vidsuite_plugins.seizure_i3d.registry import MODELS

MASK_VALUE = -1.0


def valid_steps(x: Tensor) -> Tensor:
    """Features (B, T, C) -> (B, T) bool; a step is masked (False) only where all C features are -1."""
    return (x != MASK_VALUE).any(dim=2)


@MODELS.register_module()
class LstmFc(ClipClassifier):
    """The LSTM-FC classifier on pre-padded sequences of I3D features (B, T, 1024).

    Batch norm and then dropout follow each of the four hidden layers; the paper names both but not their
    places (inferred). A sequence whose steps are all masked leaves the LSTMs' states at zero, as in Keras:
    its prediction is the head's answer to nothing, the same for all such sequences.

    The paper gives no coefficient of its L2 terms. The defaults here, 1e-4 each, keep the sum of the initial
    terms (0.13, measured) below the initial classification loss (0.35).

    Args:
        in_channels: features of a step.
        lstm_units, fc_units: widths of the hidden layers.
        num_classes, loss, class_weights: as `ClipClassifier`.
        dropout: after each hidden layer's batch norm.
        recurrent_dropout, recurrent_activation: as `KerasLstm`.
        bn_momentum: torch's, 0.01 being Keras's default of 0.99; training of under some 500 iterations
            needs a larger one for the running statistics to arrive.
        bn_eps: Keras's default.
        l2_kernel: on the kernels of the dense and of the LSTM layers.
        l2_recurrent: on the recurrent kernels of the LSTM layers.
        l2_bias: on the biases of the FC layers.
        l2_activity: on the outputs of the LSTM layers, summed and divided by the batch size.
    """

    def __init__(
        self,
        in_channels: int = FEATURES,
        lstm_units: Sequence[int] = (128, 64),
        fc_units: Sequence[int] = (64, 32),
        dropout: float = 0.5,
        recurrent_dropout: float = 0.3,
        recurrent_activation: RecurrentActivation = "sigmoid",
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
        l2_kernel: float = 1e-4,
        l2_recurrent: float = 1e-4,
        l2_bias: float = 1e-4,
        l2_activity: float = 1e-4,
        **classifier: Any,
    ) -> None:
        super().__init__(**classifier)
        widths = [in_channels, *lstm_units]
        self.lstms = nn.ModuleList(
            KerasLstm(a, b, recurrent_dropout, recurrent_activation) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(NormDropout(width, dropout, bn_momentum, bn_eps) for width in lstm_units)
        self.head = FcHead(widths[-1], self.num_classes, fc_units, dropout, bn_momentum, bn_eps)
        self.l2_kernel = l2_kernel
        self.l2_recurrent = l2_recurrent
        self.l2_bias = l2_bias
        self.l2_activity = l2_activity

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """(B, T, in_channels), or (B, V, T, in_channels) of V views -> (B, 1) for two classes, else (B, K)."""
        return over_views(lambda x: self.run(x)[0], inputs)

    def run(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, T, in_channels) -> logits, and each LSTM's output: (B, T, 128), and (B, 64) of the last."""
        valid = valid_steps(x)
        outputs = []
        for lstm, norm in zip(self.lstms, self.norms, strict=True):
            sequence = lstm(x, valid)
            # The mask goes on to the next LSTM; the last returns its final state only.
            output = sequence[:, -1] if lstm is self.lstms[-1] else sequence
            outputs.append(output)
            x = norm(output)
        return self.head(x), outputs

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """`loss_cls`, `loss_l2` (weights) and `loss_activity` (LSTM outputs); mmengine minimises their sum."""
        logits, outputs = self.run(one_view(inputs))
        return {
            "loss_cls": self.classification_loss(logits, data_samples),
            "loss_l2": self.penalty(),
            "loss_activity": self.l2_activity * sum_of_squares(outputs) / len(inputs),
        }

    def penalty(self) -> Tensor:
        """The L2 terms of all weights."""
        kernels = self.l2_kernel * sum_of_squares(lstm.kernel for lstm in self.lstms)
        recurrent = self.l2_recurrent * sum_of_squares(lstm.recurrent_kernel for lstm in self.lstms)
        return kernels + recurrent + self.head.penalty(self.l2_kernel, self.l2_bias)

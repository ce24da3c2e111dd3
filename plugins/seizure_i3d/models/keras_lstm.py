"""An LSTM layer with the semantics of Keras: a mask, one bias, and recurrent dropout.

`torch.nn.LSTM` has neither masks nor recurrent dropout, and its second bias would change the optimisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import VidsuiteError

RecurrentActivation = Literal["sigmoid", "hard_sigmoid"]


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras 2's `hard_sigmoid`, clip(0.2 x + 0.5, 0, 1); torch's `hardsigmoid` has slope 1/6."""
    return (0.2 * x + 0.5).clamp(0, 1)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "hard_sigmoid": hard_sigmoid}


class KerasLstm(nn.Module):
    """One LSTM layer over sequences of T steps.

    Gates lie in the order i, f, c, o (torch's i, f, g, o), so `kernel` and `recurrent_kernel` are
    `torch.nn.LSTM`'s `weight_ih_l0` and `weight_hh_l0`. At a masked step h and c are carried over.
    Initialised as Keras does: glorot-uniform kernel, orthogonal recurrent kernel, and a zero bias but
    for the forget gate's, which is 1.

    Args:
        in_channels: features of a step.
        units: width of the state.
        recurrent_dropout: probability of dropping an element of h(t-1) on its way to a gate; in
            training only, with one mask a gate and sequence that stays fixed over time; c is never dropped.
        recurrent_activation: of the gates: "sigmoid", or "hard_sigmoid" (default of Keras up to 2.2).
    """

    def __init__(
        self,
        in_channels: int,
        units: int,
        recurrent_dropout: float = 0.0,
        recurrent_activation: RecurrentActivation = "sigmoid",
    ) -> None:
        super().__init__()
        if recurrent_activation not in _ACTIVATIONS:
            raise VidsuiteError(f"recurrent_activation {recurrent_activation!r} is not one of {sorted(_ACTIVATIONS)}")
        if not 0 <= recurrent_dropout < 1:
            raise VidsuiteError(f"recurrent_dropout must be in [0, 1), not {recurrent_dropout}")
        self.units = units
        self.recurrent_dropout = recurrent_dropout
        self.recurrent_activation = recurrent_activation
        self.kernel = nn.Parameter(torch.empty(4 * units, in_channels))
        self.recurrent_kernel = nn.Parameter(torch.empty(4 * units, units))
        self.bias = nn.Parameter(torch.empty(4 * units))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new initial weights; Keras draws the four gates' kernels as one matrix, and so does this."""
        nn.init.xavier_uniform_(self.kernel)
        nn.init.orthogonal_(self.recurrent_kernel)
        self.bias.zero_()
        self.bias[self.units : 2 * self.units] = 1.0

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Run the recurrence.

        Args:
            x: (B, T, in_channels).
            valid: (B, T), bool; False marks a masked step.

        Returns:
            (B, T, units), h after each step; at a masked step the last valid step's, or zeros before any.
        """
        batch, steps, _ = x.shape
        # The input's share of all steps in one product; gates before batch, for one bmm a step.
        projected = F.linear(x, self.kernel, self.bias).view(batch, steps, 4, self.units).permute(1, 2, 0, 3)
        recurrent = self.recurrent_kernel.view(4, self.units, self.units).transpose(1, 2)
        dropout = self.sample_dropout(x) if self.training and self.recurrent_dropout else None
        activation = _ACTIVATIONS[self.recurrent_activation]
        h = c = x.new_zeros(batch, self.units)
        outputs = []
        for step, keep in zip(projected, valid.T.unsqueeze(2), strict=True):
            recalled = h.expand(4, -1, -1) if dropout is None else h * dropout
            i, f, g, o = torch.baddbmm(step, recalled, recurrent).unbind()
            new_c = activation(f) * c + activation(i) * torch.tanh(g)
            new_h = activation(o) * torch.tanh(new_c)
            h, c = torch.where(keep, new_h, h), torch.where(keep, new_c, c)
            outputs.append(h)
        return torch.stack(outputs, dim=1)

    def sample_dropout(self, x: Tensor) -> Tensor:
        """Masks (4, B, units) for h: 0 with probability `recurrent_dropout`, else 1 / (1 - recurrent_dropout)."""
        return F.dropout(x.new_ones(4, len(x), self.units), self.recurrent_dropout)

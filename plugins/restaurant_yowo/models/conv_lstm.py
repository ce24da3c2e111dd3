"""The convolutional LSTM with convolutional peepholes of the paper's equations (1), section 4.1.

    i_t = sigmoid(W_xi * X_t + W_hi * H_{t-1} + W_ci * C_{t-1} + b_i)
    f_t = sigmoid(W_xf * X_t + W_hf * H_{t-1} + W_cf * C_{t-1} + b_f)
    C_t = f_t C_{t-1} + i_t tanh(W_xc * X_t + W_hc * H_{t-1} + b_c)
    o_t = sigmoid(W_xo * X_t + W_ho * H_{t-1} + W_co * C_t + b_o)
    H_t = o_t tanh(C_t)

Peepholes are convolutions, where the usual ConvLSTM multiplies by a map of weights, so nothing depends on the size of
the image. The paper leaves the kernel (here 3x3 for all), the width and the place of dropout open: see `ConvLstm`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError

State = list[tuple[Tensor, Tensor]]
"""(H, C), each (B, hidden, h, w), of every layer; for both directions, forward ones first."""


class ConvLstmCell(nn.Module):
    """One layer in one direction.

    Args:
        channels: of the input X.
        hidden: channels of H and C.
        kernel: side of all convolutions, odd.
    """

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.hidden = hidden
        same = {"kernel_size": kernel, "padding": kernel // 2}
        self.input = nn.Conv2d(channels, 4 * hidden, **same)  # i, f, c, o; the four biases are its
        self.recurrent = nn.Conv2d(hidden, 4 * hidden, bias=False, **same)
        self.peephole = nn.Conv2d(hidden, 2 * hidden, bias=False, **same)  # C_{t-1} for i, f
        self.output_peephole = nn.Conv2d(hidden, hidden, bias=False, **same)  # C_t for o
        nn.init.zeros_(self.input.bias)
        nn.init.ones_(self.input.bias[hidden : 2 * hidden])  # type: ignore[index]  # remembers at first

    def forward(self, frames: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Frames (T, B, C, h, w) in order, and H, C before them (None: zeros) -> H of each (T, B, hidden, h, w), and
        the last H, C."""
        steps, batch = frames.shape[:2]
        seen = self.input(frames.flatten(0, 1)).unflatten(0, (steps, batch))  # all frames in one convolution
        if state is None:
            zeros = seen.new_zeros(batch, self.hidden, *seen.shape[3:])
            state = zeros, zeros
        shown, cell = state
        outputs = []
        for step in range(steps):
            into, forget, change, out = (seen[step] + self.recurrent(shown)).chunk(4, dim=1)
            peep_into, peep_forget = self.peephole(cell).chunk(2, dim=1)
            cell = (forget + peep_forget).sigmoid() * cell + (into + peep_into).sigmoid() * change.tanh()
            shown = (out + self.output_peephole(cell)).sigmoid() * cell.tanh()
            outputs.append(shown)
        return torch.stack(outputs), (shown, cell)


class ConvLstm(nn.Module):
    """Layers of `ConvLstmCell`, one upon the other.

    Args:
        channels: of the input.
        hidden: channels of each layer's output, in each direction.
        layers: how many.
        kernel: side of the convolutions.
        dropout: share of channels that are dropped between layers, one draw a call, alike for all frames.
        bidirectional: the frames are also read backwards, and outputs of both directions lie side by side. Such a
            network
            needs whole clips: it takes no state and gives none (section 4.4).
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        layers: int = 1,
        kernel: int = 3,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.out_channels = hidden * self.directions
        widths = [channels, *[self.out_channels] * (layers - 1)]
        self.layers = nn.ModuleList(
            nn.ModuleList(ConvLstmCell(width, hidden, kernel) for _ in range(self.directions)) for width in widths
        )
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames (T, B, C, h, w) -> (T, B, `out_channels`, h, w), and the state after them (empty if bidirectional).

        Raises:
            UsageError: a bidirectional network is given a state.
        """
        if self.directions == 2 and state:
            raise UsageError("a bidirectional recurrence reads whole clips and takes no state; feed each clip at once")
        after: State = []
        for number, cells in enumerate(self.layers):
            if number:
                frames = self._dropped(frames)
            forward, kept = cells[0](frames, state[number] if state else None)
            if self.directions == 1:
                frames = forward
                after.append(kept)
            else:
                backward, _ = cells[1](frames.flip(0), None)
                frames = torch.cat([forward, backward.flip(0)], dim=2)
        return frames, after

    def _dropped(self, frames: Tensor) -> Tensor:
        if not self.training or not self.dropout.p:
            return frames
        mask: Tensor = self.dropout(frames.new_ones(*frames.shape[1:3], 1, 1))
        return frames * mask

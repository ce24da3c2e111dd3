"""The ConvLSTM against the paper's equations (1), and its options."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_plugins.restaurant_yowo.models.conv_lstm import ConvLstm, ConvLstmCell


def test_a_cell_is_the_papers_equations() -> None:
    torch.manual_seed(0)
    cell = ConvLstmCell(3, 2).double()
    torch.nn.init.normal_(cell.input.bias)
    frames = torch.randn(4, 2, 3, 5, 6, dtype=torch.float64)
    found, (last_h, last_c) = cell(frames, None)

    def conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        return F.conv2d(x, weight, bias, padding=1)

    w_x, b = cell.input.weight.split(2), cell.input.bias.split(2)
    w_h = cell.recurrent.weight.split(2)
    w_ci, w_cf = cell.peephole.weight.split(2)
    w_co = cell.output_peephole.weight
    h = c = torch.zeros(2, 2, 5, 6, dtype=torch.float64)
    for x, shown in zip(frames, found, strict=True):
        i = torch.sigmoid(conv(x, w_x[0]) + conv(h, w_h[0]) + conv(c, w_ci) + b[0].view(1, -1, 1, 1))
        f = torch.sigmoid(conv(x, w_x[1]) + conv(h, w_h[1]) + conv(c, w_cf) + b[1].view(1, -1, 1, 1))
        c = f * c + i * torch.tanh(conv(x, w_x[2]) + conv(h, w_h[2]) + b[2].view(1, -1, 1, 1))
        o = torch.sigmoid(conv(x, w_x[3]) + conv(h, w_h[3]) + conv(c, w_co) + b[3].view(1, -1, 1, 1))
        h = o * torch.tanh(c)
        torch.testing.assert_close(shown, h)
    torch.testing.assert_close(last_h, h)
    torch.testing.assert_close(last_c, c)


def test_a_clip_in_parts_is_the_clip_at_once() -> None:
    torch.manual_seed(0)
    network = ConvLstm(3, 4, layers=2).eval()
    frames = torch.randn(6, 1, 3, 4, 4)
    with torch.no_grad():
        whole, _ = network(frames)
        first, state = network(frames[:2])
        second, _ = network(frames[2:], state)
        torch.testing.assert_close(torch.cat([first, second]), whole)
        without, _ = network(frames[2:])
    assert not torch.allclose(without, whole[2:], atol=1e-4)


def test_each_direction_sees_its_side_alone() -> None:
    torch.manual_seed(0)
    frames = torch.randn(5, 1, 3, 4, 4, requires_grad=True)
    for bidirectional in (False, True):
        network = ConvLstm(3, 4, bidirectional=bidirectional)
        out, state = network(frames)
        assert out.shape == (5, 1, 8 if bidirectional else 4, 4, 4)
        assert bool(state) is not bidirectional
        (gradient,) = torch.autograd.grad(out[2, :, :4].sum(), frames, retain_graph=True)
        assert [bool(g.any()) for g in gradient] == [True, True, True, False, False]
        if bidirectional:
            (gradient,) = torch.autograd.grad(out[2, :, 4:].sum(), frames)
            assert [bool(g.any()) for g in gradient] == [False, False, True, True, True]
            with pytest.raises(UsageError, match="whole clips"):
                network(frames, [(torch.zeros(1, 4, 4, 4),) * 2])


def test_dropout_drops_the_same_channels_of_all_frames() -> None:
    torch.manual_seed(0)
    network = ConvLstm(3, 16, layers=2, dropout=0.5)
    frames = torch.randn(4, 1, 3, 4, 4)
    seen: list[torch.Tensor] = []
    network.layers[1][0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(frames)
    dropped = (seen[0] == 0).all(dim=(3, 4))
    assert 0 < dropped[0].sum() < 16
    assert (dropped == dropped[:1]).all()
    network.eval()
    network(frames)
    assert not (seen[1] == 0).all(dim=(3, 4)).any()

"""MFS: channel attention and the Gaussian non-local block, each against a computation that is written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidsuite_plugins.blastocyst_amsnet.models.selection import ChannelAttention, MultiFocusSelection, NonLocal


def active_block(channels: int = 8) -> NonLocal:
    torch.manual_seed(0)
    block = NonLocal(channels).eval()
    nn.init.uniform_(block.bn.weight, 0.5, 1.5)
    nn.init.normal_(block.bn.bias)
    block.bn.running_mean.normal_()
    block.bn.running_var.uniform_(0.5, 2)
    return block


def test_channel_attention_is_written_out():
    torch.manual_seed(0)
    attention = ChannelAttention(48)
    first, _, second = attention.mlp
    u = torch.randn(3, 48, 5, 4)

    def mlp(v: torch.Tensor) -> torch.Tensor:
        return (v @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias

    flat = u.flatten(2)
    expected = 1 / (1 + torch.exp(-(mlp(flat.sum(2) / 20) + mlp(flat.max(dim=2).values))))
    torch.testing.assert_close(attention(u), expected)


def test_the_non_local_block_is_written_out():
    block = active_block()
    x = torch.randn(2, 8, 4, 3)
    with torch.no_grad():
        found = block(x)
        for one, result in zip(x, found, strict=True):
            positions = one.flatten(1).T  # (12, 8)
            scores = torch.exp(positions @ positions.T)
            embedded = positions @ block.g.weight[:, :, 0, 0].T + block.g.bias
            y = (scores / scores.sum(dim=1, keepdim=True)) @ embedded
            y = y @ block.out.weight[:, :, 0, 0].T + block.out.bias
            y = (y - block.bn.running_mean) / torch.sqrt(block.bn.running_var + 1e-5) * block.bn.weight + block.bn.bias
            torch.testing.assert_close(result, one + y.T.view_as(one), rtol=1e-4, atol=1e-4)


def test_the_non_local_block_equals_mmcvs():
    from vidsuite_core import openmmlab

    openmmlab.prepare()
    from mmcv.cnn import NonLocal2d

    block = active_block()
    reference = NonLocal2d(8, reduction=2, mode="gaussian", norm_cfg={"type": "BN"}).eval()
    state = {f"g.conv.{key}": value for key, value in block.g.state_dict().items()}
    state |= {"conv_out.conv.weight": block.out.weight}
    state |= {f"conv_out.bn.{key}": value for key, value in block.bn.state_dict().items()}
    # mmcv's last convolution has no bias of its own; batch norm's mean takes ours up.
    state["conv_out.bn.running_mean"] = block.bn.running_mean - block.out.bias
    reference.load_state_dict(state)
    x = torch.randn(2, 8, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), reference(x), rtol=1e-4, atol=1e-4)


def test_what_a_position_takes_is_a_row_of_the_matrix():
    x = torch.randn(2, 8, 4, 3)
    position = torch.tensor([5, 0])
    found = NonLocal.weights_at(x, position)
    for one, at, row in zip(x.flatten(2), position, found, strict=True):
        torch.testing.assert_close(row.flatten(), (one.T @ one)[at].softmax(dim=0))


def test_the_block_begins_as_nothing():
    x = torch.randn(2, 8, 4, 3)
    assert torch.equal(NonLocal(8)(x), x)


def test_the_matrix_of_all_moments_is_never_held():
    """28 moments at 56x56 would need 1.1 GB for it; the largest tensor that is made is a small part of that."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for part in result if isinstance(result, tuple) else (result,):
                if isinstance(part, torch.Tensor):
                    largest = max(largest, part.numel())
            return result

    block, x = NonLocal(16).train(), torch.randn(28, 16, 28, 28, requires_grad=True)
    with Watch():
        block(x).sum().backward()
    assert largest < 28 * 784 * 784 / 10


@pytest.mark.parametrize("spatial", [False, True])
def test_the_reduction_begins_as_the_mean_of_the_weighted_planes(spatial):
    torch.manual_seed(0)
    mfs = MultiFocusSelection(3, 16, spatial)
    u = torch.randn(2, 48, 4, 4)
    weighted = (u * mfs.attention(u)[..., None, None]).view(2, 3, 16, 4, 4)
    torch.testing.assert_close(mfs(u), weighted.mean(dim=1))

"""Training with channels last and in bfloat16: near to plain training, and what it says it is."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
from torch import Tensor, nn

from vidsuite_core.engine.speedups import AutocastOptimWrapper, channels_last_
from vidsuite_core.errors import UsageError


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.planes = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.volume = nn.Conv3d(8, 4, 3, padding=1)
        self.seen: list[tuple[torch.dtype, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        maps = self.planes(x)
        self.seen.append((self.planes[0](x).dtype, maps.is_contiguous(memory_format=torch.channels_last)))
        return self.volume(maps.transpose(0, 1)[None]).float().square().mean()


def trained(precision: str = "fp32", last: bool = False, steps: int = 3) -> Network:
    torch.manual_seed(0)
    network = Network()
    if last:
        channels_last_(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    wrapper = AutocastOptimWrapper(precision=precision, optimizer=optimizer)
    for _ in range(steps):
        with wrapper.optim_context(network):
            loss = network(torch.randn(4, 3, 16, 12))
        wrapper.update_params(loss)
    return network


def test_channels_last_learns_the_same() -> None:
    plain, other = trained(), trained(last=True)
    assert [seen[1] for seen in plain.seen] == [False] * 3
    assert [seen[1] for seen in other.seen] == [True] * 3
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    assert other.volume.weight.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("last", [False, True])
def test_bfloat16_learns_nearly_the_same_and_keeps_float32_weights(last: bool) -> None:
    plain, other = trained(), trained("bf16", last)
    assert {seen[0] for seen in plain.seen} == {torch.float32}
    assert {seen[0] for seen in other.seen} == {torch.bfloat16}
    assert {value.dtype for value in other.parameters()} == {torch.float32}
    moved = (plain.volume.weight - trained(steps=0).volume.weight).norm()
    off = (plain.volume.weight - other.volume.weight).norm()
    assert 0 < off < 0.05 * moved


def test_configs_name_it() -> None:
    config = {"type": "vidsuite.AutocastOptimWrapper", "precision": "fp32", "accumulative_counts": 2}
    with DefaultScope.overwrite_default_scope("mmseg"):
        wrapper = OPTIM_WRAPPERS.build(config, default_args={"optimizer": torch.optim.SGD(Network().parameters(), 0.1)})
    assert isinstance(wrapper, AutocastOptimWrapper)
    with pytest.raises(UsageError, match=r"optim_wrapper\.precision 'fp16' is none of"):
        AutocastOptimWrapper(precision="fp16", optimizer=torch.optim.SGD(Network().parameters(), 0.1))

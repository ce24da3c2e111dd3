"""FANet's stream through `accelerate`: every kind of network and context, against the plain stream and the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vidsuite_core.inference import accelerate
from vidsuite_core.inference.equality import difference
from vidsuite_plugins.driving_fanet.models.fanet import CONTEXTS, Fanet
from vidsuite_plugins.driving_fanet.models.streaming import Step, Stream

pytestmark = pytest.mark.usefixtures("one_thread", "seeded")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))


def trained(network: nn.Module) -> nn.Module:
    """`network` in eval mode with batch norms that are far from the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network.eval()


def fast_stream(network: Fanet, frames: Tensor, **options: str) -> Stream:
    fast = accelerate(Step(network), (frames, network.empty_state(frames)), **{"precision": "fp32", **options})
    assert fast.backend == options.get("backend", fast.backend)
    return Stream(network, fast)


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, (96, 128)), ({"depth": 34}, (77, 99)), ({"norm": "none"}, (64, 96)), ({"aux_weight": 0.5}, (64, 96))],
)
@torch.no_grad()
def test_every_kind_of_network_is_taken_by_openvino(options: dict[str, object], size: tuple[int, int]):
    network, frame = trained(Fanet(num_classes=19, **options)), torch.randn(1, 3, *size)
    found, expected = fast_stream(network, frame, backend="openvino").step(frame), network(frame)
    assert difference([found], [expected]).within("fp32")
    assert (found.argmax(1) == expected.argmax(1)).float().mean() >= 0.999


@torch.no_grad()
def test_bfloat16_is_near():
    """On a CPU without bfloat16 products the arithmetic is the same, only slow."""
    network, frame = trained(Fanet(num_classes=5)), torch.randn(1, 3, 96, 96)
    found = fast_stream(network, frame, precision="bf16", backend="openvino").step(frame)
    assert found.dtype == torch.float32
    off = difference([found], [network(frame)])
    assert off.within("bf16")
    assert not off.within("fp32")


@pytest.mark.parametrize(("context", "backend"), [(context, "openvino") for context in sorted(CONTEXTS)])
@torch.no_grad()
def test_fast_streams_remember_the_same(context: str, backend: str):
    network = trained(Fanet(num_classes=4, tca_depth=2, context=context))
    for parameter in network.tca.parameters():
        parameter.data.add_(torch.rand_like(parameter) - 0.4)
    frames = torch.randn(7, 3, 64, 72)
    slow, fast = Stream(network), fast_stream(network, frames[:1], backend=backend)
    batch = network(frames, [5, 2])
    for index in range(7):
        if index == 5:
            slow.reset()
            fast.reset()
        frame = frames[index : index + 1]
        found = fast.step(frame)
        assert difference([found], [slow.step(frame)]).within("fp32")
        assert difference([found], [batch[index : index + 1]]).within("fp32")


@torch.no_grad()
def test_a_stream_is_of_the_weights_as_they_were():
    network = trained(Fanet(num_classes=4, tca_depth=1, context="decayed"))
    frame = torch.randn(1, 3, 64, 64)
    fast = fast_stream(network, frame)
    before = fast.step(frame)
    for tensor in network.state_dict().values():
        tensor.zero_()
    fast.reset()
    assert torch.equal(fast.step(frame), before)


@pytest.mark.gpu
@torch.no_grad()
def test_graphs_replay_the_plain_stream(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = trained(Fanet(num_classes=4, tca_depth=2)).cuda()
    frames = torch.randn(1, 3, 64, 96, device="cuda")
    slow, fast = Stream(network), fast_stream(network, frames, device="cuda", backend="cuda_graphs")
    for index, size in enumerate([(64, 96)] * 7 + [(96, 64)] * 3):
        if index in (4, 8):
            slow.reset()
            fast.reset()
        frame = torch.randn(1, 3, *size, device="cuda")
        assert difference([fast.step(frame)], [slow.step(frame)]).within("fp32")

"""The inference path: each of its parts, and the whole, against the plain network; label maps against plain ones."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.models import fast as fast_module
from vidsuite_plugins.driving_fanet.models import fast_stem, labels, winograd
from vidsuite_plugins.driving_fanet.models.attention import ConvBNReLU, enlarge
from vidsuite_plugins.driving_fanet.models.fanet import CONTEXTS, Fanet, OutputHead
from vidsuite_plugins.driving_fanet.models.fast import fast_path
from vidsuite_plugins.driving_fanet.models.fast_head import FastHead
from vidsuite_plugins.driving_fanet.models.fast_stem import BandedStem, Stem
from vidsuite_plugins.driving_fanet.models.folded import Convolution, Folded, OneDnnConvolution, fold, fold_block
from vidsuite_plugins.driving_fanet.models.labels import label_map
from vidsuite_plugins.driving_fanet.models.streaming import Stream
from vidsuite_plugins.driving_fanet.models.winograd import Winograd

plain = partial(Convolution, dtype=torch.float32)
onednn = OneDnnConvolution.available(torch.float32)
needs_onednn = pytest.mark.skipif(not onednn, reason="this torch has no oneDNN operators")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


pytestmark = pytest.mark.usefixtures("one_thread", "seeded")


def channels_last(*shape: int) -> Tensor:
    return torch.randn(shape).to(memory_format=torch.channels_last)


def trained(network: nn.Module) -> nn.Module:
    """`network` in eval mode with batch norms that are far from the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network.eval()


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the spread of what is expected."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / (expected.max() - expected.min())).item()


def agreement(found: Tensor, expected: Tensor) -> float:
    return (found.argmax(1) == expected.argmax(1)).float().mean().item()


# --- parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [plain, pytest.param(partial(OneDnnConvolution, dtype=torch.float32), marks=needs_onednn)]
)
@pytest.mark.parametrize("slope", [1.0, 0.01])
@torch.no_grad()
def test_folded_convolutions(make, slope: float):
    conv, norm = nn.Conv2d(8, 16, 3, 2, 1, bias=False), trained(nn.BatchNorm2d(16))
    x, other = channels_last(2, 8, 13, 10), channels_last(2, 16, 7, 5)
    expected = norm(conv(x))
    layer = make(fold(conv, norm, slope))
    assert off(layer(x), F.leaky_relu(expected, slope)) <= 1e-6
    assert off(make(fold(conv, norm)).add_relu(x, other.clone()), (expected + other).relu()) <= 1e-6


@torch.no_grad()
def test_a_skipped_norm_is_not_folded():
    block = trained(ConvBNReLU(4, 6, norm="none"))
    x = channels_last(1, 4, 5, 5)
    assert off(plain(fold_block(block))(x), block(x)) <= 1e-6


@pytest.mark.parametrize(
    ("size", "padding"),
    [((8, 12), (1, 1)), ((7, 9), (1, 1)), ((1, 1), (1, 1)), ((5, 30), (1, 1)), ((6, 9), (0, 1)), ((18, 4), (0, 1))],
)
@torch.no_grad()
def test_winograd(size: tuple[int, int], padding: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(winograd, "AT_ONCE", 36 * 3 * 16)  # several strips
    folded = Folded(torch.randn(16, 8, 3, 3) / 8, torch.randn(16), padding=padding, slope=0.01)
    x = channels_last(2, 8, *size)
    found, expected = Winograd(folded)(x), plain(folded)(x)
    assert off(found, expected) <= 2e-5
    other = torch.randn_like(expected)
    assert off(Winograd(folded).add_relu(x, other.clone()), plain(folded).add_relu(x, other)) <= 2e-5


@pytest.mark.parametrize("size", [(64, 40), (61, 33), (63, 64), (62, 31), (34, 8), (1, 3)])
@torch.no_grad()
def test_bands_of_the_stem_make_up_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    folded = Folded(torch.randn(64, 3, 7, 7), torch.randn(64), (2, 2), (3, 3), 0.01)
    x = channels_last(2, 3, *size)
    expected = F.max_pool2d(F.leaky_relu(F.conv2d(x, folded.weight, folded.bias, 2, 3), 0.01), 3, 2, 1)
    assert off(Stem(folded, plain)(x), expected) <= 1e-6
    for rows in (1, 3, 5, 100):
        monkeypatch.setattr(fast_stem, "BAND", rows * 2 * -(-size[1] // 2) * 64 * 2)
        assert off(BandedStem(folded, plain)(x), expected) <= 1e-6


@pytest.mark.parametrize(
    ("small", "large"), [((2, 3), (8, 12)), ((3, 4), (9, 15)), ((1, 1), (4, 3)), ((4, 5), (13, 17))]
)
@pytest.mark.parametrize("rows", [4, 8, 100])
@torch.no_grad()
def test_the_head_without_enlarging(small: tuple[int, int], large: tuple[int, int], rows: int):
    head = trained(OutputHead(256, 256, 5))
    coarse, fine = channels_last(2, 128, *small), channels_last(2, 128, *large)
    expected = head(torch.cat([enlarge(coarse, large), fine], dim=1))
    found = FastHead(head, plain, torch.float32, band=rows * 2 * large[1] * 256)(coarse, fine)
    assert off(found, expected) <= 1e-5


# --- the whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["folded", pytest.param("onednn", marks=needs_onednn)])
@pytest.mark.parametrize("size", [(96, 128), (120, 160), (77, 99)])
@torch.no_grad()
def test_float32_equals_the_plain_network(backend: str, size: tuple[int, int]):
    network = trained(Fanet(num_classes=19))
    x = torch.randn(2, 3, *size)
    expected = network(x)
    found = fast_path(network, "cpu", "fp32", backend).step(x)
    assert found.dtype == torch.float32
    assert off(found, expected) <= 1e-4
    assert agreement(found, expected) >= 0.999


@pytest.mark.parametrize("options", [{"depth": 34}, {"norm": "none"}, {"aux_weight": 0.5}])
@torch.no_grad()
def test_every_kind_of_network_has_a_fast_form(options: dict[str, object]):
    network = trained(Fanet(num_classes=4, **options))
    x = torch.randn(1, 3, 64, 96)
    assert off(fast_path(network, precision="fp32").step(x), network(x)) <= 1e-4


@torch.no_grad()
def test_bfloat16_is_near():
    """On a CPU without bfloat16 products the arithmetic is the same, only slow."""
    network = trained(Fanet(num_classes=5))
    x = torch.randn(1, 3, 96, 96)
    found = fast_path(network, "cpu", "bf16").step(x)
    assert found.dtype == torch.float32
    assert 1e-6 < off(found, network(x)) <= 3e-2


@pytest.mark.parametrize("context", sorted(CONTEXTS))
@torch.no_grad()
def test_fast_streams_remember_the_same(context: str):
    network = trained(Fanet(num_classes=4, tca_depth=2, context=context))
    slow, fast = Stream(network), fast_path(network, "cpu", "fp32")
    for index in range(8):
        if index == 5:
            slow.reset()
            fast.reset()
        frame = torch.randn(1, 3, 64, 72)
        assert off(fast.step(frame), slow.step(frame)) <= 1e-4


@torch.no_grad()
def test_the_fast_form_is_a_frozen_copy():
    network = trained(Fanet(num_classes=4, tca_depth=1, context="decayed"))
    x = torch.randn(1, 3, 64, 64)
    fast = fast_path(network)
    before = fast.step(x)
    for tensor in network.state_dict().values():
        tensor.zero_()
    fast.reset()
    assert torch.equal(fast.step(x), before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_precision_and_backend_are_checked(monkeypatch: pytest.MonkeyPatch):
    network = Fanet(num_classes=3)
    with pytest.raises(UsageError, match="precision 'fp64' is none of auto, fp32, bf16"):
        fast_path(network, precision="fp64")
    with pytest.raises(UsageError, match="backend 'tpu' is none of"):
        fast_path(network, backend="tpu")
    with pytest.raises(UsageError, match="backend cuda_graphs does not run this network in torch"):
        fast_path(network, backend="cuda_graphs")
    for able, path in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(fast_module, "multiplies_bf16", lambda _, able=able: able)
        assert fast_path(network).network.path.startswith(path)


@needs_cuda
@torch.no_grad()
def test_graphs_replay_the_plain_stream():
    network = trained(Fanet(num_classes=4, tca_depth=2)).cuda()
    slow, fast = Stream(network), fast_path(network, "cuda", "fp32", "cuda_graphs")
    for index, size in enumerate([(64, 96)] * 7 + [(96, 64)] * 3):
        if index in (4, 8):
            slow.reset()
            fast.reset()
        frame = torch.randn(1, 3, *size, device="cuda")
        assert off(fast.step(frame), slow.step(frame)) <= 1e-2  # TF32 may be on


# --- label maps -------------------------------------------------------------------------------------------


def street(classes: int, height: int, width: int, grain: int) -> Tensor:
    """Logits (1, K, h, w) of regions some `grain` wide."""
    coarse = torch.randn(1, classes, max(height // grain, 2), max(width // grain, 2))
    return F.interpolate(coarse, (height, width), mode="bicubic")


SIZES = [((16, 24), (128, 192)), ((45, 60), (360, 480)), ((13, 17), (100, 131)), ((5, 7), (5, 7)), ((1, 2), (8, 9))]


@pytest.mark.parametrize("corners", ["apart", "aligned"])
@pytest.mark.parametrize(("small", "large"), [*SIZES, ((9, 9), (5, 30))])
@pytest.mark.parametrize("grain", [1, 6])
def test_label_maps(corners: str, small: tuple[int, int], large: tuple[int, int], grain: int, monkeypatch):
    monkeypatch.setattr(labels, "WORTHWHILE", 1.0)
    monkeypatch.setattr(labels, "AT_ONCE", 19 * 81 * 7)  # several pieces
    logits = street(19, *small, grain).to(memory_format=torch.channels_last)
    full = F.interpolate(logits, large, mode="bilinear", align_corners=corners == "aligned")
    found = label_map(logits, large, corners)
    assert found.dtype == torch.uint8 and found.shape == large
    best, chosen = full.max(dim=1).values[0], full[0].gather(0, found[None].long())[0]
    assert (best - chosen <= 1e-5 * (best.abs() + 1)).all()  # another class only where the two tie
    assert (found == full.argmax(1)[0]).float().mean() >= 0.9999


def test_exact_ties_go_to_the_first_class():
    assert not label_map(torch.zeros(1, 4, 3, 3), (24, 24)).any()


def test_logits_that_are_no_numbers_still_give_classes():
    logits = torch.full((1, 5, 4, 4), torch.nan)
    logits[..., 0] = torch.inf
    assert label_map(logits, (32, 32)).max() < 5


def test_label_maps_of_many_mixed_cells_take_the_other_way():
    logits = street(19, 32, 32, 1)
    full = F.interpolate(logits, (256, 256), mode="bilinear").argmax(1)[0]
    assert torch.equal(label_map(logits, (256, 256)).long(), full)


def test_label_maps_refuse_batches():
    with pytest.raises(UsageError, match="not of one frame"):
        label_map(torch.zeros(2, 3, 4, 4), (32, 32))

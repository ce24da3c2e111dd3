"""FANet: layout, sizes, options, and its forward against the same arithmetic written out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_plugins.driving_fanet.models.fanet import Fanet, build

Weights = Mapping[str, Tensor]


pytestmark = pytest.mark.usefixtures("one_thread")


def with_statistics(network: Fanet, seed: int = 0) -> Fanet:
    """`network` in eval mode with batch norms that are far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    return network.eval()


# --- layout -----------------------------------------------------------------------------------------------


def layout(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        return [(row["name"], tuple(int(n) for n in row["shape"].split("x") if n)) for row in rows]


@pytest.mark.parametrize(("depth", "parameters"), [(18, 13.820), (34, 23.928)])
def test_names_shapes_and_size_are_the_references(shared: Path, depth: int, parameters: float):
    network = Fanet(depth)
    expected = layout(shared / "layouts" / f"fanet{depth}.csv")
    assert sorted((name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()) == sorted(expected)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(parameters, abs=5e-4)


def test_a_file_in_the_references_layout_loads_strictly_into_every_kind_of_context(tmp_path: Path):
    plain = with_statistics(Fanet(num_classes=3))
    torch.save(plain.state_dict(), tmp_path / "fanet.pt")
    for options in ({}, {"tca_depth": 2}, {"tca_depth": 2, "context": "learned"}, {"tca_depth": 1, "norm": "none"}):
        loaded = build(tmp_path / "fanet.pt", num_classes=3, **options)
        assert torch.equal(loaded.clslayer.conv_out.weight, plain.clslayer.conv_out.weight)
    with pytest.raises(VidsuiteError, match="of another shape"):
        build(tmp_path / "fanet.pt", num_classes=4)
    torch.save({**plain.state_dict(), "fam_64.up.conv.weight": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(VidsuiteError, match="left over"):
        build(tmp_path / "more.pt", num_classes=3)


def test_weights_with_learned_contexts_come_back(tmp_path: Path):
    trained = Fanet(num_classes=3, tca_depth=2, context="learned")
    trained.tca.weight["fam_8"].data.copy_(torch.tensor([0.7, 0.2]))
    torch.save(trained.state_dict(), tmp_path / "tca.pt")
    loaded = build(tmp_path / "tca.pt", num_classes=3, tca_depth=2, context="learned")
    assert loaded.tca.weight["fam_8"].tolist() == pytest.approx([0.7, 0.2])


@pytest.mark.parametrize("depth", [18, 34])
def test_torchvisions_weights_fit_the_encoder(depth: int):
    theirs = getattr(torchvision.models, f"resnet{depth}")()
    encoder = Fanet(depth).resnet
    shortcut = encoder.layer1[0].downsample[0].weight.clone()
    encoder.load_torchvision(theirs.state_dict())
    assert torch.equal(encoder.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    assert torch.equal(encoder.layer1[0].downsample[0].weight, shortcut)
    lacking = {name: tensor for name, tensor in theirs.state_dict().items() if name != "layer2.0.conv1.weight"}
    with pytest.raises(VidsuiteError, match=r"missing \(layer2\.0\.conv1\.weight"):
        encoder.load_torchvision(lacking)
    with pytest.raises(VidsuiteError, match="left over"):
        encoder.load_torchvision({**theirs.state_dict(), "layer5.0.conv1.weight": shortcut})


# --- the forward, written out -----------------------------------------------------------------------------


def norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    mean, variance, scale, shift = (weights[f"{name}.{part}"] for part in PARTS)
    return F.batch_norm(x, mean, variance, scale, shift, eps=1e-5)


PARTS = ("running_mean", "running_var", "weight", "bias")


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.01 * x)


def conv_bn(weights: Weights, name: str, x: Tensor, padding: int = 0) -> Tensor:
    return norm(weights, f"{name}.bn", F.conv2d(x, weights[f"{name}.conv.weight"], padding=padding))


def block(weights: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    out = F.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
    out = F.conv2d(leaky(norm(weights, f"{name}.bn1", out)), weights[f"{name}.conv2.weight"], padding=1)
    out = norm(weights, f"{name}.bn2", out)
    if stride == 2:
        x = norm(weights, f"{name}.downsample.1", F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=2))
    return torch.relu(out + x)


def bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Corner on corner, by two interpolation matrices."""
    matrices = []
    for old, new in zip(x.shape[2:], size, strict=True):
        at = torch.linspace(0, old - 1, new, dtype=torch.float64) if new > 1 else torch.zeros(1, dtype=torch.float64)
        matrices.append((1 - (at[:, None] - torch.arange(old)).abs()).clamp_min(0))
    return torch.einsum("yi,bcij,xj->bcyx", matrices[0], x.double(), matrices[1]).float()


def attention(weights: Weights, name: str, feat: Tensor, coarser: Tensor | None) -> Tensor:
    query, key = (conv_bn(weights, f"{name}.{part}", feat) for part in ("w_qs", "w_ks"))
    value = leaky(conv_bn(weights, f"{name}.w_vs", feat))
    query, key = (x / x.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12) for x in (query, key))
    context = torch.einsum("bkyx,bcyx->bkc", key, value)
    answer = torch.einsum("bkyx,bkc->bcyx", query, context)
    fused = leaky(conv_bn(weights, f"{name}.latlayer3", answer)) + feat
    if coarser is None:
        return fused
    inner = conv_bn(weights, f"{coarser_name(name)}.up", F.pad(coarser, (1, 1, 1, 1)))
    return fused + bilinear(leaky(inner), fused.shape[2:])


def coarser_name(name: str) -> str:
    return f"fam_{2 * int(name.removeprefix('fam_'))}"


def written_out(weights: Weights, x: Tensor, depth: int) -> Tensor:
    """FANet's logits by plain functions of its weights, as the reference implementation (feinanshan/FANet) has them."""
    x = F.conv2d(x, weights["resnet.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(leaky(norm(weights, "resnet.bn1", x)), 3, stride=2, padding=1)
    feats = []
    for stage, blocks in enumerate({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[depth], start=1):
        for index in range(blocks):
            x = block(weights, f"resnet.layer{stage}.{index}", x, stride=1 if index else 2)
        feats.append(x)
    fused: dict[str, Tensor] = {}
    coarser = None
    for name, feat in zip(("fam_32", "fam_16", "fam_8", "fam_4"), reversed(feats), strict=True):
        coarser = fused[name] = attention(weights, name, feat, coarser)
    coarse, fine = (leaky(conv_bn(weights, f"{name}.smooth", fused[name], padding=1)) for name in ("fam_16", "fam_4"))
    both = torch.cat([bilinear(coarse, fine.shape[2:]), fine], dim=1)
    hidden = leaky(conv_bn(weights, "clslayer.conv", both, padding=1))
    return torch.einsum("kc,bcyx->bkyx", weights["clslayer.conv_out.weight"][:, :, 0, 0], hidden)


@pytest.mark.parametrize(("depth", "size"), [(18, (64, 128)), (18, (120, 160)), (18, (71, 93)), (34, (96, 64))])
@torch.no_grad()
def test_the_forward_is_the_references(depth: int, size: tuple[int, int]):
    torch.manual_seed(depth)
    network = with_statistics(Fanet(depth, num_classes=7))
    x = torch.randn(2, 3, *size)
    expected = written_out(network.state_dict(), x, depth)
    logits = network(x)
    assert logits.shape == expected.shape
    assert (logits - expected).abs().max() <= 1e-4 * (expected.max() - expected.min())


@pytest.mark.parametrize("size", [(480, 640), (360, 480), (120, 160), (33, 65), (8, 9), (1, 1)])
@torch.no_grad()
def test_logits_lie_at_an_eighth_of_any_size(size: tuple[int, int]):
    logits = Fanet(num_classes=5).eval()(torch.zeros(1, 3, *size))
    assert logits.shape == (1, 5, -(-size[0] // 8), -(-size[1] // 8))


# --- options ----------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_skipped_norm_never_runs_but_fits_the_layout():
    torch.manual_seed(0)
    network = with_statistics(Fanet(num_classes=3))
    skipped = Fanet(num_classes=3, norm="none").eval()
    skipped.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, 64, 64)
    identity = dict(network.state_dict())
    for name in identity:
        if name.endswith("running_var"):  # 1 - eps, so that the norm divides by 1
            identity[name] = torch.full_like(identity[name], 1 - 1e-5)
            stem = name.removesuffix("running_var")
            identity[stem + "weight"] = torch.ones_like(identity[name])
            identity[stem + "bias"] = identity[stem + "running_mean"] = torch.zeros_like(identity[name])
    network.load_state_dict(identity)
    expected = network(x)
    assert (skipped(x) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_auxiliary_heads_exist_only_on_request():
    x = torch.randn(2, 3, 128, 64)
    plain = Fanet(num_classes=3)
    with pytest.raises(UsageError, match="no auxiliary heads"):
        plain.forward_auxiliary(x)
    network = Fanet(num_classes=3, aux_weight=0.5)
    heads = {name.partition(".")[0] for name in network.state_dict()} - {
        name.partition(".")[0] for name in plain.state_dict()
    }
    assert heads == {"clslayer_32", "clslayer_16"}
    extra = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == pytest.approx(0.15e6, rel=0.02)
    logits, coarse, finer = network.forward_auxiliary(x)
    assert (logits.shape, coarse.shape, finer.shape) == ((2, 3, 16, 8), (2, 3, 2, 1), (2, 3, 4, 2))
    (coarse.sum() + finer.sum()).backward()
    assert network.fam_32.smooth.conv.weight.grad.abs().sum() > 0


def test_every_part_in_the_output_gets_a_gradient():
    network = Fanet(num_classes=3)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    without = {name.rsplit(".", 2)[0] for name, p in network.named_parameters() if p.grad is None}
    assert without == {"fam_32.smooth", "fam_8.smooth", "fam_4.up"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 50}, "depth 50 is none of 18, 34"),
        ({"norm": "group"}, "norm 'group' is none of batch, none"),
        ({"context": "mean"}, "context 'mean' is none of sum"),
        ({"tca_depth": -1}, "tca_depth must be 0 or more"),
        ({"aux_weight": -0.5}, "aux_weight must be 0 or more"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        Fanet(**options)

"""The rows of AMSNet's ablation: counts, causality, streaming, planes, weights."""

from __future__ import annotations

import csv
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.specs import resolve
from vidsuite_plugins.blastocyst_amsnet.models import ROWS, build
from vidsuite_plugins.blastocyst_amsnet.models.amsnet import AmsNet, look, nearest_planes
from vidsuite_plugins.blastocyst_amsnet.models.layouts import torchvision_names

SIDE = 64


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small layers on a busy machine wait for their second thread far longer than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stirred(name: str, in_channels: int = 1) -> AmsNet:
    """A network as after training: batch norms and the blocks that begin as nothing do something."""
    torch.manual_seed(0)
    network = build(name, in_channels)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    nn.init.normal_(network.backbone.fc.weight, std=0.1)
    return network.eval()


def clip_for(network: AmsNet, moments: int = 6, batch: int = 1, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, moments, network.row.planes, network.in_channels, SIDE, SIDE, generator=generator)


# --- counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "millions"),
    [("baseline", 23.510), ("tsm1", 23.510), ("channel7", 24.372), ("amsnet7", 24.439)],
)
def test_counts_are_the_sums_of_the_parts(name, millions):
    with torch.device("meta"):
        network = build(name, in_channels=3)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(millions * 1e6, abs=600)


def test_parts_have_the_counts_of_their_references():
    with torch.device("meta"):
        network = build("amsnet7")
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.mfs.named_children()}
    c, m = 256, 7
    assert count["attention"] == 2 * (m * c) * (m * c // 16) + m * c // 16 + m * c
    assert count["reduce"] == m * c * c
    assert count["spatial"] == (c * c // 2 + c // 2) + (c // 2 * c + c) + 2 * c


def test_the_table_has_eleven_rows():
    assert list(ROWS) == [
        "baseline", "tsm1", "tsm3", "tsm5", "tsm7", "channel3", "channel5", "channel7", "amsnet3", "amsnet5", "amsnet7",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_logits_at_the_papers_size(name):
    with torch.device("meta"), torch.no_grad():
        network = build(name).eval()
        assert network(torch.empty(2, 28, network.row.planes, 1, 224, 224)).shape == (2, 28)


# --- causality and streaming ------------------------------------------------------------------------

SOME = ["baseline", "tsm1", "tsm3", "channel3", "amsnet3"]


@pytest.mark.parametrize("name", SOME)
def test_later_moments_do_not_change_a_prediction(name):
    network = stirred(name)
    clip = clip_for(network)
    other = clip.clone()
    other[:, 3:] = clip_for(network, 3, seed=2)
    with torch.no_grad():
        first, second = network(clip), network(other)
    assert torch.equal(first[:, :3], second[:, :3])
    assert not torch.isclose(first[:, 3:], second[:, 3:]).any()


@pytest.mark.parametrize("name", SOME)
def test_earlier_moments_matter_where_there_is_a_shift(name):
    network = stirred(name)
    clip = clip_for(network)
    other = clip.clone()
    other[:, 2] = clip_for(network, 1, seed=2)[:, 0]
    with torch.no_grad():
        changed = (network(clip) - network(other)).abs()[0] > 1e-6
    # Each of 16 blocks looks one moment back.
    assert changed.tolist() == [False, False, True, *[ROWS[name].shift] * 3]


@pytest.mark.parametrize("name", SOME)
def test_a_stream_equals_the_whole(name):
    network = stirred(name)
    clip = clip_for(network, moments=8, batch=2)
    stream = network.stream()
    with torch.no_grad():
        whole = network(clip)
    steps = torch.stack([stream.step(moment) for moment in clip.unbind(1)], dim=1)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-5)


def test_a_streams_memory_is_constant_and_can_be_taken_up_again():
    network = stirred("amsnet3")
    moments = clip_for(network, moments=5).unbind(1)
    stream, sizes = network.stream(), []
    for moment in moments[:4]:
        stream.step(moment)
        sizes.append(sum(part.untyped_storage().nbytes() for part in stream.memory))
    # Of each block the eighth of its input's channels, and no more than that in what is kept alive.
    assert len(set(sizes)) == 1
    assert sizes[0] == sum(part.numel() * 4 for part in stream.memory)
    later = network.stream()
    later.memory = tuple(part.clone() for part in stream.memory)
    assert torch.equal(later.step(moments[4]), stream.step(moments[4]))


def test_pieces_of_any_length_equal_the_whole():
    network = stirred("tsm3")
    clip = clip_for(network, moments=7, batch=2)
    with torch.no_grad():
        whole, memory, pieces = network(clip), (), []
        for start, stop in itertools.pairwise([0, 1, 4, 7]):
            logits, memory = network.advance(clip[:, start:stop], memory)
            pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-5)


def test_a_stream_refuses_what_does_not_follow():
    network = build("tsm1")
    with pytest.raises(UsageError, match="evaluation mode"):
        network.stream().step(clip_for(network)[:, 0])
    stream = network.eval().stream()
    stream.step(clip_for(network)[:, 0])
    with pytest.raises(UsageError, match="does not follow"):
        stream.step(clip_for(network)[:, 0, ..., :32])


# --- focal planes -----------------------------------------------------------------------------------


def test_planes_that_are_missing_are_stood_in_for_by_the_nearest():
    assert nearest_planes(3, 7) == [0, 0, 0, 1, 2, 2, 2]
    assert nearest_planes(1, 5) == [0] * 5
    assert nearest_planes(5, 7) == [0, 0, 1, 2, 3, 4, 4]
    assert nearest_planes(2, 5) == [0, 0, 1, 1, 1]
    for given, wanted in itertools.product(range(1, 8), range(1, 8)):
        if given <= wanted:
            assert set(nearest_planes(given, wanted)) == set(range(given))


@pytest.mark.parametrize("name", ["tsm5", "channel5", "amsnet5"])
def test_fewer_planes_are_as_the_nearest_repeated(name):
    network = stirred(name)
    clip = clip_for(network, moments=3)[:, :, :3]
    with torch.no_grad():
        expected = network(clip[:, :, nearest_planes(3, 5)])
        torch.testing.assert_close(network(clip), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 2, 4, 1, 8, 8), (1, 2, 3, 3, 8, 8), (1, 2, 0, 1, 8, 8), (1, 3, 1, 8, 8)])
def test_other_planes_and_channels_are_refused(shape):
    with pytest.raises(VidsuiteError, match=r"1 to 3 focal planes, not \("):
        build("amsnet3")(torch.zeros(shape))


def test_every_plane_is_looked_at():
    for name in ("tsm7", "amsnet7"):
        network = stirred(name)
        clip = clip_for(network, moments=1)
        with torch.no_grad():
            before = network(clip)
            for plane in range(7):
                other = clip.clone()
                other[:, :, plane] = clip_for(network, 1, seed=5)[:, :, plane]
                assert not torch.equal(network(other), before)


# --- weights ----------------------------------------------------------------------------------------


def written_out_tsm(w: dict[str, Tensor], frames: Tensor) -> Tensor:
    """The reference's online form on frames (T, C, H, W), from its state dict alone: logits (T,)."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.batch_norm(
            x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"]
        )

    x = F.relu(norm(F.conv2d(frames, w["base_model.conv1.weight"], stride=2, padding=3), "base_model.bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for number in range(blocks):
            block = f"base_model.layer{stage}.{number}"
            stride = 2 if number == 0 and stage > 1 else 1
            fold = x.shape[1] // 8
            shifted = x.clone()
            shifted[1:, :fold] = x[:-1, :fold]
            shifted[0, :fold] = 0
            out = F.relu(norm(F.conv2d(shifted, w[f"{block}.conv1.net.weight"]), f"{block}.bn1"))
            out = F.conv2d(out, w[f"{block}.conv2.weight"], stride=stride, padding=1)
            out = norm(F.conv2d(F.relu(norm(out, f"{block}.bn2")), w[f"{block}.conv3.weight"]), f"{block}.bn3")
            if number == 0:
                x = norm(F.conv2d(x, w[f"{block}.downsample.0.weight"], stride=stride), f"{block}.downsample.1")
            x = F.relu(out + x)
    return x.mean(dim=(2, 3)) @ w["base_model.fc.weight"][0] + w["base_model.fc.bias"]


def reference_names(network: AmsNet) -> dict[str, Tensor]:
    """`network`'s tensors under the reference's names."""
    named = {}
    for name, value in network.backbone.state_dict().items():
        shifted = name.replace(".conv1.", ".conv1.net.") if name.startswith("layer") else name
        named[f"base_model.{shifted}"] = value
    return named


def test_tsm1_loads_the_reference_layout_and_equals_it(shared, tmp_path):
    source = stirred("tsm1", in_channels=3)
    state = reference_names(source)
    with (shared / "layouts" / "tsm_r50_causal.csv").open(newline="") as file:
        expected = [(row["name"], row["shape"]) for row in csv.DictReader(file)]
    assert [(name, "x".join(map(str, value.shape))) for name, value in state.items()] == expected
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "tsm.pth")
    network = build("tsm1", in_channels=3, weights=tmp_path / "tsm.pth").eval()
    clip = torch.randn(1, 5, 1, 3, SIDE, SIDE)
    with torch.no_grad():
        logits = written_out_tsm(state, clip[0, :, 0])
        assert logits.std() > 1e-3
        torch.testing.assert_close(network(clip)[0], logits, rtol=1e-4, atol=1e-5)


def test_weights_are_loaded_strictly(tmp_path):
    source = stirred("amsnet3")
    torch.save(source.state_dict(), tmp_path / "own.pth")
    network = build("amsnet3", weights=tmp_path / "own.pth").eval()
    clip = clip_for(network, 2)
    assert torch.equal(network(clip), source(clip))
    with pytest.raises(VidsuiteError, match="left over"):
        build("channel3", weights=tmp_path / "own.pth")
    state = reference_names(stirred("tsm1", in_channels=3))
    del state["base_model.layer3.5.bn2.weight"]
    torch.save(state, tmp_path / "reference.pth")
    with pytest.raises(VidsuiteError, match=r"1 missing \(backbone.layer3.5.bn2.weight\)"):
        build("tsm1", in_channels=3, weights=tmp_path / "reference.pth")
    with pytest.raises(UsageError, match="there is no network 'tsm2'"):
        build("tsm2")
    assert isinstance(resolve("vidsuite_plugins.blastocyst_amsnet.models:amsnet5")(weights=None), AmsNet)


@pytest.mark.parametrize("kind", ["ResNet", "ResNetTSM"])
@pytest.mark.parametrize("name", ["tsm3", "amsnet3"])
def test_initial_weights_of_mmaction(kind, name, tmp_path):
    from vidsuite_core import openmmlab

    openmmlab.prepare()
    from mmaction.registry import MODELS

    options = {"num_segments": 8} if kind == "ResNetTSM" else {}
    recogniser = {"type": kind, "depth": 50, "pretrained": None, "norm_eval": False, **options}
    backbone = MODELS.build(recogniser)
    state = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    state |= {"cls_head.fc_cls.weight": torch.zeros(400, 2048), "cls_head.fc_cls.bias": torch.zeros(400)}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "mmaction.pth")
    network = build(name, initial=tmp_path / "mmaction.pth")
    plain = torchvision_names(state)
    for key, value in network.backbone.state_dict().items():
        if key == "conv1.weight":
            torch.testing.assert_close(value.sum(dim=1), plain[key].sum(dim=1))
        elif not key.startswith("fc."):
            assert torch.equal(value, plain[key]), key


# --- training and looking ---------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["baseline", "tsm1", "tsm7", "channel3", "amsnet3"])
def test_a_step_moves_every_parameter(name, precision):
    torch.manual_seed(0)
    network = build(name)
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    clip = clip_for(network, moments=3, batch=2)
    for _ in range(2):  # the non-local block passes nothing back in the first
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.binary_cross_entropy_with_logits(network(clip).float(), torch.tensor([[0.0] * 3, [1.0] * 3]))
        optimizer.zero_grad()
        loss.backward()
        for parameter in network.parameters():
            parameter.grad.div_(parameter.grad.norm() + 1e-12)
        optimizer.step()
    assert torch.isfinite(loss)
    still = [key for key, value in network.named_parameters() if torch.equal(value, before[key])]
    assert not still


def test_looking_shows_what_the_attention_weighs():
    network = stirred("amsnet5")
    moment = clip_for(network, 1)[0, 0]
    seen = look(network, moment)
    assert seen.planes.shape == (5, SIDE // 4, SIDE // 4)
    assert seen.shares.shape == (5,)
    assert ((seen.shares > 0) & (seen.shares < 1)).all()
    torch.testing.assert_close(seen.partners.sum(), torch.tensor(1.0))
    corner = look(network, moment, place=(1.0, 0.0))
    assert corner.place == (SIDE // 4 - 1, 0)
    assert look(build("channel3").eval(), moment[:3]).partners is None
    with pytest.raises(UsageError, match="have an attention"):
        look(build("tsm1").eval(), moment[:1])

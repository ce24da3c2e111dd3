"""YOWO's networks: published layouts, parameter counts and shapes, and the parts against written-out computations."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_plugins.restaurant_yowo.models.branches import branch_3d
from vidsuite_plugins.restaurant_yowo.models.cfam import ChannelAttention
from vidsuite_plugins.restaurant_yowo.models.darknet import Darknet19, space_to_depth
from vidsuite_plugins.restaurant_yowo.models.mobile3d import shuffle
from vidsuite_plugins.restaurant_yowo.models.resnet3d import PaddedShortcut, resnet18
from vidsuite_plugins.restaurant_yowo.models.yowo import Yowo, build

NETWORKS = {  # name: backbone, width, millions of parameters with 24 classes
    "resnext101": ("resnext101", None, 121.095),
    "resnet18": ("resnet18", None, 105.031),
    "resnet50": ("resnet50", None, 119.773),
    "mobilenet_2x": ("mobilenet", 2.0, 86.449),
    "shufflenet_2x": ("shufflenet", 2.0, 77.049),
}


def empty(backbone: str, width: float | None) -> Yowo:
    """A network without memory: shapes alone."""
    with torch.device("meta"):
        return Yowo(24, Darknet19(), branch_3d(backbone, width))


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_those_of_published_checkpoints(name: str, shared: Path) -> None:
    backbone, width, _ = NETWORKS[name]
    with (shared / "layouts" / f"yowo_{name}.csv").open() as file:
        published = {row["name"]: row["shape"] for row in csv.DictReader(file)}
    ours = {key: "x".join(map(str, value.shape)) for key, value in empty(backbone, width).state_dict().items()}
    assert ours == published


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_as_many_as_in_the_reference(name: str) -> None:
    backbone, width, millions = NETWORKS[name]
    count = sum(p.numel() for p in empty(backbone, width).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.0006)


@pytest.mark.parametrize("name", NETWORKS)
def test_sixteen_frames_become_one_map(name: str) -> None:
    backbone, width, _ = NETWORKS[name]
    network = empty(backbone, width)
    with torch.device("meta"):
        clips = torch.zeros(2, 3, 16, 224, 224)
        assert network(clips).shape == (2, 5 * (24 + 5), 7, 7)
        assert network.backbone_3d(clips).shape == (2, network.backbone_3d.out_channels, 1, 7, 7)
        assert network(torch.zeros(1, 3, 32, 96, 64)).shape == (1, 145, 3, 2)


def test_a_file_is_loaded_strictly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(num_classes=3, backbone_3d="shufflenet", width=0.5).eval()
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    again = build(tmp_path / "whole.pth", num_classes=3, backbone_3d="shufflenet", width=0.5).eval()
    clips = torch.rand(1, 3, 16, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(clips), network(clips))
    with pytest.raises(VidsuiteError, match="does not fit YOWO with shufflenet and 4 classes"):
        build(tmp_path / "whole.pth", num_classes=4, backbone_3d="shufflenet", width=0.5)
    for backbone, width, words in [("vgg", None, "none of"), ("resnet18", 2.0, "one width")]:
        with pytest.raises(UsageError, match=words):
            branch_3d(backbone, width)


def test_channels_of_space_to_depth_and_shuffle() -> None:
    x = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    deep = space_to_depth(x)
    for i in range(2):
        for j in range(2):
            for c in range(2):
                assert torch.equal(deep[0, (2 * i + j) * 2 + c], x[0, c, i::2, j::2])
    assert shuffle(torch.arange(6).view(1, 6, 1, 1, 1), 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_the_key_frame_alone_reaches_the_2d_branch() -> None:
    network = build(num_classes=2, backbone_3d="shufflenet", width=0.5).eval()
    seen = []
    network.backbone_2d.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    clips = torch.rand(1, 3, 16, 64, 64)
    with torch.no_grad():
        network(clips)
    assert torch.equal(seen[0], clips[:, :, -1])


def test_darknets_pass_through_takes_the_last_map_of_twice_the_size() -> None:
    torch.manual_seed(0)
    network = Darknet19().eval()
    shapes = {}
    for place, module in enumerate(network.models):
        module.register_forward_hook(lambda m, i, out, place=place: shapes.update({place: (i[0], out)}))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert torch.equal(shapes[26][0], shapes[16][1])  # 64/1 reads layer 16
    joined = shapes[29][0]
    assert torch.equal(joined[:, :256], space_to_depth(shapes[26][1]))
    assert torch.equal(joined[:, 256:], shapes[24][1])


def test_channel_attention_as_written_out() -> None:
    attention = ChannelAttention()
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    assert torch.equal(attention.double()(x), x)  # gamma is 0 at first
    attention.gamma.data.fill_(0.5)
    rows = x.view(3, 4)
    expected = torch.empty_like(rows)
    for i in range(3):
        energy = [float(rows[i] @ rows[j]) for j in range(3)]
        weights = torch.tensor([max(energy) - e for e in energy], dtype=torch.float64).exp()
        expected[i] = 0.5 * sum(w / weights.sum() * row for w, row in zip(weights, rows, strict=True)) + rows[i]
    torch.testing.assert_close(attention(x), expected.view_as(x))


def test_padded_shortcuts_pass_gradients() -> None:
    x = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    out = PaddedShortcut(2, 3)(x)
    assert out.shape == (1, 5, 2, 2, 2)
    assert torch.equal(out[:, :2], x[:, :, ::2, ::2, ::2])
    assert not out[:, 2:].any()
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.sum() == 2 * 8
    assert "downsample" not in "".join(dict(resnet18().named_parameters()))

"""Initial weights for other channels and classes than they were trained for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.networks.initial import bare, load_initial, renamed, spread_channels, take_channels


class Tiny(nn.Module):
    """A first convolution, a second, and a classifier."""

    def __init__(self, channels: int = 3, classes: int = 10, bias: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2, padding=1, bias=bias))
        self.second = nn.Conv2d(4, 5, 1)
        self.fc = nn.Linear(5, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.second(self.stem(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("bias", [True, False])
def test_equal_planes_are_seen_as_grey_rgb_was(channels, bias):
    network, grey = Tiny(bias=bias), torch.randn(2, 1, 9, 9)
    expected = network(grey.repeat(1, 3, 1, 1))
    take_channels(network, "stem.0", channels)
    torch.testing.assert_close(network(grey.repeat(1, channels, 1, 1)), expected)
    assert network.stem[0].in_channels == channels


def test_a_convolution_of_clips_is_spread_as_well():
    conv = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1)))
    clip = torch.randn(1, 1, 4, 6, 6)
    expected = conv(clip.repeat(1, 3, 1, 1, 1))
    take_channels(conv, "0", 1)
    torch.testing.assert_close(conv(clip), expected)


def test_as_many_channels_as_before_change_nothing():
    network = Tiny()
    conv = network.stem[0]
    take_channels(network, "stem.0", 3)
    assert network.stem[0] is conv


@pytest.mark.parametrize(("first", "channels"), [("fc", 1), ("stem.0", 0)])
def test_what_cannot_take_channels_says_so(first, channels):
    with pytest.raises(VidsuiteError, match=r"plain convolution|at least 1 channel"):
        take_channels(Tiny(), first, channels)


def test_initial_weights_are_all_but_the_classifier():
    torch.manual_seed(1)
    source, network = Tiny(3, 10), Tiny(1, 2)
    head = network.fc.weight.clone()
    load_initial(network, source.state_dict(), "file", first="stem.0", fresh=["fc."])
    assert torch.equal(network.fc.weight, head)
    assert torch.equal(network.second.weight, source.second.weight)
    torch.testing.assert_close(network.stem[0].weight, source.stem[0].weight.sum(dim=1, keepdim=True))


def test_initial_weights_must_fit_otherwise():
    state = Tiny(3, 10).state_dict()
    with pytest.raises(VidsuiteError, match="of another shape"):
        load_initial(Tiny(1, 2), state, "file", first="stem.0")
    with pytest.raises(VidsuiteError, match="left over"):
        load_initial(Tiny(1, 2), state | {"aux.weight": torch.zeros(1)}, "file", first="stem.0", fresh=["fc."])
    load_initial(Tiny(1, 2), state | {"aux.weight": torch.zeros(1)}, "file", first="stem.0", fresh=["fc.", "aux."])
    del state["second.bias"]
    with pytest.raises(VidsuiteError, match="missing"):
        load_initial(Tiny(1, 2), state, "file", first="stem.0", fresh=["fc."])


def test_old_names_of_torchvision_are_read():
    old = {
        "features.denseblock1.denselayer12.norm.1.weight": "features.denseblock1.denselayer12.norm1.weight",
        "features.denseblock1.denselayer2.conv.2.weight": "features.denseblock1.denselayer2.conv2.weight",
        "encoder.layers.encoder_layer_0.mlp.linear_1.bias": "encoder.layers.encoder_layer_0.mlp.0.bias",
        "encoder.layers.encoder_layer_0.mlp.linear_2.bias": "encoder.layers.encoder_layer_0.mlp.3.bias",
        "features.norm5.weight": "features.norm5.weight",
    }
    assert list(renamed(dict.fromkeys(old, torch.zeros(1)))) == list(old.values())


def test_wrappers_names_are_taken_off():
    state = {"conv.weight": torch.zeros(1), "module.fc.weight": torch.zeros(1)}
    assert bare(state) == state  # not all of them: a module that is called so
    wrapped = {f"module.network.{name}": value for name, value in state.items()}
    assert bare(wrapped) == state
    assert bare({}) == {}


def test_spreading_keeps_the_sum():
    weight = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(spread_channels(weight, 7).sum(dim=1), weight.sum(dim=1))

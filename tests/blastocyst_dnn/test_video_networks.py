"""MFNet, the recurrences and I3D's mean, each against a computation that is written out here."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.networks.i3d import InceptionI3d
from vidsuite_plugins.blastocyst_dnn.models import build
from vidsuite_plugins.blastocyst_dnn.models.recurrent import (
    HIDDEN,
    Bidirectional,
    ConvGRU,
    ConvLSTM,
    RecurrentResNet,
    encode_clip,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stir_statistics(network: nn.Module) -> None:
    """Batch norms that do something: statistics and factors as after training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)


# --- MFNet ------------------------------------------------------------------------------------------


def test_mfnet_has_the_reference_layout(shared):
    with (shared / "layouts" / "mfnet.csv").open(newline="") as file:
        expected = [(row["name"], row["shape"]) for row in csv.DictReader(file)]
    with torch.device("meta"):
        state = build("mfnet").state_dict()
    assert [(name, "x".join(map(str, value.shape))) for name, value in state.items()] == expected


def written_out_mfnet(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The reference's forward at 16 frames of 224x224, from its state dict alone."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        scale = w[f"{name}.weight"] / torch.sqrt(var + 1e-5)
        shape = (1, -1, 1, 1, 1)
        return ((x - mean.view(shape)) * scale.view(shape) + w[f"{name}.bias"].view(shape)).clamp(min=0)

    def conv(x: Tensor, name: str, stride=(1, 1, 1), groups=1) -> Tensor:
        weight = w[f"{name}.conv.weight"]
        padding = tuple(side // 2 for side in weight.shape[2:])
        return F.conv3d(norm(x, f"{name}.bn"), weight, None, stride, padding, 1, groups)

    x = F.conv3d(x, w["conv1.conv.weight"], None, (1, 2, 2), (1, 2, 2))
    x = F.max_pool3d(norm(x, "conv1.bn"), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, units in (("conv2", 3), ("conv3", 4), ("conv4", 6), ("conv5", 3)):
        for number in range(1, units + 1):
            unit = f"{stage}.B{number:02d}"
            stride = (1, 1, 1) if number > 1 else (2, 1, 1) if stage == "conv2" else (1, 2, 2)
            mixed = x + conv(conv(x, f"{unit}.conv_i1"), f"{unit}.conv_i2")
            main = conv(mixed, f"{unit}.conv_m1", stride, groups=16)
            main = conv(main, f"{unit}.conv_m2", groups=1 if number == 1 else 16)
            x = main + (conv(x, f"{unit}.conv_w1", stride) if number == 1 else x)
    x = F.avg_pool3d(norm(x, "tail.bn"), (8, 7, 7), stride=1).flatten(1)
    return x @ w["classifier.weight"].T + w["classifier.bias"]


def test_mfnet_equals_the_reference_for_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    source = build("mfnet")
    stir_statistics(source)
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "mfnet.pth")
    network = build("mfnet", weights=tmp_path / "mfnet.pth").eval()
    clip = torch.randn(1, 1, 16, 224, 224)
    with torch.no_grad():
        expected = written_out_mfnet(source.state_dict(), clip)
        assert expected.abs().max() > 0.01
        torch.testing.assert_close(network(clip), expected, rtol=1e-4, atol=1e-5)


# --- recurrences ------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_step(w: dict[str, np.ndarray], end: str, x: np.ndarray, state: np.ndarray, memory: np.ndarray):
    gates = w[f"weight_ih_{end}"] @ x + w[f"bias_ih_{end}"] + w[f"weight_hh_{end}"] @ state + w[f"bias_hh_{end}"]
    i, f, g, o = np.split(gates, 4)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(memory), memory


def gru_step(w: dict[str, np.ndarray], end: str, x: np.ndarray, state: np.ndarray, memory: np.ndarray):
    of_x = np.split(w[f"weight_ih_{end}"] @ x + w[f"bias_ih_{end}"], 3)
    of_state = np.split(w[f"weight_hh_{end}"] @ state + w[f"bias_hh_{end}"], 3)
    r, z = (sigmoid(of_x[k] + of_state[k]) for k in (0, 1))
    n = np.tanh(of_x[2] + r * of_state[2])
    return (1 - z) * n + z * state, memory


@pytest.mark.parametrize(("recurrence", "step"), [(nn.LSTM, lstm_step), (nn.GRU, gru_step)])
def test_recurrent_resnets_are_their_written_out_recurrences(recurrence, step):
    torch.manual_seed(0)
    network = RecurrentResNet(recurrence).eval()
    stir_statistics(network)
    clip = torch.randn(1, 3, 5, 40, 40)
    with torch.no_grad():
        x = encode_clip(network.encoder, clip).mean(dim=(3, 4))[0].double().numpy()
        found = network(clip)[0].numpy()
    w = {name: value.detach().double().numpy() for name, value in network.recurrence.named_parameters()}
    for layer in range(2):
        sides = []
        for end, order in ((f"l{layer}", 1), (f"l{layer}_reverse", -1)):
            state = memory = np.zeros(HIDDEN)
            states = []
            for value in x[::order]:
                state, memory = step(w, end, value, state, memory)
                states.append(state)
            sides.append(np.array(states)[::order])
        x = np.concatenate(sides, axis=1)
    head = network.classifier
    last_and_first = np.concatenate([x[-1, :HIDDEN], x[0, HIDDEN:]])
    expected = head.weight.detach().double().numpy() @ last_and_first + head.bias.detach().double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def convolve(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, h, w) with (O, C, k, k), zero-padded: the sum over all taps."""
    k = weight.shape[2]
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.zeros((len(weight), *x.shape[1:]))
    for row in range(k):
        for column in range(k):
            shifted = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, row, column], shifted)
    return out


def written_out_maps(cell: nn.Module, x: np.ndarray) -> np.ndarray:
    w = {name: value.detach().double().numpy() for name, value in cell.named_parameters()}
    state = memory = np.zeros((cell.hidden, *x.shape[2:]))
    states = []
    for step in x:
        of_x = convolve(step, w["of_input.weight"]) + w["of_input.bias"][:, None, None]
        if isinstance(cell, ConvLSTM):
            i, f, g, o = np.split(of_x + convolve(state, w["of_state.weight"]), 4)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(memory)
        else:
            of_r, of_z, of_n = np.split(of_x, 3)
            add_r, add_z = np.split(convolve(state, w["of_state.weight"]), 2)
            r, z = sigmoid(of_r + add_r), sigmoid(of_z + add_z)
            state = z * state + (1 - z) * np.tanh(of_n + convolve(r * state, w["of_reset.weight"]))
        states.append(state)
    return np.array(states)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("recurrence", [ConvLSTM, ConvGRU])
def test_convolutional_recurrences_are_written_out(recurrence, kernel):
    torch.manual_seed(0)
    cell = recurrence(5, 4, kernel)
    maps = torch.randn(2, 6, 5, 4, 3)
    with torch.no_grad():
        found = cell(maps).numpy()
    for one, expected in zip(maps.double().numpy(), found, strict=True):
        np.testing.assert_allclose(written_out_maps(cell, one), expected, rtol=1e-4, atol=1e-5)


def test_both_directions_end_where_they_ought_to():
    torch.manual_seed(0)
    both = Bidirectional(ConvGRU, 3, 4, layers=2)
    maps = torch.randn(1, 5, 3, 2, 2)
    with torch.no_grad():
        there, back = both.onward[0](maps), both.backward_[0](maps.flip(1)).flip(1)
        second = torch.cat([there, back], dim=2)
        expected = torch.cat([both.onward[1](second)[:, -1], both.backward_[1](second.flip(1))[:, -1]], dim=1)
        assert torch.equal(both(maps), expected)


def test_recurrences_see_the_order_of_frames():
    torch.manual_seed(0)
    for name in ("resnet_lstm", "resnet50_convgru"):
        network = build(name).eval()
        stir_statistics(network)
        clip = torch.randn(1, 1, 6, 48, 48)
        with torch.no_grad():
            assert not torch.allclose(network(clip), network(clip.flip(2)), atol=1e-4)


# --- I3D --------------------------------------------------------------------------------------------


def test_i3d_is_the_mean_over_time_of_the_shared_network():
    torch.manual_seed(0)
    network = build("i3d").eval()
    plain = InceptionI3d(2, in_channels=1).eval()
    plain.load_state_dict(network.state_dict())
    clip = torch.randn(1, 1, 17, 32, 32)
    with torch.no_grad():
        steps = plain(clip)
        assert steps.shape == (1, 2, 2)
        torch.testing.assert_close(network(clip), steps.mean(dim=1))

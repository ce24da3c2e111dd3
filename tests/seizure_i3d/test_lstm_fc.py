"""The paper's classifier against computations that are written out here step by step."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.classifier import weighted_loss
from vidsuite_plugins.seizure_i3d.models.heads import FcHead, NormDropout
from vidsuite_plugins.seizure_i3d.models.keras_lstm import KerasLstm
from vidsuite_plugins.seizure_i3d.models.lstm_fc import LstmFc

SMALL = {"in_channels": 6, "lstm_units": (5, 4), "fc_units": (4, 3)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are small: on a busy machine a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def samples(labels: list[int]) -> list[BaseDataElement]:
    elements = [BaseDataElement(metainfo={"sample_id": f"s{n}"}) for n in range(len(labels))]
    for element, label in zip(elements, labels, strict=True):
        element.set_field(torch.tensor([label]), "gt_label")
    return elements


def settle_batch_norm(model: nn.Module) -> None:
    """Give batch norm statistics and weights that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for tensor in (module.running_mean, module.bias):
                nn.init.uniform_(tensor, -0.5, 0.5)
            for tensor in (module.running_var, module.weight):
                nn.init.uniform_(tensor, 0.5, 1.5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def keras_lstm_in_numpy(layer: KerasLstm, x: Tensor, valid: Tensor, masks: np.ndarray, gate=sigmoid) -> np.ndarray:
    """The LSTM's equations, sample by sample and step by step, in float64; masks (4, B, units)."""
    kernel, recurrent, bias = (p.detach().double().numpy() for p in (layer.kernel, layer.recurrent_kernel, layer.bias))
    units = layer.units
    out = np.zeros((*x.shape[:2], units))
    for b in range(len(x)):
        h, c = np.zeros(units), np.zeros(units)
        for t in range(x.shape[1]):
            if valid[b, t]:
                z = []
                for g in range(4):
                    rows = slice(g * units, (g + 1) * units)
                    z.append(kernel[rows] @ x[b, t].double().numpy() + recurrent[rows] @ (h * masks[g, b]) + bias[rows])
                c = gate(z[1]) * c + gate(z[0]) * np.tanh(z[2])
                h = gate(z[3]) * np.tanh(c)
            out[b, t] = h
    return out


VALID = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)


@pytest.fixture
def layer() -> KerasLstm:
    torch.manual_seed(1)
    layer = KerasLstm(6, 5, recurrent_dropout=0.4)
    nn.init.normal_(layer.bias)
    return layer


def test_masked_steps_carry_the_state(layer):
    x = torch.randn(4, 5, 6)
    expected = keras_lstm_in_numpy(layer, x, VALID, np.ones((4, 4, 5)))
    np.testing.assert_allclose(layer.eval()(x, VALID).detach(), expected, atol=1e-6)
    assert not expected[3].any() and (expected[2, 1] == expected[2, 0]).all()


def test_recurrent_dropout_scales_h_alone_with_one_mask_a_gate(layer, monkeypatch):
    x = torch.randn(4, 5, 6)
    masks = torch.bernoulli(torch.full((4, 4, 5), 0.6)) / 0.6
    drawn = []
    monkeypatch.setattr(layer, "sample_dropout", lambda _: drawn.append(1) or masks)
    expected = keras_lstm_in_numpy(layer, x, VALID, masks.double().numpy())
    np.testing.assert_allclose(layer.train()(x, VALID).detach(), expected, atol=1e-6)
    assert len(drawn) == 1, "the masks are drawn once a sequence"
    np.testing.assert_allclose(
        layer.eval()(x, VALID).detach(), keras_lstm_in_numpy(layer, x, VALID, np.ones((4, 4, 5))), atol=1e-6
    )
    assert len(drawn) == 1, "none is drawn in evaluation"


def test_hard_sigmoid_is_that_of_keras():
    torch.manual_seed(2)
    layer = KerasLstm(6, 5, recurrent_activation="hard_sigmoid").eval()
    x = 4 * torch.randn(4, 5, 6)
    expected = keras_lstm_in_numpy(layer, x, VALID, np.ones((4, 4, 5)), gate=lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0))
    np.testing.assert_allclose(layer(x, VALID).detach(), expected, atol=1e-5)
    with pytest.raises(VidsuiteError, match="recurrent_activation 'relu'"):
        KerasLstm(6, 5, recurrent_activation="relu")


def test_drawn_masks_stay_over_time_differ_by_gate_and_spare_c():
    """Each unit sees only itself, so its path tells which gates dropped it: 16 ways, each followed to the end."""
    torch.manual_seed(3)
    units, steps, rate, bias, weight = 40, 6, 0.5, (0.3, 1.0, 0.8, -0.2), (1.0, -1.5, 0.7, 1.3)
    layer = KerasLstm(1, units, recurrent_dropout=rate).train()
    with torch.no_grad():
        layer.kernel.zero_()
        layer.bias.copy_(torch.tensor(bias).repeat_interleave(units))
        layer.recurrent_kernel.copy_(torch.cat([w * torch.eye(units) for w in weight]))
    paths = layer(torch.zeros(20, steps, 1), torch.ones(20, steps, dtype=torch.bool)).detach()
    paths = paths.transpose(1, 2).reshape(-1, steps).numpy()

    def path(kept: tuple[int, ...]) -> list[float]:
        h = c = 0.0
        out = []
        for _ in range(steps):
            i, f, g, o = (b + w * k / (1 - rate) * h for b, w, k in zip(bias, weight, kept, strict=True))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return out

    expected = np.array([path(kept) for kept in np.ndindex(2, 2, 2, 2)])
    distance = np.abs(paths[:, None] - expected[None]).max(axis=2)
    assert distance.min(axis=1).max() < 1e-5
    counts = np.bincount(distance.argmin(axis=1), minlength=16)
    assert counts.min() > 20, "with independent masks each of the 16 ways has a share of 1/16 of 800"


def test_masked_prefix_equals_the_suffix_through_torch_lstm():
    """Both LSTMs of the model, in evaluation, against nn.LSTM on the unmasked steps alone."""
    torch.manual_seed(4)
    model = LstmFc().eval()
    settle_batch_norm(model)
    x = torch.rand(3, 7, 1024)
    references = []
    for lstm in model.lstms:
        reference = nn.LSTM(lstm.kernel.shape[1], lstm.units, batch_first=True)
        weights = (lstm.kernel, lstm.recurrent_kernel, lstm.bias, torch.zeros_like(lstm.bias))
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), weights, strict=True):
            getattr(reference, name).data.copy_(value)
        references.append(reference)
    with torch.no_grad():
        for masked in (0, 2, 6):
            x[:, :masked] = -1
            sequence = references[0](x[:, masked:])[0]
            last = references[1](model.norms[0](sequence))[0][:, -1]
            logits, outputs = model.run(x)
            assert (outputs[1] - last).abs().max() < 1e-6
            assert (logits - model.head(model.norms[1](last))).abs().max() < 1e-6


def test_a_step_is_masked_only_where_all_features_are_minus_one():
    torch.manual_seed(5)
    model = LstmFc().eval()
    x = torch.rand(1, 7, 1024)
    masked, touched = x.clone(), x.clone()
    masked[:, 3] = -1
    touched[:, 3] = -1
    touched[:, 3, 700] = -0.5
    skipped = torch.cat([x[:, :3], x[:, 4:]], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model(masked), model(skipped))
        assert (model(touched) - model(skipped)).abs() > 1e-4


def test_a_wholly_masked_sequence_is_answered_from_zero_states():
    torch.manual_seed(6)
    model = LstmFc().eval()
    settle_batch_norm(model)
    with torch.no_grad():
        empty = model(torch.full((2, 7, 1024), -1.0))
        torch.testing.assert_close(empty, model.head(model.norms[1](torch.zeros(2, 64))))


def test_parameter_counts_are_those_of_keras():
    """Keras counts running statistics as non-trainable parameters: 4 a channel and batch norm in all."""
    model = LstmFc()
    trainable = sum(p.numel() for p in model.parameters())
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    in_norms = sum(p.numel() for norm in norms for p in norm.parameters())
    non_trainable = sum(norm.running_mean.numel() + norm.running_var.numel() for norm in norms)
    assert [norm.num_features for norm in norms] == [128, 64, 64, 32]
    assert trainable - in_norms == 646_017
    assert (trainable, non_trainable) == (646_593, 576)
    assert trainable + non_trainable == 647_169


def test_initial_weights_are_those_of_keras():
    torch.manual_seed(7)
    model = LstmFc()
    for lstm, (inputs, units) in zip(model.lstms, ((1024, 128), (128, 64)), strict=True):
        limit = (6 / (inputs + 4 * units)) ** 0.5
        assert 0.99 * limit < lstm.kernel.abs().max() <= limit
        torch.testing.assert_close(lstm.recurrent_kernel.T @ lstm.recurrent_kernel, torch.eye(units), atol=1e-5, rtol=0)
        i, f, g, o = lstm.bias.detach().split(units)
        assert (f == 1).all() and not torch.cat([i, g, o]).any()
    for dense in (*model.head.fcs, model.head.output):
        limit = (6 / dense.in_features) ** 0.5
        assert 0.85 * limit < dense.weight.abs().max() <= limit
        assert not dense.bias.any()


def test_loss_terms_and_their_gradients():
    torch.manual_seed(8)
    coefficients = {"l2_kernel": 0.1, "l2_recurrent": 0.2, "l2_bias": 0.3, "l2_activity": 0.4}
    model = LstmFc(**SMALL, **coefficients, recurrent_dropout=0.0, class_weights=[0.5, 2.0])
    for fc in model.head.fcs:
        nn.init.normal_(fc.bias)
    model.eval()
    x = torch.randn(6, 7, 6)
    x[0, :4] = -1
    labels = [0, 1, 1, 0, 0, 0]
    losses = model(x, samples(labels), mode="loss")
    assert set(losses) == {"loss_cls", "loss_l2", "loss_activity"}

    p = sigmoid(model(x).detach().double().numpy()[:, 0])
    weights = np.array([0.5, 2.0])[labels]
    assert losses["loss_cls"].item() == pytest.approx((weights * (p - labels) ** 2).mean(), rel=1e-5)
    dense = [*(fc.weight for fc in model.head.fcs), model.head.output.weight]
    squares = {
        "l2_kernel": [*(lstm.kernel for lstm in model.lstms), *dense],
        "l2_recurrent": [lstm.recurrent_kernel for lstm in model.lstms],
        "l2_bias": [fc.bias for fc in model.head.fcs],
    }
    l2 = sum(coefficients[name] * sum((t.detach().numpy() ** 2).sum() for t in of) for name, of in squares.items())
    assert losses["loss_l2"].item() == pytest.approx(l2, rel=1e-5)
    sequence, last = (t.detach().numpy() for t in model.run(x)[1])
    assert sequence.shape == (6, 7, 5) and last.shape == (6, 4)
    assert losses["loss_activity"].item() == pytest.approx(0.4 * ((sequence**2).sum() + (last**2).sum()) / 6, rel=1e-5)

    losses["loss_cls"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("weights", [None, [0.5, 2.0]])
def test_cross_entropy_of_one_logit_is_the_binary_one(weights):
    logits, labels = torch.tensor([[2.0], [-1.0], [0.5]]), torch.tensor([1, 1, 0])
    p = sigmoid(np.array([2.0, -1.0, 0.5]))
    each = -np.log([p[0], p[1], 1 - p[2]]) * ([1, 1, 1] if weights is None else [2.0, 2.0, 0.5])
    loss = weighted_loss(logits, labels, "cross_entropy", None if weights is None else torch.tensor(weights))
    assert loss.item() == pytest.approx(each.mean(), rel=1e-6)


def test_mse_of_three_classes_is_the_mean_over_classes():
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    p = np.exp([1.0, 0.0, -1.0]) / np.exp([1.0, 0.0, -1.0]).sum()
    expected = (p[0] ** 2 + (p[1] - 1) ** 2 + p[2] ** 2) / 3
    assert weighted_loss(logits, torch.tensor([1]), "mse", None).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_predictions_are_probabilities_of_the_same_samples(num_classes):
    model = MODELS.build({"type": "seizure_i3d.LstmFc", **SMALL, "num_classes": num_classes}).eval()
    given = samples([0, 1, 1])
    x = torch.randn(3, 7, 6)
    predicted = model(list(x), given, mode="predict")
    assert predicted is given and [s.sample_id for s in predicted] == ["s0", "s1", "s2"]
    scores = torch.stack([s.pred_score for s in predicted])
    assert scores.shape == (3, num_classes) and not scores.requires_grad
    assert all(s.pred_score.untyped_storage().nbytes() == 4 * num_classes for s in predicted), "no view of the batch"
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(3))
    logits = model(x)
    assert logits.shape == (3, 1 if num_classes == 2 else num_classes)
    if num_classes == 2:
        torch.testing.assert_close(scores[:, 1], logits.detach().sigmoid()[:, 0])


def test_trains_on_the_order_of_steps_and_survives_a_checkpoint():
    """A class told by order alone is learned through mmengine's train_step."""
    torch.manual_seed(9)
    labels = [0, 1] * 30
    x = 0.1 * torch.randn(60, 7, 6)
    for clip, label in zip(x, labels, strict=True):
        clip[5 if label else 2] += 2.0
        clip[:1] = -1
    model = LstmFc(
        in_channels=6, lstm_units=(16, 8), fc_units=(16, 8), dropout=0.1, recurrent_dropout=0.1, bn_momentum=0.2
    )
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=0.02))
    batch = {"inputs": list(x), "data_samples": samples(labels)}
    for _ in range(60):
        log = model.train_step(batch, wrapper)
    assert log["loss"].item() == pytest.approx(
        sum(log[f"loss_{n}"].item() for n in ("cls", "l2", "activity")), rel=1e-5
    )
    model.eval()
    scores = torch.stack([s.pred_score for s in model.val_step(batch)])
    assert (scores.argmax(dim=1) == torch.tensor(labels)).float().mean() > 0.95

    other = LstmFc(in_channels=6, lstm_units=(16, 8), fc_units=(16, 8), class_weights=[1.0, 3.0]).eval()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)


def test_dropout_and_batch_norm_follow_each_hidden_layer_in_that_order():
    torch.manual_seed(10)
    head = FcHead(8, units=(400,), dropout=0.5)
    seen = []
    head.output.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    head(torch.randn(64, 8))
    dropped = seen[0] == 0
    assert 0.45 < dropped.float().mean() < 0.55
    # What is kept is normalised and then doubled: batch norm saw the values before dropout.
    kept = torch.where(dropped, torch.nan, seen[0] / 2)
    assert kept.nanmean().abs() < 0.05
    assert (kept.square().nanmean() - 1).abs() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": "balanced"}, "class_weights must be 2 positive numbers"),
        ({"class_weights": [1.0]}, "class_weights must be 2 positive numbers"),
        ({"class_weights": [1.0, float("nan")]}, "class_weights must be 2 positive numbers"),
        ({"loss": "hinge"}, "loss 'hinge' is unknown"),
        ({"num_classes": 1}, "num_classes of at least 2"),
        ({"recurrent_dropout": 1.0}, r"recurrent_dropout must be in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(VidsuiteError, match=message):
        LstmFc(**SMALL, **options)


def test_wrong_calls_are_refused():
    model = LstmFc(**SMALL)
    with pytest.raises(UsageError, match="mode 'train' is unknown"):
        model(torch.zeros(1, 7, 6), mode="train")
    with pytest.raises(UsageError, match="needs data_samples"):
        model(torch.zeros(1, 7, 6), mode="predict")
    with pytest.raises(VidsuiteError, match="mixes inputs of shapes"):
        model([torch.zeros(7, 6), torch.zeros(6, 6)])


def test_a_last_batch_of_one_sample_trains_as_in_keras():
    """One row is its own mean: batch norm leaves its shift, no gradient passes, and the running statistics stay."""
    torch.manual_seed(11)
    layer = NormDropout(4, dropout=0.0, bn_momentum=0.1, bn_eps=1e-3).train()
    settle_batch_norm(layer)
    before = layer.bn.running_mean.clone(), layer.bn.running_var.clone()
    row = (torch.rand(1, 4) + 1).requires_grad_()
    out = layer(row)
    torch.testing.assert_close(out, layer.bn.bias[None])
    out.square().sum().backward()
    assert not row.grad.any() and layer.bn.bias.grad.all()
    assert torch.equal(layer.bn.running_mean, before[0]) and torch.equal(layer.bn.running_var, before[1])

    losses = LstmFc(**SMALL).train()(torch.randn(1, 7, 6), samples([1]), mode="loss")
    sum(losses.values()).backward()

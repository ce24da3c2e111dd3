"""The plugin's specs, configs and definitions, and its classifiers in mmengine's contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

import vidsuite_core as vs
from vidsuite_core.engine.config import cell_config, named_weights
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_plugins.blastocyst_dnn.models import NETWORKS
from vidsuite_plugins.blastocyst_dnn.models.classifier import Classifier, Morphokinetics


@pytest.fixture(scope="module")
def suite() -> vs.Suite:
    return vs.load()


def element(label: int) -> BaseDataElement:
    one = BaseDataElement(metainfo={"sample_id": str(label)})
    one.gt_label = torch.tensor([label])
    return one


def test_every_network_is_a_model_with_a_config(suite):
    models = {handle.spec.name: handle.spec for handle in suite.models.of_plugin("blastocyst_dnn")}
    assert set(NETWORKS) == {name for name in models if not name.startswith("morphokinetic")}
    for name, spec in models.items():
        config = cell_config(spec.config, "paper", [], {}, "fp32")
        assert named_weights(config) == set(spec.weights)
        assert config["until"] == 80
        if name in NETWORKS:
            assert config["model"]["network"] == name
            assert config["frames"] == (32 if NETWORKS[name].clips else 1)
            single = 224 if name.startswith("vit") else 400
            assert config["size"] == (224 if NETWORKS[name].clips else single)
            assert config["optim_wrapper"]["optimizer"] == {"type": "AdamW", "lr": 1e-3, "weight_decay": 1e-5}
            assert config["train_dataloader"]["batch_size"] == (16 if NETWORKS[name].clips else 32)
            assert "param_scheduler" not in config


@pytest.mark.parametrize("preset", ["quick", "medium"])
def test_small_presets_differ_in_what_is_seen_alone(suite, preset):
    budgets = set()
    for name in NETWORKS:
        config = cell_config(suite.models[f"blastocyst_dnn/{name}"].spec.config, preset, [], {}, "fp32")
        budgets.add((config["train_cfg"]["max_iters"], config["train_dataloader"]["batch_size"], config["field"]))
        assert config["frames"] == (16 if NETWORKS[name].clips else 1)
        assert config["size"] >= (75 if name == "inception_v3" else 32)
        assert config["param_scheduler"][0]["total_steps"] == config["train_cfg"]["max_iters"]
    assert len(budgets) == 1


def test_initial_weights_are_known_to_the_suite(suite):
    for handle in suite.models.of_plugin("blastocyst_dnn"):
        for name in handle.spec.weights:
            assert suite.weights[name].spec.sha256


def test_definitions_name_what_is_there(suite):
    for name in ("blastocyst_dnn/blastocyst_dnn", "blastocyst_dnn/blastocyst_dnn_by_embryo"):
        definition = suite.benchmarks[name].definition()
        assert {definition.full_name(model) for model in definition.models} <= set(suite.models)
        assert {definition.full_name(data) for data in definition.datasets} <= set(suite.datasets)
        assert set(NETWORKS) < set(definition.models)
    by_patient, by_embryo = (
        suite.benchmarks[name].definition()
        for name in ("blastocyst_dnn/blastocyst_dnn", "blastocyst_dnn/blastocyst_dnn_by_embryo")
    )
    for preset in ("quick", "medium", "paper"):
        options = by_embryo.options("embryo_timelapse/synthetic", preset)
        assert options.pop("group") == "embryo"
        assert options == by_patient.options("embryo_timelapse/synthetic", preset)


def test_networks_are_built_by_name(suite, tmp_path):
    network = suite.models["blastocyst_dnn/mfnet"].build(num_classes=2, in_channels=1)
    torch.save(network.state_dict(), tmp_path / "mfnet.pth")
    again = suite.models["blastocyst_dnn/mfnet"].build(num_classes=2, in_channels=1, weights=tmp_path / "mfnet.pth")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("name", ["mobilenet_v3", "mfnet"])
def test_a_trained_classifiers_weights_are_the_networks(suite, name, tmp_path):
    classifier = Classifier(name)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    network = suite.models[f"blastocyst_dnn/{name}"].build(weights=tmp_path / "weights.pth").eval()
    clip = torch.randn(2, 1, 9, 48, 48)
    classifier.eval()
    with torch.no_grad():
        expected = network(clip if NETWORKS[name].clips else clip[:, :, -1])
        assert torch.equal(classifier(clip), expected)


def test_the_classifier_is_mmengines():
    classifier = Classifier("mobilenet_v3")
    inputs = [torch.randn(1, 1, 64, 64) for _ in range(4)]
    samples = [element(k % 2) for k in range(4)]
    loss = classifier(inputs, samples, mode="loss")["loss_cls"]
    loss.backward()
    assert torch.isfinite(loss)
    classifier.eval()
    with torch.no_grad():
        for sample in classifier(inputs, samples, mode="predict"):
            assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)


def items(rows: np.ndarray, labels: np.ndarray):
    for row, label in zip(rows, labels, strict=True):
        yield {"inputs": torch.from_numpy(row.astype(np.float32)), "data_samples": element(int(label))}


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_morphokinetics_learns_hours_and_absences(kind, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    rows = np.stack([30 - 4 * labels + rng.normal(0, 1, 200), rng.normal(50, 5, 200), np.full(200, np.nan)], axis=1)
    rows[labels == 0, 1] = np.where(rng.random(100) < 0.5, np.nan, rows[labels == 0, 1])
    model = Morphokinetics(kind)
    with pytest.raises(UsageError, match="not fitted"):
        model(torch.zeros(1, 3))
    model.fit(items(rows[:100], labels[:100]))
    with torch.no_grad():
        found = model(torch.from_numpy(rows[100:].astype(np.float32)))
    assert (found.argmax(1).numpy() == labels[100:]).mean() > 0.9
    torch.testing.assert_close(found.exp().sum(1), torch.ones(100), rtol=0, atol=1e-5)
    torch.save(model.state_dict(), tmp_path / "fitted.pth")
    again = Morphokinetics(kind)
    again.load_state_dict(torch.load(tmp_path / "fitted.pth", weights_only=True))
    with torch.no_grad():
        assert torch.equal(again(torch.from_numpy(rows[100:].astype(np.float32))), found)


def test_morphokinetics_refuses_what_it_cannot_fit():
    with pytest.raises(UsageError, match="neither 'logistic' nor 'boosting'"):
        Morphokinetics("forest")
    with pytest.raises(VidsuiteError, match=r"labels \[1\] are without a training sample"):
        Morphokinetics().fit(items(np.zeros((3, 2)), np.zeros(3)))
    with pytest.raises(VidsuiteError, match="no embryo has a division time"):
        Morphokinetics().fit(items(np.full((4, 2), np.nan), np.arange(4) % 2))
    with pytest.raises(UsageError, match="no loss"):
        Morphokinetics().loss(torch.zeros(1, 2), [element(0)])


def test_configs_are_files_of_models(suite):
    folder = Path(suite.models["blastocyst_dnn/resnet18"].spec.config).parent
    files = {path.stem for path in folder.glob("[!_]*.py")}
    assert files == {handle.spec.name for handle in suite.models.of_plugin("blastocyst_dnn")}

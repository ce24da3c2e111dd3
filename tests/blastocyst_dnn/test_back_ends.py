"""Every network through every back end that is here, equal to the plain one on a small input."""

from __future__ import annotations

import pytest
import torch

from vidsuite_core.engine.accelerated import parts_of
from vidsuite_core.inference import accelerate
from vidsuite_core.inference.registry import candidates
from vidsuite_plugins.blastocyst_dnn.models import NETWORKS, build
from vidsuite_plugins.blastocyst_dnn.models.classifier import Classifier

HERE = [one.name for one in candidates("cpu") if one.backend is not None and one.name != "compiled"]
"""torch.compile needs a compiler, and minutes a network."""
QUICK = ("mobilenet_v3", "resnet_gru", "mfnet")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))


def example(name: str, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    size = 224 if name.startswith("vit") else 80  # Inception takes 75 at the least
    return torch.randn(batch, 1, 10, 48, 48) if NETWORKS[name].clips else torch.randn(batch, 1, size, size)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
@pytest.mark.parametrize("backend", HERE)
def test_a_network_through_a_back_end(name, backend):
    torch.manual_seed(0)
    network = build(name).eval()
    seen = example(name)
    with torch.no_grad():
        expected = network(seen)
    fast = accelerate(network, seen, precision="fp32", backend=backend, varying={0: (0,)}, keep="choice")
    assert fast.path == f"{backend}-fp32"
    found = fast(seen)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.std().item())
    one = fast(seen[:1])
    torch.testing.assert_close(one, expected[:1], rtol=1e-3, atol=1e-3 * expected.std().item())


def test_classifiers_offer_their_network():
    classifier = Classifier("mobilenet_v3")
    (part,) = parts_of(classifier)
    assert part.module is classifier.network

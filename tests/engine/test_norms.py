"""Batch norm is settled before it is scored: exactly, only where training moves it, and the record says so."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cells import Reports, toy_config, toy_order
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.norms import Settler, trained_layers
from vidsuite_core.results.store import PREDICTIONS
from vidsuite_core.support.files import read_predictions


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Ten rows of three numbers far from 0."""

    values = torch.arange(30.0).view(10, 3) + 100

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": self.values[index]}


class Net(BaseModel):
    """A trained layer, a frozen one, one that is skipped, and a buffer that the forward pass changes."""

    def __init__(self) -> None:
        super().__init__()
        self.trained, self.frozen, self.skipped = (nn.BatchNorm1d(3, momentum=0.01) for _ in range(3))
        for layer in (self.trained, self.frozen, self.skipped):
            layer.running_mean.fill_(7)
        self.instance = nn.InstanceNorm1d(3, track_running_stats=True)
        self.register_buffer("seen", torch.zeros(()))
        self.drawn: list[float] = []

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        rows = torch.stack(list(inputs))
        self.seen += 1
        self.drawn.append(float(torch.rand(()) + random.random() + np.random.rand()))
        return {"loss": (self.frozen(self.trained(rows)) ** 2).mean()}


def settler(batches: int = 100, **loader: Any) -> Settler:
    found = {
        "batch_size": 4,
        "num_workers": 0,
        "dataset": Rows(),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    return Settler({**found, **loader}, batches, seed=0)


def runner(net: Net) -> Any:
    return SimpleNamespace(model=net, optim_wrapper=OptimWrapper(torch.optim.SGD(net.parameters(), lr=1)))


def test_statistics_are_the_means_over_batches_and_nothing_else_is_moved() -> None:
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    done = settler()(runner(net))
    assert done is not None and (done.layers, done.batches) == (1, 3)
    batches = Rows.values.split(4)
    torch.testing.assert_close(net.trained.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(net.trained.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"trained.running_mean", "trained.running_var", "trained.num_batches_tracked"}
    assert {layer.momentum for layer in net.modules() if isinstance(layer, nn.BatchNorm1d)} == {0.01}
    assert all(p.grad is None for p in net.parameters())


def test_a_layer_that_no_batch_reaches_keeps_what_it_had() -> None:
    net = Net()
    assert net.skipped in trained_layers(net) or not net.skipped.training
    settler()(runner(net))
    assert net.skipped.running_mean.tolist() == [7, 7, 7]
    assert net.frozen.running_mean.tolist() == [7, 7, 7]


def test_what_is_drawn_is_the_same_each_time_and_training_goes_on_as_if_nothing_was() -> None:
    net, settle = Net(), settler(2)
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = (torch.rand(3), random.random(), np.random.rand())
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    settle(runner(net)), settle(runner(net))
    found = (torch.rand(3), random.random(), np.random.rand())
    assert torch.equal(found[0], expected[0]) and found[1:] == expected[1:]
    assert len(net.drawn) == 4
    assert net.drawn[:2] == net.drawn[2:]


def test_no_more_batches_than_asked_for_and_none_where_there_is_nothing_to_settle() -> None:
    net = Net()
    done = settler(2, sampler={"type": "InfiniteSampler", "shuffle": True})(runner(net))
    assert done is not None and done.batches == 2
    endless = settler(100, sampler={"type": "InfiniteSampler", "shuffle": True})(runner(net))
    assert endless is not None and endless.batches == 3  # once through the data
    assert settler(0)(runner(net)) is None
    assert settler()(SimpleNamespace(model=nn.Linear(1, 1))) is None


def test_a_failure_on_the_way_leaves_the_layers_momentum() -> None:
    net = Net()
    net.train_step = lambda *_: (_ for _ in ()).throw(RuntimeError("boom"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="boom"):
        settler()(runner(net))
    assert net.trained.momentum == 0.01
    assert net.trained.running_mean.tolist() == [7, 7, 7]


class TestCell:
    """The toy's network with batch norm that hardly follows; see `cells.Normed`."""

    def run(self, folder: Path, *options: str) -> tuple[dict[str, Any], Any]:
        folder.mkdir()
        config = toy_config("model.type=cells.Normed", *options)
        outcome = run_cell(toy_order(folder, config, subjects=8), Reports())
        assert outcome["status"] == "ok", outcome["reason"]
        return outcome, read_predictions(folder / "attempt" / PREDICTIONS)

    def test_the_last_weights_are_scored_with_settled_statistics(self, toy_env: Any, tmp_path: Path) -> None:
        settled, ours = self.run(tmp_path / "a")
        raw, theirs = self.run(tmp_path / "b", "recalibrate=0")
        assert settled["details"]["batch_norm"] == {"layers": 1, "batches": 2}
        assert "batch_norm" not in raw["details"]
        assert np.abs(ours["prob"] - theirs["prob"]).max() > 0.01

    def test_the_batches_may_come_through_a_pipeline_of_their_own(self, toy_env: Any, tmp_path: Path) -> None:
        """With the same weights, statistics of clips that are shown otherwise give other predictions."""
        own = toy_config()["data"]["pipeline"]
        found = []
        for folder, pipeline in (("plain", None), ("same", own), ("other", [{**own[0], "size": 16}, *own[1:]])):
            (tmp_path / folder).mkdir()
            config = toy_config("model.type=cells.Normed", layers=[{"recalibrate_pipeline": pipeline}])
            outcome = run_cell(toy_order(tmp_path / folder, config, subjects=8), Reports())
            assert outcome["status"] == "ok", outcome["reason"]
            found.append(read_predictions(tmp_path / folder / "attempt" / PREDICTIONS)["prob"])
        np.testing.assert_array_equal(found[0], found[1])
        assert np.abs(found[0] - found[2]).max() > 1e-4

    def test_what_is_chosen_was_judged_as_it_is_scored(self, toy_env: Any, tmp_path: Path) -> None:
        outcome, arrays = self.run(tmp_path / "a", "selection=inner", "train_cfg.max_epochs=1")
        assert outcome["details"]["batch_norm"]["layers"] == 1
        # One epoch: what `inner` chose and what the paper's rule chose are the same checkpoint.
        np.testing.assert_array_equal(arrays["prob"], arrays["prob@paper_rule"])

    def test_a_network_without_batch_norm_has_nothing_to_settle(self, toy_env: Any, tmp_path: Path) -> None:
        outcome = run_cell(toy_order(tmp_path, toy_config()), Reports())
        assert "batch_norm" not in outcome["details"]

"""Two real processes (gloo) run one cell together: as one process would, and rank 0 alone writes."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import Reports, toy_config, toy_order
from floor_data import Street
from torch.utils.data import ConcatDataset

import vidsuite_core as vs
from vidsuite_core.engine import ranks
from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.config import cell_config, runtime_config
from vidsuite_core.engine.metric import Part
from vidsuite_core.engine.order import Order
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import CONFIG, PREDICTIONS
from vidsuite_core.support.files import read_predictions

HERE = Path(__file__).parent
ITERATIONS = (
    "train_cfg._delete_=True",
    "train_cfg.by_epoch=False",
    "train_cfg.max_iters=6",
    "train_cfg.val_interval=3",
)


def two(order: Order, folder: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    """What both ranks of an order come to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "order.json").write_text(json.dumps(dataclasses.asdict(order)))
    paths = os.pathsep.join([str(HERE), str(HERE.parent), env.get("PYTHONPATH", "")])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = []
    for rank in ("0", "1"):
        command = [sys.executable, str(HERE / "one_rank.py"), str(folder / "order.json"), str(folder / f"{rank}.json")]
        own = {**env, **shared, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": paths}
        log = (folder / f"{rank}.log").open("w")
        processes.append(subprocess.Popen(command, env=own, stdout=log, stderr=subprocess.STDOUT))
    try:
        codes = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    told = "\n".join((folder / f"{rank}.log").read_text()[-3000:] for rank in (0, 1))
    assert codes == [0, 0], told
    outcomes = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [outcome["status"] for outcome in outcomes] == ["ok", "ok"], [o.get("reason") for o in outcomes] + [told]
    return outcomes


def stored(folder: Path) -> dict[str, np.ndarray]:
    return read_predictions(folder / "attempt" / PREDICTIONS)


def test_two_ranks_train_as_one_process_does_on_batches_of_both(toy_env: dict[str, str], tmp_path: Path) -> None:
    """Half of each batch on each, the same steps; both evaluations of validation and both of the end are whole."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        config = toy_config(*ITERATIONS, "selection=inner", "train_dataloader.batch_size=4")
        order = toy_order(tmp_path / name, config, subjects=8, keep=("weights",), cost=True)
        if name == "one":
            assert run_cell(order, Reports())["status"] == "ok"
        else:
            main, other = two(order, tmp_path / name, toy_env)
    one, both = stored(tmp_path / "one"), stored(tmp_path / "two")
    assert set(both) == set(one)
    np.testing.assert_array_equal(both["sample_id"], one["sample_id"])
    np.testing.assert_allclose(both["prob"], one["prob"], atol=1e-4)
    np.testing.assert_allclose(both["prob@paper_rule"], one["prob@paper_rule"], atol=1e-4)
    assert set(main["details"]["chosen"]) == {"inner", "paper_rule"}
    assert main["efficiency"]["parameters"] > 0
    assert "scores" not in other
    assert (tmp_path / "two" / "attempt" / CONFIG).is_file()
    import torch

    kept = torch.load(tmp_path / "two" / "attempt" / "weights.pth", weights_only=True)
    assert "head.weight" in kept  # without what wraps it


def test_batch_norm_is_settled_on_the_batches_of_both(toy_env: dict[str, str], tmp_path: Path) -> None:
    config = toy_config(*ITERATIONS, "model.type=cells.Normed", "train_dataloader.batch_size=4", "paper_rule=None")
    main, _ = two(toy_order(tmp_path, config, subjects=8), tmp_path, toy_env)
    assert main["details"]["batch_norm"] == {"layers": 1, "batches": 2}  # of each rank: 8 clips in twos


def test_a_batch_that_cannot_be_shared_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "get_world_size", lambda: 2)
    assert ranks.share(6) == 3
    with pytest.raises(VidsuiteError, match="a batch of 3 cannot be divided evenly among 2 processes; give another"):
        ranks.share(3)


def test_a_sequence_is_predicted_by_one_rank_and_another_may_have_none(toy_env: dict[str, str], tmp_path: Path) -> None:
    dataset = Street(tmp_path / "data")
    dataset.prepare()
    recipe = vs.load("toy").models["core/prior"].spec.recipe("video_segmentation")
    assert recipe is not None
    config = cell_config(recipe, "quick", [], {"size": [8, 6]}, "fp32")
    key = {"protocol": {"type": "fixed", "version": 1}, "fold": "fixed", "dataset": dataset.fingerprint()}
    (tmp_path / "attempt").mkdir()
    order = Order(
        score_key={**key, "config": config, "seed": 0, "weights": {}},
        task="vidsuite_core.tasks.video_segmentation:VideoSegmentation",
        dataset="floor_data:Street",
        root=str(tmp_path / "data"),
        options={},
        weights={},
        device="cpu",
        folder=str(tmp_path / "attempt"),
        cost=False,
    )
    two(order, tmp_path, toy_env)
    assert stored(tmp_path)["lags"].tolist() == [1, 2]


def test_a_network_with_a_memory_is_scored_again_and_again(toy_env: dict[str, str], tmp_path: Path) -> None:
    """Two validations and a test, each counting whole sequences on either rank."""
    suite = vs.load()
    dataset = suite.datasets["driving_fanet/synthetic"].prepare(
        tmp_path / "data", frames=8, size=[32, 32], sequences=6, workers=1
    )
    recipe = suite.models["driving_fanet/fanet18_tca1"].spec.config
    assert recipe is not None
    train = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 1, "train_dataloader.batch_size": 2, "validate": True}
    config = cell_config(recipe, "quick", [], {**train, "recalibrate": 1}, "fp32")
    key = {"protocol": {"type": "fixed", "version": 1}, "fold": "fixed", "dataset": dataset.fingerprint()}
    (tmp_path / "attempt").mkdir()
    order = Order(
        score_key={**key, "config": config, "seed": 0, "weights": {"resnet18_imagenet": "random"}},
        task="vidsuite_core.tasks.video_segmentation:VideoSegmentation",
        dataset="vidsuite_plugins.driving_fanet.synthetic:Synthetic",
        root=str(tmp_path / "data"),
        options=dataset.options,
        weights={"resnet18_imagenet": None},
        device="cpu",
        folder=str(tmp_path / "attempt"),
        cost=False,
    )
    main, _ = two(order, tmp_path, toy_env)
    arrays = stored(tmp_path)
    tested = [sample for sample in dataset.samples() if sample.split == "test"]
    assert arrays["sample_id"].tolist() == [sample.id for sample in tested]
    assert (arrays["lags"] == np.minimum(arrays["position"], 8)).all()
    assert main["details"]["batch_norm"]["batches"] == 1
    log = (tmp_path / "0.log").read_text()
    assert log.count("inner/miou") >= 2


class Frames(list[int]):
    """Frames of sequences, in three groups."""

    def groups(self) -> list[list[int]]:
        return [[0, 1, 2, 3], [4], [5, 6]]


def places(monkeypatch: pytest.MonkeyPatch, dataset: Any, world: int) -> list[list[int]]:
    monkeypatch.setattr(ranks, "get_world_size", lambda: world)
    found = []
    for rank in range(world):
        monkeypatch.setattr(ranks, "get_rank", lambda rank=rank: rank)
        found.append(list(ranks.WholeGroups(dataset)))
    return found


def test_shares_are_whole_groups_in_order_and_about_even(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Frames(range(7))
    assert places(monkeypatch, frames, 1) == [[0, 1, 2, 3, 4, 5, 6]]
    assert places(monkeypatch, frames, 2) == [[0, 1, 2, 3], [4, 5, 6]]
    assert places(monkeypatch, frames, 4) == [[0, 1, 2, 3], [5, 6], [4], []]
    assert places(monkeypatch, [7, 8, 9], 2) == [[0, 2], [1]]
    both = ConcatDataset([Part(frames, "inner"), Part(frames, "paper_rule")])
    assert places(monkeypatch, both, 2) == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13]]


def test_synchronous_batch_norm_survives_where_there_are_ranks() -> None:
    config = {"model": {"norm_cfg": {"type": "SyncBN"}}}
    assert runtime_config(config, {}, 2, [1, 1]).model.norm_cfg.type == "BN"
    assert runtime_config(config, {}, 2, [1, 1], "SyncBN").model.norm_cfg.type == "SyncBN"

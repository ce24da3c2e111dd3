"""What tests share: a suite without plugins, cells, predictions, and attempts made without torch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vidsuite_core.plugins import PluginManager
from vidsuite_core.results.cell import Cell, score_key
from vidsuite_core.results.record import CellFields, Record
from vidsuite_core.results.store import CONFIG, LOG, PREDICTIONS, Attempt, Store, Workspace, write_predictions
from vidsuite_core.suite import Suite
from vidsuite_core.tasks.base import Task, select_variant, variants

CLASSES = ("temporal", "frontal")
SOFTWARE = {"python": "3.11.0", "torch": "2.11.0"}
CODE = {"core": {"version": "1", "sources": "abc"}}


def core_suite() -> Suite:
    """What the core brings itself, whatever is installed."""
    return Suite(PluginManager(entries=[]))


def make_cell(
    model: str = "paper/lstm",
    fold: str = "0",
    seed: int = 0,
    *,
    folds: int = 2,
    task: str = "clip_classification",
    version: int = 1,
    benchmark: str = "paper/bench",
    dataset: str = "paper/ward",
    preset: str = "quick",
    config: Mapping[str, Any] | None = None,
    device: str = "cpu: test",
    count: int = 1,
) -> Cell:
    """A cell, as the plan makes them."""
    key = score_key(
        task=(task, version),
        protocol={"type": "grouped_kfold", "folds": folds, "seed": 0},
        fold=fold,
        fingerprint=f"data of {dataset}",
        config=config or {"lr": 0.1},
        weights={},
        seed=seed,
        preset=preset,
    )
    return Cell(
        benchmark=benchmark, task=task, dataset=dataset, model=model, fold=fold, folds=folds, seed=seed,
        preset=preset, score_key=key, device_kind=device, device_count=count,
    )  # fmt: skip


def clip_arrays(fold: str = "0", skill: float = 0.8, seed: int = 0, subjects: int = 6) -> dict[str, np.ndarray]:
    """Predictions of three clips a subject, classes in turn; `skill` is the share of right ones, on average."""
    rng = np.random.default_rng([seed, *fold.encode()])
    target = np.repeat(np.arange(subjects) % 2, 3)
    right = rng.random(len(target)) < skill
    confidence = rng.uniform(0.55, 0.95, len(target))
    of_target = np.where(right, confidence, 1 - confidence)
    prob = np.empty((len(target), 2))
    prob[np.arange(len(target)), target] = of_target
    prob[np.arange(len(target)), 1 - target] = 1 - of_target
    subject = np.repeat([f"f{fold}s{number}" for number in range(subjects)], 3)
    ids = np.array([f"{name}c{place}" for place, name in enumerate(subject)])
    return {"sample_id": ids, "subject": subject, "recording": subject.copy(), "target": target, "prob": prob}


def score_rows(task: Task, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Scores as a record holds them."""
    return {
        name: {
            "value": value if np.isfinite(value) else None,
            "unit": task.info(name).unit,
            "direction": task.info(name).direction,
            "n": len(arrays["sample_id"]),
        }
        for name, value in task.score(arrays).items()
    }


def make_record(cell: Cell, attempt: str, **fields: Any) -> Record:
    """A record of `cell`, ok unless `fields` say otherwise."""
    names = ("plugin", "benchmark", "task", "dataset", "model", "fold", "folds", "seed", "preset")
    whole = {
        "attempt": attempt,
        "created": datetime.now(UTC),
        "status": "ok",
        "cell": CellFields(**{name: getattr(cell, name) for name in names}),
        "cell_id": cell.cell_id,
        "score_id": cell.score_id,
        "score_key": cell.score_key,
        "device": {"kind": cell.device_kind, "count": cell.device_count},
        "classes": list(CLASSES),
        "software": SOFTWARE,
        "code": CODE,
    }
    return Record.model_validate({**whole, **fields})


def begin(store: Store, cell: Cell) -> Workspace:
    """A workspace of `cell` with the small files that a worker leaves in one."""
    workspace = store.begin(cell.plugin, cell.cell_id)
    (workspace.path / CONFIG).write_text("lr = 0.1\n")
    (workspace.path / LOG).write_text("epoch 1\n")
    return workspace


def keep(
    store: Store, cell: Cell, arrays: Mapping[str, np.ndarray] | None = None, suite: Suite | None = None, **fields: Any
) -> Attempt:
    """Commit an attempt at `cell`: with `arrays`, whose scores are computed, an ok one."""
    workspace = begin(store, cell)
    if arrays is not None:
        write_predictions(workspace.path / PREDICTIONS, dict(arrays))
        task = (suite or core_suite()).tasks[cell.task].open(fields.get("classes", CLASSES))
        found = {name: score_rows(task, select_variant(arrays, name)) for name in ("", *variants(arrays))}
        fields = {"scores": found.pop(""), "variants": found, **fields}
    return workspace.commit(make_record(cell, workspace.attempt, **fields))

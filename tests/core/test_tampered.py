"""Attempts that somebody altered are left out of tables, and the reason is told."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import clip_arrays, core_suite, keep, make_cell
from summed import EFFICIENCY, change, everything, put, rows, score

from vidsuite_core.results.record import read_record
from vidsuite_core.results.store import (
    LOG,
    PREDICTIONS,
    RESULT,
    Attempt,
    Store,
    Unreadable,
    file_sha256,
    write_predictions,
)
from vidsuite_core.results.summary import measured_rows
from vidsuite_core.results.verification import Verified, verified
from vidsuite_core.suite import Suite
from vidsuite_core.support.ids import digest


@pytest.fixture(scope="module")
def suite() -> Suite:
    return core_suite()


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def forge(change_arrays: Callable[[dict[str, np.ndarray]], None], *, honest_hash: bool) -> Callable[[Attempt], None]:
    def tamper(attempt: Attempt) -> None:
        arrays = attempt.predictions()
        change_arrays(arrays)
        write_predictions(attempt.path / PREDICTIONS, arrays)
        if honest_hash:
            record = json.loads((attempt.path / RESULT).read_text())
            files = {**record["files"], PREDICTIONS: file_sha256(attempt.path / PREDICTIONS)}
            change(attempt, files=files)

    return tamper


def raise_score(attempt: Attempt) -> None:
    scores = json.loads((attempt.path / RESULT).read_text())["scores"]
    change(attempt, scores={**scores, "macro_f1": {**scores["macro_f1"], "value": 0.999}})


def add_variant(attempt: Attempt) -> None:
    change(attempt, variants={"best": json.loads((attempt.path / RESULT).read_text())["scores"]})


def other_fold(attempt: Attempt) -> None:
    cell = json.loads((attempt.path / RESULT).read_text())["cell"]
    change(attempt, cell={**cell, "fold": "7"})


def other_key(attempt: Attempt) -> None:
    key = json.loads((attempt.path / RESULT).read_text())["score_key"]
    change(attempt, score_key={**key, "config": {"lr": 99}})


def other_key_and_id(attempt: Attempt) -> None:
    key = {**attempt.record.score_key, "config": {"lr": 99}}
    change(attempt, score_key=key, score_id=digest(key))


def renamed_model(attempt: Attempt) -> None:
    cell = json.loads((attempt.path / RESULT).read_text())["cell"]
    change(attempt, cell={**cell, "model": "paper/mine"})


def turn_over(arrays: dict[str, np.ndarray]) -> None:
    arrays["prob"] = 1 - arrays["prob"]


def not_probabilities(arrays: dict[str, np.ndarray]) -> None:
    arrays["prob"] = arrays["prob"] * 7


TAMPERED: dict[str, tuple[Callable[[Attempt], None], str]] = {
    "a raised score": (raise_score, "score macro_f1 is recorded as 0.999, its predictions give"),
    "a variant from nowhere": (add_variant, "scores of variant 'best' have no predictions"),
    "other predictions": (forge(turn_over, honest_hash=False), "predictions.npz differs from its recorded sha256"),
    "other predictions, hash made to fit": (forge(turn_over, honest_hash=True), "is recorded as"),
    "predictions of another form": (forge(not_probabilities, honest_hash=True), "not finite numbers in [0, 1]"),
    "no predictions": (lambda a: (a.path / PREDICTIONS).unlink(), "predictions.npz"),
    "another fold's name": (other_fold, "its score key is that of another fold, seed or preset"),
    "another config": (other_key, "its score id is not the hash of its score key"),
    "another config, its hash made to fit": (other_key_and_id, "its cell id is not the hash of its names"),
    "another model's name": (renamed_model, "its cell id is not the hash of its names"),
    "an unhashed file": (lambda a: change(a, files={}), "predictions.npz has no recorded sha256"),
    "a score key of no form": (lambda a: change(a, score_key={"task": {}}), "was scored by another version of task"),
    "other classes": (lambda a: change(a, classes=["a", "b", "c"]), "expected kind 'f' and 18x3"),
    "a device of no form": (lambda a: change(a, device={}), "its cell id is not the hash"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_attempt_is_left_out_with_the_reason(suite: Suite, runs: Store, kind: str) -> None:
    tamper, reason = TAMPERED[kind]
    honest, tampered = put(runs, efficiency=EFFICIENCY)
    clean = rows(suite, runs)[0]
    tamper(tampered)
    found = [row for row in rows(suite, runs) if any(reason in problem for problem in row.problems)]
    assert len(found) == 1, [row.problems for row in rows(suite, runs)]
    assert all(problem.split(": ")[1] == "left out" for problem in found[0].problems)
    values = [value for row in rows(suite, runs) if row.scores for value in score(row).values]
    assert values == [score(clean).values[0]]
    again = next(entry for entry in everything(runs) if entry.path == tampered.path)
    assert verified(suite, again).faults != ()
    assert verified(suite, honest).faults == ()


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A folder that other users can reach, too."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user whom permissions bind: the tests may be run by one whom they do not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", [PREDICTIONS, RESULT, LOG, ".", ".."])
def test_what_cannot_be_read_is_left_out_and_named_and_the_rest_is_shown(
    suite: Suite, anyones: Path, name: str
) -> None:
    runs = Store(anyones / "runs")
    for fold in ("0", "1"):
        kept = keep(runs, make_cell(fold=fold), clip_arrays(fold))
    (kept.path / name).resolve().chmod(0)
    named: list[str] = []
    with as_nobody():
        found = list(runs.everything())
        attempts = [entry for entry in found if isinstance(entry, Attempt)]
        (row,) = measured_rows(suite, attempts, lambda one: named.append(f"{one.attempt.path}: {one.faults[0]}"))
        checked = [verified(suite, attempt) for attempt in attempts]
        assert runs.attempts(kept.record.cell.plugin, kept.record.cell_id) is not None
    named += [f"{entry.path}: {entry.reason}" for entry in found if isinstance(entry, Unreadable)]
    assert (row.done, row.expected) == (1, 2)
    assert sum(one.scored for one in checked) == 1
    assert len(named) == 1
    assert str((kept.path / name).resolve() if name == ".." else kept.path) in named[0]
    assert "Permission denied" in named[0]


def test_the_newest_attempt_that_holds_counts_and_the_one_that_does_not_is_named(suite: Suite, runs: Store) -> None:
    cell, named = make_cell(folds=1), list[Verified]()
    good, newer = keep(runs, cell, clip_arrays(skill=0.9)), keep(runs, cell, clip_arrays(skill=0.2))
    raise_score(newer)
    (row,) = measured_rows(suite, everything(runs), named.append)
    assert score(row).values == (good.record.scores["macro_f1"].value,)
    assert [one.attempt.path for one in named] == [newer.path]


def test_the_cost_of_a_tampered_attempt_is_not_shown(suite: Suite, runs: Store) -> None:
    first = keep(runs, make_cell(fold="0"), clip_arrays("0"), efficiency=EFFICIENCY)
    keep(runs, make_cell(fold="1"), clip_arrays("1"))
    raise_score(first)
    assert rows(suite, runs)[0].throughput is None


def test_a_second_name_for_the_main_predictions_counts_no_cell_twice(suite: Suite, runs: Store) -> None:
    for fold in ("0", "1"):
        keep(runs, make_cell(fold=fold), {**clip_arrays(fold), "prob@": clip_arrays(fold)["prob"]})
    (row,) = rows(suite, runs)
    assert (row.done, len(score(row).values)) == (2, 2)


def test_an_attempt_of_an_older_version_of_the_task_is_left_out(suite: Suite, runs: Store) -> None:
    keep(runs, make_cell(folds=1, version=0), clip_arrays())
    assert "another version of task clip_classification; run it again" in rows(suite, runs)[0].problems[0]


def test_a_hostile_record_can_be_summed_up(suite: Suite, runs: Store) -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    keep(runs, make_cell("paper/x", config={"deep": deep, "text": "\ud800", "n": 10**400}), clip_arrays())
    assert rows(suite, runs)[0].problems == ()
    assert read_record(everything(runs)[0].path / RESULT).score_key["config"]["text"] == "\ud800"


def test_items_of_no_bytes_of_which_a_small_file_holds_any_number(suite: Suite, runs: Store) -> None:
    found = keep(runs, make_cell(folds=1), clip_arrays())
    hollow = np.lib.format.header_data_from_array_1_0(np.zeros(1, "S0")) | {"descr": "<U0", "shape": (10**12,)}
    with zipfile.ZipFile(found.path / PREDICTIONS, "w") as archive, archive.open("sample_id.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, hollow)
    change(found, files={PREDICTIONS: file_sha256(found.path / PREDICTIONS)})
    assert "has items of no bytes" in rows(suite, runs)[0].problems[0]

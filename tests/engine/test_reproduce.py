"""`vidsuite reproduce` with the toy plugin: found again, not found again, and another cell than the recorded one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import clip_arrays, core_suite, keep, make_cell, score_rows
from scipy import stats

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.cell import Cell
from vidsuite_core.results.record import Record
from vidsuite_core.results.store import PREDICTIONS, RESULT, Attempt, Store
from vidsuite_core.results.verification import Verified, verified
from vidsuite_core.runner import reproduce
from vidsuite_core.runner.reproduce import Criterion, criterion_of, find, read_reproduction
from vidsuite_core.support.files import file_sha256
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.base import select_variant, variants

Ran = subprocess.CompletedProcess[str]


def vidsuite(*words: str, env: dict[str, str], cwd: Path) -> Ran:
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)


def attempts(root: Path) -> list[Attempt]:
    found = [entry for entry in Store(root).everything() if isinstance(entry, Attempt)]
    return sorted(found, key=lambda one: (one.record.cell.seed, one.record.cell.fold))


@pytest.fixture(scope="module")
def place(toy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with the toy's results in `runs`, and the environment that they were made in."""
    home = tmp_path_factory.mktemp("reproduce")
    path = os.pathsep.join(filter(None, [str(toy_path), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, "VIDSUITE_CACHE": str(home / "cache")}
    done = vidsuite("bench", "--plugin", "toy", env=env, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, env


@pytest.fixture
def here(place: tuple[Path, dict[str, str]], tmp_path: Path) -> Callable[..., Ran]:
    """Runs the command line in a folder with a copy of the results."""
    shutil.copytree(place[0] / "runs", tmp_path / "runs")
    return lambda *words: vidsuite(*words, env=place[1], cwd=tmp_path)


def test_the_same_cell_is_found_again(here: Callable[..., Ran], tmp_path: Path) -> None:
    old = attempts(tmp_path / "runs")[1]
    done = here("reproduce", old.record.score_id[:12], "--by", "Ann O.", "--devices", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "difference  +0.000000" in done.stdout
    assert "\nreproduced: the same score" in done.stdout
    (new,) = attempts(tmp_path / "reproductions")
    assert (new.record.score_id, new.record.cell.fold) == (old.record.score_id, old.record.cell.fold)
    told = read_reproduction(tmp_path / "reproductions", new.record.attempt)
    assert (told.of, told.by, told.within, told.device) == (
        old.record.attempt,
        "Ann O.",
        True,
        new.record.device["kind"],
    )
    assert told.recorded == told.found == new.record.scores["macro_f1"].value
    assert attempts(tmp_path / "runs")[1].path == old.path


def disguised(root: Path, change: Callable[[dict[str, Any]], None]) -> Attempt:
    """The first attempt in `root` with another record, whose ids and place follow; its predictions stay."""
    old = attempts(root)[0]
    data = json.loads((old.path / RESULT).read_text())
    change(data)
    names = {name: value for name, value in data["cell"].items() if name != "plugin"}
    cell = Cell(**names, device_kind=data["device"]["kind"], score_key=data["score_key"])
    data |= {"score_id": cell.score_id, "cell_id": cell.cell_id}
    target = old.path.parents[1] / cell.cell_id / old.path.name
    target.parent.mkdir()
    shutil.move(old.path, target)
    (target / RESULT).write_text(json.dumps(data))
    assert verified(core_suite(), Attempt(target, Record.model_validate(data))).faults == ()
    return Attempt(target, Record.model_validate(data))


def test_another_score_is_not_found_again(here: Callable[..., Ran], tmp_path: Path) -> None:
    """A record whose predictions, hashes and scores agree with each other, but were not made by the cell."""
    false = attempts(tmp_path / "runs")[0]
    turn(false)
    done = here("reproduce", false.record.cell_id, "--devices", "cpu")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT reproduced: another score, and too few seeds" in done.stdout
    assert not list((tmp_path / "reproductions").glob("*.json"))  # nobody gave a name


def turn(attempt: Attempt) -> None:
    """Store predictions with some turned round, and the scores that they have then."""
    arrays = attempt.predictions()
    score = attempt.record.scores["macro_f1"].value
    task = core_suite().tasks["clip_classification"].open(attempt.record.classes)
    for row in range(len(arrays["prob"])):
        if task.score(select_variant(arrays))["macro_f1"] == score:
            arrays["prob"][row] = arrays["prob"][row, ::-1]
    np.savez_compressed(attempt.path / PREDICTIONS, **arrays)
    data = json.loads((attempt.path / RESULT).read_text())
    data["scores"] = score_rows(task, select_variant(arrays))
    data["variants"] = {name: score_rows(task, select_variant(arrays, name)) for name in variants(arrays)}
    data["files"][PREDICTIONS] = file_sha256(attempt.path / PREDICTIONS)
    (attempt.path / RESULT).write_text(json.dumps(data))


def test_a_hostile_config_is_never_built(here: Callable[..., Ran], tmp_path: Path) -> None:
    def poison(data: dict[str, Any]) -> None:
        config = data["score_key"]["config"]
        config["model"] = {"type": "pathlib.Path.touch", "self": str(tmp_path / "touched")}
        config["custom_imports"] = {"imports": ["evil"]}

    hostile = disguised(tmp_path / "runs", poison)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')")
    done = here("reproduce", hostile.record.attempt)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "another cell would be run here than the recorded one, so nothing was run" in done.stderr
    assert "config.model.type: pathlib.Path.touch -> vidsuite_toy.model.Tiny" in done.stderr
    assert "remedy: give the record's values with --cfg-options" in done.stderr
    assert not (tmp_path / "touched").exists()
    assert not (tmp_path / "reproductions").exists()


def test_other_options_find_the_record_that_was_made_with_them(here: Callable[..., Ran], tmp_path: Path) -> None:
    def faster(data: dict[str, Any]) -> None:
        data["score_key"]["config"]["optim_wrapper"]["optimizer"]["lr"] = 0.5

    other = disguised(tmp_path / "runs", faster)
    done = here("reproduce", other.record.cell_id)
    assert done.returncode == 2
    assert "config.optim_wrapper.optimizer.lr: 0.5 -> 0.01" in done.stderr
    ran = here("reproduce", other.record.cell_id, "--cfg-options", "optim_wrapper.optimizer.lr=0.5", "--devices", "cpu")
    assert ran.returncode in (0, 1), ran.stderr  # it is run, whatever comes out
    assert "criterion " in ran.stdout


def test_what_is_not_installed_is_said(here: Callable[..., Ran], tmp_path: Path) -> None:
    other = disguised(tmp_path / "runs", lambda data: data["cell"].update(model="toy/huge"))
    done = here("reproduce", other.record.cell_id)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no model 'toy/huge'" in done.stderr


def test_a_name_that_cannot_be_shown_is_refused_before_anything_runs(here: Callable[..., Ran]) -> None:
    done = here("reproduce", "tiny-blobs-quick-f0", "--by", "<b>Ann</b>")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--by: a name is one line" in done.stderr


class TestFind:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> Path:
        for seed in (0, 1):
            keep(Store(tmp_path / "runs"), make_cell(seed=seed), clip_arrays(seed=seed))
        return tmp_path / "runs"

    def test_by_each_id_and_its_beginning(self, runs: Path) -> None:
        first = attempts(runs)[0]
        for key in (first.record.attempt, first.record.cell_id, first.record.score_id, first.record.score_id[:8]):
            assert find([runs], key).path == first.path

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("lstm-wa", "too short"),
            ("lstm-ward-quick-f0", "is the beginning of 2 cells"),
            ("nothing-like-it", "begins"),
        ],
    )
    def test_what_names_no_cell_is_wrong_use(self, runs: Path, key: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            find([runs], key)

    def test_a_failure_is_nothing_to_compare_with(self, tmp_path: Path) -> None:
        lost = keep(Store(tmp_path), make_cell(), status="failed", reason="r")
        with pytest.raises(VidsuiteError, match="has no scores to compare with: it ended as failed"):
            find([tmp_path], lost.record.cell_id)

    def test_a_repetition_is_not_taken_for_the_record(self, runs: Path) -> None:
        first = attempts(runs)[0]
        again = keep(Store(runs), make_cell(seed=0), clip_arrays(seed=0))
        assert find([runs], first.record.cell_id).path == again.path
        (runs / reproduce.file_name(again.record.attempt)).write_text("{}")
        assert find([runs], first.record.cell_id).path == first.path
        assert find([runs], again.record.attempt).path == again.path


def check(seed: int, root: Path, subjects: int = 6, skill: float = 0.8) -> Verified:
    return verified(core_suite(), keep(Store(root), make_cell(seed=seed), clip_arrays("0", skill, seed, subjects)))


def test_the_criterion_is_the_spread_of_seeds_where_there_are_three(tmp_path: Path) -> None:
    fellows = [check(seed, root=tmp_path) for seed in range(4)]
    values = np.array([one.attempt.record.scores["macro_f1"].value for one in fellows])
    found = criterion_of(fellows[0], fellows)
    assert (found.kind, found.seeds) == ("seeds", 4)
    reach = stats.t.ppf(0.975, 3) * values.std(ddof=1) * np.sqrt(1 + 1 / 4)
    np.testing.assert_allclose([found.low, found.high], np.clip(values.mean() + np.array([-1, 1]) * reach, 0, 1))
    assert "within the spread of 4 recorded seeds" in str(found)
    assert criterion_of(fellows[0], fellows[:2]).kind == "equal"
    newer = check(1, skill=0.1, root=tmp_path)  # of one seed the newest counts
    assert criterion_of(fellows[0], [*fellows, newer]).low < found.low


def test_without_seeds_only_the_same_score_counts(tmp_path: Path) -> None:
    """Its subjects are the same, so how scores vary over subjects says nothing of it."""
    one = check(0, root=tmp_path)
    found = criterion_of(one, [one])
    score = one.attempt.record.scores["macro_f1"].value
    assert (found.kind, found.low, found.high) == ("equal", score, score)
    assert found.holds(score)
    assert not found.holds(score + 0.001)


def test_bounds_belong_to_it() -> None:
    criterion = Criterion("seeds", 0.1 + 0.2, 0.5, 3)
    assert criterion.holds(0.3)
    assert criterion.holds(0.5)
    assert not criterion.holds(0.5001)


def test_a_key_that_differs_in_writing_alone_is_another_cell() -> None:
    """1 and 1.0 are equal and have two hashes."""
    one, other = make_cell(config={"lr": 1}), make_cell(config={"lr": 1.0})
    assert one.score_id != other.score_id
    assert digest(one.score_key) == one.score_id
    record = SimpleNamespace(cell=one, score_key=one.score_key, score_id=one.score_id, code={})
    with pytest.raises(UsageError, match="a number is written in another way"):
        reproduce._refuse_another(record, SimpleNamespace(cell=other))  # type: ignore[arg-type]

"""Entries that others ran again: what is said of a repetition is judged anew, and never believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_runs import attempt
from helpers import clip_arrays, keep, make_cell

import vidsuite_core as vs
from vidsuite_core.errors import UsageError
from vidsuite_core.results.statistics import seed_range
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.runner.reproduce import file_name, read_reproduction
from vidsuite_leaderboard.cache import opened
from vidsuite_leaderboard.collect import Collection, Source, collect
from vidsuite_leaderboard.entries import Entry
from vidsuite_leaderboard.reproductions import applied, reproduced, same_person
from vidsuite_leaderboard.submit.packfile import write
from vidsuite_leaderboard.submit.packs import check, pack
from vidsuite_leaderboard.submit.submission import SUBMISSION

MODEL = "seizure_i3d/i3d_lstm_fc"
FOLDS = 5
BY = "Bob"


def run(root: Path, fold: str = "0", **more: Any) -> Attempt:
    return attempt(root, MODEL, fold=fold, **{"folds": FOLDS, "weights": [], **more})


def tell(root: Path, new: Attempt, old: Attempt, **more: Any) -> Path:
    """Say that `new`, in the run folder `root`, repeats `old`: with figures that nobody should believe."""
    told = {
        "attempt": new.record.attempt, "of": old.record.attempt, "score_id": new.record.score_id, "by": BY,
        "created": "2026-09-02T00:00:00Z", "device": "a quantum computer", "criterion": "seeds",
        "low": 0.0, "high": 1.0, "recorded": 1.0, "found": 1.0, "within": True,
    }  # fmt: skip
    path = root / file_name(new.record.attempt)
    path.write_text(json.dumps({**told, **more}))
    return path


@pytest.fixture
def original(tmp_path: Path) -> Attempt:
    """Five folds of one seed; the first."""
    first, *_ = [run(tmp_path / "runs", fold) for fold in "01234"]
    return first


@pytest.fixture
def board(suite: vs.Suite, original: Attempt, tmp_path: Path) -> Callable[..., tuple[list[Entry], Collection]]:
    """`board(*sources)`: entries of the runs and of further sources, with repetitions applied."""

    def make(*sources: Source, cache: Path | None = None) -> tuple[list[Entry], Collection]:
        every = [Source(tmp_path / "runs"), *sources]
        with opened(cache) as known:
            found = collect(suite, every, {}, known, lambda *_: None, 1)
            entries = applied(found.entries, reproduced(suite, every, found, known))
        return entries, found

    return make


def test_a_repetition_within_makes_the_entry_reproduced(board: Any, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    tell(again, run(again, seed=0, device="cuda: H200", day=3), original)
    for _ in range(2):  # the second time out of the cache
        (entry,), found = board(Source(again, BY), cache=tmp_path / "cache.sqlite")
        assert (entry.status, entry.by, entry.done, entry.expected) == ("reproduced", BY, FOLDS, FOLDS)
        assert entry.device == "cpu: test"
        (note,) = [note for note in entry.notes if "run again" in note]
        assert note.startswith("fold 0, seed 0 was run again by Bob on cuda: H200, 2026-09-04: ")
        assert ", within 0." in note
        assert found.rejected == []


def test_a_repetition_replaces_nothing(board: Any, original: Attempt, tmp_path: Path) -> None:
    """Also where it lies in the same run folder, and is newer."""
    (before,), _ = board()
    tell(tmp_path / "runs", run(tmp_path / "runs", skill=1.0, day=9), original)
    (after,), _ = board()
    assert after.scores == before.scores
    assert after.created == before.created


def test_what_is_said_is_not_believed(board: Any, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    tell(again, run(again, skill=0.0), original, within=True, low=-9.0, high=9.0)
    (entry,), _ = board(Source(again, BY))
    assert (entry.status, entry.by) == ("measured", "")
    assert any("NOT within" in note for note in entry.notes)
    tell(again, next(iter(Store(again).everything())), original, within=False, criterion="equal", low=0.1, high=0.1)
    assert board(Source(again, BY))[0][0].status == "measured"


def test_one_outside_is_enough(board: Any, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    tell(again, run(again), original)
    assert board(Source(again, BY))[0][0].status == "reproduced"
    tell(again, run(again, skill=0.0), original)
    assert board(Source(again, BY))[0][0].status == "measured"


def test_three_seeds_tell_the_spread(board: Any, original: Attempt, tmp_path: Path) -> None:
    cells = [run(tmp_path / "runs", seed=seed) for seed in (1, 2)]
    values = [one.record.scores["macro_f1"].value for one in (original, *cells)]
    assert len(set(values)) > 1
    again = tmp_path / "again"
    tell(again, run(again), original)
    (entry,), _ = board(Source(again, BY))
    low, high = seed_range(values)
    low, high = max(low, 0), min(high, 1)
    (note,) = [note for note in entry.notes if "run again" in note]
    assert f"within {low:.3f} to {high:.3f}" in note


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"by": "Eve"}, "but was submitted by 'Bob'"),
        ({"of": "20260101T000000000000-00000000"}, "which it repeats, is not here"),
        ({"by": "<b>"}, "is not of the form: by"),
        ({"low": float("nan")}, "is not of the form: low"),
        ({"extra": 1}, "is not of the form: extra"),
        ({"attempt": "20260101T000000000000-00000000"}, "is about another attempt"),
    ],
)
def test_a_file_that_is_wrong_is_listed(
    board: Any, original: Attempt, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    again = tmp_path / "again"
    tell(again, run(again), original, **change)
    (entry,), found = board(Source(again, BY))
    assert entry.status == "measured"
    (rejected,) = found.rejected
    assert reason in rejected.reason
    assert str(tmp_path) not in rejected.reason


def test_another_cell_is_no_repetition(board: Any, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    tell(again, run(again, seed=7), original)
    (entry,), found = board(Source(again, BY))
    assert entry.status == "measured"
    assert "its score id is not that of the attempt that it repeats" in found.rejected[0].reason


def test_other_samples_are_no_repetition(board: Any, suite: vs.Suite, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    cell = make_cell(MODEL, "0", folds=FOLDS, benchmark="seizure_i3d/seizure_i3d", dataset="seizure_i3d/synthetic")
    arrays = {name: value[:-1] for name, value in clip_arrays("0", 1.0).items()}
    tell(again, keep(Store(again), cell, arrays, suite), original)
    assert "it predicts other samples" in board(Source(again, BY))[1].rejected[0].reason


def test_damaged_predictions_are_no_repetition(board: Any, original: Attempt, tmp_path: Path) -> None:
    again = tmp_path / "again"
    new = run(again)
    tell(again, new, original)
    (new.path / "log.txt").write_text("all went well")
    assert "log.txt differs from its recorded sha256" in board(Source(again, BY))[1].rejected[0].reason


def test_a_submitter_cannot_reproduce_themselves(board: Any, tmp_path: Path) -> None:
    theirs, again = tmp_path / "theirs", tmp_path / "again"
    (old, *_) = [run(theirs, fold, day=1) for fold in "01234"]
    tell(again, run(again), old)
    entries, found = board(Source(theirs, "  bOB".strip()), Source(again, BY))
    assert {entry.status for entry in entries} == {"measured", "submitted"}
    assert "somebody else must run it" in found.rejected[0].reason
    tell(again, next(iter(Store(again).everything())), old, by="Eve")
    entries, _ = board(Source(theirs, "bOB"), Source(again, "Eve"))
    (entry,) = [entry for entry in entries if entry.status == "reproduced"]
    assert entry.by == "Eve"
    assert "submitted by bOB" in entry.notes


def test_a_file_sets_apart_attempts_of_its_own_folder_alone(board: Any, original: Attempt, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    tell(hostile, original, run(hostile))
    entries, _ = board(Source(hostile, BY))
    assert [entry.done for entry in entries if entry.status == "measured"] == [FOLDS]


def test_names_are_compared_as_they_read() -> None:
    assert same_person("Ａnna  Lab", "anna lab")
    assert not same_person("Anna", "Bob")


def test_reproductions_are_submitted_as_results_are(
    suite: vs.Suite, board: Any, original: Attempt, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    path = tell(again, run(again), original)
    assert pack(suite, [again], tmp_path / "p.zip", BY).attempts == 1
    with pytest.raises(UsageError, match="was made by 'Bob', not by 'Eve'"):
        pack(suite, [again], tmp_path / "q.zip", "Eve")
    report = check(suite, tmp_path / "p.zip", tmp_path / "accepted")
    assert (report.accepted, report.reproductions, report.rows) == (True, 1, [])  # one fold alone is no fault here
    root = Path(report.into)
    assert read_reproduction(root, json.loads(path.read_text())["attempt"]).by == BY
    (entry,), _ = board(Source(root, BY))
    assert entry.status == "reproduced"
    members: dict[str, bytes | Path] = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    members[SUBMISSION] = members[SUBMISSION].read_bytes().replace(BY.encode(), b"Eve")  # type: ignore[union-attr]
    write(tmp_path / "r.zip", members)
    findings = check(suite, tmp_path / "r.zip").findings
    assert any("it is by 'Bob', the submission by 'Eve'" in finding.text for finding in findings)

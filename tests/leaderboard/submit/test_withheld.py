"""Test labels that are kept back: from a run without them to scores, where the labels are and where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from called import vidsuite
from submissions import BY
from withheld_runs import HOLDER, TASKS, Places, bench

import vidsuite_core as vs
from vidsuite_core.results.store import Attempt
from vidsuite_core.results.verification import verified
from vidsuite_core.results.withheld import KEPT_BACK, KEY, NAMES
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.site import build

TRUTH = {"target", "true_box", "true_class", "true_offset", "confusion", "boundary", "stable", "lagged", "eighth"}
TIMED = {"streaming_miou"}
"""Scores that rest on how long a prediction took, too."""

pytestmark = pytest.mark.usefixtures("toys")


@pytest.mark.parametrize("name", TASKS)
def test_an_attempt_holds_predictions_alone(places: Places, name: str) -> None:
    attempt = places.attempt(name)
    task = vs.load().tasks[attempt.record.cell.task].open(attempt.record.classes)
    assert attempt.record.status == "ok"
    assert (attempt.record.scores, attempt.record.variants) == ({}, {})
    assert set(attempt.predictions()) == {*NAMES, *task.answers}
    assert not TRUTH & set(attempt.predictions())
    one = verified(vs.load(), attempt)
    assert (one.faults, one.scored, one.kept_back) == ((), False, KEPT_BACK)


@pytest.mark.parametrize("name", TASKS)
def test_with_the_labels_it_is_what_an_open_run_stores(places: Places, scored: dict[str, Attempt], name: str) -> None:
    attempt, without = scored[name], places.attempt(name, "open")
    labels, suite = places.labels(name), vs.load()
    one = verified(suite, attempt, labels)
    assert one.faults == ()
    assert one.scored
    stored = without.predictions()
    assert set(one.arrays) == set(stored)
    for array, expected in stored.items():
        if array != "latency":
            found = one.arrays[array]
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), array
    record = attempt.record
    assert record.holder is not None
    assert (record.holder.by, record.holder.of) == (HOLDER, places.attempt(name).record.attempt)
    assert set(record.scores) == set(without.record.scores)
    for key, value in record.scores.items():
        assert key in TIMED or value == without.record.scores[key]
    assert not TRUTH & set(attempt.predictions())
    assert "confusion" not in record.details


@pytest.mark.parametrize("name", TASKS)
def test_without_the_labels_its_scores_are_told_and_not_verified(scored: dict[str, Attempt], name: str) -> None:
    one = verified(vs.load(), scored[name])
    assert one.faults == ()
    assert not one.scored
    assert one.kept_back == f"labels kept back: scored by {HOLDER}, who has them, and not recomputable here"


def test_what_commands_say(places: Places, scored: dict[str, Attempt], tmp_path: Path) -> None:
    runs, folder = str(places.home / "runs"), str(scored["turning"].path.parents[2])
    assert places.printed.count(f"fixed: {KEPT_BACK} (") == 4
    assert "4 of 4 cells have scores, or predictions where labels are kept back" in places.printed
    told = vidsuite("report", runs, "--format", "markdown")
    assert told.returncode == 0
    assert told.stdout.count(f"| {KEPT_BACK} |") == 4
    told = vidsuite("report", runs, folder, "--format", "csv")  # of one cell's attempts the one with scores
    assert told.stdout.count("not recomputable here") >= 4
    assert KEPT_BACK not in told.stdout
    told = vidsuite("verify", runs, folder)
    assert told.returncode == 0
    assert f"4 attempts not recomputed: {KEPT_BACK}" in told.stdout
    assert "4 attempts not recomputed: labels kept back: scored by The Holders" in told.stdout
    told = vidsuite("verify", folder, "--labels", str(places.labels("growing")), "--json")
    answer = json.loads(told.stdout)
    assert len(answer["kept_back"]) == 2  # the toy's boxes come from its code, not from its folder
    assert [fault["fault"].partition(" than those")[0] for fault in answer["faults"]] == [
        "it was scored by other labels"
    ]
    cell = places.attempt("turning").record.cell_id
    assert "a repetition has no score here" in vidsuite("reproduce", cell, "--from", runs).stderr
    told = vidsuite("export", runs, "--form", "coco", "--out", str(tmp_path / "coco"))
    assert KEPT_BACK in told.stderr
    told = vidsuite("leaderboard", "pictures", runs, "--out", str(tmp_path / "pictures"))
    assert "test labels that are kept back, which pictures would show" in told.stdout + told.stderr
    told = vidsuite("submit", "pack", folder, "--out", str(tmp_path / "p.zip"), "--by", BY)
    assert f"it was scored by {HOLDER}, who has the labels" in told.stderr
    told = vidsuite("merge", folder, runs, "--out", str(tmp_path / "merged"))
    assert told.returncode == 0, told.stderr


def test_a_cell_sees_no_label_where_they_are(places: Places, toy_withheld_path: Path) -> None:
    """On the holder's machine, too; and a moment of training is chosen, batch norm settled, without them."""
    words = ["--benchmark", "toy_withheld/growing", "--cfg-options", "selection=inner"]
    bench(places.home, toy_withheld_path, "holder", "inner", *words)
    attempt = places.attempt("growing", "inner")
    assert "inner" in attempt.record.details["chosen"]
    assert not TRUTH & set(attempt.predictions())
    assert attempt.record.scores == {}
    bench(places.home, toy_withheld_path, "holder", "same", "--benchmark", "toy_withheld/crossing", "--keep", "outputs")
    again, before = places.attempt("crossing", "same"), places.attempt("crossing")
    assert again.record.score_id == before.record.score_id
    assert np.array_equal(again.predictions()["png"], before.predictions()["png"])
    assert again.keeps("outputs")


class TestSite:
    def text(self, out: Path, status: str) -> str:
        (page,) = [path for path in (out / "entries").glob("toy-tiny*.html") if f">{status}<" in path.read_text()]
        return page.read_text(encoding="utf-8")

    def test_where_the_labels_are_not(self, places: Places, scored: dict[str, Attempt], tmp_path: Path) -> None:
        sources = [Source(places.home / "runs"), Source(scored["turning"].path.parents[2], BY)]
        build(vs.load(), sources, tmp_path / "site", progress=lambda *_: None, workers=1)
        own, others = self.text(tmp_path / "site", "measured"), self.text(tmp_path / "site", "submitted")
        assert "not scored here; so it holds no rank" in own
        assert "No cell has scores yet" in own
        assert f"scored by {HOLDER}, who has them, and not recomputable here" in others
        for page in (own, others):
            assert "Run it again" not in page
            assert "recomputed here from" not in page
            assert "Confusion" not in page

    def test_where_they_are(
        self, places: Places, scored: dict[str, Attempt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VIDSUITE_CACHE", str(places.holder))
        source = Source(scored["turning"].path.parents[2], BY)
        build(vs.load(), [source], tmp_path / "site", progress=lambda *_: None, workers=1)
        page = self.text(tmp_path / "site", "submitted")
        assert "its scores are computed where the labels are: here" in page
        assert "not recomputable" not in page
        assert "Confusion" not in page  # what tells of single samples would tell their labels
        assert "ROC" not in page
        everything = b"".join(path.read_bytes() for path in (tmp_path / "site").rglob("*") if path.is_file())
        assert (places.labels("turning") / KEY).read_bytes() not in everything

"""Submissions that are somebody else's, contradict themselves, or bear names that look like others'."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from submissions import BY, attempt, faults, good, repacked, repredict, rewrite

import vidsuite_core as vs
from vidsuite_core.results.store import Attempt, Store
from vidsuite_leaderboard.submit.names import look, mixes_alphabets, taken
from vidsuite_leaderboard.submit.packs import Report, check

OTHER = "seizure_i3d/single_frame"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """What is published: another model on the five folds."""
    for fold in "01234":
        attempt(tmp_path / "published", fold)
    return tmp_path / "published"


def handed_in(
    known: Path, tmp_path: Path, suite: vs.Suite, change: Any = None, model: str = OTHER, **more: Any
) -> Report:
    """The report on predictions of `known`, changed, under the name of `model`."""
    root = tmp_path / "mine"
    for entry in Store(known).everything():
        assert isinstance(entry, Attempt)
        record = entry.record
        cell = {"fold": record.cell.fold, "folds": record.cell.folds, "weights": [], **more}
        copied = attempt_of(root, model, entry, **cell)
        if change is not None:
            repredict(copied, change)
    return check(suite, repacked(root, tmp_path / "mine.zip"), known=[known])


def attempt_of(root: Path, model: str, source: Attempt, **cell: Any) -> Attempt:
    from board_runs import attempt as whole

    made = whole(root, model, **cell)
    arrays = source.predictions()
    repredict(made, lambda own: own.update(arrays))
    return made


def notes(report: Report) -> str:
    return "\n".join(finding.text for finding in report.findings if finding.kind == "note")


def test_another_models_predictions_are_refused(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    found = faults(handed_in(known, tmp_path, suite))
    assert len(found) == 5
    assert "its predictions are, number for number, those of seizure_i3d/i3d_lstm_fc, attempt 20" in found[0]
    assert found[0].endswith("of this leaderboard")


def test_samples_in_another_order_hide_nothing(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    def shuffle(arrays: dict[str, Any]) -> None:
        order = np.random.default_rng(0).permutation(len(arrays["sample_id"]))
        arrays.update({name: value[order] for name, value in arrays.items()})

    assert "number for number" in faults(handed_in(known, tmp_path, suite, shuffle))[0]


def test_predictions_with_a_little_noise_are_said(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    def blur(arrays: dict[str, Any]) -> None:
        noise = np.random.default_rng(0).uniform(-1e-4, 1e-4, len(arrays["prob"]))
        arrays["prob"] = arrays["prob"] + np.stack([noise, -noise], 1)

    report = handed_in(known, tmp_path, suite, blur)
    assert faults(report) == []
    assert "differ by less than 0.1% from those of seizure_i3d/i3d_lstm_fc" in notes(report)


def test_the_same_models_same_predictions_are_a_repetition_or_a_copy(
    known: Path, tmp_path: Path, suite: vs.Suite
) -> None:
    report = handed_in(known, tmp_path, suite, model="seizure_i3d/i3d_lstm_fc")
    assert faults(report) == []
    assert "a repetition on a like machine, or a copy" in notes(report)


def test_other_predictions_are_nobodys(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    def differ(arrays: dict[str, Any]) -> None:
        arrays["prob"] = np.flip(arrays["prob"], 0).copy()

    report = handed_in(known, tmp_path, suite, differ)
    assert faults(report) == []
    assert "predictions" not in notes(report)


def test_predictions_that_say_nothing_are_like_none(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    def constant(arrays: dict[str, Any]) -> None:
        arrays["prob"] = np.full_like(arrays["prob"], 0.5)

    for entry in list(Store(known).everything()):
        assert isinstance(entry, Attempt)
        repredict(entry, constant)
    assert faults(handed_in(known, tmp_path, suite)) == []


def test_a_published_attempt_under_another_name_is_refused(known: Path, tmp_path: Path, suite: vs.Suite) -> None:
    shutil.copytree(known, tmp_path / "stolen")
    found = faults(check(suite, repacked(tmp_path / "stolen", tmp_path / "p.zip"), known=[known]))
    assert len(found) == 5
    assert found[0].endswith("it is known already, and this leaderboard's own")


def test_what_was_accepted_from_others_is_known_as_theirs(runs: Path, tmp_path: Path, suite: vs.Suite) -> None:
    pack = repacked(runs, tmp_path / "first.zip")
    assert check(suite, pack, tmp_path / "accepted").accepted
    again = check(suite, pack, tmp_path / "accepted")
    assert faults(again) == []  # of the same name
    told = b'{"schema_version": 1, "by": "Thieves", "created": "2026-09-01T12:00:00Z"}'
    other = check(suite, repacked(runs, tmp_path / "second.zip", **{"submission.json": told}), tmp_path / "accepted")
    assert f"it is known already, and by {BY!r}" in faults(other)[0]


def test_without_anything_known_that_is_said(runs: Path, tmp_path: Path, suite: vs.Suite) -> None:
    report = check(suite, repacked(runs, tmp_path / "p.zip"))
    assert "whether predictions are somebody else's: no results to compare with are here" in [
        finding.text for finding in report.findings if finding.kind == "not checked"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"throughput": 5000.0}, "its 5000 samples a second contradict its own latencies, which give 45.5"),
        ({"throughput": 1.0}, "its 1 samples a second contradict its own latencies"),
        ({"latency_p50": 0.001}, "its latency of 0.001 s is not the median of its own latencies, 0.02 s"),
        ({"latency_p95": 9.0}, "is not the median of its own latencies"),
        ({"latencies": []}, "its cost tells no latencies"),
        ({"latencies": [0.02, -1.0]}, "its cost holds a number that cannot be"),
        ({"parameters": 1}, "its number of parameters is not that of the same model elsewhere, 13820000"),
    ],
)
def test_a_cost_that_its_own_record_contradicts(
    known: Path, runs: Path, tmp_path: Path, suite: vs.Suite, change: dict[str, Any], words: str
) -> None:
    rewrite(good(runs), lambda data: data["efficiency"].update(change))
    assert words in "\n".join(faults(check(suite, repacked(runs, tmp_path / "p.zip"), known=[known])))


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("vidsuite", "vidsuite"),
        ("Vid-Suite", "vidsuite"),
        ("VIDSUITE", "vidsuite"),
        ("v1dsuite", "vidsuite"),
        ("v\u0456dsuite", "vidsuite"),  # a Ukrainian i
        ("\uff56idsuite", "vidsuite"),  # full width
        ("vid\u0455u\u0456te", "vidsuite"),
        ("0xford", "Oxford"),
        ("\u039fxford", "Oxford"),  # a Greek omicron
        ("Oxf\u00f6rd", "Oxford"),
        ("Oxf ord", "Oxford"),
        ("Carnbridge", "Cambridge"),
        ("Oxford", ""),  # itself
        ("Oxbridge", ""),
        ("A video suite of ours", ""),
    ],
)
def test_names_that_look_like_others(name: str, like: str) -> None:
    assert taken(name, ["Oxford", "Cambridge"]) == like


def test_names_of_every_alphabet_are_names() -> None:
    for name in ("Karácsony Lab", "发光实验室", "Лаборатория 5", "مختبر", "Lab of A. & B."):
        assert taken(name, ["Oxford"]) == ""
        assert look(name)
    assert mixes_alphabets("L\u0430b")  # a Cyrillic a
    assert not mixes_alphabets("发光 Lab")


def test_a_name_like_the_projects_is_refused(runs: Path, tmp_path: Path, suite: vs.Suite) -> None:
    told = '{"schema_version": 1, "by": "v\u0456dsuite", "created": "2026-09-01T12:00:00Z"}'.encode()
    found = faults(check(suite, repacked(runs, tmp_path / "p.zip", **{"submission.json": told})))
    assert found == ["submission.json: its name 'v\u0456dsuite' is, or looks like, this project's own name"]


def test_a_model_whose_name_has_a_look_alike_letter_is_refused(runs: Path, tmp_path: Path, suite: vs.Suite) -> None:
    rewrite(good(runs), lambda data: data["cell"].update(model="seizure_i3d/i3d_lstm_f\u0441"), rehash=True)
    assert "is no name that a plugin can have" in "\n".join(faults(check(suite, repacked(runs, tmp_path / "p.zip"))))

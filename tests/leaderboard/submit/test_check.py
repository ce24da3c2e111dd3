"""Checking what strangers hand in: what is wrong with it is said in a line."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_runs import HARDWARE
from called import vidsuite
from helpers import clip_arrays, keep
from submissions import BY, FOLDS, attempt, faults, good, repacked, repredict, repredict_with, rewrite

import vidsuite_core as vs
from vidsuite_core.errors import UsageError
from vidsuite_core.protocols import make_folds
from vidsuite_core.results.store import LOG, PREDICTIONS, RESULT, Store
from vidsuite_core.runner.plan import plan_cells
from vidsuite_core.support.files import file_sha256
from vidsuite_leaderboard.submit import packs as submitting
from vidsuite_leaderboard.submit.packs import check, pack
from vidsuite_leaderboard.submit.submission import sources_below


class TestCheck:
    """What is wrong inside a well-formed pack."""

    def refused(self, suite: vs.Suite, runs: Path, tmp_path: Path, **more: bytes) -> str:
        report = check(suite, repacked(runs, tmp_path / "p.zip", **more))
        assert not report.accepted
        assert all(len(line.splitlines()) == 1 for line in faults(report))
        return "\n".join(faults(report))

    def test_as_it_was_packed_it_is_accepted(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        assert faults(check(suite, repacked(runs, tmp_path / "p.zip"))) == []

    @pytest.mark.parametrize("depth", [100, 100_000])
    def test_nested_json(self, suite: vs.Suite, runs: Path, tmp_path: Path, depth: int) -> None:
        path = good(runs).path / RESULT
        data = json.loads(path.read_text())
        path.write_text(json.dumps(data)[:-1] + ', "details": {"x": ' + "[" * depth + "]" * depth + "}}")
        found = self.refused(suite, runs, tmp_path)
        assert "nested more than" in found or "recursion" in found

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("score_id", "0" * 64, "its score id is not the hash"),
            ("created", "2999-01-01T00:00:00Z", "made in the future"),
            ("software", {}, "its environment lacks software"),
            ("hardware", {"cpu": ["x"]}, "its environment lacks hardware"),
            ("code", {}, "its environment lacks code"),
            ("weights", [{"name": "imagenet", "sha256": "1" * 64}], "not those of its score key"),
            ("warnings", ["x" * 5000], "its warnings has more than"),
            ("classes", ["temporal", "fron\u202etal"], "signs that cannot be seen"),
            ("attempt", "20260901T120000000000-00000001", "a folder that is not its record's"),
            ("schema_version", 99, "upgrade vidsuite"),
            ("unknown", 1, "Extra inputs"),
        ],
    )
    def test_a_record(self, suite: vs.Suite, runs: Path, tmp_path: Path, field: str, value: object, words: str) -> None:
        rewrite(good(runs), lambda data: data.update({field: value}))
        assert words in self.refused(suite, runs, tmp_path)

    def test_a_number_that_is_none(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        path = good(runs).path / RESULT
        path.write_text(path.read_text().replace('"latency_p50": 0.02', '"latency_p50": NaN'))
        assert "NaN is no JSON number" in self.refused(suite, runs, tmp_path)

    def test_a_cost_that_cannot_be(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        rewrite(good(runs), lambda data: data["efficiency"].update(latency_p50=-1.0))
        assert "its cost holds a number that cannot be" in self.refused(suite, runs, tmp_path)

    def test_a_raised_score(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        rewrite(good(runs), lambda data: data["scores"]["macro_f1"].update(value=1.0))
        assert "score macro_f1 is recorded as 1.0" in self.refused(suite, runs, tmp_path)

    def test_other_predictions(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        np.savez_compressed(good(runs).path / PREDICTIONS, **clip_arrays("0", 1.0))
        assert "predictions.npz differs from its recorded sha256" in self.refused(suite, runs, tmp_path)

    def test_predictions_that_are_no_numbers(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        repredict_with(good(runs), lambda arrays: arrays["prob"].__setitem__(0, np.nan))
        assert "not finite numbers" in self.refused(suite, runs, tmp_path)

    def test_a_pickle_is_not_opened(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[Any, ...]:
                return (Path.touch, (tmp_path / "touched",))

        buffer = io.BytesIO()
        np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
        with zipfile.ZipFile(good(runs).path / PREDICTIONS, "w") as archive:
            archive.writestr("prob.npy", buffer.getvalue())
        found = good(runs)
        sha256 = file_sha256(found.path / PREDICTIONS)
        rewrite(found, lambda data: data["files"].update({PREDICTIONS: sha256}))
        assert "allow_pickle=False" in self.refused(suite, runs, tmp_path)
        assert not (tmp_path / "touched").exists()

    def test_the_key_of_another_fold(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        rewrite(good(runs), lambda data: data["score_key"].update(fold="3"), rehash=True)
        assert "another fold, seed or preset" in self.refused(suite, runs, tmp_path)

    def test_an_easier_protocol(self, suite: vs.Suite, tmp_path: Path) -> None:
        for fold in "01":
            attempt(tmp_path / "runs", fold, folds=2)
        found = self.refused(suite, tmp_path / "runs", tmp_path)
        assert "it does not keep to the benchmark's protocol.folds: 5 -> 2" in found

    def test_a_fold_that_is_missing(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        shutil.rmtree(good(runs).path)
        assert "seed 0 has 4 of 5 folds" in self.refused(suite, runs, tmp_path)

    def test_a_subject_that_is_tested_twice(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        repredict(good(runs), lambda arrays: arrays["subject"].__setitem__(0, "f1s0"))
        assert "subject 'f1s0' is tested in fold 0 and in fold 1" in self.refused(suite, runs, tmp_path)

    def test_a_model_that_leaves_out_hard_samples(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        other = attempt(runs, "0", seed=1)
        repredict(other, lambda a: a.update({name: value[3:] for name, value in a.items()}))
        assert "its samples or subjects are not those of" in self.refused(suite, runs, tmp_path)

    def test_a_file_without_a_hash(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        rewrite(good(runs), lambda data: data["files"].pop(LOG))
        assert "log.txt has no recorded sha256" in self.refused(suite, runs, tmp_path)

    def test_a_failure_under_a_false_name(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        (bad,) = [a for a in Store(runs).everything() if a.record.status == "failed"]  # type: ignore[union-attr]
        rewrite(bad, lambda data: data["cell"].update(model="seizure_i3d/single_frame"))  # type: ignore[arg-type]
        assert "its cell id is not the hash" in self.refused(suite, runs, tmp_path)

    def test_a_task_that_raises_ends_that_attempt_alone(
        self, suite: vs.Suite, runs: Path, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(submitting.rules, "notes_of", lambda *_: 1 / 0)
        monkeypatch.setattr(submitting.rules, "faults_of", lambda *_: 1 / 0)
        found = self.refused(suite, runs, tmp_path)
        assert found.count("it cannot be checked: ZeroDivisionError") == FOLDS

    def test_the_report_is_read_by_people_and_by_programs(self, runs: Path, tmp_path: Path) -> None:
        rewrite(good(runs), lambda data: data["scores"]["macro_f1"].update(value=1.0))
        file = str(repacked(runs, tmp_path / "p.zip"))
        done = vidsuite("submit", "check", file)
        assert done.returncode == 1
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "\nrefused\n" in done.stdout
        told = json.loads(vidsuite("submit", "check", file, "--json").stdout)
        assert told["accepted"] is False
        assert {finding["kind"] for finding in told["findings"]} == {"fault", "note", "not checked"}


def test_predictions_are_held_against_the_data_that_are_here(toy_env: dict[str, str], tmp_path: Path) -> None:
    suite = vs.load()
    dataset = suite.datasets["toy/blobs"].prepare()
    samples = {sample.id: sample for sample in dataset.samples()}
    protocol = suite.benchmarks["toy/direction"].definition().protocol

    def run(
        root: Path,
        change: Callable[[dict[str, Any]], None],
        model: str = "toy/tiny",
        classes: Sequence[str] = ("left", "right"),
    ) -> list[str]:
        cells = plan_cells(
            benchmark="toy/direction", task=("clip_classification", 1), dataset="toy/blobs", samples=dataset.samples(),
            fingerprint=dataset.fingerprint(), protocol=protocol, model=model, config={"lr": 1}, weights={},
            seeds=[0], preset="quick", device_kind="cpu: test",
        )  # fmt: skip
        for cell, fold in zip(cells, make_folds(protocol, dataset.samples()), strict=True):
            chosen = [samples[i] for i in fold.test]
            prob = np.full((len(chosen), 2), 0.5)
            arrays = {
                "sample_id": np.array([s.id for s in chosen]),
                "subject": np.array([s.subject for s in chosen]),
                "recording": np.array([s.recording for s in chosen]),
                "target": np.array([s.label for s in chosen]),
                "prob": prob,
            }
            if cell.fold == "0":
                change(arrays)
            keep(Store(root), cell, arrays, suite, classes=list(classes), hardware=HARDWARE)
        report = check(suite, repacked(root, root.with_suffix(".zip")))
        assert not [f for f in report.findings if f.kind == "not checked" and f.where]
        return [finding.text for finding in report.findings if finding.kind == "fault"]

    assert run(tmp_path / "right", lambda arrays: None) == []
    lacking = run(tmp_path / "lacking", lambda a: a.update({name: value[1:] for name, value in a.items()}))
    assert any("lack 1 of the fold's 4 samples" in text for text in lacking)
    turned = run(tmp_path / "turned", lambda a: a.update(target=1 - a["target"]))
    assert "its 'target' is not that of the dataset" in turned
    strange = run(tmp_path / "strange", lambda a: a["sample_id"].__setitem__(0, "zz"))
    assert any("hold 1 samples that the fold does not test, as 'zz'" in text for text in strange)
    turned = run(tmp_path / "new", lambda a: a.update(target=1 - a["target"]), "somebody/model_of_theirs")
    assert "its 'target' is not that of the dataset" in turned
    renamed = run(tmp_path / "renamed", lambda arrays: None, classes=("right", "left"))
    assert renamed[0].startswith("its classes are not those of the dataset, left, right")


def test_a_folder_of_submissions_with_a_namesake_is_said(
    suite: vs.Suite, whole: Path, runs: Path, tmp_path: Path
) -> None:
    check(suite, whole, tmp_path / "accepted")
    attempt(runs, "0", day=2)
    pack(suite, [runs], tmp_path / "p.zip", BY)
    report = check(suite, tmp_path / "p.zip", tmp_path / "accepted")
    assert any("has the same name" in finding.text for finding in report.findings)
    assert len(sources_below(tmp_path / "accepted")) == 2


def test_there_must_be_a_file(suite: vs.Suite, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        check(suite, tmp_path / "none.zip")

"""Submissions: packed, checked and shown; what strangers might send is refused in a line."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_runs import BEGINNING, HARDWARE, SEIZURE
from board_runs import attempt as whole_attempt
from called import vidsuite
from helpers import clip_arrays, core_suite, keep, make_cell, score_rows

import vidsuite_core as vs
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.ids import digest
from vidsuite_core.protocols import make_folds
from vidsuite_core.runner.files import file_sha256
from vidsuite_core.runner.plan import Cell, plan_cells
from vidsuite_core.runner.store import LOG, PREDICTIONS, RESULT, Attempt, Store, read_attempt
from vidsuite_leaderboard import site
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.submit import packfile
from vidsuite_leaderboard.submit import packs as submitting
from vidsuite_leaderboard.submit.packs import Report, check, pack
from vidsuite_leaderboard.submit.submission import SUBMISSION, sources_below

BY = "Lab of A. & B."
MODEL = "seizure_i3d/i3d_lstm_fc"
FOLDS = 5


def attempt(root: Path, fold: str, **more: Any) -> Attempt:
    """A good attempt at a fold of `MODEL`."""
    return whole_attempt(root, MODEL, fold=fold, **{"folds": FOLDS, "weights": [], **more})


def failed(root: Path, fold: str, reason: str, model: str = MODEL, **more: Any) -> Attempt:
    """An attempt that came to nothing."""
    cell = make_cell(model, fold, folds=FOLDS, **SEIZURE)
    fields = {"status": "failed", "reason": reason, "created": BEGINNING, "hardware": HARDWARE}
    return keep(Store(root), cell, None, None, **{**fields, **more})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model on all five folds of the benchmark, the last of which failed."""
    root = tmp_path_factory.mktemp("submit") / "runs"
    for fold in "0123":
        attempt(root, fold, command=["/opt/own/vidsuite bench"])
    failed(root, "4", "the disk was full")
    return root


@pytest.fixture
def runs(results: Path, tmp_path: Path) -> Path:
    """A copy of `results` to be changed."""
    return Path(shutil.copytree(results, tmp_path / "runs"))


@pytest.fixture(scope="module")
def whole(suite: vs.Suite, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of `results`."""
    out = tmp_path_factory.mktemp("whole") / "pack.zip"
    pack(suite, [results], out, BY)
    return out


def faults(report: Report) -> list[str]:
    return [f"{finding.where}: {finding.text}" for finding in report.findings if finding.kind == "fault"]


def repacked(root: Path, out: Path, **more: bytes) -> Path:
    """A pack of a run folder as it is, whatever is wrong with it."""
    members: dict[str, bytes | Path] = {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()
    }
    told = {"schema_version": 1, "by": BY, "created": "2026-09-01T12:00:00Z"}
    packfile.write(out, {SUBMISSION: json.dumps(told).encode(), **members, **more})
    return out


def good(root: Path) -> Attempt:
    found = [a for a in Store(root).everything() if isinstance(a, Attempt) and a.record.status == "ok"]
    return found[0]


def rewrite(found: Attempt, change: Callable[[dict[str, Any]], None], *, rehash: bool = False) -> None:
    """Change the record of an attempt; `rehash` makes its ids and folder follow."""
    data = json.loads((found.path / RESULT).read_text())
    change(data)
    if rehash:
        data["score_id"] = digest(data["score_key"])
        names = {n: v for n, v in data["cell"].items() if n != "plugin"}
        cell = Cell(**names, device_kind=data["device"]["kind"], score_key=data["score_key"])
        data["cell_id"] = cell.cell_id
    (found.path / RESULT).write_text(json.dumps(data))
    target = found.path.parents[1] / data["cell_id"] / found.path.name
    if target != found.path:
        target.parent.mkdir(exist_ok=True)
        found.path.rename(target)
        if not any(found.path.parent.iterdir()):
            found.path.parent.rmdir()


def repredict(found: Attempt, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the predictions of an attempt, hash, scores and all."""
    arrays = found.predictions()
    change(arrays)
    np.savez_compressed(found.path / PREDICTIONS, **arrays)
    task = core_suite().tasks["clip_classification"].open(found.record.classes)
    sha256 = file_sha256(found.path / PREDICTIONS)

    def follow(data: dict[str, Any]) -> None:
        data["scores"] = score_rows(task, arrays)
        data["files"][PREDICTIONS] = sha256

    rewrite(found, follow)


class TestPack:
    def test_results_go_round(self, suite: vs.Suite, whole: Path, tmp_path: Path, monkeypatch: Any) -> None:
        report = check(suite, whole, tmp_path / "accepted")
        assert faults(report) == []
        assert (report.by, report.attempts) == (BY, FOLDS)
        assert [(row["model"], row["done"], row["cells"]) for row in report.rows] == [(MODEL, 4, 5)]
        assert any(f.kind == "note" and "the disk was full" in f.text for f in report.findings)
        assert any(f.kind == "not checked" and "samples" in f.text for f in report.findings)
        (source,) = sources_below(tmp_path / "accepted")
        assert source.root.name == f"lab-of-a-b-{report.sha256[:10]}"
        monkeypatch.setattr(site, "PAGES", ("submit",))
        built = site.build(suite, [source], tmp_path / "site", progress=lambda *_: None, workers=1)
        assert (built.entries, built.attempts, built.rejected) == (1, FOLDS, 0)

    def test_the_same_results_make_the_same_bytes(
        self, suite: vs.Suite, results: Path, whole: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(results, tmp_path / "elsewhere")
        pack(suite, [tmp_path / "elsewhere"], tmp_path / "p.zip", BY)
        assert (tmp_path / "p.zip").read_bytes() == whole.read_bytes()
        with zipfile.ZipFile(whole) as archive:
            names = archive.namelist()
        assert names[0] == SUBMISSION
        assert names[1:] == sorted(names[1:])

    def test_the_newest_good_one_of_a_cell_goes_in(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        newer = attempt(runs, "0", day=1, skill=0.5)
        failed(runs, "0", "later still", created=datetime.now(UTC))
        packed = pack(suite, [runs], tmp_path / "p.zip", BY)
        assert packed.attempts == FOLDS
        with zipfile.ZipFile(tmp_path / "p.zip") as archive:
            (name,) = [n for n in archive.namelist() if newer.record.cell_id in n and n.endswith(RESULT)]
        assert name.split("/")[2] == newer.record.attempt

    def test_what_does_not_hold_is_left_out_by_name(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        bad = good(runs)
        rewrite(bad, lambda data: data["scores"]["macro_f1"].update(value=1.0))
        packed = pack(suite, [runs], tmp_path / "p.zip", BY)
        assert packed.attempts == FOLDS - 1
        assert [(path, "score macro_f1" in reason) for path, reason in packed.refused] == [(str(bad.path), True)]
        done = vidsuite("submit", "pack", str(runs), "--out", str(tmp_path / "q.zip"), "--by", BY)
        assert done.returncode == 1
        assert "left out:" in done.stderr
        assert "seed 0 has 4 of 5 folds" in "".join(faults(check(suite, tmp_path / "q.zip")))

    def test_kept_weights_stay_at_home_and_are_no_fault(self, suite: vs.Suite, runs: Path, tmp_path: Path) -> None:
        found = good(runs)
        (found.path / "weights.pth").write_bytes(b"weights")
        sha256 = file_sha256(found.path / "weights.pth")
        rewrite(found, lambda data: data["files"].update({"weights.pth": sha256}))
        pack(suite, [runs], tmp_path / "p.zip", BY)
        with zipfile.ZipFile(tmp_path / "p.zip") as archive:
            assert not any(name.endswith("weights.pth") for name in archive.namelist())
        assert faults(check(suite, tmp_path / "p.zip")) == []
        again = read_attempt(found.path)
        assert again.keeps("weights")
        (found.path / "weights.pth").write_bytes(b"others")
        assert again.faulty_files() == ["weights.pth differs from its recorded sha256"]
        (found.path / "weights.pth").unlink()
        assert (again.faulty_files(), again.keeps("weights")) == ([], False)

    def test_paths_in_command_lines_and_logs_are_told(
        self, suite: vs.Suite, runs: Path, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        failed(runs, "0", "r", "seizure_i3d/single_frame", command=["x --data=/home/somebody/data"])
        warnings = pack(suite, [runs], tmp_path / "p.zip", BY).warnings
        assert warnings == ["command lines of 5 attempts hold a path that everybody will see, as /opt/own/vidsuite"]
        only = pack(suite, [runs], tmp_path / "p.zip", BY, model="single*").warnings
        assert only == ["command lines of 1 attempts hold a path that everybody will see, as /home/somebody/data"]

    @pytest.mark.parametrize("by", ["", "a\nb", "\x1b[31mred", "<b>x</b>", " a", "a\u202eb", "x" * 81])
    def test_a_name_is_one_line_of_visible_signs(self, suite: vs.Suite, whole: Path, tmp_path: Path, by: str) -> None:
        done = vidsuite("submit", "pack", str(tmp_path), "--out", str(tmp_path / "p.zip"), "--by", by)
        assert done.returncode in (1, 2)
        assert not (tmp_path / "p.zip").exists()
        told = json.dumps({"schema_version": 1, "by": by, "created": "2026-09-01T12:00:00Z"}).encode()
        (text,) = faults(check(suite, altered(whole, tmp_path, lambda m: m.update({SUBMISSION: told}))))
        assert "by: " in text

    def test_nothing_to_pack_is_an_error(self, suite: vs.Suite, results: Path, tmp_path: Path) -> None:
        with pytest.raises(VidsuiteError, match="there is no result to pack"):
            pack(suite, [results], tmp_path / "p.zip", BY, model="other")
        assert not (tmp_path / "p.zip").exists()


def altered(whole: Path, folder: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The pack with other members; names and order as `change` leaves them."""
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    packfile.write(folder / "altered.zip", dict(members))
    return folder / "altered.zip"


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


def repredict_with(found: Attempt, change: Callable[[dict[str, Any]], None]) -> None:
    """Other predictions under the recorded scores."""
    arrays = found.predictions()
    change(arrays)
    np.savez_compressed(found.path / PREDICTIONS, **arrays)
    sha256 = file_sha256(found.path / PREDICTIONS)
    rewrite(found, lambda data: data["files"].update({PREDICTIONS: sha256}))


def test_predictions_are_held_against_the_data_that_are_here(toy_env: dict[str, str], tmp_path: Path) -> None:
    suite = vs.load()
    dataset = suite.datasets["toy/blobs"].prepare()
    samples = {sample.id: sample for sample in dataset.samples()}
    protocol = suite.benchmarks["toy/direction"].definition()["protocol"]

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
        assert not [f for f in report.findings if f.kind == "not checked"]
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


def test_the_schemas_describe_what_is_written(suite: vs.Suite, results: Path, whole: Path, tmp_path: Path) -> None:
    import jsonschema

    from vidsuite_leaderboard.pages.submit import schema_text, schemas

    models = {kind: json.loads(schema_text(model)) for kind, model in schemas().items()}
    jsonschema.validate(json.loads((good(results).path / RESULT).read_text()), models["result"])
    with zipfile.ZipFile(whole) as archive:
        jsonschema.validate(json.loads(archive.read(SUBMISSION)), models["submission"])
    for model in models.values():
        jsonschema.Draft202012Validator.check_schema(model)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"unknown": 1}, model)


def test_the_page_tells_every_command_as_it_is(
    suite: vs.Suite, results: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(site, "PAGES", ("submit",))
    site.build(suite, [Source(results)], tmp_path / "site", progress=lambda *_: None, workers=1)
    text = (tmp_path / "site" / "submit.html").read_text()
    lines = [
        line
        for block in re.findall(r"<pre class=\"command\"><code>(.*?)</code>", text, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line.replace("&#34;", '"'))
        assert vidsuite(*words[1:], "--help").returncode == 0, line
        options = [word for word in words if word.startswith("--")]
        helped = vidsuite(*[w for w in words[1:3] if w.isalpha()], "--help").stdout
        assert all(option in helped for option in options), line
    for kind in ("result", "submission", "reproduction"):
        assert f'href="schema/{kind}.schema.json"' in text
        assert json.loads((tmp_path / "site" / "schema" / f"{kind}.schema.json").read_text())["$schema"]


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

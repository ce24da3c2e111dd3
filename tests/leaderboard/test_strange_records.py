"""Records of a form that strangers may send: none of them ends a build, or takes another's place on the site."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from board_runs import BEGINNING, HARDWARE, SEIZURE, SUITE, attempt, efficiency
from helpers import clip_arrays, keep, make_cell
from test_reproductions import tell

import vidsuite_core as vs
from vidsuite_core.results.store import Store
from vidsuite_leaderboard import site
from vidsuite_leaderboard.cache import opened
from vidsuite_leaderboard.collect import Collection, Source, collect
from vidsuite_leaderboard.entries import page_name
from vidsuite_leaderboard.submit import rules as submit_rules
from vidsuite_leaderboard.submit.packs import check, pack

LSTM, POOL = "seizure_i3d/i3d_lstm_fc", "seizure_i3d/i3d_pool_logreg"
FRAMES = {**SEIZURE, "task": "video_segmentation", "version": 2, "folds": 1, "fold": "fixed"}
LOST = "\ud800"
"""A lone surrogate, which no file can hold as it is."""


def gather(suite: vs.Suite, *sources: Source) -> Collection:
    with opened(None) as known:
        return collect(suite, sources, {}, known, lambda *_: None, workers=1)


def build(suite: vs.Suite, root: Path, *sources: Source, **more: Any) -> site.Built:
    return site.build(suite, sources, root / "site", progress=lambda *_: None, workers=1, **more)


def test_whatever_a_record_holds_the_site_is_built(suite: vs.Suite, tmp_path: Path) -> None:
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    attempt(own, LSTM)
    attempt(own, LSTM, fold="1")
    shown: dict[str, dict[str, Any]] = {
        "gpus": {"hardware": {**HARDWARE, "gpus": 1}},
        "memory": {"hardware": {**HARDWARE, "memory": 10**400}},
        "device": {"device": f"cpu {LOST}"},
        "code": {"code": {"core": {"version": LOST, "sources": "x", "commit": LOST}}},
        "sample": {"efficiency": {**efficiency(0.1), "sample": LOST, "path": LOST}},
        "page": {"of": {**SEIZURE, "benchmark": "seizure_i3d//seizure_i3d"}},
    }
    left_out: dict[str, dict[str, Any]] = {
        "latency": {"efficiency": {**efficiency(0.1), "latency_p50": 1.7e308, "latency_p95": 1.7e308}},
        "flops": {"efficiency": {**efficiency(0.1), "flops": -1.0}},
        "phases": {"phases": {"train": 1.7e308, "predict": 1.7e308}},
        "other_task": {"of": {**FRAMES, "dataset": "aaa/first"}},
        "plugin": {"of": {**SEIZURE, "benchmark": "no_slash"}},
        "classes": {"classes": ["temporal", "temporal"]},
    }
    for name, more in (shown | left_out).items():
        attempt(theirs, f"seizure_i3d/{name}", **more)
    attempt(theirs, f"seizure_i3d/e{LOST}")
    for name in ("parameters", "peak_memory"):  # beyond what a record of ours can be made with
        path = attempt(theirs, f"seizure_i3d/{name}", efficiency=efficiency(0.1)).path / "result.json"
        record = json.loads(path.read_text())
        record["efficiency"][name] = 10**400
        path.write_text(json.dumps(record))
        left_out[name] = {}
    built = build(suite, tmp_path, Source(own), Source(theirs, "Eve"))
    assert built.entries == 1 + len(shown) + 1
    told = json.loads((tmp_path / "site" / "data" / "left-out.json").read_text())
    assert sorted(one["path"].split("/")[1].split("-")[0] for one in told) == sorted(left_out)


def test_two_tasks_under_one_unknown_benchmark_are_not_mixed(suite: vs.Suite, tmp_path: Path) -> None:
    names = {"benchmark": "x/y", "dataset": "x/b"}
    attempt(tmp_path / "own", "x/m", of={"folds": 1, **names})
    attempt(tmp_path / "theirs", "x/m", of={**FRAMES, **names, "dataset": "x/a"})
    found = gather(suite, Source(tmp_path / "own"), Source(tmp_path / "theirs", "Eve"))
    assert [entry.task for entry in found.entries] == ["clip_classification"]
    assert [one.reason for one in found.rejected] == [
        "its task is 'video_segmentation', that of its benchmark is 'clip_classification'"
    ]
    assert {entry.slug for entry in found.entries} == set(found.keys) == set(found.members) == set(found.draws)


def test_a_submission_to_a_benchmark_of_another_task_is_refused(suite: vs.Suite, tmp_path: Path) -> None:
    attempt(tmp_path / "runs", LSTM, of=FRAMES, weights=[])
    pack(suite, [tmp_path / "runs"], tmp_path / "pack.zip", "Eve")
    report = check(suite, tmp_path / "pack.zip")
    assert [finding.text for finding in report.findings if finding.kind == "fault"] == [
        "its benchmark is of task clip_classification here, not video_segmentation"
    ]


def test_what_is_no_json_number_is_left_out(suite: vs.Suite, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(submit_rules, "beyond_bounds", lambda record: ())
    for fold in "01":  # the median of which is infinite
        cost = {**efficiency(0.1), "latency_p50": 1.7e308, "latency_p95": 1.7e308}
        attempt(tmp_path, LSTM, fold=fold, efficiency=cost)
    found = gather(suite, Source(tmp_path))
    assert found.entries == []
    assert {one.reason.partition(":")[0] for one in found.rejected} == {"cannot be summed up"}


def test_names_of_pages_are_of_one_name_each() -> None:
    names = ["a/b", "a_b", "a", "a//b", "a/b!", "a-b", "a/b/", "A/b", "", "/", "..", "a/b\n", "a/b-x", "a/b/x"]
    pages = [page_name(name) for name in names]
    assert len(set(pages)) == len(names)
    assert pages[:3] == ["a-b", "a_b", "a"]
    assert all(set(page) <= set("abAx_-0123456789abcdef") for page in pages)


def test_seeds_are_those_of_the_device_that_the_scores_come_from(suite: vs.Suite, tmp_path: Path) -> None:
    for fold in "01":
        attempt(tmp_path, LSTM, fold=fold)
    attempt(tmp_path, LSTM, seed=7, device="cuda: H200")
    (entry,) = gather(suite, Source(tmp_path)).entries
    assert (entry.done, entry.expected, entry.folds, entry.seeds) == (2, 2, 2, 1)
    assert len(entry.speeds) == 2


def test_a_reproduced_entry_keeps_its_files(suite: vs.Suite, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(site, "PAGES", ("entry",))
    one, _ = (attempt(tmp_path / "own", LSTM, fold=fold) for fold in "01")
    tell(tmp_path / "again", attempt(tmp_path / "again", LSTM, day=3, device="cuda: H200"), one)
    build(suite, tmp_path, Source(tmp_path / "own"), Source(tmp_path / "again", "Bob"))
    (page,) = (tmp_path / "site" / "entries").iterdir()
    assert "reproduced" in page.read_text()
    assert "its folder was not found" not in page.read_text()
    (packed,) = (tmp_path / "site" / "attempts").iterdir()
    with zipfile.ZipFile(packed) as archive:
        assert len({name.rpartition("/")[0] for name in archive.namelist()}) == 2


def test_the_page_of_changes_counts_all_attempts(suite: vs.Suite, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(site, "PAGES", ("trust",))
    for number, fold in enumerate("01", 1):
        attempt(tmp_path / "own", LSTM, fold=fold)
        build(suite, tmp_path, Source(tmp_path / "own"))
        assert f"all {number} attempts agree" in (tmp_path / "site" / "changes.html").read_text()


def test_the_order_of_samples_does_not_keep_equals_from_a_tie(suite: vs.Suite, tmp_path: Path) -> None:
    from vidsuite_leaderboard.ranks import ranked

    for fold in "01":
        attempt(tmp_path / "own", LSTM, fold=fold)
        cell = make_cell("seizure_i3d/eve", fold, **SEIZURE)
        turned = {name: values[::-1] for name, values in clip_arrays(fold).items()}
        keep(Store(tmp_path / "theirs"), cell, turned, SUITE, created=BEGINNING)
    found = gather(suite, Source(tmp_path / "own"), Source(tmp_path / "theirs", "Eve"))
    assert [(e.rank, e.tied) for e in ranked(suite, found.entries, found.draws)] == [(1, True)] * 2


class TestOtherData:
    """An entry holds a rank among those that were scored on the same samples alone."""

    def ranks(self, suite: vs.Suite, root: Path) -> dict[str, int | None]:
        from vidsuite_leaderboard.ranks import ranked

        found = gather(suite, Source(root / "own"), Source(root / "theirs", "Eve"))
        return {entry.model: entry.rank for entry in ranked(suite, found.entries, found.draws)}

    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        for fold in "01":
            attempt(tmp_path / "own", LSTM, fold=fold, skill=0.6)
            attempt(tmp_path / "theirs", "seizure_i3d/honest", fold=fold, skill=0.0)
        return tmp_path

    def test_another_protocol(self, suite: vs.Suite, own: Path) -> None:
        attempt(own / "theirs", "seizure_i3d/eve", skill=1.0, folds=1)
        assert self.ranks(suite, own) == {LSTM: 1, "seizure_i3d/honest": 2, "seizure_i3d/eve": None}

    def test_other_samples_under_the_same_name(self, suite: vs.Suite, own: Path, monkeypatch: Any) -> None:
        import board_runs

        easy = board_runs.clip_arrays
        monkeypatch.setattr(board_runs, "clip_arrays", lambda *args: easy(*args, subjects=4))
        for fold in "01":
            attempt(own / "theirs", "seizure_i3d/eve", skill=1.0, fold=fold)
        assert self.ranks(suite, own) == {LSTM: 1, "seizure_i3d/honest": 2, "seizure_i3d/eve": None}


def test_a_second_who_reproduces_is_named_on_the_page_of_devices(
    suite: vs.Suite, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(site, "PAGES", ("devices",))
    one, _ = (attempt(tmp_path / "own", LSTM, fold=fold) for fold in "01")
    attempt(tmp_path / "own", LSTM, device="cuda: H200")
    sources = [Source(tmp_path / "own")]
    for number, name in enumerate(("Bob", "Carol"), 1):
        root = tmp_path / name
        again = attempt(root, LSTM, created=BEGINNING + timedelta(days=number))
        tell(root, again, one, by=name)
        sources.append(Source(root, name))
        build(suite, tmp_path, *sources)
        assert name in (tmp_path / "site" / "devices.html").read_text()

"""Packing results to hand them in."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from called import vidsuite
from submissions import BY, FOLDS, MODEL, altered, attempt, failed, faults, good, rewrite

import vidsuite_core as vs
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import RESULT, read_attempt
from vidsuite_core.support.files import file_sha256
from vidsuite_leaderboard import site
from vidsuite_leaderboard.submit.packs import check, pack
from vidsuite_leaderboard.submit.submission import SUBMISSION, sources_below


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
        (told,) = warnings
        assert told.startswith("command lines of 5 attempts hold a path that everybody will see, as /")
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

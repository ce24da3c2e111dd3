"""`vidsuite report` and `vidsuite verify` on run folders, good, incomplete and hostile."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import clip_arrays, keep, make_cell

from vidsuite_core.cli import main
from vidsuite_core.results.store import LOG, RESULT, Store


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


class Command:
    """Runs the command line in this process, as its console script does."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: object) -> Done:
        self.monkeypatch.setattr(sys, "argv", ["vidsuite", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(int(end.value.code or 0), *self.capsys.readouterr())


@pytest.fixture
def vidsuite(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")
    return Command(capsys, monkeypatch)


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    """A run folder with one complete model."""
    store = Store(tmp_path / "runs")
    for fold in ("0", "1"):
        keep(store, make_cell(fold=fold), clip_arrays(fold))
    return store


def test_a_complete_run_is_shown_and_verified(runs: Store, vidsuite: Command) -> None:
    done = vidsuite("report", runs.root)
    assert (done.code, done.err) == (0, "")
    assert "paper/bench on paper/ward, preset quick" in done.out
    assert "lstm" in done.out
    assert vidsuite("verify", runs.root) == Done(0, "2 attempts checked, 0 faults\n", "")


def test_the_run_folder_is_runs_unless_named(runs: Store, vidsuite: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.root.parent)
    assert vidsuite("report").out == vidsuite("report", runs.root).out


def test_several_run_folders_are_one(runs: Store, vidsuite: Command, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    keep(other, make_cell("paper/net", "0", folds=1), clip_arrays())
    rows = json.loads(vidsuite("report", runs.root, other.root, "--format", "json").out)
    assert {row["model"] for row in rows} == {"paper/lstm", "paper/net"}


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "latex", "json"])
def test_every_form_goes_to_the_terminal_or_a_file(runs: Store, vidsuite: Command, tmp_path: Path, form: str) -> None:
    shown = vidsuite("report", runs.root, "--format", form)
    out = tmp_path / "report"
    assert vidsuite("report", runs.root, "--format", form, "--out", out) == Done(0, "", "")
    with out.open(newline="") as file:
        kept = file.read()
    if form != "table":  # whose width is the terminal's
        assert kept == shown.out
    assert kept.endswith("\n")
    assert "paper/bench" in kept
    if form == "csv":
        assert len(list(csv.reader(io.StringIO(kept, newline="")))) == 2


def test_parquet_needs_a_file(runs: Store, vidsuite: Command, tmp_path: Path) -> None:
    done = vidsuite("report", runs.root, "--format", "parquet")
    assert (done.code, done.out) == (2, "")
    assert "name it with --out FILE" in done.err
    assert vidsuite("report", runs.root, "--format", "parquet", "--out", tmp_path / "p").code == 0
    assert pq.read_table(tmp_path / "p").num_rows == 1


def test_a_file_that_cannot_be_written_is_named(runs: Store, vidsuite: Command, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        out = tmp_path / "none" / "report"
        done = vidsuite("report", runs.root, "--format", form, "--out", out)
        assert done.code == 1
        assert "No such file or directory" in done.err
        assert str(out) in done.err
        assert done.err.count("\n") == 1


def test_an_incomplete_row_is_said_by_the_exit_code(runs: Store, vidsuite: Command) -> None:
    keep(runs, make_cell("paper/net", "0"), clip_arrays())
    keep(runs, make_cell("paper/net", "1"), status="out_of_memory", reason="too large")
    done = vidsuite("report", runs.root)
    assert done.code == 1
    assert "net [1 of 2]" in done.out
    assert "net: fold 1, seed 0: out_of_memory: too large" in done.out
    assert vidsuite("verify", runs.root).code == 0  # a failure that is kept as one is no fault


def test_a_raised_score_is_found(runs: Store, vidsuite: Command) -> None:
    attempt = next(iter(runs.everything()))
    data = json.loads((attempt.path / RESULT).read_text())
    data["scores"]["macro_f1"]["value"] = 1.0
    (attempt.path / RESULT).write_text(json.dumps(data))
    done = vidsuite("verify", runs.root)
    assert done.code == 1
    assert f"{attempt.path}: score macro_f1 is recorded as 1.0, its predictions give 0." in done.out
    assert done.out.endswith("2 attempts checked, 1 faults\n")
    faults = json.loads(vidsuite("verify", runs.root, "--json").out)
    assert faults["checked"] == 2
    assert [fault["path"] for fault in faults["faults"]] == [str(attempt.path)]
    assert vidsuite("report", runs.root).code == 1


def test_a_changed_log_of_a_failed_attempt_is_found(runs: Store, vidsuite: Command) -> None:
    attempt = keep(runs, make_cell("paper/net", "0"), status="failed", reason="r")
    (attempt.path / LOG).write_text("all went well")
    done = vidsuite("verify", runs.root)
    assert done.code == 1
    assert "log.txt differs from its recorded sha256" in done.out


def test_a_task_that_is_not_installed_is_left_out_and_said(runs: Store, vidsuite: Command) -> None:
    keep(runs, make_cell("paper/net", "0", task="lip_reading"), status="failed", reason="r")
    done = vidsuite("report", runs.root)
    assert done.code == 1
    assert "its task 'lip_reading' is not installed" in done.err
    assert "lstm" in done.out


def test_a_hostile_folder_is_read_without_harm(runs: Store, vidsuite: Command) -> None:
    (runs.root / "paper" / "\x1b[31mred\x1b]0;title\x07").mkdir()
    (runs.root / "paper" / "\x1b[31mred\x1b]0;title\x07" / "a\nb").mkdir()
    keep(runs, make_cell("paper/x[blink]\x1b[5m", "0"), status="failed", reason="\x1b[2J[red]gone[/red]\r\nline")
    for command in (("report",), ("verify",), ("report", "--format", "markdown"), ("report", "--format", "csv")):
        done = vidsuite(*command, runs.root)
        assert done.code == 1
        text = (done.out + done.err).replace("\r\n", "\n")
        assert all(sign.isprintable() or sign == "\n" for sign in text), repr(text)
    assert "[red]gone[/red]  line" in vidsuite("report", runs.root).out


def test_nothing_to_show_is_an_error(tmp_path: Path, vidsuite: Command) -> None:
    (tmp_path / "runs").mkdir()
    done = vidsuite("report", tmp_path / "runs", "--format", "json")
    assert done == Done(1, "", "error: there is no result to show; 'vidsuite bench' makes some\n")

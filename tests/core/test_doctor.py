"""`vidsuite doctor` tries what a cell does, in a process, and names what fails there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from called import vidsuite

from vidsuite_core.cli import doctor
from vidsuite_core.runner.devices import cpu_slot
from vidsuite_core.runner.trial import CHECKS

FAULTY = """
import os, signal, sys, time
from vidsuite_core.runner import trial

def well(precision, runs):
    print("a library talks")
    return f"{precision} {runs.name}"

def raises(precision, runs):
    raise SystemExit("no GPU\\n here")

def dies(precision, runs):
    print("out of\\nstack", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def hangs(precision, runs):
    time.sleep(60)

trial.CHECKS = {check.__name__: check for check in (well, raises, dies, hangs)}
trial.main()
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_trial.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "TRIAL", "faulty_trial")


def tried(*checks: str) -> list[tuple[str, bool, str]]:
    return [(f.check, f.well, f.text) for f in doctor._tried(cpu_slot(), Path("runs"), checks)]


def test_what_fails_is_named_and_the_rest_is_tried(faulty: None) -> None:
    found = tried("raises", "well")
    assert found[0] == ("raises", False, "SystemExit: no GPU here")
    assert found[1][:2] == ("well", True)
    assert found[1][2].endswith(" runs")


def test_what_ends_the_process_is_named(faulty: None) -> None:
    (_, death) = tried("well", "dies", "raises")
    assert death == ("dies", False, "the process that tried it ended by signal SIGSEGV: stack")


def test_what_hangs_is_ended_and_named(faulty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 5)
    assert tried("hangs") == [("hangs", False, "the process that tried it ended by signal SIGKILL")]


def test_a_process_that_does_not_start_is_named(faulty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TRIAL", "no_such_module")
    ((check, well, text),) = tried("well")
    assert (check, well) == ("well", False)
    assert "No module named no_such_module" in text


def test_this_machine_and_a_run_folder_that_cannot_be_written(tmp_path: Path, toy_env: dict[str, str]) -> None:
    (tmp_path / "file").write_text("")
    done = vidsuite("doctor", "--json", "--out", str(tmp_path / "file" / "runs"))
    found = {row["check"]: row for row in json.loads(done.stdout)}
    assert set(CHECKS) < set(found)
    assert [name for name, row in found.items() if not row["well"]] == ["run folder"], found
    assert f"{tmp_path / 'file' / 'runs'} cannot be written" in found["run folder"]["text"]
    assert done.returncode == 1
    assert "GiB free" in found["loading"]["text"]

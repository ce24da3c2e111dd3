"""`vidsuite runs`: a run is looked at and steered by files that are its user's alone."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from jobs import Heard, until
from planned_runs import CELLS, FAILED, Run, good
from test_cli_results import Command, vidsuite  # noqa: F401 (a fixture)

from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.runner.control import FOLDER, KEPT, REQUESTS, STATE, Control, Steps, states
from vidsuite_core.runner.executor import Event, Job
from vidsuite_core.runner.schedule import Schedule


class Steered:
    """A run whose cells end when the test says how, looked at and steered from outside."""

    def __init__(self, root: Path) -> None:
        self.root, self.run = root, Run(root)
        self.schedule: Schedule = self.run.schedule()
        self.steps = Steps(Heard())
        self.control = Control(root, self.schedule, self.steps, "vidsuite bench --plugin paper", 1, len(CELLS))

    def take(self) -> Job:
        job = self.schedule.take(lambda: False)
        assert job is not None
        self.steps.event(Event("cuda:0", job.cell, "train", 3, 9))
        return job

    def end(self, job: Job, outcome: dict[str, Any] | None = None) -> None:
        self.schedule.finish(job, {"hardware": {}, "software": {}, **(outcome or good(job))})

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.control.folder / STATE).read_text())


@pytest.fixture
def steered(tmp_path: Path) -> Steered:
    return Steered(tmp_path / "runs")


def test_a_run_tells_how_far_it_is_and_what_each_device_does(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    with steered.control as control:
        steered.end(steered.take(), FAILED)
        job = steered.take()
        until(lambda: [one["what"] for one in steered.state["running"]] == ["train"])
        done = vidsuite("runs", "list", "--out", steered.root)
        assert " ".join(done.out.split()) == (
            f"{control.id} running 0 of 3 cells done, 1 failed, 1 waiting vidsuite bench --plugin paper"
        )
        shown = vidsuite("runs", "show", "--out", steered.root)
        assert shown.code == 1  # something has failed
        assert "cuda:0: lstm · ward · fold 1: train 3 of 9, for " in shown.out
        assert f"lstm · ward · fold 0: failed: no luck  [{CELLS[0].cell_id}]" in shown.out
        steered.end(job)
        steered.end(steered.take())
        control.ended(whole=False)
    told = json.loads(vidsuite("runs", "show", control.id[:10], "--out", steered.root, "--json").out)
    assert (told["state"], told["done"], told["failed"], told["running"]) == ("failed", 2, 1, [])


def test_it_pauses_and_goes_on(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    taken: list[Job] = []
    with steered.control:
        assert vidsuite("runs", "pause", "--out", steered.root).code == 0
        assert "paused" in vidsuite("runs", "show", "--out", steered.root).out
        thread = threading.Thread(target=lambda: taken.append(steered.take()))
        thread.start()
        thread.join(1.2)
        assert not taken
        assert vidsuite("runs", "resume", "--out", steered.root).code == 0
        thread.join(5)
        assert len(taken) == 1


def test_one_cell_is_stopped_whether_it_runs_or_waits(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    with steered.control:
        first = steered.take()
        until(lambda: len(steered.state["running"]) == 1)
        assert vidsuite("runs", "stop", "--cell", CELLS[0].cell_id, "--out", steered.root).code == 0
        assert vidsuite("runs", "stop", "--cell", CELLS[2].cell_id, "--out", steered.root).code == 0
        assert first.stop.is_set()
        assert not steered.schedule.stop.is_set()
        steered.end(first, {"status": "interrupted", "reason": "told to stop"})
        assert steered.take().cell == CELLS[1]
        assert steered.schedule.take(lambda: False) is None
    found = [a.record for a in Store(steered.root).everything() if isinstance(a, Attempt)]
    assert [(record.cell.fold, record.status) for record in found] == [("0", "interrupted"), ("2", "skipped")]
    assert {record.reason for record in found} == {
        "this cell was stopped by the user (vidsuite runs stop); the same command goes on"
    }


def test_the_whole_run_is_stopped(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    with steered.control as control:
        job = steered.take()
        assert vidsuite("runs", "stop", control.id, "--out", steered.root).code == 0
        assert job.stop.is_set()
        assert steered.schedule.take(lambda: False) is None
        control.ended(whole=False)
    assert states(steered.root)[0][1].state == "stopped"


def test_what_failed_is_tried_again(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    with steered.control:
        for _ in CELLS:
            steered.end(steered.take(), FAILED)
        assert steered.schedule.take(lambda: False) is None
        assert vidsuite("runs", "retry", "--cell", CELLS[1].cell_id[:-4], "--out", steered.root).code == 0
        steered.end(steered.take())
        assert vidsuite("runs", "retry", "--out", steered.root).code == 0
        assert [steered.take().cell.fold for _ in "02"] == ["0", "2"]
    last = {outcome.cell.fold: outcome.ok for outcome in steered.run.outcomes}
    assert last == {"0": False, "1": True, "2": False}


def test_a_run_that_is_over_or_dead_is_told_and_not_steered(steered: Steered, vidsuite: Command) -> None:  # noqa: F811
    assert vidsuite("runs", "show", "--out", steered.root).code == 2
    with steered.control as control:
        until(lambda: (control.folder / STATE).exists())
        whole = (control.folder / STATE).read_text()
    done = vidsuite("runs", "retry", "--out", steered.root)
    assert done.code == 1
    assert "has ended; this runs what is left of it: vidsuite bench --plugin paper" in done.err
    (control.folder / STATE).write_text(whole)  # as one that was killed leaves it
    owner = control.folder / "owner.json"
    owner.write_text(owner.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999'))
    shown = vidsuite("runs", "show", "--out", steered.root)
    assert (shown.code, "failed, since" in shown.out) == (1, True)


def test_the_folder_is_the_users_alone(steered: Steered) -> None:
    with steered.control as control:
        for path in (control.folder.parent, control.folder, control.folder / REQUESTS):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"do": "format"}', '{"do": "stop", "more": 1}', "x" * 10_000, "link", "pipe", "folder"],
)
def test_what_is_no_request_is_nothing(steered: Steered, tmp_path: Path, content: str) -> None:
    with steered.control as control:
        place = control.folder / REQUESTS / "1.json"
        if content == "link":
            (tmp_path / "elsewhere").write_text('{"do": "stop"}')
            place.symlink_to(tmp_path / "elsewhere")
        elif content == "pipe":
            os.mkfifo(place)
        elif content == "folder":
            place.mkdir()
        else:
            place.write_text(content)
        other = control.folder / REQUESTS / "2.json"
        other.write_text('{"do": "pause"}')
        if content != "folder":
            until(lambda: steered.schedule.paused)
        assert not steered.schedule.stop.is_set()


@pytest.mark.skipif(os.getuid() != 0, reason="only the administrator can make files of another user")
def test_requests_of_another_user_are_not_heard(steered: Steered, tmp_path: Path) -> None:
    with steered.control as control:
        path = tmp_path / "1.json"
        path.write_text('{"do": "stop"}')
        os.chown(path, 12345, -1)
        path.rename(control.folder / REQUESTS / "1.json")
        until(lambda: not list((control.folder / REQUESTS).iterdir()))
        assert not steered.schedule.stop.is_set()


def test_hostile_states_are_passed_over(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "x" * (2**20 + 1)), ("c", '{"id": "c"}')):
        (tmp_path / FOLDER / name).mkdir(parents=True)
        (tmp_path / FOLDER / name / STATE).write_text(text)
    assert states(tmp_path) == []


def test_a_folder_that_is_removed_or_cannot_be_made_costs_the_run_nothing(
    steered: Steered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    with steered.control as control:
        shutil.rmtree(control.folder)
        steered.end(steered.take())
        control.ended(whole=True)
    assert not control.folder.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FOLDER).write_text("a file in its place")
    other = Steered(tmp_path / "other")
    with other.control:
        other.end(other.take())
    assert [outcome.ok for outcome in other.run.outcomes] == [True]


def test_run_folders_look_as_before_and_old_runs_are_forgotten(tmp_path: Path) -> None:
    for _ in range(KEPT + 3):
        with Steered(tmp_path).control as control:
            control.ended(whole=True)
    with Steered(tmp_path).control:
        assert len(list((tmp_path / FOLDER).iterdir())) == KEPT + 1
    assert list(Store(tmp_path).everything()) == []

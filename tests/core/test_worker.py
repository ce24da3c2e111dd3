"""Cells that misbehave in every way that a process can, and what their worker makes of it."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from jobs import Queue, gone, run, until

from vidsuite_core.results.store import LOG


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_a_cell_finds_all_as_it_was_whatever_the_one_before_it_did(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["leak"] * 3)
    run(queue)
    found = [queue.outcomes[name]["details"] for name in "012"]
    for of_process in ("pid", "worker"):
        assert len({details.pop(of_process) for details in found}) == {"pid": 3, "worker": 1}[of_process]
    assert found[0] == found[1] == found[2]
    assert (found[0]["environment"], found[0]["patched"]) == (None, False)


@pytest.mark.parametrize(
    ("variable", "value"), [("TINY_FORK", "fails"), ("TINY_PRELOAD", "raise"), ("VIDSUITE_FORK", "0")]
)
def test_where_forking_does_not_hold_each_cell_has_a_process_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    queue = Queue(tmp_path, ["leak", "leak", "measure", "kill"], options={"load": "x" * 2_000_000})
    heard = run(queue)
    assert [queue.of(name)[0] for name in "0123"] == ["ok", "ok", "ok", "failed"]
    first, second = (dict(queue.outcomes[name]["details"], pid=0) for name in "01")
    assert first == second
    assert queue.outcomes["2"]["details"]["length"] == 2_000_000
    assert len(heard.said) == (variable == "TINY_FORK")


def test_a_plugin_that_starts_threads_when_it_is_imported_is_not_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked process has none of its parent's threads, but for all that its pool knows they are there."""
    monkeypatch.setenv("TINY_PRELOAD", "thread")
    queue = Queue(tmp_path, ["pool", "pool"], timeout=20.0)
    heard = run(queue)
    assert [queue.of(name) for name in "01"] == [("ok", ""), ("ok", "")]
    assert len(heard.said) == 1
    assert "it starts threads" in heard.said[0]


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("kill", "its process was killed by signal SIGKILL"),
        ("signal", f"its process was killed by signal {signal.SIGRTMIN + 6}"),
        ("segfault", "its process was killed by signal SIGSEGV"),
        ("exit", "its process ended with exit code 3"),
        ("no_json", "what it handed back cannot be passed on: TypeError: Object of type set is not JSON"),
        ("too_long", "what it handed back cannot be passed on: ValueError: a message of 178"),
    ],
)
def test_a_process_that_dies_fails_its_cell_and_the_worker_goes_on(tmp_path: Path, deed: str, reason: str) -> None:
    queue = Queue(tmp_path, ["work", deed, "work"])
    run(queue)
    assert queue.of("1")[0] == "failed"
    assert queue.of("1")[1].startswith(reason)
    assert queue.of("0") == queue.of("2") == ("ok", "")
    first, second = (queue.outcomes[name]["details"]["worker"] for name in "02")
    assert first == second


def test_a_segfault_leaves_its_stack_in_the_log(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["segfault"])
    run(queue)
    log = (queue.outcomes["0"]["folder"] / LOG).read_text()
    assert "Fatal Python error: Segmentation fault" in log
    assert "in segfault" in log


STACKS = ["in in_the_loader", "in hang_in_a_forked_child"]
"""Of two processes, which write in pieces: one after the other."""


@pytest.mark.parametrize(("deed", "stacks"), [("hang", ["in hang"]), ("hang_in_a_forked_child", STACKS)])
def test_a_cell_that_takes_too_long_is_ended_with_its_children_and_leaves_its_stacks(
    tmp_path: Path, deed: str, stacks: list[str]
) -> None:
    queue = Queue(tmp_path, [deed, "work"], timeout=4)
    run(queue)
    assert queue.of("0") == ("timeout", "not finished after 4 s (see --timeout); its log ends with its stacks")
    assert queue.of("1") == ("ok", "")
    until(lambda: all(gone(pid) for pid in queue.pids("0")))
    log = (queue.outcomes["0"]["folder"] / LOG).read_text()
    assert all(stack in log for stack in stacks)


@pytest.mark.parametrize("deed", ["kill_self_leaving_a_child", "leave_a_child"])
def test_what_a_cell_leaves_behind_ends_with_it_though_it_left_its_group(tmp_path: Path, deed: str) -> None:
    queue = Queue(tmp_path, [deed, "work"])
    start = time.monotonic()
    run(queue)
    assert time.monotonic() - start < 20
    assert queue.of("0")[0] == {"leave_a_child": "ok"}.get(deed, "failed")
    assert queue.of("1") == ("ok", "")
    assert queue.pids("0")
    until(lambda: all(gone(pid) for pid in queue.pids("0")))


def test_a_process_that_closes_its_pipes_and_stays_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_GRACE", "0.2")
    queue = Queue(tmp_path, ["close_pipes_and_hang", "work"])
    run(queue)
    assert queue.of("0") == ("failed", "its process closed its pipe and told no outcome")
    assert queue.of("1") == ("ok", "")


GARBAGE = {
    "no JSON": "hello\n",
    "another form": '{"kind": "progress", "what": 5, "done": 0, "total": 0}\n',
    "negative": '{"kind": "progress", "what": "x", "done": -1, "total": 0}\n',
    "unknown": '{"kind": "ready", "protocol": 1, "hardware": {}, "software": {}}\n',
    "deep": "[" * 100_000 + "\n",
    "long": "x",
    "no status": '{"kind": "outcome", "outcome": {"scores": {}}}\n',
    "digits": '{"kind": "progress", "what": "x", "done": ' + "9" * 4000 + ', "total": 0}\n',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_cell_that_writes_into_every_pipe_fails_alone(tmp_path: Path, name: str) -> None:
    times = 17 * 2**20 if name == "long" else 1
    queue = Queue(tmp_path, ["garbage", "work"], options={"garbage": GARBAGE[name], "times": times})
    run(queue)
    assert queue.of("0")[0] == "failed"
    assert "what is no message" in queue.of("0")[1]
    assert len(queue.of("0")[1]) < 200
    assert queue.of("1") == ("ok", "")


def test_a_log_is_bounded_while_it_is_written(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["flood"], options={"megabytes": 1000})
    sizes: list[int] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.05):
            sizes.extend(path.stat().st_size for path in tmp_path.rglob(LOG))

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(queue)
    watching.set()
    watcher.join()
    text = (queue.outcomes["0"]["folder"] / LOG).read_text()
    assert max(sizes) < 6 * 2**20
    assert len(text) < 6 * 2**20
    assert text.startswith("the beginning\n")
    assert text.endswith("the end\n")
    assert int(re.findall(r"\n\[(\d+) bytes are left out here\]\n", text)[0]) + len(text) > 1e9


def test_a_note_of_a_cell_is_said_once(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["note", "note"])
    heard = run(queue)
    assert heard.said == ["the cache cannot be written"]
    assert "the cache cannot be written" in (queue.outcomes["0"]["folder"] / LOG).read_text()


def test_outcomes_tell_the_place_where_they_came_to_be(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work", "kill", "kill_worker", "hang"], timeout=2)
    run(queue)
    for outcome in queue.outcomes.values():
        assert outcome["hardware"]["cores"] >= 1
        assert "python" in outcome["software"]


def test_what_a_cell_prints_goes_to_its_log(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["say", "work"])
    run(queue)
    log = (queue.outcomes["0"]["folder"] / LOG).read_text()
    assert log == "hello from python\nhello from a child\nhello from stderr\n"
    assert (queue.outcomes["1"]["folder"] / LOG).read_text() == ""


def test_a_large_order_arrives_whole_and_many_messages_come_back(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["measure", "talk"], options={"load": "x" * 2_000_000})
    events = run(queue).events
    assert queue.outcomes["0"]["details"]["length"] == 2_000_000
    assert [event.done for event in events if event.what == "step"] == list(range(1000))

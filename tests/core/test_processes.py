"""Work shared among processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.processes import in_processes, processors


@pytest.fixture(autouse=True)
def found(tmp_path, monkeypatch):
    """A module of functions to call, which other processes find as well."""
    (tmp_path / "jobs_of_a_test.py").write_text(
        "import os, sys, time\n"
        "def squares(job):\n"
        "    print('printed, which is no result')\n"
        "    for number in job['numbers']:\n"
        "        yield {'square': number * number, 'process': os.getpid()}\n"
        "def noisy(job):\n"
        "    sys.stderr.write('x' * 300_000)\n"
        "    yield job\n"
        "def failing(job):\n"
        "    yield job\n"
        "    raise ValueError('no such embryo')\n"
        "def endless(job):\n"
        "    while True:\n"
        "        yield job\n"
        "        time.sleep(0.01)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("jobs_of_a_test", None)


def call(function: str, jobs: list[Any], workers: int) -> Iterator[Any]:
    return in_processes(f"jobs_of_a_test:{function}", jobs, workers)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_everything_is_done_once(workers):
    jobs = [{"numbers": [1, 2]}, {"numbers": [3]}, {"numbers": []}, {"numbers": [4, 5, 6]}]
    found = list(call("squares", jobs, workers))
    assert sorted(one["square"] for one in found) == [1, 4, 9, 16, 25, 36]
    assert (len({one["process"] for one in found}) > 1) == (workers > 1)


def test_a_process_that_writes_much_beside_does_not_stop():
    assert sorted(call("noisy", [1, 2], 2)) == [1, 2]


def test_a_failure_names_its_reason():
    with pytest.raises(VidsuiteError, match="jobs_of_a_test:failing failed with code 1: ValueError: no such embryo"):
        list(call("failing", [1, 2], 2))
    with pytest.raises(ValueError, match="no such embryo"):
        list(call("failing", [1], 1))


def test_whoever_has_enough_stops_the_processes():
    results = call("endless", [1, 2], 2)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5


def test_there_is_a_processor():
    assert processors() >= 1

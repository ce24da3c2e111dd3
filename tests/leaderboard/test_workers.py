"""Work in several processes."""

from __future__ import annotations

import os

import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_leaderboard.workers import Workers


@pytest.mark.parametrize("many", [2, 100])
def test_results_come_in_order(many: int) -> None:
    with Workers(2) as workers:
        assert list(workers.map(abs, range(-9, 0), many, chunk=2)) == list(range(9, 0, -1))


def test_a_process_that_is_killed_is_told_in_a_line() -> None:
    with Workers(2) as workers, pytest.raises(VidsuiteError, match="fewer than --workers 2") as told:
        list(workers.map(os._exit, [1] * 8, 2, chunk=1))
    assert len(str(told.value).splitlines()) == 1

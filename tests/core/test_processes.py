"""Processors are shared out evenly, and none is left without."""

from __future__ import annotations

import os

import pytest

from vidsuite_core.runner.processes import divided, processors


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 192])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8, 64])
def test_shares_are_even_and_none_is_empty(count: int, parts: int) -> None:
    numbers = list(range(100, 100 + count))
    shares = divided(numbers, parts)
    assert len(shares) == parts
    if parts == 1:
        assert shares == [()]  # all of them
        return
    sizes = {len(share) for share in shares}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert {number for share in shares for number in share} == set(numbers[: max(count, parts)])
    if parts <= count:
        assert [number for share in shares for number in share] == numbers


def test_where_processors_are_not_told_nothing_is_divided() -> None:
    assert divided([], 4) == [()] * 4


def test_those_of_this_process_are_found() -> None:
    assert set(processors()) == os.sched_getaffinity(0)

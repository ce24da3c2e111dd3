"""Ranks: by the first score, tied where the paired test cannot tell entries apart, none where it cannot be made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vidsuite_core.tasks.base import ScoreInfo
from vidsuite_leaderboard.entries import Entry, Score
from vidsuite_leaderboard.ranks import difference, ranked

RNG = np.random.default_rng(0)
SHARED = RNG.normal(0, 0.1, 2000)
"""How hard each draw's subjects are: the same for all models, so that pairing takes it out."""


class Higher:
    first_score = "score"
    scores = (ScoreInfo("score", "score"),)


class Lower(Higher):
    scores = (ScoreInfo("score", "error", direction="lower"),)


def suite(task: str = "Higher") -> Any:
    return SimpleNamespace(tasks={"t": SimpleNamespace(spec=SimpleNamespace(builder=f"{__name__}:{task}"))})


def entry(model: str, mean: float | None, *, done: int = 2, dataset: str = "d", **more: Any) -> Entry:
    scores = {} if mean is None else {"score": Score(mean, None, None, None, done)}
    names = {"slug": f"{model}-{dataset}", "benchmark": "b", "task": "t", "dataset": dataset, "preset": "quick"}
    fields = {"config": "c", "status": "measured", "scores": scores, "done": done, "expected": 2, "subjects": 12}
    return Entry(**names, model=model, **{**fields, **more})


def draws(*entries: Entry, noise: float = 0.0, samples: str = "same") -> dict[str, tuple[str, np.ndarray]]:
    """Draws around each mean that move together, but for `noise` of each entry's own."""
    return {
        one.slug: (samples, one.scores["score"].mean + SHARED + RNG.normal(0, noise or 1e-9, 2000)) for one in entries
    }


def places(found: list[Entry]) -> list[tuple[str, int | None, bool]]:
    return [(one.model, one.rank, one.tied) for one in found]


def test_paired_draws_tell_apart_what_their_own_spread_hides():
    table = [entry("a", 0.80), entry("b", 0.79), entry("c", 0.78)]
    found = ranked(suite(), table, draws(*table))
    assert places(found) == [("a", 1, False), ("b", 2, False), ("c", 3, False)]
    assert not any(one.indistinct for one in found)


def test_ties_share_a_rank_and_the_next_one_is_its_own_place():
    table = [entry("a", 0.60), entry("b", 0.59), entry("c", 0.30), entry("d", 0.29), entry("e", 0.1)]
    found = ranked(suite(), table, draws(*table, noise=0.03))
    assert places(found) == [("a", 1, True), ("b", 1, True), ("c", 3, True), ("d", 3, True), ("e", 5, False)]
    assert [one.indistinct for one in found] == [False, True, False, False, False]


def test_a_tie_is_with_the_best_of_a_rank_and_does_not_chain():
    table = [entry("a", 0.60), entry("b", 0.55), entry("c", 0.50)]
    found = ranked(suite(), table, draws(*table, noise=0.025))  # neighbours overlap, a and c do not
    assert places(found) == [("a", 1, True), ("b", 1, True), ("c", 3, False)]


def test_entries_without_draws_cannot_be_tested_and_those_of_other_draws_tie_with_none():
    table = [entry("a", 0.5), entry("b", 0.5), entry("c", 0.6)]
    known = {**draws(table[0]), **draws(table[1], samples="other")}
    found = ranked(suite(), table, known)
    assert places(found) == [("a", 1, False), ("b", 2, False), ("c", None, False)]
    assert "no test can be made" in found[2].unranked
    assert difference(known, "a-d", "b-d") is None
    assert difference(known, "a-d", "c-d") is None
    undefined = {one.slug: ("same", np.full(2000, np.nan)) for one in table}
    assert difference(undefined, "a-d", "b-d") is None
    assert [one.rank for one in ranked(suite(), table, undefined)] == [None] * 3


def test_with_fewer_than_five_subjects_there_is_no_rank_and_the_best_stands_first():
    table = [entry("a", 0.2, subjects=4), entry("b", 0.9, subjects=4)]
    found = ranked(suite(), table, draws(*table))
    assert places(found) == [("b", None, False), ("a", None, False)]
    assert {one.unranked for one in found} == {"no ranks: 4 subjects scored, and a test needs 5"}
    one = [entry("a", 0.2, subjects=1, units="recordings")]
    assert ranked(suite(), one, draws(*one))[0].unranked == "no ranks: 1 recording scored, and a test needs 5"


def test_a_bar_of_its_own_keeps_an_entry_from_a_rank():
    table = [entry("a", 0.9, unranked="its epoch was chosen"), entry("b", 0.5)]
    found = ranked(suite(), table, draws(*table))
    assert [(one.model, one.rank, one.unranked) for one in found] == [("b", 1, ""), ("a", None, "its epoch was chosen")]


@pytest.mark.parametrize("task", ["Higher", "Lower"])
def test_what_is_not_above_the_floor_is_told(task):
    better, worse = (0.9, 0.1) if task == "Higher" else (0.1, 0.9)
    table = [entry("core/prior", 0.5), entry("a", better), entry("b", worse), entry("c", 0.501)]
    found = {one.model: one.above_floor for one in ranked(suite(task), table, draws(*table, noise=0.02))}
    assert found == {"core/prior": None, "a": True, "b": False, "c": False}
    table = [entry("a", 0.5), entry("b", 0.4)]
    assert {one.above_floor for one in ranked(suite(), table, draws(*table))} == {None}


def test_incomplete_entries_stand_last_and_have_no_rank():
    table = [entry("a", 0.9, done=1), entry("b", None), entry("c", 0.1), entry("d", 0.2)]
    found = ranked(suite(), table, draws(*(one for one in table if one.scores)))
    assert places(found) == [("d", 1, False), ("c", 2, False), ("a", None, False), ("b", None, False)]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_lower_is_better_where_the_task_says_so(noise):
    table = [entry("a", 0.9), entry("b", 0.1), entry("c", 0.5)]
    found = ranked(suite("Lower"), table, draws(*table, noise=noise))
    assert [one.model for one in found] == ["b", "c", "a"]
    assert found[0].rank == 1


def test_each_table_is_ranked_by_itself():
    table = [entry("a", 0.2), entry("b", 0.9, dataset="other"), entry("c", 0.1)]
    found = ranked(suite(), table, draws(*table))
    assert [(one.dataset, one.model, one.rank) for one in found] == [("d", "a", 1), ("d", "c", 2), ("other", "b", 1)]


def test_a_difference_is_signed_and_exact_for_paired_draws():
    table = [entry("a", 0.8), entry("b", 0.7)]
    low, high = difference(draws(*table), "a-d", "b-d")
    assert (low, high) == pytest.approx((0.1, 0.1), abs=1e-6)

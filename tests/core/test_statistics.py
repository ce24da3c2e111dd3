"""Intervals and paired tests against textbook formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vidsuite_core.results.statistics import DRAWS, Part, apart, estimate, seed_range

RNG = np.random.default_rng(0)
SCORES = RNG.uniform(0.3, 0.9, 12)


def one_fold(scores: np.ndarray, seed: int = 0) -> Part:
    """A cell whose score is the mean of its subjects' scores."""
    names = np.array([f"s{number:02d}" for number in range(len(scores))])
    without = (scores.sum() - scores) / (len(scores) - 1) if len(scores) > 1 else np.full(1, np.nan)
    return Part(seed, float(scores.mean()), names, without)


def folds_of(scores: np.ndarray, sizes: list[int], seed: int = 0) -> list[Part]:
    """The same, subjects dealt to folds of given sizes."""
    names = np.array([f"s{number:02d}" for number in range(len(scores))])
    parts = []
    for members in np.split(np.arange(len(scores)), np.cumsum(sizes)[:-1]):
        part = one_fold(scores[members], seed)
        parts.append(Part(seed, part.score, names[members], part.without))
    return parts


def t_interval(scores: np.ndarray) -> tuple[float, float]:
    error = scores.std(ddof=1) / len(scores) ** 0.5
    return stats.t.interval(0.95, len(scores) - 1, scores.mean(), error)


class TestInterval:
    def test_of_a_mean_it_is_students(self) -> None:
        found = estimate([one_fold(SCORES)], fraction=False)
        assert found.interval() == pytest.approx(t_interval(SCORES))

    @pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [1] * 12])
    def test_folds_of_one_size_are_as_one(self, sizes: list[int]) -> None:
        found = estimate(folds_of(SCORES, sizes), fraction=False)
        assert found.interval() == pytest.approx(t_interval(SCORES))

    def test_subjects_that_are_scored_in_many_folds_count_once(self) -> None:
        once, often = (estimate([one_fold(SCORES)] * times, fraction=False) for times in (1, 10))
        assert often.interval() == pytest.approx(once.interval())

    def test_a_subject_is_left_out_of_every_fold_that_it_is_in(self) -> None:
        """Half of the subjects is scored twice: by hand, each fold weighing by what is left of it."""
        names = np.array(["a", "b", "c", "d"])
        folds = [np.array([0, 1]), np.array([1, 2]), np.array([2, 3]), np.array([3, 1])]
        values = np.array([[0.2, 0.9], [0.5, 0.4], [0.7, 0.3], [0.6, 0.1]])
        parts = [Part(0, v.mean(), names[f], v[::-1].copy()) for f, v in zip(folds, values, strict=True)]
        rest = []
        for subject in range(4):
            weights = [(1 if subject not in f else 0.5) for f in folds]
            left = [
                v.mean() if subject not in f else v[f != subject].mean() for f, v in zip(folds, values, strict=True)
            ]
            rest.append(np.average(left, weights=weights))
        error = np.sqrt(3 / 4 * ((np.array(rest) - np.mean(rest)) ** 2).sum())
        expected = stats.t.interval(0.95, 3, values.mean(), error)
        assert estimate(parts, fraction=False).interval() == pytest.approx(expected)

    def test_a_fold_that_is_not_defined_without_a_subject_goes_with_it(self) -> None:
        part = one_fold(SCORES[:3])
        lost = Part(0, part.score, part.subjects, np.array([np.nan, *part.without[1:]]))
        other = Part(0, 0.5, np.array(["x", "y"]), np.array([0.4, 0.6]))
        found = estimate([lost, other], fraction=False)
        assert np.isfinite(found.pulls).all()
        assert found.interval() is not None

    def test_fractions_stay_between_0_and_1(self) -> None:
        scores = np.array([1, 1, 1, 1, 1, 0.7])
        low, high = estimate([one_fold(scores)], fraction=True).interval()
        assert 0 < low < scores.mean() < high < 1
        assert t_interval(scores)[1] > 1

    def test_far_from_both_ends_the_scale_matters_little(self) -> None:
        scores = RNG.normal(0.5, 0.05, 40)
        found = estimate([one_fold(scores)], fraction=True)
        assert found.interval() == pytest.approx(t_interval(scores), abs=2e-4)

    def test_where_all_score_alike_or_are_one_nothing_can_be_said(self) -> None:
        assert estimate([one_fold(np.ones(9))], fraction=True).interval() is None
        assert estimate([one_fold(np.full(9, 0.1) * 3)], fraction=True).interval() is None
        assert estimate([one_fold(np.array([0.4]))], fraction=True).interval() is None
        assert estimate([Part(0, float("nan"), np.array(["a"]), np.array([np.nan]))], fraction=True) is None

    def test_seeds_add_their_variance(self) -> None:
        shifts = np.array([-0.1, 0.0, 0.2])
        found = estimate([one_fold(SCORES + shift, seed) for seed, shift in enumerate(shifts)], fraction=False)
        among, between = SCORES.var(ddof=1) / 12, shifts.var(ddof=1) / 3
        freedom = (among + between) ** 2 / (among**2 / 11 + between**2 / 2)
        error = np.sqrt(among + between)
        expected = stats.t.interval(0.95, freedom, SCORES.mean() + shifts.mean(), error)
        assert found.interval() == pytest.approx(expected)
        assert (found.seeds, found.seed_variance) == (3, pytest.approx(between))


class TestDraws:
    def test_their_percentiles_are_the_interval(self) -> None:
        for fraction in (False, True):
            found = estimate([one_fold(SCORES)], fraction=fraction)
            low, high = np.percentile(found.draws("row", 200_000), (2.5, 97.5))
            assert (low, high) == pytest.approx(found.interval(), abs=3e-3)

    def test_a_difference_is_that_of_pairs(self) -> None:
        other = SCORES - 0.02 + RNG.normal(0, 0.005, 12)
        draws = [estimate([one_fold(s)], fraction=False).draws("x", 200_000) for s in (SCORES, other)]
        assert apart(*draws) == pytest.approx(t_interval(SCORES - other), abs=3e-4)
        low, high = apart(*draws)
        assert 0 < low < high < 0.04  # their own intervals are ten times as wide

    def test_seeds_of_two_rows_are_not_paired(self) -> None:
        parts = [one_fold(SCORES + shift, seed) for seed, shift in enumerate((-0.05, 0.05, 0.0))]
        one, other = (estimate(parts, fraction=False).draws(key) for key in ("one", "other"))
        assert len(one) == DRAWS
        low, high = apart(one, other)
        assert low < -0.05 < 0.05 < high
        assert apart(one, estimate(parts, fraction=False).draws("one")) == (0, 0)

    def test_the_same_subjects_give_the_same_whatever_their_number_of_blocks(self) -> None:
        many = RNG.uniform(0, 1, 700)
        one, other = (estimate([one_fold(s)], fraction=True).draws("x") for s in (many, many[::-1].copy()))
        assert one.std() == pytest.approx(other.std(), rel=0.1)
        assert np.corrcoef(one, other)[0, 1] < 0.2

    def test_a_subject_that_cannot_be_left_out_leaves_none(self) -> None:
        assert np.isnan(estimate([one_fold(np.array([0.4]))], fraction=True).draws("x")).all()
        assert apart(np.full(5, np.nan), np.zeros(5)) is None

    def test_perfect_rows_are_the_same(self) -> None:
        perfect = estimate([one_fold(np.ones(9))], fraction=True).draws("x")
        assert perfect == pytest.approx(np.ones(DRAWS))
        assert apart(perfect, perfect) == (0, 0)


def test_one_more_seed_lies_in_a_prediction_interval() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(2000):
        *seen, new = rng.normal(0.8, 0.02, 4)
        low, high = seed_range(seen)
        held += low <= new <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)

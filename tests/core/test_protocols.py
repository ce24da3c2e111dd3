"""Protocols: whatever the labels and subjects, no subject is on two sides and nothing is tested twice in one round."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.protocols import (
    Fold,
    assert_disjoint,
    grouped_kfold,
    inner_split,
    leave_one_group_out,
    make_folds,
    repeated_halves,
)


@dataclass(frozen=True)
class Sample:
    id: str
    subject: str
    label: int = 0
    split: str = "train"


def cohort(*subjects_per_class: int, clips: int = 2) -> list[Sample]:
    """Samples of subjects that have one class each."""
    return [
        Sample(f"{label}_{number}_{clip}", f"{label}_{number}", label)
        for label, count in enumerate(subjects_per_class)
        for number in range(count)
        for clip in range(clips)
    ]


@st.composite
def layouts(draw: st.DrawFn) -> list[Sample]:
    """Any layout: subjects with one class or several, of one sample or many, in any order."""
    subjects = draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=25, unique=True))
    samples = []
    for subject in subjects:
        for label in draw(st.lists(st.integers(0, 2), min_size=1, max_size=4)):
            split = draw(st.sampled_from(["train", "test", "unused"]))
            samples.append(Sample(str(len(samples)), subject, label, split))
    return draw(st.permutations(samples))


PROTOCOLS: list[dict[str, Any]] = [
    *({"type": "grouped_kfold", "folds": folds, "seed": seed} for folds in (2, 3, 5) for seed in (0, 7)),
    {"type": "leave_one_group_out"},
    {"type": "repeated_halves", "repeats": 3, "seed": 1},
    {"type": "fixed"},
]


def subjects_of(ids: Sequence[str], samples: Sequence[Sample]) -> set[str]:
    return {sample.subject for sample in samples if sample.id in set(ids)}


@given(layouts(), st.sampled_from(PROTOCOLS))
def test_no_subject_is_on_two_sides_under_any_protocol(samples: list[Sample], protocol: dict[str, Any]) -> None:
    try:
        folds = make_folds(protocol, samples)
    except VidsuiteError:
        return  # too few subjects, or a split of its own that divides one: refused, never wrong
    for fold in folds:
        assert not subjects_of(fold.train, samples) & subjects_of(fold.test, samples)
        assert fold.train
        assert fold.test
        assert len({*fold.train, *fold.test}) == len(fold.train) + len(fold.test)


@given(layouts(), st.sampled_from(PROTOCOLS[:7]))
def test_every_sample_is_tested_once_and_trains_in_the_other_folds(
    samples: list[Sample], protocol: dict[str, Any]
) -> None:
    try:
        folds = make_folds(protocol, samples)
    except UsageError:
        return
    assert Counter(i for fold in folds for i in fold.test) == Counter(sample.id for sample in samples)
    for fold in folds:
        assert {*fold.train} | {*fold.test} == {sample.id for sample in samples}


@given(layouts(), st.sampled_from(PROTOCOLS), st.randoms())
def test_folds_do_not_depend_on_the_order_of_samples(
    samples: list[Sample], protocol: dict[str, Any], order: random.Random
) -> None:
    mixed = list(samples)
    order.shuffle(mixed)
    try:
        folds = make_folds(protocol, samples)
    except VidsuiteError:
        with pytest.raises(VidsuiteError):
            make_folds(protocol, mixed)
        return
    sides = [(fold.name, set(fold.train), set(fold.test)) for fold in folds]
    assert sides == [(fold.name, set(fold.train), set(fold.test)) for fold in make_folds(protocol, mixed)]
    assert folds == make_folds(protocol, samples)


@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5), st.integers(0, 99))
def test_each_class_and_the_whole_are_dealt_evenly(counts: list[int], folds: int, seed: int) -> None:
    samples = cohort(*counts)
    tests = [subjects_of(fold.test, samples) for fold in grouped_kfold(samples, folds, seed)]
    for label in range(len(counts)):
        sizes = [sum(subject.startswith(f"{label}_") for subject in test) for test in tests]
        assert max(sizes) - min(sizes) <= 1
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_the_seizure_papers_subjects_give_four_and_three_in_each_fold(seed: int) -> None:
    samples = cohort(20, 15, clips=4)
    folds = make_folds({"type": "grouped_kfold", "folds": 5, "seed": seed}, samples)
    counts = [Counter(s.partition("_")[0] for s in subjects_of(fold.test, samples)) for fold in folds]
    assert counts == [{"0": 4, "1": 3}] * 5


def test_one_sample_of_another_class_leaves_the_deal_even() -> None:
    samples = [*cohort(20, 15, clips=4), Sample("more", "0_0", 1)]
    for fold in grouped_kfold(samples, 5):
        assert Counter(s.partition("_")[0] for s in subjects_of(fold.test, samples)) == {"0": 4, "1": 3}


def test_seeds_change_the_folds_and_the_folds_only() -> None:
    samples = cohort(20, 15)
    first, second = (grouped_kfold(samples, 5, seed) for seed in (0, 1))
    assert {fold.test for fold in first} != {fold.test for fold in second}
    assert [len(fold.test) for fold in first] == [len(fold.test) for fold in second]


def test_the_folds_of_a_known_cohort_stay_what_they_were() -> None:
    samples = cohort(4, 3)
    tests = [sorted(subjects_of(fold.test, samples)) for fold in grouped_kfold(samples, 3, seed=0)]
    # other folds are other scores: whoever changes these raises protocols.VERSION
    assert tests == [["0_2", "0_3", "1_1"], ["0_0", "1_0"], ["0_1", "1_2"]]


@pytest.mark.parametrize("counts", [(4, 9), (5, 4), (1,)])
def test_too_few_subjects_of_a_class_are_refused_with_their_number(counts: tuple[int, ...]) -> None:
    short = min(range(len(counts)), key=lambda label: counts[label])
    with pytest.raises(
        UsageError, match=rf"at least 5 subjects of each class; short: class {short} \({min(counts)}\); "
    ):
        make_folds({"type": "grouped_kfold", "folds": 5}, cohort(*counts))


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        ({"type": "grouped_kfold", "folds": 1}, "has no training side"),
        ({"type": "grouped_kfold", "folds": 0}, "has no training side"),
        ({"type": "grouped_kfold", "fold": 5}, "does not take these options.*fold"),
        ({"type": "grouped_kfold", "folds": "many"}, "does not take these options"),
        ({"type": "repeated_halves", "repeats": 0}, "makes no fold"),
        ({"type": "repeated_halves", "repeats": -1}, "makes no fold"),
        ({"type": "leave_one_out"}, "'leave_one_out' is unknown; there are grouped_kfold"),
        ({}, "None is unknown"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_wrong_use(protocol: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        make_folds(protocol, cohort(6, 6))


def test_leaving_one_out_names_folds_by_subject_in_natural_order() -> None:
    samples = [Sample(str(n), f"s{n}") for n in (10, 2, 1)]
    assert [fold.name for fold in leave_one_group_out(samples)] == ["s1", "s2", "s10"]
    with pytest.raises(UsageError, match="at least 2 subjects"):
        leave_one_group_out(samples[:1])


def test_halves_are_halves_and_differ_from_repeat_to_repeat() -> None:
    samples = cohort(8, 6)
    folds = repeated_halves(samples, repeats=10, seed=0)
    assert [fold.name for fold in folds] == [str(number) for number in range(10)]
    assert {len(subjects_of(fold.test, samples)) for fold in folds} == {7}
    assert len({fold.test for fold in folds}) > 5
    assert not {fold.test for fold in folds} & {fold.test for fold in repeated_halves(samples, 10, seed=1)}


def test_a_fixed_split_is_the_samples_own() -> None:
    samples = [Sample("a", "s1"), Sample("b", "s2", split="test"), Sample("c", "s3", split="unused")]
    assert make_folds({"type": "fixed"}, samples) == [Fold("fixed", ("a",), ("b",))]


def test_a_fixed_split_s_val_side_chooses_the_epoch() -> None:
    samples = [Sample("a", "s1"), Sample("b", "s2", split="test"), Sample("c", "s3", split="val")]
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert fold == Fold("fixed", ("a",), ("b",), ("c",))
    assert inner_split(fold, samples) == (fold, ("c",))


@pytest.mark.parametrize("other", ["train", "test"])
def test_the_val_side_shares_no_subject_with_the_others(other: str) -> None:
    samples = [Sample("a", "s1"), Sample("b", "s2", split="test"), Sample("d", "s3", split=other)]
    with pytest.raises(VidsuiteError, match=r"subject 's3' is on both sides"):
        make_folds({"type": "fixed"}, [*samples, Sample("c", "s3", split="val")])


def test_an_inner_split_that_cannot_be_made_says_what_to_do() -> None:
    samples = [Sample("a", "s1"), Sample("b", "s2", split="test")]
    (fold,) = make_folds({"type": "fixed"}, samples)
    with pytest.raises(UsageError, match="use selection=last"):
        inner_split(fold, samples)


def test_a_fixed_split_that_divides_a_subject_is_refused() -> None:
    samples = [Sample("a", "s1"), Sample("b", "s1", split="test"), Sample("c", "s2")]
    with pytest.raises(VidsuiteError, match=r"subject 's1' is on both sides"):
        make_folds({"type": "fixed"}, samples)


def test_a_fixed_split_needs_both_sides_and_samples_that_have_one() -> None:
    with pytest.raises(VidsuiteError, match="the scored side of the split is empty"):
        make_folds({"type": "fixed"}, [Sample("a", "s1")])

    @dataclass
    class Bare:
        id: str
        subject: str

    with pytest.raises(UsageError, match="bring their own split"):
        make_folds({"type": "fixed"}, [Bare("a", "s")])


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol["type"])
def test_two_samples_of_one_id_are_refused(protocol: dict[str, Any]) -> None:
    with pytest.raises(VidsuiteError, match="names sample '0_0_0' twice"):
        make_folds(protocol, [*cohort(6, 6), Sample("0_0_0", "stranger", 1)])


def test_assert_disjoint_sees_a_shared_subject() -> None:
    samples = [Sample("a", "s1"), Sample("b", "s1"), Sample("c", "s2")]
    with pytest.raises(VidsuiteError, match="fold x: subject 's1'"):
        assert_disjoint(Fold("x", ("a", "c"), ("b",)), samples)


@given(st.integers(7, 20), st.integers(7, 20), st.integers(0, 99))
def test_the_inner_split_keeps_its_subjects_apart_from_both_sides(first: int, second: int, seed: int) -> None:
    samples = cohort(first, second)
    for fold in grouped_kfold(samples, 5):
        inner, held = inner_split(fold, samples, seed)
        sides = [subjects_of(ids, samples) for ids in (inner.train, held, inner.test)]
        assert not sides[0] & sides[1]
        assert not sides[1] & sides[2]
        assert not sides[0] & sides[2]
        assert inner.test == fold.test
        assert {*inner.train, *held} == {*fold.train}
        assert (inner, held) == inner_split(fold, samples, seed)
        assert {subject[0] for subject in sides[1]} == {"0", "1"}

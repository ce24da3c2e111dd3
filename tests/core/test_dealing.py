"""Folds of subjects that have several classes: every class on both sides of each, or a refusal in words."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_protocols import Sample, cohort, subjects_of

from vidsuite_core.dealing import deal
from vidsuite_core.errors import UsageError
from vidsuite_core.protocols import Fold, grouped_kfold, inner_split, make_folds

KFOLD = {"type": "grouped_kfold", "folds": 5}


def having(*classes: str, clips: int = 1) -> list[Sample]:
    """Samples of subjects, each given as the digits of its samples' labels: "001" has two of class 0, one of 1."""
    return [
        Sample(f"{number}_{place}_{clip}", f"p{number}", int(label))
        for number, labels in enumerate(classes)
        for place, label in enumerate(labels)
        for clip in range(clips)
    ]


def labels_of(ids: tuple[str, ...], samples: list[Sample]) -> Counter[int]:
    return Counter(sample.label for sample in samples if sample.id in set(ids))


def assert_scorable(folds: list[Fold], samples: list[Sample]) -> None:
    every = {sample.label for sample in samples}
    for fold in folds:
        assert {*labels_of(fold.train, samples)} == every
        assert {*labels_of(fold.test, samples)} == every


kinds_of_two = st.lists(st.sampled_from(["0", "1", "01", "001", "0111", "00000001"]), min_size=2, max_size=20)


@given(kinds_of_two, st.integers(2, 5), st.integers(0, 9))
def test_two_classes_can_be_divided_wherever_each_has_enough_subjects(kinds: list[str], folds: int, seed: int) -> None:
    samples = having(*kinds)
    enough = all(sum(str(label) in kind for kind in kinds) >= folds for label in {s.label for s in samples})
    if not enough:
        with pytest.raises(UsageError, match="short: class"):
            grouped_kfold(samples, folds, seed)
        return
    made = grouped_kfold(samples, folds, seed)
    assert_scorable(made, samples)
    assert made == grouped_kfold(samples, folds, seed)


@given(st.lists(st.sampled_from(["0", "1", "2", "01", "12", "02", "012"]), min_size=3, max_size=7), st.integers(2, 3))
def test_three_classes_are_divided_wherever_any_division_does_it(kinds: list[str], folds: int) -> None:
    """Against all divisions that there are."""
    samples = having(*kinds)
    every = {sample.label for sample in samples}

    def found(parts: tuple[int, ...], part: int) -> set[int]:
        return {int(label) for kind, its in zip(kinds, parts, strict=True) if its == part for label in kind}

    divisions = product(range(folds), repeat=len(kinds))
    possible = any(all(found(parts, part) == every for part in range(folds)) for parts in divisions)
    if not possible:
        with pytest.raises(UsageError):
            grouped_kfold(samples, folds)
        return
    assert_scorable(grouped_kfold(samples, folds), samples)


@given(st.lists(st.sampled_from(["01", "0011", "0", "1"]), min_size=12, max_size=40), st.integers(0, 5))
def test_classes_are_even_over_the_folds(kinds: list[str], seed: int) -> None:
    samples = having("01", "01", "01", *kinds)
    tests = [labels_of(fold.test, samples) for fold in grouped_kfold(samples, 3, seed)]
    for label in (0, 1):
        sizes = [test[label] for test in tests]
        assert max(sizes) - min(sizes) <= 2  # the most that a subject has of a class


def test_more_even_than_scikit_learn() -> None:
    """Its StratifiedGroupKFold deals as well, but never exchanges, and leaves parts without a class."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    samples = having("1", "11111", "1", "0", "0111", "000001", "01")
    subjects, labels = np.array([s.subject for s in samples]), np.array([s.label for s in samples])
    theirs = [{*labels[test].tolist()} for _, test in StratifiedGroupKFold(4).split(subjects, labels, groups=subjects)]
    assert any(len(found) < 2 for found in theirs)
    assert_scorable(grouped_kfold(samples, 4), samples)


def test_a_large_cohort_is_dealt_in_seconds() -> None:
    import time

    counts: dict[str, Counter[int]] = {f"p{n}": Counter({0: n % 7 + 1, 1: n % 5}) for n in range(3000)}
    begin = time.perf_counter()
    parts = deal({name: +one for name, one in counts.items()}, 5, 0)
    assert time.perf_counter() - begin < 20
    assert {len(part) for part in parts} == {600}


def test_a_class_is_refused_by_its_name() -> None:
    samples = having("001", "0", "0", "0", "0", "01")
    with pytest.raises(UsageError) as refused:
        make_folds(KFOLD, samples, ["frontal", "temporal"])
    assert str(refused.value) == (
        "5 folds need at least 5 subjects of each class; short: class 'temporal' (2); ask for 2 folds, "
        "or bring more subjects"
    )
    assert_scorable(make_folds({**KFOLD, "folds": 2}, samples), samples)


def test_three_classes_that_no_division_serves() -> None:
    """Each class has 3 subjects, but only the last could be a part by itself, and two of the others make one."""
    with pytest.raises(UsageError, match="found no division of 4 subjects into 3 parts with every class in each"):
        grouped_kfold(having("01", "12", "02", "012"), 3)


def test_leaving_out_the_only_subject_of_a_class_is_refused() -> None:
    samples = having("001", "0", "0")
    with pytest.raises(UsageError) as refused:
        make_folds({"type": "leave_one_group_out"}, samples, ("frontal", "temporal"))
    assert str(refused.value) == (
        "fold p0 would train without class 'temporal', which it scores: only p0 has it; "
        "bring more subjects of that class"
    )
    make_folds({"type": "leave_one_group_out"}, having("001", "0", "01"))


def test_a_split_of_the_datasets_own_may_score_what_it_does_not_train_but_not_train_on_one_class() -> None:
    def split(train: str, test: str) -> list[Sample]:
        ends = enumerate([*((label, "train") for label in train), *((label, "test") for label in test)])
        return [Sample(str(n), f"p{n}", int(label), side) for n, (label, side) in ends]

    make_folds({"type": "fixed"}, split("01", "012"))
    make_folds({"type": "fixed"}, split("00", "00"))
    with pytest.raises(UsageError, match="would train without class 1"):
        make_folds({"type": "fixed"}, split("00", "01"))


def test_the_inner_split_of_subjects_with_several_classes() -> None:
    samples = having("01", "01", "01", "0", "1", "01")
    for fold in grouped_kfold(samples, 2):
        inner, held = inner_split(fold, samples)
        assert {*labels_of(inner.train, samples)} == {*labels_of(held, samples)} == {0, 1}
        assert not subjects_of(inner.train, samples) & subjects_of(held, samples)
    (first, *_) = grouped_kfold(having("01", "01", "01"), 3)
    inner, held = inner_split(first, having("01", "01", "01"))
    assert (len(inner.train), len(held)) == (2, 2)


def test_single_classes_are_dealt_as_ever() -> None:
    """Published score ids rest on it: see also test_the_folds_of_a_known_cohort_stay_what_they_were."""
    tests = [sorted(subjects_of(fold.test, cohort(5, 6))) for fold in grouped_kfold(cohort(5, 6), 5, seed=3)]
    assert tests == [["0_0", "1_0", "1_1"], ["0_2", "1_2"], ["0_3", "1_3"], ["0_4", "1_5"], ["0_1", "1_4"]]


def manifest(path: Path) -> tuple[list[Sample], list[str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["class"] for row in rows})
    return [Sample(row["recording"], row["subject"], classes.index(row["class"])) for row in rows], classes


def test_the_case_of_a_class_of_one_patient(shared: Path) -> None:
    samples, classes = manifest(shared / "cases" / "lone.csv")
    for protocol in (KFOLD, {**KFOLD, "folds": 2}, {"type": "repeated_halves"}):
        with pytest.raises(UsageError, match=r"short: class 'temporal' \(1\); bring more subjects of that class"):
            make_folds(protocol, samples, classes)
    with pytest.raises(UsageError, match="fold P0 would train without class 'temporal'"):
        make_folds({"type": "leave_one_group_out"}, samples, classes)


def test_the_case_of_patients_with_both_classes(shared: Path) -> None:
    samples, classes = manifest(shared / "cases" / "sub.csv")
    folds = make_folds(KFOLD, samples, classes)
    assert_scorable(folds, samples)
    assert [len(subjects_of(fold.test, samples)) for fold in folds] == [2] * 5

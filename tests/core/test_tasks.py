"""What all tasks share, and `clip_classification` against scikit-learn and by hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import CLASSES, clip_arrays, core_suite
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import Task, check_samples, select_variant, titles, variants
from vidsuite_core.tasks.clip_classification import ClipClassification

TASK = ClipClassification(CLASSES)


def arrays_of(target: Any, prob: Any, subject: Any = None, recording: Any = None) -> dict[str, np.ndarray]:
    """Stored arrays of clips that are subjects and recordings of their own unless said otherwise."""
    ids = np.array([f"clip {number}" for number in range(len(target))])
    return {
        "sample_id": ids,
        "subject": ids if subject is None else np.array(subject),
        "recording": ids if recording is None else np.array(recording),
        "target": np.array(target),
        "prob": np.array(prob, dtype=float),
    }


def two(*of_class_one: float) -> list[list[float]]:
    """Probabilities of two classes from those of the second."""
    return [[1 - value, value] for value in of_class_one]


@st.composite
def predictions(draw: st.DrawFn, classes: int | None = None) -> dict[str, np.ndarray]:
    classes = classes or draw(st.integers(2, 5))
    count = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    prob = rng.dirichlet(np.ones(classes), size=count).astype(draw(st.sampled_from(["f4", "f8"])))
    subject = [f"s{number}" for number in rng.integers(0, 6, count)]
    target = rng.integers(0, classes, count)
    return {**arrays_of(target, prob, subject, rng.choice(["a", "b"], count)), "prob": prob}


@settings(max_examples=40)
@given(predictions())
def test_scores_are_those_of_scikit_learn(arrays: dict[str, np.ndarray]) -> None:
    target, prob = arrays["target"], arrays["prob"]
    task = ClipClassification([str(k) for k in range(prob.shape[1])])
    found, predicted, labels = task.score(arrays), prob.argmax(1), list(range(prob.shape[1]))
    task.check(arrays)
    average = {"labels": labels, "average": "macro", "zero_division": 0}
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(target, predicted, **average))
    assert found["precision"] == pytest.approx(metrics.precision_score(target, predicted, **average))
    assert found["recall"] == pytest.approx(metrics.recall_score(target, predicted, **average))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(target, predicted))
    if len(set(target)) == len(labels):
        of_truth = prob[:, 1] if len(labels) == 2 else prob / prob.sum(1, keepdims=True)
        expected = metrics.roc_auc_score(target, of_truth, multi_class="ovr", labels=labels)
        assert found["auc"] == pytest.approx(expected, abs=1e-6)


def test_scores_by_hand() -> None:
    # class 0: 3 clips, 2 found, 1 false alarm; class 1: 2 clips, 1 found, 1 false alarm
    arrays = arrays_of([0, 0, 0, 1, 1], two(0.1, 0.2, 0.7, 0.6, 0.3))
    found = TASK.score(arrays)
    assert found["precision"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["auc"] == pytest.approx(4 / 6)  # of 6 pairs the positive is above in 4
    assert TASK.details(arrays) == {
        "per_class": {
            "temporal": {"precision": 2 / 3, "recall": 2 / 3, "f1": pytest.approx(2 / 3), "support": 3},
            "frontal": {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2},
        },
        "confusion": [[2, 1], [1, 1]],
    }


def test_a_class_that_is_neither_there_nor_predicted_counts_nothing_and_lowers_the_mean() -> None:
    task = ClipClassification(["a", "b", "c"])
    arrays = arrays_of([0, 1], [[0.9, 0.1, 0], [0.1, 0.9, 0]])
    assert task.score(arrays)["macro_f1"] == pytest.approx(2 / 3)
    assert task.leave_one_out(arrays)[1]["macro_f1"] == pytest.approx(1 / 3)


def test_auc_of_one_class_is_not_defined() -> None:
    found = TASK.score(arrays_of([1, 1], two(0.4, 0.8)))
    assert np.isnan(found["auc"])
    assert found["accuracy"] == 0.5
    three = ClipClassification(["a", "b", "c"]).score(arrays_of([0, 1], [[0.5, 0.3, 0.2]] * 2))
    assert np.isnan(three["auc"])


def test_recordings_and_subjects_are_scored_by_the_mean_of_their_clips() -> None:
    arrays = arrays_of(
        target=[0, 0, 0, 1, 1],
        prob=two(0.4, 0.4, 0.9, 0.4, 0.55),
        recording=["r1", "r1", "r2", "r3", "r4"],
        subject=["s1", "s1", "s1", "s2", "s2"],
    )
    found = TASK.score(arrays)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["recording/accuracy"] == pytest.approx(2 / 4)  # r1 and r4 are right
    assert found["subject/accuracy"] == pytest.approx(0)  # means 0.567 of class 0 and 0.475 of class 1
    assert found["recording/auc"] == pytest.approx(1.5 / 4)  # r3 ties with r1


def test_a_recording_with_clips_of_two_classes_is_a_unit_of_each() -> None:
    arrays = arrays_of([0, 1, 1], two(0.1, 0.9, 0.7), recording=["r"] * 3, subject=["s"] * 3)
    found = TASK.score(arrays)
    assert found["recording/accuracy"] == found["subject/accuracy"] == 1
    assert found["recording/auc"] == 1


def test_probabilities_and_targets_come_from_outputs_and_samples() -> None:
    outputs = [{"pred_score": [0.25, 0.75]}, {"pred_score": np.array([1, 0])}]
    assert TASK.predictions(outputs)["prob"].tolist() == [[0.25, 0.75], [1, 0]]
    assert TASK.predictions([])["prob"].shape == (0, 2)
    assert TASK.targets([SimpleNamespace(label=1), SimpleNamespace(label=0)])["target"].tolist() == [1, 0]


GOOD = arrays_of([0, 1, 1], two(0.2, 0.7, 0.4))
BAD: dict[str, tuple[str, Any, str]] = {
    "no ids": ("sample_id", None, "lack the array 'sample_id'"),
    "ids twice": ("sample_id", np.array(["a", "a", "b"]), "name a sample twice"),
    "ids as numbers": ("sample_id", np.arange(3), "'sample_id' is int64"),
    "ids as bytes": ("sample_id", np.array([b"a", b"b", b"c"]), "'sample_id' is |S1"),
    "a subject short": ("subject", np.array(["a", "b"]), "'subject' is <U1 (2,), expected kind 'U' and 3"),
    "no target": ("target", None, "lack the array 'target'"),
    "a float target": ("target", np.array([0.0, 1, 1]), "'target' is float64"),
    "a target too many": ("target", np.array([0, 1, 1, 0]), "expected kind 'iu' and 3"),
    "a target too high": ("target", np.array([0, 1, 2]), "a target outside the 2 classes"),
    "a target below": ("target", np.array([0, -1, 1]), "a target outside the 2 classes"),
    "a huge target": ("target", np.array([0, 1, 2**64 - 1], dtype="u8"), "a target outside the 2 classes"),
    "three classes": ("prob", np.full((3, 3), 1 / 3), "'prob' is float64 (3, 3), expected kind 'f' and 3x2"),
    "one row": ("prob", np.array([0.5, 0.5]), "expected kind 'f' and 3x2"),
    "whole numbers": ("prob", np.array([[1, 0]] * 3), "'prob' is int64"),
    "complex": ("prob", np.full((3, 2), 0.5 + 0j), "'prob' is complex128"),
    "nan": ("prob", np.array([[np.nan, 1]] * 3), "not finite numbers in [0, 1]"),
    "infinite": ("prob", np.array([[np.inf, -np.inf]] * 3), "not finite numbers in [0, 1]"),
    "negative": ("prob", np.array([[-0.5, 1.5]] * 3), "not finite numbers in [0, 1]"),
    "logits": ("prob", np.array([[3.0, 2.0]] * 3), "not finite numbers in [0, 1]"),
}


@pytest.mark.parametrize("kind", BAD)
def test_arrays_of_another_form_are_refused_by_name(kind: str) -> None:
    name, value, reason = BAD[kind]
    arrays = {**GOOD, name: value} if value is not None else {n: a for n, a in GOOD.items() if n != name}
    TASK.check(GOOD)
    with pytest.raises(VidsuiteError) as caught:
        TASK.check(arrays)
    assert reason in str(caught.value)


def test_no_sample_at_all_is_refused() -> None:
    with pytest.raises(VidsuiteError, match="hold no sample"):
        TASK.check({name: value[:0] for name, value in GOOD.items()})


@pytest.mark.parametrize("kind", ["i1", "u1", "u8", "i4", ">i8"])
def test_any_integer_type_of_targets_gives_the_same_scores(kind: str) -> None:
    arrays = clip_arrays()
    other = {**arrays, "target": arrays["target"].astype(kind)}
    TASK.check(other)
    assert TASK.score(other) == TASK.score(arrays)
    without, expected = (TASK.leave_one_out(one)[1] for one in (other, arrays))
    assert all((without[name] == expected[name]).all() for name in expected)


def test_variants_are_stored_beside_the_main_predictions() -> None:
    arrays = {"prob": np.zeros(1), "prob@last": np.ones(1), "target": np.arange(1), "target@": np.ones(1)}
    assert variants(arrays) == ["last"]  # a name that ends in @ is none
    assert set(select_variant(arrays)) == {"prob", "target"}
    assert select_variant(arrays, "last")["prob"] == 1
    assert select_variant(arrays, "last")["target"] == 0
    assert select_variant(arrays, "other")["prob"] == 0


def test_titles_are_the_headings_that_tables_show() -> None:
    assert titles(core_suite(), "clip_classification") == {
        "macro_f1": "macro F1",
        "precision": "precision",
        "recall": "recall",
        "auc": "AUC",
    }
    with pytest.raises(VidsuiteError, match="has no score 'f2'"):
        TASK.info("f2")


class TestLeaveOneOut:
    @settings(max_examples=40)
    @given(predictions())
    def test_it_is_scoring_the_others(self, arrays: dict[str, np.ndarray]) -> None:
        task = ClipClassification([str(k) for k in range(arrays["prob"].shape[1])])
        names, found = task.leave_one_out(arrays)
        expected_names, expected = Task.leave_one_out(task, arrays)
        assert names.tolist() == expected_names.tolist() == np.unique(arrays["subject"]).tolist()
        assert found.keys() == expected.keys()
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], atol=1e-9, err_msg=name)

    def test_without_the_only_subject_nothing_is_defined(self) -> None:
        arrays = arrays_of([0, 1], two(0.1, 0.9), subject=["a", "a"])
        assert all(np.isnan(values).tolist() == [True] for values in TASK.leave_one_out(arrays)[1].values())


def test_a_subjects_samples_can_be_selected() -> None:
    arrays = clip_arrays(subjects=4)
    chosen = TASK.select(arrays, ["f0s3", "f0s1", "nobody"])
    TASK.check(chosen)
    assert chosen["sample_id"].tolist() == [i for i in arrays["sample_id"].tolist() if i[:4] in ("f0s1", "f0s3")]
    assert TASK.score_by_subject(arrays) == {
        name: TASK.score(TASK.select(arrays, [name]))["accuracy"] for name in ("f0s0", "f0s1", "f0s2", "f0s3")
    }


def test_how_often_classes_are_predicted_and_true() -> None:
    arrays = arrays_of([0, 0, 1, 1], two(0.1, 0.9, 0.9, 0.8))
    assert TASK.class_use(arrays).tolist() == [[1, 3], [2, 2]]


@settings(max_examples=40)
@given(predictions(), st.data())
def test_checked_arrays_of_any_content_can_be_scored(arrays: dict[str, np.ndarray], data: st.DataObject) -> None:
    task = ClipClassification([str(k) for k in range(arrays["prob"].shape[1])])
    text = st.text(st.characters(codec=None), max_size=5)
    names = data.draw(st.lists(text, min_size=len(arrays["target"]), max_size=len(arrays["target"])))
    hostile: Mapping[str, np.ndarray] = {**arrays, "subject": np.array(names, dtype="U5")}
    task.check(hostile)
    assert all(isinstance(value, float) for value in task.score(hostile).values())
    names, found = task.leave_one_out(hostile)
    assert all(len(values) == len(names) for values in found.values())
    assert check_samples(hostile) == len(hostile["sample_id"])

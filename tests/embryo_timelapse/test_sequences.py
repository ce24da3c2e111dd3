"""Scores of phases against written-out computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.embryo_timelapse.phases.sequences import edit_score, monotone, onsets, overlaps, segments
from vidsuite_plugins.embryo_timelapse.phases.task import EmbryoPhases

PATHS = st.lists(st.integers(0, 3), min_size=1, max_size=12).map(np.array)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6))
def test_the_monotone_path_is_the_best_of_all(frames, count, seed):
    prob = np.random.default_rng(seed).dirichlet(np.full(count, 0.5), frames)
    chance = np.log(np.maximum(prob, 1e-6))
    rising = itertools.combinations_with_replacement(range(count), frames)
    best = max(sum(chance[t, k] for t, k in enumerate(path)) for path in rising)
    found = monotone(prob)
    assert (np.diff(found) >= 0).all()
    assert sum(chance[t, k] for t, k in enumerate(found)) == pytest.approx(best)


def levenshtein(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


@given(PATHS.filter(lambda path: len(path) < 7), PATHS.filter(lambda path: len(path) < 7))
def test_the_edit_score(found, true):
    a, b = ([k for k, _ in itertools.groupby(path.tolist())] for path in (found, true))
    assert edit_score(found, true) == pytest.approx(1 - levenshtein(a, b) / max(len(a), len(b)))


@given(PATHS, st.data())
def test_every_segment_is_right_missed_or_false(found, data):
    true = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found))))
    for least in (0.1, 0.5):
        right, false, missed = overlaps(found, true, least)
        assert right + false == len(segments(found)[0])
        assert right + missed == len(segments(true)[0])
    assert overlaps(found, found, 0.5) == (len(segments(found)[0]), 0, 0)


def test_segments_that_overlap_enough_are_right_once():
    true = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert overlaps(np.array([0, 0, 0, 1, 1, 1, 1, 1]), true, 0.5) == (2, 0, 0)
    assert overlaps(np.array([0, 1, 0, 0, 1, 1, 1, 1]), true, 0.5) == (2, 2, 0)  # the first 0 and the lone 1 are false
    assert overlaps(np.array([1, 1, 1, 1, 0, 0, 0, 0]), true, 0.1) == (0, 2, 2)


def test_onsets_are_hours_of_first_frames_but_the_first_phases():
    found = onsets(np.array([1, 1, 2, 4]), np.array([0.5, 1.0, 2.0, 3.5]), 5)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 2.0, np.nan, 3.5])


CLASSES = ("a", "b", "c")


def arrays(seed: int = 0, recordings: int = 4, skill: float = 2.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 9, recordings)
    target = np.concatenate([np.sort(rng.integers(0, 3, size)) for size in sizes])
    logits = rng.normal(0, 1, (len(target), 3)) + skill * np.eye(3)[target]
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = np.array([f"e{number}" for number in range(recordings)])
    return {
        "sample_id": names, "recording": names, "subject": np.array([f"p{k // 2}" for k in range(recordings)]),
        "offset": np.concatenate([[0], np.cumsum(sizes)]), "target": target, "prob": prob.astype(np.float32),
        "hour": np.concatenate([np.arange(size) * 0.5 for size in sizes]),
    }  # fmt: skip


def test_scores_of_perfect_predictions():
    found = arrays()
    found["prob"] = np.eye(3, dtype=np.float32)[found["target"]]
    task = EmbryoPhases(CLASSES)
    task.check(found)
    scores = task.score(found)
    assert scores.pop("onset_error") == 0
    assert set(scores.values()) == {1.0}


def test_scores_are_what_their_parts_say():
    found = arrays(skill=1.0)
    scores = EmbryoPhases(CLASSES).score(found)
    raw = found["prob"].argmax(1)
    parts = [slice(a, b) for a, b in itertools.pairwise(found["offset"])]
    assert scores["accuracy"] == pytest.approx((raw == found["target"]).mean())
    path = np.concatenate([monotone(found["prob"][part]) for part in parts])
    assert scores["viterbi_accuracy"] == pytest.approx((path == found["target"]).mean())
    edits = [edit_score(raw[part], found["target"][part]) for part in parts]
    assert scores["edit"] == pytest.approx(np.mean(edits))
    gaps, there = [], 0
    for part in parts:
        true, own = (onsets(one[part], found["hour"][part], 3) for one in (found["target"], path))
        there += np.isfinite(true).sum()
        gaps += np.abs(true - own)[np.isfinite(true - own)].tolist()
    assert scores["onset_error"] == pytest.approx(np.mean(gaps))
    assert scores["onset_recall"] == pytest.approx(len(gaps) / there)


def test_leaving_a_subject_out_is_scoring_the_others():
    task, found = EmbryoPhases(CLASSES), arrays(skill=1.0, recordings=6)
    units, without = task.leave_one_out(found)
    for place, unit in enumerate(units):
        rest = task.take(found, found["subject"] != unit)
        task.check(rest)
        for name, value in task.score(rest).items():
            assert without[name][place] == pytest.approx(value), name


def test_details_shown_and_use_of_classes():
    task, found = EmbryoPhases(CLASSES), arrays(recordings=5)
    told = task.details(found)
    assert sum(row["frames"] for row in told["per_class"].values()) == len(found["target"])
    assert np.array(told["confusion"]).sum() == len(found["target"])
    table, matrix = task.shown([found, arrays(1)])
    assert [row[0] for row in table.rows] == list(CLASSES)
    assert np.sum(matrix.counts) == len(found["target"]) + len(arrays(1)["target"])
    assert task.class_use(found).sum() == 2 * len(found["target"])


FAULTS = {
    "offset": (lambda a: a["offset"] - 1, "does not divide"),
    "target": (lambda a: a["target"] + 3, "outside the 3 phases"),
    "prob": (lambda a: a["prob"] * 2, "sum to 1"),
    "hour": (lambda a: a["hour"][::-1].copy(), "rise from frame to frame"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_arrays_of_another_form_are_refused(name):
    found = arrays()
    change, text = FAULTS[name]
    with pytest.raises(VidsuiteError, match=text):
        EmbryoPhases(CLASSES).check({**found, name: change(found)})

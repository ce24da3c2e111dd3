"""Baselines without a network: what the measures see, and the classifiers of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.samples import ClipSample, Recording
from vidsuite_plugins.seizure_i3d.models.measures import (
    Measure,
    MeasureClassifier,
    blob_moments,
    first_moments,
    motion_course,
    motion_energy,
)


def scene(places: list[tuple[int, int]], size: tuple[int, int] = (2, 2)) -> np.ndarray:
    """Frames 16x16 of a room at 40 with a body at 140: rows and columns from (y, x) on."""
    clip = np.full((len(places), 16, 16, 1), 40, np.uint8)
    for frame, (y, x) in zip(clip, places, strict=True):
        frame[y : y + size[0], x : x + size[1]] = 140
    return clip


def test_energy_knows_how_much_moves_and_neither_order_nor_place():
    still, walk = scene([(3, 3)] * 6), scene([(3, 3), (3, 5), (3, 7), (3, 7), (3, 7), (3, 9)])
    assert np.allclose(motion_energy(still), np.log(0.01))
    # Six pixels of the room and the body change by 100 where it goes on by its own width.
    assert motion_energy(walk)[4] == pytest.approx(np.log(0.01 + 8 * 100 / 256), abs=1e-5)
    assert motion_energy(walk)[0] == pytest.approx(np.log(0.01), abs=1e-5)
    assert np.array_equal(motion_energy(walk[::-1]), motion_energy(walk))
    assert np.allclose(motion_energy(np.rot90(walk, axes=(1, 2))), motion_energy(walk))
    with pytest.raises(VidsuiteError, match="one frame"):
        motion_energy(walk[:1])


def test_the_course_knows_the_order():
    walk = scene([(3, 3)] * 4 + [(3, 5), (3, 7), (3, 9)])
    still, lively = np.log(0.01), np.log(0.01 + 8 * 100 / 256)
    assert np.allclose(motion_course(walk), [still, (still + lively) / 2, lively], atol=1e-5)
    assert np.allclose(motion_course(walk[::-1]), motion_course(walk)[::-1], atol=1e-5)
    assert motion_course(walk[:2]).shape == (3,)
    with pytest.raises(VidsuiteError, match="one frame"):
        motion_course(walk[:1])


def test_moments_of_a_body_that_walks():
    found = blob_moments(scene([(4, 2), (4, 4), (4, 6), (4, 8), (4, 10)], size=(1, 2)))
    mean, last = found[:9], found[27:36]
    mass, area, peak, x, y, long, short, _, slant = mean
    assert (mass, area, peak) == (200, 2, 100)
    assert (x, y) == (6.5, 4)
    assert (long, short, slant) == (0.5, 0, 0)
    assert last[3] == 10.5
    assert list(found[45:]) == [5, 8, 8, 2, 2]


def test_the_first_frame_knows_nothing_of_what_follows():
    walk, other = scene([(4, 2), (4, 4), (4, 6)]), scene([(4, 2), (9, 9), (1, 1)])
    assert np.array_equal(first_moments(walk), first_moments(other))
    assert not np.array_equal(first_moments(walk), first_moments(walk[::-1]))


def test_a_clip_without_anything_warm_has_no_moments():
    empty = blob_moments(np.full((4, 16, 16, 1), 77, np.uint8))
    assert list(empty[:45]) == [0] * 45
    assert list(empty[45:]) == [4, 0, 0, 0, 0]


def test_an_unknown_measure_or_kind_is_refused():
    with pytest.raises(UsageError, match="energy, course, blob, first_blob"):
        Measure("speed")
    with pytest.raises(UsageError, match="forest"):
        MeasureClassifier("svm")  # type: ignore[arg-type]


def items(lively: list[int], still: list[int]) -> list[dict]:
    """Clips as `Measure` packs them: label 1 walks, label 0 does not."""
    found = []
    for label, starts in ((1, lively), (0, still)):
        for start in starts:
            clip = scene([(start, 2 + step * label) for step in range(6)])
            recording = Recording(
                name=f"{label}{start}", subject="s", planes=(Path("v"),), frames=6, fps=10, content=""
            )
            sample = ClipSample(id=recording.name, footage=recording, label=label, start=0, stop=6)
            found.append(Measure("blob")({"clip": clip, "sample": sample}))
    return found


@pytest.mark.parametrize("kind", ["logistic", "forest"])
def test_classifiers_learn_keep_and_answer(kind):
    model = MeasureClassifier(kind)
    with pytest.raises(UsageError, match="not fitted"):
        model.logits(torch.zeros(1, 50))
    model.fit(items([0, 2, 4, 6, 8], [1, 3, 5, 7, 9]))
    asked = items([3, 12], [2, 11])
    inputs = torch.stack([item["inputs"] for item in asked])
    scores = model.logits(inputs).exp()
    assert torch.allclose(scores.sum(1), torch.ones(4))
    assert scores.argmax(1).tolist() == [1, 1, 0, 0]
    other = MeasureClassifier(kind)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.logits(inputs), model.logits(inputs))
    predicted = model.val_step({"inputs": inputs, "data_samples": [BaseDataElement() for _ in asked]})
    assert torch.allclose(torch.stack([one.pred_score for one in predicted]), scores.float())


def test_a_class_without_a_sample_is_named():
    with pytest.raises(VidsuiteError, match=r"labels \[0\]"):
        MeasureClassifier().fit(items([0, 2], []))

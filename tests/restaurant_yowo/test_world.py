"""The rendered restaurant: what its frames and boxes are like, and what its cues and controls do."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vidsuite_plugins.restaurant_yowo.synthetic import render
from vidsuite_plugins.restaurant_yowo.synthetic.actions import ACTIONS, NAMES, PAIRS, Performed, shift
from vidsuite_plugins.restaurant_yowo.synthetic.render import Session

SIZE = (160, 90)


def test_a_session_is_the_same_each_time_and_others_differ() -> None:
    first, again, other = (list(Session(seed, 40, SIZE, 10)) for seed in (3, 3, 4))
    for (a, boxes_a), (b, boxes_b) in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
        assert boxes_a == boxes_b
        assert a.shape == (90, 160, 3)
        assert a.dtype == np.uint8
    assert not np.array_equal(first[0][0], other[0][0])


@pytest.mark.parametrize("camera", [0, 1])
def test_boxes_lie_in_the_frame_and_are_of_the_papers_sizes(camera: int) -> None:
    shares = []
    for shown in Session(1, 600, SIZE, 10, camera=camera).boxes():
        for one in shown:
            x1, y1, x2, y2 = one.box
            assert 0 <= x1 < x2 <= SIZE[0]
            assert 0 <= y1 < y2 <= SIZE[1]
            shares.append(((x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1]))
    low, high = np.percentile(shares, [5, 95], axis=0)  # section 4.6's nine centres: .053 to .164 by .070 to .176
    assert (low > 0.03).all()
    assert (high < 0.30).all()


def test_half_of_the_frames_have_no_label_and_classes_have_a_long_tail() -> None:
    counts: Counter[int] = Counter()
    free = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        workers = [shift(6000, 10, rng) for _ in range(2)]
        busy = np.zeros(6000, bool)
        for one in (one for worker in workers for one in worker):
            busy[one.start : one.stop] = True
            counts[one.label] += 1
        free.append(1 - busy.mean())
    assert 0.35 < np.mean(free) < 0.6
    assert len(counts) == len(ACTIONS) >= 24
    common = counts.most_common()
    assert {NAMES[label] for label, _ in common[:3]} == {NAMES[0], NAMES[1], NAMES[2]}
    assert common[0][1] > 20 * common[-1][1]


def test_actions_of_one_worker_never_overlap() -> None:
    done = shift(3000, 10, np.random.default_rng(0))
    assert all(a.stop <= b.start for a, b in itertools.pairwise(done))
    assert all(a.stop - a.start >= 4 for a in done)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: NAMES[pair[0]])
def test_a_pair_differs_in_direction_alone(pair: tuple[int, int]) -> None:
    session = Session(0, 40, SIZE, 10, workers=1)
    worker = session._workers[0]
    one, other = (Performed(10, 30, label, 2, ACTIONS[label].reversed) for label in pair)
    assert one.backwards is not other.backwards
    for frame in range(10, 30):
        mirrored = 39 - frame
        a, b = (render._pose(worker, done, at, 1.0) for done, at in ((one, frame), (other, mirrored)))
        np.testing.assert_allclose(a.hand, b.hand, atol=1e-9)
        assert (a.held, a.item, a.glove) == (b.held, b.item, b.glove)


def test_without_direction_the_order_of_frames_tells_nothing() -> None:
    paired = {label for pair in PAIRS for label in pair}
    turns: dict[int, list[bool]] = {0: [], 2: []}
    for seed in range(30):
        for one in shift(6000, 10, np.random.default_rng(seed), direction=False):
            if one.label in turns:
                turns[one.label].append(one.backwards)
            elif one.label not in paired:
                assert one.backwards is ACTIONS[one.label].reversed
    assert all(0.4 < np.mean(values) < 0.6 for values in turns.values())


def test_without_looks_every_tool_is_alike() -> None:
    session = Session(2, 8, SIZE, 10, workers=1, looks=False)
    worker = session._workers[0]
    pictures = []
    for label in (NAMES.index("wipe counter"), NAMES.index("roll a sushi burrito")):
        worker.does = [Performed(0, 8, label, 0, False)]
        pictures.append([frame for frame, _ in session])
    np.testing.assert_array_equal(*pictures)
    told = Session(2, 8, SIZE, 10, workers=1)
    told._workers[0].does = [replace(worker.does[0])]
    assert not np.array_equal([frame for frame, _ in told], pictures[1])


def test_every_action_can_be_drawn_by_every_worker() -> None:
    for camera in (0, 1):
        session = Session(7, 12, SIZE, 10, camera=camera, workers=3)
        for label in range(len(ACTIONS)):
            for worker in session._workers:
                worker.does = [Performed(0, 12, label, label % 8, ACTIONS[label].reversed)]
            for _, shown in session:
                assert [one.label for one in shown] == [label] * 3

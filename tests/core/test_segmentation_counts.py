"""Pixels counted frame by frame, against the same counts written out, and label maps as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from segmentation_frames import frame, random_maps

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import VOID
from vidsuite_core.tasks import segmentation_counts as counts
from vidsuite_core.tasks.segmentation_reducer import LAGS, FrameReducer, save_label_map
from vidsuite_core.tasks.video_segmentation import VideoSegmentation

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 9))


def maps(classes: int, void: int = 0, number: int = 2) -> st.SearchStrategy[Any]:
    """`number` label maps of one shape; the first has void pixels where `void` is `VOID`."""
    labels = st.integers(0, classes - 1)
    first = labels | st.just(VOID) if void else labels
    kinds = [first] + [labels] * (number - 1)
    return SHAPES.flatmap(lambda shape: st.tuples(*(npst.arrays(np.uint8, shape, elements=kind) for kind in kinds)))


def slow_confusion(true: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    table = np.zeros((classes, classes), int)
    for row, column in zip(true.flat, found.flat, strict=True):
        if row != VOID:
            table[row, column] += 1
    return table


def slow_edge(labels: np.ndarray, true: np.ndarray) -> dict[tuple[int, int], int]:
    """Class of each boundary pixel."""
    seen = {place: int(labels[place]) for place in np.ndindex(*labels.shape) if true[place] != VOID}
    beside = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return {
        (y, x): label
        for (y, x), label in seen.items()
        if any(seen.get((y + down, x + right), label) != label for down, right in beside)
    }


def slow_boundary(true: np.ndarray, found: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    reach = tolerance * np.hypot(*true.shape) - 1e-9
    table = np.zeros((classes, 4), int)
    sides = slow_edge(found, true), slow_edge(true, true)
    for place, (one, other) in zip((0, 2), (sides, sides[::-1]), strict=True):
        for here, label in one.items():
            near = any(np.hypot(*np.subtract(here, there)) < reach for there, same in other.items() if same == label)
            table[label, place] += near
            table[label, place + 1] += 1
    return table


@given(maps(5, VOID))
def test_confusion(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert (counts.confusion(*pair, 5) == slow_confusion(*pair, 5)).all()


def test_more_pixels_than_a_float_counts_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    true, found = random_maps(0, 2, classes=4)
    expected = counts.confusion(true, found, 4)
    monkeypatch.setattr(counts, "_EXACT", 50)
    assert (counts.confusion(true, found, 4) == expected).all()


@given(maps(4, VOID), st.sampled_from([0.0075, 0.12, 0.2, 0.4, 3]))
def test_boundaries(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    found = counts.boundary_counts(*pair, 4, tolerance)
    assert (found == slow_boundary(*pair, 4, tolerance)).all()


@pytest.mark.parametrize("classes", [8, 9, 33, 64, 65, 130, 255])
def test_boundaries_of_many_classes(classes: int) -> None:
    rng = np.random.default_rng(classes)
    true = rng.choice([0, classes // 2, classes - 1], (8, 9)).astype(np.uint8)
    found = np.where(rng.random(true.shape) < 0.5, true, rng.integers(0, classes, true.shape)).astype(np.uint8)
    assert (counts.boundary_counts(true, found, classes, 0.2) == slow_boundary(true, found, classes, 0.2)).all()


def test_a_boundary_pixel_at_the_tolerance_itself_is_not_matched() -> None:
    true = np.zeros((480, 640), np.uint8)  # 0.75 % of the diagonal are 6 pixels
    true[:, 320:] = 1
    found = [np.roll(true, shift, axis=1) for shift in (5, 6)]
    for labels in found:
        labels[:, :100] = 0
    near, far = (counts.boundary_counts(true, labels, 2).tolist() for labels in found)
    assert near == [[480, 480, 480, 480]] * 2
    assert far == [[0, 480, 0, 480]] * 2


def test_beside_void_there_is_no_boundary() -> None:
    true = np.array([[0, 0, VOID, 1, 1]], np.uint8)
    found = np.array([[0, 0, 2, 1, 1]], np.uint8)
    assert not counts.boundary_counts(true, found, 3).any()


def test_a_class_predicted_alone_matches_nothing() -> None:
    true, found = np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 0, 2, 2]], np.uint8)
    table = counts.boundary_counts(true, found, 3, tolerance=1)
    assert table.tolist() == [[1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 0]]
    f1 = counts.boundary_f1(table)
    assert f1[:2].tolist() == [1, 0]
    assert np.isnan(f1[2])


@given(maps(3, VOID, number=4))
def test_stable_pixels(quartet: tuple[np.ndarray, ...]) -> None:
    true, before, found, found_before = quartet
    still = [place for place in np.ndindex(*true.shape) if true[place] == before[place] != VOID]
    kept = [place for place in still if found[place] == found_before[place]]
    assert counts.stable_counts(*quartet).tolist() == [len(still), len(kept)]


@given(st.data())
def test_a_stream_is_counted_against_each_earlier_prediction(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, LAGS + 3))
    shape = data.draw(SHAPES)
    labels = [data.draw(npst.arrays(np.uint8, shape, elements=st.integers(0, 2))) for _ in range(2)]
    noisy = [data.draw(st.booleans()) for _ in range(length)]  # else only a pixel changes
    reducer, found = FrameReducer(3), [labels[0]]
    for number in range(1, length):
        found.append(labels[number % 2].copy() if noisy[number] else found[-1].copy())
        found[-1].flat[number % found[-1].size] = number % 3
    true = [np.where(one == 2, VOID, one) for one in found[::-1]]
    for position in range(length):
        kept = reducer.add(frame("a", position, true=true[position], found=found[position]))
        assert kept is not None
        assert kept["lags"] == min(position, LAGS)
        assert (kept["confusion"] == slow_confusion(true[position], found[position], 3)).all()
        for lag in range(1, LAGS + 1):
            earlier = slow_confusion(true[position], found[position - lag], 3) if lag <= position else 0
            assert (kept["lagged"][lag - 1] == earlier).all()


def test_context_is_remembered_and_not_stored() -> None:
    one, other = random_maps(0, 2, classes=3)
    reducer = FrameReducer(3)
    assert reducer.add(frame("a", 11, true=one + VOID, found=one, scored=False)) is None
    kept = reducer.add(frame("a", 12, true=one, found=other))
    assert kept is not None
    assert (kept["lags"], kept["sample_id"], kept["latency"]) == (1, "a/12", 0.03)
    assert (kept["lagged"][0] == np.diag(np.bincount(one.flat, minlength=3))).all()


def test_predictions_may_share_memory() -> None:
    one, other = random_maps(0, 2, classes=3)
    reducer, memory = FrameReducer(3), one[None].copy()
    first = frame("a", 0, true=one, found=one, pred_sem_seg={"data": memory})
    assert reducer.add(first) is not None
    memory[0] = other
    kept = reducer.add(frame("a", 1, true=one, found=other, pred_sem_seg={"data": memory}))
    assert kept is not None
    assert (kept["lagged"][0] == np.diag(np.bincount(one.flat, minlength=3))).all()


def test_nothing_is_remembered_across_gaps_and_sequences() -> None:
    one = random_maps(0, 1, classes=3)[0]
    reducer = FrameReducer(3)
    places = [("a", 0), ("a", 1), ("a", 3), ("b", 4), ("b", 5)]
    kept = [reducer.add(frame(sequence, position, true=one, found=one)) for sequence, position in places]
    assert [counted["lags"] for counted in kept if counted] == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("second", [("a", 5), ("a", 4)])
def test_frames_out_of_order_are_refused(second: tuple[str, int]) -> None:
    reducer = FrameReducer(3)
    reducer.add(frame("a", 5, true=[[0]], found=[[0]]))
    with pytest.raises(RuntimeError, match=r"position \d of 'a' comes after 5"):
        reducer.add(frame(*second, true=[[0]], found=[[0]]))


def test_a_sequence_that_comes_back_is_refused() -> None:
    reducer = FrameReducer(3)
    for sequence in "ab":
        reducer.add(frame(sequence, 0, true=[[0]], found=[[0]]))
    with pytest.raises(RuntimeError, match="'a/1': sequence 'a' goes on after another"):
        reducer.add(frame("a", 1, true=[[0]], found=[[0]]))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"gt_sem_seg": np.array([[[0, 3]]])}, r"sample 'a/0': its label map holds 3; .* 0 to 2 and 255"),
        ({"gt_sem_seg": np.array([[[0, -1]]])}, "sample 'a/0': its label map holds label -1"),
        ({"gt_sem_seg": np.array([[[0, 256]]])}, "sample 'a/0': its label map holds label 256"),
        ({"gt_sem_seg": np.array([[0, 1]])}, "sample 'a/0': its label map is int64"),
        ({"gt_sem_seg": np.array([[[0], [1]]])}, "sample 'a/0': the prediction is 2x1, its labels 1x2"),
        ({"pred_sem_seg": np.array([[[0, 3]]])}, "frame 'a/0': its prediction holds label 3; .* 0 to 2$"),
        ({"pred_sem_seg": np.array([[[0, 255]]])}, "frame 'a/0': its prediction holds label 255"),
        ({"pred_sem_seg": np.array([[[0, -1]]])}, "frame 'a/0': its prediction holds label -1"),
        ({"pred_sem_seg": np.array([[[0.0, 1.0]]])}, "frame 'a/0': its prediction is float64"),
        ({"pred_sem_seg": np.zeros((1, 0, 0), int)}, "frame 'a/0': its prediction is int64"),
    ],
)
def test_label_maps_of_another_form_are_refused(maps: dict[str, np.ndarray], message: str) -> None:
    more = {name: {"data": labels} for name, labels in maps.items()}
    with pytest.raises(VidsuiteError, match=message):
        FrameReducer(3).add(frame("a", 0, true=[[0, 1]], found=[[0, 1]], **more))


def test_a_stream_s_frames_are_of_one_size() -> None:
    reducer = FrameReducer(3)
    reducer.add(frame("a", 0, true=[[0]], found=[[0]]))
    with pytest.raises(VidsuiteError, match="'a/1' differs in size from the one before"):
        reducer.add(frame("a", 1, true=[[0, 0]], found=[[0, 0]]))


def test_more_classes_than_8_bits_hold_are_refused() -> None:
    with pytest.raises(VidsuiteError, match="256 classes do not fit"):
        FrameReducer(256)


def test_label_maps_are_kept_on_request_and_of_labelled_frames_alone(tmp_path: Path) -> None:
    task = VideoSegmentation(list("abc"))
    found = random_maps(0, 2, classes=3)
    for keep in (None, tmp_path / "maps"):
        reducer = task.reducer([], keep)
        reducer.add(frame("a", 0, true=found[0], found=found[0], scored=False))
        reducer.add(frame("a", 1, true=np.full_like(found[1], VOID), found=found[1]))
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    assert files == ["maps/a%2F1.png"]
    stored = cv2.imread(str(tmp_path / files[0]), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint8
    assert (stored == found[1]).all()  # also where the truth is void


@given(st.lists(st.text(max_size=300), min_size=1, max_size=4, unique=True))
def test_label_maps_of_any_samples_have_names_of_their_own(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("maps")
    paths = {save_label_map(folder, one, np.zeros((1, 1), np.uint8)) for one in ["..", "a/../..", "a\\b", *ids]}
    assert sorted(folder.iterdir()) == sorted(paths)
    assert len(paths) == len({"..", "a/../..", "a\\b", *ids})

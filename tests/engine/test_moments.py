"""Moments of several focal planes: which frames and planes stand for them, and what is padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidsuite_core.engine.data import MomentsDataset, PackMoments, ReadMoments
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import MomentsSample, Recording
from vidsuite_core.tasks.early_prediction import EarlyPrediction


def sample(planes: int = 7, frames: int = 20) -> MomentsSample:
    """Frame n of plane p is 10 p + n everywhere; the third of five moments is empty, and the last one padded."""
    numbers = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    pixels = tuple(np.broadcast_to(10 * plane + numbers, (frames, 4, 6, 1)) for plane in range(planes))
    recording = Recording(name="r", subject="s", planes=pixels, frames=frames, fps=0.1, content="c")
    moments = ((0, 5), (5, 9), (9, 9), (9, 20), (20, 20))
    return MomentsSample(id="m", footage=recording, label=1, moments=moments)


def test_moments_are_read_plane_by_plane_and_padded_ones_are_black() -> None:
    read = ReadMoments(size=None)({"sample": sample()})
    assert read["moments"].shape == (5, 7, 4, 6, 1)
    assert read["moments"][:, :, 0, 0, 0].tolist() == [
        [10 * plane + frame if frame is not None else 0 for plane in range(7)] for frame in (2, 7, None, 14, None)
    ]
    assert read["counts"].tolist() == [True, True, False, True, False]
    np.testing.assert_array_equal(read["times"], [20, 70, np.nan, 140, np.nan])


@pytest.mark.parametrize(
    ("there", "asked", "chosen"),
    [(7, 1, [3]), (7, 3, [2, 3, 4]), (7, 5, [1, 2, 3, 4, 5]), (7, None, list(range(7))), (1, 1, [0]), (2, 1, [1]),
     (2, 2, [0, 1])],
)  # fmt: skip
def test_planes_lie_around_the_middle_one(there: int, asked: int | None, chosen: list[int]) -> None:
    read = ReadMoments(size=None, planes=asked)({"sample": sample(there)})["moments"]
    assert (read[0, :, 0, 0, 0] // 10).tolist() == chosen


def test_more_planes_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="'r' has 3 focal planes, and 5 are to be read"):
        ReadMoments(planes=5)({"sample": sample(3)})
    with pytest.raises(UsageError, match="neither 'random' nor 'middle'"):
        ReadMoments(draw="first")


def test_in_training_a_moment_is_any_of_its_frames() -> None:
    np.random.seed(0)
    reader, one = ReadMoments(size=None, planes=1, draw="random"), sample(1)
    drawn = np.stack([reader({"sample": one})["moments"][:, 0, 0, 0, 0] for _ in range(200)])
    assert [set(column.tolist()) for column in drawn.T] == [
        set(range(start, stop)) or {0} for start, stop in one.moments
    ]


def test_items_are_batches_rows_with_padding_marked() -> None:
    dataset = MomentsDataset([sample()], [ReadMoments(size=8, planes=3), PackMoments(mean=10, std=2)])
    item = dataset[0]
    assert item["inputs"].shape == (5, 3, 1, 8, 8)
    assert item["inputs"][1, 0, 0, 4, 4] == (27 - 10) / 2
    assert not item["inputs"][[2, 4]].any()
    assert item["inputs"][0, 0, 0, 0, 0] == -5  # black beside a frame that does not fill the square
    element = item["data_samples"]
    assert element.counts.tolist() == [True, True, False, True, False]
    assert (element.gt_label.tolist(), element.sample_id, element.times[:2]) == ([1], "m", (20.0, 70.0))
    batch = torch.stack([dataset[0]["inputs"] for _ in range(2)])
    assert batch.shape == (2, 5, 3, 1, 8, 8)


def test_the_layout_is_the_configs() -> None:
    read = ReadMoments(size=8)({"sample": sample()})
    planes_as_channels = PackMoments(layout="TCMHW")(read)["inputs"]
    assert planes_as_channels.shape == (5, 1, 7, 8, 8)
    first = PackMoments(layout="MCTHW")(read)["inputs"]
    assert first.shape == (7, 1, 5, 8, 8)
    assert not first[:, :, 4].any()


def test_the_task_takes_its_targets_from_the_sample() -> None:
    targets = EarlyPrediction(["a", "b"]).targets([sample()])
    assert targets["target"].tolist() == [1]
    assert targets["counts"].tolist() == [[True, True, False, True, False]]

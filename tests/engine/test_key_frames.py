"""A key frame with its boxes, and the clip that ends in it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidsuite_core import openmmlab
from vidsuite_core.engine.data import KeyFrameDataset, PackKeyFrame, ReadKeyFrame
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import ImageFiles, KeyFrameSample, Recording
from vidsuite_core.tasks.action_detection import ActionDetection

openmmlab.prepare()
DICE = np.random.default_rng(0)
PIXELS = np.concatenate(
    [np.full((30, 20, 40, 1), 0, np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None]] * 3, axis=3
)
FOOTAGE = Recording(name="r", subject="s", planes=(PIXELS,), frames=30, fps=10, content=str(DICE.random()))


def sample(index: int, boxes: tuple[tuple[float, ...], ...] = ((4, 5, 20, 10),)) -> KeyFrameSample:
    return KeyFrameSample(id=f"r/{index}", footage=FOOTAGE, index=index, boxes=boxes, classes=(2,) * len(boxes))


def test_the_clip_ends_in_the_key_frame() -> None:
    read = ReadKeyFrame(length=4, stride=3, size=None)({"sample": sample(20)})
    assert read["clip"].shape == (4, 20, 40, 3)
    assert read["clip"][:, 0, 0, 0].tolist() == [11, 14, 17, 20]
    assert read["img"][0, 0, 0] == 20


def test_before_the_recording_begins_its_first_frame_stands() -> None:
    read = ReadKeyFrame(length=5, stride=2, size=None)({"sample": sample(3)})
    assert read["clip"][:, 0, 0, 0].tolist() == [0, 0, 0, 1, 3]


def test_of_several_strides_one_is_drawn() -> None:
    np.random.seed(0)
    reader = ReadKeyFrame(length=2, stride=(1, 2), size=None)
    assert {int(reader({"sample": sample(9)})["clip"][0, 0, 0, 0]) for _ in range(50)} == {7, 8}
    with pytest.raises(UsageError, match="give 1 or more of both"):
        ReadKeyFrame(length=0)


def test_items_are_mmdet_s_with_boxes_in_pixels_of_the_inputs() -> None:
    from mmdet.structures import DetDataSample

    item = KeyFrameDataset([sample(20)], [ReadKeyFrame(length=3, size=(80, 60)), PackKeyFrame()])[0]
    assert item["inputs"].shape == (3, 3, 60, 80)
    assert item["inputs"][:, -1, 0, 0].tolist() == pytest.approx([20 / 255] * 3)
    element = item["data_samples"]
    assert isinstance(element, DetDataSample)
    assert element.gt_instances.bboxes.tolist() == [[8, 15, 40, 30]]
    assert element.gt_instances.labels.tolist() == [2]
    assert (element.sample_id, element.ori_shape, element.img_shape) == ("r/20", (20, 40), (60, 80))
    assert element.scale_factor == (2, 3)


def test_a_frame_without_actions_has_no_boxes() -> None:
    element = KeyFrameDataset([sample(20, ())], [ReadKeyFrame(), PackKeyFrame()])[0]["data_samples"]
    assert element.gt_instances.bboxes.shape == (0, 4)
    assert element.gt_instances.labels.shape == (0,)


def test_mmdet_s_own_transforms_and_packer_take_it_on() -> None:
    names = ("sample_id", "img_id", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
    pipeline = [
        ReadKeyFrame(length=1, size=None),
        {"type": "mmdet.Resize", "scale": (80, 40), "keep_ratio": True},
        {"type": "mmdet.RandomFlip", "prob": 1.0},
        {"type": "mmdet.PackDetInputs", "meta_keys": names},
    ]
    item = KeyFrameDataset([sample(20)], pipeline)[0]
    assert item["inputs"].shape == (3, 40, 80)
    assert item["inputs"].dtype == torch.uint8
    assert item["data_samples"].gt_instances.bboxes.tolist() == [[40, 10, 72, 20]]
    assert item["data_samples"].sample_id == "r/20"
    assert item["data_samples"].scale_factor == (2, 2)


def test_consecutive_clips_are_not_decoded_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vidsuite_core.media import images

    names = tuple(f"{number}.png" for number in range(20))
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8), number, np.uint8))
    files = Recording(
        name="f", subject="s", planes=(ImageFiles(tmp_path, names),), frames=20, fps=10, content=str(tmp_path)
    )
    decoded, read_image = [], images.read_image
    monkeypatch.setattr(images, "read_image", lambda file: decoded.append(file.stem) or read_image(file))
    read = ReadKeyFrame(length=4, size=(9, 9))
    for index in (10, 11, 11, 12):
        sample = KeyFrameSample(id=str(index), footage=files, index=index)
        assert read({"sample": sample})["clip"][-1, 0, 0, 0] == index
    assert sorted(set(decoded), key=int) == ["0", "7", "8", "9", "10", "11", "12"]
    assert len(decoded) == 7  # the first for the size


def test_the_task_takes_its_targets_from_the_samples() -> None:
    boxes = ((1, 2, 3, 4), (5, 6, 7, 8))
    targets = ActionDetection(["a", "b", "c"]).targets([sample(1), sample(2, ()), sample(3, boxes)])
    assert targets["true_box"].tolist() == [[4, 5, 20, 10], *map(list, boxes)]
    assert targets["true_class"].tolist() == [2, 2, 2]

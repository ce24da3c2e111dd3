"""What recipes bring along: augmentation that moves boxes with what they hold, anchors of the training side, lanes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config

from vidsuite_core.engine.config import cell_config
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import KeyFrameSample, Recording
from vidsuite_plugins.restaurant_yowo import anchors
from vidsuite_plugins.restaurant_yowo.lanes import ClipLanes
from vidsuite_plugins.restaurant_yowo.transforms import Augment

CONFIGS = Path(anchors.__file__).parent / "configs"


def test_boxes_move_with_what_they_hold() -> None:
    rng = np.random.default_rng(0)
    np.random.seed(0)
    flipped = []
    for _ in range(30):
        x, y = rng.integers(10, 60, 2)
        clip = np.zeros((3, 90, 120, 3), np.uint8)
        clip[:, y : y + 20, x : x + 30] = (200, 60, 60)
        clip[:, y : y + 20, x : x + 15] = (60, 60, 200)  # its left half is blue
        results = {
            "clip": clip,
            "gt_bboxes": np.array([[x, y, x + 30, y + 20]], np.float32),
            "gt_bboxes_labels": np.ones(1),
        }
        found = Augment(hue=0, strength=1)(results)
        assert found["clip"].shape == clip.shape
        np.testing.assert_array_equal(found["img"], found["clip"][-1])
        assert (found["clip"] == found["clip"][:1]).all()  # one draw for all frames
        if not len(found["gt_bboxes"]):
            continue
        shown = np.argwhere(found["clip"][0].max(axis=2) > 60)
        (y1, x1), (y2, x2) = shown.min(axis=0), shown.max(axis=0) + 1
        np.testing.assert_allclose(found["gt_bboxes"][0], [x1, y1, x2, y2], atol=1.2)
        left = found["clip"][0, (y1 + y2) // 2, x1 + 2]
        flipped.append(bool(left[0] > left[2]))
    assert 5 < sum(flipped) < len(flipped) - 5


def test_boxes_that_leave_the_picture_go() -> None:
    np.random.seed(1)
    corner = {"gt_bboxes": np.array([[0, 0, 4, 4]], np.float32), "gt_bboxes_labels": np.array([3])}
    kept = [
        len(Augment(shift=0.4)({"clip": np.zeros((1, 64, 64, 3), np.uint8), **corner})["gt_bboxes"]) for _ in range(60)
    ]
    assert 5 < sum(kept) < 55
    with pytest.raises(UsageError, match="takes shift below"):
        Augment(shift=0.5)


def recording(frames: int = 400) -> Recording:
    memory = np.zeros((frames, 50, 100, 1), np.uint8)
    return Recording(name="r", subject="s", planes=(memory,), frames=frames, fps=10, content="c")


def key_frames(busy: range, step: int = 4, frames: int = 400) -> list[KeyFrameSample]:
    footage = recording(frames)
    return [
        KeyFrameSample(
            id=str(index),
            footage=footage,
            index=index,
            boxes=((10.0, 10.0, 20.0, 35.0),) if index in busy else (),
            classes=(0,) if index in busy else (),
        )
        for index in range(0, frames, step)
    ]


def test_anchors_fit_the_training_boxes() -> None:
    samples = key_frames(range(0, 400))
    boxes = [(0.0, 0.0, float(5 + n % 9), float(4 + n % 7)) for n in range(len(samples))]
    samples = [
        KeyFrameSample(id=s.id, footage=s.footage, index=s.index, boxes=(box,), classes=(0,))
        for s, box in zip(samples, boxes, strict=True)
    ]
    for name, count in (("yowo_resnet18", 5), ("yolov3", 9)):
        config = Config(cell_config(CONFIGS / f"{name}.py", "paper", [], {}, "fp32"))
        anchors.adapt(config, samples)
        found = config.model.anchors if count == 5 else sum(config.model.bbox_head.anchor_generator.base_sizes, ())
        found = np.array(found, float).reshape(-1, 2)
        assert len(found) == count
        scale = 1 if count == 5 else config["size"]
        assert (found[:, 0] / scale <= 0.13 + 1e-3).all()
        assert (found[:, 1] / scale <= 0.20 + 1e-3).all()
        if count == 9:
            coarse, *_, fine = (np.prod(part[0]) for part in config.model.bbox_head.anchor_generator.base_sizes)
            assert coarse > fine
    config.anchors = "published"
    before = config.model.to_dict()
    anchors.adapt(config, samples)
    assert config.model.to_dict() == before
    config.anchors = "guessed"
    with pytest.raises(UsageError, match="neither 'kmeans' nor 'published'"):
        anchors.adapt(config, samples)


class Sampler:
    """mmengine's, as far as it is used."""

    def __init__(self, samples: list[KeyFrameSample], step: int = 4) -> None:
        self.dataset = SimpleNamespace(samples=samples, step=step)
        self.seed, self.epoch = 0, 0


def test_lanes_go_through_whole_clips_in_order() -> None:
    samples = key_frames(range(0, 200), frames=400) + key_frames(range(300, 400), frames=400)
    lanes = ClipLanes(Sampler(samples), batch_size=8, length=4, padding=8)
    assert lanes.clips == [range(0, 58), range(167, 200)]
    batches = lanes.batches(0)
    for place in range(2):
        lane = [index for batch in batches for index in batch[place * 4 : place * 4 + 4]]
        assert lane
    first = [index for batch in batches for index in batch]
    assert sorted(first) == [*range(58), *range(167, 200)]
    for batch in batches:
        for a, b in pairwise(batch):
            assert b == a + 1 or abs(b - a) > 1
    assert lanes.batches(0) == batches
    assert len(lanes) == len(batches)
    with pytest.raises(UsageError, match="multiple of length=3"):
        ClipLanes(Sampler(samples), batch_size=8, length=3)
    with pytest.raises(UsageError, match="0 clips of actions"):
        ClipLanes(Sampler(key_frames(range(0))), batch_size=8, length=4)


def test_without_epochs_lanes_never_end() -> None:
    sampler = Sampler(key_frames(range(0, 200)))
    del sampler.epoch
    lanes = ClipLanes(sampler, batch_size=8, length=4)
    taken = [batch for batch, _ in zip(lanes, range(3 * len(lanes)), strict=False)]
    assert len(taken) == 3 * len(lanes)

"""YOWO's box coding and loss against a computation written out box by box, and its suppression."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidsuite_plugins.restaurant_yowo.models.region import UCF24_ANCHORS, found_boxes, region_loss, take_apart

ANCHORS = torch.tensor(UCF24_ANCHORS)
CLASSES, SIDE = 4, 7


def iou(a: list[float], b: list[float]) -> float:
    """Of boxes given by centre and size."""
    w = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    h = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def smooth(d: float) -> float:
    return d * d / 2 if abs(d) < 1 else abs(d) - 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def written_out(output: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, float]:
    """The loss, box by box (REFERENCES: coordinates x 1, confidence 5 and 1, ignored above 0.6, focal classes)."""
    values = output.double().view(len(output), 5, 5 + CLASSES, SIDE, SIDE)
    total = dict.fromkeys(("loss_xy", "loss_wh", "loss_confidence", "loss_class"), 0.0)
    for b in range(len(output)):
        truth = [[(x1 + x2) / 2 * SIDE, (y1 + y2) / 2 * SIDE, (x2 - x1) * SIDE, (y2 - y1) * SIDE]
                 for x1, y1, x2, y2 in boxes[b].double().tolist()]  # fmt: skip
        responsible = {}
        for one, label in zip(truth, labels[b].tolist(), strict=True):
            likeness = [iou([0, 0, *one[2:]], [0, 0, *anchor]) for anchor in ANCHORS.tolist()]
            responsible[likeness.index(max(likeness)), int(one[1]), int(one[0])] = (one, label)
        for a in range(5):
            for i in range(SIDE):
                for j in range(SIDE):
                    tx, ty, tw, th, tc, *classes = values[b, a, :, i, j].tolist()
                    aw, ah = ANCHORS[a].tolist()
                    box = [j + sigmoid(tx), i + sigmoid(ty), aw * math.exp(tw), ah * math.exp(th)]
                    weight, wanted = 1.0, 0.0
                    if any(iou(box, one) > 0.6 for one in truth):
                        weight = 0.0
                    if (a, i, j) in responsible:
                        one, label = responsible[a, i, j]
                        weight, wanted = 5.0, iou(box, one)
                        total["loss_xy"] += (
                            smooth(sigmoid(tx) - (one[0] - j)) + smooth(sigmoid(ty) - (one[1] - i))
                        ) / 2
                        total["loss_wh"] += (
                            smooth(tw - math.log(one[2] / aw)) + smooth(th - math.log(one[3] / ah))
                        ) / 2
                        p = math.exp(classes[label]) / sum(map(math.exp, classes))
                        total["loss_class"] -= (1 - p) ** 2 * math.log(p)
                    total["loss_confidence"] += weight * (sigmoid(tc) - wanted) ** 2 / 2
    return total


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(0, 4), min_size=1, max_size=3))
def test_the_loss_is_that_written_out(seed: int, counts: list[int]) -> None:
    rng = torch.Generator().manual_seed(seed)
    output = torch.randn(len(counts), 5 * (5 + CLASSES), SIDE, SIDE, generator=rng)
    boxes, labels = [], []
    for n in counts:
        corner, size = torch.rand(n, 2, generator=rng) * 0.6, torch.rand(n, 2, generator=rng) * 0.38 + 0.01
        boxes.append(torch.cat([corner, corner + size], dim=1))
        labels.append(torch.randint(CLASSES, (n,), generator=rng))
    found = region_loss(output, boxes, labels, ANCHORS)
    for name, value in written_out(output, boxes, labels).items():
        assert found[name].item() == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_of_two_boxes_at_one_place_the_last_counts() -> None:
    output = torch.randn(1, 5 * (5 + CLASSES), SIDE, SIDE, requires_grad=True)
    box = torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    twice = region_loss(output, [torch.cat([box + 0.001, box])], [torch.tensor([1, 2])], ANCHORS)
    once = region_loss(output, [box], [torch.tensor([2])], ANCHORS)
    assert twice["loss_class"].item() == once["loss_class"].item()
    assert twice["loss_xy"].item() == once["loss_xy"].item()
    sum(twice.values()).backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_rare_classes_can_weigh_more() -> None:
    output = torch.randn(1, 5 * (5 + CLASSES), SIDE, SIDE)
    boxes, labels = [torch.tensor([[0.1, 0.1, 0.3, 0.5]])], [torch.tensor([3])]
    plain = region_loss(output, boxes, labels, ANCHORS)
    weighed = region_loss(output, boxes, labels, ANCHORS, torch.tensor([1.0, 1.0, 1.0, 2.5]))
    assert weighed["loss_class"].item() == pytest.approx(2.5 * plain["loss_class"].item())
    assert weighed["loss_xy"] == plain["loss_xy"]


def test_a_coded_box_is_found_again() -> None:
    output = torch.full((1, 5, 5 + CLASSES, SIDE, SIDE), -12.0)
    output[0, 2, :, 3, 5] = torch.tensor([0.0, 1.0, math.log(0.5), 0.1, 8.0, -9.0, 9.0, -9.0, 2.0])
    (found,) = found_boxes(output.flatten(1, 2), ANCHORS)
    assert len(found.scores) == 1  # one class above 0.005: the others' probabilities are below
    x, y = (5 + 0.5) / SIDE, (3 + sigmoid(1.0)) / SIDE
    w, h = 0.5 * UCF24_ANCHORS[2][0] / SIDE, math.exp(0.1) * UCF24_ANCHORS[2][1] / SIDE
    expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    assert found.boxes[0].tolist() == pytest.approx([min(max(v, 0), 1) for v in expected], abs=1e-5)
    assert found.labels.tolist() == [1]
    assert found.scores[0].item() == pytest.approx(sigmoid(8.0), abs=1e-3)


def test_boxes_suppress_each_other_whatever_their_class_and_keep_all_their_classes() -> None:
    output = torch.full((1, 5, 5 + CLASSES, SIDE, SIDE), -12.0)
    output[0, 2, :, 3, 3] = torch.tensor([0.0, 0.0, 0.0, 0.0, 3.0, 1.0, 1.0, -9.0, -9.0])
    output[0, 2, :, 3, 4] = torch.tensor([-6.0, 0.0, 0.0, 0.0, 2.0, -9.0, -9.0, 3.0, -9.0])
    (found,) = found_boxes(output.flatten(1, 2), ANCHORS)
    assert sorted(found.labels.tolist()) == [0, 1]
    assert torch.equal(found.boxes[0], found.boxes[1])
    (both,) = found_boxes(output.flatten(1, 2), ANCHORS, overlap=0.95)
    assert sorted(both.labels.tolist()) == [0, 1, 2]
    (none,) = found_boxes(torch.full((1, 5 * (5 + CLASSES), SIDE, SIDE), -12.0), ANCHORS)
    assert none.boxes.shape == (0, 4)


def test_boxes_are_read_without_gradient() -> None:
    coded = take_apart(torch.randn(2, 45, SIDE, SIDE, requires_grad=True), ANCHORS)
    assert coded.boxes.shape == (2, 5, SIDE, SIDE, 4)
    assert not coded.boxes.requires_grad
    assert coded.xy.requires_grad

"""The bridge's operators as mmcv calls them, each against a computation written out number by number."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from vidsuite_core import openmmlab

openmmlab.prepare()
from mmcv import ops  # noqa: E402

pytestmark = pytest.mark.skipif(
    not openmmlab.install(), reason="a compiled mmcv is installed, so the bridge stands aside"
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_boxes(count: int, size: float = 40.0) -> Tensor:
    corner = torch.rand(count, 2) * size * 0.7
    return torch.cat([corner, corner + 1 + torch.rand(count, 2) * size * 0.3], dim=1)


def iou(a: list[float], b: list[float], offset: int, foreground: bool = False) -> float:
    def area(box: list[float]) -> float:
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    shared = width * height
    return shared / (area(a) if foreground else area(a) + area(b) - shared)


# --- boxes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["iou", "iof"])
@pytest.mark.parametrize("offset", [0, 1])
def test_bbox_overlaps(mode: str, offset: int) -> None:
    first, second = random_boxes(7), random_boxes(5)
    second[0] = torch.tensor([90.0, 90, 95, 95])  # meets none
    expected = [[iou(a, b, offset, mode == "iof") for b in second.tolist()] for a in first.tolist()]
    found = ops.bbox_overlaps(first, second, mode=mode, offset=offset)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert (found[:, 0] == 0).all()
    pairs = ops.bbox_overlaps(first[:5], second, mode=mode, aligned=True, offset=offset)
    np.testing.assert_allclose(pairs.numpy(), np.diagonal(expected), rtol=1e-5)
    assert ops.bbox_overlaps(first[:0], second).shape == (0, 5)


def soft_nms(
    boxes: list[list[float]], scores: list[float], method: str, offset: int, **limits: float
) -> list[tuple[int, float]]:
    """Index and score of each box taken, in order: the paper's figure 2, line by line."""
    left = dict(enumerate(scores))
    taken = []
    while left:
        best = max(left, key=lambda index: left[index])
        taken.append((best, left.pop(best)))
        for index in list(left):
            overlap = iou(boxes[best], boxes[index], offset)
            if method == "gaussian":
                left[index] *= math.exp(-(overlap**2) / limits["sigma"])
            elif overlap >= limits["iou_threshold"]:
                left[index] *= 1 - overlap if method == "linear" else 0
            if left[index] < limits["min_score"]:
                del left[index]
    return taken


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
@pytest.mark.parametrize("offset", [0, 1])
def test_soft_nms(method: str, offset: int) -> None:
    boxes, scores = random_boxes(40), torch.rand(40)
    limits = {"iou_threshold": 0.3, "sigma": 0.5, "min_score": 0.05}
    expected = soft_nms(boxes.tolist(), scores.tolist(), method, offset, **limits)
    dets, indices = ops.soft_nms(boxes, scores, method=method, offset=offset, **limits)
    assert indices.tolist() == [index for index, _ in expected]
    assert 3 < len(indices) < 40
    torch.testing.assert_close(dets[:, :4], boxes[indices])
    np.testing.assert_allclose(dets[:, 4].numpy(), [score for _, score in expected], rtol=1e-5)
    assert [len(part) for part in ops.soft_nms(boxes[:0], scores[:0])] == [0, 0]


# --- regions ------------------------------------------------------------------------------------------------


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    """Interpolated, zero outside; RoIAlign's and deformable convolution's rule where both agree (y, x inside)."""
    height, width = plane.shape
    total = 0.0
    for row, column in product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        if 0 <= row < height and 0 <= column < width:
            total += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_roi_align() -> None:
    features = torch.randn(2, 3, 12, 14).requires_grad_()
    rois = torch.tensor([[0, 2.0, 4.0, 17.0, 15.0], [1, 6.0, 3.0, 22.5, 19.0]])
    expected = np.zeros((2, 3, 2, 3))
    for n, (image, x1, y1, x2, y2) in enumerate((rois * torch.tensor([1, 0.5, 0.5, 0.5, 0.5])).tolist()):
        x1, y1, x2, y2 = x1 - 0.5, y1 - 0.5, x2 - 0.5, y2 - 0.5
        for c, row, column in product(range(3), range(2), range(3)):
            places = product((0.25, 0.75), (0.25, 0.75))  # two by two samples a bin
            points = [(y1 + (y2 - y1) * (row + v) / 2, x1 + (x2 - x1) * (column + u) / 3) for v, u in places]
            plane = features.detach().numpy()[int(image), c]
            expected[n, c, row, column] = np.mean([bilinear(plane, *point) for point in points])
    pooled = ops.roi_align(features, rois, (2, 3), 0.5, 2, "avg", True)
    np.testing.assert_allclose(pooled.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    double = features.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ops.roi_align(x, rois.double(), (2, 3), 0.5, 2, "avg", True), double)


def test_roi_pool() -> None:
    """mmcv's bins, whose corners torchvision would have rounded; a region lies half outside, the last is empty."""
    features = torch.randn(2, 3, 9, 11).requires_grad_()
    rois = torch.tensor(
        [[0, 3.0, 2.0, 16.0, 13.0], [1, 5.0, 7.0, 9.0, 8.0], [1, 8.0, 8.0, 40.0, 30.0], [0, 9, 9, 2, 2]]
    )
    scale, (rows, columns) = 0.5, (2, 3)
    expected, gradient = np.zeros((4, 3, rows, columns)), np.zeros((2, 3, 9, 11))
    weight = torch.randn(4, 3, rows, columns)
    for n, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        left, top, right, bottom = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        for c, row, column in product(range(3), range(rows), range(columns)):
            best, place = -math.inf, None
            for y, x in product(range(9), range(11)):
                tall, wide = (bottom - top) / rows, (right - left) / columns
                inside_y = math.floor(top + row * tall) <= y < math.ceil(top + (row + 1) * tall)
                inside_x = math.floor(left + column * wide) <= x < math.ceil(left + (column + 1) * wide)
                if inside_y and inside_x and features[int(image), c, y, x] > best:
                    best, place = features[int(image), c, y, x].item(), (y, x)
            if place and right > left and bottom > top:
                expected[n, c, row, column] = best
                gradient[int(image), c, place[0], place[1]] += weight[n, c, row, column].item()
    pooled = ops.roi_pool(features, rois, (rows, columns), scale)
    np.testing.assert_allclose(pooled.detach().numpy(), expected, rtol=1e-6)
    assert (expected[3] == 0).all()
    (pooled * weight).sum().backward()
    np.testing.assert_allclose(features.grad.numpy(), gradient, rtol=1e-5, atol=1e-7)


# --- deformable convolutions --------------------------------------------------------------------------------


def deformed(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, layout: dict[str, int]) -> np.ndarray:
    """Sums over the displaced points of the kernel, output by output (Dai et al., ICCV 2017, equation 2)."""
    (images, channels, *_), (outer, inner, kh, kw) = x.shape, weight.shape
    height, width = offset.shape[2:]
    groups, of_offsets = channels // inner, offset.shape[1] // (2 * kh * kw)
    found = np.zeros((images, outer, height, width))
    for n, o, i, j in product(range(images), range(outer), range(height), range(width)):
        for c, u, v in product(range(inner), range(kh), range(kw)):
            channel = o // (outer // groups) * inner + c
            point = (channel // (channels // of_offsets)) * kh * kw + u * kw + v
            y = i * layout["stride"] - layout["padding"] + u * layout["dilation"] + offset[n, 2 * point, i, j].item()
            z = (
                j * layout["stride"]
                - layout["padding"]
                + v * layout["dilation"]
                + offset[n, 2 * point + 1, i, j].item()
            )
            factor = 1.0 if mask is None else mask[n, point, i, j].item()
            found[n, o, i, j] += weight[o, c, u, v].item() * factor * bilinear(x[n, channel].numpy(), y, z)
    return found


LAYOUTS = [
    ({"stride": 1, "padding": 1, "dilation": 1}, 1, 1),
    ({"stride": 2, "padding": 2, "dilation": 2}, 2, 2),
]


@pytest.mark.parametrize(("layout", "groups", "of_offsets"), LAYOUTS)
def test_deform_conv(layout: dict[str, int], groups: int, of_offsets: int) -> None:
    x, weight = torch.randn(2, 4, 7, 6), torch.randn(4, 4 // groups, 3, 3)
    size = [(n + 2 * layout["padding"] - layout["dilation"] * 2 - 1) // layout["stride"] + 1 for n in x.shape[2:]]
    offset = torch.randn(2, of_offsets * 18, *size) * 1.5
    arguments = (*layout.values(), groups, of_offsets)
    found = ops.deform_conv2d(x, offset, weight, *arguments)
    np.testing.assert_allclose(found.numpy(), deformed(x, offset, None, weight, layout), rtol=1e-4, atol=1e-5)
    free = [one.double().requires_grad_() for one in (x, offset, weight)]
    assert torch.autograd.gradcheck(lambda x, o, w: ops.deform_conv2d(x, o, w, *arguments), free, fast_mode=True)


@pytest.mark.parametrize(("layout", "groups", "of_offsets"), LAYOUTS)
@pytest.mark.parametrize("biased", [True, False])
def test_modulated_deform_conv(layout: dict[str, int], groups: int, of_offsets: int, biased: bool) -> None:
    x, weight = torch.randn(2, 4, 7, 6), torch.randn(4, 4 // groups, 3, 3)
    bias = torch.randn(4) if biased else None
    size = [(n + 2 * layout["padding"] - layout["dilation"] * 2 - 1) // layout["stride"] + 1 for n in x.shape[2:]]
    offset, mask = torch.randn(2, of_offsets * 18, *size) * 1.5, torch.rand(2, of_offsets * 9, *size)
    arguments = (*layout.values(), groups, of_offsets)
    found = ops.modulated_deform_conv2d(x, offset, mask, weight, bias, *arguments)
    expected = deformed(x, offset, mask, weight, layout) + (bias.numpy()[:, None, None] if biased else 0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    free = [None if one is None else one.double().requires_grad_() for one in (x, offset, mask, weight, bias)]
    assert torch.autograd.gradcheck(lambda *free: ops.modulated_deform_conv2d(*free, *arguments), free, fast_mode=True)


def test_deform_conv_in_16_bit() -> None:
    x, weight, offset = torch.randn(1, 2, 5, 5), torch.randn(2, 2, 3, 3), torch.randn(1, 18, 5, 5)
    half = [one.bfloat16().requires_grad_() for one in (x, offset, weight)]
    found = ops.deform_conv2d(*half, 1, 1)
    assert found.dtype == torch.bfloat16
    found.sum().backward()
    assert all(one.grad is not None and one.grad.dtype == torch.bfloat16 for one in half)
    torch.testing.assert_close(found.float(), ops.deform_conv2d(x, offset, weight, 1, 1), rtol=0.05, atol=0.2)


def test_multi_scale_deformable_attention() -> None:
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    sizes = torch.tensor([[3, 4], [2, 2]])
    value, weights = torch.randn(1, 16, 2, 3), torch.rand(1, 5, 2, 2, 2)
    places = torch.rand(1, 5, 2, 2, 2, 2) * 0.8 + 0.1
    expected = np.zeros((1, 5, 6))
    for query, head, level, point in product(range(5), range(2), range(2), range(2)):
        height, width = sizes[level].tolist()
        start = 12 * level
        x, y = places[0, query, head, level, point].tolist()
        for channel in range(3):
            plane = value[0, start : start + height * width, head, channel].view(height, width).numpy()
            sampled = bilinear(plane, y * height - 0.5, x * width - 0.5)
            expected[0, query, head * 3 + channel] += weights[0, query, head, level, point].item() * sampled
    found = MultiScaleDeformableAttnFunction.apply(value, sizes, torch.tensor([0, 12]), places, weights, 64)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    free = [one.double().requires_grad_() for one in (value, places, weights)]
    assert torch.autograd.gradcheck(
        lambda v, p, w: MultiScaleDeformableAttnFunction.apply(v, sizes, torch.tensor([0, 12]), p, w, 64), free
    )


# --- losses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [2.0, 1.5])
@pytest.mark.parametrize("weighted", [True, False])
def test_sigmoid_focal_loss(gamma: float, weighted: bool) -> None:
    logits, target = torch.randn(6, 3) * 2, torch.tensor([0, 2, 1, 3, 2, 0])  # 3 is of no class
    weight = torch.tensor([0.5, 2.0, 1.5]) if weighted else None
    expected = np.zeros((6, 3))
    for n, c in product(range(6), range(3)):
        p = 1 / (1 + math.exp(-logits[n, c].item()))
        own = target[n] == c
        loss = -0.25 * (1 - p) ** gamma * math.log(p) if own else -0.75 * p**gamma * math.log(1 - p)
        expected[n, c] = loss * (weight[target[n]].item() if weighted and target[n] < 3 else 1)
    found = ops.sigmoid_focal_loss(logits, target, gamma, 0.25, weight, "none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-7)
    mean = ops.sigmoid_focal_loss(logits, target, gamma, 0.25, weight, "mean")
    assert mean.item() == pytest.approx(expected.sum() / 6, rel=1e-4)
    free, heavy = logits.double().requires_grad_(), None if weight is None else weight.double()
    assert torch.autograd.gradcheck(lambda x: ops.sigmoid_focal_loss(x, target, gamma, 0.25, heavy, "sum"), free)


@pytest.mark.parametrize("gamma", [2.0, 1.5])
@pytest.mark.parametrize("weighted", [True, False])
def test_softmax_focal_loss(gamma: float, weighted: bool) -> None:
    logits, target = torch.randn(6, 3) * 2, torch.tensor([0, 2, 1, -1, 2, 0])  # -1 does not count
    weight = torch.tensor([0.5, 2.0, 1.5]) if weighted else None
    expected = np.zeros(6)
    for n in range(6):
        if target[n] >= 0:
            row = logits[n].tolist()
            p = math.exp(row[target[n]]) / sum(map(math.exp, row))
            expected[n] = -0.25 * (1 - p) ** gamma * math.log(p) * (weight[target[n]].item() if weighted else 1)
    found = ops.softmax_focal_loss(logits, target, gamma, 0.25, weight, "none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-7)
    free, heavy = logits.double().requires_grad_(), None if weight is None else weight.double()
    assert torch.autograd.gradcheck(lambda x: ops.softmax_focal_loss(x, target, gamma, 0.25, heavy, "sum"), free)


def test_every_operator_of_the_bridge_is_tested_here_or_beside() -> None:
    from pathlib import Path

    from vidsuite_core.openmmlab.bridge import OPERATORS

    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    names = {name.replace("softnms", "soft_nms") for names in OPERATORS.values() for name in names}
    shortest = {name.removesuffix("_forward").partition("_backward")[0] for name in names} - {"ms_deform_attn"}
    assert {name for name in shortest if f"{name}(" not in texts and f"{name}2d(" not in texts} == set()

"""From YOWO's map to boxes and back: YOLOv2's box coding, its joint loss, and non-maximum suppression.

A cell (i, j) and an anchor (w, h), in cells, code a box, in cells, as

    x = j + sigmoid(tx),  y = i + sigmoid(ty),  width = w exp(tw),  height = h exp(th).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, box_iou, nms

COORD, OBJECT, NO_OBJECT, CLASS = 1.0, 5.0, 1.0, 1.0
"""Weights of the loss's parts, as in YOWO's configuration."""
IGNORED = 0.6
"""Predictions that overlap a true box more than this, without being responsible for it, count in no confidence loss."""
GAMMA = 2.0
"""Of the focal loss of the classes."""
UCF24_ANCHORS = (
    (0.70458, 1.18803),
    (1.26654, 2.55121),
    (1.59382, 4.08321),
    (2.30548, 4.9418),
    (3.52332, 5.91979),
)
"""YOWO's own anchors for UCF101-24, width and height in cells of a 7x7 map: what "without custom anchors" means."""


@dataclass(frozen=True)
class Coded:
    """A map taken apart: B clips, A anchors, h x w cells.

    Attributes:
        xy: (B, A, h, w, 2) sigmoids of tx, ty.
        wh: (B, A, h, w, 2) tw, th.
        confidence: (B, A, h, w) in (0, 1).
        classes: (B, A, h, w, K) logits.
        boxes: (B, A, h, w, 4) x, y, width, height in cells; without gradient.
    """

    xy: Tensor
    wh: Tensor
    confidence: Tensor
    classes: Tensor
    boxes: Tensor


def take_apart(output: Tensor, anchors: Tensor) -> Coded:
    """Decode a map (B, A (5 + K), h, w) by anchors (A, 2) in cells."""
    batch, _, height, width = output.shape
    values = output.view(batch, len(anchors), -1, height, width).permute(0, 1, 3, 4, 2)
    xy, wh = values[..., :2].sigmoid(), values[..., 2:4]
    with torch.no_grad():
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cells = torch.stack([columns, rows], dim=-1).to(output)
        boxes = torch.cat([xy + cells, wh.exp() * anchors.to(output)[:, None, None]], dim=-1)
    return Coded(xy, wh, values[..., 4].sigmoid(), values[..., 5:], boxes)


def region_loss(
    output: Tensor,
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    anchors: Tensor,
    class_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """YOWO's loss, summed over the batch: smooth L1 of the coordinates, squared error of confidence, focal classes.

    A true box is the business of the anchor whose shape is most like it, in the cell that holds its centre; of several
    boxes there the last counts. The confidence's target is the overlap of what is predicted there with the true box, 0
    elsewhere.

    Args:
        output: (B, A (5 + K), h, w).
        boxes: of each clip (n, 4), xyxy as shares of the frame; n may be 0.
        labels: of each clip (n,).
        anchors: (A, 2) in cells.
        class_weights: (K,), or None for ones.

    Returns:
        `loss_xy`, `loss_wh`, `loss_confidence`, `loss_class`.
    """
    coded = take_apart(output, anchors)
    height, width = output.shape[2:]
    scale = output.new_tensor([width, height, width, height])
    truth = [box_convert(one.to(output) * scale, "xyxy", "cxcywh") for one in boxes]
    weight = torch.full_like(coded.confidence, NO_OBJECT)
    wanted = torch.zeros_like(coded.confidence)
    with torch.no_grad():
        for clip, one in enumerate(truth):
            if len(one):
                overlap = _overlaps(coded.boxes[clip].reshape(-1, 4), one).amax(dim=1)
                weight[clip][overlap.view_as(weight[clip]) > IGNORED] = 0
    place, target, kinds = _responsible(truth, labels, anchors.to(output), (height, width))
    xy, wh = coded.xy[place], coded.wh[place]
    with torch.no_grad():
        weight[place] = OBJECT
        wanted[place] = _paired_overlaps(coded.boxes[place], target)
        offset = target[:, :2] - torch.stack([place[3], place[2]], dim=1)
        stretch = (target[:, 2:] / anchors.to(output)[place[1]]).log()
    log_p = F.log_softmax(coded.classes[place], dim=1).gather(1, kinds[:, None])[:, 0]
    share = 1.0 if class_weights is None else class_weights.to(output)[kinds]
    return {
        "loss_xy": COORD * F.smooth_l1_loss(xy, offset, reduction="sum") / 2,
        "loss_wh": COORD * F.smooth_l1_loss(wh, stretch, reduction="sum") / 2,
        "loss_confidence": (weight * (coded.confidence - wanted) ** 2).sum() / 2,
        "loss_class": CLASS * (-share * (1 - log_p.exp()) ** GAMMA * log_p).sum(),
    }


Place = tuple[Tensor, Tensor, Tensor, Tensor]
"""Clip, anchor, row and column, (n,) each."""


def _responsible(
    truth: Sequence[Tensor], labels: Sequence[Tensor], anchors: Tensor, size: tuple[int, int]
) -> tuple[Place, Tensor, Tensor]:
    """Where each true box is to be predicted, the boxes (n, 4) and their classes (n,): one a place, the last."""
    every = torch.cat(list(truth)) if truth else anchors.new_zeros(0, 4)
    kinds = torch.cat([one.to(every.device).long() for one in labels]) if labels else every.new_zeros(0).long()
    clip = torch.repeat_interleave(torch.arange(len(truth)), torch.tensor([len(one) for one in truth])).to(every.device)
    shared = torch.minimum(every[:, None, 2:], anchors).prod(dim=2)
    like = shared / (every[:, 2:].prod(dim=1)[:, None] + anchors.prod(dim=1) - shared)
    row = every[:, 1].long().clamp(0, size[0] - 1)
    column = every[:, 0].long().clamp(0, size[1] - 1)
    place = (clip, like.argmax(dim=1) if len(every) else clip, row, column)
    last = {tuple(key): index for index, key in enumerate(torch.stack(place, dim=1).tolist())}
    chosen = torch.tensor(sorted(last.values()), dtype=torch.long, device=every.device)
    return tuple(part[chosen] for part in place), every[chosen], kinds[chosen]  # type: ignore[return-value]


def _overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU (n, m) of boxes (n, 4) and (m, 4), given by centre and size."""
    return box_iou(box_convert(boxes, "cxcywh", "xyxy"), box_convert(others, "cxcywh", "xyxy"))


def _paired_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU (n,) of boxes (n, 4) with others (n, 4), given by centre and size."""
    a, b = box_convert(boxes, "cxcywh", "xyxy"), box_convert(others, "cxcywh", "xyxy")
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    return shared / (boxes[:, 2:].prod(dim=1) + others[:, 2:].prod(dim=1) - shared)


@dataclass(frozen=True)
class Found:
    """Boxes (m, 4), xyxy as shares of the frame, their scores (m,) by falling order, and classes (m,)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def found_boxes(
    output: Tensor, anchors: Tensor, least: float = 0.005, overlap: float = 0.4, most: int = 100
) -> list[Found]:
    """What a map (B, A (5 + K), h, w) says, clip by clip, as YOWO's evaluation reads it.

    Boxes are suppressed, whatever their class, by others of a higher confidence that overlap them by more than
    `overlap`. Each box that is left counts for every class for which its confidence times the class's probability
    exceeds `least` (the reference writes these further classes under the first one's name; here each has its own).

    Args:
        output: the map.
        anchors: (A, 2) in cells.
        least: the lowest score that counts.
        overlap: the highest overlap of two boxes.
        most: boxes of a clip.
    """
    coded = take_apart(output, anchors)
    height, width = output.shape[2:]
    scale = output.new_tensor([width, height, width, height])
    every = coded.confidence[..., None] * coded.classes.softmax(dim=-1)
    found = []
    parts = (coded.boxes.flatten(1, 3), coded.confidence.flatten(1), every.flatten(1, 3))
    for boxes, confidence, scores in zip(*parts, strict=True):
        likely = (scores.amax(dim=1) > least).nonzero()[:, 0]
        corners = box_convert(boxes[likely], "cxcywh", "xyxy") / scale
        kept = nms(corners, confidence[likely], overlap)
        box, label = (scores[likely[kept]] > least).nonzero(as_tuple=True)
        score = scores[likely[kept]][box, label]
        order = score.argsort(descending=True, stable=True)[:most]
        found.append(Found(corners[kept][box[order]].clamp(0, 1), score[order], label[order]))
    return found

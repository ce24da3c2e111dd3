"""mmcv's operators on boxes (n, 4), xyxy; `offset` 1 counts x2 and y2 as inside, as pixels are."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import ops


def wide(values: Tensor) -> Tensor:
    """float32 for the 16-bit types: torchvision's CPU operators lack bfloat16."""
    return values.float() if values.element_size() == 2 else values


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes, best first."""
    if offset:
        boxes = boxes + boxes.new_tensor((0, 0, offset, offset))
    return ops.nms(wide(boxes), wide(scores), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): overlapping boxes lose score instead of their place.

    The best box left is taken, and the scores of the others are multiplied by a factor of their overlap with it;
    whatever falls below `min_score` is dropped.

    Args:
        dets: (n, 5), filled with the boxes taken and their scores, best first.
        method: from `iou_threshold` on 0 drops and 1 multiplies by 1 - IoU; 2 multiplies all by exp(-IoU^2 / sigma).

    Returns:
        LongTensor (k,), the indices of the boxes taken; `dets` holds them in its first k rows.
    """
    left, scores = torch.arange(len(boxes), device=boxes.device), scores.clone()
    taken: list[Tensor] = []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(taken), :4], dets[len(taken), 4] = boxes[best], scores[best]
        taken.append(best)
        left = left[left != best]
        overlap = _overlaps(boxes[best], boxes[left], "iou", offset)
        if method == 2:
            factor = torch.exp(-overlap.square() / sigma)
        else:
            factor = torch.where(overlap >= iou_threshold, 1 - overlap if method == 1 else 0.0, 1.0)
        scores[left] *= factor
        left = left[scores[left] >= min_score]
    return torch.stack(taken) if taken else left


def bbox_overlaps(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Fill `ious` (m, n), or (m,) where boxes are `aligned`: over the union in mode 0, over the first box in mode 1."""
    first, second = wide(boxes1), wide(boxes2)
    ious.copy_(_overlaps(first if aligned else first[:, None], second, "iof" if mode else "iou", offset))


def _overlaps(boxes1: Tensor, boxes2: Tensor, mode: str, offset: int) -> Tensor:
    """Of boxes (..., 4) that broadcast."""
    low, high = torch.maximum(boxes1[..., :2], boxes2[..., :2]), torch.minimum(boxes1[..., 2:], boxes2[..., 2:])
    shared = (high - low + offset).clamp(min=0).prod(dim=-1)
    area1, area2 = ((b[..., 2:] - b[..., :2] + offset).prod(dim=-1) for b in (boxes1, boxes2))
    whole = area1 + area2 - shared if mode == "iou" else area1.expand_as(shared)
    return shared / whole.clamp(min=float(offset))

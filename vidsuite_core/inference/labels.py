"""From logits at 1/8 to a label map at full size, without interpolating every class for every pixel.

Each pixel lies in a cell between four logits' places, and its interpolated logits are a convex combination of
theirs. Where all four agree on the class, so does the pixel; only the other cells, along the borders between
classes, are interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_core.errors import UsageError

Corners = Literal["apart", "aligned"]
"""Of the two maps in an enlargement: torch's `align_corners` False (mmseg's way, and the default here) or True."""
WORTHWHILE = 0.4
"""Share of cells to interpolate up to which that is faster than interpolating all at once."""
AT_ONCE = 1 << 20
"""Interpolated logits, at most, that are held at once on a CPU: 4 MiB, which stay in the cache."""


@torch.no_grad()
def label_map(logits: Tensor, size: tuple[int, int], corners: Corners = "apart") -> Tensor:
    """The class of each pixel: `F.interpolate(logits, size, mode="bilinear")` and its argmax over the classes.

    Where two classes tie within rounding, either may be given.

    Args:
        logits: (1, K, h, w), float, K below 256.
        size: height H and width W, in pixels.
        corners: how the maps lie over each other.

    Returns:
        uint8 (H, W), where the logits are.

    Raises:
        UsageError: a batch, or more classes than uint8 holds.
    """
    if len(logits) != 1 or logits.shape[1] > 255:
        raise UsageError(f"logits {tuple(logits.shape)} are not of one frame and at most 255 classes")
    shrinks = any(n < own for n, own in zip(size, logits.shape[2:], strict=True))
    if logits.device.type != "cpu" or shrinks:
        return _everywhere(logits, size, corners)
    rows, columns = (_axis(own, n, corners) for own, n in zip(logits.shape[2:], size, strict=True))
    planes = logits[0].float().contiguous()
    classes = _argmax_(planes.clone())
    below, beside = classes[rows.next], classes[:, columns.next]
    mixed = (classes != below) | (classes != beside) | (classes != below[:, columns.next])
    y, x = mixed.nonzero(as_tuple=True)
    if len(y) > WORTHWHILE * mixed.numel():
        return _everywhere(logits, size, corners)
    labels = classes.index_select(1, columns.cell).index_select(0, rows.cell)
    step = max(AT_ONCE // (len(planes) * len(rows.pixels) * len(columns.pixels)), 1)
    for cells in zip(y.split(step), x.split(step), strict=True):
        _fill(labels, planes, rows, columns, *cells)
    return labels


def _everywhere(logits: Tensor, size: tuple[int, int], corners: Corners) -> Tensor:
    """The same by interpolating all classes for all pixels; a CPU does that faster with classes side by side."""
    if logits.device.type == "cpu":
        logits = logits.clone(memory_format=torch.channels_last)
    return F.interpolate(logits, size, mode="bilinear", align_corners=corners == "aligned").argmax(dim=1)[0].byte()


@dataclass(frozen=True)
class _Axis:
    """How the n pixels of an axis lie among the m places of its logits.

    Attributes:
        next: (m,), the place after each, the last's being itself.
        cell: (n,), the last place not after each pixel.
        weight: (n,), of the next place in each pixel.
        pixels: (p, m), the pixels of each cell, the last repeated where a cell has fewer than others.
    """

    next: Tensor
    cell: Tensor
    weight: Tensor
    pixels: Tensor


@lru_cache(maxsize=64)
def _axis(places: int, pixels: int, corners: Corners) -> _Axis:
    index = torch.arange(pixels, dtype=torch.float32)
    if corners == "aligned":
        at = index * (torch.tensor((places - 1) / (pixels - 1)) if pixels > 1 else 0)
    else:
        at = ((index + 0.5) * torch.tensor(places / pixels) - 0.5).clamp_min(0)
    cell = at.long().clamp_max(places - 1)
    weight = at - cell
    counts = torch.bincount(cell, minlength=places)
    first = counts.cumsum(0) - counts
    offsets = torch.arange(int(counts.max()))[:, None].clamp(max=(counts - 1).clamp_min(0))
    of_cell = (first + offsets).clamp_max(pixels - 1)
    after = (torch.arange(places) + 1).clamp_max(places - 1)
    return _Axis(after, cell, weight, of_cell)


def _fill(labels: Tensor, planes: Tensor, rows: _Axis, columns: _Axis, y: Tensor, x: Tensor) -> None:
    """Interpolate the c cells (y, x) of `planes` (K, h, w) and write their pixels' classes into `labels`.

    Cells are the last axis of all that is computed, which is the axis that a CPU takes in vectors.
    """
    width = planes.shape[2]
    flat = planes.flatten(1)
    corners = [flat[:, None, i * width + j] for i in (y, rows.next[y]) for j in (x, columns.next[x])]
    across, down = columns.weight[columns.pixels[:, x]], rows.weight[rows.pixels[:, None, y]]
    above, below = torch.lerp(corners[0], corners[1], across), torch.lerp(corners[2], corners[3], across)
    classes = _argmax_(torch.lerp(above[:, None], below[:, None], down))
    labels[rows.pixels[:, None, y], columns.pixels[:, x]] = classes


def _argmax_(planes: Tensor) -> Tensor:
    """Which of K planes (K, ...), float32, is largest: uint8 (...); it overwrites them.

    The planes' numbers take the place of the floats' lowest bits, so that one maximum, which a CPU takes in vectors,
    tells both. So logits tie that differ by less than 2^(b - 23) of themselves, b being the bits of K - 1.
    """
    low = (1 << (len(planes) - 1).bit_length()) - 1
    numbers = torch.arange(len(planes), dtype=torch.int32).view(-1, *[1] * (planes.ndim - 1))
    packed = planes.view(torch.int32).bitwise_and_(~low).bitwise_or_(low - numbers)
    largest = packed.view(torch.float32).amax(dim=0).view(torch.int32)
    return (
        largest.bitwise_not_().bitwise_and_(low).clamp_max_(len(planes) - 1).byte()
    )  # beyond K - 1: there was no number among them

"""mmcv's pooling of regions: `rois` (n, 5) are image, x1, y1, x2, y2."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision import ops

from vidsuite_core.openmmlab.boxes import wide


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `output` (n, C, h, w) from `input` (N, C, H, W)."""
    _require_average(pool_mode)
    size = (aligned_height, aligned_width)
    output.copy_(ops.roi_align(wide(input), wide(rois), size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `grad_input` (N, C, H, W) from `grad_output` (n, C, h, w)."""
    _require_average(pool_mode)
    grad, size = wide(grad_output), (aligned_height, aligned_width)
    with torch.enable_grad():
        anywhere = torch.zeros_like(grad_input, dtype=grad.dtype, requires_grad=True)  # it is linear in its input
        pooled = ops.roi_align(anywhere, wide(rois), size, spatial_scale, sampling_ratio, aligned)
        grad_input.copy_(torch.autograd.grad(pooled, anywhere, grad)[0])


def _require_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "RoIAlign with pool_mode 'max' needs a compiled mmcv; use pool_mode 'avg', the default of mmdet's configs"
        )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill `output` (n, C, h, w) with the maximum of each bin, and `argmax` with its place in its map, -1 for none.

    mmcv's bins differ from torchvision's, which rounds a region's corners to whole pixels first.
    """
    height, width = input.shape[2:]
    output.zero_()
    argmax.fill_(-1)
    for number, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        left, top = x1 * spatial_scale, y1 * spatial_scale
        across, down = (x2 + 1) * spatial_scale - left, (y2 + 1) * spatial_scale - top
        if across <= 0 or down <= 0:
            continue
        rows = [_bin(top, down / pooled_height, place, height) for place in range(pooled_height)]
        columns = [_bin(left, across / pooled_width, place, width) for place in range(pooled_width)]
        for row, (first, last) in enumerate(rows):
            for column, (begin, end) in enumerate(columns):
                if first >= last or begin >= end:
                    continue
                part = input[int(image), :, first:last, begin:end].flatten(1)
                output[number, :, row, column], place = part.max(dim=1)
                across_bin = end - begin
                argmax[number, :, row, column] = (first + place // across_bin) * width + begin + place % across_bin


def _bin(start: float, size: float, place: int, limit: int) -> tuple[int, int]:
    """First and one past the last pixel of a bin along an axis of `limit` pixels."""
    first, last = math.floor(start + place * size), math.ceil(start + (place + 1) * size)
    return min(max(first, 0), limit), min(max(last, 0), limit)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add each gradient in `grad_output` (n, C, h, w) to `grad_input` (N, C, H, W) where the maximum was."""
    images = rois[:, 0].long()
    flat = grad_input.flatten(2)
    for number, image in enumerate(images.tolist()):
        places, gradients = argmax[number].flatten(1).long(), grad_output[number].flatten(1)
        flat[image].scatter_add_(1, places.clamp(min=0), gradients * (places >= 0))
    grad_input.copy_(flat.view_as(grad_input))

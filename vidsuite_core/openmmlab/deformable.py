"""mmcv's deformable convolutions and attention: the convolutions by torchvision's, gradients by autograd of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from vidsuite_core.openmmlab.boxes import wide


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **shape: int
) -> None:
    """Fill `output` (N, C', h, w); groups follow from the shapes, as do the kernel's height and width."""
    output.copy_(_convolve(input, offset, weight, **_layout(shape)))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **shape: int,
) -> None:
    """Fill the gradients of input and offset."""
    layout = _layout(shape)
    _fill([grad_input, grad_offset], grad_output, lambda x, o: _convolve(x, o, weight, **layout), [input, offset])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float = 1,
    **shape: int,
) -> None:
    """Fill the gradient of the weight, times `scale`."""
    layout = _layout(shape)
    weight = torch.zeros_like(grad_weight)  # the convolution is linear in it
    _fill([grad_weight], grad_output * scale, lambda w: _convolve(input, offset, w, **layout), [weight])


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **shape: int,
) -> None:
    """Fill `output` (N, C', h, w); `mask` weighs each point of the kernel."""
    output.copy_(_convolve(input, offset, weight, mask, bias if with_bias else None, **_layout(shape)))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **shape: int,
) -> None:
    """Fill the gradients of everything."""
    layout = _layout(shape)
    _fill(
        [grad_input, grad_offset, grad_weight, grad_mask],
        grad_output,
        lambda x, o, w, m: _convolve(x, o, w, m, **layout),
        [input, offset, weight, mask],
    )
    if with_bias:
        grad_bias.copy_(grad_output.sum(dim=(0, 2, 3)))


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention, by the form of it in torch that mmcv itself brings."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    found: Tensor = multi_scale_deformable_attn_pytorch(value, spatial_shapes, sampling_locations, attention_weights)
    return found


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Fill the gradients of values, places and weights."""
    _fill(
        [grad_value, grad_sampling_loc, grad_attn_weight],
        grad_output,
        lambda v, p, w: ms_deform_attn_forward(v, spatial_shapes, level_start_index, p, w, im2col_step),
        [value, sampling_locations, attention_weights],
    )


_SHORT = {"dH": "stride_h", "dW": "stride_w", "padH": "pad_h", "padW": "pad_w"}
_SHORT |= {"dilationH": "dilation_h", "dilationW": "dilation_w"}


def _layout(shape: dict[str, int]) -> dict[str, Any]:
    """torchvision's stride, padding and dilation from mmcv's names of them, which differ between its operators."""
    named = {_SHORT.get(name, name): value for name, value in shape.items()}
    parts = {"stride": "stride", "padding": "pad", "dilation": "dilation"}
    return {theirs: (named[f"{ours}_h"], named[f"{ours}_w"]) for theirs, ours in parts.items()}


def _convolve(
    input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None, bias: Tensor | None = None, **layout: Any
) -> Tensor:
    mask, bias = (None if one is None else wide(one) for one in (mask, bias))
    return deform_conv2d(wide(input), wide(offset), wide(weight), bias, mask=mask, **layout)


def _fill(
    gradients: Sequence[Tensor], grad_output: Tensor, function: Callable[..., Tensor], inputs: Sequence[Tensor]
) -> None:
    """Fill `gradients` with those of `function` for its `inputs`, `grad_output` being that of its result."""
    with torch.enable_grad():
        free = [wide(one.detach()).requires_grad_() for one in inputs]
        found = torch.autograd.grad(function(*free), free, wide(grad_output))
    for target, gradient in zip(gradients, found, strict=True):
        target.copy_(gradient)

"""mmcv's focal losses (Lin et al., ICCV 2017) for one label a row: FL(p) = -alpha (1 - p)^gamma log p."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny
"""What a probability of zero counts as in a logarithm."""


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `output` (n, K) from logits (n, K): each class by itself; a target outside of 0 .. K - 1 is of no class.

    Args:
        weight: (K,), of rows by their class, or empty; rows of no class weigh 1.
    """
    p, own = input.sigmoid(), _one_hot(target, input)
    of_class = (1 - p) ** gamma * _log(p)
    of_others = p**gamma * _log(1 - p)
    output.copy_(-(alpha * own * of_class + (1 - alpha) * (1 - own) * of_others) * _row_weights(target, weight, input))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `grad_input` (n, K), the derivative of each loss by its logit."""
    p, own = input.sigmoid(), _one_hot(target, input)
    of_class = (1 - p) ** gamma * (1 - p - gamma * p * _log(p))
    of_others = p**gamma * (gamma * (1 - p) * _log(1 - p) - p)
    grad = -(alpha * own * of_class + (1 - alpha) * (1 - own) * of_others)
    grad_input.copy_(grad * _row_weights(target, weight, input))


def softmax_focal_loss_forward(
    softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `output` (n,) from probabilities (n, K); 0 for rows whose target is negative."""
    p, counts = _of_target(softmax, target)
    loss = -alpha * (1 - p) ** gamma * _log(p)
    output.copy_(loss * counts * _row_weights(target, weight, softmax)[:, 0])


def softmax_focal_loss_backward(
    softmax: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `grad_input` (n, K), the derivatives by the logits behind `softmax`, and `buff` (n,), p times that by p."""
    p, counts = _of_target(softmax, target)
    by_p = alpha * (gamma * (1 - p) ** (gamma - 1) * p * _log(p) - (1 - p) ** gamma)
    buff.copy_(by_p * counts * _row_weights(target, weight, softmax)[:, 0])
    grad_input.copy_(buff[:, None] * (_one_hot(target, softmax) - softmax))


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_TINY).log()


def _one_hot(target: Tensor, rows: Tensor) -> Tensor:
    """(n, K) of `rows`' type: 1 at each row's class, no 1 where it has none."""
    return (target[:, None] == torch.arange(rows.shape[1], device=rows.device)).to(rows.dtype)


def _row_weights(target: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """(n, 1): the weight of each row's class, 1 where it has none or there are no weights."""
    if not weight.numel():
        return rows.new_ones(len(rows), 1)
    known = (target >= 0) & (target < len(weight))
    return torch.where(known, weight[target.clamp(0, len(weight) - 1)], 1.0)[:, None]


def _of_target(softmax: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) the probability of each row's class, and whether it has one."""
    return softmax.gather(1, target.clamp(min=0)[:, None])[:, 0], target >= 0

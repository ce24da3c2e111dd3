"""Features of a clip seen from several sides: a network trains on one of them at a time, and answers by all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vidsuite_core.errors import UsageError

TURNS = 4
"""Quarter turns; as many again are mirrored."""


def checked(views: Sequence[int]) -> tuple[int, ...]:
    """Numbers of views, each once and from 0 to 7.

    Raises:
        UsageError: they are not.
    """
    numbers = tuple(views)
    if not numbers or len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(2 * TURNS)):
        raise UsageError(f"views {list(views)} are not numbers from 0 to 7, each once; 0 is the clip as it is")
    return numbers


def seen_from(clip: np.ndarray, view: int) -> np.ndarray:
    """A square clip (T, S, S, C) after `view` quarter turns, or, from 4 on, `view - 4` and mirrored left to right."""
    turned = np.rot90(clip, view % TURNS, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if view >= TURNS else turned)


def one_view(inputs: Tensor) -> Tensor:
    """Features (B, V, T, C) -> (B, T, C), of each sample a view at random; (B, T, C) as they are."""
    if inputs.ndim == 3:
        return inputs
    drawn = torch.randint(inputs.shape[1], (len(inputs),), device=inputs.device)
    return inputs[torch.arange(len(inputs), device=inputs.device), drawn]


def over_views(logits: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The logits (B, K) of features (B, V, T, C), the mean over views; of (B, T, C), those that `logits` gives."""
    if inputs.ndim == 3:
        return logits(inputs)
    return logits(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]).mean(dim=1)

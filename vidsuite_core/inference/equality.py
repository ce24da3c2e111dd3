"""When a back end counts as equal to the plain network, which runs eagerly in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FP32 = 1e-4
"""In float32 no number may differ by more of the results' spread (largest less smallest), tensor by tensor."""
BF16 = 0.1
"""In bfloat16 the differences' norm may be this of the norm of the results less their mean, tensor by tensor.

Single numbers differ by more: bfloat16 keeps 8 bits, and a network's layers add up what each rounds away.
"""
LABELS = {"fp32": 1e-3, "bf16": BF16}
"""Share of whole numbers and truth values that may be others: a rounding can turn a near tie."""


@dataclass(frozen=True)
class Difference:
    """How far results are from those expected, of the tensor in which that is most.

    Attributes:
        largest: of one number, as a share of the spread.
        norm: of all, as a share of the norm of what is expected less its mean.
        labels: share of whole numbers that differ.
    """

    largest: float = 0.0
    norm: float = 0.0
    labels: float = 0.0

    def within(self, precision: str) -> bool:
        """Whether that is within the tolerance of "fp32" or "bf16"."""
        numbers = self.largest <= FP32 if precision == "fp32" else self.norm <= BF16
        return numbers and self.labels <= LABELS[precision]

    def text(self, precision: str) -> str:
        """Why it is not within the tolerance."""
        if self.labels > LABELS[precision]:
            return f"{self.labels:.2%} of its whole numbers differ from the plain network's"
        if precision == "fp32":
            return f"its results differ by {self.largest:.1e} of their spread from the plain network's, over {FP32:g}"
        return f"its results differ by {self.norm:.1e} in norm from the plain network's, over {BF16:g}"


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> Difference:
    """Compare results tensor by tensor, wherever they are; infinite where numbers, shapes or what is finite differ."""
    worst = Difference()
    if len(found) != len(expected):
        return Difference(largest=torch.inf, norm=torch.inf)
    for one, other in zip(found, expected, strict=True):
        here = _of_one(one.detach(), other.detach())
        worst = Difference(max(worst.largest, here.largest), max(worst.norm, here.norm), max(worst.labels, here.labels))
    return worst


def _of_one(found: Tensor, expected: Tensor) -> Difference:
    if found.shape != expected.shape:
        return Difference(largest=torch.inf, norm=torch.inf)
    found = found.to(expected.device)
    if expected.numel() == 0:
        return Difference()
    if not expected.is_floating_point():
        return Difference(labels=(found != expected).float().mean().item())
    found, expected = found.float(), expected.float()
    finite = expected.isfinite()
    same_rest = torch.equal(finite, found.isfinite()) and torch.equal(
        found[~finite].nan_to_num(), expected[~finite].nan_to_num()
    )
    if not same_rest:
        return Difference(largest=torch.inf, norm=torch.inf)
    found, expected = found[finite], expected[finite]
    if expected.numel() == 0:
        return Difference()
    off = found - expected
    size = expected.abs().max().item() or 1.0
    # Results that are all alike have neither spread nor deviation: their size takes the place of both.
    spread = (expected.max() - expected.min()).item()
    deviation = (expected - expected.mean()).norm().item()
    alike = spread <= 1e-6 * size
    return Difference(
        largest=off.abs().max().item() / (size if alike else spread),
        norm=off.norm().item() / (size * expected.numel() ** 0.5 if alike else deviation),
    )

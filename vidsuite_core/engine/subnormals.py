"""Numbers too small for a float's usual form, which CPUs compute with ten times as slowly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Within, this thread takes subnormal numbers for zero: networks whose values die away keep their speed.

    The processor's setting is put back afterwards: others in the process may count on IEEE 754 arithmetic.
    """
    before = flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes() -> bool:
    """Whether this thread takes subnormal numbers for zero."""
    return (torch.tensor(1e-310, dtype=torch.float64) * 0.5).item() == 0

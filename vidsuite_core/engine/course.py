"""What accumulates while a cell runs: its progress, the time of each phase, and what has to be said of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Report = Callable[[str, int, int], None]
"""Called as report(what, done, total)."""


@dataclass
class Course:
    """The course of one cell; `phases` are seconds by name, and `warnings` go to the record."""

    report: Report
    phases: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Say that a phase begins, and add what it takes to its time."""
        self.report(name, 0, 0)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - start

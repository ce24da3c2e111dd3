"""Progress on the terminal: live where there is one, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidsuite_core.runner.bench import Silent, Watcher
from vidsuite_core.runner.forecast import duration
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from vidsuite_core.results.cell import Cell
    from vidsuite_core.runner.executor import Event
    from vidsuite_core.runner.forecast import Forecast
    from vidsuite_core.runner.schedule import Outcome

_EVERY = 10.0
"""Seconds between two plain lines about the same step."""


@contextmanager
def watcher_for(console: Console) -> Iterator[Watcher]:
    """A live display on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    live = _Live(console)
    with live.progress:
        yield live


def summary(outcome: Outcome) -> str:
    """One line on what came of a cell."""
    if outcome.attempt is None:
        return printable(f"{'–':<8} {outcome.cell.title}: {outcome.problem}")
    from vidsuite_core.results.withheld import KEPT_BACK, is_withheld

    record = outcome.attempt.record
    if record.status != "ok":
        line = f"{record.status:<8} {outcome.cell.title}: {record.reason} (log: {outcome.attempt.path / 'log.txt'})"
        return printable(line)
    seconds = "reused" if outcome.reused else f"{sum(record.phases.values()):.1f} s"
    if is_withheld(record):
        return f"{'ok':<8} {outcome.cell.title}: {KEPT_BACK} ({seconds})"
    name, score = next(iter(record.scores.items()))
    value = "–" if score.value is None else f"{score.value:.3f}"
    return f"{'ok':<8} {outcome.cell.title}: {name} {value} ({seconds})"


class _Lines(Silent):
    """Plain lines: each step once, then at most one line in ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last: dict[str, float] = {}
        self._expected = False
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def preparing(self, what: str, done: int, total: int) -> None:
        self._now_and_then(what, done, total)

    def planned(self, cells: Sequence[Cell]) -> None:
        self.say(f"{len(cells)} cells")

    def expects(self, forecast: Forecast) -> None:
        if forecast.cells and not self._expected:
            self._expected = True
            self.say(f"{forecast.cells} cells to run; {forecast}")

    def event(self, event: Event) -> None:
        if event.total:
            self._now_and_then(f"{event.slot}: {event.cell.title}: {event.what}", event.done, event.total)

    def finished(self, outcome: Outcome) -> None:
        self.say(summary(outcome))

    def _now_and_then(self, what: str, done: int, total: int) -> None:
        with self._lock:
            now = time.monotonic()
            due = now - self._last.get(what, -_EVERY) >= _EVERY
            if due:
                self._last[what] = now
        if due:
            self.say(f"{what} {done}" + (f" of {total}" if total else ""))


class _Live(Silent):
    """A bar for the run, and one for what is being prepared or run on each slot."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self.progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, int] = {}
        self._whole: int | None = None

    def say(self, line: str) -> None:
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def preparing(self, what: str, done: int, total: int) -> None:
        self._update("preparing", what, done, total)
        if total and done >= total:
            self._drop("preparing")

    def planned(self, cells: Sequence[Cell]) -> None:
        self._drop("preparing")
        self._whole = int(self.progress.add_task("cells", total=len(cells)))

    def expects(self, forecast: Forecast) -> None:
        if self._whole is not None and forecast.seconds:
            left = f"cells, about {duration(forecast.seconds)} left"
            more = f" and {forecast.unknown} unknown" if forecast.unknown else ""
            self.progress.update(self._whole, description=left + more)  # type: ignore[arg-type]

    def event(self, event: Event) -> None:
        self._update(event.slot, f"{event.cell.title}: {event.what}", event.done, event.total)

    def finished(self, outcome: Outcome) -> None:
        self.say(summary(outcome))
        if self._whole is not None:
            self.progress.advance(self._whole)  # type: ignore[arg-type]

    def _update(self, key: str, text: str, done: int, total: int) -> None:
        if key not in self._tasks:
            self._tasks[key] = int(self.progress.add_task(text))
        self.progress.update(self._tasks[key], description=text[:52], completed=done, total=total or None)  # type: ignore[arg-type]

    def _drop(self, key: str) -> None:
        if key in self._tasks:
            self.progress.remove_task(self._tasks.pop(key))  # type: ignore[arg-type]

"""What `bench --dry-run` tells: what a run would run, reuse, generate and fetch, and how long it may take."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from vidsuite_core.results.store import Store
from vidsuite_core.runner.forecast import History, forecast, longest_first
from vidsuite_core.runner.reuse import reusable

if TYPE_CHECKING:
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.runner.schedule import Planned
    from vidsuite_core.specs import DatasetSpec


class Foresight:
    """Gathers what a run would do. Reads the run folder and writes nothing.

    Args:
        slots: cells that run at once.
        fresh: whether attempts are not reused.

    Attributes:
        reused, run: cells of data that are here.
        fetched: weights that are not here, in words.
    """

    def __init__(self, store: Store, slots: int, fresh: bool) -> None:
        self._store, self._slots, self._fresh = store, slots, fresh
        self.reused: list[Planned] = []
        self.run: list[Planned] = []
        self.fetched: Sequence[str] = ()
        self._unnamed: set[int] = set()
        self._models: list[str] = []
        self._data: dict[str, str] = {}
        self._changes: dict[str, None] = {}

    def cell(self, planned: Planned, known: bool) -> None:
        """A cell of data that are here; not `known` is one whose id depends on weights that are not."""
        attempt, changed = reusable(self._store, planned) if known and not self._fresh else (None, "")
        if changed:
            self._changes[changed] = None
        (self.run if attempt is None else self.reused).append(planned)
        if not known:
            self._unnamed.add(id(planned))

    def missing_data(self, key: str, spec: DatasetSpec, dataset: Dataset) -> None:
        """A dataset that is not here."""
        size = f"about {spec.size / 1e6:.0f} MB" if spec.size else "of unknown size"
        self._data[key] = f"generate  {key}, {size}" if spec.synthetic else f"get       {key}: {dataset.how_to_get()}"

    def model(self, title: str, folds: int | None, seeds: int) -> None:
        """A model on data that are not here; `folds` are those of a protocol that needs no samples to tell."""
        count = f"{folds} folds" if folds else "its folds are not known before the data are here"
        self._models.append(f"run       {title} · {count}, {seeds} seeds")

    def lines(self) -> Iterator[str]:
        """A line each, in the order in which a run does it, and what it comes to."""
        yield from self._data.values()
        yield from (f"fetch     {text}" for text in self.fetched)
        yield from (f"reuse     {planned.cell.cell_id}  {planned.cell.title}" for planned in self.reused)
        yield from (f"changed   {text}" for text in self._changes)
        history = History(self._store)
        ordered = longest_first(self.run, history)
        for planned in ordered:
            cell = planned.cell
            name = "(its id needs the weights)" if id(planned) in self._unnamed else cell.cell_id
            yield f"run       {name}  {cell.title}"
        yield from self._models
        parts = [f"{len(self.run)} cells to run, {len(self.reused)} reused"] if self.run or self.reused else []
        if self.run:
            parts.append(str(forecast(ordered, history, self._slots)))
        if self._models:
            parts.append("of data that are not here yet cells and times are not known")
        yield "; ".join(parts)


def import_configs() -> None:
    """Import mmengine's configs without what yapf, which these import, writes into the user's cache the first time."""
    usual = os.environ.get("XDG_CACHE_HOME")
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            import_module("mmengine.config")
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if usual is not None:
                os.environ["XDG_CACHE_HOME"] = usual

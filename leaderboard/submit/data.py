"""What of a submission's benchmark and dataset is at hand here, to check its predictions against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.protocols import make_folds

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import Suite


@dataclass(frozen=True)
class Data:
    """A dataset that is ready here: samples by id, each fold's test side, classes; `unknown` says why there is none."""

    fingerprint: str = ""
    samples: Mapping[str, Any] = field(default_factory=dict)
    tests: Mapping[str, Sequence[str]] = field(default_factory=dict)
    classes: Sequence[str] = ()
    unknown: str = ""


class Here:
    """The benchmarks and datasets that are installed; nothing is prepared or fetched for a check."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._data = cache(self._read)

    def protocol(self, record: Record) -> tuple[Mapping[str, Any] | None, str]:
        """The installed benchmark's protocol for the record's dataset, or None and why it is not known."""
        cell = record.cell
        for kind, name in (("benchmarks", cell.benchmark), ("datasets", cell.dataset)):
            if name not in set(getattr(self.suite, kind)):
                return None, f"its {kind[:-1]} {name} is not installed here"
        definition = self.suite.benchmarks[cell.benchmark].definition()
        if cell.preset not in definition.presets:
            return None, f"its benchmark has no preset {cell.preset} here"
        return definition.protocol_of(cell.dataset, cell.preset), ""

    def data(self, record: Record) -> Data:
        """The data that the record was run on, as its fingerprint says."""
        cell = record.cell
        data = self._data(cell.benchmark, cell.dataset, cell.preset)
        if not data.unknown and data.fingerprint != record.score_key["dataset"]:
            return Data(unknown=f"the data of {cell.dataset} here are not those that it was run on")
        return data

    def _read(self, benchmark: str, dataset: str, preset: str) -> Data:
        definition, handle = self.suite.benchmarks[benchmark].definition(), self.suite.datasets[dataset]
        try:
            opened = handle.open(None, **definition.options(handle.key, preset))
            if not opened.is_ready():
                return Data(unknown=f"the data of {dataset} are not here")
            samples = opened.samples()
            folds = make_folds(definition.protocol_of(handle.key, preset), samples)
            return Data(
                opened.fingerprint(),
                {sample.id: sample for sample in samples},
                {fold.name: fold.test for fold in folds},
                tuple(opened.class_names()),
            )
        except (VidsuiteError, OSError) as error:
            return Data(unknown=f"the data of {dataset} here cannot be read: {error}")

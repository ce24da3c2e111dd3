"""That this machine decodes other pixels than an import saw is told by `bench`, in each record, and by `doctor`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidsuite_core.cli.doctor import Finding, _recordings
from vidsuite_core.datasets import Dataset, Progress, silent
from vidsuite_core.runner.planner import Planner
from vidsuite_core.suite import DatasetHandle


class Ward(Dataset):
    """A dataset of two recordings; `changes` are the lines on them."""

    changes: tuple[str, ...] = ()

    def is_ready(self) -> bool:
        return True

    def samples(self) -> list[Any]:
        return []

    def fingerprint(self) -> str:
        return ""

    def decoding_changes(self, progress: Progress = silent) -> list[str]:
        progress("compare frames", 1, 1)
        return list(self.changes)


class Other(Ward):
    changes = ("r1: 2 of 5 frames decode to other pixels", "r2: 1 of 5 frames decodes to other pixels")


def handle(dataset: type[Ward], root: Path, *, synthetic: bool = False) -> Any:
    spec = SimpleNamespace(synthetic=synthetic)
    return SimpleNamespace(key="paper/ward", spec=spec, open=lambda: dataset(root))


def notes(dataset: type[Ward], root: Path, **more: bool) -> list[str]:
    planner: Any = SimpleNamespace(watcher=SimpleNamespace(preparing=silent))
    found: DatasetHandle = handle(dataset, root, **more)
    return Planner._notes(planner, found, dataset(root))


def test_a_record_warns_of_other_pixels(tmp_path: Path) -> None:
    assert notes(Ward, tmp_path) == []
    assert notes(Other, tmp_path, synthetic=True) == [
        "paper/ward is a synthetic dataset",
        "r1: 2 of 5 frames decode to other pixels (and 1 recordings more)",
    ]


def test_the_doctor_compares_what_was_brought_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(dataset: type[Ward]) -> Finding:
        suite = SimpleNamespace(datasets={"paper/ward": handle(dataset, tmp_path)})
        monkeypatch.setattr("vidsuite_core.cli.doctor.load", lambda: suite)
        monkeypatch.setattr("vidsuite_core.cli.data.open_dataset", lambda suite, handle, root, preset: handle.open())
        return _recordings()

    same = found(Ward)
    assert same.well
    assert same.text.startswith("what was brought in decodes to the same pixels here (PyAV ")
    told = "paper/ward: r1: 2 of 5 frames decode to other pixels; and 1 recordings more"
    assert found(Other) == Finding("recordings", False, told)

"""Runs to hand in, and ways to spoil them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from board_runs import BEGINNING, HARDWARE, SEIZURE
from board_runs import attempt as whole_attempt
from helpers import core_suite, keep, make_cell, score_rows

from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import PREDICTIONS, RESULT, Attempt, Store
from vidsuite_core.support.files import file_sha256
from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.submit import packfile
from vidsuite_leaderboard.submit.packs import Report
from vidsuite_leaderboard.submit.submission import SUBMISSION

BY = "Lab of A. & B."
MODEL = "seizure_i3d/i3d_lstm_fc"
FOLDS = 5


def attempt(root: Path, fold: str, **more: Any) -> Attempt:
    """A good attempt at a fold of `MODEL`."""
    return whole_attempt(root, MODEL, fold=fold, **{"folds": FOLDS, "weights": [], **more})


def failed(root: Path, fold: str, reason: str, model: str = MODEL, **more: Any) -> Attempt:
    """An attempt that came to nothing."""
    cell = make_cell(model, fold, folds=FOLDS, **SEIZURE)
    fields = {"status": "failed", "reason": reason, "created": BEGINNING, "hardware": HARDWARE}
    return keep(Store(root), cell, None, None, **{**fields, **more})


def faults(report: Report) -> list[str]:
    return [f"{finding.where}: {finding.text}" for finding in report.findings if finding.kind == "fault"]


def repacked(root: Path, out: Path, **more: bytes) -> Path:
    """A pack of a run folder as it is, whatever is wrong with it."""
    members: dict[str, bytes | Path] = {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()
    }
    told = {"schema_version": 1, "by": BY, "created": "2026-09-01T12:00:00Z"}
    packfile.write(out, {SUBMISSION: json.dumps(told).encode(), **members, **more})
    return out


def good(root: Path) -> Attempt:
    found = [a for a in Store(root).everything() if isinstance(a, Attempt) and a.record.status == "ok"]
    return found[0]


def rewrite(found: Attempt, change: Callable[[dict[str, Any]], None], *, rehash: bool = False) -> None:
    """Change the record of an attempt; `rehash` makes its ids and folder follow."""
    data = json.loads((found.path / RESULT).read_text())
    change(data)
    if rehash:
        data["score_id"] = digest(data["score_key"])
        names = {n: v for n, v in data["cell"].items() if n != "plugin"}
        cell = Cell(**names, device_kind=data["device"]["kind"], score_key=data["score_key"])
        data["cell_id"] = cell.cell_id
    (found.path / RESULT).write_text(json.dumps(data))
    target = found.path.parents[1] / data["cell_id"] / found.path.name
    if target != found.path:
        target.parent.mkdir(exist_ok=True)
        found.path.rename(target)
        if not any(found.path.parent.iterdir()):
            found.path.parent.rmdir()


def repredict(found: Attempt, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the predictions of an attempt, hash, scores and all."""
    arrays = found.predictions()
    change(arrays)
    np.savez_compressed(found.path / PREDICTIONS, **arrays)
    task = core_suite().tasks["clip_classification"].open(found.record.classes)
    sha256 = file_sha256(found.path / PREDICTIONS)

    def follow(data: dict[str, Any]) -> None:
        data["scores"] = score_rows(task, arrays)
        data["files"][PREDICTIONS] = sha256

    rewrite(found, follow)


def altered(whole: Path, folder: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The pack with other members; names and order as `change` leaves them."""
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    packfile.write(folder / "altered.zip", dict(members))
    return folder / "altered.zip"


def repredict_with(found: Attempt, change: Callable[[dict[str, Any]], None]) -> None:
    """Other predictions under the recorded scores."""
    arrays = found.predictions()
    change(arrays)
    np.savez_compressed(found.path / PREDICTIONS, **arrays)
    sha256 = file_sha256(found.path / PREDICTIONS)
    rewrite(found, lambda data: data["files"].update({PREDICTIONS: sha256}))

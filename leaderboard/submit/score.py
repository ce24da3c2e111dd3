"""Scoring a pack of predictions where the labels are that a benchmark keeps back."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.record import Holder, Record
from vidsuite_core.results.scores import scored
from vidsuite_core.results.store import CONFIG, LOG, PREDICTIONS, Attempt, Store
from vidsuite_core.results.verification import verified
from vidsuite_core.results.withheld import is_withheld, joined, labels_of
from vidsuite_core.specs import resolve
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import atomic_folder
from vidsuite_leaderboard.submit.packs import FAULT, Report, check, place_below

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Task


def score(
    suite: Suite, path: Path, into: Path, by: str, labels: Path | None = None, known: Sequence[Path] = ()
) -> Report:
    """Check a pack that may be a stranger's, and score what it predicts of samples whose labels are kept back.

    One without a fault goes to a folder of its own below `into`: attempts that say who scored them, with the hash of
    the labels and without the labels; what else the pack holds as it is.

    Args:
        by: who has the labels.
        labels: folder of the dataset with them; by default where its data are kept.
        known: see `check`.

    Raises:
        UsageError: there is no such file.
    """
    return check(suite, path, into, known=known, take=_Scoring(suite, by, labels).take)


@dataclass(frozen=True)
class _Scoring:
    suite: Suite
    by: str
    labels: Path | None

    def take(self, folder: Path, into: Path, report: Report) -> str:
        """Score what was checked, and write it whole or not at all; see `check`."""
        found: list[tuple[Path, Record]] = []
        for entry in Store(folder).everything():
            if isinstance(entry, Attempt) and is_withheld(entry.record) and entry.record.status == "ok":
                place = entry.path.relative_to(folder)
                try:
                    found.append((place, self._scored(entry)))
                except VidsuiteError as error:
                    report.add(FAULT, place.as_posix(), str(error).replace(f"{folder}/", ""))
                except Exception as error:  # a stranger's arrays may make a task raise anything
                    report.add(FAULT, place.as_posix(), f"it cannot be scored: {type(error).__name__}: {error}")
        if not found and report.accepted:
            report.add(FAULT, "", "it holds no predictions whose labels are kept back; 'submit check --into' takes it")
        if not report.accepted:
            return ""
        used = digest(sorted({record.holder.labels for _, record in found if record.holder}))
        target = place_below(into, report, f"-{used[:10]}")
        if not target.exists():
            with atomic_folder(target) as place:
                shutil.copytree(folder, place, dirs_exist_ok=True)
                for where, record in found:
                    self._write(place, where, record)
        for where, record in found:
            name = self._task(record).first_score
            report.scored.append({"place": where.as_posix(), "score": name, "value": record.scores[name].value})
        return str(target)

    def _scored(self, attempt: Attempt) -> Record:
        record, task = attempt.record, self._task(attempt.record)
        labels = labels_of(self.suite, record, self.labels)
        labels.make_key()
        arrays = joined(task, attempt.predictions(), labels.samples)
        holder = Holder(by=self.by, of=record.attempt, labels=labels.hash() or "", created=datetime.now(UTC))
        told = {"scores": scored(task, arrays)["scores"], "holder": holder}
        return Record.model_validate({**record.model_dump(), **told})

    def _task(self, record: Record) -> Task:
        task: Task = resolve(self.suite.tasks[record.cell.task].spec.builder)(record.classes)
        return task

    def _write(self, root: Path, where: Path, record: Record) -> None:
        """Put the scored attempt in the place of the one that was handed in, under an id of its own, and verify it."""
        workspace = Store(root).begin(record.cell.plugin, record.cell_id)
        for name in (PREDICTIONS, CONFIG, LOG):
            if (root / where / name).is_file():
                shutil.copyfile(root / where / name, workspace.path / name)
        shutil.rmtree(root / where)
        kept = workspace.commit(record.model_copy(update={"attempt": workspace.attempt}))
        one = verified(self.suite, kept, self.labels)
        if not one.scored:
            raise VidsuiteError(f"{where.as_posix()} cannot be kept: {(one.faults or (one.kept_back,))[0]}")

"""Checking an attempt: its files, its ids, and its scores recomputed from its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.cell import Cell
from vidsuite_core.results.withheld import (
    KEPT_BACK,
    answer_faults,
    is_withheld,
    joined,
    labels_of,
    not_recomputable,
)
from vidsuite_core.specs import resolve
from vidsuite_core.support.files import read_predictions
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.base import Task, refuse_hollow, select_variant, variants

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record, Score
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Arrays


TOLERANCE = 1e-9
"""Largest difference between a recorded score and the same recomputed from stored predictions."""


PAPER_RULE = "paper_rule"
"""The variant whose epoch the paper's rule chose, on the samples that are scored: shown beside, never ranked."""
LAST = "last"
"""The variant of the last epoch, in records whose main predictions are of an epoch chosen on the scored samples."""


def variant_title(name: str) -> str:
    """What a variant is called where it is shown; it has never been ranked."""
    return {PAPER_RULE: "the paper's rule", LAST: "last epoch"}.get(name, name)


@dataclass(frozen=True)
class Verified:
    """An attempt that was checked: `faults` say why it cannot count. Only an attempt that is ok has `arrays`.

    Where the labels are kept back and elsewhere, `kept_back` says what is known of its scores, which cannot be
    recomputed; then its arrays are predictions alone.
    """

    attempt: Attempt
    faults: tuple[str, ...] = ()
    known_task: Task | None = field(default=None, repr=False)
    arrays: Arrays = field(default_factory=dict, repr=False)
    kept_back: str = ""

    @property
    def scored(self) -> bool:
        """Whether it has predictions and labels that hold, so that its scores were recomputed."""
        return self.known_task is not None and not self.faults

    @property
    def holds(self) -> bool:
        """Whether it is `scored`, or has predictions that hold while the labels are kept back."""
        return self.scored or bool(self.kept_back and not self.faults)

    @property
    def task(self) -> Task:
        """The task over the attempt's classes; only of one that is `scored`."""
        assert self.known_task is not None
        return self.known_task

    @property
    def headline(self) -> str:
        """The variant that counts; see `headline`."""
        return headline(self.attempt.record)

    @property
    def selection(self) -> str:
        """How the epoch was chosen of the predictions that count: "last", "inner", or "" where there was no choice."""
        told = str(self.attempt.record.score_key.get("config", {}).get("selection", ""))
        if told != "best_on_test":
            return told
        return LAST if self.headline == LAST else told if self.chosen_on_test else ""

    @property
    def chosen_on_test(self) -> bool:
        """Whether even the predictions that count are of an epoch that was chosen on the samples they are of."""
        record = self.attempt.record
        chosen = record.score_key.get("config", {}).get("selection") == "best_on_test"
        return chosen and self.headline != LAST and record.details.get("chosen_epoch", 0) is not None

    def predictions(self) -> dict[str, dict[str, np.ndarray]]:
        """The arrays that count under "", those of the variants under their names."""
        main = self.headline
        found = {"": select_variant(self.arrays, main)}
        if main:
            found[PAPER_RULE] = select_variant(self.arrays)
        return found | {name: select_variant(self.arrays, name) for name in variants(self.arrays) if name != main}

    def scores(self) -> dict[str, Score]:
        """The recorded scores that count; those of an attempt that is not ok are none."""
        return headline_scores(self.attempt.record)


def headline(record: Record) -> str:
    """Which variant of a record counts: "", or "last" where its main predictions are of the paper's chosen epoch.

    Records of older versions keep the predictions of an epoch chosen on the scored samples under no name, and the last
    epoch's beside them; what is ranked never comes from such a choice, so there the last epoch counts.
    """
    chosen = record.score_key.get("config", {}).get("selection") == "best_on_test"
    return LAST if chosen and LAST in record.variants else ""


def headline_scores(record: Record) -> dict[str, Score]:
    """The record's scores of the variant that counts."""
    name = headline(record)
    return record.variants[name] if name else record.scores


def verified(suite: Suite, attempt: Attempt, labels: Path | None = None) -> Verified:
    """The attempt with its predictions, its files, ids and scores checked; reads no more of one that failed.

    Whatever is wrong with it is a fault of it: nothing that an attempt holds bars the way to the others.

    Args:
        labels: folder of the dataset with test labels that a benchmark keeps back; by default where its data are kept.
    """
    record = attempt.record
    faults = attempt.faulty_files()
    if record.status != "ok":
        return Verified(attempt, tuple(faults))
    try:
        task: Task = resolve(suite.tasks[record.cell.task].spec.builder)(record.classes)
        faults += false_identity(record, task)
        arrays = attempt.predictions()
        if is_withheld(record):
            faults += answer_faults(task, record, arrays)
            answers = Verified(attempt, tuple(faults), arrays=arrays, kept_back=KEPT_BACK)
            return _with_labels(suite, answers, task, labels)
        faults += disagreements(task, record, arrays)
    except VidsuiteError as error:
        return Verified(attempt, (*faults, str(error)))
    except Exception as error:  # a plugin's task may raise anything, and so does numpy at what strangers wrote
        return Verified(attempt, (*faults, f"cannot be checked: {type(error).__name__}: {error}"))
    return Verified(attempt, tuple(faults), task, arrays)


def _with_labels(suite: Suite, one: Verified, task: Task, root: Path | None) -> Verified:
    """An attempt with predictions alone; one that was scored elsewhere is joined with the labels if they are here."""
    record = one.attempt.record
    if one.faults or record.holder is None:
        return one
    try:
        labels = labels_of(suite, record, root)
    except VidsuiteError:
        return replace(one, kept_back=not_recomputable(record))
    arrays = joined(task, one.arrays, labels.samples)
    faults = disagreements(task, record, arrays)
    if labels.hash() not in (None, record.holder.labels):
        faults.append(f"it was scored by other labels than those below {labels.root}")
    return Verified(one.attempt, tuple(faults), task, arrays)


def disagreements(task: Task, record: Record, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """In what stored predictions differ from the recorded scores.

    Raises:
        VidsuiteError: they are not of the task's form.
    """
    refuse_hollow(arrays)
    faults = ["it names a holder of labels that its protocol does not keep back"]
    faults = faults if record.holder is not None and not is_withheld(record) else []
    for name in ("", *variants(arrays)):
        chosen = select_variant(arrays, name)
        task.check(chosen)
        shown = record.variants.get(name, {}) if name else record.scores
        faults += _differences(task.score(chosen), {key: score.value for key, score in shown.items()}, name)
    unfounded = set(record.variants) - set(variants(arrays))
    return faults + [f"scores of variant {name!r} have no predictions" for name in sorted(unfounded)]


def unsound(builder: str, predictions: Path, record: Record) -> str:
    """What bars an attempt that is about to be kept from being ok, its file read as readers read it; "" where nothing.

    Args:
        builder: of its task.
    """
    try:
        found = answer_faults if is_withheld(record) else disagreements
        faults = found(resolve(builder)(record.classes), record, read_predictions(predictions))
    except VidsuiteError as error:
        return str(error).replace(f"{predictions.parent}/", "")
    except Exception as error:  # a plugin's task may raise anything
        return f"{type(error).__name__}: {error}"
    return faults[0] if faults else ""


def false_identity(record: Record, task: Task | type[Task]) -> list[str]:
    """What the record's ids and names say that its score key does not."""
    faults = []
    key, cell = record.score_key, record.cell
    if key.get("task") != {"name": cell.task, "version": task.version}:
        faults.append(f"was scored by another version of task {task.name}; run it again")
    if digest(key) != record.score_id:
        faults.append("its score id is not the hash of its score key")
    if (key.get("fold"), key.get("seed"), key.get("preset")) != (cell.fold, cell.seed, cell.preset):
        faults.append("its score key is that of another fold, seed or preset")
    protocol = key.get("protocol")
    made = {"folds": 1} if isinstance(protocol, Mapping) and protocol.get("type") == "fixed" else protocol
    if isinstance(made, Mapping) and made.get("folds", cell.folds) != cell.folds:
        faults.append("its protocol makes another number of folds")
    names = cell.model_dump(exclude={"plugin"})
    kind, count = record.device.get("kind", ""), record.device.get("count", 1)
    if Cell(**names, device_kind=kind, device_count=count, score_key=key).cell_id != record.cell_id:
        faults.append("its cell id is not the hash of its names, score id and device")
    return faults


def _differences(found: Mapping[str, float], recorded: Mapping[str, float | None], variant: str) -> list[str]:
    lines = []
    for name in sorted({*found, *recorded}):
        new, old = found.get(name), recorded.get(name)
        absent = new is None or new != new
        if (absent and old is None) or (not absent and old is not None and abs(new - old) <= TOLERANCE):  # type: ignore[operator]
            continue
        lines.append(f"score {name}{'@' + variant if variant else ''} is recorded as {old}, its predictions give {new}")
    return lines

"""Test labels that are kept back: attempts with predictions alone, and what becomes of them where the labels are.

Where a protocol says `labels: withheld` (see `vidsuite_core.protocols.withheld`), a cell sees no label of what it
predicts, wherever it runs, and its attempt holds the task's `answers`. Whoever has the labels joins them by the
samples' ids; from there on scores are computed as everywhere, and the joined arrays are stored nowhere.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.protocols import WITHHELD
from vidsuite_core.support.files import file_sha256, read_regular
from vidsuite_core.support.paths import atomic_write
from vidsuite_core.tasks.base import refuse_hollow

if TYPE_CHECKING:
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Arrays, Task

KEPT_BACK = "labels kept back: not scored here"
"""What is said where a score would stand."""
NAMES = ("sample_id", "subject", "recording")
KEY = "labels.key"
"""File of the labels' folder with what their hash is keyed by."""


def is_withheld(record: Record) -> bool:
    """Whether an attempt holds predictions alone, as its protocol keeps the test labels back."""
    protocol = record.score_key.get("protocol")
    return isinstance(protocol, Mapping) and protocol.get("labels") == WITHHELD


def not_recomputable(record: Record) -> str:
    """What is said of scores whose labels are elsewhere."""
    who = record.holder.by if record.holder else ""
    return f"labels kept back: scored by {who}, who has them, and not recomputable here"


def answer_faults(task: Task, record: Record, arrays: Arrays) -> list[str]:
    """What is wrong with an attempt that is to hold predictions alone.

    Raises:
        VidsuiteError: the arrays are not of the task's form.
    """
    refuse_hollow(arrays)
    if foreign := sorted(set(arrays) - {*NAMES, *task.answers}):
        return [f"it holds {foreign[0]!r}, which is no prediction: test labels are kept back here"]
    task.check_answers(arrays)
    if record.holder is None:
        told = record.scores or record.variants
        return ["it tells scores, which only whoever has the labels can know"] if told else []
    known = {score.name for score in task.scores}
    unknown = sorted({*record.scores} - known)
    return [f"it has a score {unknown[0]!r}, which task {task.name} does not know"] if unknown else []


def joined(task: Task, arrays: Arrays, samples: Sequence[Any]) -> dict[str, np.ndarray]:
    """Predictions with the labels of their samples: the arrays that a run with labels would have stored.

    Args:
        arrays: whose form was checked (see `answer_faults`).
        samples: those that were to be predicted, labelled.

    Raises:
        VidsuiteError: they are not of exactly these samples, or a label map or label cannot be read.
    """
    by_id = {sample.id: sample for sample in samples}
    ids = arrays["sample_id"].tolist()
    if missing := sorted(set(by_id) - set(ids)):
        raise VidsuiteError(f"its predictions lack {len(missing)} of the {len(by_id)} samples, as {missing[0]!r}")
    if foreign := sorted(set(ids) - set(by_id)):
        raise VidsuiteError(f"its predictions hold {len(foreign)} samples that are not tested, as {foreign[0]!r}")
    ordered = [by_id[name] for name in ids]
    known = {name: np.array([getattr(sample, name) for sample in ordered]) for name in ("subject", "recording")}
    for name, expected in {**known, **task.places(ordered)}.items():
        if not np.array_equal(arrays[name], expected, equal_nan=expected.dtype.kind == "f"):
            raise VidsuiteError(f"its {name!r} is not that of the samples")
    found = task.joined(arrays, ordered)
    task.check(found)
    return found


@dataclass(frozen=True)
class Labels:
    """The samples that a benchmark tests, labelled, and the folder of the dataset that has them."""

    root: Path
    samples: Sequence[Any]

    def hash(self) -> str | None:
        """See `labels_hash`; None where the key is not here, as with labels that were published later."""
        path = self.root / KEY
        return labels_hash(self.samples, read_regular(path, 1024)) if path.exists() else None

    def make_key(self) -> None:
        """Make the key beside the labels where there is none; raises `VidsuiteError` where that cannot be written."""
        try:
            if not (self.root / KEY).exists():
                atomic_write(self.root / KEY, secrets.token_bytes(32))
        except OSError as error:
            raise VidsuiteError(f"{self.root / KEY} cannot be written: {error.strerror}; make it writable") from error


def labels_hash(samples: Sequence[Any], key: bytes) -> str:
    """HMAC-SHA256 (hex) of the samples' labels, whatever their order; it differs wherever a label does.

    A plain hash of a few labels would give them away to whoever tries all there could be, so it is keyed by what lies
    with the labels.
    """
    rows = sorted([sample.id, *(_plain(getattr(sample, name)) for name in sample.truth)] for sample in samples)
    return hmac.new(key, json.dumps(rows).encode(), "sha256").hexdigest()


def _plain(label: Any) -> Any:
    return file_sha256(label) if isinstance(label, Path) else np.asarray(label).tolist()


def labels_of(suite: Suite, record: Record, root: Path | None = None) -> Labels:
    """The labels that a record's predictions are to be scored by.

    Args:
        root: the dataset's folder with the labels; by default where its data are kept.

    Raises:
        VidsuiteError: there are none here, or they are those of other data.
    """
    cell = record.cell
    dataset, fingerprint, samples = _read(suite, cell.benchmark, cell.dataset, cell.preset, root)
    if fingerprint != record.score_key.get("dataset"):
        raise VidsuiteError(f"the data below {dataset.root} are not those of {cell.dataset} that it was run on")
    if tuple(dataset.class_names()) != tuple(record.classes):
        raise VidsuiteError(f"its classes are not those of the data below {dataset.root}")
    test = [sample for sample in samples if sample.split == "test"]
    if unlabelled := [sample.id for sample in test if not sample.labelled]:
        raise VidsuiteError(
            f"the data below {dataset.root} have no labels of {len(unlabelled)} of {len(test)} test samples, as "
            f"{unlabelled[0]!r}"
        )
    return Labels(dataset.root, test)


def labels_here(suite: Suite) -> list[tuple[str, str, str, str]]:
    """Benchmark, dataset, preset and hash (or "") of the labels that are kept back, as far as they are here."""
    found = []
    for handle in suite.benchmarks.values():
        try:
            definition = handle.definition()
        except VidsuiteError:
            continue  # whoever runs it is told
        for dataset, preset in product(map(definition.full_name, definition.datasets), definition.presets):
            if definition.protocol_of(dataset, preset).get("labels") != WITHHELD:
                continue
            try:
                opened, _, samples = _read(suite, handle.key, dataset, preset, None)
            except (VidsuiteError, OSError):
                continue
            test = [sample for sample in samples if sample.split == "test"]
            if all(sample.labelled for sample in test):
                found.append((handle.key, dataset, preset, Labels(opened.root, test).hash() or ""))
    return found


def _read(
    suite: Suite, benchmark: str, dataset: str, preset: str, root: Path | None
) -> tuple[Dataset, str, Sequence[Any]]:
    for kind, name in (("benchmarks", benchmark), ("datasets", dataset)):
        if name not in set(getattr(suite, kind)):
            raise VidsuiteError(f"its {kind[:-1]} {name} is not installed here")
    handle = suite.datasets[dataset]
    options = suite.benchmarks[benchmark].definition().options(handle.key, preset)
    return _opened(suite, dataset, handle.open(root, **options).root, json.dumps(options))


@lru_cache(maxsize=4)  # of many attempts on the same data
def _opened(suite: Suite, dataset: str, root: Path, options: str) -> tuple[Dataset, str, Sequence[Any]]:
    opened = suite.datasets[dataset].open(root, **json.loads(options))
    if not opened.is_ready():
        raise VidsuiteError(f"the data of {dataset} are not below {opened.root}")
    return opened, opened.fingerprint(), opened.samples()

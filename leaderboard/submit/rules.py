"""What is asked of submitted attempts beyond their form, hashes and scores: pure functions of what was read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.summary import config_of
from vidsuite_core.results.verification import Verified
from vidsuite_core.results.withheld import is_withheld
from vidsuite_core.support.code import same_code
from vidsuite_core.support.ids import differences, digest
from vidsuite_core.support.text import printable
from vidsuite_core.tasks.base import select_variant, variants

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.tasks.base import Task
    from vidsuite_leaderboard.submit.data import Data

CLOCKS = timedelta(hours=1)
"""How far another machine's clock may be ahead of ours."""
MAX_LINES, MAX_LINE = 200, 4000
"""Lines that a list of texts in a record may have, and characters of one."""
MAX_NAME = 200
SLACK = 1.01
"""How far a speed may be from what its own latencies give, as a factor."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[a-z][a-z0-9_]*)?\Z")
"""Names of plugins and of what they bring, which Unicode has look-alikes of."""
MAX_CLASSES = 1000
"""Classes that a record may have: confusion matrices grow with their square."""
LARGEST = 1e18
"""No seed, number of folds, duration, count or size is larger."""
GROUPED = ("grouped_kfold", "leave_one_group_out")
"""Protocols in which each subject is on the test side once."""


@dataclass(frozen=True)
class Scored:
    """What rules on rows need of an attempt: its record, and the samples that it scores (none where it failed)."""

    record: Record
    place: str
    samples: frozenset[str]
    subjects: frozenset[str]
    truth: str

    @classmethod
    def of(cls, one: Verified, place: str) -> Scored:
        """The attempt without its arrays."""
        if not one.holds:
            return cls(one.attempt.record, place, frozenset(), frozenset(), "")
        ids, subjects = one.arrays["sample_id"].tolist(), one.arrays["subject"].tolist()
        return cls(
            one.attempt.record,
            place,
            frozenset(ids),
            frozenset(subjects),
            digest(sorted(zip(ids, subjects, strict=True))),
        )

    @property
    def scored(self) -> bool:
        """Whether it has predictions."""
        return bool(self.samples)

    @property
    def row(self) -> tuple[str, ...]:
        """What the row is told by that it stands in."""
        cell = self.record.cell
        return cell.benchmark, cell.dataset, cell.preset, cell.model, config_of(self.record)


def faults_of(record: Record, files: Sequence[str], now: datetime) -> Iterator[str]:
    """What a record lacks, or says that cannot be.

    Args:
        files: names of the files beside it.
    """
    key = record.score_key
    if not isinstance(key.get("dataset"), str) or any(
        not isinstance(key.get(name), dict) for name in ("task", "protocol", "config", "weights")
    ):
        yield "its score key is not of the form"
    for missing in _environment_lacks(record):
        yield f"its environment lacks {missing}"
    if record.created > now + CLOCKS:
        yield f"it was made in the future, {record.created.isoformat(timespec='minutes')}"
    if unhashed := sorted(set(files) - set(record.files) - {"result.json"}):
        yield f"{unhashed[0]} has no recorded sha256"
    if record.holder is not None:
        yield "it says that whoever has the labels scored it, which 'vidsuite submit score' alone says"
    weights = {weights.name: weights.sha256 for weights in record.weights}
    if weights != record.score_key.get("weights"):
        yield "its initial weights are not those of its score key"
    yield from _contradictions(record)
    yield from beyond_bounds(record)
    yield from _unwieldy(record)


def beyond_bounds(record: Record) -> Iterator[str]:
    """What no page could show, or none of ours could mean, in an attempt, whoever's it is."""
    cell, cost = record.cell, record.efficiency
    if not cell.plugin or cell.plugin != cell.benchmark.partition("/")[0] or cell.plugin == cell.benchmark:
        yield f"its benchmark {cell.benchmark!r} is none of plugin {cell.plugin!r}"
    if len(record.classes) > MAX_CLASSES or len(set(record.classes)) < len(record.classes):
        yield f"it has more than {MAX_CLASSES} classes, or two of one name"
    numbers = [cell.seed, *record.phases.values()]
    if cost is not None:
        numbers += [cost.parameters, cost.flops or 0, cost.latency_p50, cost.latency_p95, cost.throughput]
        numbers += [cost.peak_memory]
    if not all(0 <= number <= LARGEST for number in numbers) or not 0 < cell.folds <= LARGEST:
        yield f"its seed, folds, phases or cost hold a number below 0 or above {LARGEST:g}"


def _contradictions(record: Record) -> Iterator[str]:
    """What of a record's cost its own latencies, taken one after another, contradict."""
    cost = record.efficiency
    if cost is None:
        return
    if not (0 < cost.latency_p50 <= cost.latency_p95 and cost.throughput > 0 and all(n > 0 for n in cost.latencies)):
        yield "its cost holds a number that cannot be"
        return
    if not cost.latencies:
        yield "its cost tells no latencies, from which its speed could be computed"
        return
    low, high = min(cost.latencies) / SLACK, max(cost.latencies) * SLACK
    middle = median(cost.latencies)
    if not middle / SLACK <= cost.latency_p50 <= middle * SLACK or not low <= cost.latency_p95 <= high:
        yield f"its latency of {cost.latency_p50:g} s is not the median of its own latencies, {middle:g} s"
    if not 1 / high <= cost.throughput <= 1 / low:
        rate = len(cost.latencies) / sum(cost.latencies)
        yield f"its {cost.throughput:g} samples a second contradict its own latencies, which give {rate:.3g}"


def _environment_lacks(record: Record) -> Iterator[str]:
    if "python" not in record.software:
        yield "software: the version of python and of the libraries"
    if not isinstance(record.hardware.get("cpu"), str) or not isinstance(record.device.get("kind"), str):
        yield "hardware: the CPU and the class of device"
    if "sources" not in record.code.get("core", {}):
        yield "code: the version and hash of the sources"


def _unwieldy(record: Record) -> Iterator[str]:
    for field in ("plugin", "benchmark", "task", "dataset", "model", "preset"):
        if not _NAME.match(name := getattr(record.cell, field)):
            yield f"its {field} {printable(name)[:MAX_NAME]!r} is no name that a plugin can have"
    names = [str(value) for value in record.cell.model_dump().values()]
    if any(len(name) > MAX_NAME or not name.isprintable() for name in (*names, *record.classes)):
        yield f"one of its names is longer than {MAX_NAME} characters, or holds signs that cannot be seen"
    for field in ("warnings", "log_end", "command"):
        lines: Sequence[str] = getattr(record, field)
        if len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
            yield f"its {field} has more than {MAX_LINES} lines, or one of more than {MAX_LINE} characters"
    if len(record.reason) > MAX_LINE:
        yield f"its reason has more than {MAX_LINE} characters"


def row_faults(members: Sequence[Scored]) -> Iterator[str]:
    """What is wrong with the cells of one row: folds that are missing, samples or subjects that are tested twice."""
    key = members[0].record.score_key
    folds = folds_of(key.get("protocol", {}), members)
    if any(member.record.cell.folds != folds for member in members):
        yield f"its cells do not agree that their protocol makes {folds} folds"
    by_seed: dict[int, dict[str, Scored]] = defaultdict(dict)
    for member in sorted(members, key=lambda m: m.scored):  # of two devices' cells one with scores
        by_seed[member.record.cell.seed][member.record.cell.fold] = member
    for seed, cells in sorted(by_seed.items()):
        if len(cells) != folds:
            yield f"seed {seed} has {len(cells)} of {folds} folds; run the others, or pack their failures too"
        if key.get("protocol", {}).get("type") in GROUPED:
            yield from (f"seed {seed}: {text}" for text in _mixed(cells))


def folds_of(protocol: Mapping[str, Any], members: Sequence[Scored]) -> int:
    """Folds that a protocol makes, by its options where these tell, otherwise as most of the records say."""
    kind = protocol.get("type")
    found = {"grouped_kfold": protocol.get("folds", 5), "repeated_halves": protocol.get("repeats", 10), "fixed": 1}
    told = [member.record.cell.folds for member in members]
    count = found.get(str(kind))
    return count if isinstance(count, int) else max(set(told), key=told.count)


def _mixed(cells: Mapping[str, Scored]) -> Iterator[str]:
    """Samples and subjects on two test sides of a protocol that tests each once."""
    for name in ("samples", "subjects"):
        seen: dict[str, str] = {}
        for fold, cell in sorted(cells.items()):
            twice = sorted(entry for entry in getattr(cell, name) if seen.setdefault(entry, fold) != fold)
            if twice:
                yield f"{name[:-1]} {twice[0]!r} is tested in fold {seen[twice[0]]} and in fold {fold}"
    for fold, cell in sorted(cells.items()):
        alone = cell.record.score_key["protocol"].get("type") == "leave_one_group_out"
        if alone and cell.scored and cell.subjects != {fold}:
            yield f"fold {fold} leaves out that one subject, but tests others"


def disagreements(members: Sequence[Scored]) -> Iterator[tuple[str, str]]:
    """(place, fault) of attempts that tested other samples than another one at the same fold of the same data."""
    first: dict[str, Scored] = {}
    for member in members:
        key = member.record.score_key
        if member.scored:
            side = digest([key.get(name) for name in ("dataset", "protocol", "fold")])
            other = first.setdefault(side, member)
            if other.truth != member.truth:
                yield member.place, f"its samples or subjects are not those of {other.place}, at the same fold and data"


def notes_of(record: Record, code: Mapping[str, Any]) -> Iterator[str]:
    """What a reader should know of an attempt that holds.

    Args:
        code: identity of the same parts of the code here.
    """
    if record.status != "ok":
        yield f"it came to nothing, {record.status}: {record.reason[:200]}"
    if any("uncommitted" in part for part in record.code.values()):
        yield "it was run with changes to the code that no commit holds"
    here = {name: code[name] for name in record.code if name in code}
    if not same_code({name: record.code[name] for name in here}, here):
        yield "it was run by other sources than are installed here"


def installed_faults(record: Record, protocol: Mapping[str, Any]) -> Iterator[str]:
    """In what a record departs from the installed benchmark's protocol for its dataset."""
    told = {name: value for name, value in record.score_key.get("protocol", {}).items() if name != "version"}
    for line in differences(dict(protocol), told, "protocol."):
        yield f"it does not keep to the benchmark's {line}"


def data_faults(one: Verified, task: Task, data: Data) -> Iterator[str]:
    """In what predictions depart from the dataset that is here, as far as its labels are."""
    arrays, cell = one.arrays, one.attempt.record.cell
    if tuple(one.attempt.record.classes) != tuple(data.classes):
        yield f"its classes are not those of the dataset, {', '.join(data.classes)}"
        return
    if len(data.tests) != cell.folds or cell.fold not in data.tests:
        yield f"the protocol makes {len(data.tests)} folds of these data, not fold {cell.fold!r} of {cell.folds}"
        return
    ids, test = arrays["sample_id"].tolist(), data.tests[cell.fold]
    if missing := sorted(set(test) - set(ids)):
        yield f"its predictions lack {len(missing)} of the fold's {len(test)} samples, as {missing[0]!r}"
    if foreign := sorted(set(ids) - set(test)):
        yield f"its predictions hold {len(foreign)} samples that the fold does not test, as {foreign[0]!r}"
    if missing or foreign:
        return
    ordered = [data.samples[name] for name in ids]
    for variant in ("", *variants(arrays)):
        yield from _false_truth(one, task, select_variant(arrays, variant), ordered)


def _false_truth(one: Verified, task: Task, arrays: Mapping[str, Any], ordered: Sequence[Any]) -> Iterator[str]:
    import numpy as np

    truth = {name: np.array([getattr(sample, name) for sample in ordered]) for name in ("subject", "recording")}
    truth |= {"sample_id": np.array([sample.id for sample in ordered])}
    truth |= task.places(ordered) if is_withheld(one.attempt.record) else task.targets(ordered)
    for name, expected in truth.items():
        found = arrays.get(name)
        if found is None or not np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"):
            yield f"its {name!r} is not that of the dataset"

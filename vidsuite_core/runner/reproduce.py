"""Running a recorded cell again: find its record, plan the cell anew from what is installed here, run it, judge.

Nothing is ever built from the record, which may be a stranger's and whose config could name any function: the cell is
planned from the installed benchmark and the shipped config, as `vidsuite bench` does it, and is run only where its
score key turns out to be the recorded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.statistics import seed_range
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.results.summary import config_of, device_of
from vidsuite_core.results.verification import TOLERANCE, Verified, verified
from vidsuite_core.support.code import same_code
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.ids import differences
from vidsuite_core.support.text import shown_name

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.runner.bench import BenchOptions, Session, Watcher
    from vidsuite_core.runner.schedule import Planned
    from vidsuite_core.suite import Suite

SHORTEST = 8
"""Characters of an id that are enough to name a cell by."""
SEEDS = 3
"""Seeds that a spread needs."""
MAX_BYTES = 2**16
ATTEMPT = r"\d{8}T\d{12}-[0-9a-f]{8}"
"""The form of attempt ids."""
_FILE = re.compile(rf"reproduction-({ATTEMPT})\.json\Z")

Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(shown_name)]
"""A name that somebody gives for themselves, see `shown_name`."""
AttemptId = Annotated[str, Field(pattern=rf"^{ATTEMPT}$")]


class Reproduction(BaseModel):
    """`reproduction-<attempt>.json`: a recorded cell was run again.

    `attempt` is the new one, `of` the one that it repeats, both with the score id `score_id`; `recorded` and `found`
    are their first scores. `within` says that `found` lies from `low` to `high`, which `criterion` tells the source
    of (see `Criterion`). A site recomputes all but `by`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    attempt: AttemptId
    of: AttemptId
    score_id: str = Field(pattern="^[0-9a-f]{64}$")
    by: Name
    created: AwareDatetime
    device: str = Field(max_length=200)
    criterion: Literal["seeds", "bootstrap", "equal"]  # "bootstrap" is of older versions
    low: float
    high: float
    recorded: float
    found: float
    within: bool


@dataclass(frozen=True)
class Criterion:
    """Where the first score of a repetition must lie.

    `kind` is "seeds" (where one more of the recorded seeds of the same row and fold would lie, 95 %), or "equal", where
    fewer than three seeds are recorded: then no spread is known, and only the recorded score itself counts. A
    repetition is scored on the same subjects, so their choice is no part of it.
    """

    kind: Literal["seeds", "equal"]
    low: float
    high: float
    seeds: int

    def holds(self, score: float) -> bool:
        """Whether `score` lies within."""
        return self.low - TOLERANCE <= score <= self.high + TOLERANCE

    def __str__(self) -> str:
        texts = {
            "seeds": f"within the spread of {self.seeds} recorded seeds (95 %, where one more would lie)",
            "equal": f"the recorded score itself: with fewer than {SEEDS} recorded seeds no spread is known",
        }
        return texts[self.kind]


@dataclass(frozen=True)
class Verdict:
    """What came of running a cell again; scores are the task's first."""

    recorded: Verified
    found: Verified
    criterion: Criterion

    @property
    def scores(self) -> tuple[float, float]:
        """The recorded score, and the one found."""
        return first_score(self.recorded), first_score(self.found)

    @property
    def within(self) -> bool:
        """Whether the score found meets the criterion."""
        return self.criterion.holds(self.scores[1])

    def told(self, by: str) -> Reproduction:
        """The verdict to be kept and passed on, with the name of whoever ran the cell."""
        old, new = self.recorded.attempt.record, self.found.attempt.record
        return Reproduction(
            attempt=new.attempt,
            of=old.attempt,
            score_id=new.score_id,
            by=by,
            created=datetime.now(UTC),
            device=device_of(new),
            criterion=self.criterion.kind,
            low=self.criterion.low,
            high=self.criterion.high,
            recorded=self.scores[0],
            found=self.scores[1],
            within=self.within,
        )


def reproduce(
    suite: Suite, recorded: Verified, fellows: Sequence[Verified], options: BenchOptions, watcher: Watcher
) -> Verdict:
    """Run the recorded cell again in the run folder `options.out`.

    Args:
        recorded: without faults, and scored.
        fellows: see `criterion_of`.
        options: where and with which data, weights and overrides; what is run comes from the record.

    Raises:
        UsageError: another cell would be run here than the recorded one; the text says in what they differ.
        VidsuiteError: the cell came to nothing.
    """
    criterion = criterion_of(recorded, fellows)
    session, planned = plan(suite, recorded.attempt.record, options, watcher)
    cell = planned.cell
    outcome = session.run([planned]).outcomes[cell.cell_id]
    if outcome.attempt is None:
        raise VidsuiteError(f"{cell.title} could not be run again: {outcome.problem}")
    if not outcome.ok:
        record = outcome.attempt.record
        raise VidsuiteError(f"run again, {cell.title} ended as {record.status}: {record.reason}")
    found = verified(suite, outcome.attempt)
    if found.faults:
        raise VidsuiteError(f"{outcome.attempt.path}: {found.faults[0]}")
    return Verdict(recorded, found, criterion)


def plan(suite: Suite, record: Record, options: BenchOptions, watcher: Watcher) -> tuple[Session, Planned]:
    """The recorded cell as it is planned here: names, seed, fold and preset of the record, all else of this place."""
    from vidsuite_core.runner.bench import Session

    cell = record.cell
    options = replace(
        options,
        plugin=None,
        benchmark=suite.benchmarks[cell.benchmark].key,
        dataset=suite.datasets[cell.dataset].key,
        model=escape(suite.models[cell.model].key),
        preset=cell.preset,
        fresh=True,
        dry_run=False,
    )
    session = Session(suite, options, watcher)
    planned = [entry for entry in session.plan([cell.seed]) if entry.cell.fold == cell.fold]
    if len(planned) != 1:
        raise UsageError(f"the protocol of {cell.benchmark} here makes no fold {cell.fold!r}")
    _refuse_another(record, planned[0])
    return session, planned[0]


REMEDIES = {
    "task": "install the version of vidsuite that the record was made with",
    "protocol": "install the version of the plugin that the record was made with",
    "dataset": "get the same data, and name its folder with --data",
    "config": "give the record's values with --cfg-options, or install the version of the plugin it was made with",
    "weights": "give the same initial weights with --weights NAME=FILE, or get them with 'vidsuite weights get'",
}


def _refuse_another(record: Record, planned: Planned) -> None:
    cell = planned.cell
    names = {name: getattr(cell, name) for name in ("benchmark", "task", "dataset", "model")}
    lines = differences({name: getattr(record.cell, name) for name in names}, names)
    lines += differences(record.score_key, cell.score_key)
    if not lines and record.score_id == cell.score_id:
        return
    lines = lines or ["a number is written in another way, as 1 for 1.0"]
    parts = dict.fromkeys(line.partition(":")[0].partition(".")[0] for line in lines)
    remedies = [REMEDIES[part] for part in parts if part in REMEDIES]
    versions = ", ".join(f"{name} {code.get('version', '?')}" for name, code in record.code.items())
    raise UsageError(
        "\n".join(
            [
                "another cell would be run here than the recorded one, so nothing was run; recorded -> here:",
                *lines,
                *(f"remedy: {remedy}" for remedy in remedies),
                f"the record was made with {versions or 'unknown versions'}",
            ]
        )
    )


def first_score(one: Verified) -> float:
    """The task's first score of an attempt that holds; raises `VidsuiteError` where it is not defined."""
    name = one.task.first_score
    value = one.scores()[name].value
    if value is None:
        raise VidsuiteError(f"{name} is not defined for fold {one.attempt.record.cell.fold}: it cannot be compared")
    return value


def criterion_of(recorded: Verified, fellows: Iterable[Verified]) -> Criterion:
    """Where a repetition of `recorded` must lie.

    Args:
        fellows: attempts of the same row and fold, of which the newest of each seed counts; those with faults do not.
    """
    score = first_score(recorded)
    by_seed: dict[int, Verified] = {}
    for one in sorted((f for f in fellows if f.scored), key=lambda f: f.attempt.record.created):
        by_seed[one.attempt.record.cell.seed] = one
    by_seed[recorded.attempt.record.cell.seed] = recorded
    if len(by_seed) >= SEEDS:
        low, high = seed_range([first_score(one) for one in by_seed.values()])
        if recorded.task.info(recorded.task.first_score).unit == "fraction":
            low, high = max(low, 0.0), min(high, 1.0)
        return Criterion("seeds", min(low, score), max(high, score), len(by_seed))
    return Criterion("equal", score, score, len(by_seed))


def same_row_and_fold(one: Record, other: Record) -> bool:
    """Whether two records differ in seed and device alone."""
    a, b = one.cell, other.cell
    names = ("benchmark", "dataset", "model", "fold")
    return all(getattr(a, name) == getattr(b, name) for name in names) and config_of(one) == config_of(other)


def fellows_of(suite: Suite, runs: Sequence[Path], attempt: Attempt) -> list[Verified]:
    """Good attempts in `runs` at the same row and fold as `attempt`, repetitions apart."""
    found = []
    start = f"{row_and_fold(attempt.record.cell_id)}-"
    for root in runs:
        store, again = Store(root), set(reproductions_in(root))
        for plugin, cell_id in store.cells():
            if not cell_id.startswith(start):
                continue
            members = [a for a in store.attempts(plugin, cell_id) if a.record.attempt not in again]
            good = [a for a in members if a.record.status == "ok" and same_row_and_fold(a.record, attempt.record)]
            found += [verified(suite, one) for one in good]
    return found


def row_and_fold(cell_id: str) -> str:
    """The beginning that cell ids of the same model, dataset, preset and fold share, whatever their seed."""
    return cell_id.rsplit("-", 2)[0]


def find(runs: Sequence[Path], key: str) -> Attempt:
    """The newest good attempt that `key` names in `runs`; repetitions do not count, but by their own id.

    Args:
        key: a cell, score or attempt id, or so many first characters of one that all that fit share a score id.

    Raises:
        UsageError: nothing fits, or too much.
        VidsuiteError: what fits has no scores.
    """
    if len(key) < SHORTEST:
        raise UsageError(f"{key!r} is too short to name a result; give at least {SHORTEST} characters of an id")
    for root in runs:
        if not root.is_dir():
            raise VidsuiteError(f"there is no run folder at {root}; name one with --from")
    fitting = [attempt for root in runs for attempt in _fitting(Store(root), key)]
    exact = [a for a in fitting if key in (a.record.attempt, a.record.cell_id, a.record.score_id)]
    fitting = exact or fitting
    places = ", ".join(map(str, runs))
    if not fitting:
        raise UsageError(f"no cell, score or attempt id in {places} begins with {key!r}")
    if len({attempt.record.score_id for attempt in fitting}) > 1:
        cells = sorted({attempt.record.cell_id for attempt in fitting})
        raise UsageError(f"{key!r} is the beginning of {len(cells)} cells, as {', '.join(cells[:3])}; give more of one")
    good = [attempt for attempt in fitting if attempt.record.status == "ok"]
    if not good:
        record = fitting[0].record
        raise VidsuiteError(f"{record.cell_id} has no scores to compare with: it ended as {record.status}")
    return max(good, key=lambda attempt: attempt.record.created)


def _fitting(store: Store, key: str) -> list[Attempt]:
    again = set(reproductions_in(store.root))
    cells = list(store.cells())
    named = [
        (plugin, cell)
        for plugin, cell in cells
        if cell.startswith(key) or any(p.name.startswith(key) for p in store.cell_folder(plugin, cell).iterdir())
    ]
    found = [attempt for cell in named or cells for attempt in store.attempts(*cell)]
    ids = [(a, (a.record.attempt, a.record.cell_id, a.record.score_id)) for a in found]
    return [a for a, own in ids if any(i.startswith(key) for i in own) and (own[0] not in again or key == own[0])]


def environment_changes(old: Record, new: Record) -> list[str]:
    """In what software and code two attempts differ, a line each."""
    lines = differences(old.software, new.software)
    if not same_code(old.code, new.code):
        changed = [name for name in sorted({*old.code, *new.code}) if _sources(old, name) != _sources(new, name)]
        lines.append(f"sources of {', '.join(changed)}")
    return lines


def pixels(old: Record, new: Record) -> str | None:
    """Whether the frames that both records hash were decoded to the same pixels; None where they share none."""
    before, after = (_decoded(record) for record in (old, new))
    shared = sorted({*before} & {*after})
    if not shared:
        return None
    changed = [name for name in shared if before[name] != after[name]]
    if not changed:
        return f"the same in {len(shared)} frames that were compared"
    return f"other ones in {len(changed)} of {len(shared)} frames that were compared, as {changed[0]}: another decoder"


def _decoded(record: Record) -> Mapping[str, str]:
    """The hashes of `vidsuite_core.media.decoded_frames` in a record, which may be a stranger's."""
    decoded = record.details.get("decoded")
    frames = decoded.get("frames") if isinstance(decoded, Mapping) else None
    return frames if isinstance(frames, Mapping) else {}


def _sources(record: Record, name: str) -> str | None:
    return record.code.get(name, {}).get("sources")


def file_name(attempt: str) -> str:
    """The name of the file that says what `attempt` repeats."""
    return f"reproduction-{attempt}.json"


def reproductions_in(root: Path) -> Iterator[str]:
    """The attempts that files at the root of a run folder call repetitions, by the files' names alone."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if match := _FILE.match(path.name):
            yield match[1]


def read_reproduction(root: Path, attempt: str) -> Reproduction:
    """What is said of a repetition in a run folder that may be a stranger's.

    Raises:
        VidsuiteError: the file is missing, is not of the form, or is another attempt's.
    """
    name = file_name(attempt)
    try:
        told = Reproduction.model_validate(_plain(read_regular(root / name, MAX_BYTES)))
    except VidsuiteError as error:
        raise VidsuiteError(f"{name}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise VidsuiteError(f"{name} is not of the form: {where}") from error
    if told.attempt != attempt or told.of == attempt:
        raise VidsuiteError(f"{name} is about another attempt, or about itself")
    return told


def _plain(data: bytes) -> Mapping[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    return found

"""Packing results for somebody else's leaderboard, and checking such a pack, which comes from a stranger."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.counting import newest
from vidsuite_core.results.store import LOG, PREDICTIONS, Attempt, Store
from vidsuite_core.results.verification import Verified, false_identity, headline_scores, verified
from vidsuite_core.results.withheld import is_withheld
from vidsuite_core.runner.planner import code_of
from vidsuite_core.runner.reproduce import Reproduction, file_name, read_reproduction, reproductions_in
from vidsuite_core.specs import resolve
from vidsuite_core.support.files import predictions_size
from vidsuite_core.support.litter import entries
from vidsuite_core.support.paths import atomic_folder, user_home
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.submit import rules
from vidsuite_leaderboard.submit.data import Here
from vidsuite_leaderboard.submit.known import NEARLY, Known
from vidsuite_leaderboard.submit.names import PROJECT, mixes_alphabets, taken
from vidsuite_leaderboard.submit.packfile import FILES, MAX_SIZE, MAX_UNPACKED, Refused, unpack, write
from vidsuite_leaderboard.submit.submission import SUBMISSION, Submission, read_submission, sources_below

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import Suite

FAULT, UNCHECKED, NOTE = "fault", "not checked", "note"
_PATH = re.compile(r"(?<![\w./-])(?:/[\w.+-]+){2,}|\b[A-Za-z]:\\")


@dataclass(frozen=True)
class Packed:
    """What was packed, what was refused (path and reason), and what a reader of the pack will see."""

    attempts: int
    size: int
    refused: Sequence[tuple[str, str]]
    warnings: Sequence[str]


def pack(suite: Suite, runs: Sequence[Path], out: Path, by: str, note: str = "", **globs: str | None) -> Packed:
    """Write the attempts of `runs` that count, and repetitions of others' cells, to `out`.

    Of each cell the newest good attempt is taken, or the newest that failed, so that an incomplete row shows why.

    Args:
        by, note: whose they are, see `Submission`.
        globs: patterns of names, by "benchmark", "dataset" and "model"; None takes all.

    Raises:
        VidsuiteError: nothing is left to pack, or the pack would be too large.
    """
    chosen, again, refused = [], [], []
    for root in runs:
        repetitions = set(reproductions_in(root))
        for entry in Store(root).everything():
            if isinstance(entry, Attempt) and not _asked_for(entry.record, globs):
                continue
            one = verified(suite, entry) if isinstance(entry, Attempt) else None
            if one is None or (faults := [*one.faults, *_scored_elsewhere(one), *_too_large(entry.path)]):
                refused.append((str(entry.path), faults[0] if one else entry.reason))
            elif entry.path.name in repetitions:
                again.append((root, one.attempt))
            else:
                chosen.append(Verified(one.attempt))  # without its arrays
    attempts = [*(one.attempt for one in newest(chosen)), *(attempt for _, attempt in again)]
    if not attempts:
        why = f"; {len(refused)} attempts do not hold, as {refused[0][0]}: {refused[0][1]}" if refused else ""
        raise VidsuiteError(f"there is no result to pack in {', '.join(map(str, runs))}{why}")
    created = max(attempt.record.created for attempt in attempts)
    members = {name: path for attempt in attempts for name, path in _files(attempt)}
    members[SUBMISSION] = Submission(by=by, note=note, created=created).model_dump_json(indent=1).encode()
    for root, attempt in again:
        told = read_reproduction(root, attempt.record.attempt)
        if told.by != by:
            raise UsageError(f"{file_name(told.attempt)} was made by {told.by!r}, not by {by!r}; pack it by that name")
        members[file_name(told.attempt)] = root / file_name(told.attempt)
    write(out, members)
    return Packed(len(attempts), out.stat().st_size, refused, _betrayals(attempts))


def _asked_for(record: Record, globs: Mapping[str, str | None]) -> bool:
    names = {name: getattr(record.cell, name) for name in globs}
    return all(
        glob is None or fnmatchcase(names[name], glob) or fnmatchcase(names[name].rpartition("/")[2], glob)
        for name, glob in globs.items()
    )


def _files(attempt: Attempt) -> Iterator[tuple[str, Path]]:
    for name in FILES:
        if (attempt.path / name).is_file():
            yield "/".join((*attempt.path.parts[-3:], name)), attempt.path / name


def _scored_elsewhere(one: Verified) -> list[str]:
    """Whoever has labels that are kept back scores what was handed in; what they made of it is not handed in again."""
    holder = one.attempt.record.holder
    return [f"it was scored by {holder.by}, who has the labels; hand in {holder.of}, which it is of"] if holder else []


def _too_large(folder: Path) -> list[str]:
    sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
    return [f"{name} has more than {MAX_SIZE[name]} bytes" for name, size in sizes.items() if size > MAX_SIZE[name]]


def _betrayals(attempts: Sequence[Attempt]) -> list[str]:
    """What the packed files tell of this machine: they are passed on as they are, since a record is not rewritten."""
    found = []
    commands = [match[0] for a in attempts for line in a.record.command if (match := _PATH.search(line))]
    if commands:
        found.append(f"command lines of {len(commands)} attempts hold a path that everybody will see, as {commands[0]}")
    home = str(user_home() or "")
    logs = [a for a in attempts if len(home) > 2 and home.encode() in _bytes(a.path / LOG)]
    if logs:
        found.append(f"logs of {len(logs)} attempts name your home folder, {home}")
    return found


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@dataclass(frozen=True)
class Finding:
    """One thing found: `kind` is "fault", "not checked" or "note"; `where` is a place in the pack, "" for all of it."""

    kind: str
    where: str
    text: str


@dataclass
class Report:
    """What a check came to. `rows` are plain data: model, dataset, benchmark, preset, done, expected, score; so are
    `scored`, of attempts that were scored here since their labels are kept back elsewhere: place, score, value."""

    by: str = ""
    note: str = ""
    sha256: str = ""
    attempts: int = 0
    reproductions: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    scored: list[dict[str, Any]] = field(default_factory=list)
    into: str = ""

    @property
    def accepted(self) -> bool:
        """Whether there is no fault."""
        return not any(finding.kind == FAULT for finding in self.findings)

    def add(self, kind: str, where: str, text: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind, where, text))


def accept(folder: Path, into: Path, report: Report) -> str:
    """Copy what was checked to its place below `into`, whole or not at all; returns where that is."""
    target = place_below(into, report)
    if not target.exists():
        with atomic_folder(target) as place:
            shutil.copytree(folder, place, dirs_exist_ok=True)
    return str(target)


def place_below(into: Path, report: Report, more: str = "") -> Path:
    """A folder of its own for what was checked; a note where another one has the same name."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", report.by).strip("-").lower()[:40] or "somebody"
    target = into / f"{name}-{report.sha256[:10]}{more}"
    namesakes = [source.root.name for source in sources_below(into) if source.by == report.by] if into.is_dir() else []
    if namesakes := [namesake for namesake in namesakes if namesake != target.name]:
        report.add(NOTE, "", f"{namesakes[0]} has the same name; of two results at a cell the newer will count")
    return target


def check(
    suite: Suite,
    path: Path,
    into: Path | None = None,
    now: datetime | None = None,
    known: Sequence[Path] = (),
    take: Callable[[Path, Path, Report], str] = accept,
) -> Report:
    """Check a pack that may be a stranger's; with `into`, one without a fault is unpacked to a folder of its own there.

    Predictions are compared with all results below the run folders `known`, and with what was accepted into `into`.

    Args:
        take: what is done with an unpacked folder without a fault, `into` and the report; returns where it went.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    report = Report()
    with TemporaryDirectory(prefix="vidsuite-") as temporary:
        folder = Path(temporary) / "pack"
        folder.mkdir()
        try:
            report.sha256 = unpack(path, folder)
            sources = [*map(Source, known), *(sources_below(into) if into is not None and into.is_dir() else ())]
            _Check(suite, folder, report, now or datetime.now(UTC), sources).run()
        except VidsuiteError as error:
            report.add(FAULT, "", str(error).replace(f"{folder}/", ""))
        except Exception as error:  # strangers' files may hold anything
            report.add(FAULT, "", f"it cannot be checked: {type(error).__name__}: {error}")
        if into is not None and report.accepted:
            report.into = take(folder, into, report)
    return report


class _Check:
    """One check: reads everything below `folder`, and notes in `report` what it finds."""

    def __init__(self, suite: Suite, folder: Path, report: Report, now: datetime, sources: Sequence[Source]) -> None:
        self.suite, self.folder, self.report, self.now = suite, folder, report, now
        self.known = Known([source for source in sources if source.root.is_dir()])
        self._owners = sorted({source.by for source in sources if source.by})
        self._repetitions: frozenset[str] = frozenset(reproductions_in(folder))
        self.here = Here(suite)
        self.code = {plugin.name: code_of(suite, plugin) for plugin in suite.manager.plugins}

    def run(self) -> None:
        """Check all there is."""
        submission = read_submission(self.folder)
        self.report.by, self.report.note = submission.by, submission.note
        if submission.created > self.now + rules.CLOCKS:
            self.report.add(FAULT, SUBMISSION, "it was made in the future")
        self._name(submission.by)
        if not len(self.known):
            self.report.add(
                UNCHECKED, "", "whether predictions are somebody else's: no results to compare with are here"
            )
        self._bound_predictions()
        scored = list(self._attempts())
        if not self.report.attempts:
            self.report.add(FAULT, "", "it holds no attempt")
        for place, text in rules.disagreements(scored):
            self.report.add(FAULT, place, text)
        again = set(reproductions_in(self.folder))
        self._rows([one for one in scored if one.record.attempt not in again])
        by_attempt = {one.record.attempt: one for one in scored if one.scored}
        for attempt in sorted(again):
            self.report.reproductions += 1
            for text in self._reproduction(attempt, by_attempt.get(attempt)):
                self.report.add(FAULT, file_name(attempt), text)

    def _name(self, by: str) -> None:
        """What is to be said of whose name it is."""
        if like := taken(by, self._owners):
            whose = "this project's own name" if like == PROJECT else f"the name of {like!r}, whose results are known"
            self.report.add(FAULT, SUBMISSION, f"its name {by!r} is, or looks like, {whose}")
        elif mixes_alphabets(by):
            self.report.add(NOTE, SUBMISSION, f"its name {by!r} mixes the letters of several alphabets in one word")

    def _compare(self, one: Verified, place: str) -> None:
        """Hold predictions and size against what is known of others; a reproduction is meant to be like another."""
        record = one.attempt.record
        owner = self.known.owners.get(record.attempt)
        if owner is not None and owner != self.report.by:
            whose = f"by {owner!r}" if owner else "this leaderboard's own"
            self.report.add(FAULT, place, f"it is known already, and {whose}")
            return
        if sizes := self.known.other_sizes(record):
            told = ", ".join(map(str, sorted(sizes)))
            self.report.add(FAULT, place, f"its number of parameters is not that of the same model elsewhere, {told}")
        if record.attempt in self._repetitions or not one.holds:
            return
        likes = sorted(self.known.like(record, one.arrays), key=lambda like: (not like.exact, like.same_model))
        if not likes:
            return
        like = likes[0]
        if like.exact and not like.same_model and like.by != self.report.by:
            self.report.add(FAULT, place, f"its predictions are, number for number, those of {like}")
        elif like.exact:
            text = f"its predictions are, number for number, those of {like}: a repetition on a like machine, or a copy"
            self.report.add(NOTE, place, text)
        elif not like.same_model:
            self.report.add(NOTE, place, f"its predictions differ by less than {NEARLY:.1%} from those of {like}")

    def _bound_predictions(self) -> None:
        total = 0
        for path in self.folder.glob(f"*/*/*/{PREDICTIONS}"):
            with suppress(VidsuiteError):  # whatever is wrong with it is said when it is read
                total += predictions_size(path)
        if total > 4 * MAX_UNPACKED:
            raise Refused(f"its predictions would unpack to {total >> 20} MiB; the limit is {4 * MAX_UNPACKED >> 20}")

    def _reproduction(self, attempt: str, found: rules.Scored | None) -> Iterator[str]:
        """What is wrong with the file that calls an attempt a repetition."""
        try:
            told: Reproduction = read_reproduction(self.folder, attempt)
        except VidsuiteError as error:
            yield str(error)
            return
        if told.by != self.report.by:
            yield f"it is by {told.by!r}, the submission by {self.report.by!r}"
        if found is None:
            yield "the attempt that it is about is not there, or has no scores that hold"
        elif found.record.score_id != told.score_id:
            yield "its score id is not that of its attempt"

    def _attempts(self) -> Iterator[rules.Scored]:
        """Each attempt that holds, by itself."""
        for entry in Store(self.folder).everything():
            place = entry.path.relative_to(self.folder).as_posix()
            self.report.attempts += 1
            if not isinstance(entry, Attempt):
                self.report.add(FAULT, place, entry.reason.replace(f"{entry.path}/", ""))
                continue
            try:
                one = verified(self.suite, entry)
                faults = list(self._faults(one))
            except Exception as error:  # a stranger's arrays may make a task raise anything
                faults = [f"it cannot be checked: {type(error).__name__}: {error}"]
            for fault in faults:
                self.report.add(FAULT, place, fault.replace(f"{entry.path}/", ""))
            if not faults:
                self._compare(one, place)
                for text in rules.notes_of(entry.record, self.code):
                    self.report.add(NOTE, place, text)
                yield rules.Scored.of(one, place)

    def _faults(self, one: Verified) -> Iterator[str]:
        record = one.attempt.record
        if record.cell.task not in self.suite.tasks:
            yield f"its task {record.cell.task!r} is not installed here"
            return
        faults = [*one.faults, *rules.faults_of(record, [path.name for path in entries(one.attempt.path)], self.now)]
        if not one.holds:
            faults += false_identity(record, resolve(self.suite.tasks[record.cell.task].spec.builder))
        if (handle := self.suite.benchmarks.get(record.cell.benchmark)) and handle.spec.task != record.cell.task:
            faults.append(f"its benchmark is of task {handle.spec.task} here, not {record.cell.task}")
        if faults:
            yield from dict.fromkeys(faults)
            return
        place = one.attempt.path.relative_to(self.folder).as_posix()
        protocol, unknown = self.here.protocol(record)
        if protocol is None:
            self.report.add(UNCHECKED, place, f"protocol, samples and subjects: {unknown}")
            return
        yield from (faults := list(rules.installed_faults(record, protocol)))
        if one.holds and not faults:
            data = self.here.data(record)
            if data.unknown:
                self.report.add(UNCHECKED, place, f"which samples and subjects were to be predicted: {data.unknown}")
            else:
                task = resolve(self.suite.tasks[record.cell.task].spec.builder)(record.classes)
                yield from rules.data_faults(one, task, data)

    def _rows(self, scored: Sequence[rules.Scored]) -> None:
        rows: dict[tuple[str, ...], list[rules.Scored]] = defaultdict(list)
        for one in scored:
            rows[one.row].append(one)
        for (benchmark, dataset, preset, model, _), members in sorted(rows.items()):
            for text in rules.row_faults(members):
                self.report.add(FAULT, f"{model} on {dataset}, preset {preset}", text)
            first = resolve(self.suite.tasks[members[0].record.cell.task].spec.builder).first_score
            told = [headline_scores(m.record).get(first) for m in members if m.scored]
            known = [score.value for score in told if score is not None and score.value is not None]
            row = {"benchmark": benchmark, "dataset": dataset, "preset": preset, "model": model, "score": first}
            row |= {"mean": sum(known) / len(known) if known else None}
            row |= {"done": len(told), "cells": len(members), "kept_back": is_withheld(members[0].record)}
            self.report.rows.append(row)

"""Entries that somebody else ran again: what is said of it is judged anew from the predictions of both attempts.

A repetition is an attempt that `reproduction-<attempt>.json` at the root of its run folder tells of; it lies in a
source of its own or beside others, and stands in no entry (see `collect`).
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import read_attempt
from vidsuite_core.results.summary import device_of
from vidsuite_core.results.verification import verified
from vidsuite_core.runner.reproduce import (
    Reproduction,
    criterion_of,
    first_score,
    read_reproduction,
    row_and_fold,
    same_row_and_fold,
)
from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.collect import Rejected
from vidsuite_leaderboard.entries import REPRODUCED, Entry, one_line
from vidsuite_leaderboard.show import number

if TYPE_CHECKING:
    from vidsuite_core.results.verification import Verified
    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.cache import Cache
    from vidsuite_leaderboard.collect import Collection, Found, Source


@dataclass(frozen=True)
class Reproduced:
    """A cell of an entry that was run again: by whom (a name that they give), on what, when (ISO 8601), what came out.

    `recorded` and `found` are first scores; `within` says whether the latter lies from `low` to `high`.
    """

    by: str
    device: str
    created: str
    fold: str
    seed: int
    recorded: float
    found: float
    low: float
    high: float
    within: bool


def reproduced(
    suite: Suite, sources: Sequence[Source], collection: Collection, known: Cache
) -> dict[str, list[Reproduced]]:
    """By the slug of an entry, the repetitions of its cells that hold; the others join `collection.rejected`.

    One holds where its attempt is sound, has the score id of an attempt of the entry, which it names, and is of the
    same samples; where it came with a submission, by that submission's name; and is not the entry's submitter's own.
    """
    roots = {source.root: source for source in sources}
    attempts: dict[str, list[tuple[str, Found]]] = defaultdict(list)
    for slug, members in collection.members.items() if collection.again else ():
        for member in members:
            attempts[member.path.name].append((slug, member))
    judged: dict[str, list[Reproduced]] = defaultdict(list)
    for one in collection.again:
        try:
            told = _told(one, roots[one.path.parents[2]])
            originals = attempts.get(told.of)
            if not originals:
                raise VidsuiteError(f"{told.of}, which it repeats, is not here or does not hold")
            for slug, original in originals:
                found = _judged(suite, told, one, original, collection.members[slug], known)
                judged[slug].append(found)
        except VidsuiteError as error:
            reason = one_line(f"is no reproduction that counts: {error}", str(one.path))
            collection.rejected.append(Rejected(one.place, one.by, reason))
    return dict(judged)


def _told(one: Found, source: Source) -> Reproduction:
    told = read_reproduction(source.root, one.path.name)
    if source.by and told.by != source.by:
        raise VidsuiteError(f"it is by {told.by!r}, but was submitted by {source.by!r}")
    return told


def _judged(
    suite: Suite, told: Reproduction, one: Found, original: Found, members: Sequence[Found], known: Cache
) -> Reproduced:
    if same_person(told.by, original.by):
        raise VidsuiteError(f"{told.by!r} submitted the attempt that it repeats; somebody else must run it")
    start = row_and_fold(original.path.parts[-2])
    fellows = [member for member in members if row_and_fold(member.path.parts[-2]) == start]
    key = digest([told.by, one.key, original.key, sorted(fellow.key for fellow in fellows)])
    if held := known.get("reproductions", [key]):
        plain = json.loads(held[key][0])
    else:
        try:
            plain = asdict(_judge(suite, told, one, original, fellows))
        except Exception as error:  # a stranger's arrays may make a task raise anything
            kind = "" if isinstance(error, VidsuiteError) else f"{type(error).__name__}: "
            plain = {"fault": f"{kind}{error}"}
        known.put("reproductions", {key: (json.dumps(plain, allow_nan=False), None)})
    if "fault" in plain:
        raise VidsuiteError(plain["fault"])
    return Reproduced(**plain)


def _judge(suite: Suite, told: Reproduction, one: Found, original: Found, fellows: Iterable[Found]) -> Reproduced:
    found, recorded = _sound(suite, one), _sound(suite, original)
    new, old = found.attempt.record, recorded.attempt.record
    if new.score_id != old.score_id:
        raise VidsuiteError("its score id is not that of the attempt that it repeats")
    if _samples(found) != _samples(recorded):
        raise VidsuiteError("it predicts other samples than the attempt that it repeats")
    attempts = [read_attempt(fellow.path) for fellow in fellows]
    criterion = criterion_of(
        recorded, [verified(suite, a) for a in attempts if a.record.status == "ok" and same_row_and_fold(a.record, old)]
    )
    return Reproduced(
        by=told.by,
        device=device_of(new),
        created=new.created.isoformat(timespec="seconds"),
        fold=new.cell.fold,
        seed=new.cell.seed,
        recorded=first_score(recorded),
        found=first_score(found),
        low=criterion.low,
        high=criterion.high,
        within=criterion.holds(first_score(found)),
    )


def _sound(suite: Suite, one: Found) -> Verified:
    checked = verified(suite, read_attempt(one.path))
    if not checked.scored:
        raise VidsuiteError(checked.faults[0] if checked.faults else f"{one.path.name} has no scores")
    return checked


def _samples(one: Verified) -> list[tuple[str, str]]:
    return sorted(zip(one.arrays["sample_id"].tolist(), one.arrays["subject"].tolist(), strict=True))


def same_person(one: str, other: str) -> bool:
    """Whether two names read the same, apart from case, spaces and forms of letters."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def applied(entries: Sequence[Entry], found: Mapping[str, Sequence[Reproduced]]) -> list[Entry]:
    """The entries, with the status "reproduced" and by whom where every repetition lies within; a note on each."""
    return [_applied(entry, found[entry.slug]) if entry.slug in found else entry for entry in entries]


def _applied(entry: Entry, found: Sequence[Reproduced]) -> Entry:
    ordered = sorted(found, key=lambda one: one.created)
    notes = [*entry.notes, *(_note(one) for one in ordered)]
    if not all(one.within for one in ordered):
        return replace(entry, notes=notes)
    if entry.by:
        notes.append(f"submitted by {entry.by}")
    return replace(entry, status=REPRODUCED, by=", ".join(dict.fromkeys(one.by for one in ordered)), notes=notes)


def _note(one: Reproduced) -> str:
    came = "within" if one.within else "NOT within"
    return (
        f"fold {one.fold}, seed {one.seed} was run again by {one.by} on {one.device}, {one.created[:10]}:"
        f" {number(one.found)} for {number(one.recorded)}, {came} {number(one.low)} to {number(one.high)}"
    )

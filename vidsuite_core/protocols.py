"""Protocols: how a dataset's subjects are divided into what trains and what is scored."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidsuite_core.errors import UsageError, VidsuiteError

VERSION = 1
"""Part of the score id: raised when the same protocol would yield other folds."""


@dataclass(frozen=True)
class Fold:
    """Ids of the samples that train and that are scored; no subject is on both sides."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    val: tuple[str, ...] = ()
    """Samples that choose the epoch under selection "inner", where the dataset brings them."""


def make_folds(protocol: Mapping[str, Any], samples: Sequence[Any]) -> list[Fold]:
    """The folds of `protocol` over `samples` (each with `id`, `subject` and, for strata, `label`).

    Protocols, by `type`:
        grouped_kfold: `folds` parts of the subjects, each class's subjects dealt evenly (`seed`).
        leave_one_group_out: one fold a subject.
        repeated_halves: `repeats` divisions of the subjects into halves (`seed`).
        fixed: the samples' own `split` ("train", "val" or "test"), one fold.

    Raises:
        UsageError: the protocol is unknown, or there are too few subjects for it.
        VidsuiteError: a subject would be on both sides, or two samples have one id.
    """
    options = dict(protocol)
    kind = options.pop("type", None)
    makers = {
        "grouped_kfold": grouped_kfold,
        "leave_one_group_out": leave_one_group_out,
        "repeated_halves": repeated_halves,
        "fixed": fixed_split,
    }
    if kind not in makers:
        raise UsageError(f"protocol type {kind!r} is unknown; there are {', '.join(makers)}")
    twice = [name for name, count in Counter(sample.id for sample in samples).items() if count > 1]
    if twice:
        raise VidsuiteError(f"the dataset names sample {twice[0]!r} twice; ids must be unique")
    try:
        folds = makers[kind](samples, **options)
    except TypeError as error:
        raise UsageError(f"protocol {kind} does not take these options: {error}") from error
    if not folds:
        raise UsageError(f"protocol {kind} makes no fold with {options}")
    for fold in folds:
        assert_disjoint(fold, samples)
    return folds


def assert_disjoint(fold: Fold, samples: Sequence[Any]) -> None:
    """Raise `VidsuiteError` if a side is empty or a subject is on both sides of `fold`."""
    subjects = {sample.id: sample.subject for sample in samples}
    shared = {subjects[i] for i in fold.train} & {subjects[i] for i in fold.test}
    shared |= {subjects[i] for i in fold.val} & {subjects[i] for i in (*fold.train, *fold.test)}
    if shared:
        raise VidsuiteError(f"fold {fold.name}: subject {min(shared)!r} is on both sides of the split")
    if not fold.train or not fold.test:
        raise VidsuiteError(f"fold {fold.name}: one side of the split is empty")


def grouped_kfold(samples: Sequence[Any], folds: int = 5, seed: int = 0) -> list[Fold]:
    """`folds` parts of the subjects; each class's subjects are shuffled and dealt in turn.

    A subject's class is that of most of its samples, the first of several in name; the samples' order does not
    matter. This stratifies *subjects*, as the seizure paper does
    (section 3.6: 4 + 3 subjects in each validation fold); scikit-learn's StratifiedGroupKFold stratifies samples.
    """
    strata = _strata(samples)
    few = [f"{label} ({len(members)})" for label, members in strata.items() if len(members) < folds]
    if folds < 2:
        raise UsageError(f"a division into {folds} parts has no training side; ask for at least 2 folds")
    if few:
        raise UsageError(f"{folds} folds need at least {folds} subjects of each class; short: class {', '.join(few)}")
    parts: list[set[str]] = [set() for _ in range(folds)]
    turn = 0
    for members in strata.values():
        random.Random(seed).shuffle(members)  # noqa: S311
        for subject in members:
            parts[turn % folds].add(subject)
            turn += 1
    return [_fold(str(number), samples, part) for number, part in enumerate(parts)]


def leave_one_group_out(samples: Sequence[Any]) -> list[Fold]:
    """One fold a subject, in the subjects' order; the fold has the subject's name."""
    subjects = sorted({sample.subject for sample in samples}, key=_natural)
    if len(subjects) < 2:
        raise UsageError("leaving one subject out needs at least 2 subjects")
    return [_fold(subject, samples, {subject}) for subject in subjects]


def repeated_halves(samples: Sequence[Any], repeats: int = 10, seed: int = 0) -> list[Fold]:
    """`repeats` random divisions of the subjects into two halves, stratified as in `grouped_kfold`."""
    return [
        Fold(str(number), half.train, half.test)
        for number in range(repeats)
        for half in grouped_kfold(samples, folds=2, seed=seed * 1_000_003 + number)[:1]
    ]


def fixed_split(samples: Sequence[Any]) -> list[Fold]:
    """The dataset's own split: each sample's `split` is "train", "val", "test" or something that is left out."""
    if not all(hasattr(sample, "split") for sample in samples):
        raise UsageError("protocol fixed needs samples that bring their own split; use a protocol that makes one")
    train, test, val = (
        tuple(sample.id for sample in samples if sample.split == split) for split in ("train", "test", "val")
    )
    return [Fold("fixed", train, test, val)]


def inner_split(fold: Fold, samples: Sequence[Any], seed: int = 0) -> tuple[Fold, tuple[str, ...]]:
    """A fold whose training side has given subjects for choosing the epoch: a fifth, or 1 of each 2 to 4 of a class.

    A fold that has samples for this of its own (`val`) is left as it is.

    Returns:
        the fold with the smaller training side, and the ids held back from it.
    """
    if fold.val:
        return fold, fold.val
    training = set(fold.train)
    inside = [sample for sample in samples if sample.id in training]
    parts = min(5, *(len(members) for members in _strata(inside).values()))
    if parts < 2:
        raise UsageError(
            "selection=inner needs two training subjects of each class, or samples of split 'val'; use selection=last"
        )
    inner = grouped_kfold(inside, folds=parts, seed=seed)[0]
    return Fold(fold.name, inner.train, fold.test), inner.test


def _strata(samples: Sequence[Any]) -> dict[Any, list[str]]:
    labels: dict[str, Counter[Any]] = defaultdict(Counter)
    for sample in samples:
        labels[sample.subject][getattr(sample, "label", None)] += 1
    strata: dict[Any, list[str]] = defaultdict(list)
    for subject in sorted(labels, key=_natural):
        most = max(labels[subject].values())
        strata[min((label for label, n in labels[subject].items() if n == most), key=str)].append(subject)
    return dict(sorted(strata.items(), key=lambda item: str(item[0])))


def _fold(name: str, samples: Sequence[Any], held_out: set[str]) -> Fold:
    train = tuple(sample.id for sample in samples if sample.subject not in held_out)
    return Fold(name, train, tuple(sample.id for sample in samples if sample.subject in held_out))


def _natural(text: str) -> tuple[int, str]:
    return len(text), text

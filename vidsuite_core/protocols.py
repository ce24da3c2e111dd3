"""Protocols: how a dataset's subjects are divided into what trains and what is scored."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vidsuite_core.dealing import deal
from vidsuite_core.errors import UsageError, VidsuiteError

VERSION = 1
"""Part of the score id: raised when the same protocol would yield other folds."""
WITHHELD = "withheld"
"""What a protocol's option `labels` says where the labels of the scored side are kept back."""


class Short(UsageError):
    """Too few subjects have recordings of a class; `told` says so with the classes' names."""

    def __init__(self, folds: int, few: Mapping[Any, Sequence[str]]) -> None:
        self.folds, self.few = folds, few
        super().__init__(self.told(()))

    def told(self, classes: Sequence[str]) -> str:
        """The message, labels named as in `classes`."""
        short = [f"class {_named(label, classes)} ({len(subjects)})" for label, subjects in self.few.items()]
        most = min(map(len, self.few.values()), default=0)
        remedy = f"ask for {most} folds, or bring more subjects" if most > 1 else "bring more subjects of that class"
        return (
            f"{self.folds} folds need at least {self.folds} subjects of each class; short: {', '.join(short)}; {remedy}"
        )


@dataclass(frozen=True)
class Fold:
    """Ids of the samples that train and that are scored; no subject is on both sides."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    val: tuple[str, ...] = ()
    """Samples that choose the epoch under selection "inner", where the dataset brings them."""


def make_folds(protocol: Mapping[str, Any], samples: Sequence[Any], classes: Sequence[str] = ()) -> list[Fold]:
    """The folds of `protocol` over `samples` (each with `id`, `subject` and, for strata, `label`).

    Every fold that is made here trains on all classes that there are; a `fixed` one is the dataset's own.

    Any `labels` that the protocol does not keep back must be there (see `withheld`).

    Protocols, by `type`:
        grouped_kfold: `folds` parts of the subjects with every class in each, dealt evenly (`seed`).
        leave_one_group_out: one fold a subject.
        repeated_halves: `repeats` divisions of the subjects into halves (`seed`).
        fixed: the samples' own `split` ("train", "val" or "test"), one fold; its training side may be empty, for
            models that only predict. With `labels: withheld` the labels of its test side are kept back.

    Args:
        classes: names of the labels, for messages.

    Raises:
        UsageError: the protocol is unknown, or there are too few subjects for it, of a class or in all, or a label
            that is not kept back is missing.
        VidsuiteError: a subject would be on both sides, or two samples have one id.
    """
    kept_back = withheld(protocol)
    options = {name: value for name, value in protocol.items() if name != "labels"}
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
    _refuse_unlabelled(samples, kind, kept_back)
    try:
        folds = makers[kind](samples, **options)
    except TypeError as error:
        raise UsageError(f"protocol {kind} does not take these options: {error}") from error
    except Short as short:
        raise UsageError(short.told(classes)) from None
    if not folds:
        raise UsageError(f"protocol {kind} makes no fold with {options}")
    labels = {sample.id: getattr(sample, "label", None) for sample in samples}
    for fold in folds:
        assert_disjoint(fold, samples)
        absent = set() if kept_back else {labels[i] for i in fold.test} - {labels[i] for i in fold.train}
        if absent and (kind != "fixed" or len({labels[i] for i in fold.train}) == 1):
            raise UsageError(_untrained(fold, min(absent, key=str), samples, classes))
    return folds


def withheld(protocol: Mapping[str, Any]) -> bool:
    """Whether the labels of the scored side are kept back: cells then keep predictions, and whoever has them scores.

    Raises:
        UsageError: the option `labels` is another one, or the protocol has no side that never trains.
    """
    if "labels" not in protocol:
        return False
    if protocol["labels"] != WITHHELD:
        raise UsageError(f"protocol option labels={protocol['labels']!r} is unknown; there is {WITHHELD!r}")
    if protocol.get("type") != "fixed":
        raise UsageError(
            f"protocol {protocol.get('type')} trains on each sample in one of its folds, so that no label can be kept "
            "back; use type fixed"
        )
    return True


def as_given(protocol: Mapping[str, Any], samples: Sequence[Any]) -> Sequence[Any]:
    """The samples as a cell may see them: without the labels that the protocol keeps back, also where they are here.

    Raises:
        UsageError: samples of this type have no labels that could be kept back.
    """
    if not withheld(protocol):
        return samples
    if foreign := [type(sample).__name__ for sample in samples if not getattr(sample, "truth", ())]:
        raise UsageError(f"a {foreign[0]} names no fields of its own as truth, so that its labels cannot be kept back")
    return [sample.unlabelled() if sample.split == "test" else sample for sample in samples]


def _refuse_unlabelled(samples: Sequence[Any], kind: str, kept_back: bool) -> None:
    """Refuse samples without the labels that the protocol needs; of the fixed one, those on a side of the split."""
    sides = ("train", "val") if kept_back else ("train", "val", "test")
    for sample in samples:
        on_a_side = kind != "fixed" or getattr(sample, "split", "") in sides
        if on_a_side and not getattr(sample, "labelled", True):
            raise UsageError(
                f"sample {sample.id!r} has no label; only a protocol of type fixed with labels: {WITHHELD} takes such, "
                "and on its test side alone"
            )


def assert_disjoint(fold: Fold, samples: Sequence[Any]) -> None:
    """Raise `VidsuiteError` if nothing is scored or a subject is on both sides of `fold`."""
    subjects = {sample.id: sample.subject for sample in samples}
    shared = {subjects[i] for i in fold.train} & {subjects[i] for i in fold.test}
    shared |= {subjects[i] for i in fold.val} & {subjects[i] for i in (*fold.train, *fold.test)}
    if shared:
        raise VidsuiteError(f"fold {fold.name}: subject {min(shared)!r} is on both sides of the split")
    if not fold.test:
        raise VidsuiteError(f"fold {fold.name}: the scored side of the split is empty")


def grouped_kfold(samples: Sequence[Any], folds: int = 5, seed: int = 0) -> list[Fold]:
    """`folds` parts of the subjects, every class in each; the samples' order does not matter.

    Where each subject has one class, each class's subjects are shuffled and dealt in turn. This stratifies *subjects*,
    as the seizure paper does (section 3.6: 4 + 3 subjects in each validation fold). Others: see `deal`.

    Raises:
        Short: (a `UsageError`) a class has too few subjects.
    """
    counts = _counts(samples)
    if folds < 2:
        raise UsageError(f"a division into {folds} parts has no training side; ask for at least 2 folds")
    strata: dict[Any, list[str]] = defaultdict(list)
    for subject, labels in counts.items():
        for label in labels:
            strata[label].append(subject)
    strata = dict(sorted(strata.items(), key=lambda item: str(item[0])))
    if few := {label: members for label, members in strata.items() if len(members) < folds}:
        raise Short(folds, few)
    if any(len(labels) > 1 for labels in counts.values()):
        parts = deal(counts, folds, seed)
    else:
        parts = [set() for _ in range(folds)]
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
    having = Counter(label for labels in _counts(inside).values() for label in labels)
    for parts in range(min(5, *having.values()), 1, -1):
        with suppress(Short):
            inner = grouped_kfold(inside, folds=parts, seed=seed)[0]
            return Fold(fold.name, inner.train, fold.test), inner.test
    raise UsageError(
        "selection=inner needs two training subjects of each class, or samples of split 'val'; use selection=last"
    )


def _untrained(fold: Fold, label: Any, samples: Sequence[Any], classes: Sequence[str]) -> str:
    having = sorted({s.subject for s in samples if getattr(s, "label", None) == label}, key=_natural)
    more = f" and {len(having) - 3} more" if len(having) > 3 else ""
    return (
        f"fold {fold.name} would train without class {_named(label, classes)}, which it scores: only "
        f"{', '.join(having[:3])}{more} {'has' if len(having) == 1 else 'have'} it; bring more subjects of that class"
    )


def _counts(samples: Sequence[Any]) -> dict[str, Counter[Any]]:
    """How many samples of each label each subject has, the subjects in natural order."""
    counts: dict[str, Counter[Any]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.subject][getattr(sample, "label", None)] += 1
    return {subject: counts[subject] for subject in sorted(counts, key=_natural)}


def _named(label: Any, classes: Sequence[str]) -> str:
    return repr(classes[label]) if isinstance(label, int) and label < len(classes) else str(label)


def _fold(name: str, samples: Sequence[Any], held_out: set[str]) -> Fold:
    train = tuple(sample.id for sample in samples if sample.subject not in held_out)
    return Fold(name, train, tuple(sample.id for sample in samples if sample.subject in held_out))


def _natural(text: str) -> tuple[int, str]:
    return len(text), text

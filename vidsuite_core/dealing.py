"""Dealing subjects that have several classes into parts with every class in each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice, permutations
from typing import Any

from vidsuite_core.errors import UsageError

TRIES = 20
"""So many shuffles are tried before a division counts as impossible."""

EXCHANGES = 20_000
"""So many changes of a division are looked at in a try, each in microseconds."""


def deal(counts: Mapping[str, Counter[Any]], folds: int, seed: int) -> list[set[str]]:
    """`folds` parts of the subjects, every class in each, as alike as can be in samples and subjects of each class.

    As in scikit-learn's StratifiedGroupKFold, subjects are dealt one by one, large ones first, each to where it
    leaves all most even. That alone may leave a part without a class, so subjects are then moved and exchanged as long
    as this fills a part that lacks a class or, with as many classes, evens the parts out.

    Args:
        counts: how many samples of each class each subject has, subjects in an order that decides the result.
        seed: of the shuffle that decides between subjects that are alike.

    Raises:
        UsageError: no such division was found. With two classes there is one wherever each class has `folds` subjects.
    """
    shares = _shares(counts)
    for number in range(TRIES):
        dice = random.Random(seed * 1_000_003 + number)  # noqa: S311
        order = list(counts)
        dice.shuffle(order)
        order.sort(key=lambda subject: -sum(counts[subject].values()))
        parts = _dealt(order, shares, folds)
        if not _exchanged(parts, shares):
            return parts
    raise UsageError(
        f"found no division of {len(counts)} subjects into {folds} parts with every class in each; ask for fewer folds"
    )


def _shares(counts: Mapping[str, Counter[Any]]) -> dict[str, list[float]]:
    """What a subject adds to its part's load: its share of each class's samples, then of each class's subjects."""
    classes = sorted({label for labels in counts.values() for label in labels}, key=str)
    samples = {label: sum(labels[label] for labels in counts.values()) for label in classes}
    subjects = {label: sum(label in labels for labels in counts.values()) for label in classes}
    return {
        name: [labels[one] / samples[one] for one in classes] + [(one in labels) / subjects[one] for one in classes]
        for name, labels in counts.items()
    }


def _dealt(order: Sequence[str], shares: Mapping[str, list[float]], folds: int) -> list[set[str]]:
    width = len(shares[order[0]])
    parts, loads = [set[str]() for _ in range(folds)], [[0.0] * width for _ in range(folds)]
    for subject in order:
        own = shares[subject]
        # What the sum of the squared loads, which evenness makes least, grows by.
        growth = [sum(share * (2 * load + share) for share, load in zip(own, part, strict=True)) for part in loads]
        chosen = min(range(folds), key=lambda part: (round(growth[part], 12), len(parts[part])))
        parts[chosen].add(subject)
        loads[chosen] = [load + share for load, share in zip(loads[chosen], own, strict=True)]
    return parts


def _exchanged(parts: list[set[str]], shares: Mapping[str, list[float]]) -> int:
    """Move and exchange subjects between `parts` while that helps; returns how many classes parts still lack."""
    nothing = [0.0] * len(next(iter(shares.values())))
    loads = [
        [sum(column) for column in zip(nothing, *(shares[s] for s in sorted(part)), strict=True)] for part in parts
    ]
    left = EXCHANGES
    while left > 0:
        for looked, change in enumerate(islice(_changes(parts), left), 1):
            one, other, given, taken = change
            back = nothing if taken is None else shares[taken]
            new = _changed(loads[one], shares[given], back), _changed(loads[other], back, shares[given])
            if _cost(*new) < _cost(loads[one], loads[other]):
                loads[one], loads[other] = new
                parts[one].remove(given)
                parts[other].add(given)
                if taken is not None:
                    parts[other].remove(taken)
                    parts[one].add(taken)
                left -= looked
                break
        else:
            break
    return sum(map(_lacking, loads))


def _changes(parts: Sequence[set[str]]) -> Iterator[tuple[int, int, str, str | None]]:
    """(part, other part, subject to give, subject to take for it or None): all moves, then all exchanges."""
    names = [sorted(part) for part in parts]
    for one, other in permutations(range(len(parts)), 2):
        yield from ((one, other, given, None) for given in names[one])
    for one, other in combinations(range(len(parts)), 2):
        yield from ((one, other, given, taken) for given in names[one] for taken in names[other])


def _changed(load: list[float], without: list[float], plus: list[float]) -> list[float]:
    return [a - b + c for a, b, c in zip(load, without, plus, strict=True)]


def _cost(*loads: list[float]) -> tuple[int, float]:
    """Classes that are lacking, then unevenness; rounded, so that sums in another order are no gain."""
    return sum(map(_lacking, loads)), round(sum(value * value for load in loads for value in load), 9)


def _lacking(load: list[float]) -> int:
    return sum(value < 1e-9 for value in load[: len(load) // 2])

"""How often intervals hold the truth: cohorts whose truth is known, drawn again and again, and summed up as rows are.

Each cohort has subjects of two classes, each with a skill of its own; training by chance moves all of a cell's
predictions, the more the larger `chance` is. The truth of a protocol is the mean of its score over all cohorts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from vidsuite_core.protocols import make_folds
from vidsuite_core.results.statistics import Estimate, Part, apart, estimate
from vidsuite_core.tasks.clip_classification import ClipClassification

TASK = ClipClassification("ab")
CLIPS = 6
PROTOCOLS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "grouped_kfold": {"folds": 5},
    "leave_one_group_out": {},
    "repeated_halves": {"repeats": 10},
}


@dataclass(frozen=True)
class Setting:
    """A protocol, and the cohorts that it is tried on; `both` gives each subject clips of both classes."""

    protocol: str
    subjects: int
    both: bool = False
    seeds: int = 1
    chance: float = 0.0
    skill: float = 0.8

    def folds(self) -> list[np.ndarray]:
        """The subjects that each fold scores."""
        options = dict(PROTOCOLS[self.protocol])
        strata = [0 if self.both else number % 2 for number in range(self.subjects)]
        if "folds" in options:
            options["folds"] = min(options["folds"], strata.count(0), strata.count(1) or self.subjects)
        samples = [SimpleNamespace(id=f"{n:03d}", subject=f"{n:03d}", label=k) for n, k in enumerate(strata)]
        if self.protocol == "fixed":
            return [np.arange(self.subjects)]
        made = make_folds({"type": self.protocol, **options}, samples)
        return [np.array([int(name) for name in fold.test]) for fold in made]

    def __str__(self) -> str:
        classes = "both" if self.both else "one"
        return f"{self.protocol}-{self.subjects}-{classes}-{self.seeds}x{self.chance}-{self.skill}"


def cohorts(setting: Setting, count: int, models: int = 1) -> Iterator[list[Estimate]]:
    """The estimates of `models` alike models on each of `count` cohorts."""
    rng = np.random.default_rng([len(setting.protocol), setting.subjects, setting.both, setting.seeds])
    folds, target = setting.folds(), targets(setting)
    for _ in range(count):
        skill = skills(setting, rng)
        own = [skill + (models > 1) * rng.normal(0, 0.3, skill.shape) for _ in range(models)]
        yield [estimate_of(cells(setting, folds, target, one, rng)) for one in own]


def targets(setting: Setting) -> np.ndarray:
    """(S, CLIPS) classes: in turn within each subject, or of the subject."""
    turn = np.arange(CLIPS) if setting.both else np.arange(setting.subjects)[:, None]
    return np.broadcast_to(turn % 2, (setting.subjects, CLIPS))


def skills(setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """(S, 1) log odds of a subject's clips to be right; one class is easier than the other."""
    of_class = 0.0 if setting.both else 0.07 * (1 - 2 * (np.arange(setting.subjects)[:, None] % 2))
    easy = np.broadcast_to(setting.skill + of_class, (setting.subjects, 1))
    share = np.clip(rng.beta(6 * easy, 6 * (1 - easy)), 1e-9, 1 - 1e-9)
    return np.log(share / (1 - share))


def cells(
    setting: Setting, folds: Sequence[np.ndarray], target: np.ndarray, skill: np.ndarray, rng: np.random.Generator
) -> Iterator[Part]:
    """One model's cells."""
    for seed in range(setting.seeds):
        of_seed = rng.normal(0, setting.chance)
        for members in folds:
            odds = skill[members] + of_seed + rng.normal(0, setting.chance)
            arrays = predicted(members, target[members], odds, rng)
            names, without = TASK.leave_one_out(arrays)
            yield Part(seed, TASK.score(arrays)["macro_f1"], names, without["macro_f1"])


def predicted(
    members: np.ndarray, target: np.ndarray, odds: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The clips of `members` as the task stores them, each right with the log odds of its subject."""
    right = rng.random(target.shape) < 1 / (1 + np.exp(-odds))
    names = np.repeat([f"{member:03d}" for member in members], CLIPS)
    return {
        "sample_id": np.arange(target.size).astype(str),
        "subject": names,
        "recording": names,
        "target": target.reshape(-1),
        "prob": np.eye(2)[np.where(right, target, 1 - target).reshape(-1)],
    }


def clips(setting: Setting, rng: np.random.Generator, count: int = 1) -> Iterator[dict[str, np.ndarray]]:
    """Cohorts with one prediction of each clip, whatever the folds."""
    everybody = np.arange(setting.subjects)
    for _ in range(count):
        yield predicted(everybody, targets(setting), skills(setting, rng), rng)


def members_of(arrays: dict[str, np.ndarray], members: np.ndarray) -> dict[str, np.ndarray]:
    """The clips of some subjects."""
    return TASK.select(arrays, [f"{member:03d}" for member in members])


def estimate_of(parts: Iterator[Part]) -> Estimate:
    """The estimate of cells that all have a score."""
    found = estimate(parts, fraction=True)
    assert found is not None
    return found


def coverage(setting: Setting, count: int) -> tuple[float, float, float]:
    """The share of intervals that hold the truth, of cohorts that have one, and the standard deviation of scores."""
    found = [one for (one,) in cohorts(setting, count)]
    means = np.array([one.mean for one in found])
    intervals = [interval for one in found if (interval := one.interval())]
    held = np.mean([low <= means.mean() <= high for low, high in intervals])
    return float(held), len(intervals) / count, float(means.std())


def false_alarms(setting: Setting, count: int) -> float:
    """How often the paired test tells two models apart that are equally good."""
    told = 0
    for one, other in cohorts(setting, count, models=2):
        low, high = apart(one.draws("one"), other.draws("other")) or (0.0, 0.0)
        told += not low <= 0 <= high
    return told / count

"""A cell and its identity: what decides its scores, and the two ids that follow from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vidsuite_core.protocols import VERSION
from vidsuite_core.support.ids import digest

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One benchmark x dataset x model x fold x seed x preset, on one class of device.

    `benchmark`, `dataset` and `model` are full names; `score_key` holds all that decides the cell's scores,
    in JSON's own types, and `folds` is how many folds its protocol makes.
    """

    benchmark: str
    task: str
    dataset: str
    model: str
    fold: str
    folds: int
    seed: int
    preset: str
    score_key: Mapping[str, Any]
    device_kind: str
    device_count: int = 1

    @property
    def plugin(self) -> str:
        """The plugin of the benchmark, below which attempts are kept."""
        return self.benchmark.partition("/")[0]

    @property
    def title(self) -> str:
        """A short name for progress and errors."""
        seed = f" seed {self.seed}" if self.seed else ""
        return f"{_last(self.model)} · {_last(self.dataset)} · fold {self.fold}{seed}"

    @cached_property
    def score_id(self) -> str:
        """Hash of all that decides the scores."""
        return digest(self.score_key)

    @property
    def family(self) -> str:
        """How the ids of the model's cells on this dataset and preset begin, whatever their fold, seed and config."""
        return "-".join(_UNSAFE.sub("_", part)[:32] for part in (_last(self.model), _last(self.dataset), self.preset))

    @cached_property
    def cell_id(self) -> str:
        """A readable name that ends in a hash of the score id, the names and the device."""
        whole = [self.benchmark, self.dataset, self.model, self.score_id, self.device_kind, self.device_count]
        fold, seed = (_UNSAFE.sub("_", part)[:32] for part in (f"f{self.fold}", f"s{self.seed}"))
        return f"{self.family}-{fold}-{seed}-{digest(whole)[:16]}"


def score_key(
    *,
    task: tuple[str, int],
    protocol: Mapping[str, Any],
    fold: str,
    fingerprint: str,
    config: Mapping[str, Any],
    weights: Mapping[str, str],
    seed: int,
    preset: str,
) -> dict[str, Any]:
    """All that decides a score: nothing of when, where or in which order cells are run."""
    return {
        "task": {"name": task[0], "version": task[1]},
        "protocol": {**protocol, "version": VERSION},
        "fold": fold,
        "dataset": fingerprint,
        "config": dict(config),
        "weights": dict(weights),
        "seed": seed,
        "preset": preset,
    }


def _last(key: str) -> str:
    return key.rpartition("/")[2]

"""The plan: from a benchmark to its cells. Pure, given the dataset's samples and the resolved configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vidsuite_core.engine.recipe import way_of
from vidsuite_core.errors import UsageError
from vidsuite_core.protocols import make_folds, withheld
from vidsuite_core.results.cell import Cell, score_key


def folds_of(protocol: Mapping[str, Any]) -> int | None:
    """How many folds a protocol makes, where that needs no samples; None where it does."""
    made = {"fixed": 1, "grouped_kfold": protocol.get("folds", 5), "repeated_halves": protocol.get("repeats", 10)}
    count = made.get(str(protocol.get("type")))
    return count if isinstance(count, int) else None


def plan_cells(
    *,
    benchmark: str,
    task: tuple[str, int],
    dataset: str,
    samples: Sequence[Any],
    fingerprint: str,
    protocol: Mapping[str, Any],
    model: str,
    config: Mapping[str, Any],
    weights: Mapping[str, str],
    seeds: Sequence[int],
    preset: str,
    device_kind: str,
    device_count: int = 1,
    classes: Sequence[str] = (),
) -> list[Cell]:
    """The cells of one model on one dataset: a cell a fold and seed, folds first.

    Args:
        task: its name and version.
        weights: content hash, or "random", of each of the model's initial weights.
        protocol, classes: see `vidsuite_core.protocols.make_folds`.

    Raises:
        UsageError: the dataset has nothing that the model could be trained on, the protocol does not fit it, or the
            model chooses a moment of training by labels that are kept back.
    """
    if withheld(protocol) and config.get("paper_rule"):
        raise UsageError(
            f"{model} chooses a moment of training on the scored samples (paper_rule), whose labels are kept back; run "
            "it with --cfg-options paper_rule=None, or let the benchmark's cfg say so"
        )
    folds = make_folds(protocol, samples, classes)
    untrained = [fold.name for fold in folds if not fold.train]
    if untrained and way_of(config) != "predicts":
        raise UsageError(f"{dataset} has no training side (fold {untrained[0]}), and {model} has to be trained")
    return [
        Cell(
            benchmark=benchmark,
            task=task[0],
            dataset=dataset,
            model=model,
            fold=fold.name,
            folds=len(folds),
            seed=seed,
            preset=preset,
            score_key=score_key(
                task=task,
                protocol=protocol,
                fold=fold.name,
                fingerprint=fingerprint,
                config=config,
                weights=weights,
                seed=seed,
                preset=preset,
            ),
            device_kind=device_kind,
            device_count=device_count,
        )
        for seed in seeds
        for fold in folds
    ]

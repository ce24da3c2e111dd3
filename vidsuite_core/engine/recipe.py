"""What a config asks for: to train in steps, to fit in one go, or to predict alone; and what it lacks for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from vidsuite_core.engine.config import WEIGHTS, named_weights
from vidsuite_core.errors import UsageError

Way = Literal["trains", "fits", "predicts"]

_NEEDS: Mapping[Way, Sequence[str]] = {
    "trains": ("model", "train_dataloader", "optim_wrapper"),
    "fits": ("model", "train_dataloader"),
    "predicts": ("model",),
}
_WHY: Mapping[Way, str] = {
    "trains": "it has train_cfg, so it trains",
    "fits": "it has train_dataloader and no train_cfg, so its model is fitted in one go",
    "predicts": "it has neither train_cfg nor train_dataloader, so it only predicts",
}


def way_of(config: Mapping[str, Any]) -> Way:
    """How a config comes to its predictions: it "trains" step by step, "fits" in one go, or "predicts" alone."""
    if config.get("train_cfg"):
        return "trains"
    return "fits" if config.get("train_dataloader") else "predicts"


def counts_epochs(config: Mapping[str, Any]) -> bool:
    """Whether a recipe's training is counted in epochs (mmengine's `by_epoch`), and not in iterations."""
    train = config.get("train_cfg") or {}
    return bool(train.get("by_epoch", train.get("type") != "IterBasedTrainLoop"))


def settle_recipe(config: dict[str, Any], model: str) -> None:
    """Check that a config can be run; one that only predicts and names no weights takes those that bear its name.

    Args:
        config: resolved, see `vidsuite_core.engine.config.cell_config`.
        model: its full name.

    Raises:
        UsageError: a line that names every field that is missing, or the first that contradicts another.
    """
    way, name = way_of(config), f"config of {model}"
    lacking = [field for field in _NEEDS[way] if not config.get(field)]
    if not config.get("test_dataloader") and not config.get("val_dataloader"):
        lacking.append("test_dataloader")
    for field in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if config.get(field) and not config[field].get("dataset"):
            lacking.append(f"{field}.dataset")
    if lacking:
        raise UsageError(f"{name} lacks {', '.join(lacking)}: {_WHY[way]}")
    if way == "predicts" and not named_weights(config):
        config["load_from"] = f"{WEIGHTS}{model.rpartition('/')[2]}"
    for fault in _faults_of_counting(config) if way == "trains" else ():
        raise UsageError(f"{name}: {fault}")


def _faults_of_counting(config: Mapping[str, Any]) -> Iterator[str]:
    train = config["train_cfg"]
    if "type" not in train and "by_epoch" not in train:
        yield "train_cfg lacks by_epoch; write by_epoch=False with max_iters, or by_epoch=True with max_epochs"
    epochs = counts_epochs(config)
    count, other = ("max_epochs", "max_iters") if epochs else ("max_iters", "max_epochs")
    if other in train:
        yield f"train_cfg has {other}, and counts {'epochs' if epochs else 'iterations'}; say {count} alone"
    if count not in train:
        yield f"train_cfg lacks {count}"
    for place, scheduler in enumerate(_schedulers(config.get("param_scheduler"))):
        if not epochs and scheduler.get("by_epoch", True):
            yield f"param_scheduler {place} counts epochs, as mmengine's do by default; write by_epoch=False"


def _schedulers(found: Any) -> list[Mapping[str, Any]]:
    """The scheduler configs of one optimiser (a list, or one alone) or of several (a list for each name)."""
    if isinstance(found, Mapping):
        return [found] if "type" in found else [one for part in found.values() for one in _schedulers(part)]
    return list(found or ())

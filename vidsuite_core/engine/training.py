"""mmengine's Runner as a cell uses it: built from the cell's config, resumed, asked for predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch.utils.data import default_collate

from vidsuite_core.engine.metric import LatencyHook, TaskScores

Report = Callable[[str, int, int], None]


class ReportHook(Hook):
    """Tells the cell's progress by epochs."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def after_train_epoch(self, runner: Runner) -> None:
        """See mmengine's Hook."""
        self.report("train", runner.epoch + 1, runner.max_epochs)


def build_runner(
    config: Config,
    sets: Mapping[str, Any],
    metric: TaskScores,
    chooser: TaskScores,
    work: Path,
    seed: int,
    report: Report,
    device: str,
) -> Runner:
    """A Runner whose validation chooses the epoch (`config.selection`) and whose test fills `metric`.

    Resumes from the checkpoints in `work`, if there are any.
    """
    train = config.get("train_cfg")
    validated = bool(train) and config.selection != "last"
    hooks = dict(config.get("default_hooks") or {})
    save = {"type": "CheckpointHook", "interval": -1, "save_last": False, "max_keep_ckpts": 1}
    save |= dict(hooks.pop("checkpoint", {}))
    if validated:
        first = metric.task.info(metric.task.first_score)
        save |= {"save_best": first.name, "rule": "less" if first.direction == "lower" else "greater"}
    hooks["checkpoint"] = save
    resumed = checkpoint(work)
    loaders = {name: _loader(config, name, sets) for name in ("train", "val", "test")}
    return Runner(
        model=config.model,
        work_dir=str(work),
        train_dataloader=loaders["train"] if train else None,
        train_cfg=train,
        optim_wrapper=config.get("optim_wrapper") if train else None,
        param_scheduler=config.get("param_scheduler") if train else None,
        val_dataloader=loaders["val"] if validated else None,
        val_cfg={} if validated else None,
        val_evaluator=Evaluator([chooser]) if validated else None,
        test_dataloader=loaders["test"],
        test_cfg={},
        test_evaluator=Evaluator([metric]),
        default_hooks=hooks,
        custom_hooks=[*(config.get("custom_hooks") or []), ReportHook(report), LatencyHook(metric, chooser)],
        data_preprocessor=config.get("data_preprocessor"),
        visualizer=config.get("visualizer"),
        env_cfg=config.get("env_cfg") or {"dist_cfg": {"backend": "gloo" if device == "cpu" else "nccl"}},
        log_level=config.get("log_level", "INFO"),
        log_processor=config.get("log_processor"),
        default_scope=config.get("default_scope", "mmengine"),
        randomness={"seed": seed, "deterministic": config.get("deterministic", False)},
        experiment_name=work.parent.name,  # mmengine tells experiments apart by name and second alone
        load_from=str(resumed) if resumed else config.get("load_from"),
        resume=resumed is not None,
        cfg=config,
    )


def checkpoint(work: Path, pattern: str = "epoch_*.pth") -> Path | None:
    """The newest checkpoint of a work folder, or None."""
    found = sorted(work.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def forget_experiments() -> None:
    """Drop what mmengine keeps of finished runs in this process: loggers with their open files, hubs, visualizers."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()


def predict(runner: Runner, metric: TaskScores) -> dict[str, Any]:
    """The arrays of the test samples by the runner's present weights."""
    runner.test()
    return dict(metric.arrays)


def variant(arrays: Mapping[str, Any], metric: TaskScores, name: str) -> dict[str, Any]:
    """The predicted arrays under the names of a variant."""
    return {f"{key}@{name}": arrays[key] for key in metric.predicted}


def fit_once(model: Any, dataset: Any) -> None:
    """Fit a model that is no network by its own `fit(inputs (N, ...), labels (N,))`, on all training samples."""
    items = [dataset[index] for index in range(len(dataset))]
    labels = torch.cat([item["data_samples"].gt_label for item in items])
    model.fit(default_collate([item["inputs"] for item in items]), labels)


def _loader(config: Config, name: str, sets: Mapping[str, Any]) -> dict[str, Any]:
    part = {"train": "train", "val": "choose", "test": "test"}[name]
    source = config.get(f"{name}_dataloader") or config.val_dataloader
    loader = {key: value for key, value in source.items() if key != "dataset"}
    loader.setdefault("sampler", {"type": "DefaultSampler", "shuffle": name == "train"})
    loader.setdefault("num_workers", 0)
    loader.setdefault("collate_fn", {"type": "pseudo_collate"})
    return {**loader, "dataset": sets[part]}

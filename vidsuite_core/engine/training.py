"""mmengine's Runner as a cell uses it: built from the cell's config, resumed, asked for predictions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch.utils.data import ConcatDataset

from vidsuite_core.engine import stopping
from vidsuite_core.engine.accelerated import Used, accelerated, warm_up
from vidsuite_core.engine.config import INNER, PAPER_RULE
from vidsuite_core.engine.course import Course, Report
from vidsuite_core.engine.loading import fitted
from vidsuite_core.engine.metric import LatencyHook, Part, TaskScores
from vidsuite_core.engine.norms import SettleHook, Settler
from vidsuite_core.engine.ranks import share, unwrapped, wrapper
from vidsuite_core.engine.recipe import counts_epochs
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference import Inference
from vidsuite_core.weights import load

if TYPE_CHECKING:
    from vidsuite_core.tasks.base import Task


PAUSE = 0.5
"""Least seconds between two reports of iterations: small networks make thousands of them."""


class ReportHook(Hook):
    """Tells the cell's progress, in what the recipe counts, and the log after how many iterations it validates.

    mmengine's log names the epoch of a validation, but not the iteration.
    """

    def __init__(self, report: Report, by_epoch: bool) -> None:
        self.report, self.by_epoch = report, by_epoch
        self._told = float("-inf")

    def after_train_epoch(self, runner: Runner) -> None:
        """See mmengine's Hook."""
        if self.by_epoch:
            self.report("train", runner.epoch + 1, runner.max_epochs)

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """See mmengine's Hook."""
        done, now = runner.iter + 1, time.monotonic()
        if not self.by_epoch and (now >= self._told + PAUSE or done == runner.max_iters):
            self._told = now
            self.report("train", done, runner.max_iters)

    def before_val_epoch(self, runner: Runner) -> None:
        """See mmengine's Hook."""
        if not self.by_epoch:
            runner.logger.info(f"validating after {runner.iter} iterations")


class StopHook(Hook):
    """Saves the state after the step that is under way when the cell is told to stop, and ends it.

    Where epochs are counted, the one under way begins anew from there.
    """

    priority = "LOWEST"  # what is saved is what all other hooks have left

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """See mmengine's Hook; raises `Stopped`."""
        if stopping.requested():
            save(runner, runner.iter + 1)
            raise stopping.Stopped(f"{stopping.REASON} after iteration {runner.iter + 1}")


def save(runner: Runner, done: int) -> None:
    """Write a checkpoint of training as it is between two steps, of which `done` are done; whole or not at all."""
    if is_main_process():
        work, name = Path(runner.work_dir), f"iter_{done}.pth"
        runner.save_checkpoint(str(work), f"{name}.part", meta={"epoch": runner.epoch, "iter": done})
        (work / f"{name}.part").replace(work / name)


class LoadHook(Hook):
    """Begins training from a file of weights, of which those that fit are taken; a head of other classes is not.

    mmengine's own `load_from` goes on where nothing fits, and reads no safetensors.
    """

    def __init__(self, path: Path, warnings: list[str]) -> None:
        self.path, self.warnings = path, warnings

    def before_train(self, runner: Runner) -> None:
        """See mmengine's Hook; raises VidsuiteError where nothing fits."""
        network = unwrapped(runner.model)
        own, given = network.state_dict(), load(self.path)
        fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
        if not fitting:
            raise VidsuiteError(f"none of the weights of {self.path} fits {type(network).__name__}")
        network.load_state_dict(fitting, strict=False)
        others = sorted((own.keys() | given.keys()) - fitting.keys())
        if others:
            named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            self.warnings.append(f"{len(others)} tensors of load_from and the model do not fit each other: {named}")
            runner.logger.info(f"not loaded from {self.path}: {', '.join(others)}")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What scores a network: at the end of a cell, and while it trains.

    Attributes:
        test: of the scored samples; it gathers what is stored.
        inner: of the samples held back from training, by which a moment of it is chosen or its course is shown.
        paper_rule: of the scored samples, by which papers have chosen; for the variant of that name alone.
    """

    test: TaskScores
    inner: TaskScores | None = None
    paper_rule: TaskScores | None = None

    @property
    def validating(self) -> dict[str, TaskScores]:
        """Those that validation asks, by the part of its samples that each scores."""
        named = {INNER: self.inner, PAPER_RULE: self.paper_rule}
        return {name: metric for name, metric in named.items() if metric is not None}


def build_runner(
    config: Config,
    sets: Mapping[str, Any],
    metrics: Metrics,
    work: Path,
    seed: int,
    device: str,
    course: Course,
    settle: Settler | None = None,
) -> Runner:
    """A Runner whose validation keeps the checkpoints that the config's rules choose, and whose test fills `metrics`.

    Resumes from the checkpoints in `work`, if there are any.

    Args:
        sets: the torch datasets `train`, `test` and, where validation asks them, `inner`.
        settle: settles batch norm before each validation.
    """
    train, by_epoch = config.get("train_cfg"), counts_epochs(config)
    hooks = dict(config.get("default_hooks") or {})
    save = {"type": "CheckpointHook", "by_epoch": by_epoch, "interval": -1, "save_last": False, "max_keep_ckpts": 1}
    hooks["checkpoint"] = save | dict(hooks.get("checkpoint", {})) | _best(config, metrics.test.task)
    hooks["logger"] = {"type": "LoggerHook", "log_metric_by_epoch": by_epoch, **hooks.get("logger", {})}
    resumed, validating = checkpoint(work), metrics.validating if train else {}
    shared = bool(train) and get_world_size() > 1
    if shared:
        config.setdefault("model_wrapper_cfg", wrapper(device))
    return Runner(
        model=config.model,
        work_dir=str(work),
        train_dataloader=_loader(config, "train", sets["train"], course.warnings) if train else None,
        train_cfg=train,
        optim_wrapper=config.get("optim_wrapper") if train else None,
        param_scheduler=config.get("param_scheduler") if train else None,
        val_dataloader=_loader(config, "val", _validation_set(sets, validating), course.warnings)
        if validating
        else None,
        val_cfg={} if validating else None,
        val_evaluator=Evaluator(list(validating.values())) if validating else None,
        test_dataloader=_loader(config, "test", sets["test"], course.warnings),
        test_cfg={},
        test_evaluator=Evaluator([metrics.test]),
        default_hooks=hooks,
        custom_hooks=[
            *(config.get("custom_hooks") or []),
            ReportHook(course.report, by_epoch),
            LatencyHook(metrics.test, *validating.values()),
            *([SettleHook(settle)] if settle else []),
            StopHook(),
            *([LoadHook(Path(config.load_from), course.warnings)] if config.get("load_from") and not resumed else []),
        ],
        data_preprocessor=config.get("data_preprocessor"),
        visualizer=config.get("visualizer"),
        env_cfg=config.get("env_cfg") or {"dist_cfg": {"backend": "gloo" if device == "cpu" else "nccl"}},
        log_level=config.get("log_level", "INFO"),
        log_processor={"by_epoch": by_epoch, **(config.get("log_processor") or {})},
        default_scope=config.get("default_scope", "mmengine"),
        randomness={"seed": seed, "deterministic": config.get("deterministic", False)},
        experiment_name=work.parent.name,  # mmengine tells experiments apart by name and second alone
        load_from=str(resumed) if resumed else None,
        resume=resumed is not None,
        launcher="pytorch" if shared else "none",
        cfg=config,
    )


def settler(config: Config, sets: Mapping[str, Any], seed: int) -> Settler | None:
    """What settles batch norm for a recipe that trains; None for others."""
    if not config.get("train_cfg"):
        return None
    loader = _loader(config, "train", sets.get("settle", sets["train"]), [])
    loader.pop("persistent_workers", None)  # they would stand by all through training
    return Settler(loader, int(config.recalibrate), seed)


def _best(config: Config, task: Task) -> dict[str, Any]:
    """Options of mmengine's CheckpointHook that keep the best checkpoint by each rule of the config."""
    rules = [INNER] * (config.selection == INNER) + [PAPER_RULE] * bool(config.get(PAPER_RULE))
    if not config.get("train_cfg") or not rules:
        return {}
    first = task.info(task.first_score)
    better = "less" if first.direction == "lower" else "greater"
    return {"save_best": [f"{name}/{first.name}" for name in rules], "rule": [better] * len(rules)}


def _validation_set(sets: Mapping[str, Any], parts: Iterable[str]) -> ConcatDataset[Any]:
    of_part = {INNER: "inner", PAPER_RULE: "test"}
    return ConcatDataset([Part(sets[of_part[name]], name) for name in parts])


def load_best(runner: Runner, rule: str) -> dict[str, int]:
    """Load the checkpoint that a rule chose; returns when in training it was, in what the recipe counts.

    Raises:
        VidsuiteError: there is none, as the score was not defined at any validation.
    """
    barrier()  # rank 0 writes them
    best = checkpoint(Path(runner.work_dir), f"best_{rule}_*.pth")
    if best is None:
        raise VidsuiteError(
            f"no checkpoint was chosen by {rule}: its score was not defined at any validation; "
            f"{'use selection=last' if rule == INNER else 'use paper_rule=None'}, or hold back other samples"
        )
    meta = runner.load_checkpoint(str(best), map_location="cpu", strict=True)["meta"]
    return {"epoch": int(meta["epoch"])} if counts_epochs(runner.cfg) else {"iteration": int(meta["iter"])}


def checkpoint(work: Path, *patterns: str) -> Path | None:
    """The newest checkpoint of a work folder whose name fits, or None; those of training unless patterns are given."""
    found = [path for pattern in patterns or ("epoch_*.pth", "iter_*.pth") for path in work.glob(pattern)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def forget_experiments() -> None:
    """Drop what mmengine keeps of finished runs in this process: loggers with their open files, hubs, visualizers."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()


def predict(runner: Runner, metric: TaskScores, device: str) -> tuple[dict[str, Any], Used]:
    """The arrays of the test samples by the runner's present weights, and what ran its networks."""
    network = unwrapped(runner.model)
    with accelerated(network, device, Inference(**runner.cfg.inference)) as used:
        if used.parts:
            warm_up(network, runner.test_dataloader)
        runner.test()
    return dict(metric.arrays), used


def variant(arrays: Mapping[str, Any], metric: TaskScores, name: str) -> dict[str, Any]:
    """The predicted arrays under the names of a variant."""
    return {f"{key}@{name}": arrays[key] for key in metric.predicted}


def loader_of(config: Config, name: str) -> Any:
    """What a config says of its data loader "train", "val" or "test"; of the last two, one stands in for the other."""
    names = (name,) if name == "train" else (name, "val", "test")
    return next(config[f"{one}_dataloader"] for one in names if config.get(f"{one}_dataloader"))


def _loader(config: Config, name: str, dataset: Any, warnings: list[str]) -> dict[str, Any]:
    """A data loader as mmengine builds it, see `loader_of`."""
    loader = {key: value for key, value in loader_of(config, name).items() if key != "dataset"}
    loader.setdefault("sampler", _sampler(name, config))
    loader.setdefault("num_workers", 0)
    loader.setdefault("collate_fn", {"type": "pseudo_collate"})
    if name == "train" and "batch_size" in loader:
        loader["batch_size"] = share(loader["batch_size"])
    return fitted({**loader, "dataset": dataset}, warnings)


def _sampler(name: str, config: Config) -> dict[str, Any]:
    """The order of a loader whose config gives none: shuffled to train, in turn and in whole groups to predict."""
    if name != "train":
        return {"type": "vidsuite.WholeGroups"}
    # An end of the data is no matter to iterations, but mmengine pauses there unless the sampler has none.
    return {"type": "DefaultSampler" if counts_epochs(config) else "InfiniteSampler", "shuffle": True}

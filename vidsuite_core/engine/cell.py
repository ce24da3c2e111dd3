"""Running one cell: data, training by mmengine's Runner, predictions, scores."""

from __future__ import annotations

import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import DATASETS
from mmengine.runner import Runner, set_random_seed

from vidsuite_core import openmmlab
from vidsuite_core.engine import cost, ranks, stopping
from vidsuite_core.engine.accelerated import computed
from vidsuite_core.engine.build import import_modules
from vidsuite_core.engine.config import INNER, PAPER_RULE, adapt, runtime_config
from vidsuite_core.engine.course import Course, Report
from vidsuite_core.engine.fitting import fit_once
from vidsuite_core.engine.metric import TaskAnswers, TaskScores
from vidsuite_core.engine.norms import Settler
from vidsuite_core.engine.order import Order
from vidsuite_core.engine.recipe import way_of
from vidsuite_core.engine.remeasure import further
from vidsuite_core.engine.speed import PROTOCOLS
from vidsuite_core.engine.speedups import channels_last_
from vidsuite_core.engine.subnormals import flushed_subnormals
from vidsuite_core.engine.training import (
    Metrics,
    build_runner,
    checkpoint,
    forget_experiments,
    load_best,
    loader_of,
    predict,
    save,
    settler,
    variant,
)
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference import Inference
from vidsuite_core.media import decoded_frames
from vidsuite_core.protocols import as_given, inner_split, make_folds, withheld
from vidsuite_core.results.scores import scored
from vidsuite_core.results.store import CONFIG, KEPT, PREDICTIONS, WORK, write_predictions
from vidsuite_core.specs import resolve
from vidsuite_core.support import environment
from vidsuite_core.support.cache import computed_by
from vidsuite_core.support.files import free_at, why
from vidsuite_core.tasks.base import Task
from vidsuite_core.weights import load, load_strictly, pinned


@dataclass(frozen=True)
class _Keeper:
    """Keeps label maps and weights of the main predictions, as far as they were asked for.

    If the disk has no room for them, a warning says so and the cell's scores are kept all the same.
    """

    folder: Path
    names: Sequence[str]
    warnings: list[str]

    @contextmanager
    def keeping(self, runner: Runner, metric: TaskScores) -> Iterator[None]:
        metric.keep = self._outputs if "outputs" in self.names else None
        yield
        metric.keep = None  # a variant's are not asked for
        if is_main_process():
            self._try("outputs", lambda target: _zip(self._outputs, target))
            self._try("weights", lambda target: torch.save(ranks.unwrapped(runner.model).state_dict(), target))

    @property
    def _outputs(self) -> Path:
        return self.folder / WORK / "outputs"

    def _try(self, name: str, write: Callable[[Path], None]) -> None:
        if name not in self.names:
            return
        target = self.folder / KEPT[name]
        try:
            write(target)
        except (OSError, RuntimeError) as error:  # torch raises the latter where a disk is full
            target.unlink(missing_ok=True)
            self.warnings.append(f"{target.name} could not be kept: {_reason(error, self.folder)[:300]}")


def _zip(folder: Path, target: Path) -> None:
    """The files of a folder, which are compressed themselves, as one."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file():
                archive.write(path, path.relative_to(folder))
                path.unlink()  # the disk need not hold all of them twice


@dataclass(frozen=True)
class _Parts:
    """The samples of a cell: those that train, those held back from it, and those that are scored."""

    train: Sequence[Any]
    inner: Sequence[Any]
    test: Sequence[Any]


def run_cell(order: Order, report: Report) -> dict[str, Any]:
    """Run a cell; returns the fields of its `Record` that only its run can tell, `status` among them.

    Several ranks (see `vidsuite_core.engine.ranks`) run it together; what rank 0 returns is the cell's.

    Never raises for what goes wrong inside the cell: that becomes the status and its reason, and the
    traceback goes to the log.
    """
    course = Course(report)
    try:
        ranks.join(order.device)
        with flushed_subnormals(), pinned(initial(order)):
            outcome = _run(order, course)
    except Exception as error:
        traceback.print_exc()
        outcome = {"status": _status(error), "reason": _reason(error, Path(order.folder))}
    finally:
        forget_experiments()
    return {
        **outcome,
        "phases": course.phases,
        "warnings": course.warnings,
        "hardware": environment.hardware(),
        "software": environment.software(),
    }


def initial(order: Order) -> dict[Path, str]:
    """The files of initial weights, and the content hashes that the cell was planned with."""
    return {Path(path): order.score_key["weights"][name] for name, path in order.weights.items() if path}


@dataclass(frozen=True)
class Opened:
    """A cell's data and its mmengine Runner, before anything is trained."""

    config: Config
    task: Task
    parts: _Parts
    sets: Mapping[str, Any]
    metrics: Metrics
    settle: Settler | None
    runner: Runner


def opened(order: Order, course: Course) -> Opened:
    """Open a cell's data and build its network, below the order's folder; raises as a cell fails."""
    key, folder = order.score_key, Path(order.folder)
    with course.phase("prepare"):
        openmmlab.prepare()
        computed_by(order.code)
        set_random_seed(key["seed"])
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; torch lets convolutions round on newer GPUs
        dataset = resolve(order.dataset)(Path(order.root), **order.options)
        if dataset.fingerprint() != key["dataset"]:
            raise VidsuiteError(f"the data below {order.root} changed since the run was planned; run again")
        task = resolve(order.task)(dataset.class_names())
        parts = _divide(dataset.samples(), key)
        config = runtime_config(
            key["config"],
            order.weights,
            len(task.classes),
            _balanced(parts.train, len(task.classes)),
            "SyncBN" if get_world_size() > 1 and order.device != "cpu" else "BN",
        )
        if is_main_process():
            Config(dict(key["config"])).dump(folder / CONFIG)
        import_modules(config)
        with ranks.first():
            adapt(config, parts.train)
            sets = _datasets(config, parts, order.device, course.report)
    with course.phase("load"):
        metrics = _metrics(config, task, parts, key["protocol"])
        settle = settler(config, sets, key["seed"])
        runner = build_runner(config, sets, metrics, folder / WORK, key["seed"], order.device, course, settle)
        if way_of(config) != "trains" and config.get("load_from"):
            load_strictly(runner.model, load(Path(config.load_from)), config.load_from, config.model.type)
    return Opened(config, task, parts, sets, metrics, settle, runner)


def _run(order: Order, course: Course) -> dict[str, Any]:
    folder = Path(order.folder)
    cell = opened(order, course)
    config, task, metrics, sets, runner = cell.config, cell.task, cell.metrics, cell.sets, cell.runner
    resumed = checkpoint(folder / WORK) is not None
    if resumed:
        course.warnings.append("resumed from a checkpoint of an interrupted attempt: not the exact course of one run")
    with _threads(config.get("threads")):
        arrays, told = _train_and_predict(
            runner,
            config,
            sets,
            metrics,
            course,
            _Keeper(folder, order.keep, course.warnings),
            cell.settle,
            order.device,
        )
    if not is_main_process():
        return {"status": "ok", "classes": list(task.classes)}
    network = ranks.unwrapped(runner.model)
    with course.phase("score"):
        write_predictions(folder / PREDICTIONS, arrays)
        result = {"details": {}} if withheld(order.score_key["protocol"]) else scored(task, arrays)
        result["details"] |= told
        result["details"] |= _pipeline_details(sets["test"])
        result["details"]["decoded"] = decoded_frames([sample.footage for sample in cell.parts.test])
    if order.cost:
        with course.phase("cost"):
            speed = Inference(**order.speed)
            protocol, witnessed = PROTOCOLS[order.protocol], metrics.test.witnessed
            measured = cost.measure(
                network, sets["test"], order.device, Inference(**config.inference), speed, protocol, witnessed
            )
            result["efficiency"] = further(order, network, measured.efficiency, protocol, course.report)
            result["details"]["inference"]["speed"] = measured.inference
    return {"status": "ok", "classes": list(task.classes), **result}


def _divide(samples: Sequence[Any], key: Mapping[str, Any]) -> _Parts:
    protocol = {name: value for name, value in key["protocol"].items() if name != "version"}
    samples = as_given(protocol, samples)
    fold = next(fold for fold in make_folds(protocol, samples) if fold.name == key["fold"])
    config, inner = key["config"], fold.val if key["config"].get("validate") else ()
    if config["selection"] == INNER:
        fold, inner = inner_split(fold, samples, key["seed"])
    by_id = {sample.id: sample for sample in samples}
    return _Parts(*([by_id[i] for i in ids] for ids in (fold.train, inner, fold.test)))


def _metrics(config: Config, task: Task, parts: _Parts, protocol: Mapping[str, Any]) -> Metrics:
    kind = TaskAnswers if withheld(protocol) else TaskScores
    return Metrics(
        test=kind(task, parts.test),
        inner=TaskScores(task, parts.inner, INNER) if parts.inner else None,
        paper_rule=TaskScores(task, parts.test, PAPER_RULE) if config.get(PAPER_RULE) else None,
    )


def _datasets(config: Config, parts: _Parts, device: str, report: Report) -> dict[str, Any]:
    """The torch datasets `train`, `inner` and `test`; `settle` too, where batch norm is settled on other than `train`.

    Features are computed here, once for all of them.
    """
    used = ("test",) if way_of(config) == "predicts" else ("train", "inner", "test")
    names = [name for name in used if getattr(parts, name)]
    loaders = [loader_of(config, {"inner": "val"}.get(name, name)) for name in names]
    built: dict[str, Any] = {}
    extractor = None
    for name, loader in zip(names, loaders, strict=True):
        options = dict(loader.dataset)
        if extractor is not None and options.get("extractor") == loaders[0].dataset.get("extractor"):
            options["extractor"] = extractor
        built[name] = DATASETS.build({**options, "samples": getattr(parts, name)})
        extractor = getattr(built[name], "extractor", None) if extractor is None else extractor
    if "train" in built and config.get("recalibrate_pipeline"):
        options = {**loaders[0].dataset, "pipeline": config.recalibrate_pipeline}
        built["settle"] = DATASETS.build({**options, "samples": parts.train})
    for dataset in built.values():
        if hasattr(dataset, "prepare"):
            dataset.prepare(device, report)
    return built


def _train_and_predict(
    runner: Runner,
    config: Config,
    sets: Mapping[str, Any],
    metrics: Metrics,
    course: Course,
    keeper: _Keeper,
    settle: Settler | None,
    device: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays by the config's selection, with the variant `paper_rule` where it is asked for; and details.

    The details say what each rule chose, how batch norm was settled, and what ran the networks.
    """
    chosen, told, way = {}, {}, way_of(config)
    if way == "trains":
        if config.get("channels_last"):
            channels_last_(ranks.unwrapped(runner.model))
        with course.phase("train"), stopping.put_off():
            _train(runner)
    elif way == "fits":
        with course.phase("train"):
            fit_once(runner.model, sets["train"])
    with course.phase("predict"):
        if config.selection == INNER:  # its batch norm was settled before the validation that chose it
            chosen[INNER] = load_best(runner, INNER)
        elif settle:
            settle(runner)
        if settle and settle.done:
            told["batch_norm"] = asdict(settle.done)
        with keeper.keeping(runner, metrics.test):
            arrays, used = predict(runner, metrics.test, device)
        told |= computed(used, sets["test"])
        if metrics.paper_rule:
            chosen[PAPER_RULE] = load_best(runner, PAPER_RULE)
            other, _ = predict(runner, metrics.test, device)
            arrays |= variant(other, metrics.test, PAPER_RULE)
    return arrays, told | ({"chosen": chosen} if chosen else {})


def _train(runner: Runner) -> None:
    """Train; a cell that is told to stop saves its state, also where that ended its data loaders first."""
    try:
        runner.train()
    except Exception as error:
        if not stopping.requested():
            raise
        if runner.iter:
            save(runner, runner.iter)
        raise stopping.Stopped(f"{stopping.REASON} after iteration {runner.iter}") from error


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Train with so many CPU threads; None leaves torch's number, which is right for all but tiny networks."""
    usual = torch.get_num_threads()
    torch.set_num_threads(number or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _balanced(samples: Sequence[Any], classes: int) -> list[float]:
    """n / (K n_k), scikit-learn's "balanced"; 1 for tasks whose samples have no single label."""
    labels = [sample.label for sample in samples if hasattr(sample, "label")]
    return [len(labels) / (classes * max(1, labels.count(k))) if labels else 1.0 for k in range(classes)]


def _pipeline_details(dataset: Any) -> dict[str, Any]:
    """What the scored samples' transforms have to tell, as the status of each recording's crop."""
    told: dict[str, Any] = {}
    for transform in getattr(getattr(dataset, "pipeline", None), "transforms", ()):
        if hasattr(transform, "details"):
            told |= transform.details(dataset.samples)
    return told


def _status(error: Exception) -> str:
    text = str(error)
    memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "can't allocate memory" in text
    return "out_of_memory" if memory else "failed"


def _reason(error: Exception, folder: Path) -> str:
    if isinstance(error, VidsuiteError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        place = Path(error.filename) if isinstance(error.filename, str) else folder
        return f"{type(error).__name__}: {place}: {why(error, place)}"
    text = (" ".join(str(error).split()) or "no message")[:500]
    if "PytorchStreamWriter" in text:  # torch's words for a disk that takes no more
        text += f" ({free_at(folder)})"
    return f"{type(error).__name__}: {text}"

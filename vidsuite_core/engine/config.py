"""A cell's config: the merge of the model's, the preset's and the dataset's, and of `--cfg-options`.

Besides mmengine's own fields (model, train_dataloader, optim_wrapper, train_cfg, ...) a config may hold
    presets: {name: {...}}   merged over the rest for that preset
    selection                which moment of training is scored: "last", or "inner", the best one on a part of the
                             training side, by subject; never one that was chosen on the scored samples
    paper_rule               "best_on_test" where a paper chose on the samples that it scored: a variant of that name is
                             stored beside, and never ranked
    validate                 True: the dataset's own validation side, where it has one, is scored in training, to show
                             the course; nothing is chosen by it unless `selection` says so
    recalibrate              training batches by which batch-norm statistics are settled before anything is scored (see
                             `vidsuite_core.engine.norms`); 0 leaves them as training left them
    recalibrate_pipeline     the pipeline of these batches, where it is not training's: frames as they are scored,
                             say, where training sees parts of them
    inference                {precision, backend}: how networks run whose predictions are scored; float32 by the fastest
                             back end that equals the plain network (see `vidsuite_core.inference`) unless it says so
    channels_last            True: train with channels last in memory (see `vidsuite_core.engine.speedups`)
    threads                  CPU threads to train with, for networks too small to share among cores
    settle                   "module:function" of (config, samples), called when cells are planned; changes the config
    adapt                    "module:function" of (config, samples), called in each cell with its training samples
                             alone; changes the config that is built, as by anchors fitted to the training boxes
and the marks
    "config://NAME"          the config's own top-level field NAME, so that one override reaches all its uses
    "weights://NAME"         the file of named initial weights, or None where random ones stand in
    num_classes="dataset"    the dataset's number of classes
    class_weights="balanced" inverse class frequencies of the training samples
    precision="auto"         "bf16" where the device computes in it, otherwise "fp32"
    type="SyncBN"            "BN", which it is where there is one process, or no GPU
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference import Inference
from vidsuite_core.specs import resolve
from vidsuite_core.support.ids import plain

if TYPE_CHECKING:
    from mmengine.config import Config

WEIGHTS, FIELD = "weights://", "config://"
_WEIGHT_FIELDS = ("weights", "pretrained", "checkpoint", "load_from")
_RUNNER_FIELDS = (
    "selection", "paper_rule", "validate", "recalibrate", "recalibrate_pipeline", "threads", "precision", "inference",
    "channels_last", "settle", "adapt", "train_cfg", "train_dataloader", "val_dataloader", "test_dataloader",
    "optim_wrapper", "param_scheduler", "default_hooks", "custom_hooks", "data_preprocessor", "visualizer", "env_cfg",
    "log_level", "log_processor", "default_scope", "deterministic", "load_from", "custom_imports", "sync_bn",
    "model_wrapper_cfg",
)  # fmt: skip
RECALIBRATE = 100
"""Training batches that settle batch norm unless a config says otherwise; one pass over the data at most."""
INNER, PAPER_RULE = "inner", "paper_rule"
SELECTIONS, PAPER_RULES = ("last", INNER), ("best_on_test", None)
_OF_TRAINING = {
    "selection", PAPER_RULE, "validate", "recalibrate", "recalibrate_pipeline", "channels_last", "train_cfg",
    "optim_wrapper", "param_scheduler", "default_hooks",
}  # fmt: skip


def cell_config(
    model: Path,
    preset: str,
    layers: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    precision: str,
) -> dict[str, Any]:
    """The resolved config, in JSON's own types.

    Args:
        model: the model's config file.
        preset: its part of the config's `presets` is merged first.
        layers: further mappings, merged in order (the preset's, then the dataset's).
        options: dotted keys and values, as `--cfg-options` takes them; merged last.
            What layers and options say of training is left out for a model that has none.
        precision: what "auto" stands for on the device.
    """
    config = _load(model)
    own = config.pop("presets", {})
    foreign = _foreign_fields(config)
    for layer in (own.get(preset, {}), *layers):
        config.merge_from_dict({key: value for key, value in layer.items() if key not in foreign})
    _check_selection(dict(options))
    options = {key: value for key, value in options.items() if key.partition(".")[0] not in foreign}
    unknown = {key.partition(".")[0] for key in options} - {*config, *_RUNNER_FIELDS}
    if unknown:
        raise UsageError(f"--cfg-options: {model.name} has no field {min(unknown)!r}; it has {', '.join(config)}")
    try:
        config.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as error:
        raise UsageError(f"--cfg-options do not fit {model.name}: {error}") from error
    resolved: dict[str, Any] = plain(config.to_dict())
    resolved = replace(resolved, lambda key, value: precision if (key, value) == ("precision", "auto") else value)
    _check_selection(resolved)
    if resolved.get("train_cfg"):
        resolved.setdefault("recalibrate", RECALIBRATE)
    _settle_inference(resolved)
    replace(resolved, _refuse_path)
    return resolved


def _settle_inference(config: dict[str, Any]) -> None:
    given = config.get("inference") or {}
    unknown = set(given) - {"precision", "backend"} if isinstance(given, Mapping) else {str(given)}
    if unknown:
        raise UsageError(f"inference.{min(unknown)} is unknown; it has precision and backend")
    settled = Inference(**{"precision": "fp32", **given})
    config["inference"] = {"precision": settled.precision, "backend": settled.backend}


def _foreign_fields(config: Mapping[str, Any]) -> set[str]:
    """Fields that a benchmark sets for its models that train, and that would turn another model into one."""
    if config.get("train_cfg"):
        return set()
    return _OF_TRAINING | (set() if config.get("train_dataloader") else {"train_dataloader"})


def _check_selection(config: dict[str, Any]) -> None:
    selection = config.setdefault("selection", "last")
    if selection in PAPER_RULES:
        raise UsageError(
            f"selection {selection!r} would rank what was chosen on the scored samples; write selection='last' or "
            f"'inner', and paper_rule={selection!r} to have the paper's rule beside it"
        )
    if selection not in SELECTIONS:
        raise UsageError(f"selection {selection!r} is none of {', '.join(SELECTIONS)}")
    if config.get(PAPER_RULE) not in PAPER_RULES:
        raise UsageError(f"paper_rule {config[PAPER_RULE]!r} is none of {', '.join(map(str, PAPER_RULES))}")


def _refuse_path(key: str, value: Any) -> Any:
    """Weights must be named: a path says nothing of what is in the file, so could be no part of a score id."""
    if key in _WEIGHT_FIELDS and isinstance(value, str) and not value.startswith((WEIGHTS, FIELD)):
        raise UsageError(
            f"config field {key}={value!r} names a file; write {WEIGHTS}NAME and pass --weights NAME=FILE "
            "('vidsuite weights list' shows the names)"
        )
    return value


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as OpenMMLab's DictAction reads them (numbers, booleans, lists, tuples, text)."""
    from argparse import ArgumentParser

    from mmengine.config import DictAction

    wrong = [pair for pair in pairs if "=" not in pair or pair.startswith("-")]
    if wrong:
        raise UsageError(f"--cfg-options takes key=value, not {wrong[0]!r}")
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    try:
        parsed = parser.parse_args(["--cfg-options", *pairs]).cfg_options if pairs else {}
    except (AssertionError, ValueError, SyntaxError, SystemExit) as error:
        raise UsageError(f"--cfg-options cannot be read: {' '.join(pairs)}") from error
    return dict(parsed)


def replace(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    """A copy of nested JSON with `change(key, leaf)` for each leaf."""
    if isinstance(value, Mapping):
        return {name: replace(item, change, name) for name, item in value.items()}
    if isinstance(value, list):
        return [replace(item, change, key) for item in value]
    return change(key, value)


def named_weights(config: Mapping[str, Any]) -> set[str]:
    """The names behind the config's "weights://" marks."""
    names: set[str] = set()

    def note(_: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(WEIGHTS):
            names.add(value.removeprefix(WEIGHTS))
        return value

    replace(config, note)
    return names


def settle(config: dict[str, Any], samples: Sequence[Any]) -> None:
    """Let the recipe adapt itself to the samples of a dataset, by the function `(config, samples)` that it names."""
    builder = config.pop("settle", None)
    if builder:
        resolve(builder)(config, samples)


def adapt(config: Config, samples: Sequence[Any]) -> None:
    """Let the recipe adapt itself to a cell's training samples, by the function `(config, samples)` that it names."""
    if builder := config.get("adapt"):
        resolve(builder)(config, samples)


def runtime_config(
    config: Mapping[str, Any],
    weights: Mapping[str, str | None],
    classes: int,
    class_weights: Sequence[float],
    norm: str = "BN",
) -> Config:
    """The config that is built: marks replaced by what they stand for in this cell; `norm` is what "SyncBN" becomes."""
    from mmengine.config import Config

    def change(key: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(FIELD):
            return replace(config[value.removeprefix(FIELD)], change)
        if isinstance(value, str) and value.startswith(WEIGHTS):
            return weights[value.removeprefix(WEIGHTS)]
        if (key, value) == ("num_classes", "dataset"):
            return classes
        if (key, value) == ("type", "SyncBN"):
            return norm
        if (key, value) == ("class_weights", "balanced"):
            return list(class_weights)
        return value

    return Config(replace(config, change))


def _load(path: Path) -> Config:
    from mmengine.config import Config

    try:
        return Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # a config is a program; whatever it raises is its author's
        raise VidsuiteError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error

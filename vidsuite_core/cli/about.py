"""What `vidsuite show` tells of a task, dataset, model or benchmark beyond its spec: what a plugin's author needs."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidsuite_core.cli.data import open_dataset
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.specs import resolve
from vidsuite_core.suite import tasks_of

if TYPE_CHECKING:
    from vidsuite_core.plugins import Registered
    from vidsuite_core.specs import BackendSpec
    from vidsuite_core.suite import BenchmarkHandle, DatasetHandle, ModelHandle, Suite, TaskHandle


def of_task(suite: Suite, row: TaskHandle) -> dict[str, Any]:
    """Scores, the fields of a sample, what is stored, and who brings data and models for it."""
    task = resolve(row.spec.builder)
    fitting = {
        kind: [r.key for r in getattr(suite, kind).values() if row.spec.name in tasks_of(r.spec)] for kind in _USERS
    }
    return {
        "version": task.version,
        "scores": [f"{score.name} ({score.direction} is better)" for score in task.scores if score.in_tables],
        "sample": _fields(_sample_type(task)),
        "stored": _text(resolve_doc(task.__module__)),
        **fitting,
    }


_USERS = ("datasets", "models", "benchmarks")


def of_dataset(suite: Suite, row: DatasetHandle) -> dict[str, Any]:
    """Classes, sizes and the fields of a sample, as far as the data are here."""
    opened = open_dataset(suite, row, None, "quick")
    ready = opened.is_ready()
    samples: Sequence[Any] = opened.samples() if ready else ()
    kind = type(samples[0]) if samples else _sample_type(resolve(suite.tasks[row.spec.task].spec.builder))
    return {
        "classes": _or_reason(opened.class_names),
        "place": str(opened.root),
        "state": "ready" if ready else opened.how_to_get(),
        "sizes": _sizes(samples, opened) if samples else {},
        "sample": _fields(kind),
    }


def of_model(suite: Suite, row: ModelHandle) -> dict[str, Any]:
    """How it comes to predictions, and what it starts from."""
    backends = _back_ends()
    if row.spec.config is None:
        return {"recipe": "none: a network to build, which no benchmark runs", "backends": backends}
    from vidsuite_core.engine.config import cell_config, named_weights
    from vidsuite_core.engine.recipe import way_of

    config = cell_config(row.spec.config, "", [], {}, "fp32")
    ways = {
        "trains": "trains step by step (train_cfg)",
        "fits": "is fitted in one go (train_dataloader without train_cfg)",
        "predicts": "only predicts (neither train_cfg nor train_dataloader)",
    }
    return {
        "recipe": ways[way_of(config)],
        "starts_from": sorted(named_weights(config)),
        "fields": sorted(config),
        "backends": backends,
    }


def of_benchmark(suite: Suite, row: BenchmarkHandle) -> dict[str, Any]:
    """Its definition, and what its names stand for here."""
    definition = row.definition()
    missing = [name for name in definition.models if definition.full_name(name) not in set(suite.models)]
    missing += [name for name in definition.datasets if definition.full_name(name) not in set(suite.datasets)]
    fields = definition.model_dump(exclude_defaults=True)
    return {name: fields[name] for name in ("protocol", "datasets", "models", "presets")} | {"not_installed": missing}


def of_backend(suite: Suite, row: Registered[BackendSpec]) -> dict[str, Any]:
    """Whether it can be used here."""
    from vidsuite_core.inference.registry import name_of

    return {"here": _back_ends()[name_of(row)]}


def _back_ends() -> dict[str, str]:
    """Where each back end can be used here, or why it cannot."""
    from vidsuite_core.inference.registry import here
    from vidsuite_core.runner.devices import parse_devices

    return here(any(slot.on_gpu for slot in parse_devices("auto")))


def lines(entry: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A mapping as lines of `field value`; lists in a row, mappings below their names."""
    width = max((len(name) for name in entry), default=0) + 1
    for name, value in entry.items():
        if value in ("", None, [], {}, ()):
            continue
        if isinstance(value, Mapping) and all(not isinstance(part, Mapping) for part in value.values()) and indent:
            yield f"{indent}{name:<{width}} {_row(value)}"
        elif isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from lines(
                {str(key): part if part != {} else "as it is" for key, part in value.items()}, indent + "  "
            )
        else:
            yield f"{indent}{name:<{width}} {_row(value)}"


def _row(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_row(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_row, value))
    return str(value)


def resolve_doc(module: str) -> str:
    """The docstring of a module that is loaded."""
    import sys

    return sys.modules[module].__doc__ or ""


def _text(doc: str) -> str:
    """What a docstring says after its first line, on one line."""
    return " ".join(doc.partition("\n")[2].split())


def _sample_type(task: Any) -> Any:
    """The type of a task's samples, by the annotation of `Task.targets`; None where that names none of the core's."""
    from vidsuite_core import samples

    found = re.search(r"(\w+)\]?\Z", str(task.targets.__annotations__.get("samples", "")))
    return getattr(samples, found[1], None) if found else None


def _fields(kind: Any) -> dict[str, str]:
    """Name -> type of the fields of a sample."""
    if kind is None or not dataclasses.is_dataclass(kind):
        return {}
    return {field.name: str(field.type) for field in dataclasses.fields(kind)}


def _sizes(samples: Sequence[Any], dataset: Any) -> dict[str, Any]:
    names = ("subject", "recording")
    counts: dict[str, Any] = {"samples": len(samples)}
    counts |= {f"{name}s": len({getattr(s, name) for s in samples}) for name in names if hasattr(samples[0], name)}
    labels = Counter(sample.label for sample in samples if isinstance(getattr(sample, "label", None), int))
    classes = dataset.class_names()
    return counts | {f"of {classes[label]}": labels[label] for label in sorted(labels) if label < len(classes)}


def _or_reason(ask: Any) -> Any:
    try:
        return list(ask())
    except (VidsuiteError, OSError) as error:
        return f"not known: {error}"

"""Benchmark definitions (YAML): a task, its datasets, models and protocol, and how much each preset runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, VidsuiteError

if TYPE_CHECKING:
    from vidsuite_core.suite import BenchmarkHandle

_FIELDS = {
    "datasets": dict,  # name -> {protocol?, cfg?, default?, presets?: {name: {dataset options}}}
    "models": list,  # names
    "protocol": dict,  # see vidsuite_core.protocols
    "presets": dict,  # name -> {models?, cfg?, timeout?}
}
MAX_BYTES = 2**20


def read_definition(handle: BenchmarkHandle) -> Mapping[str, Any]:
    """The definition of a benchmark.

    Raises:
        VidsuiteError: the file is missing, is no YAML, or lacks a field.
    """
    path = handle.spec.definition
    data = read_yaml(path)
    for field, kind in _FIELDS.items():
        if not isinstance(data.get(field), kind):
            raise VidsuiteError(f"{path}: field {field!r} must be a {kind.__name__}")
    unknown = set(data) - {*_FIELDS, "summary"}
    if unknown:
        raise VidsuiteError(f"{path}: unknown field {min(unknown)!r}; there are {', '.join(_FIELDS)}")
    return data


def read_reported(handle: BenchmarkHandle) -> Mapping[str, Any]:
    """The paper's rows: `paper` (title, year) and `rows`: model, source, scores as printed, note.

    A row may name the model of `ours` that it corresponds to, and the `dataset` of ours that it is about.
    """
    if handle.spec.reported is None:
        return {"paper": {}, "rows": []}
    data = read_yaml(handle.spec.reported)
    if not isinstance(data.get("rows"), list):
        raise VidsuiteError(f"{handle.spec.reported}: field 'rows' must be a list")
    return data


def full_name(benchmark: BenchmarkHandle, name: str) -> str:
    """A dataset's or model's full name: one without a plugin is of the benchmark's own."""
    return name if "/" in name else f"{benchmark.plugin}/{name}"


def dataset_entry(benchmark: BenchmarkHandle, dataset: str) -> Mapping[str, Any]:
    """What a benchmark's definition says of the dataset of that full name; nothing of one that it does not list."""
    listed = benchmark.definition()["datasets"]
    return next((entry or {} for name, entry in listed.items() if full_name(benchmark, name) == dataset), {})


def protocol_of(benchmark: BenchmarkHandle, dataset: str) -> Mapping[str, Any]:
    """The protocol by which a benchmark divides the dataset of that full name."""
    protocol: Mapping[str, Any] = (
        dataset_entry(benchmark, dataset).get("protocol") or benchmark.definition()["protocol"]
    )
    return protocol


def dataset_options(benchmark: BenchmarkHandle, dataset: str, preset: str) -> dict[str, Any]:
    """Options of the dataset of that full name under a preset; none for a dataset that the benchmark does not list."""
    return dict((dataset_entry(benchmark, dataset).get("presets") or {}).get(preset) or {})


def reaches_beyond(handle: BenchmarkHandle) -> bool:
    """Whether a benchmark names datasets or models of other plugins than its own and the core."""
    definition = handle.definition()
    of_presets = [name for preset in definition["presets"].values() for name in (preset or {}).get("models") or ()]
    plugins = {
        name.partition("/")[0] for name in (*definition["datasets"], *definition["models"], *of_presets) if "/" in name
    }
    return not plugins <= {handle.plugin, "core"}


def preset_of(definition: Mapping[str, Any], preset: str) -> Mapping[str, Any]:
    """What a preset sets.

    Raises:
        UsageError: the benchmark has no such preset.
    """
    presets = definition["presets"]
    if preset not in presets:
        raise UsageError(f"preset {preset!r} is unknown here; there are {', '.join(presets)}")
    return presets[preset] or {}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, loaded safely from a file of bounded size."""
    import yaml

    try:
        if path.stat().st_size > MAX_BYTES:
            raise VidsuiteError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise VidsuiteError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise VidsuiteError(f"{path} must hold a mapping")
    return data

"""Benchmark definitions (YAML): a task, its datasets, models and protocol, and how much each preset runs."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vidsuite_core.errors import UsageError, VidsuiteError

if TYPE_CHECKING:
    from vidsuite_core.suite import BenchmarkHandle

MAX_BYTES = 2**20
_SHOWN = 20
"""Faults of a definition that are named one by one."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _nothing(value: Any) -> Any:
    """`name:` with nothing behind it, in YAML, is a mapping without fields."""
    return {} if value is None else value


Options = Annotated[dict[str, Any], BeforeValidator(_nothing)]


class DatasetEntry(_Part):
    """How a benchmark uses a dataset.

    Attributes:
        default: whether it is taken where the user names none.
        protocol: in place of the benchmark's, see `vidsuite_core.protocols.make_folds`; with `labels: withheld` test
            labels are kept back.
        cfg: merged over each model's config.
        presets: options that the dataset is opened with, by preset.
        models: those of a preset's models that say something on it; by default all. Others are run where they are asked
            for by name.
    """

    default: bool = False
    protocol: dict[str, Any] | None = None
    cfg: Options = Field(default_factory=dict)
    presets: dict[str, Options] = Field(default_factory=dict)
    models: list[str] | None = Field(default=None, min_length=1)


class Preset(_Part):
    """How much is run.

    Attributes:
        models: by default all.
        cfg: merged over their configs.
        protocol: merged over the benchmark's, as fewer repeats; datasets with one of their own keep it.
        timeout: seconds that each cell may take.
    """

    models: list[str] | None = Field(default=None, min_length=1)
    cfg: Options = Field(default_factory=dict)
    protocol: Options = Field(default_factory=dict)
    timeout: float | None = Field(default=None, gt=0)


class Definition(_Part):
    """A benchmark as its YAML file states it.

    Names of datasets and models may be those of other plugins, as `<plugin>/<name>`; others are of `plugin`, the
    benchmark's own.
    """

    plugin: str = Field(exclude=True)
    summary: str = ""
    protocol: dict[str, Any]
    datasets: dict[str, Annotated[DatasetEntry, BeforeValidator(_nothing)]] = Field(min_length=1)
    models: list[str] = Field(min_length=1)
    presets: dict[str, Annotated[Preset, BeforeValidator(_nothing)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _agrees(self) -> Definition:
        """Names within the file must be of things that it defines."""
        faults = [
            f"presets.{preset}.models names {name!r}, which 'models' lacks{_close(name, self.models)}"
            for preset, part in self.presets.items()
            for name in part.models or ()
            if name not in self.models
        ]
        faults += [
            f"datasets.{dataset}.models names {name!r}, which 'models' lacks{_close(name, self.models)}"
            for dataset, entry in self.datasets.items()
            for name in entry.models or ()
            if name not in self.models
        ]
        faults += [
            f"datasets.{name}.presets names {preset!r}, which 'presets' lacks{_close(preset, self.presets)}"
            for name, entry in self.datasets.items()
            for preset in entry.presets
            if preset not in self.presets
        ]
        faults += [
            f"{where} lacks 'type', the kind of protocol"
            for where, protocol in [
                ("protocol", self.protocol),
                *((f"datasets.{name}.protocol", entry.protocol) for name, entry in self.datasets.items()),
            ]
            if protocol is not None and not isinstance(protocol.get("type"), str)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def full_name(self, name: str) -> str:
        """`<plugin>/<name>` of a dataset or model that the file names."""
        return name if "/" in name else f"{self.plugin}/{name}"

    def dataset(self, key: str) -> DatasetEntry:
        """How the dataset of this full name is used; one that the file does not name, without any wish."""
        return next((e for name, e in self.datasets.items() if self.full_name(name) == key), DatasetEntry())

    def options(self, key: str, preset: str) -> dict[str, Any]:
        """What the dataset of this full name is opened with under a preset."""
        return dict(self.dataset(key).presets.get(preset, {}))

    def protocol_of(self, key: str, preset: str) -> dict[str, Any]:
        """How samples of the dataset of this full name are divided under a preset."""
        return self.dataset(key).protocol or {**self.protocol, **self.preset(preset).protocol}

    def preset(self, name: str) -> Preset:
        """What a preset sets.

        Raises:
            UsageError: there is no such preset.
        """
        if name not in self.presets:
            raise UsageError(f"preset {name!r} is unknown here; there are {', '.join(self.presets)}")
        return self.presets[name]


_PARTS: dict[str, type[BaseModel]] = {"datasets": DatasetEntry, "presets": Preset}


def read_definition(handle: BenchmarkHandle) -> Definition:
    """The definition of a benchmark.

    Raises:
        VidsuiteError: the file is missing, is no YAML, or has faults, all of which are named.
    """
    path = handle.spec.definition
    data = read_yaml(path)
    if "plugin" in data:
        raise VidsuiteError(f"{path}: unknown field 'plugin'")
    try:
        return Definition.model_validate({**data, "plugin": handle.plugin})
    except ValidationError as error:
        faults = [_fault(one) for one in error.errors()]
        more = f"\nand {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        lines = faults if len(faults) == 1 else ["it has faults", *(f"  {fault}" for fault in faults[:_SHOWN])]
        raise VidsuiteError(f"{path}: " + "\n".join(lines) + more) from error


def _fault(error: Any) -> str:
    """One of pydantic's findings, with the place in the file's own words."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"field {where!r} is missing"
    if error["type"] == "extra_forbidden":
        *place, name = error["loc"]
        kind = _PARTS[str(place[0])] if place else Definition
        return f"unknown field {where!r}{_close(str(name), set(kind.model_fields) - {'plugin'})}"
    return f"{where}: {error['msg']}" if where else str(error["msg"]).removeprefix("Value error, ")


def _close(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


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

"""`result.json`: the record of one attempt at a cell. The JSON Schema is `Record.model_json_schema()`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.text import shown_name

SCHEMA_VERSION = 1
MAX_BYTES = 16 * 2**20
"""A result file larger than this is refused: records are a few kilobytes."""
MAX_TEXT = 2**17
"""A result with a longer text is refused: what shows, splits or quotes it would take a minute over a few megabytes."""
MAX_DEPTH = 64
"""A result nested deeper than this is refused: configs, the deepest part, stay below 20."""

MAX_NAME = 200
"""Characters of a name: of a model, a fold, a class of device."""
MAX_DEVICES = 100_000
LARGEST = 2**53
"""The largest number that something is counted to: beyond it JSON's readers do not agree."""


def _short(name: str) -> str:
    if len(name) > MAX_NAME:
        raise ValueError(f"is longer than {MAX_NAME} characters")
    return name


Name = Annotated[str, AfterValidator(_short)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Status = Literal["ok", "failed", "timeout", "out_of_memory", "interrupted", "skipped"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CellFields(_Part):
    """Which cell it is, in names; `folds` is the number of folds that the protocol makes."""

    plugin: Name
    benchmark: Name
    task: Name
    dataset: Name
    model: Name
    fold: Name
    folds: Count
    seed: Count
    preset: Name


class Score(_Part):
    """One score; `value` is null where it is not defined, and `reason` says why."""

    value: float | None
    unit: str
    direction: Literal["higher", "lower"]
    n: Count
    reason: str = ""


class Efficiency(_Part):
    """Cost of the whole path from a decoded sample in memory to its prediction, at batch 1.

    `parameters` counts every network on the path; `flops` is 2 x multiply-adds of one sample; latencies in
    seconds, raw values in `latencies`; `throughput` in samples per second; `peak_memory` in bytes (the
    device's allocator on a GPU, the process's resident set elsewhere); `sample` says what was measured.

    What follows is known since version 2 of the protocol (`protocol`: "short-2" or "full-2", "" for older records; see
    `vidsuite_core.engine.speed`): latencies are of samples that were never seen before. `processes` are the medians of
    each process that measured; `repeated_share` is the time of a repeated sample over that of a fresh one;
    `network_p50` the seconds inside the networks, `whole_p50` those from the file to the prediction; `batches` the
    throughput by size of batch; `device_state` clock, throttle reasons, temperature and power meanwhile;
    `device_peaks` the FLOP/s and bytes/s that the device was measured to do at best, and `share_of_peak` the model's
    share of the former. Where `doubts` has lines, the speed is not to be compared, and they say why.
    """

    parameters: Count
    flops: float | None
    latency_p50: float
    latency_p95: float
    latencies: list[float]
    throughput: float
    peak_memory: Count
    sample: str
    path: str
    protocol: str = ""
    warm_up: dict[str, Any] = Field(default_factory=dict)
    processes: list[float] = Field(default_factory=list)
    repeated_share: float | None = None
    network_p50: float | None = None
    whole_p50: float | None = None
    batches: list[dict[str, float]] = Field(default_factory=list)
    peak_host_memory: Count | None = None
    peak_device_memory: Count | None = None
    device_state: dict[str, Any] = Field(default_factory=dict)
    device_peaks: dict[str, Any] = Field(default_factory=dict)
    share_of_peak: float | None = None
    doubts: list[str] = Field(default_factory=list)


class Weights(_Part):
    """Initial weights: the content hash of the tensors, or "random"."""

    name: str
    sha256: str


class Holder(_Part):
    """Who scored an attempt whose test labels are kept back.

    `by` is a name that they give, `of` the attempt as it was handed in, `labels` a keyed hash of the labels (see
    `vidsuite_core.results.withheld.labels_hash`), `created` when they scored it.
    """

    by: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(shown_name)]
    of: Name
    labels: str = Field(pattern="^[0-9a-f]{64}$")
    created: AwareDatetime


class Record(_Part):
    """One attempt at a cell, as kept in `result.json`.

    `score_key` holds all that decides a score and `score_id` is its hash; `cell_id` adds names and device.
    `code` and `software` are what a reused attempt must share with the present. `files` are the sha256 of
    the other files of the attempt. Where test labels are kept back there are no scores, until whoever has them scores a
    copy of the attempt and says so in `holder`.
    """

    schema_version: int = SCHEMA_VERSION
    attempt: str
    created: AwareDatetime
    status: Status
    reason: str = ""
    log_end: list[str] = Field(default_factory=list)
    cell: CellFields
    cell_id: str
    score_id: str
    score_key: dict[str, Any]
    device: dict[str, Any]
    classes: list[str] = Field(default_factory=list)
    scores: dict[str, Score] = Field(default_factory=dict)
    variants: dict[str, dict[str, Score]] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    phases: dict[str, float] = Field(default_factory=dict)
    efficiency: Efficiency | None = None
    hardware: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    code: dict[str, dict[str, str]] = Field(default_factory=dict)
    command: list[str] = Field(default_factory=list)
    weights: list[Weights] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
    holder: Holder | None = None

    @field_validator("score_key")
    @classmethod
    def _has_its_form(cls, key: dict[str, Any]) -> dict[str, Any]:
        for name in ("task", "protocol", "config", "weights"):
            if name in key and not isinstance(key[name], dict):
                raise ValueError(f"{name} must be a mapping")
        return key

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, device: dict[str, Any]) -> dict[str, Any]:
        kind, count = device.get("kind", ""), device.get("count", 1)
        if not isinstance(kind, str) or len(kind) > MAX_NAME:
            raise ValueError(f"kind must be a text of at most {MAX_NAME} characters")
        if type(count) is not int or not 0 < count <= MAX_DEVICES:
            raise ValueError(f"count must be a number from 1 to {MAX_DEVICES}")
        return device


def read_record(path: Path) -> Record:
    """Read and check a `result.json`, which may come from a stranger.

    Raises:
        VidsuiteError: unreadable, too large, no plain file, of a newer schema, or not of the schema's form.
    """
    try:
        text = read_regular(path, MAX_BYTES).decode()
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        raise VidsuiteError(f"{path} is not a readable result: {error}") from error
    if not isinstance(data, dict):
        raise VidsuiteError(f"{path} is not a result: it holds no JSON object")
    if len(text) > MAX_TEXT and _longer(data, MAX_TEXT):
        raise VidsuiteError(f"{path} is not a result: it holds a text of more than {MAX_TEXT} characters")
    if _deeper(data, MAX_DEPTH):
        raise VidsuiteError(f"{path} is not a result: it is nested more than {MAX_DEPTH} deep")
    version = data.get("schema_version")
    if type(version) is not int or version < 1:
        raise VidsuiteError(f"{path} is not a result: schema_version must be a number from 1 on")
    if version > SCHEMA_VERSION:
        raise VidsuiteError(
            f"{path} has result schema {version}, this vidsuite reads up to {SCHEMA_VERSION}; upgrade vidsuite"
        )
    try:
        return Record.model_validate(migrate(data))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise VidsuiteError(f"{path} is not a result: {field}: {said}") from error


def migrate(data: Mapping[str, Any]) -> dict[str, Any]:
    """Bring an older result to the present schema. There is one version so far, so nothing changes yet."""
    return dict(data)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_constant(text)


def _longer(value: Any, most: int) -> bool:
    """Whether a text in nested lists and mappings, a field's name included, has more than `most` characters."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and len(one) > most:
            return True
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
    return False


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings in `value` are nested more than `levels` deep."""
    level = [value]
    for _ in range(levels):
        level = [
            item
            for nested in level
            if isinstance(nested, dict | list)
            for item in (nested.values() if isinstance(nested, dict) else nested)
        ]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)

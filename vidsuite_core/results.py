"""`result.json`: the record of one attempt at a cell. The JSON Schema is `Record.model_json_schema()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidsuite_core.errors import VidsuiteError

SCHEMA_VERSION = 1
MAX_BYTES = 16 * 2**20
"""A result file larger than this is refused: records are a few kilobytes."""

Status = Literal["ok", "failed", "timeout", "out_of_memory", "interrupted", "skipped"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CellFields(_Part):
    """Which cell it is, in names; `folds` is the number of folds that the protocol makes."""

    plugin: str
    benchmark: str
    task: str
    dataset: str
    model: str
    fold: str
    folds: int
    seed: int
    preset: str


class Score(_Part):
    """One score; `value` is null where it is not defined, and `reason` says why."""

    value: float | None
    unit: str
    direction: Literal["higher", "lower"]
    n: int
    reason: str = ""


class Efficiency(_Part):
    """Cost of the whole path from a decoded sample in memory to its prediction, at batch 1.

    `parameters` counts every network on the path; `flops` is 2 x multiply-adds of one sample; latencies in
    seconds, raw values in `latencies`; `throughput` in samples per second; `peak_memory` in bytes (the
    device's allocator on a GPU, the process's resident set elsewhere); `sample` says what was measured.
    """

    parameters: int
    flops: float | None
    latency_p50: float
    latency_p95: float
    latencies: list[float]
    throughput: float
    peak_memory: int
    sample: str
    path: str


class Weights(_Part):
    """Initial weights: the content hash of the tensors, or "random"."""

    name: str
    sha256: str


class Record(_Part):
    """One attempt at a cell, as kept in `result.json`.

    `score_key` holds all that decides a score and `score_id` is its hash; `cell_id` adds names and device.
    `code` and `software` are what a reused attempt must share with the present. `files` are the sha256 of
    the other files of the attempt.
    """

    schema_version: int = SCHEMA_VERSION
    attempt: str
    created: datetime
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
    code: dict[str, Any] = Field(default_factory=dict)
    command: list[str] = Field(default_factory=list)
    weights: list[Weights] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)


def read_record(path: Path) -> Record:
    """Read and check a `result.json`, which may come from a stranger.

    Raises:
        VidsuiteError: unreadable, too large, of a newer schema, or not of the schema's form.
    """
    import json

    try:
        if path.stat().st_size > MAX_BYTES:
            raise VidsuiteError(f"{path} is larger than {MAX_BYTES >> 20} MiB, which no result is")
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise VidsuiteError(f"{path} is not a readable result: {error}") from error
    if not isinstance(data, dict):
        raise VidsuiteError(f"{path} is not a result: it holds no JSON object")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise VidsuiteError(
            f"{path} has result schema {version}, this vidsuite reads up to {SCHEMA_VERSION}; upgrade vidsuite"
        )
    try:
        return Record.model_validate(migrate(data))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise VidsuiteError(f"{path} is not a result: {field}: {first['msg']}") from error


def migrate(data: Mapping[str, Any]) -> dict[str, Any]:
    """Bring an older result to the present schema. There is one version so far, so nothing changes yet."""
    return dict(data)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")

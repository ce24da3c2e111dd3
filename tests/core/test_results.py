"""`result.json`: it comes back as it was written, and a stranger's is refused by name for what is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import keep, make_cell, make_record
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.record import MAX_BYTES, SCHEMA_VERSION, Record, read_record
from vidsuite_core.results.store import RESULT, Store

FULL: dict[str, Any] = {
    "reason": "",
    "scores": {"macro_f1": {"value": 0.5, "unit": "fraction", "direction": "higher", "n": 9}},
    "variants": {"last": {"auc": {"value": None, "unit": "", "direction": "lower", "n": 1, "reason": "one class"}}},
    "details": {"confusion": [[1, 2], [3, 4]], "chosen_epoch": None},
    "phases": {"train": 1.25},
    "efficiency": {
        "parameters": 7, "flops": None, "latency_p50": 0.1, "latency_p95": 0.2, "latencies": [0.1, 0.2],
        "throughput": 9.5, "peak_memory": 2**40, "sample": "60 frames", "path": "fp32",
    },
    "hardware": {"cores": 2, "load": 0.5},
    "command": ["vidsuite bench --plugin 'ü'"],
    "weights": [{"name": "i3d", "sha256": "random"}],
    "warnings": ["random weights were used in place of i3d"],
    "log_end": ["caf\udce9 \x1b[31m"],
}  # fmt: skip


CELL = make_record(make_cell(), "a1").cell.model_dump()


def written(folder: Path, **changes: Any) -> Path:
    """A good result file with some fields changed; a value of `...` leaves the field out."""
    data = {**make_record(make_cell(), "a1", **FULL).model_dump(mode="json"), **changes}
    path = folder / RESULT
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not ...}))
    return path


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    attempt = keep(Store(tmp_path), make_cell(), None, **FULL)
    assert read_record(attempt.path / RESULT) == attempt.record
    assert attempt.record.log_end == FULL["log_end"]


def test_a_result_file_fits_the_published_schema(tmp_path: Path) -> None:
    attempt = keep(Store(tmp_path), make_cell(), None, **FULL)
    schema = Record.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((attempt.path / RESULT).read_text()), schema)


def test_what_is_no_number_is_kept_as_null(tmp_path: Path) -> None:
    attempt = keep(Store(tmp_path), make_cell(), None, details={"auc": float("nan"), "curve": [float("inf")]})
    assert read_record(attempt.path / RESULT).details == {"auc": None, "curve": [None]}


def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, schema_version=SCHEMA_VERSION + 1, brand_new_field=1)
    with pytest.raises(VidsuiteError, match=rf"{path} has result schema 2, this vidsuite reads up to 1; upgrade"):
        read_record(path)


@pytest.mark.parametrize("version", ["2", 2.0, True, 0, -1, None, ..., [1]])
def test_a_schema_version_that_is_no_whole_number_is_refused(tmp_path: Path, version: object) -> None:
    with pytest.raises(VidsuiteError, match="schema_version must be a number from 1 on"):
        read_record(written(tmp_path, schema_version=version))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"status": "great"}, "status: Input should be 'ok', 'failed'"),
        ({"scores": {"f1": {"value": "high", "unit": "", "direction": "higher", "n": 1}}}, "scores.f1.value: "),
        ({"scores": {"f1": {"value": 1, "unit": "", "direction": "up", "n": 1}}}, "scores.f1.direction: "),
        ({"score_id": ...}, "score_id: Field required"),
        ({"created": "2026-01-01T00:00:00"}, "created: Input should have timezone info"),
        ({"created": "yesterday"}, "created: "),
        ({"cell": []}, "cell: "),
        ({"code": {"core": "1.0"}}, "code.core: "),
        ({"files": {"log.txt": 5}}, "files.log.txt: "),
        ({"score_key": [1]}, "score_key: "),
        *(({"score_key": {name: [1]}}, f"score_key: {name} must be") for name in ("config", "task", "protocol")),
        ({"device": {"kind": "x" * 240, "count": 1}}, "device: kind must be"),
        ({"device": {"kind": "cpu", "count": 10**3000}}, "device: count must be"),
        ({"cell": {**CELL, "folds": 10**3000}}, "cell.folds: "),
        ({"cell": {**CELL, "seed": -1}}, "cell.seed: "),
        ({"cell": {**CELL, "model": "m" * 240}}, "cell.model: "),
        ({"efficiency": {**FULL["efficiency"], "parameters": 10**3000}}, "efficiency.parameters: "),
    ],
)
def test_a_field_of_another_form_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(VidsuiteError) as caught:
        read_record(path)
    assert f"{path} is not a result: {reason}" in str(caught.value)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path, token: str) -> None:
    path = written(tmp_path, details={"x": "TOKEN"})
    path.write_text(path.read_text().replace('"TOKEN"', token))
    with pytest.raises(VidsuiteError, match="is not a readable result"):
        read_record(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"\x00" * 9, b"PK\x03\x04"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RESULT).write_bytes(content)
    with pytest.raises(VidsuiteError, match=r"is not a (readable )?result"):
        read_record(tmp_path / RESULT)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_our_own_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(VidsuiteError):
        read_record(path)


@pytest.mark.parametrize("depth", [100, 900, 100_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_deep_nesting_is_refused(tmp_path: Path, depth: int, pair: str) -> None:
    nested = "[" * depth + "]" * depth if pair == "[]" else '{"a":' * depth + "1" + "}" * depth
    path = written(tmp_path, details={"x": "DEEP"})
    path.write_text(path.read_text().replace('"DEEP"', nested))
    with pytest.raises(VidsuiteError, match=r"nested more than 64 deep|recursion"):
        read_record(path)


@pytest.mark.parametrize("place", ["a text", "a name"])
def test_a_text_of_megabytes_is_refused(tmp_path: Path, place: str) -> None:
    text = "a " * 1_500_000
    path = written(tmp_path, details={"x": [{"y": text}] if place == "a text" else {text: 1}})
    with pytest.raises(VidsuiteError, match="holds a text of more than 131072 characters"):
        read_record(path)


def test_a_file_of_more_than_its_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / RESULT
    with path.open("wb") as file:
        file.truncate(100 * MAX_BYTES)  # sparse: takes no room
    with pytest.raises(VidsuiteError, match="is larger than"):
        read_record(path)


def test_a_missing_file_a_folder_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    good = written(tmp_path)
    (tmp_path / "link.json").symlink_to(good)
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")  # reading it would wait for ever
    for name, reason in {
        "missing.json": "No such file",
        "link.json": "is a symbolic link",
        "endless.json": "is a symbolic link",
        "folder.json": "is no plain file",
        "pipe.json": "is no plain file",
    }.items():
        with pytest.raises(VidsuiteError, match=reason):
            read_record(tmp_path / name)


def test_a_record_cannot_be_changed_once_made() -> None:
    record = make_record(make_cell(), "a1")
    with pytest.raises(ValidationError, match="frozen"):
        record.status = "failed"  # type: ignore[misc]


def test_a_score_that_is_no_number_must_be_null_with_a_reason() -> None:
    with pytest.raises(ValidationError, match="finite number"):
        make_record(make_cell(), "a", scores={"f1": {"value": float("nan"), "unit": "", "direction": "higher", "n": 1}})

"""Identities: canonical hashes, plain JSON values, and what is said to differ."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.ids import differences, digest, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: object) -> object:
    """The same value with every mapping's keys inserted in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_a_digest_depends_on_content_and_not_on_the_order_of_keys(value: object) -> None:
    assert digest(value) == digest(shuffled(value)) == digest(json.loads(json.dumps(value)))
    assert digest([value]) != digest([value, value])


def test_a_digest_is_the_sha256_of_canonical_json() -> None:
    text = '{"a":[1,2.5,"é"],"b":null}'
    assert digest({"b": None, "a": [1, 2.5, "é"]}) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("pair", [(1, 1.0), (1, "1"), (None, "null"), ([1], 1), ({}, []), ("a", "a ")])
def test_values_of_other_types_have_other_digests(pair: tuple[object, object]) -> None:
    assert digest(pair[0]) != digest(pair[1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_digest_refuses_what_json_has_no_number_for(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest([value])


def test_a_digest_takes_text_that_is_no_unicode() -> None:
    assert digest("caf\udce9") != digest("caf\udce8")  # a file name in Latin-1, as Python reads it


@given(JSON)
def test_plain_leaves_json_as_it_is(value: object) -> None:
    assert plain(value) == value


def test_plain_makes_json_of_configs() -> None:
    value = {1: (2, {"x": Path}), "inf": math.inf, "nan": math.nan, "fn": math.sqrt, "path": Path("a/b")}
    found = plain(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["1"] == [2, {"x": "pathlib.Path"}]
    assert (found["inf"], found["nan"], found["fn"]) == ("inf", "nan", "math.sqrt")
    assert "a/b" in found["path"]


def test_plain_sorts_sets_so_that_no_run_differs_from_another() -> None:
    code = "from vidsuite_core.support.ids import plain; print(plain({'b', 'a', 'dd', 'c', 3, 20, None, ('x', 'y')}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(found) == 1


def test_plain_refuses_an_object_that_is_only_an_address() -> None:
    with pytest.raises(VidsuiteError, match="a object object cannot be told by its value"):
        plain({"model": object()})


def test_differences_are_dotted_paths_with_both_values() -> None:
    old = {"torch": "2.10", "same": 1, "core": {"sources": "a" * 64, "gone": 1}}
    new = {"torch": "2.11", "same": 1, "core": {"sources": "b" * 64}, "new": True}
    assert differences(old, new, "software.") == [
        "software.core.gone: 1 -> None",
        f"software.core.sources: {'a' * 12}… -> {'b' * 12}…",
        "software.new: None -> True",
        "software.torch: 2.10 -> 2.11",
    ]


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_nothing_differs_from_itself(value: dict[str, object]) -> None:
    assert differences(value, value) == []

"""Identities: what makes two cells, or two scores, the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from vidsuite_core.errors import VidsuiteError


def digest(value: Any) -> str:
    """sha256 (hex) of `value` as canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def plain(value: Any) -> Any:
    """`value` in JSON's own types: tuples become lists, sets sorted lists, keys text, infinities and NaN their names.

    Anything else (a class or function in a config) becomes its qualified name, or its `repr`.

    Raises:
        VidsuiteError: an object that prints as its address in memory, which identifies nothing.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=lambda item: (type(item).__name__, str(item)))
    if not hasattr(value, "__qualname__") and type(value).__repr__ is object.__repr__:
        raise VidsuiteError(f"a {type(value).__name__} object cannot be told by its value; write it as plain data")
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', repr(value))}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The fields, as dotted paths with both values, in which two nested mappings differ."""
    lines = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {_short(before)} -> {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"

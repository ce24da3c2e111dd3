"""The options that an executor brings of its own: from a profile file (TOML) and from `--executor-options K=V`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from vidsuite_core.errors import UsageError
from vidsuite_core.support.files import why

_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?")

_WANTED = {
    "str": "a text", "int": "a whole number from 0", "float": "a number from 0", "list[str]": "a list of texts",
}  # fmt: skip

T = TypeVar("T")


def gathered(profile: Path | None, given: Sequence[str]) -> dict[str, Any]:
    """The options of a profile file, with those given as "NAME=VALUE" in place of its own of the same name.

    Raises:
        UsageError: the file cannot be read or is no TOML, or what is given has no "=".
    """
    found: dict[str, Any] = {}
    if profile is not None:
        try:
            found = tomllib.loads(profile.read_text())
        except OSError as error:
            raise UsageError(f"--executor-profile {profile}: {why(error, profile)}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"--executor-profile {profile} is no TOML: {error}") from error
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--executor-options {pair}: say NAME=VALUE")
        found[name.strip()] = value
    return found


def settled(kind: type[T], executor: str, options: Mapping[str, Any]) -> T:
    """Options as a dataclass `kind`, whose fields are their names, types and defaults.

    Fields may be of `str`, `int`, `float`, `list[str]` (a list of the profile, or one text) and `dict[str, str]` (a
    table of the profile alone).

    Raises:
        UsageError: an option that it does not have, or a value of another type.
    """
    assert isinstance(kind, type)
    types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in types:
            close = get_close_matches(name, types, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(types) or 'none'}"
            raise UsageError(f"executor {executor} has no option {name!r}; {hint}")
        values[name] = _value(executor, name, types[name], value)
    return kind(**values)


def minutes(text: str, name: str) -> int:
    """Minutes, rounded up, of a time as Slurm takes it: "90", "1:30:00", "45:00" (minutes), "2-00:00:00", "1-12".

    Raises:
        UsageError: it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{name}={text}: say minutes, H:MM:SS or D-HH:MM:SS")
    days, *rest = found.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None or len(numbers) == 3:
        hours, minute, second = (*numbers, 0, 0)[:3]
    else:
        hours, minute, second = 0, *(*numbers, 0)[:2]
    total = int(days or 0) * 1440 + hours * 60 + minute + (second > 0)
    if total < 1:
        raise UsageError(f"{name}={text}: no time at all")
    return total


def _value(executor: str, name: str, kind: str, value: Any) -> Any:
    if kind == "str" and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if kind in ("int", "float") and not isinstance(value, bool):
        try:
            number = float(value)
            if 0 <= number < float("inf") and (kind == "float" or number == int(number)):
                return int(number) if kind == "int" else number
        except (TypeError, ValueError, OverflowError):
            pass
    if kind == "list[str]" and isinstance(value, str):
        return [value]
    if kind == "list[str]" and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    if kind == "dict[str, str]" and isinstance(value, dict):
        return {str(key): part if isinstance(part, bool) else str(part) for key, part in value.items()}
    wanted = _WANTED.get(kind, "a table of the profile")
    raise UsageError(f"executor {executor}: {name} is {wanted}, not {value!r}")

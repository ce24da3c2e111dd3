"""What a program may read of a command: its answer alone, whatever plugins and libraries print meanwhile."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

_answers: list[TextIO] = []


@contextmanager
def reserved(arguments: Sequence[str]) -> Iterator[None]:
    """Where `arguments` ask for JSON or another form, keep standard output for the answer: the rest goes to errors."""
    if not any(word == "--json" or word.split("=")[0] == "--format" for word in arguments):
        yield
        return
    _answers.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _answers.pop()


def stream() -> TextIO:
    """Where the answer is written."""
    return _answers[-1] if _answers else sys.stdout


def answer(value: Any) -> None:
    """Write `value` as JSON, with a line's end."""
    stream().write(json.dumps(value, indent=1) + "\n")
    stream().flush()

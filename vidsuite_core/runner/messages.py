"""The worker protocol, version 2: what passes between a run, its workers and the processes of their cells.

Messages are JSON objects, one a line of at most `MAX_LINE` bytes, each with its `kind`; they go over pipes of their
own, which standard output and error do not reach. What comes from a process that runs a plugin's code is checked here
before anything is made of it.

to a worker
    order     `order` (the fields of an `Order`) and `timeout` (seconds or null): run this cell
    stop      `grace` (seconds): have the cell save what it has and end; it is ended once they are over
from a worker
    ready     `protocol` (2), `hardware` and `software` of the place: the libraries are imported
    note      `text`: something that the user should know
    progress  `what`, `done`, `total`: a step of the cell is under way (`total` 0: unknown)
    outcome   `outcome`: what came of the cell, the fields of its record that its run tells, `status` among them
from a cell's process to its worker
    note, progress, outcome
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PROTOCOL = 2
MAX_LINE = 16 * 2**20
"""Bytes of a message: a record may not be larger either."""
MAX_TEXT = 500
"""Characters of a note or of a step's name."""
MAX_COUNT = 2**53
STATUS = ("ok", "failed", "timeout", "out_of_memory", "interrupted", "skipped")
_NUMBERS = {"done", "total", "protocol", "grace"}
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "order": {"order": dict, "timeout": object},
    "stop": {"grace": int},
    "ready": {"protocol": int, "hardware": dict, "software": dict},
    "note": {"text": str},
    "progress": {"what": str, "done": int, "total": int},
    "outcome": {"outcome": dict},
}

Message = dict[str, Any]


class Broken(ValueError):
    """What was read is no message."""


def written(kind: str, **fields: Any) -> bytes:
    """A message as it is sent; texts are cut to what may be sent, and numbers are made whole.

    Raises:
        ValueError, TypeError: it is too long, or no JSON.
    """
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = value[:MAX_TEXT]
        elif name in _NUMBERS:
            fields[name] = int(value)
    line = json.dumps({"kind": kind, **fields}).encode()
    if len(line) > MAX_LINE:
        raise ValueError(f"a message of {len(line)} bytes, more than {MAX_LINE}")
    return line + b"\n"


class Lines:
    """Puts together what comes out of a pipe, and gives it out message by message.

    Args:
        kinds: those that may come.
    """

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole with `data`.

        Raises:
            Broken: they are none, or are longer than any may be.
        """
        self._buffer += data
        found = []
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            found.append(_read(line, self._kinds))
        self._searched = len(self._buffer)
        if self._searched > MAX_LINE:
            raise Broken(f"a line of more than {MAX_LINE} bytes")
        return found


def _read(line: bytes, kinds: tuple[str, ...]) -> Message:
    try:
        if len(line) > MAX_LINE:
            raise ValueError
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Broken(f"{line[:40]!r}") from error
    kind = message.get("kind") if isinstance(message, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise Broken(f"{line[:40]!r}")
    fields = _FIELDS[kind]
    if message.keys() != {"kind", *fields} or any(not _fits(message[name], of) for name, of in fields.items()):
        raise Broken(f"a message {kind!r} of another form")
    if kind == "outcome" and message["outcome"].get("status") not in STATUS:
        raise Broken("an outcome without a status")
    return message


def _fits(value: Any, of: type) -> bool:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return False
    if of is int:
        return type(value) is int and 0 <= value < MAX_COUNT
    return isinstance(value, of)

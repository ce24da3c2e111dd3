"""A user's table of recordings (CSV): every fault is noted with its row, and none stops the reading.

findings = Findings()
table = Table(required=("recording", "path"), optional=("start", "well_box"))
for number, cells in table.read(path, findings):
    start = read_number(number, "start", cells["start"], findings)
    ...
findings.raise_if_any(path)
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Box
from vidsuite_core.support.litter import pointer

MAX_BYTES = 16 * 2**20
"""A manifest larger than this is refused before it is read."""

LONGEST = 1000
"""Characters of a cell that must be filled."""

SHOWN = 10
"""So many notes on rows are shown."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass
class Findings:
    """What is wrong with a manifest (`faults`, each with its row), and what its author should know (`notes`)."""

    faults: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _rows: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def note(self, row: int, text: str) -> None:
        """Note what the author should know of a row; one note stands for all rows of which it is true."""
        self._rows[text].append(row)

    def told(self) -> list[str]:
        """The notes to show: all that concern the whole, and the first `SHOWN` that concern rows."""
        notes = [f"{_counted(rows)}: {text}" for text, rows in self._rows.items()]
        more = [f"and {len(notes) - SHOWN} notes more of this kind"] if len(notes) > SHOWN else []
        return [*self.notes, *notes[:SHOWN], *more]

    def fault(self, row: int, column: str, text: str) -> None:
        """Note that `column` of `row` (the header is row 1) is wrong; `text` says how, and the remedy."""
        self.faults.append((row, column, text))

    def raise_if_any(self, path: Path) -> None:
        """Raise one error with one line a fault, in the order of the rows.

        Raises:
            VidsuiteError: there is a fault.
        """
        if self.faults:
            lines = [f"row {row}, {column}: {text}" for row, column, text in sorted(self.faults, key=lambda f: f[0])]
            total = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
            raise VidsuiteError("\n".join([f"{path}: {total}, nothing was imported (row 1 is the header)", *lines]))


def _counted(rows: Sequence[int]) -> str:
    """ "row 2", "rows 2, 3 and 5", "rows 2, 3, 4 and 120 more"."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    last = f"{len(rows) - 3} more" if len(rows) > 4 else str(rows[-1])
    return f"rows {', '.join(map(str, rows[:3] if len(rows) > 4 else rows[:-1]))} and {last}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of a manifest, in any order: those that must be there and filled, and those that may be.

    Names are in lower case; the file's may be in any.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def read(self, path: Path, findings: Findings) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row's number, as a spreadsheet counts (the header is row 1), and its cells by column, "" where empty.

        The file is UTF-8 with or without a byte order mark, its columns separated by commas, semicolons or tabs. What
        is wrong with a row goes to `findings`.

        Raises:
            VidsuiteError: the file as a whole cannot be read, or lacks a required column.
        """
        text, known = _text(path), self.required + self.optional
        try:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=self._separator(path, text)))
        except csv.Error as error:
            raise VidsuiteError(
                f"{path}: is no CSV table ({error}); look for a quotation mark that is not closed"
            ) from error
        header = [name.strip().lower() for name in lines[0]]
        if repeated := sorted({name for name in header if name and header.count(name) > 1}):
            raise VidsuiteError(f"{path}: column {', '.join(repeated)} is there twice; remove or rename one")
        if unknown := [name for name in header if name and name not in known]:
            findings.notes.append(f"columns that are not used: {', '.join(unknown)}")
        for number, cells in enumerate(lines[1:], start=2):
            values = [cell.strip() for cell in cells]
            if not any(values):
                continue
            if len(values) > len(header) and any(values[len(header) :]):
                text = f"{len(values)} cells under {len(header)} columns; put cells that hold the separator in quotes"
                findings.fault(number, "row", text)
                continue
            named = dict(zip(header, values, strict=False))
            row = {name: named.get(name, "") for name in known}
            self._check_filled(number, row, findings)
            yield number, row

    def _check_filled(self, number: int, row: dict[str, str], findings: Findings) -> None:
        for name in self.required:
            if not row[name]:
                findings.fault(number, name, f"is empty; give the {name}")
            elif len(row[name]) > LONGEST or not row[name].isprintable():
                text = f"is longer than {LONGEST} characters or holds control characters; correct it"
                findings.fault(number, name, text)

    def _separator(self, path: Path, text: str) -> str:
        """The separator that gives all required columns."""
        first = text.splitlines()[0]
        missing = {}
        for separator in _SEPARATORS:
            names = [name.strip().strip('"').strip().lower() for name in first.split(separator)]
            missing[separator] = [name for name in self.required if name not in names]
        best = min(missing, key=lambda separator: len(missing[separator]))
        if missing[best]:
            may = f"and may name {', '.join(self.optional)}, " if self.optional else ""
            raise VidsuiteError(
                f"{path}: row 1 lacks the column {', '.join(missing[best])}; it must name {', '.join(self.required)}, "
                f"{may}separated by {', '.join(_SEPARATORS.values())}"
            )
        return best


def read_number(row: int, name: str, cell: str, findings: Findings) -> float | None:
    """The number in a cell; None where it is empty, or none, which is a fault."""
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        remedy = "use a point for decimals" if "," in cell else "give a number or leave it empty"
        findings.fault(row, name, f"{cell!r} is not a number; {remedy}")
        return None
    if not math.isfinite(value):
        findings.fault(row, name, f"{cell!r} is not a finite number; give a number or leave it empty")
        return None
    return value


def read_box(row: int, name: str, cell: str, findings: Findings) -> Box | None:
    """The box "x1 y1 x2 y2" in a cell; None where there is none, which is a fault."""
    try:
        x1, y1, x2, y2 = (float(part) for part in cell.split())
    except ValueError:
        findings.fault(row, name, f"{cell!r} is not four numbers 'x1 y1 x2 y2' separated by spaces; correct it")
        return None
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)) or x1 >= x2 or y1 >= y2:
        findings.fault(row, name, f"{cell!r} needs finite numbers with x1 < x2 and y1 < y2; correct it")
        return None
    return x1, y1, x2, y2


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise VidsuiteError(f"{path}: is larger than {MAX_BYTES} bytes; give the CSV manifest, not a video")
        data = path.read_bytes()
    except OSError as error:
        raise VidsuiteError(f"{path}: cannot be read ({error.strerror}); give the path of the CSV manifest") from error
    if pointed := pointer(data):
        raise VidsuiteError(f"{path}: is {pointed}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise VidsuiteError(f"{path}: is UTF-16 text; save it as 'CSV UTF-8'")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        byte = data[error.start]
        raise VidsuiteError(
            f"{path}: line {row} holds the byte 0x{byte:02x}, so it is not UTF-8; save it as 'CSV UTF-8'"
        ) from error
    if "\0" in text or not text.strip():
        raise VidsuiteError(f"{path}: is {'no text' if text.strip() else 'empty'}; give a CSV manifest")
    return text

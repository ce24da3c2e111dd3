"""The manifest's rows as typed values; every fault of a cell is noted with its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vidsuite_core.preparing.manifest import Findings, Table, read_box, read_number
from vidsuite_core.samples import Box

TABLE = Table(
    required=("recording", "path", "subject", "class"),
    optional=("start", "end", "fps", "bed_box", "person_box", "low", "high"),
)
BOXES = {"bed_box": "bed", "person_box": "person"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row as typed values; `number` counts as a spreadsheet does, with the header as row 1.

    `start` and `end` are in seconds, `boxes` in pixels, `value_range` in pixel values.
    """

    number: int
    recording: str
    path: str
    subject: str
    label: str
    start: float | None
    end: float | None
    fps: float | None
    boxes: Mapping[str, Box]
    value_range: tuple[float, float] | None


def read_rows(path: Path, findings: Findings) -> list[Row]:
    """The manifest's rows; what is wrong with a cell goes to `findings`, and the cell counts as empty.

    Raises:
        VidsuiteError: the file as a whole cannot be read, or lacks a required column.
    """
    return [_row(number, cells, findings) for number, cells in TABLE.read(path, findings)]


def _row(number: int, cells: Mapping[str, str], findings: Findings) -> Row:
    numbers = {
        name: read_number(number, name, cells[name], findings) for name in ("start", "end", "fps", "low", "high")
    }
    start, end, fps, low, high = numbers.values()
    if start is not None and start < 0:
        findings.fault(number, "start", f"{start:g} s is before the video begins; give 0 or more")
    if end is not None and end <= (start or 0):
        findings.fault(number, "end", f"{end:g} s is not after the start, {start or 0:g} s; give a later end")
    if fps is not None and not 0 < fps <= 1000:
        findings.fault(number, "fps", f"{fps:g} is no frame rate; give frames per second")
        fps = None
    boxes = {label: read_box(number, name, cells[name], findings) for name, label in BOXES.items() if cells[name]}
    return Row(
        number=number,
        recording=cells["recording"],
        path=cells["path"],
        subject=cells["subject"],
        label=cells["class"],
        start=start,
        end=end,
        fps=fps,
        boxes={label: box for label, box in boxes.items() if box},
        value_range=_value_range(number, cells, low, high, findings),
    )


def _value_range(
    row: int, cells: Mapping[str, str], low: float | None, high: float | None, findings: Findings
) -> tuple[float, float] | None:
    if bool(cells["low"]) != bool(cells["high"]):
        findings.fault(row, "low" if cells["high"] else "high", "is empty though the other is given; give both or none")
    if low is None or high is None:
        return None
    if low >= high:
        findings.fault(row, "low", f"{low:g} is not below high, {high:g}; low becomes black and high white")
        return None
    return low, high

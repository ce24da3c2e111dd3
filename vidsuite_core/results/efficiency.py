"""Tables of speed: what a prediction costs on each class of device, and which models nobody beats in both.

Speeds compare within a class of device alone. Models whose processes' medians overlap tie; one whose measurement is
doubted has no place, and its row says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.summary import Row, Summary, device_of
from vidsuite_core.specs import resolve
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from vidsuite_core.results.record import Record
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.suite import Suite


@dataclass(frozen=True)
class Speed:
    """One model's cost on a class of device.

    Attributes:
        latency_p50, latency_p95, network_p50, whole_p50: seconds at batch 1, see `record.Efficiency`.
        low, high: the lowest and highest median of a process.
        throughput, batch: samples a second at the best size of batch, and that size.
        threads, precision, path: how it was computed.
        score: mean of the task's first score, where the cells have one, `lower` whether less of it is better.
        front: no other is as fast and scores higher, or scores as high and is faster.
        tied: its spread meets that of the fastest.
        doubts: why it is not to be compared.
    """

    benchmark: str
    dataset: str
    preset: str
    model: str
    device: str
    latency_p50: float
    latency_p95: float
    low: float
    high: float
    throughput: float
    batch: int
    network_p50: float | None
    whole_p50: float | None
    parameters: int
    flops: float | None
    peak_memory: int
    share_of_peak: float | None
    path: str
    threads: int | None
    protocol: str
    processes: int
    score: float | None = None
    front: bool = False
    tied: bool = False
    doubts: tuple[str, ...] = ()


def speeds(suite: Suite, attempts: Iterable[Attempt], rows: Sequence[Row]) -> list[Speed]:
    """The newest measurement of each model on each class of device, the fastest first; a full one before a short one.

    Args:
        rows: measured rows with scores, of which those of the same model, data and preset give the score.
    """
    first = {row.task: _first_score(suite, row.task) for row in rows}
    newest: dict[tuple[str, ...], Record] = {}
    for attempt in attempts:
        record = attempt.record
        if record.status != "ok" or record.efficiency is None:
            continue
        cell = record.cell
        key = (cell.benchmark, cell.dataset, cell.preset, device_of(record), cell.model)
        old = newest.get(key)
        if old is None or _rank(record) >= _rank(old):
            newest[key] = record
    means = {}
    for row in rows:
        name, _ = first.get(row.task, ("", False))
        found = row.scores.get(name)
        if row.status == "measured" and not row.variant and isinstance(found, Summary):
            means[row.benchmark, row.dataset, row.preset, row.model] = found.mean
    made = [_speed(record, means) for record in newest.values()]
    tables: dict[tuple[str, ...], list[Speed]] = {}
    for one in made:
        tables.setdefault((one.benchmark, one.dataset, one.preset, one.device), []).append(one)
    lower = {record.cell.benchmark: first.get(record.cell.task, ("", False))[1] for record in newest.values()}
    return [one for table in tables.values() for one in _compared(table, lower[table[0].benchmark])]


def _first_score(suite: Suite, task: str) -> tuple[str, bool]:
    """The name of a task's first score, and whether less of it is better."""
    kind = resolve(suite.tasks[task].spec.builder)
    name = str(kind.first_score)
    return name, any(score.name == name and score.direction == "lower" for score in kind.scores)


def _rank(record: Record) -> tuple[bool, Any]:
    assert record.efficiency is not None
    return record.efficiency.protocol.startswith("full"), record.created


def _speed(record: Record, means: dict[tuple[str, str, str, str], float]) -> Speed:
    cost, cell = record.efficiency, record.cell
    assert cost is not None
    medians = cost.processes or [cost.latency_p50]
    best = max(cost.batches, key=lambda row: row["throughput"], default=None)
    threads = record.hardware.get("threads")
    return Speed(
        cell.benchmark, cell.dataset, cell.preset, cell.model, device_of(record),
        latency_p50=cost.latency_p50, latency_p95=cost.latency_p95, low=min(medians), high=max(medians),
        throughput=best["throughput"] if best else cost.throughput, batch=int(best["size"]) if best else 1,
        network_p50=cost.network_p50, whole_p50=cost.whole_p50, parameters=cost.parameters, flops=cost.flops,
        peak_memory=cost.peak_memory, share_of_peak=cost.share_of_peak, path=cost.path,
        threads=threads if isinstance(threads, int) else None, protocol=cost.protocol, processes=len(medians),
        score=means.get((cell.benchmark, cell.dataset, cell.preset, cell.model)), doubts=tuple(cost.doubts),
    )  # fmt: skip


def _compared(table: Sequence[Speed], lower: bool) -> list[Speed]:
    """The rows of one table, the fastest first, doubted ones last, with what is said of each beside the others."""
    sound = sorted((one for one in table if not one.doubts), key=lambda one: one.latency_p50)
    worth = {id(one): one.score if lower or one.score is None else -one.score for one in sound}

    def beaten(one: Speed) -> bool:
        own = worth[id(one)]
        for rival in sound:
            other = worth[id(rival)]
            if rival is one or own is None or other is None:
                continue
            if (other <= own and rival.high < one.low) or (other < own and rival.latency_p50 <= one.latency_p50):
                return True
        return False

    found = [
        replace(
            one,
            tied=one is not sound[0] and one.low <= sound[0].high,
            front=one.score is not None and not beaten(one),
        )
        for one in sound
    ]
    return [*found, *sorted((one for one in table if one.doubts), key=lambda one: one.model)]


def show(console: Console, found: Sequence[Speed]) -> None:
    """Print a table for each benchmark, data, preset and class of device."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    keys = dict.fromkeys((one.benchmark, one.dataset, one.preset, one.device) for one in found)
    for key in keys:
        rows = [one for one in found if (one.benchmark, one.dataset, one.preset, one.device) == key]
        console.print(printable(f"\nspeed of {key[0]} on {key[1]}, preset {key[2]}; {key[3]}"), highlight=False)
        table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, collapse_padding=True)
        table.add_column("model", overflow="fold")
        for title in ("score", "ms", "p95", "/s", "batch", "net ms", "file ms", "params", "GFLOP", "MiB", "% peak"):
            table.add_column(title, justify="right", no_wrap=True)
        for one in rows:
            name = f"{one.model.partition('/')[2] or one.model}{' ◆' if one.front else ''}{' ≈' if one.tied else ''}"
            table.add_row(Text(printable(name)), *map(Text, _cells(one)), style="dim" if one.doubts else "")
        console.print(table)
        for line in _notes(rows):
            console.print(printable(line), highlight=False, soft_wrap=True, markup=False)


def told(found: Sequence[Speed]) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    return [asdict(one) for one in found]


def _cells(one: Speed) -> list[str]:
    def milliseconds(value: float | None) -> str:
        return "–" if value is None else f"{1000 * value:.3g}"

    return [
        "–" if one.score is None else f"{one.score:.3f}",
        *([milliseconds(one.latency_p50), milliseconds(one.latency_p95), f"{one.throughput:.3g}", str(one.batch)]
          if not one.doubts else ["?"] * 4),
        milliseconds(one.network_p50), milliseconds(one.whole_p50), f"{one.parameters:,}",
        "–" if one.flops is None else f"{one.flops / 1e9:.3g}", f"{one.peak_memory / 2**20:.0f}",
        "–" if one.share_of_peak is None else f"{100 * one.share_of_peak:.0f}",
    ]  # fmt: skip


def _notes(rows: Sequence[Speed]) -> list[str]:
    lines = [
        "ms: median of fresh samples at batch 1, decoded sample in memory to prediction; net: inside the networks;",
        "file: from the file; /s: at the best batch; % peak: of the device's measured product of matrices",
    ]
    if any(one.front for one in rows):
        lines.append("◆ none scores higher and is as fast, or is faster and scores as high")
    if any(one.tied for one in rows):
        lines.append("≈ its processes' medians meet those of the fastest")
    ways = dict.fromkeys(f"{one.path or 'not told'} on {one.threads or '?'} threads" for one in rows)
    lines.append(f"computed by {'; '.join(ways)}")
    short = [one.model for one in rows if not one.protocol.startswith("full")]
    if short:
        lines.append(f"a short look only ('bench --only efficiency' measures in full): {', '.join(short)}")
    lines += [f"{one.model} has no place: {line}" for one in rows for line in one.doubts]
    return lines

"""`vidsuite report` and `vidsuite verify`: from run folders to tables, and the check behind them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidsuite_core.cli.output import answer, stream
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.suite import Suite, load
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.results.summary import Row

_RUNS = click.argument("runs", nargs=-1, type=click.Path(path_type=Path))


@click.command()
@_RUNS
@click.option(
    "--format", "form", default="table", show_default=True,
    type=click.Choice(("table", "markdown", "csv", "latex", "json", "parquet")),
)  # fmt: skip
@click.option("--only", type=click.Choice(("efficiency",)), help="Speed and size in place of scores, by device.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to a file.")
def report(runs: tuple[Path, ...], form: str, only: str | None, out: Path | None) -> int:
    """Show the tables of run folders (by default 'runs'), computed from stored predictions.

    Exit code 1 says that a row is incomplete or that something in a folder could not be read.
    """
    from vidsuite_core.results.store import Attempt, Store
    from vidsuite_core.results.summary import measured_rows, reported_rows

    suite = load()
    known, bad = [], []
    for entry in (entry for run in runs or (Path("runs"),) for entry in Store(run).everything()):
        if not isinstance(entry, Attempt):
            bad.append(f"{entry.path}: {entry.reason}")
        elif entry.record.cell.task not in suite.tasks:
            bad.append(f"{entry.path}: its task {entry.record.cell.task!r} is not installed")
        else:
            known.append(entry)
    rows = measured_rows(suite, known, lambda one: bad.append(f"{one.attempt.path}: {one.faults[0]}"))
    installed = [b for b in dict.fromkeys(row.benchmark for row in rows) if b in set(suite.benchmarks)]
    if only is not None:
        _write_speeds(suite, known, rows, form, out)
    else:
        rows += [row for benchmark in installed for row in reported_rows(suite, benchmark)]
    if rows and only is None:
        _write(suite, rows, form, out)
    for line in bad:
        click.echo(printable(f"left out: {line}"), err=True)
    if not rows:
        raise VidsuiteError("there is no result to show; 'vidsuite bench' makes some")
    incomplete = only is None and any(row.done < row.expected for row in rows if row.status == "measured")
    return 1 if bad or incomplete else 0


def _write_speeds(suite: Suite, known: Sequence[Attempt], rows: Sequence[Row], form: str, out: Path | None) -> None:
    from rich.console import Console

    from vidsuite_core.results import efficiency

    if form not in ("table", "json"):
        raise UsageError(f"--only efficiency is shown as table or json, not as {form}")
    found = efficiency.speeds(suite, known, rows)
    with click.open_file(str(out), "w", encoding="utf-8") if out else nullcontext(stream()) as file:
        if form == "json":
            file.write(json.dumps(efficiency.told(found), indent=1) + "\n")
        else:
            efficiency.show(Console(file=file), found)


def _write(suite: Suite, rows: Sequence[Row], form: str, out: Path | None) -> None:
    from vidsuite_core.results.tables import export, show
    from vidsuite_core.tasks.base import headings, titles

    if form == "parquet":
        stream().write(f"{export(rows, form, out)}\n")
        return
    with click.open_file(str(out), "w", encoding="utf-8") if out else nullcontext(stream()) as file:
        if form == "table":
            from rich.console import Console

            console = Console(file=file)
            for task in dict.fromkeys(row.task for row in rows):
                show(console, [row for row in rows if row.task == task], titles(suite, task))
        else:
            text = export(rows, form, None, {task: headings(suite, task) for task in {row.task for row in rows}})
            file.write(text if text.endswith("\n") else f"{text}\n")


@click.command()
@_RUNS
@click.option("--labels", type=click.Path(path_type=Path), help="Folder of a dataset with labels that were kept back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(runs: tuple[Path, ...], labels: Path | None, as_json: bool) -> int:
    """Recompute every score from stored predictions, compare, and check all hashes.

    Where test labels are kept back, scores can be recomputed only by whoever has them; elsewhere it is said of how many
    attempts they were not. Exit code 1 says that something does not agree.
    """
    from vidsuite_core.results.store import Attempt, Store
    from vidsuite_core.results.verification import verified

    suite = load()
    checked, faults, kept_back = 0, [], []
    for run in runs or (Path("runs"),):
        for entry in Store(run).everything():
            if not isinstance(entry, Attempt):
                faults.append({"path": str(entry.path), "fault": entry.reason})
                continue
            checked += 1
            one = verified(suite, entry, labels)
            faults += [{"path": str(entry.path), "fault": fault} for fault in one.faults]
            if one.kept_back and one.holds:
                kept_back.append({"path": str(entry.path), "told": one.kept_back})
    if as_json:
        answer({"checked": checked, "faults": faults, "kept_back": kept_back})
    else:
        for fault in faults:
            click.echo(printable(f"{fault['path']}: {fault['fault']}"))
        for told, count in Counter(one["told"] for one in kept_back).items():
            click.echo(printable(f"{count} attempts not recomputed: {told}"))
        click.echo(f"{checked} attempts checked, {len(faults)} faults")
    return 1 if faults else 0

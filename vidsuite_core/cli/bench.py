"""`vidsuite bench`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from vidsuite_core.cli.clusters import with_address
from vidsuite_core.cli.detach import detached
from vidsuite_core.cli.numbers import Duration, Finite
from vidsuite_core.cli.output import answer, stream
from vidsuite_core.cli.signals import ended_by_signals
from vidsuite_core.inference import PRECISIONS
from vidsuite_core.results.store import KEPT
from vidsuite_core.runner.stop import GRACE
from vidsuite_core.suite import load
from vidsuite_core.support.text import command, printable


@click.command()
@click.option("--plugin", metavar="NAME", help="Run this plugin's benchmarks.")
@click.option("--benchmark", metavar="NAME", help="Run this benchmark.")
@click.option("--dataset", metavar="NAME", help="Dataset to use; by default the benchmark's own.")
@click.option("--model", metavar="GLOB", help="Models to run, as 'i3d*'; by default the preset's.")
@click.option("--preset", default="quick", show_default=True, metavar="NAME", help="How much of the protocol to run.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Number of seeds: 0, 1, ...")
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or GPUs: cuda:0,cuda:1 or UUIDs.")
@click.option(
    "--workers-per-device", default=1, show_default=True, type=click.IntRange(1), help="Cells that share a device."
)
@click.option(
    "--gpus-per-cell", default=1, show_default=True, type=click.IntRange(1, 64),
    help="Processes that train a cell together, each with a GPU of its own.",
)  # fmt: skip
@click.option("--python", multiple=True, metavar="PLUGIN=PATH", help="Run a plugin's models by a Python of its own.")
@click.option("--executor", default="local", show_default=True, metavar="NAME", help="Where: local, ray, slurm.")
@click.option("--ray-address", metavar="ADDRESS", help="A Ray cluster: auto, HOST:PORT, or local to start one here.")
@click.option("--executor-options", multiple=True, metavar="K=V", help="Options of the executor, as partition=gpu.")
@click.option("--executor-profile", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file with them.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), help="Run folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset; by default below the cache.")
@click.option("--weights", multiple=True, metavar="[NAME=]FILE", help="Initial weights from a file of yours.")
@click.option(
    "--keep", multiple=True, type=click.Choice(tuple(KEPT)), help="Keep more: outputs in full, trained weights."
)
@click.option(
    "--backend", metavar="NAME", help="Run networks by this back end; by default the fastest that equals eager."
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Of predictions; by default scores are by fp32, and speed is by bf16 where the device multiplies in it.",
)
@click.option("--timeout", type=Finite(1), metavar="SECONDS", help="Longest time a cell may take.")
@click.option("--budget", type=Duration(), metavar="TIME", help="Time for the whole run, as 2h or 90m.")
@click.option(
    "--grace", type=Finite(0), default=GRACE, show_default=True, metavar="SECONDS",
    help="Time that cells have to save their state when the run is told to end.",
)  # fmt: skip
@click.option("--only", default="", metavar="efficiency", help="One cell a model, its speed measured in full.")
@click.option("--fresh", is_flag=True, help="Run cells even where finished ones could be reused.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, reused, generated and fetched; do nothing.")
@click.option("--detach", is_flag=True, help="Run in the background; 'vidsuite runs' looks at it and steers it.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--cfg-options", "cfg_options", multiple=True, metavar="K=V", help="Override config fields.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def bench(plugin: str | None, offline: bool, as_json: bool, dry_run: bool, detach: bool, **options: Any) -> int:
    """Run a benchmark's cells and show the table.

    Finished cells are reused, so the same command goes on where it was stopped. Exit code 1 says that a cell failed,
    or was left out when the budget was spent, which its row says. Ctrl-C or SIGTERM have cells under way save their
    state and end; once more, and they end at once.
    """
    if detach and not dry_run:
        return detached(options["out"])
    if offline:
        os.environ["VIDSUITE_OFFLINE"] = "1"
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.results.withheld import is_withheld
    from vidsuite_core.runner.bench import BenchOptions
    from vidsuite_core.runner.bench import bench as run

    options = with_address(options)
    start = time.monotonic()
    suite = load()
    console = Console(stderr=as_json)
    known = list(suite.faults)
    for fault in known:
        click.echo(f"plugin {fault.plugin} is left out: {fault.reason}", err=True)
    with watcher_for(console) as watcher, ended_by_signals():
        results = run(suite, BenchOptions(plugin=plugin, dry_run=dry_run, **options), watcher)
    for fault in suite.faults[len(known) :]:
        click.echo(f"plugin {fault.plugin}: {fault.reason}", err=True)
    if results.foreseen is not None:
        lines = [printable(line) for line in results.foreseen.lines()]
        if as_json:
            answer(lines)
        for line in lines if not as_json else ():
            click.echo(line)
        return 0
    _show(console, suite, results, as_json, options["only"])
    failed = [outcome for outcome in results.outcomes.values() if not outcome.ok]
    withheld = any(is_withheld(one.attempt.record) for one in results.outcomes.values() if one.attempt and one.ok)
    what = "scores, or predictions where labels are kept back" if withheld else "scores"
    console.print(f"\n{len(results.outcomes) - len(failed)} of {len(results.cells)} cells have {what} "
                  f"({sum(o.reused for o in results.outcomes.values())} reused), {time.monotonic() - start:.0f} s; "
                  f"results in {options['out']}/", highlight=False, soft_wrap=True)  # fmt: skip
    for line in _further(results.ok, options["out"], options["only"]):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0 if results.ok else 1


def _further(whole: bool, out: Path, only: str) -> list[str]:
    """The commands that go on from here."""
    place = shlex.quote(str(out))
    again = [] if whole else [("try again", command(sys.argv))]
    commands = [
        *again,
        ("verify", f"vidsuite verify {place}"),
        ("show", f"vidsuite report {place}{only and f' --only {only}'}"),
    ]
    return [f"{what + ':':<11}{line}" for what, line in commands]


def _show(console: Any, suite: Any, results: Any, as_json: bool, only: str) -> None:
    from vidsuite_core.results.summary import measured_rows, reported_rows
    from vidsuite_core.results.tables import export, show
    from vidsuite_core.tasks.base import titles

    attempts = [outcome.attempt for outcome in results.outcomes.values() if outcome.attempt is not None]
    rows = measured_rows(suite, attempts)
    if only:
        from vidsuite_core.results import efficiency

        found = efficiency.speeds(suite, attempts, rows)
        if as_json:
            answer(efficiency.told(found))
        else:
            efficiency.show(console, found)
        return
    benchmarks = list(dict.fromkeys(cell.benchmark for cell in results.cells))
    for benchmark in benchmarks:
        own = [row for row in rows if row.benchmark == benchmark] + reported_rows(suite, benchmark)
        if not as_json:
            show(console, own, titles(suite, suite.benchmarks[benchmark].spec.task))
    if as_json:
        everything = rows + [row for benchmark in benchmarks for row in reported_rows(suite, benchmark)]
        stream().write(export(everything, "json", None) + "\n")

"""`vidsuite reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.clusters import with_address
from vidsuite_core.cli.numbers import Finite
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.suite import load
from vidsuite_core.support.text import printable, shown_name

if TYPE_CHECKING:
    from vidsuite_core.runner.reproduce import Verdict

_PATH = click.Path(path_type=Path)
_SHOWN = 5
"""Differences in software that are shown."""


@click.command()
@click.argument("key")
@click.option("--from", "runs", multiple=True, type=_PATH, help="Run folder with the record; by default 'runs'.")
@click.option("--out", default="reproductions", show_default=True, type=_PATH, help="Run folder for the new attempt.")
@click.option("--by", default="", metavar="NAME", help="Your name, to be shown; writes a file that can be submitted.")
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or GPUs: cuda:0,cuda:1 or UUIDs.")
@click.option(
    "--executor", default="local", show_default=True, metavar="NAME", help="Where the cell runs: local, ray, slurm."
)
@click.option("--ray-address", metavar="ADDRESS", help="A Ray cluster: auto, HOST:PORT, or local to start one here.")
@click.option("--executor-options", multiple=True, metavar="K=V", help="Options of the executor, as partition=gpu.")
@click.option("--executor-profile", type=_PATH, metavar="FILE", help="A TOML file with them.")
@click.option("--data", type=_PATH, help="Folder of the dataset; by default below the cache.")
@click.option("--weights", multiple=True, metavar="[NAME=]FILE", help="Initial weights from a file of yours.")
@click.option("--timeout", type=Finite(1), metavar="SECONDS", help="Longest time the cell may take.")
@click.option("--cfg-options", "cfg_options", multiple=True, metavar="K=V", help="Override config fields.")
def reproduce(key: str, runs: tuple[Path, ...], by: str, **options: Any) -> int:
    """Run a recorded cell again, and say whether its score is found again.

    KEY is a cell, score or attempt id, or the beginning of one (8 characters or more).

    The score must lie within the spread of the recorded seeds of its fold, of which there must be three or more (where
    one more seed would lie, 95 %). With fewer no spread is known, and only the same score counts.

    What is run is the cell as this installation plans it, never what a record asks for: where the two differ, it says
    in what, and runs nothing (exit code 2). Exit code 1 says that the score lies outside. 'vidsuite submit pack' makes
    a file of a reproduction for others' leaderboards.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.results.verification import verified
    from vidsuite_core.results.withheld import is_withheld
    from vidsuite_core.runner.bench import BenchOptions
    from vidsuite_core.runner.reproduce import fellows_of, file_name, find
    from vidsuite_core.runner.reproduce import reproduce as run
    from vidsuite_core.support.paths import atomic_write

    _check(by)
    options = with_address(options)
    suite = load()
    folders = runs or (Path("runs"),)
    recorded = verified(suite, find(folders, key))
    if recorded.faults:
        raise VidsuiteError(f"{recorded.attempt.path} cannot be trusted: {recorded.faults[0]}")
    if is_withheld(recorded.attempt.record):
        raise VidsuiteError(
            f"{recorded.attempt.record.cell_id}: test labels are kept back, so that a repetition has no score here; "
            "run it with 'vidsuite bench', and let whoever has the labels score it"
        )
    fellows = fellows_of(suite, folders, recorded.attempt)
    with watcher_for(Console(stderr=True)) as watcher:
        verdict = run(suite, recorded, fellows, BenchOptions(**options), watcher)
    for line in _lines(verdict):
        click.echo(printable(line))
    if by:
        told = verdict.told(by)
        path = options["out"] / file_name(told.attempt)
        atomic_write(path, (told.model_dump_json(indent=1) + "\n").encode())
        click.echo(f"written: {path}")
    return 0 if verdict.within else 1


def _check(by: str) -> None:
    """Refuse a name before hours are spent."""
    try:
        shown_name(by)
    except ValueError as error:
        raise UsageError(f"--by: {error}") from error
    if len(by) > 80:
        raise UsageError("--by: a name has at most 80 characters")


def _lines(verdict: Verdict) -> list[str]:
    from vidsuite_core.results.summary import device_of
    from vidsuite_core.runner.reproduce import environment_changes, pixels

    old, new = (one.attempt.record for one in (verdict.recorded, verdict.found))
    (before, after), name, criterion = verdict.scores, verdict.found.task.first_score, verdict.criterion
    changes = environment_changes(old, new)
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return [
        f"{old.cell.model} on {old.cell.dataset}, preset {old.cell.preset}, fold {old.cell.fold}, seed {old.cell.seed}",
        f"recorded    {name} {before:.6f}  ({old.attempt}, {device_of(old)})",
        f"found       {name} {after:.6f}  ({new.attempt}, {device_of(new)})",
        f"difference  {after - before:+.6f}",
        f"criterion   {criterion.low:.6f} to {criterion.high:.6f}: {criterion}",
        *([f"changed     {'; '.join(changes[:_SHOWN])}{more}"] if changes else []),
        *([f"pixels      {found}"] if (found := pixels(old, new)) else []),
        _verdict(verdict),
    ]


def _verdict(verdict: Verdict) -> str:
    if verdict.criterion.kind == "seeds":
        return f"{'reproduced' if verdict.within else 'NOT reproduced'}: {_side(verdict)} the spread of seeds"
    if verdict.within:
        return "reproduced: the same score"
    return "NOT reproduced: another score, and too few seeds are recorded to say whether it is within their spread"


def _side(verdict: Verdict) -> str:
    return "within" if verdict.within else "outside"

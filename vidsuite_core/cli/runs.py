"""`vidsuite runs`: runs that are under way, or were, looked at and steered from any terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from vidsuite_core.runner.control import State

_OUT = click.option(
    "--out", default="runs", show_default=True, type=click.Path(path_type=Path), help="Run folder of the run."
)
_RUN = click.argument("run", required=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def runs() -> None:
    """Look at runs and steer them, also those that 'bench --detach' left in the background.

    RUN is a run's id or its beginning; by default the only run that goes on.
    """


@runs.command("list")
@_OUT
@_JSON
def list_(out: Path, as_json: bool) -> int:
    """List the runs of a run folder."""
    from vidsuite_core.runner.control import states

    known = [state for _, state in states(out)]
    if as_json:
        answer([state.model_dump() for state in known])
        return 0
    for state in known:
        click.echo(printable(f"{state.id}  {state.state:<8} {_count(state)}  {state.command}"))
    if not known:
        click.echo(f"no run in {out}")
    return 0


@runs.command()
@_RUN
@_OUT
@_JSON
def show(run: str | None, out: Path, as_json: bool) -> int:
    """Show how far a run is, what each device does, and what failed; exit code 1 says that something did."""
    from vidsuite_core.runner.control import find

    _, state = find(out, run)
    if as_json:
        answer(state.model_dump())
    for line in _lines(state) if not as_json else ():
        click.echo(printable(line))
    return 1 if state.failed or state.state == "failed" else 0


def _count(state: State) -> str:
    return f"{state.done} of {state.cells} cells done, {state.failed} failed, {state.waiting} waiting"


def _lines(state: State) -> Iterator[str]:
    yield f"{state.id}: {state.state}, since {state.began}"
    yield f"  {state.command}"
    yield f"  {_count(state)} ({state.reused} reused)"
    if state.left and state.waiting:
        yield f"  {state.left}"
    for one in state.running:
        share = f" {one.done} of {one.total}" if one.total else ""
        yield f"  {one.slot or 'starting'}: {one.title}: {one.what}{share}, for {one.seconds:.0f} s  [{one.cell}]"
    for bad in state.bad:
        yield f"  {bad.title}: {bad.reason}  [{bad.cell}]"


def _steer(out: Path, run: str | None, do: Any, cell: str = "") -> int:
    from vidsuite_core.runner.control import Request, ask, find

    folder, state = find(out, run)
    if state.ended or state.state == "failed":
        raise VidsuiteError(f"run {state.id} has ended; this runs what is left of it: {state.command}")
    if cell and do == "stop" and not any(one.cell.startswith(cell) for one in state.running) and not state.waiting:
        raise UsageError(f"run {state.id} has no cell {cell!r} under way or waiting")
    if not ask(folder, Request(do=do, cell=cell)):
        raise VidsuiteError(f"run {state.id} has not answered yet; 'vidsuite runs show' tells whether it still lives")
    click.echo(f"{state.id}: {do} {cell}".rstrip())
    return 0


@runs.command()
@_RUN
@_OUT
def pause(run: str | None, out: Path) -> int:
    """Begin no further cell until 'resume'; those under way go on."""
    return _steer(out, run, "pause")


@runs.command()
@_RUN
@_OUT
def resume(run: str | None, out: Path) -> int:
    """Begin cells again."""
    return _steer(out, run, "resume")


@runs.command()
@_RUN
@_OUT
@click.option("--cell", default="", metavar="ID", help="Stop this cell alone; 'show' tells the ids.")
def stop(run: str | None, out: Path, cell: str) -> int:
    """Have a run, or one cell of it, save its state and end; the same 'bench' command goes on."""
    return _steer(out, run, "stop", cell)


@runs.command()
@_RUN
@_OUT
@click.option("--cell", default="", metavar="ID", help="Try this cell alone.")
def retry(run: str | None, out: Path, cell: str) -> int:
    """Try again what has failed so far in a run that still goes on."""
    return _steer(out, run, "retry", cell)

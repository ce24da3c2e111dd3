"""`vidsuite merge`."""

from __future__ import annotations

from pathlib import Path

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.suite import load
from vidsuite_core.support.text import printable

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=_PATH)
@click.option("--out", required=True, type=_PATH, help="Run folder to merge into; made where it is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def merge(runs: tuple[Path, ...], out: Path, as_json: bool) -> int:
    """Copy the attempts of run folders into one, each checked as 'verify' does.

    Nothing that is there is changed. Two different contents under one id are refused, and so is what does not hold;
    exit code 1 says that something was. What cells under way have made is not taken.
    """
    from vidsuite_core.results.merging import merge as run

    results = run(load(), runs, out)
    if as_json:
        answer([
            {
                "source": str(one.source),
                "taken": [str(path) for path in one.taken],
                "present": len(one.present),
                "refused": [{"path": str(path), "reason": reason} for path, reason in one.refused],
                "under_way": one.under_way,
            }
            for one in results
        ])  # fmt: skip
    for one in results if not as_json else ():
        cells = len({path.parent for path in one.taken})
        parts = [f"{len(one.taken)} attempts at {cells} cells taken", f"{len(one.present)} were there"]
        parts += [f"{len(one.refused)} refused"] if one.refused else []
        parts += [f"{one.under_way} under way or left unfinished, not taken"] if one.under_way else []
        click.echo(printable(f"{one.source}: {', '.join(parts)}"))
    for path, reason in (refused for one in results for refused in one.refused):
        click.echo(printable(f"refused: {path}: {reason}"), err=True)
    return 1 if any(one.refused for one in results) else 0

"""`vidsuite export`: stored predictions and true targets in the forms that others' tools read."""

from __future__ import annotations

from pathlib import Path

import click

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.suite import load
from vidsuite_core.support.text import printable


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--form", required=True, metavar="FORM", help="A form of the task's, as coco, ava or tubes.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the files, one of each cell.")
def export(runs: tuple[Path, ...], form: str, out: Path) -> int:
    """Write the predictions of run folders (by default 'runs'), and what was to be predicted, for others' tools.

    Boxes of actions go out as COCO's JSON (--form coco), AVA's CSV (ava), or linked to tubes (tubes). Of each cell the
    newest attempt that holds is written, to OUT/<cell id>/. Exit code 1 says that one does not hold, or lacks what the
    form needs.
    """
    from vidsuite_core.results.counting import holding
    from vidsuite_core.results.store import Attempt, Store
    from vidsuite_core.specs import resolve
    from vidsuite_core.support.paths import atomic_write

    suite = load()
    folders = runs or (Path("runs"),)
    every = [one for run in folders for one in Store(run).everything() if isinstance(one, Attempt)]
    tasks = {attempt.record.cell.task for attempt in every}
    forms = {name: resolve(suite.tasks[name].spec.builder).forms for name in tasks if name in suite.tasks}
    attempts = [attempt for attempt in every if form in forms.get(attempt.record.cell.task, ())]
    if not attempts:
        there = ", ".join(sorted({name for known in forms.values() for name in known})) or "none"
        raise UsageError(f"no result here can be written as {form!r}; forms of the tasks in these folders: {there}")
    faults = []
    for one in holding(suite, attempts):
        name = one.attempt.path.parent.name
        if not one.scored:
            faults.append(f"{name}: {one.faults[0] if one.faults else one.kept_back or one.attempt.record.reason}")
            continue
        try:
            files = one.task.export(one.predictions()[""], form)
        except VidsuiteError as error:
            faults.append(f"{name}: {error}")
            continue
        for file, text in files.items():
            atomic_write(out / name / file, text.encode())
        click.echo(printable(f"written: {out / name}/ ({', '.join(files)})"))
    for fault in faults:
        click.echo(printable(f"left out: {fault}"), err=True)
    return 1 if faults else 0

"""`vidsuite weights`: named initial weights."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.suite import load


@click.group()
def weights() -> None:
    """List, get and verify initial weights."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> int:
    """List named weights: what they are, their licence, and whether they are here."""
    from vidsuite_core.weights import locate

    rows = []
    for row in load().weights.values():
        spec, path = row.spec, locate(row.spec)
        rows.append(
            {"name": row.key, "summary": spec.summary, "trained_on": spec.trained_on, "licence": spec.licence,
             "source": spec.url or spec.package, "size": spec.size, "sha256": spec.sha256, "path": str(path or "")}
        )  # fmt: skip
    if as_json:
        answer(rows)
        return 0
    for entry in rows:
        click.echo(f"{entry['name']}\n  {entry['summary']}; trained on {entry['trained_on']}; {entry['licence']}")
        click.echo(f"  {entry['path'] or 'not here: vidsuite weights get ' + str(entry['name'])}")
    return 0


@weights.command()
@click.argument("name")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path, exists=True),
    help="Take a file of yours: the original download, safetensors, or torch.save.",
)
@click.option("--offline", is_flag=True, help="Never touch the network.")
def get(name: str, file: Path | None, offline: bool) -> int:
    """Fetch named weights, check their hash and keep them; or take a file with --from."""
    if offline:
        os.environ["VIDSUITE_OFFLINE"] = "1"
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from vidsuite_core.weights import fetch, genuine, install

    spec = load().weights[name].spec
    if file is not None:
        click.echo(f"{spec.name} is kept at {install(spec, file)}")
        return 0
    path = genuine(spec)
    if path is None:
        with Progress(TextColumn(spec.name), BarColumn(), DownloadColumn(), transient=True) as progress:
            task = progress.add_task(spec.name, total=spec.size)
            path = fetch(spec, lambda done, total: progress.update(task, completed=done, total=total))
    click.echo(f"{spec.name} is kept at {path}")
    return 0


@weights.command()
@click.argument("name", required=False)
def verify(name: str | None) -> int:
    """Check the hashes of kept weights (all, or those named)."""
    from vidsuite_core.weights import locate
    from vidsuite_core.weights import verify as check

    suite = load()
    faults = 0
    for row in [suite.weights[name]] if name else list(suite.weights.values()):
        if name is None and locate(row.spec) is None:
            continue
        found = check(row.spec)
        faults += len(found)
        for line in found or ["well"]:
            click.echo(f"{row.key}: {line}")
    return 1 if faults else 0

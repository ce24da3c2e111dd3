"""`vidsuite data`: datasets, their preparation and the caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.suite import DatasetHandle, Suite, load

SHOWN = 20
"""Faults that `verify` names one by one."""

ROOT = click.option("--root", type=click.Path(path_type=Path), help="Folder of the data; by default below the cache.")
PRESET = click.option("--preset", default="quick", show_default=True, help="Whose size of the dataset is meant.")


@click.group()
def data() -> None:
    """List, prepare, import and verify datasets; see and clear the caches."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> int:
    """List datasets: what they are, their licence, and whether they are ready."""
    suite = load()
    rows = []
    for handle in suite.datasets.values():
        opened = open_dataset(suite, handle, None, "quick")
        rows.append(
            {"name": handle.key, "summary": handle.spec.summary, "licence": handle.spec.licence,
             "synthetic": handle.spec.synthetic, "root": str(opened.root), "ready": opened.is_ready()}
        )  # fmt: skip
    if as_json:
        answer(rows)
        return 0
    for row in rows:
        kind = "synthetic" if row["synthetic"] else row["licence"]
        click.echo(f"{row['name']}  ({kind}; {'ready' if row['ready'] else 'not here yet'})\n  {row['summary']}")
    return 0


@data.command()
@click.argument("name")
@ROOT
@PRESET
def prepare(name: str, root: Path | None, preset: str) -> int:
    """Generate or download a dataset; does nothing where all is there."""
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for

    suite = load()
    dataset = open_dataset(suite, suite.datasets[name], root, preset)
    with watcher_for(Console()) as watcher:
        dataset.prepare(watcher.preparing)
    click.echo(f"{name}: {len(dataset.samples())} samples in {dataset.root}")
    return 0


@data.command("import")
@click.argument("name")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@ROOT
@PRESET
def import_(name: str, source: Path, root: Path | None, preset: str) -> int:
    """Take your copy of a dataset; with a plugin's NAME, your own recordings for it, from a manifest.

    Everything is checked first, and every fault is reported at once. The plugin's README describes the source.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for

    suite = load()
    own = [handle for handle in suite.datasets.of_plugin(name) if handle.spec.users_own]
    handle = own[0] if own else suite.datasets[name]
    dataset = open_dataset(suite, handle, root, preset)
    with watcher_for(Console()) as watcher:
        line = dataset.import_from(source, watcher.preparing)
    click.echo(f"{handle.key}: {line}")
    return 0


@data.command()
@click.argument("name")
@ROOT
@PRESET
def verify(name: str, root: Path | None, preset: str) -> int:
    """Check a dataset's files against what was recorded when it was prepared."""
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for

    suite = load()
    with watcher_for(Console(stderr=True)) as watcher:
        faults = open_dataset(suite, suite.datasets[name], root, preset).verify(watcher.preparing)
    for line in faults[:SHOWN] or ["well"]:
        click.echo(f"{name}: {line}")
    if len(faults) > SHOWN:
        click.echo(f"{name}: and {len(faults) - SHOWN} more")
    return 1 if faults else 0


@data.command()
@click.option("--clear", is_flag=True, help="Remove all cached frames, features and networks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cache(clear: bool, as_json: bool) -> int:
    """Show the size of the caches of frames, features and converted networks, or clear them."""
    from vidsuite_core.support.cache import feature_cache, frame_cache, network_cache

    rows = {}
    for name, one in (("frames", frame_cache()), ("features", feature_cache()), ("networks", network_cache())):
        entries, size = one.clear() if clear else one.size()
        rows[name] = {"entries": entries, "bytes": size}
    if as_json:
        answer({"cleared": clear, **rows})
        return 0
    for name, row in rows.items():
        click.echo(f"{name}: {row['entries']} entries, {row['bytes'] / 2**20:.1f} MiB{' removed' if clear else ''}")
    return 0


def open_dataset(suite: Suite, handle: DatasetHandle, root: Path | None, preset: str) -> Any:
    """The dataset as its plugin's benchmarks open it under a preset."""
    for benchmark in suite.benchmarks.of_plugin(handle.plugin):
        options = benchmark.definition().options(handle.key, preset)
        if options:
            return handle.open(root, **options)
    return handle.open(root)

"""Start-up with a hundred plugins, and a plan of 100,000 cells."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidsuite_benchmarks.overhead.common import (
    Figure,
    called,
    environment,
    in_turn,
    plugins,
    processor_seconds,
    ratio,
    twice,
)


def startup(scratch: Path, options: Any) -> Iterator[Figure]:
    """`--help` and `list` with 100 plugins, beside a Python that imports click, pluggy and YAML and does nothing."""
    site = plugins(scratch / "hundred", 100)
    env, cli = environment(site, VIDSUITE_CACHE=str(scratch / "cache")), ["-m", "vidsuite_core.cli"]
    found = in_turn(
        {
            "reference": lambda: called(["-c", "import click, pluggy, yaml"], env),
            "--help": lambda: called([*cli, "--help"], env),
            "bench --help": lambda: called([*cli, "bench", "--help"], env),
            "list models": lambda: called([*cli, "list", "models"], env),
        },
        options.rounds,
    )
    bare = found.pop("reference")
    for name, taken in found.items():
        yield Figure(
            f"vidsuite {name}, 100 plugins", statistics.median(taken), "s", 1.0, reference=statistics.median(bare),
            of=f"python -c 'import click, pluggy, yaml'; {ratio(taken, bare):.1f} times", samples=tuple(taken),
        )  # fmt: skip


def plan(scratch: Path, options: Any) -> Iterator[Figure]:
    """A plan of `--cells` cells with their ids: two models, five folds, the rest seeds."""
    planned, taken = planned_cells(scratch, options.cells)
    yield from twice(f"plan of {len(planned):,} cells", taken, 5.0 * len(planned) / 100_000, of="with their ids")


def planned_cells(scratch: Path, count: int) -> tuple[list[Any], tuple[float, float]]:
    """Planned cells of an idle plugin, and the seconds that it took by the clock and of processor time."""
    site = scratch / "one"
    if not site.exists():
        plugins(site, 1)
    if str(site) not in sys.path:
        sys.path.insert(0, str(site))
    from vidsuite_core.runner.bench import BenchOptions, Session, Silent
    from vidsuite_core.suite import load

    suite = load()
    session = Session(suite, BenchOptions(plugin="idle0", devices="cpu", out=scratch / "runs"), Silent())
    session.plan([0])  # imports, and what is read once
    found: list[Any] = []

    def go() -> None:
        found.extend(session.plan(range(count // 10)))
        for entry in found:
            _ = entry.cell.cell_id

    return found, processor_seconds(go)

"""What it costs that each cell runs in a process of its own.

    python benchmarks/speed/worker.py [--rounds 10] [--cells 5] [--json FILE]

The same small cell (the floor of clip classification, which computes next to nothing) is run in three ways in turn:
in one process, cell after cell, as a worker that shares its memory among cells would; in processes forked from a
worker, as vidsuite does; and in processes that start from nothing. Each round takes some cells of each way, in turn, so
that a busy machine slows all of them; told are the medians over the rounds of the seconds a cell, with their quartiles,
by the clock and of processor time, which other programs hardly change; the difference of the first two within a round;
and what a worker takes to start.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from vidsuite_core import engine
from vidsuite_core.datasets import Dataset
from vidsuite_core.engine.config import cell_config
from vidsuite_core.engine.order import Order
from vidsuite_core.results.cell import score_key
from vidsuite_core.runner.devices import cpu_slot
from vidsuite_core.runner.place import Place
from vidsuite_core.samples import ClipSample, Recording
from vidsuite_core.support.ids import digest

HERE = Path(__file__).resolve()


class Few(Dataset):
    """Twenty clips of ten subjects, of which only the labels are asked for."""

    classes = ("a", "b")

    def is_ready(self) -> bool:
        """See `Dataset`."""
        return True

    def samples(self) -> list[ClipSample]:
        """See `Dataset`."""
        videos = [
            Recording(
                name=f"r{n}", subject=f"s{n // 2}", planes=(Path("nowhere.mkv"),), frames=8, fps=8.0, content=digest(n)
            )
            for n in range(20)
        ]
        return [
            ClipSample(id=f"c{n}", footage=video, label=n // 2 % 2, start=0, stop=8) for n, video in enumerate(videos)
        ]

    def fingerprint(self) -> str:
        """See `Dataset`."""
        return digest("few")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cells", type=int, default=5, help="cells of each way in a round")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.rounds, options.cells)
    for name in sorted(found):
        print(f"{name:28} {summary(found[name])}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


@dataclass(frozen=True)
class Way:
    """A way to run cells: `run` runs one, and `spent` tells the seconds of processor time that were spent so far."""

    run: Callable[[Order], None]
    spent: Callable[[], float]


def measured(folder: Path, rounds: int, cells: int) -> dict[str, list[float]]:
    """Seconds a cell of each way, a value a round, and under "NAME, CPU" those of processor time."""
    found: dict[str, list[float]] = defaultdict(list)
    with one_process() as together, worker(found, {}) as forked, worker(found, {"VIDSUITE_FORK": "0"}) as anew:
        ways = {"one process": together, "forked": forked, "from nothing": anew}
        for way in ways.values():
            way.run(order(folder))  # what is done once
        for _ in range(rounds):
            for name, way in ways.items():
                count = cells if name != "from nothing" else 1
                start, spent = time.perf_counter(), way.spent()
                for _ in range(count):
                    way.run(order(folder))
                found[name].append((time.perf_counter() - start) / count)
                found[f"{name}, CPU"].append((way.spent() - spent) / count)
    for kind in ("", ", CPU"):
        pairs = zip(found[f"forked{kind}"], found[f"one process{kind}"], strict=True)
        found[f"forked - one process{kind}"] = [forked - together for forked, together in pairs]
    return found


@contextmanager
def one_process() -> Iterator[Way]:
    from vidsuite_core.engine import warm
    from vidsuite_core.engine.cell import run_cell

    warm.libraries()

    def run(order: Order) -> None:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            check(run_cell(order, lambda *_: None))

    yield Way(run, time.process_time)


@contextmanager
def worker(found: dict[str, list[float]], environment: dict[str, str]) -> Iterator[Way]:
    before = dict(os.environ)
    os.environ.update(environment)
    known = {child.pid for child in psutil.Process().children()}
    with Place(cpu_slot()) as place:
        start = time.perf_counter()
        place.ready(order(Path(tempfile.gettempdir())), lambda _: None)
        found["start of a worker"].append(time.perf_counter() - start)
        os.environ.clear()
        os.environ.update(before)
        (process,) = (child for child in psutil.Process().children() if child.pid not in known)
        yield Way(
            lambda one: check(place.run(one, None, lambda _: None, lambda: None)), lambda: sum(process.cpu_times()[:4])
        )


def check(outcome: dict[str, Any]) -> None:
    if outcome["status"] != "ok":
        sys.exit(f"a cell came to nothing: {outcome['reason']}")


def order(root: Path) -> Order:
    config = cell_config(Path(engine.__file__).parent / "configs" / "prior_of_labels.py", "", [], {}, "fp32")
    task = "vidsuite_core.tasks.clip_classification:ClipClassification"
    key = score_key(
        task=("clip_classification", 1),
        protocol={"type": "grouped_kfold", "folds": 2, "seed": 0},
        fold="0",
        fingerprint=Few(root).fingerprint(),
        config=config,
        weights={},
        seed=0,
        preset="quick",
    )
    folder = tempfile.mkdtemp(dir=root)
    return Order(
        score_key=key, task=task, dataset=f"{HERE.stem}:Few", root=str(root), options={}, weights={}, device="cpu",
        folder=folder, cost=False,
    )  # fmt: skip


def summary(values: list[float]) -> str:
    if len(values) < 4:
        return ", ".join(f"{value:.2f} s" for value in values)
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{1000 * middle:8.1f} ms a cell  ({1000 * low:.1f} to {1000 * high:.1f})"


if __name__ == "__main__":
    main()

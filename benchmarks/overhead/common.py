"""What the benchmarks of vidsuite's own cost share: figures, timing in turn, and a plugin that costs nothing itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured value with its goal.

    Attributes:
        goal: at most (or, where `least`, at least) this; None where there is none.
        reference: the same unit, of what it is compared with in the same run.
        samples: every measurement.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    least: bool = False
    reference: float | None = None
    of: str = ""
    samples: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.least else self.value <= self.goal

    def told(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        return {**asdict(self), "met": self.met}


def seconds(call: Callable[[], object]) -> float:
    """What a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor_seconds(call: Callable[[], object]) -> tuple[float, float]:
    """What a call takes by the clock, and of processor time; processes that it starts and waits for count, too."""
    before = os.times()
    taken = seconds(call)
    after = os.times()
    names = ("user", "system", "children_user", "children_system")
    return taken, sum(getattr(after, name) - getattr(before, name) for name in names)


def twice(name: str, taken: tuple[float, float], goal: float, **more: Any) -> list[Figure]:
    """A figure by the clock, and one of processor time, which other programs hardly change."""
    clock, processor = taken
    return [
        Figure(name, clock, "s", goal, **more),
        Figure(f"{name}, processor time", processor, "s", goal, **more),
    ]


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one that is not counted; another order each round."""
    names, found = list(calls), {name: [] for name in calls}  # type: dict[str, list[float]]
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken = seconds(calls[name])
            if number:
                found[name].append(taken)
    return found


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds of ours over theirs in the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


INIT = """
from pathlib import Path
from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl
vidsuite_api = 1
HERE, TASK = Path(__file__).parent, "clip_classification"
@hookimpl
def vidsuite_datasets():
    return [DatasetSpec(name="nothing", summary="no pixels", task=TASK, builder="{module}.data:Nothing",
                        licence="CC0", synthetic=True)]
@hookimpl
def vidsuite_models():
    return [ModelSpec(name=f"model{{n}}", summary="a model", task=TASK, config=HERE / "config.py") for n in range(2)]
@hookimpl
def vidsuite_benchmarks():
    return [BenchmarkSpec(name="bench", summary="a benchmark", task=TASK, definition=HERE / "benchmark.yaml")]
"""
DATA = """
from pathlib import Path
from vidsuite_core.datasets import Dataset, digest
from vidsuite_core.samples import ClipSample, Recording
class Nothing(Dataset):
    classes = ("left", "right")
    def is_ready(self): return True
    def samples(self):
        return [ClipSample(id=f"r{n}", footage=Recording(name=f"r{n}", subject=f"s{n}", planes=(Path("none.mkv"),),
                frames=8, fps=10, content=f"{n:064x}"), label=n % 2, start=0, stop=8) for n in range(40)]
    def fingerprint(self): return digest(["nothing"])
"""
CONFIG = """
data = dict(
    type='vidsuite.ClipDataset', pipeline=[dict(type='vidsuite.ReadClip', size=32), dict(type='vidsuite.PackClip')])
model = dict(type='{module}.model.Tiny', num_classes='dataset')
train_dataloader = dict(batch_size=4, dataset='config://data')
val_dataloader = dict(batch_size=4, dataset='config://data')
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01))
"""
BENCHMARK = """
protocol: {type: grouped_kfold, folds: 5}
datasets: {nothing: {default: true}}
models: [model0, model1]
presets: {quick: {timeout: 300}}
"""


def plugins(site: Path, count: int) -> Path:
    """A folder for PYTHONPATH with so many plugins, as if they were installed: idle0, idle1, ..."""
    for number in range(count):
        module = f"vidsuite_idle{number}"
        package, info = site / module, site / f"{module}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        files = {"__init__.py": INIT, "data.py": DATA, "config.py": CONFIG, "benchmark.yaml": BENCHMARK}
        for name, text in files.items():
            filled = text if name == "benchmark.yaml" else text.replace("{module}", module).replace("{{n}}", "{n}")
            (package / name).write_text(filled)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vidsuite-idle{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vidsuite]\nidle{number} = {module}\n")
    return site


def environment(site: Path, **more: str) -> dict[str, str]:
    """The environment in which the plugins of a site are installed."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "VIDSUITE_OFFLINE": "1", **more}


def called(arguments: list[str], env: Mapping[str, str]) -> None:
    """Run Python with these arguments; its output is thrown away, its failure is ours."""
    done = subprocess.run([sys.executable, "-P", *arguments], env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
        )

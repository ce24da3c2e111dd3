"""What mmengine's Runner, with all that a cell hangs on it, takes beside a bare PyTorch loop of the same steps."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidsuite_benchmarks.overhead.common import Figure

STEPS, FIRST = 200, 20
"""Steps of each, and how many of the first are not counted."""
INIT = """
from pathlib import Path
from vidsuite_core import DatasetSpec, ModelSpec, hookimpl
vidsuite_api = 1
TASK = "clip_classification"
@hookimpl
def vidsuite_datasets():
    return [DatasetSpec(name="noise", summary="noise", task=TASK, builder="vidsuite_loop.parts:Noise", licence="CC0",
                        synthetic=True)]
@hookimpl
def vidsuite_models():
    return [ModelSpec(name="net", summary="a network", task=TASK, config=Path(__file__).parent / "config.py")]
"""
PARTS = """
import time
import numpy as np
import torch
from mmengine.model import BaseModel
from torch import nn
from vidsuite_core.datasets import Dataset, digest
from vidsuite_core.samples import ClipSample, Recording
BEGUN = []
class Noise(Dataset):
    classes = ("left", "right")
    def is_ready(self): return True
    def samples(self):
        rng = np.random.default_rng(0)
        return [ClipSample(id=f"r{n}", footage=Recording(name=f"r{n}", subject=f"s{n}",
                planes=(rng.integers(0, 255, (8, 16, 16, 3), dtype=np.uint8),), frames=8, fps=10,
                content=f"{n:064x}"), label=n % 2, start=0, stop=8) for n in range(16)]
    def fingerprint(self): return digest(["noise"])
class Net(BaseModel):
    def __init__(self, num_classes):
        super().__init__()
        sizes = [3, 16, 32, 32]
        layers = [part for a, b in zip(sizes, sizes[1:]) for part in
                  (nn.Conv3d(a, b, 3, padding=1), nn.BatchNorm3d(b), nn.ReLU())]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, num_classes))
    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            BEGUN.append((time.perf_counter(), time.process_time()))
        logits = self.net(torch.stack(list(inputs)).float() / 255)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, torch.cat([s.gt_label for s in data_samples]))}
        for sample, prob in zip(data_samples, logits.softmax(1)):
            sample.pred_score = prob
        return data_samples
"""
CONFIG = """
custom_imports = dict(imports=['vidsuite_loop.parts'])
data = dict(
    type='vidsuite.ClipDataset', pipeline=[dict(type='vidsuite.ReadClip', size=16), dict(type='vidsuite.PackClip')])
model = dict(type='vidsuite_loop.parts.Net', num_classes='dataset')
train_dataloader = dict(batch_size=4, dataset='config://data')
val_dataloader = dict(batch_size=4, dataset='config://data')
train_cfg = dict(by_epoch=False, max_iters={steps}, val_interval={steps})
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001))
"""


def loop(scratch: Path, options: Any) -> Iterator[Figure]:
    """Seconds from one step to the next, in a cell and in a bare loop, in turn."""
    package = scratch / "site" / "vidsuite_loop"
    package.mkdir(parents=True)
    for name, text in {
        "__init__.py": INIT,
        "parts.py": PARTS,
        "config.py": CONFIG.replace("{steps}", str(STEPS)),
    }.items():
        (package / name).write_text(text)
    sys.path.insert(0, str(package.parent))
    import vidsuite_loop.parts as parts

    shares: dict[str, list[float]] = {"by the clock": [], "of processor time": []}
    steps = []
    with _quiet():
        for number in range(options.rounds):
            taken = {}
            for name, run in (("cell", _cell), ("bare", _bare)):
                parts.BEGUN.clear()
                run(scratch, number)
                taken[name] = _medians(parts.BEGUN[FIRST:])
            for place, values in enumerate(shares.values()):
                values.append(100 * (taken["cell"][place] / taken["bare"][place] - 1))
            steps.append(taken["bare"][0])
    for name, values in shares.items():
        yield Figure(
            f"training loop over a bare loop, {name}", statistics.median(values), "%", 3.0,
            of=f"a bare step of {1000 * statistics.median(steps):.0f} ms on one thread", samples=tuple(values),
        )  # fmt: skip


def _medians(begun: list[tuple[float, float]]) -> tuple[float, float]:
    """Seconds from one step to the next, by the clock and of processor time."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(begun)]
    return statistics.median(step[0] for step in steps), statistics.median(step[1] for step in steps)


@contextmanager
def _quiet() -> Iterator[None]:
    """One thread for torch, and nothing on the terminal of what mmengine says of each cell."""
    import torch

    usual, out, error = torch.get_num_threads(), os.dup(1), os.dup(2)
    torch.set_num_threads(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(out, 1)
            os.dup2(error, 2)
            torch.set_num_threads(usual)


def _config(scratch: Path) -> dict[str, Any]:
    from vidsuite_core.engine.config import cell_config
    from vidsuite_core.engine.recipe import settle_recipe

    config = cell_config(scratch / "site" / "vidsuite_loop" / "config.py", "quick", (), {}, "fp32")
    settle_recipe(config, "loop/net")
    return config


def _cell(scratch: Path, number: int) -> None:
    from vidsuite_loop.parts import Noise

    from vidsuite_core.engine.cell import run_cell
    from vidsuite_core.engine.order import Order

    folder = scratch / f"cell{number}"
    folder.mkdir()
    key = {
        "protocol": {"type": "grouped_kfold", "folds": 2, "version": 1}, "fold": "0",
        "dataset": Noise(scratch).fingerprint(), "config": _config(scratch), "seed": 0, "weights": {},
    }  # fmt: skip
    order = Order(
        score_key=key, task="vidsuite_core.tasks.clip_classification:ClipClassification",
        dataset="vidsuite_loop.parts:Noise", root=str(scratch), options={}, weights={}, device="cpu",
        folder=str(folder), cost=False,
    )  # fmt: skip
    outcome = run_cell(order, lambda what, done, total: None)
    if outcome["status"] != "ok":
        raise RuntimeError(f"the cell failed: {outcome['reason']}")


def _bare(scratch: Path, number: int) -> None:
    """The same network, data and optimiser, by hand."""
    import torch
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS
    from torch.utils.data import DataLoader
    from vidsuite_loop.parts import Net, Noise

    from vidsuite_core import openmmlab

    openmmlab.prepare()
    samples = Noise(scratch).samples()[:8]
    data = DATASETS.build({**_config(scratch)["data"], "samples": samples})
    loader = DataLoader(data, batch_size=4, shuffle=True, collate_fn=pseudo_collate)
    torch.manual_seed(0)
    network = Net(2).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    done = 0
    while done < STEPS:
        for batch in loader:
            batch = network.data_preprocessor(batch, True)
            loss = network(**batch, mode="loss")["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1

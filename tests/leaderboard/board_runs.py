"""Run folders for tests of the site, made without torch: whole attempts whose scores are those of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from helpers import clip_arrays, core_suite, keep, make_cell
from segmentation_frames import random_arrays

from vidsuite_core.results.store import Attempt, Store

BEGINNING = datetime(2026, 9, 1, 12, tzinfo=UTC)
SUITE = core_suite()
SEIZURE = {"benchmark": "seizure_i3d/seizure_i3d", "dataset": "seizure_i3d/synthetic"}
DRIVING = {
    "benchmark": "driving_fanet/driving_fanet",
    "dataset": "driving_fanet/synthetic",
    "task": "video_segmentation",
    "version": 2,
    "folds": 1,
    "fold": "fixed",
}
HARDWARE = {"host": "5f3a", "cpu": "Test CPU", "cores": 2, "memory": 16 << 30, "load": 0.5, "gpus": []}


def efficiency(latency: float, parameters: int = 13_820_000) -> dict[str, Any]:
    """Cost of one sample, as a record holds it."""
    return {
        "parameters": parameters,
        "flops": parameters * 900.0,
        "latency_p50": latency,
        "latency_p95": latency * 1.3,
        "latencies": [latency, latency, latency * 1.3],
        "throughput": 1 / latency,
        "peak_memory": 300 << 20,
        "sample": "1 clip",
        "path": "fp32",
    }


def attempt(
    root: Path,
    model: str,
    *,
    skill: float = 0.8,
    latency: float = 0.02,
    day: int = 0,
    of: dict[str, Any] = SEIZURE,
    **more: Any,
) -> Attempt:
    """One good attempt at a cell; `more` goes to the cell (fold, seed, preset, device, config) or to the record."""
    names = ("fold", "seed", "preset", "device", "config", "folds")
    cell = make_cell(model, **{**of, **{name: more.pop(name) for name in names if name in more}})
    if cell.task == "video_segmentation":
        arrays = random_arrays(cell.seed + int(100 * skill), sequences=4, classes=4)
        classes: Sequence[str] = ("road", "sky", "tree", "pole")
    else:
        arrays = clip_arrays(cell.fold, skill, cell.seed)
        classes = ("temporal", "frontal")
    fields = {
        "created": BEGINNING + timedelta(days=day, minutes=cell.seed),
        "classes": list(classes),
        "efficiency": efficiency(latency),
        "hardware": HARDWARE,
        "command": ["vidsuite", "bench", "--plugin", cell.plugin],
        "phases": {"train": 12.5, "predict": 0.5},
        "weights": [{"name": "resnet18_imagenet", "sha256": "random"}],
        "warnings": [f"{cell.dataset} is a synthetic dataset"],
    }
    return keep(Store(root), cell, arrays, SUITE, **{**fields, **more})


def failed(root: Path, model: str, reason: str, of: dict[str, Any] = SEIZURE, **more: Any) -> Attempt:
    """One attempt that came to nothing."""
    fields = {"status": "failed", "reason": reason, "log_end": ["Traceback", reason], "created": BEGINNING}
    return keep(Store(root), make_cell(model, **{**of, **more}), None, SUITE, **fields)


def small_runs(root: Path) -> Path:
    """Two plugins' results: two devices, two folds, three seeds, two versions of the code, a failure, and a variant."""
    for place, (name, skill) in enumerate({"i3d_lstm_fc": 0.9, "i3d_pool_logreg": 0.8, "single_frame": 0.55}.items()):
        for seed in range(3):
            for fold in "01":
                cell = {"fold": fold, "seed": seed}
                latency = 0.01 * (place + 1)
                if name == "single_frame" and (fold, seed) == ("1", 2):
                    failed(root, f"seizure_i3d/{name}", "ValueError: 'bad' <b>video</b>", **cell)
                else:
                    attempt(root, f"seizure_i3d/{name}", skill=skill, latency=latency, **cell)
                if name == "i3d_lstm_fc":
                    attempt(root, f"seizure_i3d/{name}", skill=skill, latency=latency / 8, device="cuda: H200", **cell)
                    old = {"core": {"version": "0", "sources": "old", "commit": "1234567"}}
                    attempt(root, f"seizure_i3d/{name}", skill=skill, latency=0.03, day=-30, code=old, **cell)
    for depth, name in enumerate(("fanet18", "fanet18_tca2", "fast_scnn")):
        for seed in range(2):
            attempt(
                root, f"driving_fanet/{name}", skill=0.5 + depth / 10, latency=0.05 + depth / 50, of=DRIVING, seed=seed
            )
    return root


def with_logs(found: Attempt, epochs: int = 5) -> str:
    """A log as mmengine writes it, for `found`'s folder before it is committed."""
    rng = np.random.default_rng(0)
    lines = []
    for epoch in range(1, epochs + 1):
        lines.append(
            f"2026/09/01 12:00:00 - mmengine - INFO - Epoch(train) [{epoch}][2/2]  lr: 1.0e-03  loss: {1 / epoch:.4f}"
        )
        lines.append(
            f"2026/09/01 12:00:01 - mmengine - INFO - Epoch(val) [{epoch}][4/4]    miou: {rng.random():.4f}  time: 0.1"
        )
    return "\n".join(lines)

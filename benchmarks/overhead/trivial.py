"""A worker as vidsuite's own, whose cells store made-up predictions and do nothing else: what is left is overhead."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vidsuite_core.engine.order import Order
from vidsuite_core.results.store import CONFIG, PREDICTIONS, write_predictions

CLASSES = ["left", "right"]


def arrays() -> dict[str, np.ndarray]:
    """Predictions of eighteen clips of six subjects."""
    target = np.repeat(np.arange(6) % 2, 3)
    right = np.linspace(0.3, 0.9, len(target))
    prob = np.stack([np.where(target == 0, right, 1 - right), np.where(target == 0, 1 - right, right)], axis=1)
    subject = np.repeat([f"s{number}" for number in range(6)], 3)
    ids = np.array([f"{name}c{place}" for place, name in enumerate(subject)])
    return {"sample_id": ids, "subject": subject, "recording": subject.copy(), "target": target, "prob": prob}


def scores() -> dict[str, Any]:
    """Their scores as a record holds them."""
    from vidsuite_core.engine.cell import scored
    from vidsuite_core.tasks.clip_classification import ClipClassification

    return scored(ClipClassification(CLASSES), arrays())


def run_cell(order: Order, report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """In place of `vidsuite_core.engine.cell.run_cell`."""
    report("nothing", 0, 1)
    folder = Path(order.folder)
    write_predictions(folder / PREDICTIONS, arrays())
    (folder / CONFIG).write_text("nothing = 0\n")
    return {"status": "ok", "classes": CLASSES, **_SCORES}


if __name__ == "__main__":
    _SCORES = scores()
    engine = types.ModuleType("vidsuite_core.engine.cell")
    engine.run_cell = run_cell  # type: ignore[attr-defined]
    sys.modules["vidsuite_core.engine.cell"] = engine
    from vidsuite_core.engine import warm

    warm.preload = lambda order: None  # type: ignore[assignment]
    from vidsuite_core.runner.worker import main

    main()

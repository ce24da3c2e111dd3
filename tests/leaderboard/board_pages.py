"""Pages of made-up entries, written without run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import vidsuite_core as vs
from vidsuite_leaderboard.board import Board
from vidsuite_leaderboard.entries import REPORTED, Entry, Score, Speed, slug
from vidsuite_leaderboard.site import Site

CPU, GPU = "cpu: Test CPU", "cuda: <b>H200</b>"


def entry(model: str, mean: float | None = 0.8, **more: Any) -> Entry:
    """A complete entry of six cells whose four scores are `mean`, less a little each; None has none."""
    names = ("macro_f1", "precision", "recall", "auc")
    scores = {} if mean is None else {n: score(mean - place / 100) for place, n in enumerate(names)}
    plain: dict[str, Any] = {
        "benchmark": "seizure_i3d/seizure_i3d",
        "task": "clip_classification",
        "dataset": "seizure_i3d/synthetic",
        "preset": "quick",
        "config": "c0ffee00" * 8,
        "status": "measured",
        "scores": scores,
        "done": 6 if scores else 0,
        "expected": 6,
        "folds": 2,
        "seeds": 3,
        "device": CPU,
        "speeds": {CPU: speed(0.02)},
        "parameters": 13_800_000,
        "flops": 12.4e9,
        "created": "2026-09-01T12:00:00+00:00",
        **more,
    }
    by = plain.get("by", "")
    return Entry(slug=slug(model, plain["dataset"], plain["preset"], plain["config"], by), model=model, **plain)


def score(mean: float) -> Score:
    """A score with a spread and an interval."""
    return Score(mean, 0.0125, mean - 0.05, mean + 0.04, 6)


def speed(latency: float) -> Speed:
    """What one sample costs."""
    return Speed(latency, latency * 1.5, 1 / latency, 300 << 20, "1 clip", "fp32")


def reported(model: str, **printed: str) -> Entry:
    """A row that a paper reports."""
    own = {"dataset": "", "preset": "", "config": "", "status": REPORTED, "source": "Table 1; infrared ward"}
    bare = {"scores": {}, "done": 0, "expected": 0, "device": "", "speeds": {}, "parameters": None, "flops": None}
    return replace(entry(model), **own, **bare, created="", slug=slug(model, "", REPORTED, "0"), printed=printed)


def write_pages(suite: vs.Suite, out: Path, entries: Sequence[Entry], rows: Sequence[Entry] = (), **board: Any) -> Path:
    """The home page, the tables and their assets at `out`."""
    facts = {"built": "2026-11-21T12:00+00:00", "version": "0.1.0", "commit": "abc1234", "attempts": 42, **board}
    site = Site(Board(suite=suite, entries=entries, reported=rows, draws={}, keys={}, known=None, **facts))
    for name in ("assets", "home", "tables"):
        for page in import_module(f"vidsuite_leaderboard.pages.{name}").pages(site):
            content = page.render()
            path = out / page.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return out

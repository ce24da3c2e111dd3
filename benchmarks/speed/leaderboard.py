"""How long the leaderboard takes to build from many attempts, and how heavy its pages are.

    python benchmarks/speed/leaderboard.py [--attempts 100 10000 100000] [--folder DIR] [--workers 2] [--keep]

Attempts are made up: five folds and two seeds an entry, thirty clips a fold, a tenth of the entries incomplete, spread
over benchmarks of a thousand entries at most. Each count is built three times: from nothing, with nothing changed, and
with ten attempts more. Times are of the whole build in one process tree; weights are bytes on the disk and gzipped.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import vidsuite_core as vs
from vidsuite_core.results.cell import Cell, score_key
from vidsuite_core.results.record import CellFields, Record
from vidsuite_core.tasks.clip_classification import ClipClassification
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.site import build

FOLDS, SEEDS, CLIPS, MODELS = 5, 2, 30, 1000
CLASSES = ("temporal", "frontal")
DISTINCT = 40
"""Sets of predictions that the attempts share; each is verified for each of its attempts all the same."""


def predictions(number: int) -> tuple[bytes, dict[str, Any]]:
    """A stored file of predictions, and its scores as a record has them."""
    rng = np.random.default_rng(number)
    fold = number % FOLDS
    target = np.arange(CLIPS) % 2
    prob = rng.dirichlet((1, 1), CLIPS)
    prob[target == 1] = np.sort(prob[target == 1], axis=1)
    subject = np.array([f"f{fold}s{clip // 5}" for clip in range(CLIPS)])
    arrays = {
        "sample_id": np.array([f"f{fold}c{clip}" for clip in range(CLIPS)]),
        "subject": subject,
        "recording": subject,
        "target": target,
        "prob": prob.astype(np.float32),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    task = ClipClassification(CLASSES)
    scores = {
        name: {"value": value, "unit": "fraction", "direction": "higher", "n": CLIPS}
        for name, value in task.score(arrays).items()
    }
    return file.getvalue(), scores


def make(root: Path, first: int, count: int) -> None:
    """Write `count` attempts below `root`, of which `first` come before."""
    known = [predictions(number) for number in range(DISTINCT)]
    for place in range(first, first + count):
        entry, within = divmod(place, FOLDS * SEEDS)
        if entry % 10 == 9 and within == 0:
            continue  # a cell that was not run
        seed, fold = divmod(within, FOLDS)
        data, scores = known[(entry * FOLDS * 7 + fold) % DISTINCT // FOLDS * FOLDS + fold]
        _write(root, entry, fold, seed, data, scores)


def _write(root: Path, entry: int, fold: int, seed: int, data: bytes, scores: dict[str, Any]) -> None:
    task = {"task": ("clip_classification", ClipClassification.version), "fold": str(fold), "seed": seed}
    config = {"lr": 0.001, "model": {"type": "I3D", "width": entry}, "selection": "last", "steps": list(range(100))}
    names = {
        "benchmark": f"lab/b{entry // MODELS}",
        "dataset": "lab/ward",
        "model": f"lab/model_{entry % MODELS}",
        "preset": "quick",
    }
    key = score_key(
        **task,
        protocol={"type": "grouped_kfold", "folds": FOLDS},
        fingerprint="ward",
        config=config,
        weights={},
        preset="quick",
    )
    cell = Cell(
        **names, task="clip_classification", fold=str(fold), folds=FOLDS, seed=seed, score_key=key, device_kind="cpu: x"
    )
    attempt = f"20261101T120000000000-{entry:08x}"
    folder = root / "lab" / cell.cell_id / attempt
    folder.mkdir(parents=True)
    log = b"Epoch(train) [1][2/2]  loss: 0.5\n"
    files = {"predictions.npz": data, "config.py": b"lr = 0.001\n", "log.txt": log}
    fields = CellFields(plugin="lab", task=cell.task, fold=cell.fold, folds=FOLDS, seed=seed, **names)
    latency = 0.01 + (entry % 97) / 1000
    record = Record.model_construct(
        attempt=attempt,
        created=datetime(2026, 11, 1, 12, tzinfo=UTC),
        status="ok",
        cell=fields,
        cell_id=cell.cell_id,
        score_id=cell.score_id,
        score_key=key,
        device={"kind": "cpu: x", "count": 1},
        classes=list(CLASSES),
        scores=scores,
        efficiency={
            "parameters": 10_000_000 + 1000 * entry, "flops": 1e9, "latency_p50": latency, "latency_p95": latency,
            "latencies": [latency] * 20, "throughput": 1 / latency, "peak_memory": 1 << 28, "sample": "1 clip",
            "path": "fp32",
        },
        hardware={"host": "0", "cpu": "x", "cores": 2},
        software={"python": "3.11", "torch": "2.11"},
        code={"core": {"version": "0.1", "sources": "a"}},
        command=["vidsuite", "bench", "--plugin", "lab"],
        phases={"train": 10.0},
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    plain = record.model_dump(mode="json", warnings=False)
    (folder / "result.json").write_text(json.dumps(plain, indent=1))


def weights(site: Path) -> Iterator[str]:
    """What a reader loads, page by page: bytes of the page and its assets, and of its data."""
    for name in ("index.html", "all.html", "benchmarks/lab-b0.html", "plots/lab-b0.html", "compare.html"):
        page = site / name
        if page.is_file():
            parts = _loaded(site, page)
            assets = sum(size for path, size in parts.items() if "data" not in path.parts)
            packed = sum(len(gzip.compress(path.read_bytes())) for path in parts if "data" not in path.parts)
            data = sum(size for path, size in parts.items() if "data" in path.parts)
            yield f"  {name:26} {assets / 1000:8.0f} kB ({packed / 1000:.0f} kB gzipped), data {data / 1000:.0f} kB"


def _loaded(site: Path, page: Path) -> dict[Path, int]:
    """The page and the style sheets, scripts and pictures that it names, with their bytes."""
    tags = re.findall(r"<(?:script|link rel=\"(?:stylesheet|icon)\")[^>]*>", page.read_text(encoding="utf-8"))
    names = [match[1] for tag in tags if (match := re.search(r'(?:src|href)="([^"]+)"', tag))]
    return {path: path.stat().st_size for path in (page, *((page.parent / name).resolve() for name in names))}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-files", action="store_true", help="leave the attempts' own files out of the site")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    suite = vs.load()
    for count in options.attempts:
        place = folder / str(count)
        shutil.rmtree(place, ignore_errors=True)
        make(place / "runs", 0, count)
        print(f"{count} attempts", flush=True)
        for what in ("from nothing", "nothing changed", "ten more"):
            if what == "ten more":
                make(place / "runs", count, 10)
            began = time.perf_counter()
            built = build(
                suite,
                [Source(place / "runs")],
                place / "site",
                progress=lambda *_: None,
                cache=place / "cache.sqlite",
                workers=options.workers,
                attempts=not options.no_files,
            )
            took = time.perf_counter() - began
            print(f"  {what:16} {took:8.1f} s, {built.written} of {built.files} files written", flush=True)
        size = sum(path.stat().st_size for path in (place / "site").rglob("*") if path.is_file())
        print(f"  site of {size / 1e6:.0f} MB, {built.entries} entries, {built.rejected} rejected")
        for line in weights(place / "site"):
            print(line)
        if not options.folder:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()

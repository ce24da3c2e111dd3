"""All that wants a GPU, in one command of at most eight minutes: every step by itself, and one JSON.

    python benchmarks/speed/gpu.py [--device cuda] [--minutes 8] [--out gpu.json] [--steps NAME ...] [--sizes HxW ...]
                                   [--clips 64] [--keep FOLDER]

The steps, in the order of what they tell first: `machine`; `tests`, those that skip elsewhere; `backends`, every back
end in float32 and bfloat16 on frames of each size and on clips, with peak memory, then FANet in float32 again with TF32
on; `features`, clips a second through the extractor of seizure_i3d; `bench`, each plugin's quick preset with what is at
hand (random weights where none are). A step has its own process and time limit: one that fails, hangs or dies stops no
other, and what it said last is in the JSON. Exit code 1 says that a step did not end well.

With `--device cpu` all of it but the GPU itself is tried.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
LAST_LINES = 15
LEAST = 5.0
"""Seconds without which a step is not begun."""


@dataclass
class Outcome:
    """What came of a step: "ok", "failed" (with its exit code), "timeout", or "not begun" for lack of time."""

    status: str
    seconds: float = 0.0
    command: str = ""
    said: list[str] = field(default_factory=list)
    found: Any = None


@dataclass(frozen=True)
class Step:
    """A command, the most seconds that it may take, and how its result is read once it has ended."""

    name: str
    command: Sequence[str]
    limit: float
    read: Callable[[str], Any]


def main() -> int:
    options = parse()
    if options.run:
        print(json.dumps(RUN[options.run](options)))
        return 0
    deadline = time.monotonic() + 60 * options.minutes
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for step in steps(options, folder):
            if step.name.partition(":")[0] in options.steps:
                outcomes[step.name] = run(replace(step, limit=options.patience * step.limit), deadline)
                print(
                    f"{step.name:<22}{outcomes[step.name].status:<12}{outcomes[step.name].seconds:6.0f} s", flush=True
                )
                content = {name: asdict(outcome) for name, outcome in outcomes.items()}
                options.out.write_text(json.dumps({"device": options.device, "steps": content}, indent=1) + "\n")
    return 0 if all(outcome.status == "ok" for outcome in outcomes.values()) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script itself")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    names = ["machine", "tests", "backends", "features", "bench"]
    parser.add_argument("--steps", nargs="+", default=names, choices=names)
    parser.add_argument("--sizes", nargs="+", default=["512x1024", "1024x2048"], help="of frames")
    parser.add_argument("--clip", default="224x224", help="size of clips")
    parser.add_argument("--frames", type=int, default=60, help="of clips")
    parser.add_argument("--clips", type=int, default=64, help="through the extractor")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--patience", type=float, default=1.0, help="times the steps' own limits")
    parser.add_argument("--keep", type=Path, help="folder for the run folder and the steps' own files")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args()


def steps(options: argparse.Namespace, folder: Path) -> Iterator[Step]:
    """All steps in order."""
    own = [sys.executable, str(HERE / "gpu.py"), "--device", options.device]
    on_gpu = options.device != "cpu"
    yield Step("machine", [*own, "--run", "machine"], 60, last_json)
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        str(REPOSITORY / "tests"),
    ]
    yield Step("tests", tests, 150, last_line)
    ways = [sys.executable, str(HERE / "backends.py"), "--device", options.device, "--rounds", str(options.rounds)]
    for size in options.sizes:
        yield measured(f"backends:{size}", [*ways, "--model", "driving_fanet/fanet18", "driving_fanet/fanet18_tca4",
                       "driving_fanet/bisenet", "--size", size, "--batches", "1", "8"], folder, 100)  # fmt: skip
    clips = ["--model", "seizure_i3d/i3d", "--size", options.clip, "--frames", str(options.frames)]
    yield measured("backends:clips", [*ways, *clips, "--batches", "1", "4"], folder, 60)
    if on_gpu:
        for size in options.sizes:
            one = ["--model", "driving_fanet/fanet18", "--size", size, "--precisions", "fp32", "--tf32"]
            yield measured(f"backends:{size} tf32", [*ways, *one], folder, 40)
    for precision in ("fp32", "bf16"):
        asked = ["--clips", str(options.clips), "--clip", options.clip, "--frames", str(options.frames)]
        yield Step(f"features:{precision}", [*own, "--run", precision, *asked], 60, last_json)
    device = "cuda:0" if on_gpu else "cpu"
    for plugin in ("driving_fanet", "seizure_i3d"):
        bench = [sys.executable, "-m", "vidsuite_core.cli", "bench", "--plugin", plugin, "--devices", device]
        yield Step(f"bench:{plugin}", [*bench, "--out", str(folder / "runs"), "--json"], 240, last_json)


def measured(name: str, command: Sequence[str], folder: Path, limit: float) -> Step:
    """A step of backends.py, whose result is its JSON."""
    file = folder / f"{name.replace(':', '-').replace(' ', '-')}.json"
    return Step(name, [*command, "--json", str(file)], limit, lambda _: json.loads(file.read_text()))


def last_json(text: str) -> Any:
    """The JSON that ends an output, on one line or over several."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line[:1] in "[{" and line[:1])
    return json.loads("\n".join(lines[start:]))


def last_line(text: str) -> str:
    """What pytest sums up."""
    return text.strip().splitlines()[-1]


def run(step: Step, deadline: float) -> Outcome:
    """Run a step in a process group of its own, which ends with it."""
    limit = min(step.limit, deadline - time.monotonic())
    if limit < LEAST:
        return Outcome("not begun")
    start, shown = time.monotonic(), " ".join(Path(part).name if "/" in part else part for part in step.command)
    environment = {**os.environ, "VIDSUITE_OFFLINE": "1"}
    with subprocess.Popen(
        step.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            text, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, errors = process.communicate()
            return Outcome("timeout", time.monotonic() - start, shown, (text + errors).splitlines()[-LAST_LINES:])
    outcome = Outcome("ok", time.monotonic() - start, shown, (text + errors).splitlines()[-LAST_LINES:])
    if process.returncode:
        outcome.status = f"failed ({process.returncode})"
    try:
        outcome.found = step.read(text)
    except (ValueError, OSError, StopIteration, IndexError) as error:
        outcome.status = outcome.status if process.returncode else f"failed (no result: {error})"
    return outcome


# --- what this script runs itself, each in a process of its own -----------------------------------------------


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Hardware, software and what the device can do."""
    import torch

    from vidsuite_core.inference.choice import native_bf16
    from vidsuite_core.inference.registry import here
    from vidsuite_core.support.environment import hardware, software

    device = torch.device(options.device)
    found = {"hardware": hardware(), "software": software(), "native_bf16": native_bf16(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = {"name": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
    return {**found, "backends": here(device.type == "cuda")}


def features(options: argparse.Namespace) -> dict[str, Any]:
    """Clips a second through the extractor, in the precision that `--run` names, and peak memory."""
    import numpy as np
    import torch

    from vidsuite_core import openmmlab
    from vidsuite_core.inference import Inference

    openmmlab.prepare()
    from vidsuite_plugins.seizure_i3d.models import I3dFeatures

    height, width = map(int, options.clip.split("x"))
    extractor = I3dFeatures().running(Inference(options.run, "auto")).to(options.device)
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (options.frames, height, width, 3), np.uint8) for _ in range(extractor.batch_size)]
    extractor.extract(clips)
    on_gpu = options.device != "cpu"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    start, done = time.perf_counter(), 0
    while done < options.clips:
        extractor.extract(clips)
        done += len(clips)
    seconds = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() if on_gpu else None
    shape = f"{options.frames}x{options.clip}"
    return {"clip": shape, "path": extractor.path, "falls": extractor.falls, "clips": done, "seconds": seconds,
            "clips_per_second": done / seconds, "peak_memory": memory}  # fmt: skip


RUN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "machine": machine,
    "fp32": features,
    "bf16": features,
}

if __name__ == "__main__":
    sys.exit(main())

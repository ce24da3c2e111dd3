"""What a result depends on beside its cell: code, software and hardware."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmsegmentation", "otxmmaction2", "mmaction2",
    "numpy", "scikit-learn", "opencv-python", "av",
)  # fmt: skip
"""Distributions that can change a score."""

_SCORELESS = ("cli/", "results/summary.py", "results/tables.py", "results/verification.py", "support/text.py")
"""Parts of the core that no score depends on, left out of its hash."""


@cache
def software() -> dict[str, str]:
    """Python's version and the installed versions of `PACKAGES`."""
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def code(module: str, distribution: str = "vidsuite") -> dict[str, str]:
    """Identity of a package's code: version, hash of its source files and, in a git checkout, the commit."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return {"version": _version(distribution), "sources": "unknown"}
    origin = Path(spec.origin)
    folder = origin.parent if origin.name == "__init__.py" else None
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".yaml"}) if folder else [origin]
    total = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix() if folder else path.name
        if folder and module == "vidsuite_core" and name.startswith(_SCORELESS):
            continue
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    found = {"version": _version(distribution), "sources": total.hexdigest()}
    commit = _git(origin.parent, "rev-parse", "HEAD")
    if commit and _git(origin.parent, "ls-files", "--", str(origin)):
        found["commit"] = commit
        changes = _git(origin.parent, "diff", "HEAD", "--", ".")
        if changes:
            found["uncommitted"] = hashlib.sha256(changes.encode()).hexdigest()
    return found


def same_code(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two code identities mean the same sources, wherever they were installed from."""
    return {name: part.get("sources") for name, part in old.items()} == {
        name: part.get("sources") for name, part in new.items()
    }


def hardware() -> dict[str, Any]:
    """This machine: CPU model and cores, memory in bytes, load now, GPUs with driver; its name only as a hash."""
    return {**_machine(), "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}


@cache
def _machine() -> dict[str, Any]:
    import psutil

    return {
        "host": host_hash(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "gpus": _gpus(),
    }


def host_hash() -> str:
    """The host's name as a hash: enough to tell machines apart, not to name them."""
    return hashlib.sha256(f"vidsuite:{platform.node()}".encode()).hexdigest()[:12]


def _gpus() -> list[dict[str, str]]:
    """Model, driver and why clocks are held down (a bit mask, 0 for nothing) of each GPU, as nvidia-smi tells."""
    fields = ("name", "driver_version", "clocks_throttle_reasons.active")
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = ("model", "driver", "throttling")
    return [dict(zip(names, line.split(", "), strict=False)) for line in done.stdout.splitlines()]


@cache
def cpu_model() -> str:
    """The CPU's model name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""What a result depends on beside its cell and its code: software and hardware."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vidsuite_core.support import gpus

PACKAGES = (
    "torch", "torchvision", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmsegmentation", "otxmmaction2", "mmaction2",
    "numpy", "scikit-learn", "opencv-python", "av", "openvino",
)  # fmt: skip
"""Distributions that can change a score."""

LIBRARIES = (
    "torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "mmaction", "numpy", "sklearn", "cv2", "av",
    "openvino",
)  # fmt: skip
"""The modules of `PACKAGES`: they are told by their versions, not by their files."""


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


def hardware() -> dict[str, Any]:
    """This machine: CPU model and cores, memory in bytes, load now, GPUs with driver; its name only as a hash.

    `cores` are those that this process might use when it first asked, `threads` those that it computes with now.
    """
    return {**_machine(), "threads": _threads(), "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else _cores()


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@cache
def _machine() -> dict[str, Any]:
    import psutil

    return {
        "host": host_hash(),
        "cpu": cpu_model(),
        "cores": _cores(),
        "memory": psutil.virtual_memory().total,
        "gpus": _gpus(),
    }


def host_hash() -> str:
    """The host's name as a hash: enough to tell machines apart, not to name them."""
    return hashlib.sha256(f"vidsuite:{platform.node()}".encode()).hexdigest()[:12]


@cache
def process_space() -> dict[str, str]:
    """What tells whose processes can be seen from here by their numbers: host, boot, and space of numbers.

    Containers have spaces of their own, and may share the name of their host.
    """
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    return {
        "host": host_hash(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "processes": str(space.readlink()) if space.is_symlink() else "",
    }


def _gpus() -> list[dict[str, str]]:
    """Model, driver and why clocks are held down (a bit mask, 0 for nothing) of each GPU."""
    return [{"model": gpu.model, "driver": gpu.driver, "throttling": gpu.throttling} for gpu in gpus.boards()]


@cache
def cpu_model() -> str:
    """The CPU's model name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""Which GPUs a machine has, as NVIDIA's management library tells, or its tool where the library is not to be had."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """A GPU, or one of the instances that it is divided into (MIG).

    Attributes:
        uuid: "GPU-…" or "MIG-…", by which CUDA_VISIBLE_DEVICES names it.
        model: as "NVIDIA H100 80GB HBM3"; that of an instance ends in its size.
        capability: the compute capability's major number; 0 where it is not known.
        driver: the driver's version.
        throttling: why its clocks are held down, a bit mask in hexadecimal; "" where that is not known.
    """

    uuid: str
    model: str
    capability: int = 0
    driver: str = ""
    throttling: str = ""


def devices() -> list[Gpu]:
    """The places where cells can run: GPUs, and in place of one that is divided its instances."""
    return [place for gpu, instances in _all() for place in (instances or [gpu])]


def boards() -> list[Gpu]:
    """The GPUs, divided or not."""
    return [gpu for gpu, _ in _all()]


def _all() -> list[tuple[Gpu, list[Gpu]]]:
    """Each GPU with its instances (none where it is whole), in the order of their numbers."""
    import pynvml

    try:
        with _library(pynvml):
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
            return [_by_library(pynvml, handle) for handle in handles]
    except pynvml.NVMLError:  # no driver, or no rights to it
        return _by_tool()


@contextmanager
def _library(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _by_library(nvml: Any, handle: Any) -> tuple[Gpu, list[Gpu]]:
    def known(ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except nvml.NVMLError:  # what older drivers and other boards do not tell
            return None

    capability = (known(nvml.nvmlDeviceGetCudaComputeCapability, handle) or (0, 0))[0]
    held = known(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    gpu = Gpu(
        uuid=nvml.nvmlDeviceGetUUID(handle),
        model=nvml.nvmlDeviceGetName(handle),
        capability=capability,
        driver=known(nvml.nvmlSystemGetDriverVersion) or "",
        throttling="" if held is None else f"0x{held:016X}",
    )
    divided = (known(nvml.nvmlDeviceGetMigMode, handle) or (0, 0))[0] == nvml.NVML_DEVICE_MIG_ENABLE
    numbers = range(known(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0) if divided else ()
    found = [known(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number) for number in numbers]
    return gpu, [
        Gpu(nvml.nvmlDeviceGetUUID(one), nvml.nvmlDeviceGetName(one), capability, gpu.driver, gpu.throttling)
        for one in found
        if one is not None
    ]


def _by_tool() -> list[tuple[Gpu, list[Gpu]]]:
    """What nvidia-smi prints of GPUs and instances: none where it is missing or fails, as on a machine without one."""
    fields = ("compute_cap", "driver_version", "clocks_throttle_reasons.active")
    told = [line.split(", ") for line in _nvidia_smi(f"--query-gpu={','.join(fields)}", "--format=csv,noheader")]
    found: list[tuple[Gpu, list[Gpu]]] = []
    for line in _nvidia_smi("-L"):
        uuid = line.rpartition("UUID: ")[2].rstrip(") ")
        if line.startswith("GPU "):
            capability, driver, held = (*told[len(found)], "", "", "")[:3] if len(found) < len(told) else ("", "", "")
            major = capability.partition(".")[0]
            model = line.partition(":")[2].partition("(UUID")[0].strip()
            found.append((Gpu(uuid, model, int(major) if major.isdecimal() else 0, driver, held), []))
        elif line.strip().startswith("MIG ") and found:
            gpu, instances = found[-1]
            size = " ".join(line.split()[:2])
            instances.append(Gpu(uuid, f"{gpu.model} {size}", gpu.capability, gpu.driver, gpu.throttling))
    return found


def _nvidia_smi(*arguments: str) -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def state(uuid: str) -> dict[str, Any]:
    """A GPU's present `clock_mhz`, `throttling` (reasons as bits), `temperature` and `power` (W), where it tells."""
    import pynvml

    found: dict[str, Any] = {}
    with suppress(pynvml.NVMLError), _library(pynvml):
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        asked: dict[str, Callable[[], Any]] = {
            "clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            "throttling": lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            "temperature": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
            "power": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
        for name, ask in asked.items():
            with suppress(pynvml.NVMLError):
                found[name] = ask()
    return found

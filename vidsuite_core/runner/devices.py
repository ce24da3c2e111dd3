"""Device slots: which devices there are, and what a worker sees of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.processes import divided, processors
from vidsuite_core.support import gpus
from vidsuite_core.support.environment import cpu_model

BF16 = 8
"""The compute capability from which on GPUs compute in bfloat16 (Ampere); of several the oldest decides."""


@dataclass(frozen=True)
class Slot:
    """A place where one cell runs at a time.

    Attributes:
        device: "cpu", "cuda:0" or a GPU's or MIG instance's UUID, as the user names it.
        kind: the device class, within which speed is compared ("cpu: AMD EPYC", "cuda: NVIDIA H200").
        visible: value of CUDA_VISIBLE_DEVICES for the slot's worker.
        precision: what `precision="auto"` stands for: "bf16" where the device computes in it natively, else "fp32".
        processors: the processors that its cells may use, so that workers do not fight for them; () for all.
        number: tells slots of one device apart.
        ranks: processes that run a cell together, each on a GPU of its own where there are GPUs.
    """

    device: str
    kind: str
    visible: str
    precision: str
    processors: tuple[int, ...] = ()
    number: int = 0
    ranks: int = 1

    @property
    def name(self) -> str:
        """A name that no other slot of a run has."""
        return f"{self.device}#{self.number}" if self.number else self.device

    @property
    def on_gpu(self) -> bool:
        """Whether cells run on a GPU here."""
        return self.device != "cpu"


def shared_out(slots: Sequence[Slot], workers: int) -> list[Slot]:
    """`workers` slots on each device, with this machine's processors divided among all of them."""
    shares = iter(divided(processors(), len(slots) * workers))
    return [replace(slot, number=number, processors=next(shares)) for slot in slots for number in range(workers)]


def joined(slots: Sequence[Slot], ranks: int) -> list[Slot]:
    """Slots of `ranks` devices each, of those that follow on one another; the processor serves any number of ranks.

    Raises:
        UsageError: there are fewer devices, or some would be left over.
    """
    if ranks == 1:
        return list(slots)
    if not slots[0].on_gpu:
        return [replace(slot, ranks=ranks) for slot in slots]
    if len(slots) % ranks:
        raise UsageError(f"--gpus-per-cell {ranks} does not divide the {len(slots)} devices; choose with --devices")
    groups = [slots[start : start + ranks] for start in range(0, len(slots), ranks)]
    return [
        replace(
            group[0],
            device="+".join(slot.device for slot in group),
            visible=",".join(slot.visible for slot in group),
            ranks=ranks,
        )
        for group in groups
    ]


def parse_devices(text: str) -> list[Slot]:
    """The slots that `--devices` asks for: "auto", "cpu", or a comma-separated list of GPUs.

    A GPU is "cuda:N" (N counts within a CUDA_VISIBLE_DEVICES that is set), or a UUID ("GPU-…", "MIG-…").

    Raises:
        UsageError: a device is named twice, is unknown, or is not there.
    """
    if text == "cpu":
        return [cpu_slot()]
    present = _visible_gpus()
    if text == "auto":
        return present or [cpu_slot()]
    slots = [_find(name.strip(), present) for name in text.split(",")]
    if len(set(slots)) != len(slots):  # also under two of its names
        raise UsageError(f"--devices {text} names a device twice")
    return slots


def cpu_slot() -> Slot:
    """The one slot of a machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    native = "avx512_bf16" in flags or "amx_bf16" in flags
    return Slot("cpu", f"cpu: {cpu_model()}", "", "bf16" if native else "fp32")


def _find(name: str, present: list[Slot]) -> Slot:
    if name == "cpu":
        return cpu_slot()
    index = name.removeprefix("cuda:")
    if name.startswith("cuda:") and index.isdecimal() and int(index) < len(present):
        return present[int(index)]
    for slot in present:
        if slot.visible == name:
            return slot
    there = ", ".join(slot.device for slot in present) or "no GPU"
    raise UsageError(f"device {name!r} is not here (there is: cpu, {there})")


def _visible_gpus() -> list[Slot]:
    found = {gpu.uuid: gpu for gpu in gpus.devices()}
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = list(found) if allowed is None else _allowed(allowed, list(found))
    oldest = min((found[uuid].capability for uuid in chosen), default=0)
    precision = "bf16" if oldest >= BF16 else "fp32"
    return [Slot(f"cuda:{n}", f"cuda: {found[uuid].model}", uuid, precision) for n, uuid in enumerate(chosen)]


def _allowed(text: str, there: Sequence[str]) -> list[str]:
    """The UUIDs that CUDA_VISIBLE_DEVICES leaves to be seen, in its order."""
    chosen: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        named = there[int(part)] if part.isdecimal() and int(part) < len(there) else part
        # CUDA takes the start of a UUID, too
        matches = [named] if named in there else [uuid for uuid in there if named and uuid.startswith(named)]
        if len(matches) != 1 or matches[0] in chosen:
            break  # as CUDA does: what follows an entry that it cannot place is hidden
        chosen.append(matches[0])
    return chosen

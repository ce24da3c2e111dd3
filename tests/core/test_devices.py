"""Device slots, with an nvidia-smi of our own on the path, or a management library of our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pynvml
import pytest

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.devices import Slot, cpu_slot, joined, parse_devices
from vidsuite_core.support import gpus
from vidsuite_core.support.gpus import Gpu

A, B, C = (f"GPU-{letter * 8}-1111-2222-3333-444444444444" for letter in "abc")
M, N = (f"MIG-{letter * 8}-1111-2222-3333-444444444444" for letter in "de")
PLAIN = f"GPU 0: NVIDIA H200 (UUID: {A})\nGPU 1: NVIDIA H200 (UUID: {B})\nGPU 2: NVIDIA L4 (UUID: {C})"
DIVIDED = f"""GPU 0: NVIDIA A100-SXM4-80GB (UUID: {A})
  MIG 3g.40gb     Device  0: (UUID: {M})
  MIG 2g.20gb     Device  1: (UUID: {N})
GPU 1: NVIDIA A100-SXM4-80GB (UUID: {B})"""
SCRIPT = """#!/bin/sh
while IFS= read -r line; do echo "$line"; done < "{folder}/$1"
exit {code}
"""

Machine = Callable[..., None]


def absent() -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes this a machine whose nvidia-smi lists `gpus`, with `visible` as CUDA_VISIBLE_DEVICES."""

    def make(gpus: str | None, visible: str | None = None, capability: str = "9.0", code: int = 0) -> None:
        if gpus is not None:
            (tmp_path / "-L").write_text(f"{gpus}\n")
            told = capability.splitlines() * (3 if "\n" not in capability else 1)
            query = "--query-gpu=compute_cap,driver_version,clocks_throttle_reasons.active"
            (tmp_path / query).write_text("".join(f"{one}, 570.1, 0x0000000000000004\n" for one in told))
            script = tmp_path / "nvidia-smi"
            script.write_text(SCRIPT.format(folder=tmp_path, code=code))
            script.chmod(0o755)
        monkeypatch.setattr(pynvml, "nvmlInit", absent)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


def found(text: str = "auto") -> list[tuple[str, str]]:
    return [(slot.device, slot.visible) for slot in parse_devices(text)]


def test_cpu_never_asks_for_gpus(machine: Machine) -> None:
    machine("this would not parse")
    assert parse_devices("cpu") == [cpu_slot()]
    slot = cpu_slot()
    assert (slot.device, slot.visible, slot.on_gpu) == ("cpu", "", False)
    assert slot.kind.startswith("cpu: ")
    assert slot.precision in ("fp32", "bf16")


def test_auto_takes_every_gpu_or_else_the_processor(machine: Machine) -> None:
    machine(PLAIN)
    assert found() == [("cuda:0", A), ("cuda:1", B), ("cuda:2", C)]
    assert parse_devices("auto")[2] == Slot("cuda:2", "cuda: NVIDIA L4", C, "bf16")
    assert parse_devices("auto")[0].on_gpu


@pytest.mark.parametrize("gpus", [None, "", "NVIDIA-SMI has failed", "garbage: (UUID: x)"])
def test_without_a_gpu_auto_is_the_processor(machine: Machine, gpus: str | None) -> None:
    machine(gpus)
    assert parse_devices("auto") == [cpu_slot()]


def test_an_nvidia_smi_that_fails_or_cannot_be_run_means_no_gpu(machine: Machine, tmp_path: Path) -> None:
    machine(PLAIN, code=9)
    assert found() == [("cpu", "")]
    (tmp_path / "nvidia-smi").write_text("#!/no/such/interpreter\n")
    assert found() == [("cpu", "")]


def test_gpus_are_named_by_number_or_uuid_in_the_users_order(machine: Machine) -> None:
    machine(PLAIN)
    assert found(f"cuda:2, {A}") == [("cuda:2", C), ("cuda:0", A)]
    assert found("cpu,cuda:1") == [("cpu", ""), ("cuda:1", B)]


@pytest.mark.parametrize("text", ["cuda:0,cuda:0", f"cuda:0,{A}", f"{B},cuda:1", "cuda:0,cuda:00", "cpu,cpu"])
def test_a_device_named_twice_under_whichever_name_is_wrong_use(machine: Machine, text: str) -> None:
    machine(PLAIN)
    with pytest.raises(UsageError, match="names a device twice"):
        parse_devices(text)


@pytest.mark.parametrize(
    "text", ["cuda:3", "cuda", "cuda:", "cuda:-1", "cuda:x", "0", "", "cuda:0,", "gpu", "GPU-aaaaaaaa", "all"]
)
def test_an_unknown_device_is_wrong_use_that_lists_what_there_is(machine: Machine, text: str) -> None:
    machine(PLAIN)
    with pytest.raises(UsageError, match=r"is not here \(there is: cpu, cuda:0, cuda:1, cuda:2\)"):
        parse_devices(text)


def test_a_gpu_asked_for_where_there_is_none(machine: Machine) -> None:
    machine(None)
    with pytest.raises(UsageError, match=r"device 'cuda:0' is not here \(there is: cpu, no GPU\)"):
        parse_devices("cuda:0")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0", [A]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        (B, [B]),
        (f"{C},0", [C, A]),
        ("GPU-b", [B]),  # the start of a UUID will do
        ("GPU-", []),  # but not of three
        ("", []),
        ("-1", []),
        ("1,-1,2", [B]),  # what follows is hidden
        ("1,7,2", [B]),
        ("0,nonsense", [A]),
        ("0,0,1", [A]),  # a device twice is no device
        (f"0,{A},1", [A]),
        ("0,,1", [A]),
        (M, []),
    ],
)
def test_cuda_visible_devices_is_obeyed(machine: Machine, visible: str, expected: list[str]) -> None:
    machine(PLAIN, visible)
    if expected:
        assert found() == [(f"cuda:{place}", uuid) for place, uuid in enumerate(expected)]
    else:
        assert found() == [("cpu", "")]


def test_numbers_count_within_the_visible_ones(machine: Machine) -> None:
    machine(PLAIN, "2,1")
    assert found("cuda:0") == [("cuda:0", C)]
    for hidden in ("cuda:2", A):
        with pytest.raises(UsageError, match=r"there is: cpu, cuda:0, cuda:1"):
            parse_devices(hidden)


def test_a_divided_gpu_is_its_instances(machine: Machine) -> None:
    machine(DIVIDED)
    assert [(slot.visible, slot.kind) for slot in parse_devices("auto")] == [
        (M, "cuda: NVIDIA A100-SXM4-80GB MIG 3g.40gb"),
        (N, "cuda: NVIDIA A100-SXM4-80GB MIG 2g.20gb"),
        (B, "cuda: NVIDIA A100-SXM4-80GB"),
    ]
    assert found(N) == [("cuda:1", N)]


def test_instances_can_be_what_is_visible(machine: Machine) -> None:
    machine(DIVIDED, f"{N},{M}")
    assert found() == [("cuda:0", N), ("cuda:1", M)]
    machine(DIVIDED, A)  # the whole of a divided GPU cannot be used
    assert found() == [("cpu", "")]


@pytest.mark.parametrize(
    ("capability", "precision"),
    [("9.0", "bf16"), ("8.0", "bf16"), ("7.5", "fp32"), ("9.0\n7.0", "fp32"), ("12.1", "bf16"), ("", "fp32")],
)
def test_auto_precision_is_bf16_where_every_gpu_computes_in_it(
    machine: Machine, capability: str, precision: str
) -> None:
    machine(PLAIN, capability=capability)
    assert {slot.precision for slot in parse_devices("auto")} == {precision}


class Library:
    """NVML with two GPUs, the first divided into two of its seven instances; `lacking` names what it does not tell."""

    names: ClassVar[dict[str, str]] = {
        A: "NVIDIA A100",
        B: "NVIDIA L4",
        M: "NVIDIA A100 MIG 3g.40gb",
        N: "NVIDIA A100 MIG 2g.20gb",
    }

    def __init__(self, lacking: str = "") -> None:
        self.lacking, self.open = lacking, 0

    def __getattr__(self, name: str) -> Callable[..., object]:
        answers: dict[str, Callable[..., object]] = {
            "Init": lambda: self._count(1),
            "Shutdown": lambda: self._count(-1),
            "DeviceGetCount": lambda: 2,
            "DeviceGetHandleByIndex": lambda number: (A, B)[number],
            "DeviceGetUUID": lambda handle: handle,
            "DeviceGetName": self.names.__getitem__,
            "DeviceGetCudaComputeCapability": lambda handle: (8, 0) if handle == A else (7, 5),
            "SystemGetDriverVersion": lambda: "570.1",
            "DeviceGetCurrentClocksThrottleReasons": lambda handle: 4,
            "DeviceGetMigMode": lambda handle: (1, 1) if handle == A else self._refuse(),
            "DeviceGetMaxMigDeviceCount": lambda handle: 7,
            "DeviceGetMigDeviceHandleByIndex": lambda handle, number: {1: M, 4: N}.get(number) or self._refuse(),
        }
        key = name.removeprefix("nvml")
        return lambda *arguments: self._refuse() if key == self.lacking else answers[key](*arguments)

    def _count(self, change: int) -> None:
        self.open += change

    @staticmethod
    def _refuse() -> object:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in dir(pynvml):
            if name in ("nvmlInit", "nvmlShutdown") or name.startswith(("nvmlDeviceGet", "nvmlSystemGetDriver")):
                monkeypatch.setattr(pynvml, name, getattr(self, name))


def test_the_library_tells_of_gpus_and_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    library = Library()
    library.install(monkeypatch)
    assert [(slot.visible, slot.kind) for slot in parse_devices("auto")] == [
        (M, "cuda: NVIDIA A100 MIG 3g.40gb"),
        (N, "cuda: NVIDIA A100 MIG 2g.20gb"),
        (B, "cuda: NVIDIA L4"),
    ]
    assert {slot.precision for slot in parse_devices("auto")} == {"fp32"}  # of several the oldest decides
    assert gpus.boards() == [
        Gpu(A, "NVIDIA A100", 8, "570.1", "0x0000000000000004"), Gpu(B, "NVIDIA L4", 7, "570.1", "0x0000000000000004")
    ]  # fmt: skip
    assert library.open == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{N},{M}")
    assert found() == [("cuda:0", N), ("cuda:1", M)]
    assert {slot.precision for slot in parse_devices("auto")} == {"bf16"}  # those that are seen count


@pytest.mark.parametrize(
    "lacking", ["DeviceGetCudaComputeCapability", "SystemGetDriverVersion", "DeviceGetCurrentClocksThrottleReasons"]
)
def test_what_a_driver_does_not_tell_is_left_open(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Library(lacking).install(monkeypatch)
    first = gpus.boards()[0]
    assert first.uuid == A
    assert (first.capability == 0) is (lacking == "DeviceGetCudaComputeCapability")
    assert (first.driver == "") is (lacking == "SystemGetDriverVersion")
    assert (first.throttling == "") is (lacking == "DeviceGetCurrentClocksThrottleReasons")


def test_a_library_that_fails_midway_leaves_it_to_the_tool(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(PLAIN)
    library = Library("DeviceGetUUID")
    library.install(monkeypatch)
    assert found() == [("cuda:0", A), ("cuda:1", B), ("cuda:2", C)]
    assert library.open == 0


def test_both_tell_the_same_of_a_board(machine: Machine) -> None:
    machine(PLAIN)
    assert gpus.boards()[0] == Gpu(A, "NVIDIA H200", 9, "570.1", "0x0000000000000004")


def test_several_gpus_make_one_slot(machine: Machine) -> None:
    machine(f"{PLAIN}\nGPU 3: NVIDIA L4 (UUID: GPU-dddddddd)")
    slots = parse_devices("auto")
    pairs = joined(slots, 2)
    assert [(slot.name, slot.visible, slot.ranks) for slot in pairs] == [
        ("cuda:0+cuda:1", f"{A},{B}", 2), ("cuda:2+cuda:3", f"{C},GPU-dddddddd", 2)
    ]  # fmt: skip
    assert joined(slots, 1) == slots
    with pytest.raises(UsageError, match="--gpus-per-cell 3 does not divide the 4 devices; choose with --devices"):
        joined(slots, 3)
    assert [slot.ranks for slot in joined([cpu_slot()], 3)] == [3]


def test_the_real_machine_has_at_least_one_slot() -> None:
    slots = parse_devices("auto")
    assert slots
    assert all(slot.on_gpu or slot.visible == "" for slot in slots)

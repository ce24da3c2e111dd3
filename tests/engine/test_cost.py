"""How speed is measured: honest networks are, and those that would cheat the clock are told by what they do."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement

from vidsuite_core.engine import cost, probes
from vidsuite_core.engine.speed import FULL, PROTOCOLS, SHORT, Protocol, altered, away, remembers, warm_up
from vidsuite_core.inference import Inference
from vidsuite_core.results.record import Efficiency
from vidsuite_core.support import gpus

EAGER = Inference("fp32", "eager")
QUICK = Protocol("short", calls=12, seconds=1.0, processes=1, warm=0.5, batches=(2,), whole=2)


class Honest(BaseModel):
    """Two classes from a clip, by a network that takes a few milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Conv3d(3, 8, 3, padding=1)
        self.head = torch.nn.Linear(8, 2)

    def logits(self, inputs: Any) -> torch.Tensor:
        x = torch.stack(list(inputs)).float() / 255
        found: torch.Tensor = self.head(self.net(x).flatten(2).relu().mean(2))
        return found

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        for sample, prob in zip(data_samples, self.logits(inputs).softmax(1), strict=True):
            sample.set_data({"pred_score": prob})
        return data_samples


class Remembering(Honest):
    """Answers from a memory what it has seen before."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[bytes, torch.Tensor] = {}

    def logits(self, inputs: Any) -> torch.Tensor:
        key = torch.stack(list(inputs)).numpy().tobytes()
        if key not in self.seen:
            self.seen[key] = super().logits(inputs)
        return self.seen[key]


class Skipping(Honest):
    """Answers something where it is called again and again, as under a clock, and the truth otherwise."""

    calls = 0

    def logits(self, inputs: Any) -> torch.Tensor:
        self.calls += 1
        timed = 4 < self.calls < self.until
        return torch.tensor([[5.0, -5.0]] * len(inputs)) if timed else super().logits(inputs)

    until = 60


class Shallow(Honest):
    """Scores by the whole network, and by nothing once it has been scored."""

    def logits(self, inputs: Any) -> torch.Tensor:
        return torch.tensor([[5.0, -5.0]] * len(inputs))


class Clips:
    """Eight clips of noise, as a torch dataset of vidsuite gives them."""

    def __init__(self, side: int = 24) -> None:
        self.samples = [_Sample(f"c{number}") for number in range(8)]
        generator = torch.Generator().manual_seed(1)
        self.pixels = torch.randint(0, 255, (8, 3, 8, side, side), dtype=torch.uint8, generator=generator)

    def __getitem__(self, index: int) -> dict[str, Any]:
        element = BaseDataElement(metainfo={"sample_id": self.samples[index].id})
        return {"inputs": self.pixels[index], "data_samples": element}


class _Sample:
    def __init__(self, name: str) -> None:
        self.id = name

    def __len__(self) -> int:
        return 8


def witnessed(model: Honest, clips: Clips) -> dict[str, Any]:
    """What a cell keeps of its scored predictions."""
    with torch.no_grad():
        probs = model.eval().logits(list(clips.pixels)).softmax(1).numpy()
    return {sample.id: {"pred_score": prob} for sample, prob in zip(clips.samples, probs, strict=True)}


def measured(model: Honest, kept: dict[str, Any] | None = None, protocol: Protocol = QUICK) -> dict[str, Any]:
    return cost.measure(model, Clips(), "cpu", EAGER, EAGER, protocol, kept).efficiency


def doubts(found: dict[str, Any]) -> list[str]:
    """Those that a busy machine cannot give rise to."""
    return [line for line in found["doubts"] if "arithmetic" not in line]


def test_an_honest_network_is_measured_without_a_doubt_and_its_record_holds_all_of_it() -> None:
    model = Honest()
    found = measured(model, witnessed(model, Clips()))
    assert doubts(found) == []
    record = Efficiency(**found)
    assert record.protocol == "short-2"
    assert len(record.latencies) >= 5
    assert record.latency_p50 == statistics.median(record.latencies)
    assert record.latency_p50 <= record.latency_p95 <= max(record.latencies)
    assert record.parameters == 3 * 8 * 27 + 8 + 8 * 2 + 2
    assert record.flops == pytest.approx(2 * (8 * 24 * 24 * 3 * 8 * 27 + 8 * 2))
    assert record.network_p50 is not None
    assert record.whole_p50 is not None
    assert record.network_p50 > 0
    assert record.whole_p50 > 0
    assert [row["size"] for row in record.batches] == [1, 2]
    assert record.device_peaks["gemm_flops"] > 1e8
    assert record.device_peaks["copy_bytes"] > 1e7
    assert record.peak_host_memory == record.peak_memory > 1e7
    assert record.share_of_peak == pytest.approx(record.flops / record.latency_p50 / record.device_peaks["gemm_flops"])


def test_a_network_that_remembers_is_told_by_its_repeated_samples() -> None:
    found = measured(Remembering(), witnessed(Honest(), Clips()))
    assert any("it is remembered" in line for line in found["doubts"])
    assert found["repeated_share"] < 0.8
    assert found["latency_p50"] == statistics.median(found["latencies"])  # of samples that were never seen


def test_a_network_that_answers_otherwise_under_the_clock_is_told() -> None:
    model = Skipping()
    found = measured(model, witnessed(Honest(), Clips()))
    assert any("while it is timed" in line or "predicts otherwise" in line for line in found["doubts"]), found["doubts"]


def test_a_network_that_answers_otherwise_once_it_was_scored_is_told() -> None:
    found = measured(Shallow(), witnessed(Honest(), Clips()))
    assert any(line.startswith("what is timed predicts otherwise than what was scored") for line in found["doubts"])


def test_arithmetic_beyond_the_devices_peak_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"gemm_flops": 1e3, "copy_bytes": 1e3, "precision": "fp32"}
    monkeypatch.setattr(probes, "peaks", lambda *_: slow)
    found = measured(Honest())
    assert any("times the arithmetic that the device was measured to do" in line for line in found["doubts"])


def test_altered_inputs_look_alike_and_are_never_the_same() -> None:
    clip = torch.randint(0, 255, (3, 4, 8, 8), dtype=torch.uint8)
    nested = {"a": [clip, clip.float()], "b": (clip.numpy(),), "c": torch.tensor([3])}
    one, other, same = altered(nested, 1), altered(nested, 2), altered(nested, 1)
    for made in (one, other):
        assert made["a"][0].dtype == torch.uint8
        assert (made["a"][0].int() - clip.int()).abs().max() == 1
        assert (made["a"][0] != clip).float().mean() < 0.05
        assert not torch.equal(made["a"][1], clip.float())
        assert (made["b"][0] != clip.numpy()).any()
        assert torch.equal(made["c"], nested["c"])  # type: ignore[arg-type]
    assert not torch.equal(one["a"][0], other["a"][0])
    assert torch.equal(one["a"][0], same["a"][0])


def test_outputs_are_compared_by_shape_size_and_label() -> None:
    a = {"pred_score": torch.tensor([0.2, 0.8]).numpy()}
    assert away(a, a) == 0
    assert away({"pred_score": torch.tensor([0.3, 0.7]).numpy()}, a) == pytest.approx(0.125)
    assert away({"pred_score": torch.tensor([0.2, 0.7, 0.1]).numpy()}, a) == 1
    assert away({}, a) == 1
    assert away({"pred_score": torch.tensor([float("nan"), 0.8]).numpy()}, a) == 1
    labels = {"pred_label": torch.tensor([0, 1, 1, 1]).numpy()}
    assert away({"pred_label": torch.tensor([0, 0, 1, 1]).numpy()}, labels) == 0.25


def test_the_warm_up_ends_when_calls_are_steady_and_not_before() -> None:
    taken = iter([0.02] * 5 + [0.01] * 5 + [0.001] * 1000)

    def slow_at_first(number: int) -> None:
        time.sleep(next(taken))

    calls, _ = warm_up(slow_at_first, "cpu", 5.0)
    assert calls > 10
    calls, steady = warm_up(lambda number: time.sleep(0.001 * 2 ** min(number, 8)), "cpu", 0.3)
    assert not steady


def test_repeated_samples_that_are_only_a_little_faster_are_no_doubt() -> None:
    from vidsuite_core.engine.speed import Timed

    fresh = [Timed(1.0 + 0.1 * (n % 3), None, n, 0) for n in range(8)]
    assert not remembers([*fresh, *(Timed(0.9, None, n, None) for n in range(8))])[1]
    assert remembers([*fresh, *(Timed(0.1, None, n, None) for n in range(8))]) == (pytest.approx(0.1 / 1.1), True)


def test_the_full_protocol_is_designs() -> None:
    assert PROTOCOLS == {"short": SHORT, "full": FULL}
    assert (FULL.calls, FULL.seconds, FULL.processes) == (50, 10.0, 3)


def test_the_devices_state_is_watched_while_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(
        [
            {"clock_mhz": 1900, "throttling": 1, "temperature": 50, "power": 300.0},
            {"clock_mhz": 1200, "throttling": 4, "temperature": 70},
            *[{}] * 100,
        ]
    )
    monkeypatch.setattr(probes, "_uuid", lambda: "GPU-0")
    monkeypatch.setattr(gpus, "state", lambda uuid: next(told))
    monkeypatch.setattr(probes, "_EVERY", 0.01)
    with probes.Watched("cuda") as watched:
        time.sleep(0.1)
    assert watched.state == {
        "clock_mhz": [1200, 1900], "throttling": "0x0000000000000005", "temperature": 70, "power": 300.0,
    }  # fmt: skip


def test_a_gpu_that_is_not_there_tells_nothing() -> None:
    assert gpus.state("GPU-none") == {}

"""The choice of a back end: by measurement, among those equal, with reasons for others; what is remembered of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from networks import Small
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference import Backend, Converted, Example, accelerate, choice, identity
from vidsuite_core.inference.registry import Candidate, candidates
from vidsuite_core.inference.torch_backends import Eager
from vidsuite_core.support.cache import network_cache

X = torch.randn(1, 3, 8, 8)


class Slow(Converted):
    """The plain network after some seconds, its results changed by some share."""

    def __init__(self, example: Example, seconds: float, off: float, stored: bytes | None = None) -> None:
        self.example, self.seconds, self.off, self.stored = example, seconds, off, stored

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        time.sleep(self.seconds)
        return [tensor * (1 + self.off) for tensor in self.example.network(*tensors)]

    def blob(self) -> bytes | None:
        return self.stored


class Made(Backend):
    """A back end of a test's making, which notes what it is asked for."""

    def __init__(self, seconds: float = 0.0, off: float = 0.0, fault: str = "", stored: bytes | None = None) -> None:
        self.seconds, self.off, self.fault, self.stored = seconds, off, fault, stored
        self.asked: list[str] = []

    def convert(self, example: Example, precision: str) -> Converted:
        self.asked.append("convert")
        if self.fault:
            raise RuntimeError(self.fault)
        return Slow(example, self.seconds, self.off, self.stored)

    def restore(self, blob: bytes, example: Example, precision: str) -> Converted:
        self.asked.append("restore")
        if blob != b"whole":
            raise ValueError("torn")
        return Slow(example, self.seconds, self.off, blob)


def use(monkeypatch: pytest.MonkeyPatch, **backends: Backend) -> None:
    found = [Candidate(name, True, backend) for name, backend in backends.items()]
    monkeypatch.setattr(choice, "candidates", lambda device: found)
    monkeypatch.setattr(choice, "find_backend", lambda name, device: next(one for one in found if one.name == name))


def test_the_fastest_that_is_equal_is_taken_and_the_others_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, wrong, broken = Made(0.001), Made(0.0, off=0.01), Made(fault="no rule for\n  operator X")
    use(monkeypatch, slow=Made(0.02), broken=broken, wrong=wrong, fast=fast)
    found = accelerate(Small(), X, precision="fp32")
    assert found.backend == "fast"
    told = {trial.backend: trial for trial in found.trials}
    assert list(told) == ["slow", "broken", "wrong", "fast"]
    assert told["broken"].reason == "RuntimeError: no rule for operator X"
    assert "its results differ by" in told["wrong"].reason
    assert told["wrong"].seconds is None
    assert 0.001 <= told["fast"].seconds < 0.02 <= told["slow"].seconds
    assert told["fast"].largest == 0


def test_a_back_end_that_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Candidate("absent", True, None, "the package x is not installed")
    monkeypatch.setattr(choice, "candidates", lambda device: [Candidate("eager", True, Eager()), absent])
    trials = {trial.backend: trial.reason for trial in accelerate(Small(), X, precision="fp32").trials}
    assert trials == {"eager": "", "absent": "the package x is not installed"}


def test_the_one_that_was_asked_for_is_taken_or_its_reason_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, eager=Eager(), slow=Made(0.01), wrong=Made(off=0.01), broken=Made(fault="no rule"))
    assert accelerate(Small(), X, precision="fp32", backend="slow").backend == "slow"
    with pytest.raises(VidsuiteError, match=r"Small: no back end runs it in fp32 as asked \(broken: RuntimeError: no"):
        accelerate(Small(), X, precision="fp32", backend="broken")
    with pytest.raises(VidsuiteError, match=r"wrong: its results differ by .* over 0\.0001\); take backend='auto'"):
        accelerate(Small(), X, precision="fp32", backend="wrong")


def test_where_none_is_near_in_bf16_auto_precision_is_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    class FarInBf16(Made):
        def convert(self, example: Example, precision: str) -> Converted:
            return Slow(example, 0, 0.5 if precision == "bf16" else 0)

    use(monkeypatch, one=FarInBf16())
    monkeypatch.setattr(choice, "native_bf16", lambda device: True)
    found = accelerate(Small(), X)
    assert found.path == "one-fp32"
    assert [trial.precision for trial in found.trials] == ["bf16", "fp32"]
    with pytest.raises(VidsuiteError, match="in norm from the plain network's"):
        accelerate(Small(), X, precision="bf16")


# --- memory -----------------------------------------------------------------------------------------------


def test_the_choice_and_the_converted_network_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    network, fast, slow = Small(), Made(stored=b"whole"), Made(0.01)
    use(monkeypatch, slow=slow, fast=fast)
    first = accelerate(network, X, precision="fp32")
    assert accelerate(network, X, precision="fp32")._latest is first._latest  # within a process it stays ready
    choice.forget()
    again = accelerate(network, X, precision="fp32")
    assert (slow.asked, fast.asked) == (["convert"], ["convert", "restore"])
    assert again.trials == first.trials
    assert torch.equal(again(X), first(X))


def test_what_cannot_be_restored_is_converted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network, torn = Small(), Made(stored=b"half")
    use(monkeypatch, torn=torn)
    for _ in range(2):
        choice.forget()
        accelerate(network, X, precision="fp32")
    assert torn.asked == ["convert", "restore", "convert"]


def test_a_damaged_entry_counts_as_none(own_cache: Path) -> None:
    network = Small()
    before = accelerate(network, X, precision="fp32", backend="openvino")(X)
    for path in own_cache.rglob("*.npz"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    choice.forget()
    assert torch.equal(accelerate(network, X, precision="fp32", backend="openvino")(X), before)


def test_openvino_takes_up_what_it_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsuite_core.inference import openvino_backend

    network = Small()
    before = accelerate(network, X, precision="fp32", backend="openvino", varying={0: (0,)})(X)
    choice.forget()
    monkeypatch.setattr(openvino_backend, "_traced", None)  # converting would fail
    again = accelerate(network, X, precision="fp32", backend="openvino", varying={0: (0,)})
    assert torch.equal(again(X), before)
    assert again(torch.randn(3, 3, 8, 8)).shape == (3, 4, 8, 8)


def test_other_weights_are_compared_again_but_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = Made(stored=b"whole"), Made(0.01)
    use(monkeypatch, slow=slow, fast=fast)
    accelerate(Small(), X, precision="fp32")
    monkeypatch.setattr(choice, "_timed", None)
    other = Small()
    found = accelerate(other, X, precision="fp32")
    assert (slow.asked, fast.asked) == (["convert"], ["convert", "convert"])
    assert difference_is_none(found(X), other.eval()(X))
    fast.off = 0.5  # for these weights it is not equal
    assert accelerate(Small(), X, precision="fp32").backend == "slow"


def difference_is_none(found: Tensor, expected: Tensor) -> bool:
    return torch.equal(found, expected)


def test_keeping_the_choice_alone_writes_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = Made(stored=b"whole"), Made(0.01)
    use(monkeypatch, slow=slow, fast=fast)
    network = Small()
    for _ in range(2):
        choice.forget()
        accelerate(network, X, precision="fp32", keep="choice")
    assert (slow.asked, fast.asked) == (["convert"], ["convert", "convert"])
    assert network_cache().size()[0] == 1


@pytest.mark.parametrize("change", ["threads", "shape", "type", "version", "setting"])
def test_under_other_conditions_all_is_chosen_anew(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, one = Small(), Made()
    use(monkeypatch, one=one)
    accelerate(network, X, precision="fp32")
    x = X
    if change == "threads":
        torch.set_num_threads(2)
    elif change == "shape":
        x = torch.randn(1, 3, 8, 9)
    elif change == "type":
        network, x = network.double(), X.double()
    elif change == "version":
        monkeypatch.setattr(Made, "version", "2")
    elif change == "setting":
        network.conv.padding = (1, 1)
        network.eps = 3
    keys = list(network_cache()._entries())
    accelerate(network, x, precision="fp32")
    assert len(list(network_cache()._entries())) == 2 * len(keys)


def test_what_cannot_be_told_by_its_value_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, one=Made())
    with_closure, with_hook = Small(), Small()
    with_closure.activation = lambda x: x
    with_hook.conv.register_forward_hook(lambda *_: None)
    for network in (with_closure, with_hook):
        assert identity.structure(network) is None
        accelerate(network, X, precision="fp32")
    assert network_cache().size() == (0, 0)


def test_identities() -> None:
    assert identity.structure(Small()) == identity.structure(Small())
    assert identity.structure(Small(4)) != identity.structure(Small(5))
    assert identity.structure(nn.Sequential(nn.ReLU())) != identity.structure(nn.Sequential(nn.GELU()))
    one, other = Small(), Small()
    assert identity.weights(one) != identity.weights(other)
    other.load_state_dict(one.state_dict())
    assert identity.weights(one) == identity.weights(other)
    one.register_buffer("hidden", torch.zeros(2), persistent=False)
    other.register_buffer("hidden", torch.ones(2), persistent=False)
    assert identity.weights(one) != identity.weights(other)


def test_the_code_behind_a_network_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x * {}\n"
    command = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from written_net import Net; "
        "from vidsuite_core.inference import identity; print(identity.structure(Net()))"
    )
    found = []
    for factor in (2, 2, 3):
        (tmp_path / "written_net.py").write_text(text.format(factor))
        done = subprocess.run([sys.executable, "-B", "-c", command], capture_output=True, text=True, check=True)
        found.append(done.stdout)
    assert found[0] == found[1] != found[2]


def test_processes_at_once_do_not_disturb_each_other(own_cache: Path) -> None:
    """Four processes on one cache: each has the results, and what they leave is whole."""
    command = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); from networks import Small\n"
        "from vidsuite_core.inference import accelerate\n"
        "torch.set_num_threads(1); torch.manual_seed(0); network = Small().eval(); x = torch.randn(1, 3, 8, 8)\n"
        "fast = accelerate(network, x, precision='fp32', backend='openvino')\n"
        "assert (fast(x) - network(x)).abs().max() < 1e-5"
    )
    here = str(Path(__file__).parent)
    running = [subprocess.Popen([sys.executable, "-c", command, here]) for _ in range(4)]
    assert [process.wait(timeout=300) for process in running] == [0] * 4
    assert network_cache().size()[0] == 2
    assert not list(own_cache.rglob("*.tmp*"))


def test_a_third_partys_back_end_is_found_by_its_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsuite_core.inference import registry
    from vidsuite_core.plugins import Registered
    from vidsuite_core.specs import BackendSpec

    rows = [
        Registered(
            "core", BackendSpec(name="eager", summary="", builder="vidsuite_core.inference.torch_backends:Eager")
        ),
        Registered("paper", BackendSpec(name="made", summary="", builder=f"{__name__}:Made")),
        Registered("paper", BackendSpec(name="torn", summary="", builder="no_such_module:Made")),
        Registered("paper", BackendSpec(name="rt", summary="", builder=f"{__name__}:Made", devices=("cuda",))),
    ]
    monkeypatch.setattr(registry, "_registered", lambda: {row.key: row for row in rows})
    assert {one.name: one.missing[:11] for one in candidates("cpu")} == {
        "eager": "",
        "paper/made": "",
        "paper/torn": "cannot load",
    }
    assert accelerate(Small(), X, precision="fp32", backend="made").backend == "paper/made"
    with pytest.raises(UsageError, match="back end 'torn' cannot be used: cannot load"):
        accelerate(Small(), X, backend="torn")
    assert accelerate(Small(), X, precision="fp32").backend in ("eager", "paper/made")

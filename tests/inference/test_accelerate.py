"""`accelerate`: the network's own results by every back end, frozen, for nested values and states, of varying sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import Nested, OfItsLength, Overwriting, Pair, Recurrent, Remembering, Small
from torch import nn

from vidsuite_core.errors import UsageError
from vidsuite_core.inference import accelerate
from vidsuite_core.inference.choice import native_bf16
from vidsuite_core.inference.equality import difference
from vidsuite_core.inference.registry import candidates

HERE = [one.name for one in candidates("cpu") if one.automatic and one.backend is not None]
COMPILED = {one.name: one.missing for one in candidates("cpu")}["compiled"]


def test_all_built_in_back_ends_of_a_cpu_are_tested() -> None:
    assert HERE == ["eager", "channels_last", "openvino"]


@pytest.mark.slow
@pytest.mark.skipif(bool(COMPILED), reason=COMPILED)
def test_torch_compile_is_one_on_request() -> None:
    network, x = Nested().eval(), torch.randn(1, 3, 16, 24)
    more = {"bias": [torch.randn(1), torch.arange(3)]}
    fast = accelerate(network, (x, more), precision="fp32", backend="compiled")
    with torch.no_grad():
        assert difference(fast(x, more)["maps"], network(x, more)["maps"]).within("fp32")


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_results_are_the_networks(backend: str, precision: str) -> None:
    network, x = Small(), torch.randn(2, 3, 20, 30)
    fast = accelerate(network, x, precision=precision, backend=backend)
    network.eval()
    with torch.no_grad():
        expected, found = network(x), fast(x)
    assert fast.path == f"{backend}-{precision}"
    assert found.dtype == torch.float32
    assert not found.requires_grad
    off = difference([found], [expected])
    assert off.within(precision)
    assert (off.largest > 1e-5) == (precision == "bf16")


@pytest.mark.parametrize("backend", HERE)
def test_nested_values_keep_their_form(backend: str) -> None:
    network, x = Nested().eval(), torch.randn(1, 3, 16, 24)
    more = {"bias": [torch.randn(1), torch.arange(3)]}
    fast = accelerate(network, {"x": x, "more": more, "scale": 2.0}, precision="fp32", backend=backend)
    with torch.no_grad():
        expected = network(x, more, scale=2.0)
    for _ in range(2):
        found = fast(x=x, more=more, scale=2.0)
        assert list(found) == list(expected)
        assert isinstance(found["maps"], Pair)
        assert found["scale"] == 2.0
        assert found["classes"][1] is None
        assert found["classes"][0].dtype == torch.int64
        assert torch.equal(found["more"][0], more["bias"][1])
        assert difference(found["maps"], expected["maps"]).within("fp32")
        assert torch.equal(found["classes"][0], expected["classes"][0])
    assert fast(x=x, more=more, scale=3.0)["scale"] == 3.0  # another constant is another computation
    torch.testing.assert_close(fast(x=x, more=more, scale=3.0)["maps"].large, expected["maps"].large * 1.5)


@pytest.mark.parametrize("backend", HERE)
def test_a_network_with_a_memory_passes_its_state(backend: str) -> None:
    network = Recurrent().eval()
    expected_state = state = {"memory": torch.zeros(1, 4, 12, 10)}
    fast = accelerate(network, (torch.randn(1, 3, 12, 10), state), precision="fp32", backend=backend)
    for _ in range(5):
        frame = torch.randn(1, 3, 12, 10)
        with torch.no_grad():
            expected, expected_state = network(frame, expected_state)
        found, state = fast(frame, state)
        assert difference([found, state["memory"]], [expected, expected_state["memory"]]).within("fp32")


@pytest.mark.parametrize("backend", HERE)
def test_it_is_a_frozen_copy(backend: str) -> None:
    network, x = Small().train(), torch.randn(1, 3, 8, 8)
    fast = accelerate(network, x, precision="fp32", backend=backend)
    before = fast(x)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    for tensor in network.state_dict().values():
        tensor.zero_()
    assert torch.equal(fast(x), before)
    nn.Linear(8, 1)(before).sum().backward()  # what it gives can train something else


@pytest.mark.parametrize("backend", HERE)
def test_results_are_the_callers_own(backend: str) -> None:
    fast = accelerate(Small(), torch.randn(1, 3, 8, 8), precision="fp32", backend=backend)
    first = fast(torch.randn(1, 3, 8, 8))
    kept = first.clone()
    fast(torch.randn(1, 3, 8, 8))
    assert torch.equal(first, kept)


def test_other_shapes_are_chosen_for_anew_and_stay_ready() -> None:
    network = Small().eval()
    fast = accelerate(network, torch.randn(1, 3, 8, 8), precision="fp32")
    for size in [(1, 3, 8, 9), (2, 3, 8, 8), (1, 3, 8, 9)]:
        x = torch.randn(size)
        with torch.no_grad():
            assert difference([fast(x)], [network(x)]).within("fp32")
    assert len(fast._ready) == 3
    for width in range(10, 20):
        fast(torch.randn(1, 3, 8, width))
    assert len(fast._ready) == 8


@pytest.mark.parametrize("backend", HERE)
def test_axes_that_vary_are_served_by_one_conversion(backend: str) -> None:
    network = Small().eval()
    fast = accelerate(network, torch.randn(1, 3, 8, 9), precision="fp32", backend=backend, varying={0: (0, 3)})
    for batch, width in [(1, 9), (3, 5), (2, 16), (1, 1)]:
        x = torch.randn(batch, 3, 8, width)
        with torch.no_grad():
            assert difference([fast(x)], [network(x)]).within("fp32")
    assert len(fast._ready) == (backend != "eager")


def test_a_trace_that_holds_for_one_length_alone_is_found_out() -> None:
    x = torch.randn(8, 3)
    fast = accelerate(OfItsLength(), x, precision="fp32", varying={0: (0,)})
    assert fast.backend in ("eager", "channels_last")
    (reason,) = [trial.reason for trial in fast.trials if trial.backend == "openvino"]
    assert reason.startswith("its results differ by ")
    assert torch.equal(fast(x[:3]), x[:3].cumsum(dim=0))
    assert accelerate(OfItsLength(), x, precision="fp32", backend="openvino").backend == "openvino"  # for this length


def test_auto_precision_is_bf16_only_where_the_processor_multiplies_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, precision in [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert native_bf16(torch.device("cpu")) == (precision == "bf16")
        assert accelerate(Small(), torch.randn(1, 3, 8, 8)).precision == precision


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp16"}, "precision 'fp16' is none of auto, fp32, bf16"),
        ({"backend": "openwino"}, "no back end 'openwino'; did you mean 'openvino'"),
        ({"backend": "cuda_graphs"}, "back end 'cuda_graphs' is for cuda, not for cpu"),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        accelerate(Small(), torch.randn(1, 3, 8, 8), **options)


def test_what_no_back_end_can_pass_is_refused() -> None:
    with pytest.raises(UsageError, match="a set cannot pass a back end"):
        accelerate(Small(), ({1, 2},))
    with pytest.raises(UsageError, match="Overwriting: it writes into its inputs"):
        accelerate(Overwriting(), torch.randn(1, 3, 8, 8), precision="fp32")
    for backend in ("auto", "openvino"):
        with pytest.raises(UsageError, match="Remembering: it gives other results when it is called again"):
            accelerate(Remembering(), torch.randn(1, 3, 8, 8), precision="fp32", backend=backend)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["eager", "channels_last", "cuda_graphs"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_results_are_the_networks_on_a_gpu(backend: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = Recurrent().eval().cuda()
    expected_state = state = {"memory": torch.zeros(1, 4, 12, 10, device="cuda")}
    example = (torch.randn(1, 3, 12, 10, device="cuda"), state)
    fast = accelerate(network, example, device="cuda", precision=precision, backend=backend, varying={0: (2,), 1: (2,)})
    for size in [12, 12, 16, 12]:
        frame = torch.randn(1, 3, size, 10, device="cuda")
        if frame.shape[2] != state["memory"].shape[2]:
            expected_state = state = {"memory": torch.zeros(1, 4, size, 10, device="cuda")}
        with torch.no_grad():
            expected, expected_state = network(frame, expected_state)
        found, state = fast(frame, state)
        assert difference([found], [expected]).within(precision)
    assert fast.path == f"{backend}-{precision}"

"""OpenVINO on a CPU: the network traced by torch, then folded, fused and planned by OpenVINO.

`openvino.tools.ovc`, and so the import of openvino, loads the package `openvino_telemetry`, which sends events of usage
without asking. Where that package cannot be imported openvino uses a silent stub of its own: so it is made unimportable
before openvino is first imported, and nothing is sent.
"""

from __future__ import annotations

import io
import sys
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference.base import Backend, Converted, Example, Precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TELEMETRY = "openvino_telemetry"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVino(Backend):
    """See the module."""

    def missing(self, device: str) -> str:
        """See `Backend`."""
        if device != "cpu":
            return "it is used on the CPU alone"
        if "openvino" not in sys.modules and find_spec("openvino") is None:
            return "the package openvino is not installed; 'pip install openvino'"
        if _sends():
            return (
                "openvino was imported before vidsuite in this process, with its telemetry; import "
                "vidsuite_core.inference.openvino_backend and call import_silently() first"
            )
        return ""

    @property
    def version(self) -> str:
        """See `Backend`."""
        try:
            return version("openvino")
        except PackageNotFoundError:
            return ""

    def convert(self, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        openvino = import_silently()
        model = openvino.convert_model(_traced(example))
        if len(model.inputs) != len(example.tensors):
            raise VidsuiteError(f"it kept {len(model.inputs)} of the network's {len(example.tensors)} inputs")
        shapes = {
            port: openvino.PartialShape([-1 if axis in axes else n for axis, n in enumerate(tensor.shape)])
            for port, tensor, axes in zip(model.inputs, example.tensors, example.varying, strict=True)
        }
        model.reshape(shapes)
        return _Compiled(_core().compile_model(model, "CPU", _options(precision, example.threads)))

    def restore(self, blob: bytes, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        import_silently()
        return _Compiled(_core().import_model(io.BytesIO(blob), "CPU", _options(precision, example.threads)))


def import_silently() -> ModuleType:
    """The package openvino without its telemetry; see the module.

    Raises:
        VidsuiteError: openvino was imported elsewhere in this process, with it.
    """
    if _sends():
        raise VidsuiteError("openvino was imported before vidsuite in this process, and sends events of usage")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    import openvino

    return openvino


def _sends() -> bool:
    """Whether the package that sends events is loaded."""
    return sys.modules.get(_TELEMETRY) is not None


@cache
def _core() -> Any:
    return import_silently().Core()


def _options(precision: Precision, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Processes side by side would all pin their threads to the first cores.
        "ENABLE_CPU_PINNING": False,
    }


def _traced(example: Example) -> torch.jit.ScriptModule:
    """The network as torch's trace, recorded at other lengths of the axes that vary than the example's.

    So what was taken for a constant, though it follows from a length, shows when results on the example are compared.
    One pass is enough: torch's own check of a trace would run the network four times more.
    """
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that Python looks at: what came of it is compared
        try:
            other = tuple(map(_resized, example.tensors, example.varying))
            return torch.jit.trace(example.network, other, check_trace=False, strict=False)
        except Exception:
            if not any(example.varying):
                raise
            return torch.jit.trace(example.network, example.tensors, check_trace=False, strict=False)


def _resized(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """`tensor` with about half of each of `axes`, or two where there is one; even where it was odd, and the reverse."""
    import torch

    for axis in axes:
        length = tensor.shape[axis]
        if length == 1:
            tensor = torch.cat([tensor, tensor], dim=axis)
        else:
            half = max(length // 2, 1)
            tensor = tensor.narrow(axis, 0, half + (half % 2 == length % 2 and half + 1 < length))
    return tensor


class _Compiled(Converted):
    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.request = compiled.create_infer_request()
        self.lock = threading.Lock()  # a request serves one call at a time

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        import torch

        inputs = [tensor.detach().contiguous().numpy() for tensor in tensors]
        with self.lock:
            found = self.request.infer(inputs, share_inputs=True)
            return [torch.from_numpy(found[index]) for index in range(len(self.compiled.outputs))]

    def blob(self) -> bytes | None:
        stream = self.compiled.export_model()
        return stream if isinstance(stream, bytes) else stream.getvalue()

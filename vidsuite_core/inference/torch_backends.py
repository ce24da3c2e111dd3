"""Back ends that are torch itself: eagerly, with channels last in memory, compiled, or as a CUDA graph.

Importing this module is cheap: `Backend.missing` is asked for lists. In bfloat16 all of them run under torch's
autocast, which leaves in float32 what loses too much, and whatever the network itself guards from it.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vidsuite_core.inference.base import Backend, Converted, Example, Precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_WARM_UP = 3
"""Passes before a graph is captured, in which libraries choose their kernels."""
_GRAPHS = 4
"""Shapes of a varying input whose graphs are held at once."""


class Eager(Backend):
    """The network as it is written."""

    def convert(self, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        return _Eager(example.network, example.device, precision)


class ChannelsLast(Backend):
    """Weights and inputs with channels last, which libraries of convolutions reorder nothing for."""

    def convert(self, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        network = copy.deepcopy(example.network)
        for parameter in network.parameters():
            parameter.data = channels_last(parameter.data)
        return _ChannelsLast(network, example.device, precision)


class Compiled(Backend):
    """torch.compile."""

    def missing(self, device: str) -> str:
        """See `Backend`."""
        if device == "cpu" and not shutil.which(os.environ.get("CXX", "")) and not any(map(shutil.which, _COMPILERS)):
            return f"no C++ compiler ({', '.join(_COMPILERS)}) is on the path; install one"
        if device != "cpu" and find_spec("triton") is None:
            return "the package triton is not installed"
        return ""

    def convert(self, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        import torch

        dynamic = any(example.varying)
        converted = _Eager(torch.compile(copy.deepcopy(example.network), dynamic=dynamic), example.device, precision)
        with torch.no_grad():
            converted(example.tensors)  # compiles, so that what cannot be compiled is known now
        return converted


_COMPILERS = ("g++", "clang++", "cl")


class CudaGraphs(Backend):
    """One CUDA graph a shape: no launch of a kernel waits for Python."""

    def convert(self, example: Example, precision: Precision) -> Converted:
        """See `Backend`."""
        converted = _Graphs(ChannelsLast().convert(example, precision))
        converted.capture(example.tensors)
        return converted


def channels_last(tensor: Tensor) -> Tensor:
    """Images (B, C, H, W) and videos (B, C, T, H, W) with channels last in memory; others as they are."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats[tensor.ndim]) if tensor.ndim in formats else tensor


class _Eager(Converted):
    def __init__(self, network: Callable[..., Sequence[Tensor]], device: torch.device, precision: Precision) -> None:
        self.network, self.device, self.precision = network, device, precision

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        with self._autocast():
            return self.network(*tensors)

    def _autocast(self) -> AbstractContextManager[object]:
        import torch

        # Without autocast's own cache of weights, which a captured graph would read after it is gone.
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False)


class _ChannelsLast(_Eager):
    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        found = super().__call__([channels_last(tensor) for tensor in tensors])
        return [tensor.contiguous() for tensor in found]


class _Graphs(Converted):
    """Graphs of another converted network, by shape; the one that was not used for longest makes room for a new one."""

    def __init__(self, converted: Converted) -> None:
        self.converted = converted
        self.graphs: OrderedDict[tuple[torch.Size, ...], _Graph] = OrderedDict()

    def capture(self, tensors: Sequence[Tensor]) -> _Graph:
        """The graph for inputs of these shapes."""
        shapes = tuple(tensor.shape for tensor in tensors)
        graph = self.graphs.pop(shapes, None) or _Graph(self.converted, tensors)
        self.graphs[shapes] = graph
        if len(self.graphs) > _GRAPHS:
            self.graphs.popitem(last=False)
        return graph

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.capture(tensors).replay(tensors)


class _Graph:
    def __init__(self, converted: Converted, tensors: Sequence[Tensor]) -> None:
        import torch

        self.inputs = [tensor.clone() for tensor in tensors]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                converted(self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            self.outputs = converted(self.inputs)

    def replay(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        for own, given in zip(self.inputs, tensors, strict=True):
            own.copy_(given)
        self.graph.replay()
        return [tensor.clone() for tensor in self.outputs]

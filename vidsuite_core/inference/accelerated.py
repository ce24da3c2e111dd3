"""A network that runs as fast as it can here: what `vidsuite_core.inference.accelerate` gives."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference.base import Example, Inference
from vidsuite_core.inference.choice import Chosen, Trial, choose
from vidsuite_core.inference.flat import FlatNetwork, Form, flatten

Keep = Literal["converted", "choice"]
_FORMS = 8
"""Shapes of inputs that are held ready at once; the one that was not used for longest makes room for a new one."""


@dataclass(frozen=True)
class Settings:
    """How to accelerate; see `vidsuite_core.inference.accelerate`."""

    device: torch.device
    inference: Inference
    varying: Mapping[int, tuple[int, ...]]
    keep: Keep

    @classmethod
    def of(
        cls, device: str | torch.device, inference: Inference, varying: Mapping[int, Sequence[int]], keep: Keep
    ) -> Settings:
        """From what a caller says."""
        return cls(torch.device(device), inference, {number: tuple(axes) for number, axes in varying.items()}, keep)


class Accelerated:
    """See `vidsuite_core.inference.accelerate`."""

    def __init__(
        self, network: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], settings: Settings
    ) -> None:
        try:
            frozen = copy.deepcopy(network)
        except (RuntimeError, TypeError) as error:  # torch refuses to copy what hangs on a graph of gradients
            raise UsageError(f"{type(network).__name__} cannot be copied: {error}") from error
        frozen.eval()  # some networks' own `train` return nothing
        self._network = frozen.requires_grad_(False).to(settings.device)
        self._settings = settings
        self._ready: OrderedDict[Any, Chosen] = OrderedDict()
        self._latest: Chosen | None = None
        tensors, form = flatten((args, dict(kwargs)))
        if not settings.inference.is_plain:
            self._latest = self._of(tensors, form)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the network."""
        with torch.no_grad():
            if self._settings.inference.is_plain:
                return self._network(*args, **kwargs)
            tensors, form = flatten((args, kwargs))
            self._latest = chosen = self._of(tensors, form)
            return chosen.outputs.build(iter(chosen.converted(tensors)))

    @property
    def backend(self) -> str:
        """Name of the back end that the last call ran by, at first the one of the example."""
        return self._latest.trial.backend if self._latest else "eager"

    @property
    def precision(self) -> str:
        """Precision of the last call: "fp32" or "bf16"."""
        return self._latest.trial.precision if self._latest else "fp32"

    @property
    def path(self) -> str:
        """Both, as "openvino-fp32": what to record with whatever is measured."""
        return f"{self.backend}-{self.precision}"

    @property
    def trials(self) -> Sequence[Trial]:
        """What was tried for the shapes of the last call, and why what was not taken was not."""
        return self._latest.trials if self._latest else ()

    def _of(self, tensors: list[Tensor], form: Form) -> Chosen:
        """What runs inputs of these shapes; chosen now where none is ready."""
        signature = (form, tuple(map(self._shape, range(len(tensors)), tensors)))
        found = self._ready.get(signature)
        if found is None:
            found = self._ready[signature] = self._choose(tensors, form)
            if len(self._ready) > _FORMS:
                self._ready.popitem(last=False)
        self._ready.move_to_end(signature)
        return found

    def _shape(self, number: int, tensor: Tensor) -> tuple[int, ...]:
        axes = self._settings.varying.get(number, ())
        return tuple(-1 if axis in axes else length for axis, length in enumerate(tensor.shape))

    def _choose(self, tensors: list[Tensor], form: Form) -> Chosen:
        device = self._settings.device
        elsewhere = [tensor.device for tensor in tensors if tensor.device.type != device.type]
        if elsewhere:
            raise UsageError(f"an input is on {elsewhere[0]} and the network on {device}; move one of them")
        example = Example(
            FlatNetwork(self._network, form),
            tuple(tensor.detach() for tensor in tensors),
            tuple(self._settings.varying.get(number, ()) for number in range(len(tensors))),
            device,
            torch.get_num_threads(),
        )
        try:
            return choose(example, self._settings.inference, self._settings.keep == "converted")
        except VidsuiteError as error:
            raise type(error)(f"{type(self._network).__name__}: {error}") from error

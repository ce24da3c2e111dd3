"""Nested arguments and results as flat lists of tensors, which is what converters take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError

_CONSTANTS = (int, float, bool, str, type(None))
_KINDS: dict[str, type] = {"tuple": tuple, "list": list, "dict": dict}


@dataclass(frozen=True)
class Form:
    """The form of a nested value: all of it but its tensors' numbers.

    Attributes:
        kind: "tensor", "constant", or the container's type.
        value: a tensor's type of numbers, a constant, or a mapping's keys.
        parts: of a container.
    """

    kind: str | type
    value: Any = None
    parts: tuple[Form, ...] = ()

    def build(self, tensors: Iterator[Tensor]) -> Any:
        """The nested value with `tensors` in it, in order; they are given the types that the form has."""
        if self.kind == "tensor":
            return next(tensors).to(self.value)
        if isinstance(self.kind, str):
            return self.value
        parts = [part.build(tensors) for part in self.parts]
        if self.value is not None:
            return self.kind(zip(self.value, parts, strict=True))
        return self.kind(*parts) if hasattr(self.kind, "_fields") else self.kind(parts)

    def to_json(self) -> Any:
        """In JSON's types; None for other containers than tuple, list and dict, which no file tells how to build."""
        if self.kind == "tensor":
            return ["tensor", str(self.value).removeprefix("torch."), []]
        if self.kind == "constant":
            return ["constant", self.value, []]
        name = next((name for name, kind in _KINDS.items() if kind is self.kind), None)
        parts = [part.to_json() for part in self.parts]
        keys = self.value and list(self.value)
        if name is None or None in parts or (keys and not all(isinstance(key, str) for key in keys)):
            return None
        return [name, keys, parts]

    @classmethod
    def from_json(cls, data: Any) -> Form:
        """What `to_json` gave."""
        name, value, parts = data
        if name == "tensor":
            return cls("tensor", getattr(torch, value))
        if name == "constant":
            return cls("constant", value)
        return cls(_KINDS[name], value and tuple(value), tuple(cls.from_json(part) for part in parts))


def flatten(value: Any) -> tuple[list[Tensor], Form]:
    """The tensors of a nested value, in order, and its form.

    Raises:
        UsageError: something in it is neither a tensor nor a plain value in tuples, lists and dicts.
    """
    if isinstance(value, Tensor):
        return [value], Form("tensor", value.dtype)
    if isinstance(value, _CONSTANTS):
        return [], Form("constant", value)
    if isinstance(value, Mapping):
        keys, items = tuple(value), list(value.values())
    elif isinstance(value, tuple | list):
        keys, items = None, list(value)
    else:
        raise UsageError(
            f"a {type(value).__name__} cannot pass a back end; let the network take and give tensors, and plain "
            "values, in tuples, lists and dicts"
        )
    found = [flatten(item) for item in items]
    return [tensor for tensors, _ in found for tensor in tensors], Form(type(value), keys, tuple(f for _, f in found))


class FlatNetwork(nn.Module):
    """A network whose call takes tensors and gives a tuple of tensors.

    Args:
        network: the nested one.
        inputs: form of `(args, kwargs)`.

    Attributes:
        outputs: form of what it gave when it was first called.
    """

    def __init__(self, network: nn.Module, inputs: Form) -> None:
        super().__init__()
        self.network = network
        self.inputs = inputs
        self.outputs: Form | None = None

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors in the order of `inputs` -> tensors in the order of `outputs`."""
        args, kwargs = self.inputs.build(iter(tensors))
        found, form = flatten(self.network(*args, **kwargs))
        self.outputs = self.outputs or form
        return tuple(found)


def arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One call's arguments as `accelerate` takes them -> (args, kwargs)."""
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, Sequence):
        return tuple(example_inputs), {}
    return (example_inputs,), {}

"""What two networks must share for one to be run as the other: their structure with its code, and their weights."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from functools import cache
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from vidsuite_core.support.code import UNKNOWN, sources_of
from vidsuite_core.support.environment import LIBRARIES, software

_sources = cache(sources_of)  # one package has many modules, and does not change in a process
_OF_MODULES = set(vars(nn.Module())) | {"training"}


def structure(network: nn.Module) -> str | None:
    """sha256 (hex) of all that a network computes but its weights: modules, their settings, the code behind them.

    None where something in it cannot be told by its value, or its code lies in no file: it is not to be remembered.
    """
    total = hashlib.sha256()
    origins = {"vidsuite_core.inference"}
    for name, module in network.named_modules():
        kind = type(module)
        origins.add(kind.__module__)
        try:
            settings = _settings(module)
        except _NotTold:
            return None
        total.update(repr((name, kind.__module__, kind.__qualname__, module.extra_repr(), settings)).encode())
    for name, tensor in _tensors(network):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
    ours = (origin for origin in origins if origin.partition(".")[0] not in LIBRARIES)
    sources = {_sources(origin) for origin in ours}
    if UNKNOWN in sources:
        return None
    total.update(repr(sorted(sources)).encode())
    total.update(repr(sorted(software().items())).encode())
    return total.hexdigest()


def weights(network: nn.Module) -> str:
    """sha256 (hex) of all parameters and buffers, those that no state dict holds among them."""
    total = hashlib.sha256()
    for name, tensor in _tensors(network):
        total.update(f"{name}\n".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


class _NotTold(Exception):
    """A value that cannot be told from another of its kind."""


def _settings(module: nn.Module) -> list[tuple[str, str]]:
    if module._forward_hooks or module._forward_pre_hooks:
        raise _NotTold
    return [(name, _told(value)) for name, value in sorted(vars(module).items()) if name not in _OF_MODULES]


def _told(value: Any) -> str:
    """A text that differs where values differ; raises `_NotTold` where there is none."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        if "<" in value.__qualname__:  # <lambda> and <locals>: many have one name
            raise _NotTold
        return f"{value.__module__}.{value.__qualname__}"
    try:
        return hashlib.sha256(pickle.dumps(value)).hexdigest()
    except Exception as error:
        raise _NotTold from error

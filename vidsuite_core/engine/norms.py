"""Batch norm as it is scored: its running statistics, settled on training data.

Running statistics trail the weights, and at a small momentum or after few steps they are still half of what they began
as: a network is then scored by numbers that no batch ever had. So they are computed anew from training batches with
the weights as they are, before each validation and before the final predictions, as torch's `update_bn` does: the mean
over batches of their means and variances. Unlike that function this leaves alone what training leaves alone, layers
that are frozen or that no batch reaches, and takes a model's own `train_step` for the way through it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidsuite_core.engine.ranks import unwrapped


@dataclass(frozen=True)
class Settled:
    """What was done: the layers whose statistics were settled, and the batches that they come from."""

    layers: int
    batches: int


class SettleHook(Hook):
    """Settles statistics before each validation, so that what chooses sees the network as it would be scored."""

    priority = "HIGHEST"

    def __init__(self, settle: Callable[[Runner], Any]) -> None:
        self.settle = settle

    def before_val_epoch(self, runner: Runner) -> None:
        """See mmengine's Hook."""
        self.settle(runner)


class Settler:
    """Settles a runner's network; `done` is what it did last.

    Args:
        loader: config of a data loader of training batches, as mmengine builds it.
        batches: how many of them at most; never more than go through the data once.
        seed: of whatever is drawn on the way; the state of random numbers is left as it was.
    """

    def __init__(self, loader: dict[str, Any], batches: int, seed: int) -> None:
        self._config, self._batches, self._seed = loader, batches, seed
        self._loader: Any = None
        self.done: Settled | None = None

    def __call__(self, runner: Runner) -> Settled | None:
        """Settle the network's statistics; None where it trains no batch norm, or none is asked for."""
        network: Any = unwrapped(runner.model)
        layers = trained_layers(network)
        if not layers:
            return None
        if not self._batches:
            share(layers)  # what is scored is to be one network, though each rank saw other batches
            return None
        self._loader = self._loader or Runner.build_dataloader(self._config, seed=self._seed)
        count = min(self._batches, one_pass(self._loader))
        step = _Forward(runner.optim_wrapper)
        with _kept_random_state(), _kept_buffers(network, layers):
            set_random_seed(self._seed)
            reached = settle(layers, lambda: [network.train_step(batch, step) for batch in islice(self._loader, count)])
        self.done = Settled(reached, count) if reached else None
        return self.done


def trained_layers(network: nn.Module) -> list[_BatchNorm]:
    """The layers of batch norm whose running statistics training moves; the network is left in training mode."""
    network.train()
    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]


def settle(layers: list[_BatchNorm], run: Callable[[], Any]) -> int:
    """Set the layers' statistics to the mean of those of the batches that `run` sends through them, on all ranks.

    Returns:
        the number of layers that a batch came through; the others keep theirs.
    """
    before = [{name: value.clone() for name, value in layer.named_buffers()} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # so torch takes the mean of all batches
    try:
        with torch.no_grad():
            run()
    finally:
        reached = [layer for layer in layers if layer.num_batches_tracked]
        for layer, momentum, kept in zip(layers, momenta, before, strict=True):
            layer.momentum = momentum
            if layer not in reached:  # a part of the network that is skipped
                layer.load_state_dict(kept, strict=False)
    share(reached)
    return len(reached)


def share(layers: list[_BatchNorm]) -> None:
    """Give the layers of all ranks the mean of their statistics."""
    all_reduce_params([b for layer in layers for b in layer.buffers() if b.is_floating_point()], op="mean")


def one_pass(loader: Any) -> int:
    """The batches that it takes to go through a loader's data once, whether or not it ends."""
    size = loader.batch_size
    return len(loader) if size is None else -(-len(loader.dataset) // (size * get_world_size()))


class _Forward:
    """An optimiser that changes nothing, for a model's own `train_step`: its forward pass is all that is wanted."""

    def __init__(self, wrapper: Any) -> None:
        self.optim_context = wrapper.optim_context

    def update_params(self, *_: Any, **__: Any) -> None:
        """Change nothing."""


@contextmanager
def _kept_buffers(network: nn.Module, layers: list[_BatchNorm]) -> Iterator[None]:
    """Other buffers than the layers' are afterwards what they were: networks keep much in them."""
    of_layers = {id(buffer) for layer in layers for buffer in layer.buffers()}
    kept: list[tuple[Tensor, Tensor]] = [(b, b.clone()) for b in network.buffers() if id(b) not in of_layers]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


@contextmanager
def _kept_random_state() -> Iterator[None]:
    """What is drawn within changes nothing of what is drawn afterwards."""
    kept = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])

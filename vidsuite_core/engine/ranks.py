"""Several processes that run one cell together: torch.distributed as mmengine launches it, and what each is given.

Whoever starts them sets torch's own variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), as torchrun
does, and gives all the same order; rank 0 alone writes to the attempt's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.dist import barrier, get_rank, get_world_size, init_dist, is_distributed
from mmengine.model import is_model_wrapper
from torch import nn
from torch.distributed import init_process_group
from torch.utils.data import ConcatDataset, Sampler

from vidsuite_core.engine.registry import DATA_SAMPLERS
from vidsuite_core.errors import VidsuiteError


def join(device: str) -> None:
    """Meet the other ranks, where the variables of this process say that there are any; once a process."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or is_distributed():
        return
    if device == "cpu":
        init_process_group("gloo")  # mmengine's own way asks for a GPU, whatever the back end
    else:
        init_dist("pytorch", backend="nccl")


@contextmanager
def first() -> Iterator[None]:
    """Rank 0 goes through before the others, who find its work done: what it computes is kept for them in caches."""
    if get_rank():
        barrier()
    yield
    if not get_rank():
        barrier()


def share(batch: int) -> int:
    """This rank's part of a batch, so that all of them train on the batches that one process would.

    Raises:
        VidsuiteError: it cannot be divided evenly.
    """
    if batch % get_world_size():
        raise VidsuiteError(
            f"a batch of {batch} cannot be divided evenly among {get_world_size()} processes; give another "
            "--gpus-per-cell, or another batch size with --cfg-options train_dataloader.batch_size=N"
        )
    return batch // get_world_size()


def unwrapped(model: Any) -> nn.Module:
    """A runner's network itself, without what hands its gradients to other ranks."""
    network: nn.Module = model.module if is_model_wrapper(model) else model
    return network


def wrapper(device: str) -> dict[str, Any]:
    """mmengine's `model_wrapper_cfg`: gradients are shared, and a part that a batch does not reach holds nobody up."""
    options = {"type": "MMDistributedDataParallel", "broadcast_buffers": False, "find_unused_parameters": True}
    return {**options, "device_ids": None} if device == "cpu" else options


def groups_of(dataset: Any) -> list[Sequence[int]]:
    """The places in a dataset that one rank must predict in order: what its `groups()` says, or each by itself."""
    if isinstance(dataset, ConcatDataset):
        starts = [0, *dataset.cumulative_sizes]
        return [
            [start + place for place in group]
            for start, part in zip(starts, dataset.datasets, strict=False)
            for group in groups_of(part)
        ]
    return list(dataset.groups()) if hasattr(dataset, "groups") else [[place] for place in range(len(dataset))]


@DATA_SAMPLERS.register_module()
class WholeGroups(Sampler[int]):
    """All places of a dataset in order, or this rank's share of them: whole groups, about as many places for each rank.

    Frames of a sequence are a group: networks with a memory and scores of streams need them in one place.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        shares: list[list[int]] = [[] for _ in range(get_world_size())]
        for group in sorted(groups_of(dataset), key=len, reverse=True):
            min(shares, key=len).extend(group)
        self.places = sorted(shares[get_rank()])

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

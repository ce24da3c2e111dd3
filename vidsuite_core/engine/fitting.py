"""Models that are no networks: fitted in one go, on all training samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from vidsuite_core.errors import VidsuiteError

Items = Iterable[Mapping[str, Any]]
"""What a torch dataset gives: mappings of `inputs` and `data_samples`."""


def fit_once(model: Any, dataset: Any) -> None:
    """Call a model's own `fit(items)` with all items of a torch dataset, in order, read as they are asked for.

    Raises:
        VidsuiteError: it has no such method.
    """
    if not hasattr(model, "fit"):
        raise VidsuiteError(
            f"{type(model).__name__} has no method fit, and its config no train_cfg; leave train_dataloader out of a "
            "config that only predicts"
        )
    with torch.no_grad():
        model.fit(_items(dataset))


def stacked(items: Items) -> tuple[Tensor, Tensor]:
    """The `inputs` (N, ...) and the labels (N,) of items that are alike in shape."""
    taken = list(items)
    labels = torch.cat([item["data_samples"].gt_label for item in taken])
    return default_collate([item["inputs"] for item in taken]), labels


def _items(dataset: Any) -> Iterator[Mapping[str, Any]]:
    for index in range(len(dataset)):
        yield dataset[index]

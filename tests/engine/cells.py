"""Cells of the toy plugin, run in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vidsuite_core as vs
from vidsuite_core.engine.config import cell_config, parse_options
from vidsuite_core.engine.order import Order
from vidsuite_core.engine.recipe import settle_recipe

PROTOCOL = {"type": "grouped_kfold", "folds": 2, "version": 1}


def toy_config(*options: str, layers: Any = ()) -> dict[str, Any]:
    """The toy's resolved config under `--cfg-options`, checked as a plan checks it."""
    spec = vs.load("toy").models["toy/tiny"].spec
    assert spec.config is not None
    config = cell_config(spec.config, "quick", layers, parse_options(options), "fp32")
    settle_recipe(config, "toy/tiny")
    return config


def toy_order(folder: Path, config: Mapping[str, Any], subjects: int = 4, fold: str = "0", **more: Any) -> Order:
    """An order for a cell of the toy's data, below `folder`; its attempt's folder is `folder/attempt`."""
    dataset = vs.load("toy").datasets["blobs"].prepare(folder / "data", subjects=subjects)
    (folder / "attempt").mkdir(exist_ok=True)
    return Order(
        **{
            "score_key": {
                "protocol": PROTOCOL,
                "fold": fold,
                "dataset": dataset.fingerprint(),
                "config": config,
                "seed": 0,
            },
            "task": "vidsuite_core.tasks.clip_classification:ClipClassification",
            "dataset": "vidsuite_toy.data:Blobs",
            "root": str(folder / "data"),
            "options": {"subjects": subjects},
            "weights": {},
            "device": "cpu",
            "folder": str(folder / "attempt"),
            "cost": False,
            **more,
        }
    )


class Reports(list[tuple[str, int, int]]):
    """What a cell reported."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Keep it."""
        self.append((what, done, total))


def __getattr__(name: str) -> Any:
    """`Normed`, the toy's network with batch norm that hardly follows: of the toy plugin, which tests install later."""
    if name != "Normed":
        raise AttributeError(name)
    from torch import nn
    from vidsuite_toy.model import Tiny

    class Normed(Tiny):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.net.insert(1, nn.BatchNorm3d(4, momentum=1e-3))

    globals()["Normed"] = Normed
    return Normed

"""The order for a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidsuite_core.support.ids import digest


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that a worker needs to run a cell, in JSON's own types.

    Attributes:
        score_key: the cell's, with its config, protocol, fold and seed.
        task, dataset: builders, as specs name them.
        root, options: where the dataset lies and how it is opened.
        weights: file of each of the model's initial weights, or None for random ones.
        code: identity of the code and software that decide the scores, see `vidsuite_core.support.code.identity`.
        device: "cpu" or "cuda".
        folder: the attempt's temporary folder.
        cost: whether this cell measures what a prediction costs.
        speed: how networks run whose speed is measured, as `vidsuite_core.inference.Inference` has it.
        protocol: how long that is, of `vidsuite_core.engine.speed.PROTOCOLS`.
        ranks: processes that run the cell together, see `vidsuite_core.engine.ranks`.
        python: the interpreter that runs its worker; "" for the run's own.
        keep: further files to keep with the attempt, see `vidsuite_core.results.store.KEPT`.
    """

    score_key: Mapping[str, Any]
    task: str
    dataset: str
    root: str
    options: Mapping[str, Any]
    weights: Mapping[str, str | None]
    code: str = ""
    device: str
    folder: str
    cost: bool
    speed: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "short"
    ranks: int = 1
    python: str = ""
    keep: Sequence[str] = ()

    @property
    def kind(self) -> str:
        """Hash of what a worker may have loaded before the cell begins: cells that share it can share a worker."""
        imports = self.score_key.get("config", {}).get("custom_imports")
        return digest([self.code, self.task, self.dataset, imports, self.device, self.python])

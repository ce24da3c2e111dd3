"""A task's scores as an mmengine metric: what validation, the choice of the epoch and the store all see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.evaluator import BaseMetric

if TYPE_CHECKING:
    from vidsuite_core.tasks.base import Task


class TaskScores(BaseMetric):
    """Gathers predictions, in the samples' order, and scores them by the task's own functions.

    After an evaluation `arrays` holds all that is stored of it (see `vidsuite_core.tasks.base.Task`), of which the
    model decided those named in `predicted`.
    """

    def __init__(self, task: Task, samples: Sequence[Any]) -> None:
        super().__init__(collect_device="cpu")
        self.task = task
        self.samples = {sample.id: sample for sample in samples}
        self.arrays: dict[str, np.ndarray] = {}
        self.predicted: tuple[str, ...] = ()

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the outputs of a batch; see mmengine's BaseMetric."""
        self.results.extend(_to_numpy(sample) for sample in data_samples)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The task's scores; raises RuntimeError if a sample was not predicted, or twice."""
        outputs = {output["sample_id"]: output for output in results}
        if outputs.keys() != self.samples.keys() or len(results) != len(self.samples):
            raise RuntimeError(f"{len(self.samples)} samples were to be predicted once each, got {len(results)}")
        samples = list(self.samples.values())
        predictions = self.task.predictions([outputs[sample.id] for sample in samples])
        self.predicted = tuple(predictions)
        self.arrays = {
            "sample_id": np.array([sample.id for sample in samples], dtype=str),
            "subject": np.array([sample.subject for sample in samples], dtype=str),
            "recording": np.array([sample.recording for sample in samples], dtype=str),
            **self.task.targets(samples),
            **predictions,
        }
        return self.task.score(self.arrays)


def _to_numpy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_numpy(item) for name, item in value.items()}
    return value.detach().float().cpu().numpy() if hasattr(value, "detach") else value

"""A task's scores as an mmengine metric: what validation, the choice of the epoch and the store all see."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from torch.utils.data import Dataset as TorchDataset

from vidsuite_core.engine.ranks import groups_of

if TYPE_CHECKING:
    from pathlib import Path

    from vidsuite_core.tasks.base import Reducer, Task


PART = "part"
"""The metainfo that says which `Part` an item is of."""
WITNESSED = 16
"""Samples whose predictions are kept for the measurement of speed."""


class TaskScores(BaseMetric):
    """Gathers predictions, in the samples' order, and scores them by the task's own functions.

    After an evaluation `arrays` holds all that is stored of it (see `vidsuite_core.tasks.base.Task`), of which the
    model decided those named in `predicted`. Where samples come one at a time, each output has its `latency`: seconds
    from the batch in memory to the prediction on the host, told by a `LatencyHook`. `witnessed` are what was predicted
    of the first `WITNESSED` samples, by their ids: what the timed outputs are held against.

    Args:
        samples: those that must be predicted, once each.
        part: the `Part` whose outputs are scored, and the prefix of the scores' names; empty scores all there are.
    """

    def __init__(self, task: Task, samples: Sequence[Any], part: str = "") -> None:
        super().__init__(collect_device="cpu", prefix=part or None)
        self.task = task
        self.samples = {sample.id: sample for sample in samples}
        self.arrays: dict[str, np.ndarray] = {}
        self.predicted: tuple[str, ...] = ()
        self.keep: Path | None = None
        self.witnessed: dict[str, Any] = {}
        self._started = float("nan")
        self._reducer: Reducer | None = None

    def start(self) -> None:
        """Note the time at which a batch begins."""
        self._started = time.perf_counter()

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the outputs of a batch; see mmengine's BaseMetric."""
        data_samples = [sample for sample in data_samples if not self.prefix or sample.get(PART) == self.prefix]
        outputs = [predicted(sample) for sample in data_samples]
        latency = time.perf_counter() - self._started if len(outputs) == 1 else float("nan")
        if self._reducer is None:
            self.witnessed.clear()
        for output, sample in zip(outputs, data_samples, strict=True):
            if len(self.witnessed) < WITNESSED and "sample_id" in sample:
                self.witnessed[str(sample["sample_id"])] = dict(output)
            output |= {name: _to_numpy(value) for name, value in sample.items() if not _is_intermediate(name, value)}
        self._reducer = self._reducer or self.reducer(list(self.samples.values()))
        for output in outputs:
            reduced = self._reducer.add({**output, "latency": latency})
            if reduced is not None:
                self.results.append(reduced)

    def evaluate(self, size: int = 0) -> dict[str, float]:
        """The scores of all ranks' outputs, on all ranks; `arrays` is the same everywhere. See mmengine's BaseMetric.

        mmengine's own way gives them to rank 0 alone, and drops what it takes for padding where ranks have unequal
        numbers of outputs.
        """
        results = [output for part in all_gather_object(self.results) for output in part]
        self.results.clear()
        self._reducer = None
        return {f"{self.prefix}/{k}" if self.prefix else k: v for k, v in self.compute_metrics(results).items()}

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The task's scores; raises RuntimeError if a sample was not predicted, or twice."""
        samples, outputs = self._in_order(results)
        predictions = self.task.predictions(outputs)
        self.predicted = tuple(predictions)
        self.arrays = {**_names(samples), **self.task.targets(samples), **predictions}
        return self.task.score(self.arrays)

    def reducer(self, samples: Sequence[Any]) -> Reducer:
        """What turns outputs into what is stored of them."""
        return self.task.reducer(samples, self.keep)

    def _in_order(self, results: Sequence[dict[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
        """The samples, and the output of each."""
        outputs = {output["sample_id"]: output for output in results}
        if outputs.keys() != self.samples.keys() or len(results) != len(self.samples):
            raise RuntimeError(f"{len(self.samples)} samples were to be predicted once each, got {len(results)}")
        samples = list(self.samples.values())
        return samples, [outputs[sample.id] for sample in samples]


class TaskAnswers(TaskScores):
    """Gathers predictions of samples whose labels are kept back, in the samples' order; nothing is scored."""

    def reducer(self, samples: Sequence[Any]) -> Reducer:
        """See `TaskScores`."""
        return self.task.answerer(samples, self.keep)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """No score; raises RuntimeError if a sample was not predicted, or twice."""
        samples, outputs = self._in_order(results)
        answers = self.task.answered(outputs)
        self.predicted = tuple(answers)
        self.arrays = {**_names(samples), **self.task.places(samples), **answers}
        return {}


class Part(TorchDataset[dict[str, Any]]):
    """A dataset whose items say in their metainfo that they are of a part, so that a `TaskScores` knows its own."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.dataset[index]
        item["data_samples"].set_metainfo({PART: self.name})
        return item

    def groups(self) -> list[Sequence[int]]:
        """The dataset's own, see `vidsuite_core.engine.ranks.groups_of`."""
        return groups_of(self.dataset)


class LatencyHook(Hook):
    """Tells metrics when a batch of validation or test begins."""

    def __init__(self, *metrics: TaskScores) -> None:
        self.metrics = metrics

    def before_val_iter(self, *_: Any, **__: Any) -> None:
        """See mmengine's Hook."""
        for metric in self.metrics:
            metric.start()

    before_test_iter = before_val_iter


def _names(samples: Sequence[Any]) -> dict[str, np.ndarray]:
    """The columns that all tasks share."""
    return {
        "sample_id": np.array([sample.id for sample in samples], dtype=str),
        "subject": np.array([sample.subject for sample in samples], dtype=str),
        "recording": np.array([sample.recording for sample in samples], dtype=str),
    }


def predicted(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What was predicted of a data element's dict, on the host: OpenMMLab's names of it begin with "pred"."""
    return {name: _to_numpy(value) for name, value in sample.items() if name.startswith("pred")}


def _is_intermediate(name: str, value: Any) -> bool:
    """Whether a field is neither truth nor metainfo, as `seg_logits`: large, and no score's business."""
    return not name.startswith("gt") and (isinstance(value, dict) or hasattr(value, "detach"))


def _to_numpy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_numpy(item) for name, item in value.items()}
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()

"""What a metric takes of a model's outputs, and when its clock stops."""

import time

import numpy as np
import torch

from vidsuite_core.engine.metric import TaskScores, predicted
from vidsuite_core.tasks.base import Reducer


class Spy(Reducer):
    def __init__(self):
        self.outputs = []

    def add(self, output):
        self.outputs.append(output)
        return None


class Task:
    def __init__(self):
        self.spy = Spy()

    def reducer(self, samples, keep=None):
        return self.spy


def element(**more):
    maps = {"pred_sem_seg": 1, "gt_sem_seg": 1, "seg_logits": 9}
    return {
        "sample_id": "a",
        "position": 3,
        **{name: {"data": torch.ones(k, 2, 2)} for name, k in maps.items()},
        **more,
    }


def test_intermediate_tensors_are_not_copied_to_the_host():
    task = Task()
    TaskScores(task, []).process(None, [element()])
    (output,) = task.spy.outputs
    assert set(output) == {"sample_id", "pred_sem_seg", "gt_sem_seg", "position", "latency"}
    assert isinstance(output["pred_sem_seg"]["data"], np.ndarray)


def test_a_batch_of_one_is_timed_from_its_beginning_and_others_are_not():
    task = Task()
    metric = TaskScores(task, [])
    metric.start()
    time.sleep(0.02)
    metric.process(None, [element()])
    metric.process(None, [element(), element()])
    latencies = [output["latency"] for output in task.spy.outputs]
    assert latencies[0] >= 0.02
    assert np.isnan(latencies[1:]).all()


def test_whole_numbers_stay_whole():
    assert predicted({"pred_label": torch.tensor([7]), "gt_label": torch.tensor([1])})["pred_label"].dtype == np.int64

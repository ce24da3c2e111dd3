"""A tiny network; `fault` makes a cell go wrong on purpose, as models of strangers do."""

import ctypes
import os
import resource
import signal
import time

import torch
from mmengine.model import BaseModel
from torch import nn

from vidsuite_core.engine.data import ReadClip


class HangingRead(ReadClip):
    """Reads clips, and hangs where it does so for a data loader."""

    def __call__(self, results):
        if torch.utils.data.get_worker_info() is not None:
            hang_in_the_loader()
        return super().__call__(results)


def hang_in_the_loader():
    time.sleep(600)


class Tiny(BaseModel):
    def __init__(self, num_classes, fault=None):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(3, 4, (3, 5, 5), stride=(1, 2, 2)), nn.ReLU(), nn.AdaptiveAvgPool3d((1, 1, 4)), nn.Flatten()
        )
        self.head = nn.Linear(16, num_classes)
        self.fault = fault

    def forward(self, inputs, data_samples=None, mode="tensor"):
        x = torch.stack(list(inputs)).float()
        logits = self.head(self.net(x))
        if mode == "tensor":
            return logits
        if mode == "loss":
            self.go_wrong()
            labels = torch.cat([sample.gt_label for sample in data_samples])
            return {"loss": nn.functional.cross_entropy(logits, labels)}
        for sample, prob in zip(data_samples, logits.softmax(1)):
            sample.pred_score = prob
        return data_samples

    def go_wrong(self):
        if self.fault == "raise":
            raise ValueError("the toy went wrong")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "memory":
            raise MemoryError("no memory left for the toy")
        if self.fault == "hang":
            time.sleep(600)
        if self.fault == "kill_rank_1" and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "allocate":
            limit = int(os.environ["VIDSUITE_TOY_LIMIT"])
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            self.kept = [torch.ones(2**28) for _ in range(64)]  # a GiB each
        if self.fault == "segfault":
            ctypes.string_at(0)
        if self.fault == "slow":
            time.sleep(0.5)
        if self.fault == "slow_once" and not os.path.exists(os.environ["VIDSUITE_TOY_MARK"]):
            time.sleep(0.5)

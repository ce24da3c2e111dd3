"""A model on one stream: frames or moments come in one at a time, and a prediction is made of each."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS

from vidsuite_core.engine.accelerated import accelerated
from vidsuite_core.engine.build import built_config, network_of
from vidsuite_core.engine.metric import predicted
from vidsuite_core.engine.subnormals import flushed_subnormals
from vidsuite_core.engine.training import loader_of
from vidsuite_core.errors import UsageError
from vidsuite_core.inference import Inference
from vidsuite_core.samples import ClipSample, KeyFrameSample, MomentsSample, Recording, Sample

Prediction = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """What a streamer is built from.

    Attributes:
        config: a resolved config (see `vidsuite_core.engine.config.cell_config`).
        classes: number of classes.
        weights: a state dict of the model, or None for random weights.
        device: "cpu" or torch's name of a GPU.
        name: what an error calls the model.
        files: of weights that the input pipeline names, as those of a feature extractor.
        fps: frames a second of the stream.
        window: frames that a clip holds, for models of clips.
        inference: how networks run.
    """

    config: Mapping[str, Any]
    classes: int
    weights: Path | None
    device: str
    name: str
    files: Mapping[str, str | None] = field(default_factory=dict)
    fps: float = 25.0
    window: int | None = None
    inference: Inference = field(default_factory=Inference)


class Streamer(ABC):
    """Predicts what a stream shows, step by step.

    Raises:
        VidsuiteError: the weights do not fit the model and the number of classes.
    """

    takes: ClassVar[Literal["frame", "moment"]] = "frame"
    """A frame is uint8 RGB (H, W, 3), a moment its focal planes (m, H, W, C)."""

    def __init__(self, options: StreamOptions) -> None:
        self.options = options
        self.network: Any = network_of(options.config, options.classes, options.weights, options.name)
        self.network.to(options.device).eval()
        running = accelerated(self.network, options.device, options.inference, keep="converted")
        self._running = ExitStack()
        self._used = self._running.enter_context(running)

    @property
    def path(self) -> str:
        """What ran the networks, as "openvino-bf16"; known once a step was taken."""
        return self._used.path

    def step(self, seen: np.ndarray) -> Prediction:
        """What is predicted now that `seen` has come: in the form that the task's `draw_on` takes, on the host."""
        with torch.no_grad(), flushed_subnormals():  # as in a cell
            return self._step(seen)

    @abstractmethod
    def _step(self, seen: np.ndarray) -> Prediction:
        """See `step`."""


class _Windowed(Streamer):
    """Runs the model's own input pipeline on what is held of the stream, as on a recording in memory."""

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options)
        config = built_config(options.config, options.classes, options.files)
        self.dataset = DATASETS.build({**loader_of(config, "test").dataset, "samples": []})
        for transform in self.dataset.pipeline.transforms:
            if hasattr(transform, "cached"):
                transform.cached = False  # what is seen once is not worth the disk
        if hasattr(self.dataset, "extractor"):
            self.dataset.extractor = self.dataset.extractor.running(options.inference)
            self.dataset.extractor.to(options.device)
        self._held: deque[np.ndarray] = deque(maxlen=self._window())
        self._name = f"stream {uuid.uuid4()}"

    @property
    def path(self) -> str:
        """See `Streamer`; of a frozen network whose features are classified, that network's."""
        return getattr(getattr(self.dataset, "extractor", None), "path", "") or super().path

    def _window(self) -> int | None:
        """How many steps are held; None for all."""
        return None

    def _recording(self) -> Recording:
        """What is held, plane by plane; its content is the stream's, so that what is found of it once stays."""
        held = np.stack(self._held)
        planes = tuple(held[:, plane] for plane in range(held.shape[1])) if held.ndim == 5 else (held,)
        return Recording(
            name=self._name, subject="", planes=planes, frames=len(held), fps=self.options.fps, content=self._name
        )

    def _output(self, sample: Sample) -> dict[str, Any]:
        """The model's output for a sample of what is held."""
        (output,) = self.network.test_step(pseudo_collate([self.dataset.item(sample)]))
        return predicted(output.to_dict())


class ClipStreamer(_Windowed):
    """The class of the last frames: `prob` (K,). Before the stream begins its first frame stands."""

    def _window(self) -> int:
        if self.options.window is None:
            raise UsageError(f"{self.options.name} sees clips; say how many frames make one with --window N")
        return self.options.window

    def _step(self, seen: np.ndarray) -> Prediction:
        self._held.append(seen)
        while len(self._held) < self._window():
            self._held.append(seen)
        sample = ClipSample(id="stream", footage=self._recording(), label=0, start=0, stop=len(self._held))
        return {"prob": np.asarray(self._output(sample)["pred_score"], np.float32)}


class KeyFrameStreamer(_Windowed):
    """Boxes in the newest frame, by the clip that ends in it: `box` (m, 4), `score` (m,) and `class` (m,)."""

    def _window(self) -> int:
        reader = next((t for t in self.dataset.pipeline.transforms if hasattr(t, "span")), None)
        return reader.span if reader else 1

    def _step(self, seen: np.ndarray) -> Prediction:
        self._held.append(seen)
        sample = KeyFrameSample(id="stream", footage=self._recording(), index=len(self._held) - 1)
        found = self._output(sample)["pred_instances"]
        return {
            "box": np.asarray(found["bboxes"], np.float32).reshape(-1, 4),
            "score": np.asarray(found["scores"], np.float32),
            "class": np.asarray(found["labels"], np.int64),
        }


class MomentStreamer(_Windowed):
    """The chance of class 1 as of the newest moment: `prob` (1,).

    A network with a method `stream()` gives an object whose `step(moment)` takes (1, m, C, H, W) and gives a logit
    (1,), and keeps what it needs of earlier moments; of others, all moments that there are so far are run again.
    """

    takes = "moment"

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options)
        self._live = self.network.stream() if hasattr(self.network, "stream") else None

    def _window(self) -> int | None:
        return 1 if hasattr(self.network, "stream") else None

    def _step(self, seen: np.ndarray) -> Prediction:
        self._held.append(seen)
        moments = tuple((place, place + 1) for place in range(len(self._held)))
        sample = MomentsSample(id="stream", footage=self._recording(), label=0, moments=moments)
        if self._live is None:
            return {"prob": np.asarray(self._output(sample)["pred_score"], np.float32)[-1:]}
        logit = self._live.step(self.dataset.item(sample)["inputs"].to(self.options.device))
        return {"prob": logit.sigmoid().float().cpu().numpy().reshape(1)}

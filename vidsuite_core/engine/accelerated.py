"""The networks inside mmengine's models, run through `vidsuite_core.inference` while something is predicted.

A model's `forward(mode="predict")` is Python around one or several networks. Those are its *parts*: modules that take
and give tensors. While `accelerated` is in force, calls of a part go to its accelerated form, which is made at its
first call; the model itself, and whatever it does around its parts, stays as it is. A model says its parts by a method
`inference_parts() -> list[Part]`; of OpenMMLab's models they are known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_core.inference import Inference
from vidsuite_core.inference.accelerated import Accelerated, Keep, Settings
from vidsuite_core.inference.labels import label_map

_LIBRARIES = ("mmseg", "mmdet", "mmaction")
_NAMES = ("backbone", "neck", "rpn_head", "bbox_head", "decode_head", "cls_head")
"""Attributes under which these libraries' own models hold what takes and gives tensors.

Of other models nothing is taken for granted: a part may remember things, and then has to say how it passes its state.
"""
_PLAIN = "eager-fp32"


@dataclass(frozen=True)
class Part:
    """A module that takes and gives tensors, in nested values; `varying` as `accelerate` has it."""

    module: nn.Module
    varying: Mapping[int, Sequence[int]] = field(default_factory=dict)


class Used:
    """What ran a model's parts, known once they were called."""

    def __init__(self) -> None:
        self.parts: list[_Call] = []

    @property
    def path(self) -> str:
        """Back end and precision, as "openvino-fp32"; several where parts differ, joined by "+"."""
        return "+".join(dict.fromkeys(part.path for part in self.parts if part.path)) or _PLAIN

    @property
    def falls(self) -> list[str]:
        """Which back ends could not take a part, and why, a line each."""
        return list(dict.fromkeys(line for part in self.parts for line in part.falls))


@contextmanager
def accelerated(model: Any, device: str, inference: Inference, keep: Keep = "choice") -> Iterator[Used]:
    """Within, the parts of `model` run as `inference` says, as the weights are when each is first called.

    Args:
        model: in eval mode wherever it predicts; calls with gradients, or in training mode, are left alone.
        device: where it is.
        keep: as `accelerate` has it; a cell's weights are seldom the same twice.
    """
    used = Used()
    with ExitStack() as stack:
        for part in parts_of(model, stack):
            call = _Call(model, part, Settings.of(device, inference, part.varying, keep))
            used.parts.append(call)
            stack.enter_context(replaced(part.module, "forward", call))
        yield used


def warm_up(model: Any, loader: Any) -> None:
    """Predict the first batch of a data loader, or of its config, so that parts are ready before anything is timed."""
    if isinstance(loader, Mapping):
        dataset, batch_size = loader["dataset"], loader.get("batch_size", 1)
    else:
        dataset, batch_size = loader.dataset, loader.batch_size or 1
    items = [dataset[index] for index in range(min(batch_size, len(dataset)))]
    with torch.no_grad():
        model.eval()
        model.test_step(pseudo_collate(items))


def computed(used: Used, dataset: Any) -> dict[str, Any]:
    """What a record says of how the scored predictions were computed: `path` by itself, and in `inference`.

    Where a frozen network's features are classified, the path is that network's.
    """
    path = "+".join(getattr(dataset, "paths", ())) or used.path
    falls = [*used.falls, *getattr(getattr(dataset, "extractor", None), "falls", ())]
    return {"path": path, "inference": {"scored": {"path": path, "falls": falls}}}


class _Call:
    """Stands in for a module's `forward`."""

    def __init__(self, model: Any, part: Part, settings: Settings) -> None:
        self.model = model
        self.module, self.settings = part.module, settings
        self.plain = part.module.forward
        self.fast: Accelerated | None = None
        self.path = ""
        self.falls: list[str] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.model.training or torch.is_grad_enabled() or (self.path == _PLAIN and self.fast is None):
            return self.plain(*args, **kwargs)
        if self.fast is None and not self._prepare(args, kwargs):
            return self.plain(*args, **kwargs)
        assert self.fast is not None
        return self.fast(*args, **kwargs)

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        name = type(self.module).__name__
        with replaced(self.module, "forward", self.plain):
            try:
                self.fast = Accelerated(self.module, args, kwargs, self.settings)
            except UsageError as error:  # what it takes or gives is no tensor
                if self.settings.inference.backend not in ("auto", "eager"):
                    raise
                self.path, self.falls = _PLAIN, [f"{name}: {error}"]
                return False
        self.path = self.fast.path
        self.falls = [f"{name}: {trial.backend}: {trial.reason}" for trial in self.fast.trials if trial.reason]
        return True


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Within, the object `owner` has `value` in place of its class's `name`."""
    before = vars(owner).get(name)
    vars(owner)[name] = value
    try:
        yield
    finally:
        if before is None:
            del vars(owner)[name]
        else:
            vars(owner)[name] = before


def parts_of(model: Any, stack: ExitStack | None = None) -> list[Part]:
    """The parts of a model; where mmseg's `predict` has to be another to call them, it is that as long as `stack`."""
    if hasattr(model, "inference_parts"):
        found: list[Part] = model.inference_parts()
        return found
    if _is_plain_segmentor(model):
        whole = _Segmentor(model)
        if stack is not None:
            stack.enter_context(replaced(model, "predict", whole.predict))
        return [Part(whole)]
    modules = [getattr(model, name, None) for name in _NAMES if _of_library(model)]
    return [Part(module) for module in modules if isinstance(module, nn.Module) and _of_library(module)]


def _of_library(module: Any) -> bool:
    return type(module).__module__.partition(".")[0] in _LIBRARIES


# --- mmseg's segmentors ---------------------------------------------------------------------------------------


def _is_plain_segmentor(model: Any) -> bool:
    """Whether mmseg predicts whole frames with one decoder, as all models here do."""
    if "mmseg" not in sys.modules:
        return False
    from mmseg.models.segmentors import EncoderDecoder

    return (
        isinstance(model, EncoderDecoder)
        and type(model).predict is EncoderDecoder.predict
        and type(model).encode_decode is EncoderDecoder.encode_decode
        and model.test_cfg.get("mode") == "whole"
        and isinstance(model.decode_head, nn.Module)
        and model.out_channels > 1
    )


class _Segmentor(nn.Module):
    """mmseg's encoder and decoder as one network: frames (B, 3, H, W) -> logits (B, K, h, w)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.model.decode_head(self.model.extract_feat(frames))
        return logits

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """As mmseg's, but without all logits at full size for frames that came as they are: see `label_map`."""
        size = (inputs.shape[2], inputs.shape[3])
        for logits, sample in zip(self(inputs), data_samples, strict=True):
            if logits.shape[0] < 256 and _is_as_it_was(sample.metainfo, size):
                labels = label_map(logits[None], size, "aligned" if self.model.align_corners else "apart")
                sample.pred_sem_seg = PixelData(data=labels[None])
            else:
                full = F.interpolate(logits[None], size, mode="bilinear", align_corners=self.model.align_corners)
                self.model.postprocess_result(full, [sample])
        return data_samples


def _is_as_it_was(meta: Mapping[str, Any], size: tuple[int, int]) -> bool:
    """Whether a frame of `size` went into the network as the pipeline got it."""
    padded = meta.get("img_padding_size", meta.get("padding_size")) or ()
    return tuple(meta["ori_shape"][:2]) == size and not any(padded) and not meta.get("flip")

"""The networks inside the suite's models, with inputs for them: what backends.py and gpu.py measure.

A model is asked for a prediction of one random sample of its task, and what its parts were called with is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from vidsuite_core import openmmlab
from vidsuite_core.engine.accelerated import parts_of
from vidsuite_core.engine.build import import_modules, network_of
from vidsuite_core.engine.config import cell_config, named_weights, runtime_config
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference import identity

CLASSES = {"video_segmentation": 19}
"""Of tasks whose networks grow with them; 2 elsewhere."""
Size = tuple[int, int]


@dataclass(frozen=True)
class Subject:
    """A network with inputs of any batch.

    Attributes:
        make: batch -> one call's arguments.
        inputs: their size, for the table.
    """

    name: str
    network: nn.Module
    make: Callable[[int], Any]
    inputs: str

    @property
    def structure(self) -> str:
        """The same for networks that differ in their weights alone."""
        return identity.structure(self.network) or self.name


def subjects_of(handle: Any, size: Size | None, frames: int) -> Iterator[Subject]:
    """The networks of a model; raises what the model raises where its task is not known here."""
    openmmlab.prepare()
    torch.manual_seed(0)
    if handle.spec.network:
        yield _own_network(handle.key, handle.build(), size or (224, 224), frames)
        return
    config = cell_config(handle.spec.recipe(handle.spec.task), "", [], {}, "fp32")
    classes = CLASSES.get(handle.spec.task, 2)
    import_modules(config)
    built = runtime_config(config, dict.fromkeys(named_weights(config)), classes, [1.0] * classes)
    extractor = built.get("data", {}).get("extractor")
    if extractor:
        from mmengine.registry import MODELS

        found = MODELS.build(extractor)
        video = len(found.varying[0]) > 1
        height, width = size or (224, 224)
        yield _pixels_in(handle.key, found.network, (3, frames, height, width) if video else (3, height, width))
        return
    model = network_of(config, classes, None, handle.key).eval()
    if hasattr(getattr(model, "network", None), "empty_state"):
        yield _stream(handle.key, model, size or (512, 1024))
        return
    yield from _captured(handle.key, model, sample_of(handle.spec.task, config, size, frames))


def _own_network(name: str, network: nn.Module, size: Size, frames: int) -> Subject:
    """A network by itself, which takes frames (B, C, H, W) or clips (B, C, T, H, W): which, a small call tells."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
    channels, small = min(one.in_channels for one in convolutions), 96  # those of the input are the fewest
    network.eval()
    for shape, trial in (((channels, *size), (small, small)), ((channels, frames, *size), (16, small, small))):
        try:
            with torch.no_grad():
                network(torch.zeros(1, channels, *trial))
        except (RuntimeError, ValueError, VidsuiteError, IndexError):
            continue
        return _pixels_in(name, network, shape)
    raise ValueError("it takes neither frames nor clips")


def _pixels_in(name: str, network: nn.Module, shape: Sequence[int]) -> Subject:
    return Subject(name, network, lambda batch: (torch.rand(batch, *shape) * 2 - 1,), "x".join(map(str, shape[1:])))


def _stream(name: str, model: Any, size: Size) -> Subject:
    """A step of B streams in lock-step."""
    (part,) = parts_of(model)

    def make(batch: int) -> tuple[Any, ...]:
        frames = torch.randn(batch, 3, *size)
        return frames, model.network.empty_state(frames)

    return Subject(name, part.module, make, "x".join(map(str, size)))


def sample_of(task: str, config: Mapping[str, Any], size: Size | None, frames: int) -> dict[str, Any]:
    """A random item as the task's data pipelines give them."""
    if task == "video_segmentation":
        from mmseg.structures import SegDataSample

        height, width = size or (512, 1024)
        meta = {"ori_shape": (height, width), "img_shape": (height, width), "sequence": "s", "position": 0}
        return {"inputs": _pixels(3, height, width), "data_samples": SegDataSample(metainfo=meta)}
    if task == "clip_classification":
        from vidsuite_core.engine.data.packing import data_sample

        height, width = size or (224, 224)
        sample = data_sample(_Labelled())
        sample.set_metainfo({"num_frames": frames})
        return {"inputs": torch.rand(3, frames, height, width) * 2 - 1, "data_samples": sample}
    if task == "action_detection":
        from mmdet.structures import DetDataSample

        height, width = size or (224, 224)
        meta = {"img_shape": (height, width), "ori_shape": (height, width), "scale_factor": (1.0, 1.0), "img_id": 0}
        sample = DetDataSample(metainfo={**meta, "sample_id": "s", "sequence": "s", "position": 0})
        length = config["data"]["pipeline"][0].get("length", 1)
        pixels = _pixels(3, height, width) if length == 1 else torch.rand(3, length, height, width)
        return {"inputs": pixels, "data_samples": sample}
    raise ValueError(f"no random sample of task {task} is known here")


class _Labelled:
    id, label = "s", 0


def _pixels(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def _captured(name: str, model: Any, item: Mapping[str, Any]) -> Iterator[Subject]:
    """A subject for each part that a prediction calls; batches are its first call's inputs, repeated."""
    with ExitStack() as stack, torch.no_grad():
        parts = parts_of(model, stack)
        calls = [stack.enter_context(_calls(part.module)) for part in parts]
        model.test_step(pseudo_collate([item]))
    several = sum(map(bool, calls)) > 1
    for part, seen in zip(parts, calls, strict=True):
        if seen:
            kind = re.sub(r"^_", "", type(part.module).__name__)
            shown = "x".join(map(str, item["inputs"].shape[1:]))
            yield Subject(f"{name} {kind}" if several else name, part.module, _repeated(seen[0]), shown)


@contextmanager
def _calls(module: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """Within, the arguments of each call of `module` are noted."""
    seen: list[tuple[Any, ...]] = []
    hook = module.register_forward_pre_hook(lambda _, args: seen.append(args))
    try:
        yield seen
    finally:
        hook.remove()


def _repeated(args: tuple[Any, ...]) -> Callable[[int], tuple[Any, ...]]:
    def many(value: Any, batch: int) -> Any:
        if isinstance(value, Tensor):
            return value.repeat_interleave(batch, dim=0)
        return type(value)(many(one, batch) for one in value) if isinstance(value, tuple | list) else value

    return lambda batch: many(args, batch)

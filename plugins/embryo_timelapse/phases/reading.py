"""From a sample of `embryo_phases` to what networks take."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torchvision.transforms import v2

from vidsuite_core.engine.data.packing import PerChannel, SampleDataset, to_tensor
from vidsuite_core.errors import UsageError
from vidsuite_core.media.framing import Framing
from vidsuite_core.media.reader import READER, Reader
from vidsuite_core.support.cache import cache_key, frame_cache
from vidsuite_core.support.ids import digest
from vidsuite_plugins.embryo_timelapse.registry import DATASETS, TRANSFORMS

if TYPE_CHECKING:
    from vidsuite_plugins.embryo_timelapse.phases.samples import PhasesSample


@DATASETS.register_module()
class PhasesDataset(SampleDataset):
    """Recordings with labelled frames through a pipeline, from `ReadPhases` to `PackPhases`.

    Items are `inputs` float32 (T, 1, H, W) and `data_samples` with `gt_label` LongTensor (T,) and, in their meta,
    `sample_id` and `hours`, a tuple of T.
    """


@TRANSFORMS.register_module()
class ReadPhases:
    """Adds `clip` uint8 (T, H, W, 1), grey, and `places`, which of the sample's labelled frames they are.

    Args:
        size: side of the square that frames are shown in, padded.
        frames: T, a random choice; None takes all labelled frames in order.
        draw: "run" chooses frames that follow on one another, "spread" one from each of T equal parts.
    """

    def __init__(self, size: int = 112, frames: int | None = None, draw: str = "spread") -> None:
        if draw not in ("run", "spread") or (frames is not None and frames < 1):
            raise UsageError(f"ReadPhases takes draw='run' or 'spread' and frames of 1 or more, not {draw!r}, {frames}")
        self.framing = Framing(size=(size, size), fit="pad", interpolation="area", channels=1)
        self.frames, self.draw = frames, draw
        self._reader = Reader()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class. A recording's frames are decoded once and kept in the frame cache."""
        sample: PhasesSample = results["sample"]
        footage = sample.footage
        key = cache_key(
            content=footage.content,
            first=footage.first,
            frames=digest(list(sample.frames)),
            values=list(footage.value_range or ()),
            framing=self.framing.key(),
            reader=READER,
        )
        clip = frame_cache().get_or_compute(key, lambda: {"clip": self._read(sample)})["clip"]
        places = self._choose(len(sample.frames))
        return {**results, "clip": np.asarray(clip[places]), "places": places}

    def _read(self, sample: PhasesSample) -> np.ndarray:
        return self._reader.read(sample.footage, list(sample.frames), self.framing, None)

    def _choose(self, count: int) -> np.ndarray:
        if self.frames is None or self.frames >= count:
            return np.arange(count)
        if self.draw == "run":
            return np.random.randint(0, count - self.frames + 1) + np.arange(self.frames)
        edges = np.linspace(0, count, self.frames + 1).astype(int)
        return np.array([np.random.randint(a, b) for a, b in pairwise(edges)])


@TRANSFORMS.register_module()
class TurnPhases:
    """A random turn and mirror image of `clip`, the same for all its frames, and a little more or less light."""

    def __init__(self, rotation: float = 180.0, brightness: float = 0.2, contrast: float = 0.2) -> None:
        turn = v2.RandomRotation(rotation, interpolation=v2.InterpolationMode.BILINEAR)
        self.views = v2.Compose([turn, v2.RandomHorizontalFlip(0.5), v2.ColorJitter(brightness, contrast)])

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        clip = self.views(torch.from_numpy(np.array(results["clip"])).permute(0, 3, 1, 2))
        return {**results, "clip": clip.permute(0, 2, 3, 1).contiguous().numpy()}


@TRANSFORMS.register_module()
class PackPhases:
    """The item of `PhasesDataset`; of a pipeline that reads no frames, `inputs` are empty.

    Args:
        mean, std: pixels become (pixel - mean) / std.
    """

    def __init__(self, mean: PerChannel = 114.5, std: PerChannel = 57.6) -> None:
        self.mean, self.std = mean, std

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample: PhasesSample = results["sample"]
        places = results.get("places", np.arange(len(sample.frames)))
        hours = np.array(sample.hours)[places]
        element = BaseDataElement(metainfo={"sample_id": sample.id, "hours": tuple(hours.tolist())})
        element.gt_label = torch.from_numpy(np.array(sample.labels, np.int64)[places])
        seen = to_tensor(results["clip"], "THWC", "TCHW", self.mean, self.std) if "clip" in results else torch.zeros(0)
        return {"inputs": seen, "data_samples": element}

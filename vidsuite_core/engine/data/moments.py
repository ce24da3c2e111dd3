"""The torch dataset of `early_prediction`: a recording in moments, each a set of focal planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vidsuite_core.engine.data.packing import PerChannel, SampleDataset, data_sample, to_tensor
from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.errors import UsageError
from vidsuite_core.media.framing import Fit, Framing, Interpolation
from vidsuite_core.media.reader import Reader, middle_plane

if TYPE_CHECKING:
    from vidsuite_core.samples import MomentsSample, Recording


@DATASETS.register_module()
class MomentsDataset(SampleDataset):
    """Recordings in moments through a pipeline, from `vidsuite.ReadMoments` to `vidsuite.PackMoments`.

    Items are `inputs` float32 (T, m, C, H, W), 0 where a moment is padded, and `data_samples` with `gt_label` (1,)
    (unless it is kept back), `counts`, a BoolTensor (T,) that is False where a moment is padded, and `sample_id` and
    `times` in their meta.
    """

    def entry(self, sample: MomentsSample) -> dict[str, Any]:
        """`sample`, and `label` unless it is kept back."""
        return {"sample": sample, **({"label": sample.label} if sample.labelled else {})}


@TRANSFORMS.register_module()
class ReadMoments:
    """Adds a frame for each moment to a dict that has `sample` (a `MomentsSample`).

    `moments` is uint8 (T, m, H, W, C), black where a moment is padded; `counts` bool (T,), False there; `times` (T,)
    seconds of the frames, NaN there.

    Args:
        size, fit, interpolation, channels: as of `vidsuite.ReadClip`.
        planes: m, the focal planes around the middle one; None takes all.
        draw: of each moment's frames a "random" one, as in training, or the "middle" one.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = 224,
        fit: Fit = "pad",
        interpolation: Interpolation = "area",
        channels: int | None = 1,
        planes: int | None = None,
        draw: str = "middle",
    ) -> None:
        if draw not in ("random", "middle"):
            raise UsageError(f"draw={draw!r} of ReadMoments is neither 'random' nor 'middle'")
        pair = (size, size) if isinstance(size, int) else size
        self.framing = Framing(size=pair, fit=fit, interpolation=interpolation, channels=channels)
        self.planes = planes
        self.draw = draw
        self._reader = Reader()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample: MomentsSample = results["sample"]
        recording, counts = sample.footage, np.array(sample.counts)
        chosen = [self._choose(start, stop) for start, stop in sample.moments if start < stop]
        seen = np.stack(
            [self._reader.read(recording, chosen, self.framing, plane) for plane in self.chosen_planes(recording)],
            axis=1,
        )
        moments = np.zeros((len(sample), *seen.shape[1:]), np.uint8)
        moments[counts] = seen
        times = np.full(len(sample), np.nan)
        times[counts] = [recording.time(index) for index in chosen]
        return {**results, "moments": moments, "counts": counts, "times": times}

    def _choose(self, start: int, stop: int) -> int:
        return int(np.random.randint(start, stop)) if self.draw == "random" else (start + stop) // 2

    def chosen_planes(self, recording: Recording) -> range:
        """The planes that are read, in order of depth.

        Raises:
            UsageError: the recording has fewer.
        """
        there = len(recording.planes)
        wanted = there if self.planes is None else self.planes
        if not 1 <= wanted <= there:
            raise UsageError(f"recording {recording.name!r} has {there} focal planes, and {wanted} are to be read")
        first = min(max(middle_plane(recording) - wanted // 2, 0), there - wanted)
        return range(first, first + wanted)


@TRANSFORMS.register_module()
class PackMoments:
    """The item of `MomentsDataset` from what `ReadMoments` adds.

    Args:
        mean, std: pixels become (pixel - mean) / std, for all channels or for each; by default [-1, 1].
        layout: order of the axes; M stands for the focal planes.
    """

    def __init__(self, mean: PerChannel = 127.5, std: PerChannel = 127.5, layout: str = "TMCHW") -> None:
        self.mean, self.std, self.layout = mean, std, layout

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        inputs = to_tensor(results["moments"], "TMHWC", self.layout, self.mean, self.std)
        counts = torch.from_numpy(results["counts"])
        inputs.movedim(self.layout.index("T"), 0)[~counts] = 0
        sample = data_sample(results["sample"], counts=counts)
        sample.set_metainfo({"times": tuple(results["times"].tolist())})
        return {"inputs": inputs, "data_samples": sample}

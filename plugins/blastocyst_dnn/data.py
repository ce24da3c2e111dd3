"""From a recording to what the networks see: which frames, augmented how; and division times for morphokinetics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchvision.transforms import v2

from vidsuite_core.engine.data.clips import ReadClip
from vidsuite_core.engine.data.packing import data_sample
from vidsuite_core.errors import UsageError
from vidsuite_core.media.reader import frame_size
from vidsuite_plugins.blastocyst_dnn.registry import TRANSFORMS

if TYPE_CHECKING:
    from vidsuite_core.samples import ClipSample, Recording

HOUR = 3600.0
EVENTS = ("tPNf", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "tM", "tSB", "tB")
"""Hours that embryologists note, in the order of a normal development."""
INTERVALS = {"cc2": ("t2", "t3"), "s2": ("t3", "t4"), "cc3": ("t3", "t5"), "s3": ("t5", "t8")}
"""The second and third cell cycle and how evenly they end (Meseguer et al. 2011, reference [1])."""


@TRANSFORMS.register_module()
class ReadTimelapse(ReadClip):
    """Reads `frames` frames of a clip, evenly over the time until `until`, as `vidsuite.ReadClip` reads.

    The first frame that there is and the last before `until` are always among them, and those between lie nearest to
    even steps of time, whatever was dropped; a short recording's frames repeat. One frame is the last.

    Args:
        frames: T.
        until: hours; what was recorded later is not seen. None sees everything.
        field: share of the frame's sides that is kept about its middle: an embryo fills half of a well's picture, and
            at few pixels the cells in it are larger so.
        cached: as of `vidsuite.ReadClip`: decoded once, kept at the size that is trained with.
    """

    def __init__(
        self,
        frames: int = 32,
        until: float | None = None,
        field: float = 1.0,
        channels: int | None = 1,
        **options: Any,
    ) -> None:
        super().__init__(channels=channels, **{"interpolation": "area", **options})
        if not 0 < field <= 1:
            raise UsageError(f"field={field} is no share of the frame; give more than 0, up to 1")
        if frames < 1:
            raise UsageError(f"a clip of frames={frames} shows nothing; give 1 or more")
        self.frames = frames
        self.until = until
        self.field = field

    def box(self, recording: Recording) -> tuple[int, int, int, int] | None:
        """See `vidsuite.ReadClip`."""
        if self.field == 1:
            return None
        height, width = frame_size(recording)
        left, top = (round((1 - self.field) / 2 * side) for side in (width, height))
        return left, top, width - left, height - top

    def rate(self, recording: Recording) -> float | None:
        """Frames are chosen by time: no rate."""
        return None

    def indices(self, sample: ClipSample) -> list[int]:
        """See `vidsuite.ReadClip`.

        Raises:
            UsageError: the clip has no frame before `until`.
        """
        times = np.array([sample.footage.time(index) for index in range(sample.start, sample.stop)])
        if self.until is not None:
            times = times[times < self.until * HOUR]
        if not len(times):
            raise UsageError(f"sample {sample.id} has no frame before {self.until} h; leave it out, or see more hours")
        wanted = np.linspace(times[0], times[-1], self.frames) if self.frames > 1 else times[-1:]
        after = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
        if len(times) == 1:
            return [sample.start] * self.frames
        nearest = np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)
        return [sample.start + int(index) for index in nearest]


@TRANSFORMS.register_module()
class Augment:
    """Random views of `clip`, the same draw for all its frames: what the paper names, whose strengths are ours.

    Args:
        crop: largest move of the frame, as a share of its side (a random crop after padding).
        rotation: largest turn in degrees.
        flip: probability of a horizontal flip.
        brightness, contrast: largest change, as a share.
    """

    def __init__(
        self,
        crop: float = 0.1,
        rotation: float = 180.0,
        flip: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
    ) -> None:
        self.crop = crop
        self.views = v2.Compose(
            [
                v2.RandomRotation(rotation, interpolation=v2.InterpolationMode.BILINEAR),
                v2.RandomHorizontalFlip(flip),
                v2.ColorJitter(brightness, contrast),
            ]
        )

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes `clip`, uint8 (T, H, W, C)."""
        clip = torch.from_numpy(np.array(results["clip"])).permute(0, 3, 1, 2)
        size = clip.shape[-2:]
        if pad := round(self.crop * size[-1]):
            clip = v2.RandomCrop(size, padding=pad)(clip)
        clip = self.views(clip)
        return {**results, "clip": clip.permute(0, 2, 3, 1).contiguous().numpy()}


@TRANSFORMS.register_module()
class PackEvents:
    """The hours of what happened to an embryo, as `inputs` float32 (D,): NaN for what was not observed.

    They are `EVENTS`, then `INTERVALS`, of samples that have `events` (hours by name), as those of embryo_timelapse.

    Args:
        until: hours; what happened later is not observed.
    """

    def __init__(self, until: float | None = None) -> None:
        self.until = until

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class; UsageError where the samples have no events."""
        sample = results["sample"]
        if not hasattr(sample, "events"):
            raise UsageError(f"sample {sample.id} has no division times; run morphokinetics on a dataset with them")
        return {"inputs": torch.tensor(measures(sample.events, self.until)), "data_samples": data_sample(sample)}


def measures(events: dict[str, float], until: float | None) -> Sequence[float]:
    """The values that `PackEvents` packs."""
    seen = {name: hour for name, hour in events.items() if until is None or hour < until}
    hours = [seen.get(name, float("nan")) for name in EVENTS]
    gaps = [seen.get(end, float("nan")) - seen.get(start, float("nan")) for start, end in INTERVALS.values()]
    return [*hours, *gaps]

"""The torch dataset of `clip_classification`, and from a clip to its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.engine.data.packing import PerChannel, SampleDataset, data_sample, to_tensor
from vidsuite_core.engine.registry import DATASETS, TRANSFORMS
from vidsuite_core.media import resample
from vidsuite_core.media.framing import Fit, Framing, Interpolation
from vidsuite_core.media.reader import READER, Reader
from vidsuite_core.support.cache import cache_key, frame_cache
from vidsuite_core.support.ids import digest

if TYPE_CHECKING:
    from vidsuite_core.samples import ClipSample, Recording


@DATASETS.register_module()
class ClipDataset(SampleDataset):
    """Clips through a pipeline of transforms, which begins with `vidsuite.ReadClip` or mmaction2's SampleFrames.

    A sample enters the pipeline as a dict of `sample`, `label` (unless it is kept back), and mmaction2's `start_index`,
    `total_frames`, `modality` and, where the recording is a video file, `filename`.
    """

    def entry(self, sample: ClipSample) -> dict[str, Any]:
        """See the class."""
        source = sample.footage.planes[0]
        return {
            "sample": sample,
            **({"label": sample.label} if sample.labelled else {}),
            "start_index": sample.footage.first + sample.start,
            "total_frames": len(sample),
            "modality": "RGB",
            **({"filename": str(source)} if isinstance(source, Path) else {}),
        }


@TRANSFORMS.register_module()
class ReadClip:
    """Adds `clip`, uint8 (T, H, W, C), and `fps`, its frames a second, to a dict that has `sample` (a `ClipSample`).

    Args:
        size: (width, height), or the side of a square, in pixels; None keeps the frames' own.
        fit: "pad" keeps the aspect and pads with black, evenly on both sides; "stretch" does not. See `Framing`.
        interpolation: "bilinear" or "area".
        channels: 3 (grey is repeated), 1 (colour becomes grey) or None (as they are stored).
        fps: frames a second that the clip is shown at, see `vidsuite_core.media.resample`. None takes its frames as
            they are, but those of a recording whose rate varies at its average rate; "frames" even those as they are.
        plane: focal plane; None is the middle one.
        cached: keep the result in the frame cache, for recipes that read each clip many times.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = 224,
        fit: Fit = "pad",
        interpolation: Interpolation = "bilinear",
        channels: int | None = 3,
        fps: float | str | None = None,
        plane: int | None = None,
        cached: bool = False,
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        self.fit = fit
        self.interpolation = interpolation
        self.channels = channels
        self.fps = fps
        self.plane = plane
        self.cached = cached
        self._reader = Reader()

    def key(self, sample: ClipSample) -> dict[str, Any]:
        """All that decides `clip`, for cache keys."""
        recording = sample.footage
        indices = self.indices(sample)
        straight = indices == list(range(sample.start, sample.stop))
        return {
            "content": recording.content,
            "first": recording.first,
            "frames": [sample.start, sample.stop] if straight else digest(indices),
            "plane": self.plane,
            "values": list(recording.value_range) if recording.value_range else None,
            "framing": self.framing(recording).key(),
            "reader": READER,
        }

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample = results["sample"]
        if self.cached:
            key = cache_key(**self.key(sample))
            clip = frame_cache().get_or_compute(key, lambda: {"clip": self._read(sample)})["clip"]
        else:
            clip = self._read(sample)
        if self.channels == 3 and clip.shape[3] == 1:  # so late because the cache holds one channel as one
            clip = np.repeat(clip, 3, axis=3)
        results["clip"] = clip
        results["fps"] = self.rate(sample.footage) or sample.footage.fps
        return results

    def _read(self, sample: ClipSample) -> np.ndarray:
        return self._reader.read(sample.footage, self.indices(sample), self.framing(sample.footage), self.plane)

    def framing(self, recording: Recording) -> Framing:
        """How its frames are shown, but that grey is not repeated."""
        return Framing(
            size=self.size,
            fit=self.fit,
            interpolation=self.interpolation,
            channels=1 if self.channels == 1 else None,
            box=self.box(recording),
        )

    def rate(self, recording: Recording) -> float | None:
        """Frames a second that clips of the recording are resampled to; None where they are not."""
        if self.fps == "frames":
            return None
        if self.fps is not None:
            return float(self.fps)
        return recording.fps if recording.times is not None else None

    def indices(self, sample: ClipSample) -> list[int]:
        """The numbers of the recording's frames that make up the clip, in order. For subclasses that choose."""
        frames, recording = range(sample.start, sample.stop), sample.footage
        rate = self.rate(recording)
        if rate is None:
            return list(frames)
        ends = recording.time(sample.stop - 1) + 1 / recording.fps
        if sample.stop < recording.frames:
            ends = recording.time(sample.stop)
        begins, ends = sample.seconds or (None, ends)
        shown = resample([recording.time(index) for index in frames], rate, begins, end=ends)
        return [frames[place] for place in shown.tolist()]

    def box(self, recording: Recording) -> tuple[int, int, int, int] | None:
        """The part of the frame that is kept, x1, y1, x2, y2 in whole pixels; None for all of it. For subclasses."""
        return None


@TRANSFORMS.register_module()
class PackClip:
    """`clip` uint8 (T, H, W, C) -> `inputs` float32, and the data element with `num_frames` and `fps` in its meta.

    Args:
        mean, std: pixels become (pixel - mean) / std, for all channels or for each; by default [-1, 1].
        layout: order of the axes.
    """

    def __init__(self, mean: PerChannel = 127.5, std: PerChannel = 127.5, layout: str = "CTHW") -> None:
        self.mean, self.std, self.layout = mean, std, layout

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample = data_sample(results["sample"])
        sample.set_metainfo({"num_frames": len(results["clip"]), "fps": results.get("fps")})
        return {"inputs": to_tensor(results["clip"], "THWC", self.layout, self.mean, self.std), "data_samples": sample}

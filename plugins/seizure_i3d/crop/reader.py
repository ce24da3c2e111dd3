"""The reader that crops, as configs name it; importing this module registers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vidsuite_core.engine.data import ReadClip
from vidsuite_core.errors import UsageError
from vidsuite_plugins.seizure_i3d.crop.cropper import Cropper
from vidsuite_plugins.seizure_i3d.registry import TRANSFORMS

if TYPE_CHECKING:
    from vidsuite_core.samples import ClipSample, Recording
    from vidsuite_plugins.seizure_i3d.crop.rule import PixelBox


@TRANSFORMS.register_module()
class ReadCropped(ReadClip):
    """`vidsuite.ReadClip` of the part of the frame that a `Cropper` chooses for the recording.

    Args:
        crop: options of `Cropper`, or None to keep whole frames.
        between: what is shown between two frames where `fps` asks for more than there are: the "nearest" frame, or the
            "linear" mean of both, from the first frame to the last, for recordings of a constant rate.
        options: of `ReadClip`.

    Raises:
        UsageError: another `between`.
    """

    def __init__(
        self, crop: dict[str, Any] | None = None, between: Literal["nearest", "linear"] = "nearest", **options: Any
    ) -> None:
        super().__init__(**options)
        if between not in ("nearest", "linear"):
            raise UsageError(f"between is {between!r}; give nearest or linear")
        self.between = between
        self.cropper = Cropper(**crop) if crop else None

    def box(self, recording: Recording) -> PixelBox | None:
        """See `ReadClip.box`."""
        return self.cropper.crop(recording).box if self.cropper else None

    def key(self, sample: ClipSample) -> dict[str, Any]:
        """See `ReadClip.key`."""
        if not self._blends(sample.footage):
            return super().key(sample)
        return {**super().key(sample), "linear": self.rate(sample.footage)}

    def indices(self, sample: ClipSample) -> list[int]:
        """See `ReadClip.indices`; before any blending."""
        return list(range(sample.start, sample.stop)) if self._blends(sample.footage) else super().indices(sample)

    def _blends(self, recording: Recording) -> bool:
        return self.between == "linear" and self.rate(recording) is not None and recording.times is None

    def _read(self, sample: ClipSample) -> np.ndarray:
        clip, rate = super()._read(sample), self.rate(sample.footage)
        return blended(clip, rate / sample.footage.fps) if rate and self._blends(sample.footage) else clip

    def details(self, samples: Sequence[ClipSample]) -> dict[str, Any]:
        """`crops`: of each recording among the samples the box, its status and its reason."""
        if self.cropper is None:
            return {}
        return {"crops": {sample.recording: self.cropper.crop(sample.footage).to_json() for sample in samples}}


def blended(clip: np.ndarray, factor: float) -> np.ndarray:
    """Frames uint8 (T, H, W, C) shown `factor` times as often: uint8 (floor((T - 1) factor) + 1, H, W, C).

    Each is the mean of the two frames around its instant, weighted by how near they are; the first is the first.
    """
    places = np.arange(int((len(clip) - 1) * factor + 1e-6) + 1) / factor
    before = np.minimum(places.astype(int), len(clip) - 1)
    after = np.minimum(before + 1, len(clip) - 1)
    share = (places - before).astype(np.float32)[:, None, None, None]
    mixed = clip[before] * (1 - share) + clip[after] * share
    return np.rint(mixed).astype(np.uint8)


def settle(config: dict[str, Any], samples: Sequence[ClipSample]) -> None:
    """Take the detector out of a config whose samples all bring the boxes that the crop wants: nobody asks it."""
    crop: Mapping[str, Any] | None = config.get("crop")
    if not crop or crop.get("source", "auto") == "detector":
        return
    if crop.get("source") in ("given", "warm") or all(
        set(crop["labels"]) <= set(sample.footage.regions) for sample in samples
    ):
        config["crop"] = {**crop, "detector": None}

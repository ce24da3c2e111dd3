"""The reader that crops, as configs name it; importing this module registers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidsuite_core.engine.data import ReadClip
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
        options: of `ReadClip`.
    """

    def __init__(self, crop: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.cropper = Cropper(**crop) if crop else None

    def box(self, recording: Recording) -> PixelBox | None:
        """See `ReadClip.box`."""
        return self.cropper.crop(recording).box if self.cropper else None

    def details(self, samples: Sequence[ClipSample]) -> dict[str, Any]:
        """`crops`: of each recording among the samples the box, its status and its reason."""
        if self.cropper is None:
            return {}
        return {"crops": {sample.recording: self.cropper.crop(sample.footage).to_json() for sample in samples}}


def settle(config: dict[str, Any], samples: Sequence[ClipSample]) -> None:
    """Take the detector out of a config whose samples all bring the boxes that the crop wants: nobody asks it."""
    crop: Mapping[str, Any] | None = config.get("crop")
    if not crop or crop.get("source", "auto") == "detector":
        return
    if crop.get("source") == "given" or all(set(crop["labels"]) <= set(sample.footage.regions) for sample in samples):
        config["crop"] = {**crop, "detector": None}

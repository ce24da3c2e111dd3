"""The crop of each recording: found once, remembered, and reported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import UsageError
from vidsuite_core.media.reader import Reader, first_frame, frame_size
from vidsuite_core.support.cache import cache_key, feature_cache
from vidsuite_plugins.seizure_i3d.crop.detect import Detector, find_config
from vidsuite_plugins.seizure_i3d.crop.rule import CropResult, CropRule, Detection, choose_crop, given, whole_frame
from vidsuite_plugins.seizure_i3d.crop.warm import LABEL, warm_box

if TYPE_CHECKING:
    from vidsuite_core.samples import Recording

SOURCES = ("auto", "given", "detector", "warm")


class Cropper:
    """Crops recordings to the regions of some labels.

    Args:
        source: "given" uses the regions that the recordings bring, "detector" those detected on the first frame,
            "auto" the given ones where a recording has one of each label, else the detector. "warm" takes what is
            warmer than the room in any frame, see `warm.warm_box`, and no other label.
        labels: regions to merge; a recording that lacks one keeps its whole frame.
        expand: how much the merged box grows on each side, as a fraction of its width and height.
        min_score: least confidence of a detection.
        detector: `config` (a file, or the name of one of mmdet's) and `weights`. Without weights nothing can be
            detected, so that whole frames are kept and recorded as such.
    """

    def __init__(
        self,
        source: str = "auto",
        labels: Sequence[str] = ("bed", "person"),
        expand: float = 0.2,
        min_score: float = 0.7,
        detector: dict[str, Any] | None = None,
    ) -> None:
        if source not in SOURCES:
            raise UsageError(f"crop source {source!r} is none of {', '.join(SOURCES)}")
        self.source = source
        wanted = (LABEL,) if source == "warm" else tuple(labels)
        self.rule = CropRule(labels=wanted, expand=expand, min_score=min_score)
        self._options = detector
        self._detector: Detector | None = None
        self._known: dict[str, CropResult] = {}

    def crop(self, recording: Recording) -> CropResult:
        """The recording's crop, in pixels of its frames."""
        if recording.content not in self._known:
            self._known[recording.content] = self._find(recording)
        return self._known[recording.content]

    def _find(self, recording: Recording) -> CropResult:
        height, width = frame_size(recording)
        size = width, height
        if self.source == "warm":
            box = warm_box(Reader().read(recording, range(recording.frames)))
            return choose_crop([Detection(LABEL, 1.0, box)] if box else [], *size, self.rule, "warm")
        if self.source != "detector" and (self.source == "given" or set(self.rule.labels) <= set(recording.regions)):
            return choose_crop(given(recording.regions), *size, self.rule, "given")
        if not self._options or not self._options.get("weights"):
            return whole_frame(*size, "no detector weights, so nobody looked", "none")
        return choose_crop(self._detect(recording), *size, self.rule, "detector")

    def _detect(self, recording: Recording) -> list[Detection]:
        key = cache_key(
            content=recording.content,
            values=list(recording.value_range) if recording.value_range else None,
            detector=self._identity,
            kind="detections",
            version=2,
        )
        return _unpack(feature_cache().get_or_compute(key, lambda: _pack(self._run(recording))))

    def _run(self, recording: Recording) -> list[Detection]:
        assert self._options is not None
        if self._detector is None:
            self._detector = Detector(**self._options)
        wanted = set(self.rule.labels)
        return [found for found in self._detector.detect(first_frame(recording)) if found.label in wanted]

    @cached_property
    def _identity(self) -> list[str]:
        assert self._options is not None
        files = find_config(self._options["config"]), Path(self._options["weights"])
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        return [*hashes, version("mmdet"), version("torch"), *self.rule.labels]


def _pack(found: Sequence[Detection]) -> dict[str, np.ndarray]:
    return {
        "label": np.array([one.label for one in found], dtype="U64"),
        "score": np.array([one.score for one in found], dtype=np.float64),
        "box": np.array([one.box for one in found], dtype=np.float64).reshape(-1, 4),
    }


def _unpack(stored: dict[str, np.ndarray]) -> list[Detection]:
    rows = zip(stored["label"], stored["score"], stored["box"], strict=True)
    return [Detection(str(label), float(score), tuple(box.tolist())) for label, score, box in rows]

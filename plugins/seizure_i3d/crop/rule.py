"""Cropping a recording to a region of interest: which box, and why.

Pure arithmetic on boxes and detections; `vidsuite_plugins.seizure_i3d.crop.detect` finds the detections and
`vidsuite_plugins.seizure_i3d.crop.sheet` shows the outcome. The rule is that of the seizure paper (Karácsony et al.,
sections 3.3.1 and 4.1), with its labels and numbers as defaults.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Box

PixelBox = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, x2 and y2 exclusive: `frame[y1:y2, x1:x2]` is the crop."""

Status = Literal["cropped", "whole_frame"]
Source = Literal["given", "detector", "warm", "none"]

_RECORDED, _RECORDED_SCORE = 5, 0.05  # of each label: the chosen one, its rivals and near misses


def area(box: Box) -> float:
    """Pixels that `box` covers; 0 where it is empty or its corners are swapped."""
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


def merge(boxes: Iterable[Box]) -> Box:
    """The smallest box that contains all `boxes`, of which there is at least one."""
    columns = tuple(zip(*boxes, strict=True))
    if not columns:
        raise VidsuiteError("no boxes to merge; pass at least one")
    x1, y1, x2, y2 = columns
    return min(x1), min(y1), max(x2), max(y2)


def expand(box: Box, fraction: float = 0.2) -> Box:
    """`box` grown on each of its four sides by `fraction` of its width or height.

    So 0.2 makes it 1.4 times as wide and as high: "+20% in all direction" (section 3.3.1).
    """
    x1, y1, x2, y2 = box
    dx, dy = fraction * (x2 - x1), fraction * (y2 - y1)
    return x1 - dx, y1 - dy, x2 + dx, y2 + dy


def clip(box: Box, width: int, height: int) -> PixelBox:
    """The part of `box` inside the frame, its edges moved outward to whole pixels.

    Raises:
        VidsuiteError: the box has no area inside the frame.
    """
    x1, y1, x2, y2 = box
    inside = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if not area(inside) > 0:
        raise VidsuiteError(
            f"box {tuple(round(v, 1) for v in box)} has no area inside the {width}x{height} frame; "
            "boxes are x1, y1, x2, y2 in pixels"
        )
    return math.floor(inside[0]), math.floor(inside[1]), math.ceil(inside[2]), math.ceil(inside[3])


@dataclass(frozen=True)
class Detection:
    """Something of class `label` in `box` (pixels of the frame), with a confidence in [0, 1]."""

    label: str
    score: float
    box: Box

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise VidsuiteError(f"score {self.score} of {self.label!r} is not between 0 and 1")
        if not (all(map(math.isfinite, self.box)) and area(self.box) > 0):
            raise VidsuiteError(
                f"box {self.box} of {self.label!r} has no area; boxes are x1, y1, x2, y2 with x1 < x2 and y1 < y2"
            )


def given(boxes: Mapping[str, Box]) -> tuple[Detection, ...]:
    """Boxes known beforehand (`Recording.regions`) as detections of full confidence."""
    return tuple(Detection(label, 1.0, box) for label, box in boxes.items())


@dataclass(frozen=True, kw_only=True)
class CropRule:
    """Which detections make the crop.

    Attributes:
        labels: what has to be found, each at least once.
        expand: how far the merged box grows on each side, as a fraction of its width or height.
        min_score: detections below are as good as none (0.7 is the default of the paper's detector).
    """

    labels: tuple[str, ...] = ("bed", "person")
    expand: float = 0.2
    min_score: float = 0.7

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise VidsuiteError(f"crop labels {self.labels!r} are empty or repeat one; name each label once")
        if not 0 <= self.expand < math.inf:
            raise VidsuiteError(f"crop expansion {self.expand} is negative or not finite; 0.2 means 20 % on each side")
        if not 0 <= self.min_score <= 1:
            raise VidsuiteError(f"crop min_score {self.min_score} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class CropResult:
    """The region that a recording is cropped to, and how it came about.

    Attributes:
        box: what to cut from every frame; the whole frame where `status` says so.
        reason: one sentence for people.
        detections: the five most confident ones of each of the rule's labels, best first, without the hopeless ones.
        source: where the detections came from; "none" where nobody looked for any.
    """

    box: PixelBox
    status: Status
    reason: str
    detections: tuple[Detection, ...] = ()
    source: Source

    def __post_init__(self) -> None:
        if min(self.box) < 0 or area(self.box) == 0:
            raise VidsuiteError(f"crop box {self.box} is empty or begins outside the frame")

    def to_json(self) -> dict[str, Any]:
        """The result as what `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CropResult:
        """Read what `to_json` gave, after a trip through JSON.

        Raises:
            VidsuiteError: a field is missing or of the wrong kind; the text names it.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the record"
            raise VidsuiteError(f"crop result: {field}: {first['msg'].lower()}; crop the recording again") from error


def whole_frame(
    width: int, height: int, reason: str, source: Source, detections: tuple[Detection, ...] = ()
) -> CropResult:
    """The result that crops nothing away."""
    return CropResult(
        box=(0, 0, width, height), status="whole_frame", reason=reason, detections=detections, source=source
    )


def choose_crop(detections: Iterable[Detection], width: int, height: int, rule: CropRule, source: Source) -> CropResult:
    """The crop of a `width` x `height` frame (section 3.3.1).

    The most confident detections of each label are merged, expanded and clipped. Where any label is
    missing, the whole frame is kept: the paper fell back to the raw video in its four failures
    (section 4.1), and a crop around half of the scene could cut the seizure's movements off. The paper
    sorted them out by eye, and so should users: a physician taken for the patient looks like a success here.

    Raises:
        VidsuiteError: a chosen box lies outside the frame, so belongs to another picture.
    """
    ranked = sorted(detections, key=lambda found: -found.score)
    of_label = {label: [found for found in ranked if found.label == label] for label in rule.labels}
    recorded = tuple(found for found in ranked if _is_recorded(found, of_label))
    missing = [_why_missing(label, found, rule) for label, found in of_label.items() if not _is_found(found, rule)]
    if missing:
        return whole_frame(width, height, " and ".join(missing), source, recorded)
    chosen = [found[0].box for found in of_label.values()]
    for box in chosen:
        clip(box, width, height)  # raises where only the expansion would reach into the frame
    crop = clip(expand(merge(chosen), rule.expand), width, height)
    reason = f"{' and '.join(rule.labels)} found, expanded by {100 * rule.expand:g} % on each side"
    return CropResult(box=crop, status="cropped", reason=reason, detections=recorded, source=source)


def _is_found(found: list[Detection], rule: CropRule) -> bool:
    return bool(found) and found[0].score >= rule.min_score


def _is_recorded(found: Detection, of_label: Mapping[str, list[Detection]]) -> bool:
    return found.score >= _RECORDED_SCORE and found in of_label.get(found.label, [])[:_RECORDED]


def _why_missing(label: str, found: list[Detection], rule: CropRule) -> str:
    best = f" (best {found[0].score:.2f}, needs {rule.min_score:.2f})" if found else ""
    return f"no {label} found{best}"


def as_rgb(frame: np.ndarray) -> np.ndarray:
    """`frame`, uint8 (H, W) grey or (H, W, 3) RGB, as uint8 (H, W, 3); the input itself where it is that."""
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.size == 0 or frame.shape[2:] not in ((), (3,)):
        raise VidsuiteError(
            f"a frame of {frame.dtype} {frame.shape} was given; scale it to uint8 and pass (H, W) or (H, W, 3) RGB"
        )
    return np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame

"""Pictures of samples and of frames of streams, with what is true and what was predicted: what tasks draw with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np

from vidsuite_core.media.framing import Framing
from vidsuite_core.media.labels import read_labels, resize_labels
from vidsuite_core.media.overlay import RGB, caption, overlay
from vidsuite_core.media.reader import Reader
from vidsuite_core.samples import VOID, Box, ClipSample, FrameSample, KeyFrameSample, MomentsSample

WIDTH = 480
"""Of a picture, in pixels."""
GAP = 4
FRAMES, COLUMNS = 6, 3
"""Frames of a clip that are shown, evenly spread from the first to the last, and how many stand side by side."""
MOMENTS = 12
"""Moments that are shown at most, evenly spread."""
BAR = 10
"""Height of the bar of a class's chances, in pixels, at the usual width."""
LEAST = 0.3
"""Boxes of a lower score are not drawn."""
RGB_FRAMES = Framing(channels=3)

_TALLEST = 2.0
"""Height of a panel as a multiple of its width, at most."""
_REGION: RGB = (240, 228, 66)
_TRUE: RGB = (255, 255, 255)
_WRONG: RGB = (214, 40, 40)

Prediction = Mapping[str, np.ndarray]


def clip_picture(sample: ClipSample, prediction: Prediction, palette: Sequence[RGB]) -> np.ndarray:
    """Frames of a clip in reading order with their times and the recording's regions, over the classes' chances."""
    recording = sample.footage
    places = np.unique(np.linspace(sample.start, sample.stop - 1, FRAMES).round().astype(int)).tolist()
    panels = []
    regions = list(recording.regions.values())
    for place, frame in zip(places, Reader().read(recording, places, RGB_FRAMES), strict=True):
        panel = with_boxes(_fit(frame, COLUMNS), regions, [_REGION] * len(regions), frame.shape[1], thick=2)
        panels.append(caption(panel, f"{recording.time(place) - recording.time(sample.start):.1f} s"))
    picture = _grid(panels, COLUMNS)
    return np.concatenate([picture, chances(prediction["prob"], palette, picture.shape[1], sample.label)])


def frame_picture(sample: FrameSample, prediction: Prediction, palette: Sequence[RGB]) -> np.ndarray:
    """The frame, its true and its predicted labels over it, and the pixels that are wrong.

    The predicted map may be of the frame's size or of the one that the network was shown.
    """
    image = _fit(Reader().frame(sample.footage, sample.index, RGB_FRAMES), 2)
    size = image.shape[1::-1]
    truth, found = (resize_labels(labels, size) for labels in (read_labels(sample), prediction["labels"]))
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    wrong = np.where(((truth != found) & (truth != VOID))[..., None], np.array(_WRONG, np.uint8), grey // 2 + 64)
    panels = {
        "frame": image,
        "true": overlay(image, truth, palette),
        "predicted": overlay(image, found, palette),
        "wrong pixels": np.where((truth == VOID)[..., None], grey // 4, wrong),
    }
    return _grid([caption(np.ascontiguousarray(panel), name) for name, panel in panels.items()], 2)


def moments_picture(sample: MomentsSample, prediction: Prediction, palette: Sequence[RGB]) -> np.ndarray:
    """The moments that count in reading order, each with its hour and the chances at it, on the middle plane."""
    recording = sample.footage
    there = [place for place, counts in enumerate(sample.counts) if counts]
    chosen = [there[place] for place in np.unique(np.linspace(0, len(there) - 1, MOMENTS).round().astype(int))]
    columns = min(len(chosen), 4)
    panels = []
    for place in chosen:
        frame = (sample.moments[place][0] + sample.moments[place][1]) // 2
        panel = _fit(Reader().frame(recording, frame, RGB_FRAMES), columns)
        panel = caption(panel, f"{recording.time(frame) / 3600:.1f} h")
        chance = float(prediction["prob"][place])
        bar = chances(np.array([1 - chance, chance]), palette, panel.shape[1], sample.label)
        panels.append(np.concatenate([panel, bar]))
    return _grid(panels, columns)


def key_frame_picture(
    sample: KeyFrameSample, prediction: Prediction, palette: Sequence[RGB], classes: Sequence[str]
) -> np.ndarray:
    """The key frame with its true boxes in white, and over them the predicted ones of a score that is worth a look."""
    frame = Reader().frame(sample.footage, sample.index, RGB_FRAMES)
    true = sample.boxes or ()
    drawn = with_boxes(_fit(frame, 1), true, [_TRUE] * len(true), frame.shape[1], thick=3)
    return with_detections(drawn, prediction, palette, classes, frame.shape[1])


def with_detections(
    frame: np.ndarray, prediction: Prediction, palette: Sequence[RGB], classes: Sequence[str], width: int
) -> np.ndarray:
    """The frame (H, W, 3) with predicted boxes in their classes' colours, named, the most confident on top.

    Args:
        width: of the frame whose pixels the boxes are in.
    """
    order = [i for i in np.argsort(prediction["score"], kind="stable") if prediction["score"][i] >= LEAST]
    labels = [int(prediction["class"][i]) for i in order]
    boxes = [tuple(prediction["box"][i].tolist()) for i in order]
    drawn = with_boxes(frame, boxes, [palette[label] for label in labels], width)
    size, scale = max(0.35, frame.shape[1] / 1280), frame.shape[1] / width
    for place, label, box in zip(order, labels, boxes, strict=True):
        text = f"{classes[label]} {prediction['score'][place]:.2f}"
        where = round(box[0] * scale), round(box[1] * scale) - 3
        cv2.putText(drawn, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, palette[label], 1, cv2.LINE_AA)
    return drawn


def with_chances(frame: np.ndarray, chance: np.ndarray, palette: Sequence[RGB]) -> np.ndarray:
    """The frame (H, W, 3) with the chances (K,) of the classes as a bar along its lower edge."""
    bar = chances(chance, palette, frame.shape[1])
    drawn = frame.copy()
    drawn[-len(bar) :] = bar[-len(drawn) :]
    return drawn


def with_boxes(
    frame: np.ndarray, boxes: Sequence[Box], colours: Sequence[RGB], width: int, thick: int = 1
) -> np.ndarray:
    """The frame (H, W, 3) with the outlines of boxes, which are in pixels of a frame that is `width` wide."""
    drawn, scale = frame.copy(), frame.shape[1] / width
    for box, colour in zip(boxes, colours, strict=True):
        x1, y1, x2, y2 = (round(side * scale) for side in box)
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, thick * max(round(frame.shape[1] / WIDTH), 1))
    return drawn


def chances(chance: np.ndarray, palette: Sequence[RGB], width: int, true: int | None = None) -> np.ndarray:
    """A bar (rows, width, 3) divided among the classes by their chances (K,), the true one's part with a white edge."""
    height = max(round(BAR * width / WIDTH), 4)
    edges = np.concatenate([[0], np.cumsum(chance / max(chance.sum(), 1e-9) * width)]).round().astype(int)
    bar = np.zeros((height, width, 3), np.uint8)
    for label, (left, right) in enumerate(pairwise(edges.tolist())):
        bar[:, left:right] = palette[label]
        if label == true:
            bar[: max(height // 3, 1), left:right] = _TRUE
    return bar


def _fit(image: np.ndarray, columns: int) -> np.ndarray:
    """The image scaled to the width of one of so many columns, or to the greatest height."""
    room = (WIDTH - (columns - 1) * GAP) // columns
    height, width = image.shape[:2]
    scale = min(room / width, room * _TALLEST / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _grid(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Panels of one size in rows, on white."""
    height, width = panels[0].shape[:2]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        top, left = (place // columns) * (height + GAP), (place % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = panel
    return sheet

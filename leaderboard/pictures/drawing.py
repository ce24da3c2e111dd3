"""Small pictures of samples: frames of a clip, or a frame with its true and predicted labels and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidsuite_core.media.overlay import RGB, caption, overlay
from vidsuite_core.samples import VOID

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.samples import ClipSample, FrameSample, Recording

WIDTH = 480
"""Of a picture, in pixels."""
GAP = 4
QUALITY = 85
FRAMES = 6
"""Frames of a clip that are shown, evenly spread from the first to the last."""
COLUMNS = 3
_TALLEST = 2.0
"""Height of a panel as a multiple of its width, at most."""
_REGION = (240, 228, 66)
_WRONG = (214, 40, 40)


def jpeg(picture: np.ndarray) -> bytes:
    """RGB uint8 (H, W, 3) as a JPEG file's bytes."""
    import cv2

    data: bytes = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data


def clip_picture(sample: ClipSample) -> np.ndarray:
    """Frames of a clip in reading order, each with its time and the regions that the sample brings."""
    import numpy as np

    from vidsuite_core.media.framing import Framing
    from vidsuite_core.media.reader import Reader

    recording = sample.footage
    places = np.unique(np.linspace(sample.start, sample.stop - 1, FRAMES).round().astype(int)).tolist()
    panels = []
    for place, frame in zip(places, Reader().read(recording, places, Framing(channels=3)), strict=True):
        panel = _fit(_with_regions(frame, recording), COLUMNS)
        panels.append(caption(panel, f"{recording.time(place) - recording.time(sample.start):.1f} s"))
    return _grid(panels, COLUMNS)


def frame_picture(sample: FrameSample, found: np.ndarray, palette: Sequence[RGB]) -> np.ndarray:
    """The frame, its true and its predicted labels over it, and the pixels that are wrong.

    Args:
        found: predicted label map (H, W) uint8, of the frame's size or of the one that the network was shown.
    """
    import cv2
    import numpy as np

    from vidsuite_core.media.framing import Framing
    from vidsuite_core.media.labels import read_labels, resize_labels
    from vidsuite_core.media.reader import Reader

    image = _fit(Reader().frame(sample.footage, sample.index, Framing(channels=3)), 2)
    size = image.shape[1::-1]
    truth, found = (resize_labels(m, size) for m in (read_labels(sample), found))
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    wrong = np.where(((truth != found) & (truth != VOID))[..., None], np.array(_WRONG, np.uint8), grey // 2 + 64)
    panels = {
        "frame": image,
        "true": overlay(image, truth, palette),
        "predicted": overlay(image, found, palette),
        "wrong pixels": np.where((truth == VOID)[..., None], grey // 4, wrong),
    }
    return _grid([caption(np.ascontiguousarray(panel), name) for name, panel in panels.items()], 2)


def _with_regions(frame: np.ndarray, recording: Recording) -> np.ndarray:
    """The frame with the regions that its recording brings."""
    import cv2

    drawn = frame.copy()
    thick = max(round(frame.shape[1] * COLUMNS / WIDTH), 1)
    for box in recording.regions.values():
        x1, y1, x2, y2 = (round(side) for side in box)
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), _REGION, thick)
    return drawn


def _fit(image: np.ndarray, columns: int) -> np.ndarray:
    """The image scaled to the width of one of so many columns, or to the greatest height."""
    import cv2

    room = (WIDTH - (columns - 1) * GAP) // columns
    height, width = image.shape[:2]
    scale = min(room / width, room * _TALLEST / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _grid(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Panels of one size in rows, on white."""
    import numpy as np

    height, width = panels[0].shape[:2]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        top, left = (place // columns) * (height + GAP), (place % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = panel
    return sheet

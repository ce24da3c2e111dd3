"""Label maps drawn over their frames."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

RGB = tuple[int, int, int]


def hues(count: int) -> tuple[RGB, ...]:
    """Colours spread evenly, for classes that have none of their own."""
    spread = (colorsys.hsv_to_rgb(index / max(count, 1), 0.75, 0.9) for index in range(count))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in spread)


def colour(labels: np.ndarray, palette: Sequence[RGB]) -> np.ndarray:
    """Label map (H, W) -> RGB uint8 (H, W, 3); void is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[labels]


def overlay(image: np.ndarray, labels: np.ndarray, palette: Sequence[RGB], opacity: float = 0.5) -> np.ndarray:
    """RGB frame (H, W, 3) under its coloured label map (H, W); opacity 0 shows the frame alone."""
    import cv2

    return cv2.addWeighted(image, 1 - opacity, colour(labels, palette), opacity, 0)


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """The frame with white text on black at its top left; changed in place and returned."""
    import cv2

    scale = max(0.35, image.shape[1] / 1280)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    cv2.rectangle(image, (0, 0), (width + 6, height + base + 4), (0, 0, 0), -1)
    cv2.putText(image, text, (3, height + 2), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return image


def legend(classes: Sequence[str], palette: Sequence[RGB], width: int) -> np.ndarray:
    """A strip (rows, width, 3) with each class's colour and name, as high as it needs to be."""
    import cv2

    scale = max(0.35, width / 1280)
    row = round(44 * scale)
    places, x, y = [], 0, 0
    for name in classes:
        length = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] + 2 * row
        if x and x + length > width:
            x, y = 0, y + row
        places.append((x, y))
        x += length
    strip = np.zeros((y + row + (y + row) % 2, width, 3), np.uint8)
    for (left, top), name, rgb in zip(places, classes, palette, strict=True):
        cv2.rectangle(strip, (left + 3, top + 3), (left + row - 4, top + row - 4), tuple(map(int, rgb)), -1)
        origin = (left + row, top + round(0.72 * row))
        cv2.putText(strip, name, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return strip

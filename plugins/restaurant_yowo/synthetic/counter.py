"""The counter seen from above: its stations, the two cameras, and drawing on their pictures by OpenCV.

Places are given in metres-like units on the counter's plane, x in 0 .. 1.6 and y in 0 .. 0.9, y towards the workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 1.6, 0.9
Colour = tuple[int, int, int]

STATIONS: dict[str, tuple[tuple[float, float], ...]] = {
    "bin": tuple((0.14 + 0.125 * n, 0.20) for n in range(8)),
    "lid": tuple((0.14 + 0.125 * n, 0.33) for n in range(2, 8)),
    "meal": ((0.45, 0.58), (0.80, 0.58)),
    "bowls": ((0.10, 0.42),),
    "board": ((0.62, 0.52), (0.98, 0.55)),
    "cutter": ((1.20, 0.22),),
    "sauce": ((1.12, 0.42),),
    "gloves": ((0.10, 0.62),),
    "phone": ((0.26, 0.74), (1.05, 0.76)),
    "till": ((1.38, 0.42),),
    "receipt": ((1.50, 0.34),),
    "drawer": ((1.40, 0.62),),
    "sink": ((1.46, 0.14),),
}
_FOOD = ((60, 140, 70), (210, 90, 60), (230, 190, 90), (240, 240, 225), (120, 70, 50), (150, 190, 60), (220, 130, 150),
         (90, 60, 110))  # fmt: skip
"""RGB of what the bins hold."""
TOOLS: dict[str, tuple[Colour, float, float]] = {  # colour, length, thickness
    "tongs": ((200, 205, 210), 0.128, 0.018),
    "food": ((235, 150, 70), 0.038, 0.038),
    "bottle": ((190, 40, 40), 0.105, 0.042),
    "glove": ((70, 110, 200), 0.045, 0.045),
    "bowl": ((245, 245, 245), 0.09, 0.09),
    "mat": ((150, 170, 90), 0.18, 0.075),
    "phone": ((25, 25, 30), 0.09, 0.053),
    "cloth": ((120, 190, 220), 0.105, 0.068),
    "spoon": ((170, 120, 70), 0.12, 0.015),
    "shaker": ((90, 90, 95), 0.06, 0.033),
    "cap": ((215, 235, 245), 0.075, 0.075),
    "cash": ((130, 160, 120), 0.075, 0.038),
    "paper": ((235, 225, 200), 0.135, 0.09),
}
REACH = 0.13
"""How far tongs reach beyond the hand."""
_PLAIN: tuple[Colour, float, float] = ((190, 190, 190), 0.08, 0.045)
"""What every tool looks like where looks are to tell nothing."""


@dataclass(frozen=True)
class Camera:
    """A fixed camera: the pixels (width, height) of its pictures and the homography from the counter's plane to
    them."""

    size: tuple[int, int]
    matrix: np.ndarray

    def points(self, places: np.ndarray) -> np.ndarray:
        """Places (n, 2) on the counter -> pixels (n, 2) float32."""
        return cv2.perspectiveTransform(np.asarray(places, np.float32)[None], self.matrix)[0]

    def box(self, places: np.ndarray) -> tuple[float, float, float, float]:
        """The pixels' box xyxy around places, cut off at the picture's border."""
        found = self.points(places)
        (x1, y1), (x2, y2) = found.min(axis=0), found.max(axis=0)
        w, h = self.size
        return float(max(x1, 0)), float(max(y1, 0)), float(min(x2, w)), float(min(y2, h))

    def scale(self, place: tuple[float, float]) -> float:
        """Pixels per unit near a place."""
        around = self.points(np.array([place, (place[0] + 0.01, place[1])]))
        return float(np.linalg.norm(around[1] - around[0]) / 0.01)


def cameras(size: tuple[int, int]) -> tuple[Camera, Camera]:
    """The two vantage points: from the customers' side, nearly straight down, and from the workers' side, slanted."""
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], np.float32)
    w, h = size
    straight = np.array([(0.03, 0.05), (0.97, 0.05), (1.02, 1.0), (-0.02, 1.0)], np.float32) * (w, h)
    slanted = np.array([(0.90, 0.98), (0.06, 0.95), (0.20, 0.08), (0.82, 0.04)], np.float32) * (w, h)
    return tuple(  # type: ignore[return-value]
        Camera(size, cv2.getPerspectiveTransform(corners, target.astype(np.float32))) for target in (straight, slanted)
    )


def empty_counter(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The counter without anybody, RGB uint8 (H, W, 3); its tones are drawn anew for each recording."""
    w, h = camera.size
    picture = np.empty((h, w, 3), np.uint8)
    picture[:] = np.clip(np.array((120, 118, 112)) + rng.normal(0, 8, 3), 0, 255).astype(np.uint8)
    steel = tuple(int(v) for v in np.clip(np.array((172, 174, 178)) + rng.normal(0, 8, 3), 0, 255))
    block(picture, camera, (WIDTH / 2, HEIGHT / 2), (WIDTH, HEIGHT), steel)
    for place, food in zip(STATIONS["bin"], _FOOD, strict=True):
        block(picture, camera, place, (0.11, 0.13), (60, 62, 66))
        block(picture, camera, place, (0.09, 0.11), food)
    for place in STATIONS["lid"]:
        block(picture, camera, place, (0.10, 0.02), (80, 82, 86))
    for name, extent, colour in (
        ("bowls", (0.10, 0.10), (225, 225, 220)), ("board", (0.17, 0.12), (190, 150, 100)),
        ("cutter", (0.13, 0.15), (90, 95, 105)), ("sauce", (0.09, 0.06), (110, 60, 60)),
        ("gloves", (0.10, 0.08), (150, 170, 205)), ("till", (0.17, 0.14), (40, 42, 48)),
        ("receipt", (0.05, 0.06), (240, 240, 235)), ("drawer", (0.15, 0.10), (70, 72, 78)),
        ("sink", (0.16, 0.15), (205, 210, 214)), ("meal", (0.07, 0.07), (205, 205, 200)),
    ):  # fmt: skip
        for place in STATIONS[name]:
            block(picture, camera, place, extent, colour)
    block(picture, camera, STATIONS["till"][0], (0.13, 0.10), (90, 140, 190))
    grain = rng.normal(0, 3, (h, w, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def block(
    picture: np.ndarray, camera: Camera, centre: tuple[float, float], extent: tuple[float, float], colour: Colour,
    angle: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Draw a rectangle of the counter's plane; returns its corners (4, 2) there."""
    dx, dy = extent[0] / 2, extent[1] / 2
    corners = np.array([(-dx, -dy), (dx, -dy), (dx, dy), (-dx, dy)])
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    places = corners @ turn.T + centre
    pixels = (camera.points(places) * 8).round().astype(np.int32)
    cv2.fillConvexPoly(picture, pixels, colour, cv2.LINE_AA, shift=3)
    return places


def disc(picture: np.ndarray, camera: Camera, centre: tuple[float, float], radius: float, colour: Colour) -> np.ndarray:
    """Draw a disc; returns the corners (4, 2) of the square around it on the counter's plane."""
    x, y = (camera.points(np.array([centre]))[0] * 8).round().astype(int).tolist()
    cv2.circle(picture, (x, y), max(8, round(radius * camera.scale(centre) * 8)), colour, -1, cv2.LINE_AA, shift=3)
    return np.array(centre) + radius * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])


def tool(
    picture: np.ndarray, camera: Camera, name: str, hand: tuple[float, float], angle: float, looks: bool = True
) -> np.ndarray:
    """Draw what a hand holds, ahead of it; returns its corners on the counter's plane."""
    colour, length, thickness = TOOLS[name] if looks else _PLAIN
    ahead = hand[0] + np.cos(angle) * length / 2, hand[1] + np.sin(angle) * length / 2
    if name == "tongs" and looks:
        for side in (-1, 1):
            block(picture, camera, ahead, (length, thickness / 2), colour, angle + side * 0.12)
    return block(picture, camera, ahead, (length, thickness), colour, angle)

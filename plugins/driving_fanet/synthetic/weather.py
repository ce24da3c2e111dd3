"""Weather, light and the camera's sensor: what lies between the clean picture and the recorded one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.mesh import Colour, Floats

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Weather:
    """Weather and the light that comes with it.

    Attributes:
        name: what it is called.
        sun: brightness of direct light on a surface that faces the sun; diffuse light is `ambient`.
        ambient: diffuse light.
        horizon, zenith: the sky's colours; fog has the horizon's.
        clouds: how much of the sky they cover, 0 to 1.
        fog: share of light lost per metre.
        wet: how much of the sky wet surfaces mirror, 0 to 1.
        glow: how brightly lamps and lit windows shine, 0 to 1.
        rain: streaks per million pixels.
        noise: standard deviation of the sensor's noise at mid grey, in grey levels of 255.
        shutter: share of the time between frames for which the shutter is open.
    """

    name: str
    sun: float
    ambient: Colour
    horizon: Colour
    zenith: Colour
    clouds: float
    fog: float
    wet: float
    glow: float
    rain: float
    noise: float
    shutter: float


WEATHERS = (
    Weather(
        name="clear",
        sun=0.72,
        ambient=(0.52, 0.55, 0.60),
        horizon=(0.78, 0.84, 0.90),
        zenith=(0.34, 0.52, 0.80),
        clouds=0.35,
        fog=1 / 1500,
        wet=0.15,
        glow=0.0,
        rain=0.0,
        noise=9.0,
        shutter=0.5,
    ),
    Weather(
        name="overcast",
        sun=0.10,
        ambient=(0.80, 0.81, 0.83),
        horizon=(0.80, 0.81, 0.82),
        zenith=(0.62, 0.64, 0.67),
        clouds=0.9,
        fog=1 / 700,
        wet=0.15,
        glow=0.0,
        rain=0.0,
        noise=11.0,
        shutter=0.6,
    ),
    Weather(
        name="fog",
        sun=0.03,
        ambient=(0.76, 0.77, 0.78),
        horizon=(0.75, 0.76, 0.77),
        zenith=(0.70, 0.72, 0.74),
        clouds=0.3,
        fog=1 / 42,
        wet=0.3,
        glow=0.25,
        rain=0.0,
        noise=12.0,
        shutter=0.6,
    ),
    Weather(
        name="rain",
        sun=0.0,
        ambient=(0.60, 0.62, 0.66),
        horizon=(0.60, 0.62, 0.65),
        zenith=(0.44, 0.46, 0.50),
        clouds=0.8,
        fog=1 / 220,
        wet=1.0,
        glow=0.35,
        rain=380.0,
        noise=13.0,
        shutter=0.7,
    ),
    Weather(
        name="dusk",
        sun=0.14,
        ambient=(0.46, 0.44, 0.52),
        horizon=(0.80, 0.60, 0.48),
        zenith=(0.28, 0.33, 0.50),
        clouds=0.5,
        fog=1 / 500,
        wet=0.15,
        glow=1.0,
        rain=0.0,
        noise=16.0,
        shutter=0.85,
    ),
)


@dataclass(frozen=True)
class Exposure:
    """The camera's gain, which wanders slowly about `level`."""

    level: float
    rates: Floats
    phases: Floats
    swing: float

    @classmethod
    def draw(cls, rng: np.random.Generator, level: float) -> Exposure:
        """A gain of its own for a sequence."""
        return cls(level, rng.uniform(0.05, 0.5, 3), rng.uniform(0, 2 * np.pi, 3), float(rng.uniform(0.06, 0.16)))

    def at(self, time: float) -> float:
        """The gain at `time` in seconds."""
        course = np.sin(2 * np.pi * self.rates * time + self.phases).sum() / np.sqrt(1.5)
        return self.level * float(np.exp(self.swing * course))


def blur_along(picture: Picture, flow: tuple[Floats, Floats]) -> Picture:
    """Smear (H, W, 3) along each pixel's path while the shutter is open, the pixel being half way.

    Args:
        picture: the scene at the middle of the exposure.
        flow: how far in x and y (H, W) float32 a pixel moves during the exposure.
    """
    import cv2

    longest = float(max(np.abs(part).max() for part in flow))
    if longest < 0.4:
        return picture
    taps = 2 if longest < 1.5 else 4 if longest < 6 else 8
    height, width = picture.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]

    def moved(source: Picture, share: float) -> Picture:
        at = flow[0] * np.float32(share) + x, flow[1] * np.float32(share) + y
        return cv2.remap(source, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    # Each round doubles the taps, so that they end up evenly spread over the path.
    first = -0.5 * (1 - 1 / taps)
    result = cv2.addWeighted(moved(picture, first), 0.5, moved(picture, first + 1 / taps), 0.5, 0)
    step = 2 / taps
    while step < 1:
        result = cv2.addWeighted(result, 0.5, moved(result, step), 0.5, 0)
        step *= 2
    return result


def add_rain(picture: Picture, weather: Weather, rng: np.random.Generator) -> Picture:
    """Streaks of rain in front of (H, W, 3)."""
    import cv2

    height, width = picture.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    count = int(weather.rain * 1.0e-6 * height * width * (640 / width) ** 1.2)
    starts, tilt = rng.random((count, 2)) * (width, height), float(rng.normal(0.1, 0.03))
    for (x, y), size in zip(starts.tolist(), rng.uniform(0.03, 0.1, count).tolist(), strict=True):
        end = int(x + tilt * size * height), int(y + size * height)
        cv2.line(streaks, (int(x), int(y)), end, 75, 1 + width // 960, cv2.LINE_AA)
    share = cv2.merge([cv2.blur(streaks, (1, 5))] * 3)
    return cv2.add(picture, cv2.multiply(share, cv2.subtract(np.full_like(picture, 235), picture), scale=1 / 255))


def record(picture: Picture, gain: float, noise: float, rng: np.random.Generator) -> Picture:
    """What the sensor makes of (H, W, 3): `gain` times brighter, with noise that grows with the light.

    Noise is normal, independent from pixel to pixel and frame to frame, of standard deviation
    `noise` * (0.6 + 0.4 * value / 128) in grey levels.
    """
    import cv2

    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    bright = cv2.multiply(picture, (gain,) * 4, dtype=cv2.CV_32F)
    spread = cv2.addWeighted(bright, 0.4 * noise / 128, bright, 0, 0.6 * noise)
    return cv2.add(cv2.multiply(grain, spread), bright, dtype=cv2.CV_8U)

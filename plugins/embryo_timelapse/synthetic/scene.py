"""An embryo's recording: the well it lies in, its light, drift, debris and noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.embryo_timelapse.synthetic.development import Development, State
from vidsuite_plugins.embryo_timelapse.synthetic.optics import FIELD, SPACING, SPREAD, Image, Microscope
from vidsuite_plugins.embryo_timelapse.synthetic.plan import Embryo, Options, Patient

NOISE = 1.3
"""Grey levels of the sensor's noise."""
WELL = 128.0
"""Micrometres: the well's radius."""
SHARPEST_WELL = -1.5
"""Focal plane in which the well's rim is sharpest, from the central one: it stands below the embryo's middle."""
RANDOM_SCENE, RANDOM_DEVELOPMENT, RANDOM_NOISE = 3, 4, 5

Point = NDArray[np.float64]


class Scene:
    """Renders one embryo; the same options and embryo give the same frames.

    How it develops depends on neither size, planes nor the moments that are looked at.

    Args:
        embryo, patient: what is to be seen.
    """

    def __init__(self, options: Options, embryo: Embryo, patient: Patient) -> None:
        rng = options.random(RANDOM_SCENE, embryo.index)
        self.options, self.embryo, self.patient = options, embryo, patient
        self.development = Development(embryo, patient, options.random(RANDOM_DEVELOPMENT, embryo.index))
        self.microscope = Microscope(options.size, float(rng.normal(1.45, 0.15)), options.planes)
        self.rest = rng.uniform(-22, 22, 2)
        self.well_at = rng.uniform(-10, 10, 2)
        self.tilt = rng.normal(0, 0.10, 2)
        self.groove = float(rng.uniform(0.9, 1.6))
        self.debris = _draw_debris(rng)
        self.noise = options.random(RANDOM_NOISE, embryo.index)
        self.grain = _grain(self.noise, options.size)

    def frames(self, hours: Sequence[float]) -> Iterator[NDArray[np.uint8]]:
        """The focal planes (planes, H, W) at each of the rising `hours`, from the lowest to the highest."""
        drift, stage, before = np.zeros(2), np.zeros(2), 0.0
        for state in self.development.follow(hours):
            passed, before = state.hour - before, state.hour
            drift = drift * np.exp(-passed / 30) + self.noise.normal(0, 1.1, 2) * np.sqrt(passed)
            if self.noise.random() < 0.01 * passed:  # somebody opened the incubator
                stage = self.noise.normal(0, 12, 2)
            yield self._frame(state, self.rest + np.clip(drift, -18, 18), stage)

    def _frame(self, state: State, place: Point, stage: Point) -> NDArray[np.uint8]:
        debris = self.debris.copy()
        debris[:, :2] -= place
        if state.empty:
            nothing = {"centres": state.centres[:0], "radii": state.radii[:0], "ids": state.ids[:0]}
            state = replace(state, **nothing, outer=0.0, spheres=debris)
        else:
            state = replace(state, spheres=np.vstack([state.spheres, debris]))
        amount = self.embryo.grain * self.patient.grain * (1 + 1.5 * state.decay)
        layers = self.microscope.thickness(state, place + stage, self.grain, amount)
        relief = np.tanh(self.microscope.relief(layers) * np.float32(0.36 * self.patient.relief))
        flicker = np.float32(self.noise.normal(1, 0.012))
        bright = self._well(stage) * flicker * (1 + np.float32(0.95) * relief) + 14 * np.maximum(relief, 0) ** 3
        bright += np.float32(NOISE) * self.noise.standard_normal(bright.shape, np.float32)
        return np.clip(bright.round(), 0, 255).astype(np.uint8)

    def _well(self, stage: Point) -> Image:
        """The empty well in each focal plane (planes, H, W): a bright disk, a brighter arc, grooves in the dark."""
        axis = _axis(self.options.size)
        x, y = (axis - np.float32(middle) for middle in self.well_at + stage)
        x, y = x[None], y[:, None]
        distance = np.sqrt(x**2 + y**2)
        grooves = np.clip(0.22 - 0.5 * y / FIELD, 0, 0.45) * (1 + 0.12 * np.sin(distance / np.float32(self.groove)))
        slope = 1 + np.float32(self.tilt[0]) * x / WELL + np.float32(self.tilt[1]) * y / WELL
        lit = 0.25 + 0.75 * np.clip(-y / WELL, 0, 1)
        planes = []
        for plane in range(self.options.planes):
            away = abs(plane - self.options.planes // 2 - SHARPEST_WELL) * SPACING
            soft = np.float32(2.0 + SPREAD * away)
            inside = 1 / (1 + np.exp((distance - WELL) * (1.7 / soft)))
            arc = np.exp(-0.5 * ((distance - WELL + 4) / (soft + 1.5)) ** 2) * lit
            planes.append(inside * slope + 1.6 * arc + (1 - inside) * grooves)
        return np.stack(planes) * np.float32(self.patient.light)


def _draw_debris(rng: np.random.Generator) -> Point:
    """Specks on the well's floor: (k, 5) as `State.spheres`, from the middle of the frame."""
    count = int(rng.poisson(2.5))
    around, distance = rng.uniform(0, 2 * np.pi, count), rng.uniform(85, 120, count)
    columns = [distance * np.cos(around), distance * np.sin(around), rng.uniform(-40, 10, count)]
    return np.stack([*columns, rng.uniform(1.5, 5, count), np.ones(count)], axis=1)


def _grain(rng: np.random.Generator, size: int) -> Image:
    """Noise of unit spread whose grains are some 2 micrometres wide, half as large again as the frame."""
    side = size * 3 // 2
    noise = rng.standard_normal((side, side), np.float32)
    fine, coarse = max(0.5 * size / FIELD, 0.35), max(1.8 * size / FIELD, 0.8)
    band = cv2.GaussianBlur(noise, (0, 0), fine) - cv2.GaussianBlur(noise, (0, 0), coarse)
    return band / band.std()


def _axis(size: int) -> Image:
    """Micrometres of each pixel from the frame's middle."""
    return (np.arange(size, dtype=np.float32) - size / 2) * np.float32(FIELD / size)

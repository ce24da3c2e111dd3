"""From spheres to images as through Hoffman modulation contrast: relief of the optical path, focal plane by plane.

Each body's thickness along the light is exact, cells flattened where they touch, cut by the zona, hollowed by the
cavity. Thicknesses are summed in layers by depth, and each focal plane sees every layer through the blur of its
distance: light leaves the focus in a cone, so the blur grows with distance (`SPREAD`). The modulator makes brightness
of the slope along one direction, and saturates. All of that is linear but the last, so one transfer function a
distance does it in the frequency domain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from vidsuite_plugins.embryo_timelapse.synthetic.development import State

FIELD = 305.0
"""Micrometres that a frame shows, as the EmbryoScope's 500 pixels do."""
SPACING = 15.0
"""Micrometres between focal planes."""
SPREAD = 0.12
"""Micrometres of blur (standard deviation) for each micrometre out of focus: an aperture of about 0.25."""
SHARPEST = 0.75
"""Micrometres of blur in focus."""
LAYERS = 11
"""Of depth, `SPACING` apart; what lies beyond the last counts as in it."""

Image = NDArray[np.float32]


class Microscope:
    """Images of one size with light modulated along one direction.

    Args:
        size: pixels of a side.
        angle: radians; brightness rises with thickness along (cos, sin), x to the right and y down.
        planes: how many focal planes, centred.
    """

    def __init__(self, size: int, angle: float, planes: int) -> None:
        self.size = size
        self.pixel = FIELD / size
        self.planes = planes
        kx = 2 * np.pi * fft.rfftfreq(size, self.pixel)[None]
        ky = 2 * np.pi * fft.fftfreq(size, self.pixel)[:, None]
        squared = kx**2 + ky**2
        wave = np.sqrt(squared)
        slope = -1j * (kx * np.cos(angle) + ky * np.sin(angle)) * np.sqrt(wave / (wave + 0.12)) - 0.2 * wave
        furthest = (LAYERS + planes) // 2
        self.transfer = [
            (slope * np.exp(-0.5 * squared * (SHARPEST**2 + (SPREAD * SPACING * d) ** 2))).astype(np.complex64)
            for d in range(furthest)
        ]

    def relief(self, layers: Image) -> Image:
        """Thickness in layers (LAYERS, H, W) -> the modulated slope in each focal plane (planes, H, W)."""
        spectra = fft.rfft2(layers, workers=1)
        used = [np.any(layer) for layer in layers]
        planes = np.empty((self.planes, *spectra.shape[1:]), np.complex64)
        for plane in range(self.planes):
            level = LAYERS // 2 + plane - self.planes // 2
            planes[plane] = sum(
                (spectra[d] * self.transfer[abs(d - level)] for d in range(LAYERS) if used[d]), np.complex64(0)
            )
        return fft.irfft2(planes, s=(self.size, self.size), workers=1)

    def thickness(self, state: State, shift: NDArray[np.float64], grain: Image, amount: float) -> Image:
        """The bodies of `state`, moved by `shift` (x, y), in layers (LAYERS, H, W) of micrometres.

        Args:
            grain: noise (N, N) of unit spread, larger than the frame, from which each cell takes its own part.
            amount: of the grain in the cytoplasm.
        """
        layers = np.zeros((LAYERS, self.size, self.size), np.float32)
        touching = _contacts(state)
        for number in range(len(state.radii)):
            body = self._cell(state, number, touching, shift)
            if body is None:
                continue
            window, thick = body
            depth = float(state.centres[number, 2])
            self._add(layers, window, thick, depth)
            self._add_grain(layers, window, thick, depth, grain, amount, int(state.ids[number]))
        for x, y, z, radius, density in state.spheres:
            self._add_sphere(layers, x + shift[0], y + shift[1], z, radius, 0.6 * density)
        self._add_zona(layers, state, shift, grain)
        return layers

    def _window(self, x: float, y: float, radius: float) -> tuple[tuple[slice, slice], Image, Image] | None:
        """The part of the frame about a body, and each pixel's place in it, in micrometres from the body's middle."""
        bounds = []
        for middle in (y, x):
            centre = middle / self.pixel + self.size / 2
            low, high = int(centre - radius / self.pixel) - 1, int(centre + radius / self.pixel) + 2
            low, high = max(low, 0), min(high, self.size)
            if low >= high:
                return None
            bounds.append((slice(low, high), (np.arange(low, high, dtype=np.float32) - centre) * self.pixel))
        (rows, dy), (columns, dx) = bounds
        return (rows, columns), dx[None].astype(np.float32), dy[:, None].astype(np.float32)

    def _cell(
        self, state: State, number: int, touching: list[NDArray[np.int64]], shift: NDArray[np.float64]
    ) -> tuple[tuple[slice, slice], Image] | None:
        """A cell's thickness: its sphere, cut flat where it touches others, inside the zona and outside the cavity."""
        (x, y, z), radius = state.centres[number], float(state.radii[number])
        found = self._window(x + shift[0], y + shift[1], radius)
        if found is None:
            return None
        window, dx, dy = found
        high = _half_chord(dx, dy, radius)
        low = -high
        for other in touching[number]:
            apart = state.centres[other] - state.centres[number]
            distance = float(np.linalg.norm(apart)) + 1e-6
            nx, ny, nz = (apart / distance).tolist()
            reach = (distance**2 + radius**2 - float(state.radii[other]) ** 2) / (2 * distance) - state.gap
            rest = reach - nx * dx - ny * dy
            if nz > 0.05:
                np.minimum(high, rest / nz, out=high)
            elif nz < -0.05:
                np.maximum(low, rest / nz, out=low)
            else:  # a wall along the light, with a soft edge of a pixel
                high = low + (high - low) * np.clip(rest / self.pixel + 0.5, 0, 1)
        wall = _half_chord(dx + x, dy + y, state.inner - 0.5)
        np.minimum(high, wall - z, out=high)
        np.maximum(low, -wall - z, out=low)
        thick = np.maximum(high - low, 0)
        (cx, cy, cz), hole = state.cavity[0], state.cavity[1]
        if hole > 0:
            half = _half_chord(dx + (x - cx), dy + (y - cy), hole)
            inside = np.minimum(high, cz + half - z) - np.maximum(low, cz - half - z)
            thick -= np.clip(inside, 0, thick)
        return window, thick

    def _add(self, layers: Image, window: tuple[slice, slice], thick: Image, depth: float) -> None:
        """Add a thickness at a depth, shared between the two layers about it so that nothing jumps."""
        level = min(max(depth / SPACING + LAYERS // 2, 0), LAYERS - 1.001)
        below = int(level)
        share = np.float32(level - below)
        layers[below][window] += (1 - share) * thick
        layers[below + 1][window] += share * thick

    def _add_grain(
        self,
        layers: Image,
        window: tuple[slice, slice],
        thick: Image,
        depth: float,
        grain: Image,
        amount: float,
        cell: int,
    ) -> None:
        """The cytoplasm's grain, at three depths of a large cell: part of it is always near the focus."""
        rows, columns = thick.shape
        for part in (-1, 0, 1) if rows * self.pixel > 50 else (0,):
            corner = np.random.default_rng([cell, part + 1]).integers(0, np.array(grain.shape) - [rows, columns] + 1)
            noise = grain[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns]
            # Thin edges have little of it.
            speckle = noise * np.minimum(thick, 24) * np.float32(amount / 18)
            self._add(layers, window, speckle, depth + part * 0.25 * rows * self.pixel)

    def _add_sphere(self, layers: Image, x: float, y: float, z: float, radius: float, density: float) -> None:
        found = self._window(x, y, radius)
        if found is not None:
            window, dx, dy = found
            self._add(layers, window, np.float32(2 * density) * _half_chord(dx, dy, radius), z)

    def _add_zona(self, layers: Image, state: State, shift: NDArray[np.float64], grain: Image) -> None:
        found = self._window(shift[0], shift[1], state.outer) if state.outer > 0 else None
        if found is None:
            return
        window, dx, dy = found
        shell = _half_chord(dx, dy, state.outer) - _half_chord(dx, dy, state.inner)
        ring = np.clip((np.sqrt(dx**2 + dy**2) - state.inner) / 2, 0, 1) * (shell > 0)
        noise = grain[: shell.shape[0], : shell.shape[1]]
        self._add(layers, window, 0.15 * shell + 0.45 * ring * noise, 0.0)
        if state.wall > 0:
            skin = _half_chord(dx, dy, state.inner - 0.5) - _half_chord(dx, dy, state.inner - 0.5 - state.wall)
            self._add(layers, window, skin, 0.0)


def _half_chord(dx: Image, dy: Image, radius: float) -> Image:
    """Half the length of a sphere along the light at each place; 0 outside."""
    return np.sqrt(np.maximum(np.float32(radius**2) - dx**2 - dy**2, 0))


def _contacts(state: State) -> list[NDArray[np.int64]]:
    """For each cell, those that its sphere cuts."""
    if len(state.radii) < 2:
        return [np.empty(0, np.int64)] * len(state.radii)
    distance = np.linalg.norm(state.centres[:, None] - state.centres[None], axis=2)
    reach = state.radii[:, None] + state.radii[None] + 2 * state.gap
    close = (distance < reach) & ~np.eye(len(state.radii), dtype=bool)
    return [np.flatnonzero(row) for row in close]

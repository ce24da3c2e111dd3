"""The textures, drawn once a process: tiles that repeat, each with its pyramid of halved sizes.

A texel is red, green, blue and glow; 128 is the mean, which a face's tint then colours. Glow shines by itself at dusk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

LOG_SIZE = 8
SIZE = 1 << LOG_SIZE
LEVELS = LOG_SIZE + 1
"""A tile's edge in texels, and how often it is halved until one texel is left."""

Tile = NDArray[np.float64]

(
    PLAIN,
    ASPHALT,
    PAVING,
    GRASS,
    LEAVES,
    BARK,
    PLANKS,
    PLASTER,
    BRICK,
    TILES,
    MASONRY,
    ROCK,
    WATER,
    WINDOW_PLASTER,
    WINDOW_BRICK,
    WINDOW_LIT,
    DOOR,
    DASHES,
    STRIPES,
    CABIN,
    WHEEL,
    SIGNAL,
    LAMP,
    SIGN,
) = range(24)


@cache
def atlas() -> NDArray[np.uint32]:
    """All texels, four bytes each in one number: texture by texture, level by level, row by row."""
    import cv2

    texels = []
    for number, draw in enumerate(_DRAWN):
        tile = draw(np.random.default_rng([7, number]))
        if tile.ndim == 2:
            tile = np.repeat(tile[..., None], 3, axis=-1)
        if tile.shape[-1] == 3:
            tile = np.dstack([tile, np.zeros(tile.shape[:2])])
        level = np.clip(tile, 0, 255).astype(np.float32)
        for _ in range(LEVELS):
            texels.append(level.round().astype(np.uint8).reshape(-1, 4))
            level = cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if len(level) > 1 else level
    return np.concatenate(texels).view(np.uint32).ravel()


LEVEL_STARTS = np.concatenate([[0], np.cumsum([4 ** (LOG_SIZE - level) for level in range(LEVELS)])])
"""Where each level begins in a texture's texels; the last entry is their number."""


@cache
def clouds() -> NDArray[np.float32]:
    """A repeating cover of clouds (SIZE, SIZE): -1 (clear) to 1."""
    return np.tanh(noise(np.random.default_rng(11), 3.4) * 1.3).astype(np.float32)


def noise(rng: np.random.Generator, steepness: float, size: int = SIZE) -> Tile:
    """Repeating noise (size, size) of mean 0 and deviation 1 whose amplitudes fall as frequency ** -(steepness / 2)."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) * frequency ** (-steepness / 2)
    spectrum[0, 0] = 0
    field = np.fft.ifft2(spectrum).real
    return field / field.std()


def _grid() -> tuple[Tile, Tile]:
    """Row and column of each texel as a share of the tile."""
    share = (np.arange(SIZE) + 0.5) / SIZE
    rows, columns = np.meshgrid(share, share, indexing="ij")
    return rows, columns


def _cells(rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A repeating pattern of `count` cells: each texel's cell number, and its distance to the next cell in tiles."""
    share = ((np.arange(SIZE) + 0.5) / SIZE).astype(np.float32)
    nearest, second = np.full((2, SIZE, SIZE), 2.0, np.float32)
    number = np.zeros((SIZE, SIZE), dtype=np.int64)
    for seed, (row, column) in enumerate(rng.random((count, 2))):
        down, across = np.abs(share - np.float32(row)), np.abs(share - np.float32(column))
        distance = np.hypot(np.minimum(down, 1 - down)[:, None], np.minimum(across, 1 - across))
        closer = distance < nearest
        np.minimum(second, np.maximum(distance, nearest), out=second)
        number[closer] = seed
        np.minimum(nearest, distance, out=nearest)
    return number, second - nearest


def _courses(rng: np.random.Generator, rows: int, columns: int, joint: float) -> Tile:
    """Bricks or slabs in `rows` courses, every other one shifted by half, each of its own grey; joints are dark."""
    row, column = _grid()
    course = np.floor(row * rows).astype(int)
    along = (column * columns + 0.5 * (course % 2)) % columns
    shade = rng.uniform(0.82, 1.18, (rows, columns))[course, along.astype(int)]
    gaps = (row * rows % 1 < joint * rows / columns) | (along % 1 < joint)
    return np.where(gaps, 0.62, shade)


def _plain(rng: np.random.Generator) -> Tile:
    return 128 + 4 * noise(rng, 1.5)


def _asphalt(rng: np.random.Generator) -> Tile:
    cracks = np.abs(noise(rng, 3.0)) < 0.02
    return (128 + 13 * noise(rng, 0.3) + 12 * noise(rng, 2.4)) * np.where(cracks, 0.7, 1)


def _paving(rng: np.random.Generator) -> Tile:
    return 130 * _courses(rng, 4, 4, 0.035) + 8 * noise(rng, 0.5) + 8 * noise(rng, 2.5)


def _grass(rng: np.random.Generator) -> Tile:
    base = 128 + 20 * noise(rng, 0.8) + 9 * noise(rng, 1.8)
    dry = np.clip(noise(rng, 1.6), 0, 2)
    return np.dstack([base + 11 * dry, base, base - 5 * dry])


def _leaves(rng: np.random.Generator) -> Tile:
    number, edge = _cells(rng, 150)
    shade = rng.uniform(0.45, 1.5, 150)[number]
    base = 118 * shade * np.clip(0.6 + edge * 14, 0, 1) + 16 * noise(rng, 1.0)
    light = np.clip(shade - 1, 0, 1) * 20
    return np.dstack([base + light, base, base - light])


def _bark(rng: np.random.Generator) -> Tile:
    ridges = np.repeat(noise(rng, 0.4)[:1], SIZE, axis=0) + 0.6 * noise(rng, 1.6)
    return 128 + 24 * ridges


def _planks(rng: np.random.Generator) -> Tile:
    _, column = _grid()
    board = np.floor(column * 8).astype(int)
    grain = np.repeat(noise(rng, 1.0)[:1], SIZE, axis=0)
    shade = 130 * rng.uniform(0.85, 1.12, 8)[board] + 7 * grain + 8 * noise(rng, 2.2)
    return np.where(column * 8 % 1 < 0.1, 62, shade)


def _plaster(rng: np.random.Generator) -> Tile:
    return 128 + 5 * noise(rng, 0.6) + 8 * noise(rng, 2.8)


def _brick(rng: np.random.Generator) -> Tile:
    return 130 * _courses(rng, 20, 10, 0.06) + 7 * noise(rng, 0.6)


def _tiles(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    course = np.floor(row * 12).astype(int)
    along = column * 16 + 0.5 * (course % 2)
    shade = rng.uniform(0.85, 1.15, (12, 16))[course, along.astype(int) % 16]
    lip = 0.72 + 0.4 * (row * 12 % 1)
    return 132 * shade * lip * np.where(along % 1 < 0.08, 0.75, 1) + 10 * noise(rng, 2.6)


def _masonry(rng: np.random.Generator) -> Tile:
    number, edge = _cells(rng, 46)
    shade = rng.uniform(0.75, 1.3, 46)[number]
    return 128 * shade * np.where(edge < 0.018, 0.55, 1) + 9 * noise(rng, 1.0)


def _rock(rng: np.random.Generator) -> Tile:
    return 128 + 20 * noise(rng, 1.8) + 12 * noise(rng, 0.6)


def _water(rng: np.random.Generator) -> Tile:
    ripples = 1 - np.abs(noise(rng, 3.0)) * 1.2
    return 118 + 22 * np.clip(ripples, -1, 1) + 5 * noise(rng, 1.5)


def _windowed(wall: Callable[[np.random.Generator], Tile], glow: float) -> Callable[[np.random.Generator], Tile]:
    """One bay of a wall with one window in it, rows upwards."""

    def draw(rng: np.random.Generator) -> Tile:
        row, column = _grid()
        tile = np.repeat(wall(rng)[..., None], 3, axis=-1)
        frame = (abs(column - 0.5) < 0.22) & (abs(row - 0.58) < 0.25)
        glass = (abs(column - 0.5) < 0.19) & (abs(row - 0.58) < 0.22)
        glass &= (abs(column - 0.5) > 0.012) & (abs(row - 0.62) > 0.01)
        sill = (abs(column - 0.5) < 0.25) & (abs(row - 0.31) < 0.02)
        tile[frame | sill] = 200
        pane = 34 + 50 * (row - 0.36) + 12 * noise(rng, 2.8)
        tile[glass] = np.stack([pane * 0.95, pane, pane * 1.12], axis=-1)[glass]
        return np.dstack([tile, np.where(glass, glow, 0.0)])

    return draw


def _door(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    panels = (np.abs(row * 4 % 1 - 0.5) < 0.36) & (np.abs(column * 2 % 1 - 0.5) < 0.4)
    return np.where(panels, 122, 146) + 4 * noise(rng, 1.5)


def _dashes(rng: np.random.Generator) -> Tile:
    _, column = _grid()
    worn = noise(rng, 1.2) > 1.6
    return np.where((column < 0.4) & ~worn, 210, 92) + 6 * noise(rng, 0.5)


def _stripes(rng: np.random.Generator) -> Tile:
    _, column = _grid()
    worn = noise(rng, 1.4) > 1.5
    return np.where((column < 0.5) & ~worn, 205, 92) + 7 * noise(rng, 0.5)


def _cabin(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    pane = (np.abs(column * 2 % 1 - 0.5) < 0.43) & (row > 0.08) & (row < 0.86)
    glass = 30 + 34 * row + 8 * noise(rng, 2.5)
    return np.where(pane, glass, 128)


def _wheel(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    radius, angle = np.hypot(row - 0.5, column - 0.5), np.arctan2(row - 0.5, column - 0.5)
    rim = np.where(np.cos(angle * 5) > -0.2, 170, 80)
    return np.where(radius < 0.3, rim, 30) + 4 * noise(rng, 0.5)


def _signal(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    tile = np.full((SIZE, SIZE, 4), 40.0)
    tile[..., 3] = 0
    for height, colour in ((0.2, (40, 220, 120)), (0.5, (120, 95, 30)), (0.8, (150, 30, 25))):
        lamp = np.hypot((row - height) * 2.6, column - 0.5) < 0.34
        tile[lamp] = (*colour, 255 if height < 0.3 else 30)
    return tile


def _lamp(rng: np.random.Generator) -> Tile:
    return np.dstack([np.full((SIZE, SIZE, 3), 190.0), np.full((SIZE, SIZE), 255.0)])


def _sign(rng: np.random.Generator) -> Tile:
    row, column = _grid()
    mark = (np.abs(row - 0.5) < 0.12) & (np.abs(column - 0.5) < 0.3)
    edge = (np.abs(row - 0.5) > 0.42) | (np.abs(column - 0.5) > 0.42)
    return np.where(mark | edge, 235, 128)


_DRAWN: tuple[Callable[[np.random.Generator], Tile], ...] = (
    _plain,
    _asphalt,
    _paving,
    _grass,
    _leaves,
    _bark,
    _planks,
    _plaster,
    _brick,
    _tiles,
    _masonry,
    _rock,
    _water,
    _windowed(_plaster, 0.0),
    _windowed(_brick, 0.0),
    _windowed(_plaster, 255.0),
    _door,
    _dashes,
    _stripes,
    _cabin,
    _wheel,
    _signal,
    _lamp,
    _sign,
)

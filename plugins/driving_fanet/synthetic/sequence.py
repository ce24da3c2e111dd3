"""One sequence: its world, its weather and its camera, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.synthetic import weather as sky
from vidsuite_plugins.driving_fanet.synthetic.blind import blind_spells, blinded
from vidsuite_plugins.driving_fanet.synthetic.camera import Camera, Track, drive, fly
from vidsuite_plugins.driving_fanet.synthetic.mesh import Floats
from vidsuite_plugins.driving_fanet.synthetic.raster import View, look
from vidsuite_plugins.driving_fanet.synthetic.render import Image, Shader, describe
from vidsuite_plugins.driving_fanet.synthetic.traffic import Traffic
from vidsuite_plugins.driving_fanet.synthetic.world import World, build_world

FPS = 25.0
"""The paper's frame rate (section 2.2)."""

REACH = 220.0
"""Nothing that stands farther away is drawn, in metres."""

HIDDEN = 4.5
"""Fog that leaves less than exp(-4.5) of the light hides a thing; what is hidden counts as sky."""

FINE = 320
"""Frames less wide than this are drawn twice as fine, then averaged."""

MODES = {"driven": (drive, 1.0), "flown": (fly, 1.3)}
"""How the camera moves, and its mean gain, which suits a picture with much sky or with none."""

RANDOM_WORLD, RANDOM_CAMERA, RANDOM_SENSOR, RANDOM_BLIND = range(4)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides the synthetic sequences, down to the last pixel.

    Attributes:
        frames: length of each sequence.
        size: width and height, both even.
        seed: of all random draws.
        sequences: how many, half of them driven and half flown; an even number.
        tested: how many of them are tested, an even number; None for two ninths.
        blind: most frames in a row in which the camera sees nothing (see `blind`); 0 for none.
    """

    frames: int
    size: tuple[int, int]
    seed: int
    sequences: int
    tested: int | None = None
    blind: int = 0

    def __post_init__(self) -> None:
        for name in ("frames", "seed", "sequences", "blind"):
            if type(value := getattr(self, name)) is not int:
                raise UsageError(f"{name} is {value!r}; give a whole number")
        if len(self.size) != 2 or any(type(side) is not int for side in self.size):
            raise UsageError(f"size is {self.size!r}; give width and height, two whole numbers")
        width, height = self.size
        if width % 2 or height % 2 or not (32 <= width <= 4096 and 32 <= height <= 4096):
            raise UsageError(f"size {width}x{height} is not two even numbers from 32 to 4096")
        if self.sequences % 2 or not 6 <= self.sequences <= 1000:
            raise UsageError(f"sequences is {self.sequences}; it must be even, 6 or more and at most 1000")
        if self.tested is not None and self.tested not in range(2, most := self.sequences - 3, 2):
            raise UsageError(f"tested is {self.tested!r}; of {self.sequences} it must be even and less than {most}")
        if not 0 <= self.blind <= 100:
            raise UsageError(f"blind is {self.blind}; it must be from 0 to 100")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must be 0 or more")
        if not 1 <= self.frames <= 100_000:
            raise UsageError(f"frames is {self.frames}; it must be from 1 to 100000")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """The options that `asdict` and JSON made `values` of."""
        return cls(**{**values, "size": tuple(values["size"])})

    def random(self, *key: int) -> np.random.Generator:
        """The random stream of one part of the data, independent of all others and of the order of work."""
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A sequence before it is rendered: `mode` is "driven" or "flown", `weather` an index into `weather.WEATHERS`."""

    index: int
    name: str
    mode: str
    weather: int
    split: str


def plan(options: Options) -> list[Planned]:
    """All sequences: of each mode two ninths (or what is asked for) to test, a ninth to validate, the rest to train."""
    each = options.sequences // 2
    test, val = (options.tested or 0) // 2 or max(round(each * 2 / 9), 1), max(round(each / 9), 1)
    val = min(val, each - test - 1)
    planned = []
    for offset, mode in enumerate(MODES):
        for k in range(each):
            split = "train" if k < each - test - val else "val" if k < each - test else "test"
            planned.append(
                Planned(
                    index=offset * each + k,
                    name=f"{mode}_{k + 1:02d}",
                    mode=mode,
                    weather=(k + 3 * offset) % len(sky.WEATHERS),
                    split=split,
                )
            )
    return planned


@dataclass(frozen=True)
class Shot:
    """The scene at one instant, before the camera's shortcomings: picture (H, W, 3) uint8 and labels (H, W) uint8.

    `flow` is how far in x and y (H, W) each pixel moves while the shutter is open.
    """

    picture: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    flow: tuple[Image, Image]


class Footage:
    """Renders the frames of one sequence, any frame by itself."""

    def __init__(self, options: Options, planned: Planned) -> None:
        self.options, self.planned = options, planned
        self.weather = sky.WEATHERS[planned.weather]
        self.fine = 2 if options.size[0] < FINE else 1
        seconds, rng = options.frames / FPS, options.random(RANDOM_CAMERA, planned.index)
        world = build_world(options.random(RANDOM_WORLD, planned.index), 0.5 * self.weather.glow)
        way, gain = MODES[planned.mode]
        self.exposure = sky.Exposure.draw(rng, gain)
        self.track: Track = way(world, rng, seconds)
        self.world: World = replace(world, traffic=_out_of_the_way(world.traffic, self.track, seconds))
        size = options.size
        spells = options.random(RANDOM_BLIND, planned.index)
        self.spells = blind_spells(spells, options.frames, options.blind)
        self.shader = Shader(self.world, self.weather, (size[0] * self.fine, size[1] * self.fine))

    @cached_property
    def reach(self) -> float:
        """How far one sees, in metres."""
        return min(REACH, HIDDEN / self.weather.fog)

    def camera(self, time: float) -> Camera:
        """The camera at `time` in seconds."""
        return self.track.at(time, self.options.size)

    def shoot(self, number: int) -> Shot:
        """Frame `number` without noise, blur and rain."""
        import cv2

        time = number / FPS
        camera = self.camera(time)
        view = look(self.world, camera.scaled(self.fine), time, self.reach, 1.2 * self.fine)
        table = describe(view, self.weather, self.world.sun)
        inverse = self.shader.inverse_depth(view, table)
        if self.reach < REACH:
            view.ids[inverse < 1 / self.reach] = 0
        picture = self.shader.colours(view, table, inverse)
        if self.fine > 1:
            picture = cv2.resize(picture, self.options.size, interpolation=cv2.INTER_AREA)
        labels = np.ascontiguousarray(view.labels[:: self.fine, :: self.fine])
        return Shot(picture, labels, self._flow(camera, view, inverse, time))

    def frame(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `number` as recorded, RGB (H, W, 3) uint8, and its labels (H, W) uint8."""
        rng = self.options.random(RANDOM_SENSOR, self.planned.index, number)
        shot = self.shoot(number)
        picture = sky.blur_along(shot.picture, shot.flow)
        if self.weather.rain:
            picture = sky.add_rain(picture, self.weather, rng)
        picture = blinded(picture, self.spells[number])
        return sky.record(picture, self.exposure.at(number / FPS), self.weather.noise, rng), shot.labels

    def _flow(self, camera: Camera, view: View, inverse: Image, time: float) -> tuple[Image, Image]:
        """How far each pixel's point moves in the image while the shutter is open."""
        open_for = self.weather.shutter / FPS
        later = self.camera(time + open_for / 2)
        focal, (cx, cy) = later.focal, later.centre
        lens = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]]) @ later.axes
        turn, step = (lens @ camera.rays()).astype(np.float32), lens @ (camera.position - later.position)
        near = np.ascontiguousarray(inverse[:: self.fine, :: self.fine])
        width, height = self.options.size
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        seen = [near * np.float32(step[i]) + (turn[i, 0] * x + (turn[i, 1] * y + turn[i, 2])) for i in range(3)]
        self._add_traffic(view, near, lens, time, open_for / 2, seen)
        depth = np.float32(2) / np.maximum(seen[2], np.float32(1e-3))
        return seen[0] * depth - 2 * x, seen[1] * depth - 2 * y

    def _add_traffic(self, view: View, near: Image, lens: Floats, time: float, span: float, seen: list[Image]) -> None:
        """Add to `seen` how far the vehicles move by themselves in `span` seconds."""
        if len(view.vehicle) == 0 or view.vehicle[-1] < 0:
            return
        first = int(np.searchsorted(view.vehicle >= 0, True))
        ids = view.ids[:: self.fine, :: self.fine]
        rows, columns = np.nonzero((ids > first) & (ids <= len(view.vehicle)))
        traffic = self.world.traffic
        steps = (traffic.at(time + span)[0] - traffic.at(time)[0]) @ lens.T
        moved = steps[view.vehicle[ids[rows, columns] - 1]] * near[rows, columns, None]
        for axis in range(3):
            seen[axis][rows, columns] += moved[:, axis].astype(np.float32)


def _out_of_the_way(traffic: Traffic, track: Track, seconds: float) -> Traffic:
    """The traffic without the vehicles that a car's camera would run into."""
    gone = np.zeros(len(traffic.speed), dtype=bool)
    for time in np.arange(0, seconds + 0.2, 0.2):
        camera = track.at(float(time), (2, 2))
        if camera.position[2] > 3:
            continue
        away = (traffic.at(float(time))[0] - camera.position)[:, :2]
        ahead = camera.axes[2, :2] / np.linalg.norm(camera.axes[2, :2])
        along, aside = away @ ahead, away @ np.array([ahead[1], -ahead[0]])
        gone |= (np.abs(along) < 8) & (np.abs(aside) < 2.2)
    return traffic.without(gone)

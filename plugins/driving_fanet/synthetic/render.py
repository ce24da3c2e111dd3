"""Colours: texture, light, shade, fog and reflections, pixel by pixel over all surfaces at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic import textures as tx
from vidsuite_plugins.driving_fanet.synthetic.camera import Camera
from vidsuite_plugins.driving_fanet.synthetic.mesh import Floats
from vidsuite_plugins.driving_fanet.synthetic.raster import View, disc_axes
from vidsuite_plugins.driving_fanet.synthetic.shadow import CELL
from vidsuite_plugins.driving_fanet.synthetic.weather import Weather
from vidsuite_plugins.driving_fanet.synthetic.world import World

Image = NDArray[np.float32]

SKY_DEPTH = 4000.0
"""Metres at which the sky's pixels count as lying."""


@dataclass(frozen=True)
class Table:
    """What each surface of a view looks like; row 0 is the sky.

    Attributes:
        maps: (9, S + 1) float32: rows give u * w, v * w and w as linear functions of x, y and 1, where u and v are
            texture coordinates in tiles and w is the inverse depth.
        light: (S + 1,) uint32: red, green, blue and glow, 64 being the factor 1 on a texel's value.
        level: (S + 1,) float32: what to add to 1.5 * log2(depth) for the level of the texture's pyramid.
        start: (S + 1,) int32: where the texture begins in the atlas.
        slope: (2, S + 1) float32: growth of the light for each tile along and across.
        gloss: (S + 1,) float32.
        height: (S + 1,) float32: metres from the camera to the plane.
    """

    maps: Image
    light: NDArray[np.uint32]
    level: Image
    start: NDArray[np.int32]
    slope: Image
    gloss: Image
    height: Image


def describe(view: View, weather: Weather, sun: Floats) -> Table:
    """Work out the table of a view."""
    camera, faces, discs = view.camera, view.faces, view.discs
    right, up, towards, radius = disc_axes(discs, camera.position)
    cos, sin = np.cos(discs.spin)[:, None], np.sin(discs.spin)[:, None]
    along, across = (cos * right + sin * up), (cos * up - sin * right)
    per_tile = discs.tile[:, None]
    points = np.concatenate([faces.corners[faces.first[:-1]], discs.centre])
    normals = np.concatenate([faces.normal, towards])
    maps, height = _maps(
        camera,
        points,
        np.concatenate([faces.origin, discs.centre]),
        np.concatenate([faces.along, along / per_tile]),
        np.concatenate([faces.across, across / per_tile]),
        normals,
    )
    density = np.sqrt(np.linalg.norm(faces.along, axis=-1) * np.linalg.norm(faces.across, axis=-1))
    density = np.concatenate([density, 1 / discs.tile])
    level = np.log2(tx.SIZE * density / camera.focal) - 0.5 * np.log2(np.maximum(height, 0.05)) - 0.6
    tint, texture = np.concatenate([faces.tint, discs.tint]), np.concatenate([faces.texture, discs.texture])
    # A crown is lit from the sun's side and from above; its own tiles are turned by its spin.
    sideways, upwards = np.stack([right @ sun, up @ sun]) * 0.5 * weather.sun + np.array([[0.0], [0.3]])
    sideways, upwards = sideways * discs.tile / radius[:, 0], upwards * discs.tile / radius[:, 1]
    (cos,), (sin,) = cos.T, sin.T
    slope = np.stack([cos * sideways + sin * upwards, cos * upwards - sin * sideways])
    return Table(
        maps=np.column_stack([np.array([0, 0, 0, 0, 0, 0, 0, 0, 1 / SKY_DEPTH]), maps]).astype(np.float32),
        light=_light(weather, tint, np.concatenate([_cosines(faces.normal, sun), np.full(len(discs), 0.5)]), normals),
        level=np.concatenate([[0], level]).astype(np.float32),
        start=np.concatenate([[0], texture * tx.LEVEL_STARTS[-1]]).astype(np.int32),
        slope=np.column_stack([np.zeros((2, len(faces) + 1)), slope]).astype(np.float32),
        gloss=np.concatenate([[0], faces.gloss, np.zeros(len(discs))]).astype(np.float32),
        height=np.concatenate([[1], height]).astype(np.float32),
    )


def _maps(
    camera: Camera, points: Floats, origin: Floats, along: Floats, across: Floats, normals: Floats
) -> tuple[Floats, Floats]:
    """The rows (9, S) of `Table.maps`, and the camera's distance (S,) from each plane."""
    rays = camera.rays()
    height = ((points - camera.position) * normals).sum(-1)
    height = np.minimum(height, -1e-4)
    inverse = (normals @ rays) / height[:, None]
    rows = []
    for axis in (along, across):
        start = ((camera.position - origin) * axis).sum(-1)
        rows.append(start[:, None] * inverse + axis @ rays)
    return np.concatenate([*rows, inverse], axis=1).T, -height


def _cosines(normals: Floats, sun: Floats) -> Floats:
    return np.maximum(normals @ sun, 0)


def _light(weather: Weather, tint: Floats, cosines: Floats, normals: Floats) -> NDArray[np.uint32]:
    sky = 0.78 + 0.22 * normals[:, 2:]
    warm = np.array([1.0, 0.96, 0.88])
    light = tint * (np.array(weather.ambient) * sky + weather.sun * cosines[:, None] * warm)
    table = np.zeros((len(tint) + 1, 4), np.uint8)
    table[1:, :3] = np.clip(light * 127.5, 0, 255)
    table[:, 3] = round(64 * weather.glow)
    return table.view(np.uint32).ravel()


class Shader:
    """Colours views of one world in one weather, all of one size."""

    def __init__(self, world: World, weather: Weather, size: tuple[int, int]) -> None:
        self.world, self.weather, self.size = world, weather, size
        width, height = size
        self._x = np.arange(width, dtype=np.float32)
        self._y = np.arange(height, dtype=np.float32)[:, None]
        self._atlas, self._clouds = tx.atlas(), tx.clouds()
        lit = weather.sun * world.sun[2]
        self._shade = float(lit / (lit + np.mean(weather.ambient)))
        self._map = _shade_map(world, self._shade)

    def inverse_depth(self, view: View, table: Table) -> Image:
        """1 / depth (H, W) in 1 / metres."""
        return self._linear(table, 6, view.ids.astype(np.intp))

    def colours(self, view: View, table: Table, inverse: Image) -> NDArray[np.uint8]:
        """The clean picture (H, W, 3) of a view."""
        import cv2

        ids = view.ids.astype(np.intp)
        depth = 1 / np.maximum(inverse, np.float32(1e-4))
        u, v = self._linear(table, 0, ids) * depth, self._linear(table, 3, ids) * depth
        # Pixels on a polygon's rim may lie beyond its plane's horizon, where coordinates grow without bounds.
        np.clip(u, -500, 500, out=u)
        np.clip(v, -500, 500, out=v)
        texels = self._texels(table, ids, u, v, inverse)
        lights = np.take(table.light, ids).view(np.uint8).reshape(*ids.shape, 4)
        lit = cv2.split(cv2.multiply(texels, lights, scale=1 / 64))
        clear = np.exp(depth * np.float32(-self.weather.fog))
        mirror = self._mirror(table, ids, inverse)
        clear *= 1 - mirror
        factor = np.take(table.slope[0], ids) * u + np.take(table.slope[1], ids) * v
        factor += 1
        self._shade_ground(view, depth, factor)
        factor *= clear
        planes = []
        for plane, fog in zip(lit[:3], self.weather.horizon, strict=True):
            colour = plane * factor
            colour += (255 * fog) * (1 - clear)
            if self.weather.glow:
                colour += lit[3] * (clear * np.float32(0.9))
            planes.append(colour)
        self._paint_sky(view, planes)
        return cv2.merge([cv2.add(plane, 0.0, dtype=cv2.CV_8U) for plane in planes])

    def _linear(self, table: Table, row: int, ids: NDArray[np.intp]) -> Image:
        result = np.take(table.maps[row], ids)
        result *= self._x
        down = np.take(table.maps[row + 1], ids)
        down *= self._y
        result += down
        result += np.take(table.maps[row + 2], ids)
        return result

    def _texels(self, table: Table, ids: NDArray[np.intp], u: Image, v: Image, inverse: Image) -> NDArray[np.uint8]:
        level = np.take(table.level, ids)
        level -= _log2(inverse) * np.float32(1.5)
        levels = np.clip(level, 0, tx.LEVELS - 1).astype(np.int32)
        # Far from zero, so that cutting the fraction off rounds downwards; the tiles repeat.
        column = ((u + np.float32(512)) * np.float32(tx.SIZE)).astype(np.int32)
        row = ((v + np.float32(512)) * np.float32(tx.SIZE)).astype(np.int32)
        column &= tx.SIZE - 1
        row &= tx.SIZE - 1
        column >>= levels
        row >>= levels
        row <<= tx.LOG_SIZE - levels
        row += column
        row += np.take(tx.LEVEL_STARTS.astype(np.int32), levels)
        row += np.take(table.start, ids)
        return np.take(self._atlas, row, mode="clip").view(np.uint8).reshape(*ids.shape, 4)

    def _mirror(self, table: Table, ids: NDArray[np.intp], inverse: Image) -> Image:
        """How much of the sky each pixel mirrors (H, W): the more, the flatter it is looked at (after Schlick)."""
        grazing = 1 - np.clip(np.take(table.height, ids) * inverse, 0, 1)
        grazing *= grazing
        grazing *= np.float32(0.25 + 0.75 * self.weather.wet) * np.take(table.gloss, ids)
        return grazing

    def _shade_ground(self, view: View, depth: Image, factor: Image) -> None:
        """Darken the ground where it lies in the shade of what stands or of what moves."""
        import cv2

        rays, origin = view.camera.rays().astype(np.float32), self.world.shades.origin
        places = []
        for axis in range(2):
            place = rays[axis, 0] * self._x + (rays[axis, 1] * self._y + rays[axis, 2])
            place *= depth
            place += np.float32(view.camera.position[axis] - origin[axis])
            place *= np.float32(1 / CELL)
            places.append(place)
        shade = cv2.remap(self._map, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
        np.minimum(shade, 255 - cv2.multiply(view.shadow, self._shade + 0.15 * (1 - self._shade)), out=shade)
        on_ground = (view.ids > 0) & (view.ids <= view.ground)
        np.multiply(factor, shade * np.float32(1 / 255), out=factor, where=on_ground)

    def _paint_sky(self, view: View, planes: list[Image]) -> None:
        sky = np.flatnonzero(view.ids.ravel() == 0)
        if len(sky) == 0:
            return
        weather, rays = self.weather, view.camera.rays().astype(np.float32)
        y, x = np.divmod(sky.astype(np.float32), self.size[0])
        east, north, up = (rays[axis, 0] * x + rays[axis, 1] * y + rays[axis, 2] for axis in range(3))
        up = np.maximum(up, 0)
        flat = np.float32(1) / (up + np.float32(0.12))
        column = ((east * flat * np.float32(0.22) + 64) * tx.SIZE).astype(np.int32) & (tx.SIZE - 1)
        row = ((north * flat * np.float32(0.22) + 64) * tx.SIZE).astype(np.int32) & (tx.SIZE - 1)
        high = np.minimum(up * np.float32(1.6), 1) ** np.float32(0.6)
        cover = np.clip(self._clouds[row, column] * 0.5 + (weather.clouds - 0.35), 0, 1) * np.minimum(up * 8, 1)
        for plane, low, top in zip(planes, weather.horizon, weather.zenith, strict=True):
            colour = 255 * (low + (top - low) * high)
            cloud = 255 * min(low * 1.12, 1.0)
            plane.ravel()[sky] = colour + (cloud - colour) * (cover * np.float32(0.8))


def _log2(values: Image) -> Image:
    """The base-2 logarithm of positive numbers to 0.09: their bits are nearly that."""
    return values.view(np.int32) * np.float32(2**-23) - np.float32(127)


def _shade_map(world: World, depth: float) -> NDArray[np.uint8]:
    """The light that reaches the ground: 255 in the open and in the sun."""
    import cv2

    shades = world.shades
    sunlit = cv2.addWeighted(shades.sunlit, depth, shades.sunlit, 0, 255 * (1 - depth))
    near = cv2.addWeighted(shades.open, 0.45, shades.open, 0, 255 * 0.55)
    return cv2.multiply(sunlit, near, scale=1 / 255)

"""A session's pictures and boxes: workers at the counter, seen by one of the two cameras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vidsuite_plugins.restaurant_yowo.synthetic import counter
from vidsuite_plugins.restaurant_yowo.synthetic.actions import ACTIONS, Action, Performed, shift

Place = tuple[float, float]

_HAND = 0.055
_ARM = 0.08
_POSTS = (0.45, 0.85, 1.25)
"""Where workers stand, along the counter."""
_GLOVES: tuple[counter.Colour, ...] = ((40, 60, 150), (235, 235, 240), (30, 30, 34), (140, 190, 90))
_SLEEVES: tuple[counter.Colour, ...] = ((30, 32, 36), (110, 30, 40), (50, 90, 60), (225, 225, 230))
_SKIN: counter.Colour = (205, 160, 130)


@dataclass(frozen=True)
class Shown:
    """A true box in a frame: xyxy in pixels, its class, and the number of the action, unique in the session."""

    box: tuple[float, float, float, float]
    label: int
    action: int


@dataclass
class _Worker:
    post: float
    glove: counter.Colour
    sleeve: counter.Colour
    does: list[Performed]
    sway: float


class Session:
    """One recording.

    Args:
        seed: of all that is drawn.
        frames: how many.
        size: width and height in pixels.
        fps: frames per second.
        camera: 0 or 1.
        workers: 1 to 3.
        direction: whether the direction of motion tells paired actions apart.
        looks: whether tools look different from each other.
    """

    def __init__(
        self, seed: int, frames: int, size: tuple[int, int], fps: float, camera: int = 0, workers: int = 2,
        direction: bool = True, looks: bool = True,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(seed)
        self.frames, self.fps, self.looks = frames, fps, looks
        self.camera = counter.cameras(size)[camera]
        self._seed = seed
        self._background = counter.empty_counter(self.camera, rng)
        posts = sorted(rng.choice(len(_POSTS), workers, replace=False).tolist())
        self._workers = [
            _Worker(
                _POSTS[post],
                _GLOVES[int(rng.integers(len(_GLOVES)))],
                _SLEEVES[int(rng.integers(len(_SLEEVES)))],
                shift(frames, fps, rng, direction),
                float(rng.uniform(0, 6.28)),
            )
            for post in posts
        ]

    @property
    def actions(self) -> list[Performed]:
        """All that is done, worker by worker; a `Shown.action` is an index into it."""
        return [one for worker in self._workers for one in worker.does]

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[Shown]]]:
        """Each frame, RGB uint8 (H, W, 3), with its true boxes."""
        rng = np.random.default_rng([self._seed, 1])
        h, w = self._background.shape[:2]
        grain = rng.normal(0, 4, (4, h, w, 1)).astype(np.float32)
        for frame in range(self.frames):
            picture = self._background.copy()
            shown, offset = [], 0
            for worker in self._workers:
                now = next((n for n, one in enumerate(worker.does) if one.start <= frame < one.stop), None)
                box = self._draw(picture, worker, worker.does[now] if now is not None else None, frame)
                if now is not None:
                    shown.append(Shown(box, worker.does[now].label, offset + now))
                offset += len(worker.does)
            light = 1 + 0.02 * np.sin(frame / self.fps * 1.3)
            yield cv2.convertScaleAbs(picture * light + grain[int(rng.integers(4))]), shown

    def boxes(self) -> Iterator[list[Shown]]:
        """The true boxes of each frame."""
        return (shown for _, shown in self)

    def _draw(
        self, picture: np.ndarray, worker: _Worker, doing: Performed | None, frame: int
    ) -> tuple[float, float, float, float]:
        """Draw a worker's arm and what it does; returns the box around hand, tool and what moves."""
        time = frame / self.fps
        pose = _pose(worker, doing, frame, time)
        covered = [counter.block(picture, self.camera, *slid, (150, 152, 158)) for slid in pose.slid]
        if pose.touched is not None:
            covered.append(np.array([pose.touched]))
        shoulder = worker.post, counter.HEIGHT + 0.12
        pixels = (self.camera.points(np.array([shoulder, pose.hand])) * 8).round().astype(int).tolist()
        thick = max(1, round(_ARM * self.camera.scale(pose.hand)))
        cv2.line(picture, tuple(pixels[0]), tuple(pixels[1]), worker.sleeve, thick, cv2.LINE_AA, shift=3)
        if pose.held:
            covered.append(counter.tool(picture, self.camera, pose.held, pose.hand, pose.angle, self.looks))
        if pose.item:
            tip = pose.hand[0] + counter.REACH * np.cos(pose.angle), pose.hand[1] + counter.REACH * np.sin(pose.angle)
            covered.append(counter.disc(picture, self.camera, tip, 0.022, counter.TOOLS["food"][0]))
        covered.append(counter.disc(picture, self.camera, pose.hand, _HAND, pose.glove))
        return self.camera.box(np.concatenate(covered))


@dataclass
class _Pose:
    """A hand, what it holds and what it moves: all that a frame shows of a worker."""

    hand: Place
    angle: float
    glove: counter.Colour
    held: str = ""
    item: bool = False
    touched: Place | None = None
    slid: tuple[tuple[Place, Place], ...] = ()


def _pose(worker: _Worker, doing: Performed | None, frame: int, time: float) -> _Pose:
    rest = worker.post + 0.015 * np.sin(time * 1.7 + worker.sway), 0.80 + 0.01 * np.cos(time * 1.1)
    if doing is None:
        return _Pose(rest, -np.pi / 2, worker.glove)
    action, u = ACTIONS[doing.label], doing.progress(frame)
    station = _station(worker, action, doing.variant)
    pose = _Pose(rest, float(np.arctan2(station[1] - rest[1], station[0] - rest[0])), worker.glove)
    if action.motion == "reach":
        pose.hand = _between(rest, station, 1 - abs(2 * u - 1))  # there at u = 0.5
        full = u <= 0.5 if action.carry else u > 0.5
        if action.tool == "glove":
            pose.glove = worker.glove if full else _SKIN
        elif action.tool == "tongs":
            pose.held, pose.item = ("tongs", full) if action.carry else ("tongs" if full else "", False)
        else:
            pose.held = action.tool if full else ""
    elif action.motion == "slide":
        along = 0.07 * (u - 0.5)
        lid = action.station == "lid"
        pose.hand = (station[0] + along, station[1]) if lid else (station[0], station[1] + along)
        extent = (0.11, 0.10) if lid else (0.13, 0.07)
        pose.slid = (((pose.hand[0], pose.hand[1] - (0.10 if lid else 0.02)), extent),)
    else:
        beat = time * 2 * np.pi * 1.5
        pose.hand = station[0] + 0.02 * np.sin(beat + worker.sway), station[1] + 0.015 * np.sin(2 * beat)
        pose.held, pose.touched = action.tool, station
    return pose


def _station(worker: _Worker, action: Action, variant: int) -> Place:
    """Where the action is done: of bins, lids and phones the one that was drawn, of others the one nearest the
    worker."""
    places = counter.STATIONS[action.station]
    if action.station in ("bin", "lid", "phone"):
        return places[variant % len(places)]
    return min(places, key=lambda place: abs(place[0] - worker.post))


def _between(a: Place, b: Place, share: float) -> Place:
    eased = share * share * (3 - 2 * share)
    return a[0] + (b[0] - a[0]) * eased, a[1] + (b[1] - a[1]) * eased

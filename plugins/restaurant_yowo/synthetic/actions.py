"""What workers do: the actions, how each moves, and the grammar by which a shift is put together.

Six pairs of actions are each other's motion reversed: a single frame of "pick up from bin with tong or scooper" is a
frame of "put tongs or scooper back in bin" as well, and only the order of frames tells them apart. With `direction` off
that cue is gone: each such action runs forwards or backwards by chance, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Action:
    """How an action looks.

    Attributes:
        name: its class.
        motion: "reach" (to the station and back), "slide" (the station's object moves along) or "dwell" (at the
            station, to and fro).
        station: where; one of `vidsuite_plugins.restaurant_yowo.synthetic.counter.STATIONS`.
        tool: what the hand holds, "" for nothing. On a "reach" it is held on the way back alone, and on "carry" reaches
            the whole way.
        seconds: shortest and longest duration.
        reversed: whether the motion runs backwards in time.
        carry: whether the tool is held the whole way, with an item until it is at the station.
    """

    name: str
    motion: str
    station: str
    tool: str = ""
    seconds: tuple[float, float] = (0.8, 1.4)
    reversed: bool = False
    carry: bool = False


ACTIONS = (
    Action("pick up from bin with tong or scooper", "reach", "bin", "tongs"),
    Action("put item into meal using tongs", "reach", "meal", "tongs", carry=True),
    Action("put tongs or scooper back in bin", "reach", "bin", "tongs", reversed=True),
    Action("operating POS", "dwell", "till", "", (2.0, 5.0)),
    Action("put item into meal using hands", "reach", "meal", "food", carry=True),
    Action("open lid", "slide", "lid", "", (0.8, 1.6)),
    Action("close lid", "slide", "lid", "", (0.8, 1.6), reversed=True),
    Action("open drawer", "slide", "drawer", "", (0.8, 1.6)),
    Action("close drawer", "slide", "drawer", "", (0.8, 1.6), reversed=True),
    Action("take sauce bottle", "reach", "sauce", "bottle"),
    Action("put sauce bottle back", "reach", "sauce", "bottle", reversed=True),
    Action("put on glove", "reach", "gloves", "glove", (1.0, 2.0)),
    Action("take off glove", "reach", "gloves", "glove", (1.0, 2.0), reversed=True),
    Action("bring bowl", "reach", "bowls", "bowl"),
    Action("stack bowl", "reach", "bowls", "bowl", reversed=True),
    Action("pick up from bin with hand", "reach", "bin", "food"),
    Action("roll a sushi burrito", "dwell", "board", "mat", (3.0, 7.0)),
    Action("using a cellphone", "dwell", "phone", "phone", (3.0, 8.0)),
    Action("operating a sushi roll cutter", "dwell", "cutter", "", (2.0, 4.0)),
    Action("wipe counter", "dwell", "board", "cloth", (2.0, 4.0)),
    Action("squeeze sauce onto meal", "dwell", "meal", "bottle", (1.0, 2.0)),
    Action("stir meal", "dwell", "meal", "spoon", (1.5, 3.0)),
    Action("wash hands", "dwell", "sink", "", (3.0, 6.0)),
    Action("sprinkle seasoning", "dwell", "meal", "shaker", (1.0, 2.0)),
    Action("put lid on meal", "reach", "meal", "cap", carry=True),
    Action("tear off receipt", "dwell", "receipt", "", (0.8, 1.5)),
    Action("count cash", "dwell", "drawer", "cash", (2.0, 4.0)),
    Action("wrap meal", "dwell", "meal", "paper", (2.0, 4.0)),
)
NAMES = tuple(action.name for action in ACTIONS)
PAIRS = ((0, 2), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14))
"""Actions that differ in direction alone."""

_SERVING = ((0, 1, 2), (15, 4))
"""A portion with tongs, and one by hand."""
_EXTRAS = (  # share of orders, actions
    (0.35, (9, 20, 10)), (0.25, (16, 18)), (0.2, (23,)), (0.2, (21,)), (0.15, (24,)), (0.12, (27,)),
)  # fmt: skip
_BETWEEN = (  # share of the breaks between orders
    (0.3, (5, 6)), (0.25, (17,)), (0.25, (19,)), (0.2, (11, 12)), (0.12, (22,)), (0.2, (7, 26, 8)), (0.12, (14,)),
)  # fmt: skip


@dataclass(frozen=True)
class Performed:
    """An action in a shift: frames [start, stop), its class, the variant of its station, and whether it runs
    backwards."""

    start: int
    stop: int
    label: int
    variant: int
    backwards: bool

    def progress(self, frame: int) -> float:
        """How far the motion is, 0 to 1, at a frame."""
        u = (frame - self.start + 0.5) / (self.stop - self.start)
        return 1 - u if self.backwards else u


def shift(frames: int, fps: float, rng: np.random.Generator, direction: bool = True) -> list[Performed]:
    """What one worker does for so many frames; about half of them are idle.

    Args:
        frames: how many.
        fps: frames per second.
        rng: of the draws.
        direction: whether the order of frames tells reversed actions apart.
    """
    performed: list[Performed] = []
    at = int(rng.integers(0, max(1, int(2 * fps))))
    for label, variant in _labels(rng):
        action = ACTIONS[label]
        length = max(4, round(float(rng.uniform(*action.seconds)) * fps))
        if at + length > frames:
            return performed
        in_pair = any(label in pair for pair in PAIRS)
        backwards = bool(rng.random() < 0.5) if in_pair and not direction else action.reversed
        performed.append(Performed(at, at + length, label, variant, backwards))
        at += length + round(float(rng.exponential(3.0)) * fps)
    return performed


def _labels(rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Actions and their stations' variants, without end: orders, and what comes between them."""
    while True:
        yield 13, 0
        for _ in range(int(rng.integers(2, 6))):
            variant = int(rng.integers(0, 8))
            for label in _SERVING[int(rng.random() < 0.3)]:
                yield label, variant
        for share, labels in _EXTRAS:
            if rng.random() < share:
                yield from ((label, int(rng.integers(0, 8)) if label != 10 else 0) for label in labels)
        yield 3, 0
        if rng.random() < 0.25:
            yield 25, 0
        for share, labels in _BETWEEN:
            if rng.random() < share:
                variant = int(rng.integers(0, 8))
                yield from ((label, variant) for label in labels)

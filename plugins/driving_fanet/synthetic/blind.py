"""Frames in which the camera sees nothing, so that only frames before them can tell what is there."""

from __future__ import annotations

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic.weather import Picture

KINDS = {"black": (0, 0, 0), "overexposed": (255, 255, 255), "covered": (88, 74, 60)}
"""What a blind frame shows before the sensor's noise, all over: a lost exposure, a glare, a leaf on the lens."""

FIRST = 7
"""Frames that a sequence begins with and that are never blind: as many as a context of 6 and its own frame."""

CLEAR = (5, 10)
"""Least and most frames between two spells of blindness."""


def blind_spells(rng: np.random.Generator, frames: int, longest: int) -> list[str]:
    """What makes each frame blind, a key of `KINDS`, or "" where it is not.

    Spells of 1 to `longest` frames, evenly drawn, each of one kind. The k-th frame of a spell has a seeing frame among
    the N before it where N is k or more, so that depths of context up to `longest` differ in what they can know.

    Args:
        frames: of the sequence.
        longest: of the spells, in frames; 0 for none.
    """
    spells = [""] * frames
    place = FIRST if longest else frames
    while place < frames:
        stop, kind = place + int(rng.integers(1, longest + 1)), str(rng.choice(list(KINDS)))
        spells[place:stop] = [kind] * len(spells[place:stop])
        place = stop + int(rng.integers(CLEAR[0], CLEAR[1] + 1))
    return spells


def blinded(picture: Picture, kind: str) -> Picture:
    """What the camera sees instead of `picture` (H, W, 3), which is itself where `kind` is ""."""
    return np.full_like(picture, KINDS[kind]) if kind else picture

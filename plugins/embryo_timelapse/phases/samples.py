"""Recordings whose frames are labelled with phases: the samples of the task `embryo_phases`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Sample
from vidsuite_plugins.embryo_timelapse.embryos import HOUR, Embryo, Embryos

PHASES = (
    "tPB2", "tPNa", "tPNf", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9+", "tM", "tSB", "tB", "tEB", "tHB",
)  # fmt: skip
"""The 16 phases of Gomez et al. (Data in Brief 42, 2022): each is named by the event that begins it."""
HALVES = 2
"""Parts that the frames of a recording are dealt to where `group` is "frame"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhasesSample(Sample):
    """A recording, and the phase that it is in at some of its frames.

    Attributes:
        frames: the recording's labelled frames, rising.
        labels: of each, the phase: an index into the dataset's classes.
    """

    frames: tuple[int, ...]
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        self._check(*self.frames, *(frame + 1 for frame in self.frames[-1:]))
        if not self.frames or len(self.frames) != len(self.labels) or list(self.frames) != sorted(set(self.frames)):
            raise VidsuiteError(f"sample {self.id!r} needs labelled frames in order, and a label for each")

    @property
    def hours(self) -> tuple[float, ...]:
        """Of each labelled frame, since insemination."""
        return tuple(self.footage.time(index) / HOUR for index in self.frames)


class Phases(Embryos):
    """Embryos with the phases that they go through, each recording a sample (task `embryo_phases`).

    Options:
        group: "patient", "embryo", or "frame". With "frame" the frames of each recording are dealt at random to two
            halves, each a subject of its own. **That leaks**: neighbouring frames, almost alike, stand on both sides of
            every split. It is there to show by how much such a split flatters.
    """

    classes: ClassVar[tuple[str, ...]] = PHASES

    def __init__(self, root: Path, *, group: str = "patient", **options: Any) -> None:
        super().__init__(root, group="embryo" if group == "frame" else group, **options)
        self.group = group
        self.options["group"] = group

    def how_samples_are_made(self) -> dict[str, Any]:
        """See `Embryos`."""
        return {**super().how_samples_are_made(), "task": "embryo_phases"}

    def samples(self) -> list[PhasesSample]:
        """One sample an embryo with a labelled frame (with `group` "frame", up to two)."""
        found = []
        for one in self.embryos():
            labels = self.labelled(one)
            if labels and self.group == "frame":
                found += _halves(one, labels)
            elif labels:
                found.append(_sample(one, labels, one.footage.name, "" if self.group == "patient" else "embryo"))
        return found

    def labelled(self, one: Embryo) -> dict[int, int]:
        """The phase at each labelled frame: by the embryo's `phases`, or where it has none, by its events.

        By events an embryo is in the phase of the latest one, in the first phase before all, and in none after the
        event `tEnd`; an embryo without events has no labelled frame.
        """
        places = {name: place for place, name in enumerate(self.class_names())}
        hours = [one.footage.time(index) / HOUR for index in range(one.footage.frames)]
        if one.phases:
            return {
                index: places[name]
                for name, first, last in one.phases
                for index, hour in enumerate(hours)
                if first <= hour <= last
            }
        events = {f"{name}+" if name == "t9" else name: hour for name, hour in one.events.items()}
        end = events.pop("tEnd", float("inf"))
        begun = sorted((hour, places[name]) for name, hour in events.items() if name in places)
        if not begun:
            return {}
        return {
            index: max((place for start, place in begun if start <= hour), default=0)
            for index, hour in enumerate(hours)
            if hour < end
        }


def _sample(one: Embryo, labels: dict[int, int], name: str, group: str) -> PhasesSample:
    footage = replace(one.footage, subject=name) if group else one.footage
    return PhasesSample(
        id=name, footage=footage, frames=tuple(sorted(labels)), labels=tuple(labels[k] for k in sorted(labels))
    )


def _halves(one: Embryo, labels: dict[int, int]) -> Sequence[PhasesSample]:
    order = sorted(labels)
    random.Random(one.footage.name).shuffle(order)  # noqa: S311
    parts = [{frame: labels[frame] for frame in order[part::HALVES]} for part in range(HALVES)]
    return [_sample(one, part, f"{one.footage.name}#{place}", "frame") for place, part in enumerate(parts, 1) if part]

"""An embryo over time: spheres that divide, push each other, compact, and enclose a cavity. Lengths in micrometres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.embryo_timelapse.synthetic.plan import MOST_INCLUSIONS, Embryo, Patient

Floats = NDArray[np.float64]

STEP = 0.25
"""Hours that the mechanics advance at a time, whatever moments are asked for."""
DIVIDING = 0.6
"""Hours from the first groove to two round daughters."""
HATCHING = 1.32
"""How far the zona is stretched when a blastocyst is fully expanded."""


@dataclass(frozen=True)
class State:
    """What there is to be seen at one moment, the embryo's middle at the origin and z upwards.

    Attributes:
        empty: whether the well has been emptied: nothing else counts then.
        centres, radii: (n, 3) and (n,) of the cells; `ids` (n,) keep a cell's look from moment to moment.
        gap: half the cleft between touching cells, which compaction closes.
        inner, outer: radii of the zona pellucida.
        cavity: centre and radius of the fluid; radius 0 is none.
        wall: thickness of the skin of flat cells that lines the zona of a blastocyst.
        spheres: (k, 5) of what lies free: x, y, z, radius, and optical density against water.
        decay: 0 for a living embryo, towards 1 long after its arrest.
    """

    hour: float
    empty: bool
    centres: Floats
    radii: Floats
    ids: NDArray[np.int64]
    gap: float
    inner: float
    outer: float
    cavity: tuple[Floats, float]
    wall: float
    spheres: Floats
    decay: float


class Development:
    """Follows one embryo through increasing hours; the same embryo and hours give the same states."""

    def __init__(self, embryo: Embryo, patient: Patient, rng: np.random.Generator) -> None:
        self.embryo, self.patient, self.rng = embryo, patient, rng
        self.radius = patient.radius * (1 - embryo.fragments / 3)
        self.inner = patient.radius * float(rng.uniform(1.10, 1.18))
        self.centres = rng.normal(0, 2, (1, 3))
        self.volumes = np.array([self.radius**3])
        self.drawn = self.volumes.copy()  # what the volumes look like while a division is under way
        self.generation = np.zeros(1, int)
        self.ids = np.zeros(1, int)
        self.hour, self.steps, self.done = 0.0, 0, 0
        self.pole = _direction(rng)
        self.inner_mass = rng.random(64) < 0.3
        self.turning = float(rng.normal(0, 0.004))
        self._scatter()

    def _scatter(self) -> None:
        """Polar bodies, fragments, inclusions and decoys: drawn once, shown when their hour has come."""
        rng, embryo = self.rng, self.embryo
        count = int(rng.poisson(6 + 240 * embryo.fragments))
        side = _direction(rng) * [1, 1, 0.25]  # in focus: fragments are what every plane shows
        cluster = side + rng.normal(0, 0.45, (count, 3)) * [1, 1, 0.6]
        cluster /= np.linalg.norm(cluster, axis=1, keepdims=True)
        self.fragments = cluster * (self.inner - rng.gamma(2, 5, count))[:, None]
        self.fragment_radii = np.clip(rng.gamma(3, 1.1, count), 1.2, 9) * (1 + embryo.fragments)
        self.fragment_hours = rng.choice(embryo.divisions[:4], count) + rng.uniform(0, 1.5, count)
        self.polar = _direction(rng) * [1, 1, 0.3] * (self.inner - 6)
        # As many are drawn for every embryo, so that their number changes nothing else.
        angle, spread = rng.uniform(0, 2 * np.pi, MOST_INCLUSIONS), rng.uniform(0, 26, MOST_INCLUSIONS)
        level = rng.choice([-1, 1], MOST_INCLUSIONS) * rng.uniform(38, 48, MOST_INCLUSIONS)
        places = np.stack([spread * np.cos(angle), spread * np.sin(angle), level], axis=1)
        self.inclusions = places[: embryo.inclusions]
        self.decoys = (rng.uniform(-26, 26, (MOST_INCLUSIONS, 3)) * [1, 1, 0.25])[: embryo.decoys]

    def follow(self, hours: Sequence[float]) -> Iterator[State]:
        """The states at `hours`, which increase."""
        for hour in hours:
            while self.steps * STEP < hour:
                self.steps += 1
                self._advance()
            self.hour = hour
            yield self._state()

    # --- mechanics ------------------------------------------------------------------------------------

    def _advance(self) -> None:
        self.hour = self.steps * STEP
        living = min(self.hour, self.embryo.arrest)
        while self.done < len(self.embryo.divisions) and self.embryo.divisions[self.done] <= living:
            self._divide(self.embryo.divisions[self.done])
            self.done += 1
        self.drawn += (self.volumes - self.drawn) * min(1.0, 3 * STEP / DIVIDING)
        for _ in range(3):
            self._push()
        angle = self.turning * STEP
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        for points in (self.centres, self.fragments, self.inclusions, self.decoys):
            points[:] = points @ turn.T
        self.pole, self.polar = turn @ self.pole, turn @ self.polar

    def _divide(self, hour: float) -> None:
        """The largest cell of the youngest round that is left divides; its daughters begin where it was."""
        behind = self.generation == self.generation.min()
        if self.embryo.direct and self.done == 1:
            behind = np.ones(len(self.ids), bool)  # one into three: a daughter divides again at once
        cell = int(np.argmax(np.where(behind, self.volumes, 0)))
        uneven = self.embryo.unevenness * self.rng.uniform(0.5, 1) * (1 if len(self.ids) < 8 else 0.4)
        share = 0.5 + 0.5 * uneven * self.rng.choice([-1, 1])
        axis = _direction(self.rng) * [1, 1, 0.7]
        offset = 0.25 * np.cbrt(self.volumes[cell]) * axis
        daughter = self.centres[cell] - offset
        self.centres = np.vstack([self.centres, daughter])
        self.centres[cell] += offset
        volume = self.volumes[cell]
        self.volumes = np.append(self.volumes, volume * (1 - share))
        self.volumes[cell] = volume * share
        self.drawn = np.append(self.drawn, self.drawn[cell])
        self.generation = np.append(self.generation, self.generation[cell] + 1)
        self.generation[cell] += 1
        self.ids = np.append(self.ids, len(self.ids))

    def _push(self) -> None:
        """One round of the mechanics: cells repel, the zona holds them, the cavity pushes them out."""
        radii = self._radii()
        packed = 0.95 - 0.05 * self.compacted
        apart = self.centres[:, None] - self.centres[None]
        distance = np.linalg.norm(apart, axis=2) + np.eye(len(radii))
        wanted = packed * (radii[:, None] + radii[None]) * (1 - np.eye(len(radii)))
        overlap = np.clip(wanted - distance, 0, None)
        move = 0.25 * (overlap / distance)[..., None] * apart
        self.centres += np.clip(move.sum(axis=1), -6, 6)
        self.centres *= 1 - (0.012 + 0.03 * self.compacted) * (1 - self.filled)
        middle, hole = self._cavity()
        if hole > 0:
            outward = self.centres - middle
            length = np.linalg.norm(outward, axis=1, keepdims=True) + 1e-6
            inside = np.clip(hole + 0.25 * radii[:, None] - length, 0, None)
            self.centres += 0.5 * inside * outward / length
            mass = self.inner_mass[self.ids]
            self.centres[mass] += 0.06 * self.filled * (self.pole * (self.hold - 14) - self.centres[mass])
        limit = self.hold - (0.75 - 0.55 * self.filled) * radii
        length = np.linalg.norm(self.centres, axis=1)
        self.centres *= np.minimum(1, np.clip(limit, 0, None) / (length + 1e-6))[:, None]

    # --- what time has come ---------------------------------------------------------------------------

    @property
    def living(self) -> float:
        """The hour that development has reached."""
        return min(self.hour, self.embryo.arrest)

    @property
    def compacted(self) -> float:
        """0 before compaction begins, 1 for a morula."""
        return _ramp(self.living, self.embryo.compaction - 7, self.embryo.compaction)

    @property
    def filled(self) -> float:
        """0 before the cavity, 1 when it fills the zona."""
        return _ramp(self.living, self.embryo.cavity, self.embryo.expanded) * (1 - 0.5 * self.decay)

    @property
    def stretched(self) -> float:
        """The zona's size against its first, with the small collapses that blastocysts have."""
        grown = _ramp(self.living, self.embryo.expanded - 3, self.embryo.expanded + 22)
        breath = 0.05 * grown * ((self.hour / 7.3 + self.pole[0]) % 1)
        return 1 + (HATCHING - 1) * grown - breath

    @property
    def decay(self) -> float:
        """How far a dead embryo has come to pieces."""
        return float(1 - np.exp(-max(self.hour - self.embryo.arrest - 6, 0) / 30))

    @property
    def hold(self) -> float:
        """Radius of the room that the zona leaves."""
        return self.inner * self.stretched

    def _radii(self) -> Floats:
        """Cells flatten at the wall of a blastocyst: wider than their volume makes them."""
        plain = np.cbrt(self.drawn)
        wide = np.sqrt(4 * self.hold**2 / max(len(plain), 1)) * 0.85
        flat = np.where(self.inner_mass[self.ids], plain, np.maximum(plain, wide))
        swell = 1.03 + 0.17 * self.compacted * (1 - self.filled)
        return (plain + (flat - plain) * self.filled) * swell * (1 - 0.12 * self.decay)

    def _cavity(self) -> tuple[Floats, float]:
        share = np.sqrt(self.filled)
        radius = share * (self.hold - 21)
        return -self.pole * (14 * share + 0.6 * (1 - share) * self.hold), float(radius)

    def _state(self) -> State:
        outer = np.cbrt(self.hold**3 + (self.inner + self.patient.zona) ** 3 - self.inner**3)
        return State(
            hour=self.hour,
            empty=self.hour >= self.embryo.emptied,
            centres=self.centres.copy(),
            radii=self._radii(),
            ids=self.ids.copy(),
            gap=1.3 * (1 - 0.8 * self.compacted) + 0.5 * self.filled + 0.5 * self.decay,
            inner=self.hold,
            outer=float(outer),
            cavity=self._cavity(),
            wall=3 * self.filled,
            spheres=self._spheres(),
            decay=self.decay,
        )

    def _spheres(self) -> Floats:
        embryo, hour = self.embryo, self.living
        rows = [[*self.polar, 5.5, 0.9]]
        crumble = 1 + 0.6 * self.decay
        for place, radius, since in zip(self.fragments, self.fragment_radii, self.fragment_hours, strict=True):
            grown = min(max(hour - since, 0.0), 1.0)
            if grown > 0:
                rows.append(
                    [*(place * self.hold / self.inner), radius * grown * crumble * (1 - 0.4 * self.filled), 1.5]
                )
        solid = 1 - self.filled
        rows += [[*place, 4.2 * solid, -2.6] for place in self.inclusions]
        rows += [[*place, 3.4 * solid, -2.0] for place in self.decoys]
        come, gone = embryo.pronuclei
        if come < hour < gone:
            met = _ramp(hour, come, come + 5)
            for side in (-1, 1):
                place = self.centres[0] + side * np.array([10 + 14 * (1 - met), 4, 2])
                rows.append([*place, 10.5, -0.55])
                rows += [[*(place + np.array([-side * 4 * met, 3 * k, 0])), 1.7, 1.6] for k in (-2, -1, 0, 1, 2)]
        elif len(self.ids) <= 8:
            rows += [
                [*(centre * 0.97), 0.3 * radius, -0.35]
                for centre, radius in zip(self.centres, np.cbrt(self.volumes), strict=True)
                if hour - self._born() > 3
            ]
        return np.array(rows)

    def _born(self) -> float:
        """Hour of the last division."""
        return self.embryo.divisions[self.done - 1] if self.done else self.embryo.pronuclei[1]


def _direction(rng: np.random.Generator) -> Floats:
    vector = rng.normal(0, 1, 3)
    return vector / np.linalg.norm(vector)


def _ramp(x: float, low: float, high: float) -> float:
    return float(min(max((x - low) / (high - low), 0.0), 1.0))

"""Who develops how: patients, their embryos' traits, and which of them become blastocysts.

Three latent scores of an embryo, each shared in part by its patient's embryos, decide its outcome together with chance:
rhythm (when, how evenly and in what order cells divide: only time shows it), looks (fragments, evenness, grain: one
frame shows them) and depth (dark inclusions at the top and the bottom, which the outer focal planes alone show
sharply). A cue that is turned off is drawn as before and seen as before, but has no part in the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from vidsuite_core.errors import UsageError

WEIGHTS = {"rhythm": 1.0, "looks": 0.7, "depth": 0.6}
CHANCE = 0.3
"""Standard deviation of what no picture shows."""
SIBLINGS = 0.4
"""Share of each score's variance that embryos of a patient have in common."""
EARLY_ARREST = 0.2
"""Share of the arrested that stop before the third day ends, where looks are a cue: their last frame shows it."""
MOST_INCLUSIONS = 9
RANDOM_PLAN, RANDOM_EMBRYO = 1, 2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides a synthetic set; see `Synthetic` for the papers' two.

    Attributes:
        embryos, blastocysts, patients: how many; each patient has at least one embryo.
        hours: recordings end here at the latest, up to 168.
        interval: minutes between moments.
        planes: focal planes, odd, 15 micrometres apart and centred.
        size: side of the square frames, 32 to 500 pixels.
        rhythm, looks, depth: whether the cue has part in the outcome.
        seed: of all that is drawn.
    """

    embryos: int = 60
    blastocysts: int = 30
    patients: int = 20
    hours: float = 80.0
    interval: float = 150.0
    planes: int = 1
    size: int = 112
    rhythm: bool = True
    looks: bool = True
    depth: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("embryos", "blastocysts", "patients", "planes", "size", "seed")
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in whole and type(value) is not int:
                raise UsageError(f"option {name} of the synthetic embryos must be a whole number, not {value!r}")
            if name in WEIGHTS and type(value) is not bool:
                raise UsageError(f"option {name} of the synthetic embryos must be true or false, not {value!r}")
        limits = {
            "embryos": (2, 10_000), "blastocysts": (1, self.embryos - 1), "patients": (1, self.embryos),
            "hours": (1, 168), "interval": (1, 1440), "planes": (1, 7), "size": (32, 500), "seed": (0, 2**31),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"option {name} of the synthetic embryos must lie in {low} to {high}, not {value!r}")
        if self.planes % 2 == 0:
            raise UsageError(f"option planes of the synthetic embryos must be odd, not {self.planes}")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The options that `dataclasses.asdict` wrote."""
        return cls(**data)

    def random(self, *stream: int) -> np.random.Generator:
        """A generator of its own for each stream, so that no draw depends on another's number."""
        return np.random.default_rng([self.seed, *stream])


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What a patient's embryos have in common: their scores' common part, and looks that say nothing by themselves."""

    scores: tuple[float, float, float]
    tempo: float
    radius: float
    zona: float
    grain: float
    light: float
    relief: float


@dataclass(frozen=True, kw_only=True)
class Embryo:
    """One embryo as it will be: scores, outcome, and hours of what happens.

    Attributes:
        scores: rhythm, looks and depth.
        blastocyst: the outcome.
        divisions: hours at which the number of cells grows: t2, t3, t4, ... up to 64 cells.
        direct: whether a cell divided into three at once (t3 soon after t2).
        pronuclei: hours of their coming and going.
        compaction, cavity, expanded: hours of the morula, the first fluid, and the full blastocyst.
        arrest: hour after which nothing develops; infinite for a blastocyst.
        emptied: hour at which the well is emptied; infinite where the recording simply ends.
        end: hour of the recording's end.
        fragments: share of the volume that is lost to fragments; unevenness: of the first division; grain: of the
            cytoplasm; inclusions: dark ones in the outer planes, and decoys about the central plane.
    """

    name: str
    patient: int
    index: int
    scores: tuple[float, float, float]
    blastocyst: bool
    divisions: tuple[float, ...]
    direct: bool
    pronuclei: tuple[float, float]
    compaction: float
    cavity: float
    expanded: float
    arrest: float
    emptied: float
    end: float
    fragments: float
    unevenness: float
    grain: float
    inclusions: int
    decoys: int


def draw_patients(options: Options) -> list[Patient]:
    """The patients, in order."""
    rng = options.random(RANDOM_PLAN, 0)
    return [
        Patient(
            scores=tuple(rng.normal(0, np.sqrt(SIBLINGS), 3).tolist()),
            tempo=float(rng.normal(1, 0.03)),
            radius=float(rng.normal(55, 2.5)),
            zona=float(np.clip(rng.normal(17, 2.5), 11, 24)),
            grain=float(rng.uniform(0.6, 1.4)),
            light=float(rng.uniform(45, 75)),
            relief=float(rng.normal(1.45, 0.25)),
        )
        for _ in range(options.patients)
    ]


def draw_embryos(options: Options) -> list[Embryo]:
    """All embryos, patient by patient; exactly `blastocysts` of them become one."""
    patients = draw_patients(options)
    rng = options.random(RANDOM_PLAN, 1)
    shares = rng.dirichlet(np.full(options.patients, 4.0))
    counts = 1 + rng.multinomial(options.embryos - options.patients, shares)
    owners = np.repeat(np.arange(options.patients), counts)
    common = np.array([patients[owner].scores for owner in owners])
    scores = common + rng.normal(0, np.sqrt(1 - SIBLINGS), common.shape)
    weights = [weight * getattr(options, cue) for cue, weight in WEIGHTS.items()]
    potential = scores @ weights + rng.normal(0, CHANCE, options.embryos)
    winners = set(np.argsort(-potential, kind="stable")[: options.blastocysts].tolist())
    numbers = np.concatenate([np.arange(count) for count in counts])
    return [
        _draw_embryo(
            options,
            name=f"p{owner + 1:03d}_e{numbers[index] + 1:02d}",
            patient=int(owner),
            tempo=patients[owner].tempo,
            index=index,
            scores=tuple(scores[index].tolist()),
            blastocyst=index in winners,
        )
        for index, owner in enumerate(owners)
    ]


def _squash(x: float) -> float:
    return 1 / (1 + float(np.exp(-x)))


def _draw_embryo(options: Options, *, tempo: float, **known: Any) -> Embryo:
    rng, fate = (options.random(RANDOM_EMBRYO, known["index"], part) for part in (0, 1))
    rhythm, looks, depth = known["scores"]
    pronuclei = (float(rng.uniform(5, 9)), float(rng.normal(22.5 - 2.2 * np.clip(rhythm, -2, 2), 0.8)) * tempo)
    direct = bool(rng.random() < _squash(-2.5 * rhythm - 3.5))
    divisions = _draw_divisions(rng, rhythm, direct, pronuclei[1] + float(rng.normal(2.6, 0.3)))
    compaction = float(rng.normal(88, 3))
    cavity = compaction + float(rng.uniform(9, 14))
    expanded = cavity + float(rng.gamma(6, 2.2))
    arrest = np.inf
    if not known["blastocyst"]:
        early = options.looks and fate.random() < EARLY_ARREST
        arrest = float(fate.uniform(34, 74) if early else fate.uniform(81, cavity + 4))
    end, emptied = _draw_end(fate, options.hours, known["blastocyst"], expanded)
    return Embryo(
        **known,
        divisions=divisions,
        direct=direct,
        pronuclei=pronuclei,
        compaction=compaction,
        cavity=cavity,
        expanded=expanded,
        arrest=arrest,
        emptied=emptied,
        end=end,
        fragments=0.36 * _squash(-2.2 * looks - 0.8 + rng.normal(0, 0.4)),
        unevenness=0.5 * _squash(-2.0 * looks - 0.8 + rng.normal(0, 0.4)),
        grain=float(np.clip(1 - 0.35 * looks + rng.normal(0, 0.15), 0.3, 2.2)),
        inclusions=round(MOST_INCLUSIONS * _squash(-1.8 * depth + rng.normal(0, 0.4))),
        decoys=int(rng.integers(0, 5)),
    )


def _draw_divisions(rng: np.random.Generator, rhythm: float, direct: bool, t2: float) -> tuple[float, ...]:
    """t2, t3, ..., t64. Out of rhythm, the first division is late and cells divide one by one; the fourth round comes
    alike for all, so that the number of cells on the third day says little of how it was reached."""
    lag = _squash(-2.5 * rhythm - 0.4 + rng.normal(0, 0.4))
    s2, s3 = 0.3 + 9 * lag, 1.5 + 13 * lag
    t3 = t2 + (float(rng.uniform(0.2, 2.5)) if direct else float(rng.normal(11.2, 0.7)))
    t4 = max(t3 + s2, t2 + 10.5)
    t5 = max(t4, t3 + 10) + float(rng.normal(2.5, 0.5))
    t8 = min(max(t5 + s3, t4 + 9), 66.0)
    middle = np.sort(rng.uniform(t5, t8, 2))
    begin = float(rng.uniform(66.5, 73))
    rounds = [np.sort(rng.uniform(low, low + 8, count)) for low, count in ((begin, 8), (begin + 16, 16), (101, 32))]
    return tuple(float(t) for t in np.concatenate([[t2, t3, t4, t5], middle, [t8], *rounds]))


def _draw_end(rng: np.random.Generator, hours: float, blastocyst: bool, expanded: float) -> tuple[float, float]:
    """When the recording ends, and when the well was emptied (a little before, at times): on day 5, 6 or 7."""
    days = np.array([119.0, 143.0, 167.0]) + rng.normal(0, 1.5, 3)
    if blastocyst:
        ready = days[days > expanded + 2]
        stop = float(ready[0]) if len(ready) else float(days[-1])
    else:
        stop = float(rng.choice(days, p=[0.35, 0.45, 0.2]))
    emptied = stop - float(rng.uniform(0.5, 4)) if rng.random() < 0.15 else np.inf
    end = min(stop, hours)
    return end, emptied if emptied < end else float(np.inf)

"""Which synthetic patients have which seizures, and how long they are: the paper's Table 2, scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.errors import UsageError
from vidsuite_plugins.seizure_i3d.data import CLIP, SHORTEST
from vidsuite_plugins.seizure_i3d.synthetic.motion import CUES, FRONTAL, TEMPORAL, Cue, Difficulty

CLASSES = ("FLE", "TLE")
PATIENTS, SEIZURES, SECONDS = (20, 15), (85, 41), (2587, 3116)
SHORTEST_SECONDS, LONGEST_SECONDS = (6.0, 6.3), (187.9, 225.9)
"""Table 2 of the paper, FLE and TLE."""

SPREAD = 0.85
"""Standard deviation of the log length of seizures, before it is cut to Table 2's range."""

LEFT_OVER = 0.025
"""Share of samples shorter than a whole clip. It is the same in both classes, so that a sample's length tells nothing
of its class; arbitrary lengths of seizures would give the short ones, FLE, more than twice as many."""

RANDOM_PLAN, RANDOM_PATIENT, RANDOM_RECORDING = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides the synthetic recordings, down to the last pixel.

    Attributes:
        seconds: length of all recordings together; the paper's is 5703.
        seizures: number of recordings; the paper's is 126.
        patients: at least 2; the paper's are 35.
        size: width and height of the frames, both even.
        seed: of all random draws.
        fps: frames per second.
        clip, shortest: the rule of `data.slice_samples`.
        difficulty: what sets the classes apart.
        cue: whether that is the "speed" of the motion (and automatisms), or the "order" of each clip's phases.
    """

    seconds: float
    seizures: int
    patients: int
    size: tuple[int, int]
    seed: int
    fps: int
    clip: int = CLIP
    shortest: int = SHORTEST
    difficulty: Difficulty = field(default_factory=Difficulty)
    cue: Cue = "speed"

    def __post_init__(self) -> None:
        width, height = self.size
        if self.cue not in CUES:
            raise UsageError(f"cue is {self.cue!r}; give {' or '.join(CUES)}")
        if width % 2 or height % 2 or not (32 <= width <= 4096 and 32 <= height <= 4096):
            raise UsageError(f"size {width}x{height} is not two even numbers from 32 to 4096")
        if self.patients < 2 or self.seizures < self.patients or not 1 <= self.fps <= 240:
            raise UsageError("patients must be 2 or more, seizures at least as many, and fps from 1 to 240")
        if self.seed < 0 or not 0 < self.seconds <= 1e5:
            raise UsageError("seed must be 0 or more, and seconds above 0 and at most 100000")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """The options that `asdict` and JSON made `values` of."""
        difficulty = Difficulty(**values["difficulty"])
        return cls(**{**values, "size": tuple(values["size"]), "difficulty": difficulty})

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values, by which recordings are known; the first cue, older than its name, is unsaid."""
        values = asdict(self)
        if self.cue == "speed":
            del values["cue"]
        return values

    def random(self, *key: int) -> np.random.Generator:
        """The random stream of one part of the data, independent of all others and of the order of work."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A recording before it is rendered."""

    index: int
    name: str
    patient: int
    label: int
    atypical: bool
    frames: int


def plan(options: Options) -> list[Planned]:
    """All recordings, in an order that says nothing about their class.

    Raises:
        UsageError: there are too few seizures for the patients, or too few seconds for the seizures.
    """
    rng = options.random(RANDOM_PLAN)
    patients = _split(options.patients, PATIENTS)
    seizures = _split(options.seizures, SEIZURES)
    samples = _split(round(options.seconds * options.fps / options.clip), SECONDS)
    numbers = rng.permutation(options.patients)
    members = numbers[: patients[FRONTAL]], numbers[patients[FRONTAL] :]
    planned: list[Planned] = []
    for label in (FRONTAL, TEMPORAL):
        if not patients[label] <= seizures[label] <= samples[label]:
            raise UsageError(
                f"{options.seconds:g} s in {options.seizures} seizures of {options.patients} patients leave class "
                f"{CLASSES[label]} {samples[label]} samples, {seizures[label]} seizures, {patients[label]} patients; "
                "each patient needs a seizure and each seizure a sample"
            )
        planned += _plan_class(options, rng, label, members[label], seizures[label], samples[label], len(planned))
    return sorted(planned, key=lambda recording: recording.name)


def _plan_class(
    options: Options,
    rng: np.random.Generator,
    label: int,
    patients: NDArray[np.int64],
    seizures: int,
    samples: int,
    first: int,
) -> list[Planned]:
    counts = rng.permutation(_clip_counts(label, seizures, samples))
    weights = rng.gamma(1.5, size=len(patients))
    extra = rng.choice(patients, seizures - len(patients), p=weights / weights.sum())
    atypical = set(rng.permutation(patients)[: round(len(patients) * options.difficulty.atypical)].tolist())
    cut = set(rng.permutation(seizures)[: round(samples * LEFT_OVER)].tolist())
    planned, seen = [], dict.fromkeys(patients.tolist(), 0)
    for i, patient in enumerate([*patients.tolist(), *extra.tolist()]):
        seen[patient] += 1
        missing = options.clip - int(rng.integers(options.shortest, options.clip)) if i in cut else 0
        planned.append(
            Planned(
                index=first + i,
                name=f"p{patient + 1:02d}_s{seen[patient]:02d}",
                patient=patient,
                label=label,
                atypical=patient in atypical,
                frames=int(counts[i]) * options.clip - missing,
            )
        )
    return planned


def _split(total: int, parts: tuple[int, int]) -> tuple[int, int]:
    """Divide `total` in the proportion of `parts`, with something for each."""
    first = min(max(round(total * parts[0] / sum(parts)), 1), max(total - 1, 1))
    return first, total - first


def _clip_counts(label: int, seizures: int, samples: int) -> list[int]:
    """Samples of each seizure: log-normal quantiles within Table 2's range about its mean, `samples` in all."""
    mean = SECONDS[label] / SEIZURES[label]
    low, high = SHORTEST_SECONDS[label] / mean, LONGEST_SECONDS[label] / mean
    levels = ((np.arange(seizures) + 0.5) / seizures).tolist()
    lengths = np.exp(SPREAD * np.array([NormalDist().inv_cdf(level) for level in levels]))
    for _ in range(50):  # cutting moves the mean, and scaling the cuts: a few rounds settle both
        lengths = np.clip(lengths / lengths.mean(), low, high)
    ends = np.rint(np.cumsum(lengths) / lengths.sum() * samples).astype(int)
    counts = np.maximum(np.diff(ends, prepend=0), 1)
    while counts.sum() > samples:
        counts[counts.argmax()] -= 1
    return counts.tolist()

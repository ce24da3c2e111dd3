"""How the patients and the staff of the synthetic recordings move.

Frontal and temporal seizures walk the *same* paths through the space of poses: every recording draws a random
stationary path, and the class decides only how fast its phase advances and whether small repetitive automatisms lie
on top. A single frame is therefore drawn from (nearly) the same distribution in both classes, and only motion tells
them apart. With the cue "order" both classes have the same lively and quiet phases in every clip, and only which of the
two comes first tells them apart. `Difficulty` holds every number that makes the classes easier or harder to tell apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.errors import UsageError

FRONTAL, TEMPORAL = 0, 1
Cue = Literal["speed", "order"]
CUES: tuple[Cue, ...] = ("speed", "order")
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """What separates the classes, and what blurs the line. Rates are cycles of the pose path per second.

    Attributes:
        frontal_rate, temporal_rate: median rate of a typical frontal and temporal patient.
        patient_spread, seizure_spread: standard deviation of the log rate between patients, and between the seizures
            of one patient.
        swing: standard deviation of the log rate within a seizure (lulls and bursts a few seconds long).
        atypical: share of each class's patients who move at a rate half-way (in the logarithm) to the other class: a
            slow frontal, an agitated temporal patient.
        automatism_rate: median rate in Hz of a temporal patient's fumbling and chewing.
        automatism_amplitude: median reach in metres of the fumbling hand.
        staff_share: share of time that a member of staff is in view, equal in both classes.
    """

    frontal_rate: float = 1.0
    temporal_rate: float = 0.11
    patient_spread: float = 0.35
    seizure_spread: float = 0.20
    swing: float = 0.40
    atypical: float = 0.10
    automatism_rate: float = 1.2
    automatism_amplitude: float = 0.05
    staff_share: float = 0.15

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(f"difficulty.{field.name} is {value}; give a number of 0 or more")
        if self.frontal_rate == 0 or self.temporal_rate == 0:
            raise UsageError("difficulty.frontal_rate and temporal_rate must be above 0")
        if self.atypical > 1 or self.staff_share > 0.9:
            raise UsageError("difficulty.atypical is a share up to 1 and staff_share one up to 0.9")


@dataclass(frozen=True, kw_only=True)
class Temperament:
    """How one patient moves: drawn once a patient, shared by all of the patient's seizures.

    Attributes:
        rate: median rate of the pose path, in cycles per second.
        emphasis: amplitude of legs, trunk, arms and head in (0, 1]; its distribution is the same in both classes.
        hand: the side (0 left, 1 right) of one-handed automatisms.
        fumbling: amplitude in metres, 0 where the patient has none.
        chewing: amplitude in (0, 1], 0 where the patient has none.
        tempo: rate of the automatisms in Hz.
        lively_first: by how much the logarithm of the rate is above its median in the first part of each clip, and
            below in the second; negative where the second is the lively one.
    """

    rate: float
    emphasis: tuple[float, float, float, float]
    hand: int
    fumbling: float
    chewing: float
    tempo: float
    lively_first: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PoseTrack:
    """Joint parameters of a patient over T frames; angles in radians, lengths in metres.

    Attributes:
        trunk: (T, 3) pitch above the backrest, sideways bend, roll.
        pelvis: (T, 2) shift across and along the bed.
        head: (T, 2) turn and nod.
        jaw: (T,) opening in [0, 1].
        hip: (T, 2) flexion of the left and right hip.
        lift: (T, 2) by how much less the knee is flexed than would keep the heel on the mattress.
        spread: (T, 2) abduction of the legs.
        hands: (T, 2, 3) offsets of the hands from their rest, in the trunk's frame.
        breath: (T,) in [-1, 1].
    """

    trunk: Array
    pelvis: Array
    head: Array
    jaw: Array
    hip: Array
    lift: Array
    spread: Array
    hands: Array
    breath: Array


def draw_temperament(
    rng: np.random.Generator, label: int, atypical: bool, difficulty: Difficulty, cue: Cue = "speed"
) -> Temperament:
    """Draw how a patient of class `label` moves; the same numbers are drawn from `rng` whatever the class.

    With the cue "order", all patients move at the classes' mean rate (in the logarithm) and nobody has automatisms;
    frontal patients begin each clip at the frontal rate and go over to the temporal one, temporal patients the other
    way round, and atypical ones do neither.
    """
    medians = (difficulty.frontal_rate, difficulty.temporal_rate)
    half_way = np.sqrt(medians[0] * medians[1])
    median = half_way if atypical or cue == "order" else medians[label]
    rate = median * np.exp(difficulty.patient_spread * rng.standard_normal())
    legs, trunk, arms, head = rng.uniform(0.35, 1.0, 4)
    hand, kind = int(rng.integers(2)), int(rng.integers(3))
    reach = difficulty.automatism_amplitude * np.exp(0.25 * rng.standard_normal())
    chewing = rng.uniform(0.5, 1.0)
    tempo = difficulty.automatism_rate * np.exp(0.2 * rng.standard_normal())
    temporal = label == TEMPORAL and cue == "speed"
    contrast = 0.0 if atypical or cue == "speed" else float(np.log(medians[label] / half_way))
    return Temperament(
        rate=float(rate),
        emphasis=(float(legs), float(trunk), float(arms), float(head)),
        hand=hand,
        fumbling=float(reach) if temporal and kind != 1 else 0.0,
        chewing=float(chewing) if temporal and kind != 0 else 0.0,
        tempo=float(tempo),
        lively_first=contrast,
    )


def _drift(rng: np.random.Generator, seconds: Array, slowest: float, fastest: float) -> Array:
    """A smooth stationary random signal with unit variance whose periods lie in [fastest, slowest] seconds."""
    waves = 6
    rates = 1.0 / np.exp(rng.uniform(np.log(fastest), np.log(slowest), waves))
    phases = rng.uniform(0, 2 * np.pi, waves)
    return np.sin(2 * np.pi * seconds[:, None] * rates + phases).sum(1) * np.sqrt(2.0 / waves)


def _wander(rng: np.random.Generator, phase: Array) -> Array:
    """A stationary path in [-1, 1] that goes to and fro about once a unit of `phase`."""
    pace, slow = rng.uniform(0.7, 1.3), rng.uniform(0.2, 0.5)
    a, b = rng.uniform(0, 2 * np.pi, 2)
    return np.sin(2 * np.pi * pace * phase + a + 0.9 * np.sin(2 * np.pi * slow * phase + b))


CHANGE = (0.35, 0.65)
"""Where in a clip its second part may begin."""


def _parts(rng: np.random.Generator, frames: int, clip: int) -> Array:
    """(T,) from 1 to -1 in each clip of `clip` frames: first part and second, which goes over within a tenth of it."""
    place = np.arange(frames) / clip
    change = rng.uniform(*CHANGE, size=int(place[-1]) + 1)[place.astype(int)]
    across: Array = -np.tanh((place % 1 - change) / 0.05)
    return across


def _phase(
    rng: np.random.Generator, seconds: Array, fps: float, temperament: Temperament, difficulty: Difficulty, clip: int
) -> Array:
    """How far along its path the patient is at each frame: the integral of an irregular rate from a random start."""
    log_rate = np.log(temperament.rate) + difficulty.seizure_spread * rng.standard_normal()
    log_rate = log_rate + difficulty.swing * _drift(rng, seconds, 8.0, 0.7)
    if temperament.lively_first:
        log_rate = log_rate + temperament.lively_first * _parts(rng, len(seconds), clip)
    return rng.uniform(0, 100) + np.cumsum(np.exp(log_rate)) / fps


def draw_pose_track(
    rng: np.random.Generator, temperament: Temperament, frames: int, fps: float, difficulty: Difficulty, clip: int = 60
) -> PoseTrack:
    """Draw the motion of one seizure of `frames` frames, which are cut into clips of `clip` frames."""
    seconds = np.arange(frames) / fps
    phase = _phase(rng, seconds, fps, temperament, difficulty, clip)
    legs, trunk, arms, head = temperament.emphasis

    def wander(scale: float) -> Array:
        return scale * _wander(rng, phase)

    cycle = 2 * np.pi * rng.uniform(0.7, 1.3) * phase + rng.uniform(0, 2 * np.pi) + wander(0.8)
    lag = np.pi + rng.normal(0, 0.6)
    turns = np.stack([cycle, cycle + lag], axis=1)
    reach, raised = legs * rng.uniform(0.5, 1.0), legs * rng.uniform(0.2, 0.8)
    lean, ajar = rng.uniform(-0.35, 0.35), rng.uniform(0.1, 0.6)
    return PoseTrack(
        trunk=np.stack([0.30 * trunk * (1 + wander(1)) / 2, wander(0.18 * trunk), lean + wander(0.35 * trunk)], axis=1),
        pelvis=np.stack([wander(0.06 * trunk), wander(0.06 * trunk)], axis=1),
        head=np.stack([rng.uniform(-0.4, 0.4) + wander(0.8 * head), wander(0.25 * head)], axis=1),
        jaw=np.clip(ajar + _automatism(rng, seconds, temperament.tempo * 1.2, temperament.chewing / 2), 0, 1),
        hip=rng.uniform(0.05, 0.35) + reach * (1 + np.sin(turns)) / 2,
        lift=raised * (1 + np.cos(turns)) / 2,
        spread=rng.uniform(0.02, 0.2) + np.stack([wander(0.12 * legs), wander(0.12 * legs)], axis=1),
        hands=_hands(rng, wander, arms, temperament, seconds),
        breath=np.sin(2 * np.pi * rng.uniform(0.2, 0.33) * seconds + rng.uniform(0, 2 * np.pi)),
    )


def _automatism(rng: np.random.Generator, seconds: Array, tempo: float, amplitude: float) -> Array:
    """A repetitive movement about 0 that starts and stops every few seconds, in [-amplitude, amplitude]."""
    wobble = 0.6 * _drift(rng, seconds, 5.0, 1.0)
    envelope = 1 / (1 + np.exp(-3 * (_drift(rng, seconds, 12.0, 4.0) + 0.8)))
    return amplitude * envelope * np.sin(2 * np.pi * tempo * seconds + rng.uniform(0, 2 * np.pi) + wobble)


def _hands(
    rng: np.random.Generator, wander: Callable[[float], Array], arms: float, temperament: Temperament, seconds: Array
) -> Array:
    """Offsets of both hands (T, 2, 3): the path that both classes share, and the fumbling of one hand."""
    sides = []
    for side in (0, 1):
        path = np.stack([wander(0.16 * arms), wander(0.18 * arms), 0.22 * arms * (1 + wander(1)) / 2], axis=1)
        fumble = [_automatism(rng, seconds, temperament.tempo * k, temperament.fumbling) for k in (1.0, 1.0, 2.0)]
        sides.append(path + (np.stack(fumble, axis=1) if side == temperament.hand else 0.0))
    return np.stack(sides, axis=1)


@dataclass(frozen=True, kw_only=True)
class StaffTrack:
    """A member of staff over T frames.

    Attributes:
        place: (T, 2) on the floor, in metres.
        stride: (T,) steps taken so far.
        reach: (T,) in [0, 1], how far the arms are stretched over the bed.
        present: (T,) False while nobody is in the room.
    """

    place: Array
    stride: Array
    reach: Array
    present: NDArray[np.bool_]


def draw_staff_track(rng: np.random.Generator, frames: int, fps: float, difficulty: Difficulty) -> StaffTrack:
    """Draw visits at a constant rate from a random phase: the share of time is the same whatever the length."""
    place, stride = np.zeros((frames, 2)), np.zeros(frames)
    reach, present = np.zeros(frames), np.zeros(frames, dtype=bool)
    if difficulty.staff_share > 0:
        visit = 7.0  # seconds
        period = visit / difficulty.staff_share
        start = -rng.uniform(0, period)
        while start < frames / fps:
            seconds = np.arange(frames) / fps - start
            here = (seconds >= 0) & (seconds < visit)
            place[here], stride[here], reach[here] = _visit(rng, seconds[here] / visit, visit)
            present |= here
            start += period
    return StaffTrack(place=place, stride=stride, reach=reach, present=present)


def _visit(rng: np.random.Generator, part: Array, seconds: float) -> tuple[Array, Array, Array]:
    """From the door to the bedside and back, at `part` in [0, 1] of the visit."""
    side = rng.choice((-1.0, 1.0))
    door = np.array([side * 2.6, rng.uniform(0.2, 1.9)])
    bedside = np.array([side * rng.uniform(0.82, 1.0), rng.uniform(0.4, 1.7)])
    come = np.clip(np.minimum(part, 1 - part) / 0.3, 0, 1)
    come = come * come * (3 - 2 * come)
    place = door + come[:, None] * (bedside - door)
    place = place + 0.05 * np.sin(2 * np.pi * part[:, None] * np.array([1.0, 1.7]) + rng.uniform(0, 6, 2))
    walked = np.where(part < 0.5, come, 2 - come) * np.hypot(*(bedside - door))
    busy = np.clip((come - 0.9) / 0.1, 0, 1) * (0.6 + 0.4 * np.sin(2 * np.pi * part * seconds * 0.5))
    return place, walked / 0.7, busy

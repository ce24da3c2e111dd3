"""Embryos as datasets list them, and the two kinds of samples that are made of them."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from vidsuite_core.datasets import Dataset, digest
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import ClipSample, MomentsSample, Recording, split_by_time

HOUR = 3600.0
CLASSES = ("arrested", "blastocyst")


@dataclass(frozen=True, kw_only=True)
class Embryo:
    """One embryo.

    Attributes:
        footage: its recording; the subject is its patient, the times are seconds since insemination.
        label: index into the dataset's classes; None where the outcome was not observed.
        events: hours at which something happened, by its name (`t2`, `tM`, ...), as far as it is known.
        phases: phases that somebody has marked, each with the hours of its first and last frame.
        identity: what stands for the recording in the fingerprint.
    """

    footage: Recording
    label: int | None
    events: Mapping[str, float] = field(default_factory=dict)
    phases: tuple[tuple[str, float, float], ...] = ()
    identity: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbryoClip(ClipSample):
    """A whole recording and its outcome, with the `events` (hours by name) that morphokinetic models take."""

    events: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbryoMoments(MomentsSample):
    """A recording in moments and its outcome, with `events` as `EmbryoClip`, and the `hours` at which moments end."""

    events: Mapping[str, float] = field(default_factory=dict)
    hours: tuple[float, ...] = ()


class Embryos(Dataset):
    """A dataset of embryos; a subclass says which (`embryos`), and in what samples they are seen.

    Options:
        group: the group that no split divides: "patient", or "embryo", as the papers divide. Siblings then stand on
            both sides, and what a network learns of a patient flatters its score.
    """

    classes: ClassVar[tuple[str, ...]] = CLASSES

    def __init__(self, root: Path, *, group: str = "patient", **options: Any) -> None:
        if group not in ("patient", "embryo"):
            raise UsageError(f"option group={group!r} is neither 'patient' nor 'embryo'")
        super().__init__(root, group=group, **options)
        self.group = group

    @abstractmethod
    def embryos(self) -> Sequence[Embryo]:
        """All embryos in a stable order; raises `DataNotReady` before `prepare` or `import_from`."""

    def grouped(self) -> list[Embryo]:
        """The embryos whose outcome is known, with the subject that `group` asks for."""
        known = [embryo for embryo in self.embryos() if embryo.label is not None]
        if self.group == "patient":
            return known
        return [replace(one, footage=replace(one.footage, subject=one.footage.name)) for one in known]

    def how_samples_are_made(self) -> dict[str, Any]:
        """What decides the samples besides the embryos: part of the fingerprint."""
        return {"group": self.group}

    def fingerprint(self) -> str:
        """sha256 (hex) of the embryos and of how samples are made of them."""
        rows = [
            [
                one.footage.name,
                one.footage.subject,
                one.label,
                one.identity or one.footage.content,
                dict(one.events),
                *([one.phases] if one.phases else []),
            ]
            for one in self.embryos()
        ]
        return digest({"classes": list(self.class_names()), "embryos": rows, **self.how_samples_are_made()})


class Clips(Embryos):
    """Embryos as clips: everything that was recorded, and what became of it (task `clip_classification`)."""

    def samples(self) -> list[EmbryoClip]:
        """One sample an embryo."""
        return [
            EmbryoClip(
                id=one.footage.name,
                footage=one.footage,
                label=one.label,
                start=0,
                stop=one.footage.frames,
                events=one.events,
            )
            for one in self.grouped()
        ]


class Moments(Embryos):
    """Embryos in moments (task `early_prediction`): a frame of each `step` hours up to `until`.

    Options:
        until, step: hours; the AMSNet paper's 168 and 6 make 28 moments.
        split: "paper" divides the embryos at random 1746 : 576 : 576 into training, validation and test, or in that
            proportion; "patient" does so with whole patients; None leaves it to the benchmark's protocol.
        split_seed: of that division.
        group: as `Embryos`; follows `split` where that is given.
    """

    def __init__(
        self,
        root: Path,
        *,
        until: float = 168.0,
        step: float = 6.0,
        split: str | None = None,
        split_seed: int = 0,
        group: str | None = None,
        **options: Any,
    ) -> None:
        if split not in (None, "paper", "patient"):
            raise UsageError(f"option split={split!r} is none of 'paper' (by embryo), 'patient' and null")
        count = round(until / step) if step > 0 else 0
        if count < 2 or abs(count * step - until) > 1e-6:
            raise UsageError(f"options until={until} and step={step} make no whole number of moments, two or more")
        group = group or ("embryo" if split == "paper" else "patient")
        super().__init__(root, group=group, until=until, step=step, split=split, split_seed=split_seed, **options)
        self.until, self.step, self.count, self.split, self.split_seed = until, step, count, split, split_seed

    def how_samples_are_made(self) -> dict[str, Any]:
        """See `Embryos`."""
        moments = {"until": self.until, "step": self.step, "split": self.split, "split_seed": self.split_seed}
        return {**super().how_samples_are_made(), **moments}

    def samples(self) -> list[EmbryoMoments]:
        """One sample an embryo that has a frame in at least one moment."""
        ends = tuple((number + 1) * self.step for number in range(self.count))
        edges = [0.0, *(hour * HOUR for hour in ends)]
        embryos = [(one, split_by_time(one.footage, edges)) for one in self.grouped()]
        seen = [(one, moments) for one, moments in embryos if any(start < stop for start, stop in moments)]
        parts = divide([one for one, _ in seen], self.split_seed) if self.split else {}
        return [
            EmbryoMoments(
                id=one.footage.name,
                footage=one.footage,
                label=one.label,
                moments=moments,
                split=parts.get(one.footage.subject, ""),
                events=one.events,
                hours=ends,
            )
            for one, moments in seen
        ]


PARTS = {"train": 1746, "val": 576, "test": 576}
"""The AMSNet paper's division."""


def divide(embryos: Sequence[Embryo], seed: int) -> dict[str, str]:
    """The part ("train", "val" or "test") of each subject: whole subjects at random, in the paper's proportion.

    Raises:
        UsageError: there are too few subjects for three parts.
    """
    counts: dict[str, int] = {}
    for one in embryos:
        counts[one.footage.subject] = counts.get(one.footage.subject, 0) + 1
    if len(counts) < len(PARTS):
        raise UsageError(f"{len(counts)} subjects cannot be divided into training, validation and test")
    order = sorted(counts)
    random.Random(seed).shuffle(order)  # noqa: S311
    whole, total = len(embryos), sum(PARTS.values())
    wanted = {name: share * whole / total for name, share in PARTS.items()}
    parts: dict[str, str] = {}
    filled = dict.fromkeys(PARTS, 0)
    for place, subject in enumerate(order):
        empty = [name for name, count in filled.items() if not count]
        if len(order) - place <= len(empty):
            name = empty[0]
        else:  # to where most is missing
            name = max(PARTS, key=lambda part: wanted[part] - filled[part])
        parts[subject] = name
        filled[name] += counts[subject]
    return parts

"""The base class of tasks: the form of predictions and the scores computed from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.specs import resolve
from vidsuite_core.tasks.shown import Shown

if TYPE_CHECKING:
    from pathlib import Path

    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.suite import Suite

Arrays = Mapping[str, np.ndarray]

EXAMPLES = 4
"""Samples of each group that `Task.examples` chooses."""


@dataclass(frozen=True)
class ScoreInfo:
    """What a score is: its key, its heading, its unit, whether higher or lower is better, and if tables show it."""

    name: str
    title: str
    unit: str = "fraction"
    direction: str = "higher"
    in_tables: bool = True


@dataclass(frozen=True)
class Example:
    """A sample worth a look: what it is an example of ("wrong", "best frames"), and what was predicted, in words."""

    sample_id: str
    group: str
    caption: str


class Reducer:
    """Takes a model's outputs in the order in which they were predicted; this one keeps them as they are."""

    def add(self, output: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What `Task.predictions` needs of an output, with its `sample_id`; None for an output that is not scored."""
        return output


class Task(ABC):
    """A task over `classes`; all its methods are pure functions of numpy arrays.

    Stored predictions are one flat mapping of arrays, first dimension N (samples): `sample_id`, `subject`,
    `recording` (text) and what the task adds. A *variant* is a second set of predictions of the same
    samples (`last`: those of the last epoch), stored under `<name>@<variant>`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    first_score: ClassVar[str]
    scores: ClassVar[tuple[ScoreInfo, ...]]
    subject_score: ClassVar[str] = ""
    """The score that says something of one subject's samples alone; empty where the first one does."""
    unit: ClassVar[str] = "subject"
    """The column whose values are taken to be independent of each other: what intervals and tests are drawn over."""
    forms: ClassVar[tuple[str, ...]] = ()
    """Forms that `Task.export` can write predictions in, for others' tools."""
    outputs: ClassVar[str] = ""
    """What `Task.reducer` can write beside the predictions, as "label maps (PNG)"; empty where nothing is."""

    answers: ClassVar[tuple[str, ...]] = ()
    """The arrays that are stored, beside those of all tasks, of samples whose labels are kept back; empty where the
    task cannot do without labels."""

    streamer: ClassVar[str] = ""
    """The `vidsuite_core.engine.streaming.Streamer` of the task, as "module:class"; empty where it has none."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    @abstractmethod
    def targets(self, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """The arrays that say what was to be predicted, in the samples' order."""

    def reducer(self, samples: Sequence[Any], keep: Path | None = None) -> Reducer:
        """What turns each output into what is stored of it while others are still predicted.

        Args:
            samples: those that are scored.
            keep: a folder for `outputs`, made when the first is written; None writes none.
        """
        return Reducer()

    @abstractmethod
    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """The model's outputs as arrays; each is what the reducer made of an mmengine data element's dict, in the
        samples' order."""

    def places(self, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """The arrays among `answers` that say where and when samples are, known without their labels."""
        return {}

    def answerer(self, samples: Sequence[Any], keep: Path | None = None) -> Reducer:
        """As `reducer`, of samples whose labels are kept back."""
        return Reducer()

    def answered(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """As `predictions`, of what the answerer made of outputs: with `places` the arrays of `answers`."""
        return self.predictions(outputs)

    def check_answers(self, arrays: Arrays) -> None:
        """Raise `VidsuiteError` unless the arrays of `answers` have their form (they may come from strangers)."""
        raise VidsuiteError(f"task {self.name} cannot do without the labels of what it scores")

    def joined(self, arrays: Arrays, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """The arrays of `answers`, checked, with the labels of their samples, in their order: as if these had been
        there. What is scored then is what a run with labels would have stored."""
        return {**arrays, **self.targets(samples)}

    @abstractmethod
    def check(self, arrays: Arrays) -> None:
        """Raise `VidsuiteError` unless the arrays have this task's form (they may come from strangers)."""

    @abstractmethod
    def score(self, arrays: Arrays) -> dict[str, float]:
        """Every score by name; NaN where it is not defined for these arrays (as AUC with one class)."""

    @abstractmethod
    def details(self, arrays: Arrays) -> dict[str, Any]:
        """What a record keeps beside scores, as plain JSON values; `per_class` holds measures by class, None where one
        is not defined."""

    def take(self, arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of the samples in `rows` ((n,) indices, or (N,) bool), in that order; each sample once at most.

        Tasks whose arrays do not all have a row a sample override it.
        """
        return {name: value[rows] for name, value in arrays.items()}

    def select(self, arrays: Arrays, subjects: Collection[str]) -> dict[str, np.ndarray]:
        """The arrays of the samples of `subjects` alone, in their order; all in the task's own form."""
        return self.take(arrays, np.isin(arrays["subject"], list(subjects)))

    def truth(self, arrays: Arrays) -> Arrays:
        """What the samples ask for, frame sizes included, as far as the arrays tell: what two models that are to be
        compared must share. Sample by sample as in `arrays`; the targets' arrays by default."""
        return {name: arrays[name] for name in ("target",) if name in arrays}

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The arrays' units (U,), sorted (subjects; see `unit`), and the scores (U,) without each of them.

        NaN where a score is not defined then, as without the only unit. What intervals rest on: every score that
        tables show an interval of. This one scores U times; tasks override it where sums do.
        """
        units, index = np.unique(arrays[self.unit], return_inverse=True)
        shown = [info.name for info in self.scores if info.in_tables]
        if len(units) == 1:
            return units, {name: np.full(1, np.nan) for name in shown}
        found = [self.score(self.take(arrays, index != place)) for place in range(len(units))]
        return units, {name: np.array([scores[name] for scores in found]) for name in shown}

    def class_use(self, arrays: Arrays) -> np.ndarray | None:
        """(2, K): how often each class is predicted, and how often it is true; None for a task that does not tell."""
        return None

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """Tables and figures of a row from the arrays of its cells, pooled or averaged as each says; none by default.

        A name of each is unique, and the same from row to row, so that rows can be drawn side by side.
        """
        return []

    def export(self, arrays: Arrays, form: str) -> dict[str, str]:
        """Files by name, as text: predictions and true targets in one of `forms`.

        Raises:
            VidsuiteError: the arrays lack what the form needs.
        """
        raise VidsuiteError(f"task {self.name} has no form {form!r} to export")

    def examples(self, arrays: Arrays) -> list[Example]:
        """Samples that show what the predictions are like, group by group; none unless overridden.

        The same arrays give the same ones.
        """
        return []

    def prediction(self, arrays: Arrays, index: int, output: bytes | None = None) -> dict[str, np.ndarray]:
        """What was predicted of sample number `index` of the arrays, in the form that `draw` and `draw_on` take.

        Args:
            output: the file that the reducer kept of the sample (see `outputs`, `output_name`).
        """
        return {name: value[0] for name, value in self.take(arrays, np.array([index])).items()}

    def output_name(self, sample_id: str) -> str:
        """Name of the file that the reducer keeps of a sample."""
        raise VidsuiteError(f"task {self.name} keeps no files of its samples")

    def draw(self, sample: Any, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB]) -> np.ndarray:
        """A picture of a sample with its truth and what was predicted, RGB uint8 (h, w, 3), some 480 pixels wide.

        Args:
            palette: a colour for each class.
        """
        raise VidsuiteError(f"task {self.name} draws no samples")

    def draw_on(
        self, frame: np.ndarray, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB], opacity: float
    ) -> np.ndarray:
        """A frame of a stream, RGB uint8 (H, W, 3), with what was predicted when it came; of the same size.

        Args:
            opacity: of what covers the frame, 0 to 1.
        """
        raise VidsuiteError(f"task {self.name} draws no streams")

    def score_by_subject(self, arrays: Arrays) -> dict[str, float]:
        """`subject_score` of each subject's samples alone; NaN where it is not defined."""
        name = self.subject_score or self.first_score
        return {
            subject: self.score(self.select(arrays, [subject]))[name]
            for subject in np.unique(arrays["subject"]).tolist()
        }

    def info(self, name: str) -> ScoreInfo:
        """What is known of score `name`."""
        for score in self.scores:
            if score.name == name:
                return score
        raise VidsuiteError(f"task {self.name} has no score {name!r}")


def titles(suite: Suite, task: str) -> dict[str, str]:
    """Headings of the scores that tables show, in the task's order."""
    scores: tuple[ScoreInfo, ...] = resolve(suite.tasks[task].spec.builder).scores
    return {score.name: score.title for score in scores if score.in_tables}


def headings(suite: Suite, task: str) -> dict[str, str]:
    """Headings of all of a task's scores, those included that no table of ours shows."""
    scores: tuple[ScoreInfo, ...] = resolve(suite.tasks[task].spec.builder).scores
    return {score.name: score.title for score in scores}


def variants(arrays: Arrays) -> list[str]:
    """The variants that are stored beside the main predictions, sorted."""
    return sorted({name.partition("@")[2] for name in arrays} - {""})


def select_variant(arrays: Arrays, variant: str = "") -> dict[str, np.ndarray]:
    """The arrays of one variant under their plain names; `""` is the main one."""
    plain = {name: value for name, value in arrays.items() if "@" not in name}
    if variant:
        plain |= {n.partition("@")[0]: value for n, value in arrays.items() if n.partition("@")[2] == variant}
    return plain


def require(arrays: Arrays, name: str, kind: str, *shape: int | None) -> np.ndarray:
    """`arrays[name]`, checked: dtype kind among the letters of `kind`, shape with None for any length.

    Raises:
        VidsuiteError: the array is missing or has another dtype or shape.
    """
    value = arrays.get(name)
    if value is None:
        raise VidsuiteError(f"predictions lack the array {name!r}")
    fits = value.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, value.shape, strict=True))
    if value.dtype.kind not in kind or not fits:
        wanted = "x".join("n" if size is None else str(size) for size in shape)
        raise VidsuiteError(
            f"predictions' {name!r} is {value.dtype} {value.shape}, expected kind {kind!r} and {wanted}"
        )
    return value


def refuse_hollow(arrays: Arrays) -> None:
    """Raise `VidsuiteError` where items have no bytes."""
    if hollow := [name for name, value in arrays.items() if value.dtype.itemsize == 0]:
        raise VidsuiteError(f"predictions' {hollow[0]!r} has items of no bytes, of which any number fits a small file")


def check_samples(arrays: Arrays) -> int:
    """Check the columns that all tasks share; returns N.

    Raises:
        VidsuiteError: a column is missing, of another length, or a sample id stands twice.
    """
    ids = require(arrays, "sample_id", "U", None)
    for name in ("subject", "recording"):
        require(arrays, name, "U", len(ids))
    if len(np.unique(ids)) != len(ids):
        raise VidsuiteError("predictions name a sample twice")
    return len(ids)


def spread(order: Sequence[int], recordings: np.ndarray, count: int = EXAMPLES) -> list[int]:
    """`count` of the first quarter of `order` (indices into `recordings`), of each recording one before any has two."""
    leading = order[: max(count, len(order) // 4)]
    seen: Counter[str] = Counter()
    turns = []
    for index in leading:
        seen[str(recordings[index])] += 1
        turns.append(seen[str(recordings[index])])
    chosen = sorted(range(len(leading)), key=turns.__getitem__)[:count]
    return [leading[place] for place in sorted(chosen)]


def unit_sums(per_sample: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sorted units (U,) of samples (N,), and counts (N, ...) summed over each one's samples: (U, ...) float64."""
    names, index = np.unique(units, return_inverse=True)
    sums = np.zeros((len(names), *per_sample.shape[1:]))
    np.add.at(sums, index.reshape(-1), per_sample)
    return names, sums

"""Pictures of samples that models got right and wrong, of datasets that may be shown.

`<out>/<attempt id>/pictures.json` lists an attempt's pictures as `{"file", "caption", "right"}`, where `right` is null
for samples that are neither, as frames; the files (JPEG) lie beside it. Pictures of other attempts in `out` stay.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import KEPT, Attempt, Store
from vidsuite_core.results.summary import config_of, place_of
from vidsuite_core.results.verification import verified
from vidsuite_core.results.withheld import is_withheld
from vidsuite_core.specs import resolve
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import inside, temporary_file
from vidsuite_core.support.text import printable
from vidsuite_core.tasks.base import select_variant
from vidsuite_leaderboard.pictures.outputs import opened_outputs

if TYPE_CHECKING:
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.results.verification import Verified
    from vidsuite_core.suite import DatasetHandle, Suite
    from vidsuite_core.tasks.base import Example

Progress = Callable[[str, int, int], None]
LIST = "pictures.json"
QUALITY = 85
"""Of the JPEG files."""
_RIGHT = {"right": True, "wrong": False}


@dataclass
class Drawn:
    """What was drawn, and why entries were left out, one line each."""

    entries: int = 0
    pictures: int = 0
    left_out: list[str] = field(default_factory=list)


def draw_pictures(suite: Suite, runs: Sequence[Path], out: Path, progress: Progress, *, prepare: bool = False) -> Drawn:
    """Draw examples of every entry in the run folders, of one attempt each, into `out`.

    Args:
        prepare: generate or download datasets that are not there; else their entries are left out.

    Raises:
        VidsuiteError: there is no run folder, or `out` cannot be written.
    """
    attempts = [one for run in runs for one in Store(run).everything() if isinstance(one, Attempt)]
    groups: dict[tuple[str, ...], list[Attempt]] = defaultdict(list)
    for one in attempts:
        cell = one.record.cell
        groups[cell.benchmark, cell.dataset, cell.preset, cell.model, config_of(one.record)].append(one)
    datasets = _Datasets(suite, progress, prepare)
    drawn = Drawn()
    for done, (_, members) in enumerate(sorted(groups.items()), 1):
        cell = members[0].record.cell
        try:
            drawn.pictures += _draw(suite, datasets, members, out)
            drawn.entries += 1
        except _Left as error:
            line = printable(f"{error.of or f'{cell.model} on {cell.dataset} ({cell.preset})'}: {error}")
            drawn.left_out += [] if line in drawn.left_out else [line]
        except VidsuiteError as error:
            drawn.left_out.append(printable(f"{cell.model} on {cell.dataset} ({cell.preset}): {error}"))
        progress("drawing pictures", done, len(groups))
    return drawn


class _Left(VidsuiteError):
    """Why something is not drawn; `of` names it where it is more than one entry."""

    def __init__(self, reason: str, of: str = "") -> None:
        super().__init__(reason)
        self.of = of


class _Datasets:
    """Datasets as the benchmarks' presets open them, each opened once."""

    def __init__(self, suite: Suite, progress: Progress, prepare: bool) -> None:
        self._suite, self._progress, self._prepare = suite, progress, prepare
        self._opened: dict[str, tuple[Dataset, Mapping[str, Any]]] = {}

    def shareable(self, name: str) -> DatasetHandle:
        """The dataset called `name`, if pictures of it may be shown."""
        handle = self._suite.datasets.get(name)
        if handle is None:
            raise _Left("no installed plugin brings it", name)
        if not handle.spec.shareable:
            raise _Left(f"its licence ({handle.spec.licence}) is not known to allow pictures on a page", name)
        return handle

    def open(self, one: Attempt) -> tuple[Dataset, Mapping[str, Any]]:
        """The dataset on which an attempt was made, and its samples by id."""
        record = one.record
        cell = record.cell
        handle = self.shareable(cell.dataset)
        if cell.benchmark not in self._suite.benchmarks:
            raise _Left("no installed plugin brings it", cell.benchmark)
        options = self._suite.benchmarks[cell.benchmark].definition().options(handle.key, cell.preset)
        name = f"{handle.key} ({cell.preset})"
        key = digest([handle.key, str(handle.home(options))])
        if key not in self._opened:
            dataset = handle.open(None, **options)
            if not dataset.is_ready():
                if not self._prepare:
                    raise _Left("is not here; --prepare makes it", name)
                dataset.prepare(self._progress)
            self._opened[key] = dataset, {sample.id: sample for sample in dataset.samples()}
        dataset, samples = self._opened[key]
        if dataset.fingerprint() != record.score_key.get("dataset") or dataset.class_names() != tuple(record.classes):
            raise _Left("was run on other data than this dataset's with the preset's options")
        return dataset, samples


def _draw(suite: Suite, datasets: _Datasets, members: Sequence[Attempt], out: Path) -> int:
    """Draw one entry; returns how many pictures there are."""
    cell = members[0].record.cell
    datasets.shareable(cell.dataset)
    if cell.task not in suite.tasks:
        raise _Left("no installed plugin brings it", f"task {cell.task}")
    one = _choose(suite, members, resolve(suite.tasks[cell.task].spec.builder).outputs)
    examples = one.task.examples(select_variant(one.arrays))
    if not examples:
        raise _Left("chooses no examples to look at", f"task {cell.task}")
    dataset, samples = datasets.open(one.attempt)
    missing = [example.sample_id for example in examples if example.sample_id not in samples]
    if missing:
        raise _Left(f"predicts sample {missing[0]!r}, which its dataset lacks")
    pictures = _pictures(one, examples, samples, dataset.palette())
    _write(inside(out, one.attempt.record.attempt), examples, pictures)
    return len(pictures)


def _choose(suite: Suite, members: Sequence[Attempt], outputs: str) -> Verified:
    """The newest good attempt at the first cell, by seed and fold, that has what is needed to draw it."""
    good = sorted((one for one in members if one.record.status == "ok"), key=lambda one: one.record.created)
    if not good:
        raise _Left("has no attempt with scores")
    of_cell = {one.record.cell_id: one for one in good}  # of several at a cell, the site shows the newest
    kept = [one for one in reversed(of_cell.values()) if not outputs or one.keeps("outputs")]
    if not kept:
        raise _Left(f"kept no {outputs}, which are what is drawn; run it with --keep outputs")
    for one in sorted(kept, key=lambda one: place_of(one)[1:4]):
        found = verified(suite, one)
        if is_withheld(one.record):
            raise _Left("has test labels that are kept back, which pictures would show")
        if found.scored:
            return found
    raise _Left("no attempt's files and scores agree")


def _pictures(
    one: Verified, examples: Sequence[Example], samples: Mapping[str, Any], palette: Sequence[RGB]
) -> list[np.ndarray]:
    """The picture of each example, RGB uint8."""
    arrays, task = select_variant(one.arrays), one.task
    places = {str(name): place for place, name in enumerate(arrays["sample_id"])}
    with ExitStack() as stack:
        kept = stack.enter_context(opened_outputs(one.attempt.path / KEPT["outputs"])) if task.outputs else None
        pictures = []
        for example in examples:
            output = kept.read(task.output_name(example.sample_id)) if kept else None
            prediction = task.prediction(arrays, places[example.sample_id], output)
            pictures.append(task.draw(samples[example.sample_id], prediction, palette))
    return pictures


def _jpeg(picture: np.ndarray) -> bytes:
    """RGB uint8 (H, W, 3) as a JPEG file's bytes."""
    import cv2

    data: bytes = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return data


def _write(folder: Path, examples: Sequence[Example], pictures: Sequence[np.ndarray]) -> None:
    """Write pictures and their list, which comes last, in place of those that were there."""
    lines = []
    try:
        (folder / LIST).unlink(missing_ok=True)
        for old in folder.glob("*.jpg"):
            old.unlink()
        for number, (example, picture) in enumerate(zip(examples, pictures, strict=True)):
            right = _RIGHT.get(example.group)
            caption = example.caption if right is not None else f"{example.group}: {example.caption}"
            lines.append({"file": f"{number}.jpg", "caption": printable(caption)[:400], "right": right})
            with temporary_file(folder / f"{number}.jpg") as part:
                part.write_bytes(_jpeg(picture))
        with temporary_file(folder / LIST) as part:
            part.write_text(json.dumps(lines, indent=1), encoding="utf-8")
    except OSError as error:
        raise VidsuiteError(f"cannot write {folder}: {error.strerror}") from error

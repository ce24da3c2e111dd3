"""Action tubes: detections of one class linked over a recording's key frames, and how well they fit the true ones.

Linking is that of Köpüklü, Wei and Rigoll, "You Only Watch Once", 2019 (after Peng and Schmid, ECCV 2016), as its code
has it: by Viterbi, the path with the highest sum of IoU + (s + s') + s s' / 2 over neighbours with scores s and s'.
Frames without a detection of the class take those of the nearest frame that has some; up to three tubes a class, each
from what the ones before left; of tubes that overlap by more than 0.3 the one with the higher mean score stays. Key
frames that follow on one another at one step make a *run*, and a tube is as long as its run: nothing cuts it to the
action.

True tubes are true boxes of one class, linked over neighbouring key frames where each is the other's best by IoU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vidsuite_core.tasks.detection_boxes import first_of, frames, iou, pairs, run_places, spans
from vidsuite_core.tasks.detection_matching import Ranked, Scene

MOST = 3
"""Tubes of a class in a run."""
OVERLAP = 0.3
"""Overlap of two tubes from which the one with the lower score goes."""
CANDIDATES = 10
"""Detections of a class in a frame that may be linked: the most confident ones."""
LINKED = 0.1
"""Least IoU of neighbouring true boxes of one tube."""
_CELLS, _FEWEST = 2**19, 16
"""Candidates that are linked in one go, and runs and classes, however long."""


@dataclass(frozen=True)
class Tubes:
    """T tubes; tube t has the boxes [offset[t], offset[t + 1]).

    Attributes:
        run, label, score: (T,) the run that it is in, its class, and its mean score.
        offset: (T + 1,).
        frame: (B,) the key frame of each box, rising within a tube.
        box: (B, 4).
    """

    run: np.ndarray
    label: np.ndarray
    score: np.ndarray
    offset: np.ndarray
    frame: np.ndarray
    box: np.ndarray

    def of(self, tube: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames and boxes of one tube."""
        part = slice(int(self.offset[tube]), int(self.offset[tube + 1]))
        return self.frame[part], self.box[part]

    def only(self, chosen: np.ndarray) -> Tubes:
        """Those that are chosen, (T,) bool."""
        sizes = np.diff(self.offset)[chosen]
        rows = spans(self.offset[:-1][chosen], sizes)
        offset = np.concatenate([[0], np.cumsum(sizes)])
        return Tubes(self.run[chosen], self.label[chosen], self.score[chosen], offset, self.frame[rows], self.box[rows])


@dataclass(frozen=True)
class Runs:
    """Key frames in order: `order` (N,) indices of samples, `starts` (R + 1,) where runs begin in it."""

    order: np.ndarray
    starts: np.ndarray

    @cached_property
    def place(self) -> np.ndarray:
        """(N,) the run of each sample."""
        run = np.empty(len(self.order), np.int64)
        run[self.order] = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return run

    @cached_property
    def place_in_order(self) -> np.ndarray:
        """(N,) where each sample stands in `order`."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(place))
        return place


def runs_of(recording: np.ndarray, position: np.ndarray) -> Runs:
    """The runs of N key frames, from their recordings (text) and their positions in them.

    Neighbours are apart by the recording's usual step, its least one; where more lies between, a run ends.
    """
    _, index = np.unique(recording, return_inverse=True)
    order = np.lexsort((position, index))
    index, position = index[order], position[order]
    same = index[1:] == index[:-1]
    step = np.where(same, np.diff(position), np.iinfo(np.int64).max)
    usual = np.full(int(index.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(usual, index[1:], step)
    begins = np.concatenate([[True], ~same | (step > usual[index[1:]])]) if len(index) else np.zeros(0, bool)
    return Runs(order, np.append(np.flatnonzero(begins), len(order)))


def link(scene: Scene, runs: Runs) -> Tubes:
    """The tubes of a scene's detections."""
    chosen = np.flatnonzero(scene.rival < CANDIDATES)
    frame, label = scene.frame[chosen], scene.label[chosen]
    run = runs.place[frame]
    when = runs.place_in_order[frame] - runs.starts[run]
    order = np.lexsort((-scene.score[chosen], when, label, run))
    chosen, run, label, when = chosen[order], run[order], label[order], when[order]
    begins = np.append(np.flatnonzero(first_of(run * scene.classes + label)), len(run))
    found = [
        tube for part in _parts(runs, run, begins) for tube in _linked(scene, runs, chosen, run, label, when, part)
    ]
    return _gathered(found)


@dataclass(frozen=True)
class _Part:
    """Some runs and classes whose detections are linked at once, the longest first.

    `begins` and `ends` (P,) are where their detections lie, `lengths` (P,) the frames of their runs.
    """

    begins: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray


def _parts(runs: Runs, run: np.ndarray, begins: np.ndarray) -> Iterator[_Part]:
    lengths = np.diff(runs.starts)[run[begins[:-1]]]
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(_FEWEST, _CELLS // (CANDIDATES * int(lengths[order[start]])))
        part = order[start : start + count]
        yield _Part(begins[:-1][part], begins[1:][part], lengths[part])
        start += count


Tube = tuple[int, int, float, np.ndarray, np.ndarray]
"""Run, class, score, key frames, boxes."""


def _linked(
    scene: Scene, runs: Runs, chosen: np.ndarray, run: np.ndarray, label: np.ndarray, when: np.ndarray, part: _Part
) -> Iterator[Tube]:
    """The tubes of one part."""
    box, score = _grid(scene, chosen, when, part)
    steps, lengths = np.arange(score.shape[1]), part.lengths
    left = np.arange(len(part.begins))
    found: list[list[tuple[float, np.ndarray]]] = [[] for _ in part.begins]
    for _ in range(MOST):
        whole = (np.isfinite(score).any(-1) | (steps >= lengths[:, None])).all(-1)
        left, box, score, lengths = left[whole], box[whole], score[whole], lengths[whole]
        if not len(left):
            break
        path = _viterbi(box, score, lengths)
        for place, one in enumerate(left.tolist()):
            own = steps[: lengths[place]]
            of_path = path[place, own]
            found[one].append((float(score[place, own, of_path].mean()), box[place, own, of_path]))
            score[place, own, of_path] = -np.inf
    for one, tubes in enumerate(found):
        first = part.begins[one]
        start = runs.starts[run[first]]
        members = runs.order[start : start + part.lengths[one]]
        for mean, boxes in _apart(tubes):
            yield int(run[first]), int(label[first]), mean, members, boxes


def _apart(tubes: Sequence[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    """Those of one run and class that no better one overlaps too much, the best first."""
    kept: list[tuple[float, np.ndarray]] = []
    for mean, boxes in sorted(tubes, key=lambda tube: -tube[0]):
        if all(iou(boxes, other).mean() <= OVERLAP for _, other in kept):
            kept.append((mean, boxes))
    return kept


def _grid(scene: Scene, chosen: np.ndarray, when: np.ndarray, part: _Part) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (P, L, C, 4) and scores (P, L, C) of candidates by frame, -inf where there is none; frames without any have
    those of the nearest frame, the earlier of two."""
    count, length = len(part.begins), int(part.lengths.max())
    sizes = part.ends - part.begins
    rows, pair = spans(part.begins, sizes), np.repeat(np.arange(count), sizes)
    within = run_places(first_of(pair * length + when[rows]))
    box = np.zeros((count, length, int(within.max()) + 1, 4), np.float32)
    score = np.full(box.shape[:3], -np.inf, np.float32)
    box[pair, when[rows], within] = scene.box[chosen[rows]]
    score[pair, when[rows], within] = scene.score[chosen[rows]]
    has = np.isfinite(score[..., 0])
    steps = np.arange(length)
    before = np.maximum.accumulate(np.where(has, steps, -length * 2), axis=1)
    after = np.minimum.accumulate(np.where(has, steps, length * 3)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(steps - before <= after - steps, before, after)
    each = np.arange(count)[:, None]
    return box[each, nearest], score[each, nearest]


def _viterbi(box: np.ndarray, score: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(P, L) which candidate the best path of each takes; the longest first, so that those which go on come first."""
    count, length, candidates = score.shape
    came = np.zeros((count, length, candidates), np.int8)
    best = np.where(np.isfinite(score[:, 0]), 0.0, -np.inf).astype(np.float32)
    ends = best.argmax(-1)
    for step in range(1, length):
        on = int((lengths > step).sum())
        one, other = score[:on, step - 1, :, None], score[:on, step, None, :]
        total = iou(box[:on, step - 1, :, None], box[:on, step, None])
        total += one + other
        total += 0.5 * np.where(np.isfinite(one), one, 0) * np.where(np.isfinite(other), other, 0)
        total += best[:on, :, None]  # -inf where there is no candidate
        came[:on, step] = total.argmax(1)
        best[:on] = total.max(1)
        ending = np.flatnonzero(lengths[:on] == step + 1)
        ends[ending] = best[ending].argmax(-1)
    path = np.zeros((count, length), np.int64)
    for step in range(length - 1, -1, -1):
        on = int((lengths > step).sum())
        after = min(step + 1, length - 1)
        following = came[np.arange(on), after, path[:on, after]]
        path[:on, step] = np.where(lengths[:on] == step + 1, ends[:on], following)
    return path


def _gathered(found: list[Tube]) -> Tubes:
    sizes = [len(members) for _, _, _, members, _ in found]
    return Tubes(
        np.array([run for run, *_ in found], np.int64),
        np.array([label for _, label, *_ in found], np.int64),
        np.array([score for _, _, score, *_ in found], np.float64),
        np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]),
        np.concatenate([np.zeros(0, np.int64), *(members for *_, members, _ in found)]),
        np.concatenate([np.zeros((0, 4), np.float32), *(boxes for *_, boxes in found)]),
    )


def true_tubes(scene: Scene, runs: Runs) -> Tubes:
    """The tubes of a scene's true boxes; their scores are 1."""
    frame, label = frames(scene.true_offset), scene.true_label
    following = np.full(len(runs.order), -1)
    inner = np.ones(len(runs.order), bool)
    inner[runs.starts[1:-1] - 1] = False
    inner[-1:] = False
    following[runs.order[:-1]] = np.where(inner[:-1], runs.order[1:], -1)
    goes_on = np.flatnonzero(following >= 0)
    before = np.full(len(runs.order), -1)
    before[following[goes_on]] = goes_on
    # Each frame's boxes as "detections", those of the frame before it as "true boxes".
    sizes = np.where(before >= 0, np.diff(scene.true_offset)[before], 0)
    rows = spans(scene.true_offset[:-1][before] * (before >= 0), sizes)
    offset = np.concatenate([[0], np.cumsum(sizes)])
    close = pairs(scene.true_offset, scene.true_box, offset, scene.true_box[rows], least=LINKED, pixel=0.0)
    later, earlier, overlap = close.found, rows[close.true], close.iou
    same = label[later] == label[earlier]
    later, earlier, overlap = later[same], earlier[same], overlap[same]
    mutual = _first(later, overlap, earlier) & _first(earlier, overlap, later)
    links = coo_array((np.ones(mutual.sum()), (earlier[mutual], later[mutual])), shape=(len(label), len(label)))
    count, tube = connected_components(links, directed=False)
    order = np.lexsort((runs.place_in_order[frame], tube))
    starts = np.searchsorted(tube[order], np.arange(count + 1))
    heads = order[starts[:-1]]
    return Tubes(runs.place[frame[heads]], label[heads], np.ones(count), starts, frame[order], scene.true_box[order])


def _first(key: np.ndarray, overlap: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(P,) whether a pair is the one that overlaps most of those with its key."""
    order = np.lexsort((other, -overlap, key))
    best = np.zeros(len(key), bool)
    best[order[first_of(key[order])]] = True
    return best


def fits(found: Tubes, true: Tubes, runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """(T,) each: the true tube of its run and class that a tube overlaps most (-1: there is none), and by how much.

    Two tubes overlap by their mean IoU in the frames that they have in common, times the share that these are of all
    frames of either. Tubes of `found` have every frame of their runs.
    """
    classes = int(max(found.label.max(initial=0), true.label.max(initial=0))) + 1
    by_key = np.argsort(true.run * classes + true.label, kind="stable")
    keys, wanted = (true.run * classes + true.label)[by_key], found.run * classes + found.label
    first, last = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
    tube = np.repeat(np.arange(len(wanted)), last - first)
    other = by_key[spans(first, last - first)]
    sizes = np.diff(true.offset)[other]
    rows = spans(true.offset[:-1][other], sizes)
    when = runs.place_in_order[true.frame[rows]] - np.repeat(runs.starts[true.run[other]], sizes)
    same = iou(found.box[np.repeat(found.offset[:-1][tube], sizes) + when], true.box[rows])
    overlap = np.bincount(np.repeat(np.arange(len(tube)), sizes), same, len(tube)) / np.diff(found.offset)[tube]
    order = np.lexsort((other, -overlap, tube))
    order = order[first_of(tube[order])]
    best, by = np.full(len(wanted), -1), np.zeros(len(wanted))
    best[tube[order]], by[tube[order]] = other[order], overlap[order]
    return best, by


def ranked_tubes(
    found: Tubes, best: np.ndarray, overlap: np.ndarray, positives: np.ndarray, threshold: float
) -> Ranked:
    """Which tubes are right, as VOC has it: each looks at the true tube that it fits best, and is right if it does so
    by at least the threshold, and no tube with a higher score had it.

    Args:
        best, overlap: see `fits`.
        positives: (K,) true tubes of each class.
    """
    order = np.lexsort((-found.score, found.label))
    close = order[(best[order] >= 0) & (overlap[order] >= threshold)]
    right = np.zeros(len(found.run), bool)
    right[close[np.unique(best[close], return_index=True)[1]]] = True
    starts = np.searchsorted(found.label[order], np.arange(len(positives) + 1))
    return Ranked(order, right[order], starts, positives)

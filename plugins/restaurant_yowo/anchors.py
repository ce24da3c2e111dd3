"""Anchors by k-means on the training boxes, with 1 - IoU as the distance (YOLOv2, section 2; this paper, section 4.6).

Boxes are compared by their shapes alone. The published notebook of the paper's authors takes the *least* overlap for
the nearest centre, so that its clusters oscillate, and falls back on Euclidean distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import UsageError

if TYPE_CHECKING:
    from vidsuite_core.samples import KeyFrameSample

ROUNDS = 1000
"""Of k-means, at most."""


@dataclass(frozen=True)
class Anchors:
    """Shapes (k, 2), width and height in the boxes' unit, by rising area, and the boxes' mean overlap with theirs."""

    shapes: np.ndarray
    mean_overlap: float


def cluster(shapes: np.ndarray, k: int, seed: int = 0, tries: int = 5) -> Anchors:
    """The `k` shapes that the boxes overlap best on average, the best of several tries.

    A try begins with boxes that are unlike each other (k-means++) and moves each centre to its members' median, until
    no box changes its centre.

    Args:
        shapes: (n, 2) widths and heights, all positive.
        k: number of anchors, at most the number of different shapes.
        seed: of the draws.
        tries: beginnings.

    Raises:
        UsageError: a shape is not positive and finite, or there are fewer different ones than anchors.
    """
    shapes = np.asarray(shapes, dtype=np.float64).reshape(-1, 2)
    if not (np.isfinite(shapes) & (shapes > 0)).all():
        raise UsageError("anchors need boxes of positive, finite width and height; check the annotations")
    if len(np.unique(shapes, axis=0)) < k:
        raise UsageError(
            f"{k} anchors need boxes of at least {k} different shapes, there are {len(np.unique(shapes, axis=0))}"
        )
    rng = np.random.default_rng(seed)
    found = [_settled(shapes, _begin(shapes, k, rng)) for _ in range(tries)]
    centres = max(found, key=lambda centres: _mean_overlap(shapes, centres))
    return Anchors(centres[np.argsort(centres.prod(axis=1))], _mean_overlap(shapes, centres))


def overlaps(shapes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """IoU (n, k) of shapes (n, 2) with centres (k, 2), laid over each other."""
    shared = np.minimum(shapes[:, None], centres[None]).prod(axis=2)
    return shared / (shapes.prod(axis=1)[:, None] + centres.prod(axis=1)[None] - shared)


def _mean_overlap(shapes: np.ndarray, centres: np.ndarray) -> float:
    return float(overlaps(shapes, centres).max(axis=1).mean())


def _begin(shapes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    chosen = [int(rng.integers(len(shapes)))]
    while len(chosen) < k:
        distance = 1 - overlaps(shapes, shapes[chosen]).max(axis=1)
        distance[distance < 1e-12] = 0
        chosen.append(int(rng.choice(len(shapes), p=distance / distance.sum())))
    return shapes[chosen]


def _settled(shapes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    nearest = np.full(len(shapes), -1)
    for _ in range(ROUNDS):
        before, nearest = nearest, overlaps(shapes, centres).argmax(axis=1)
        if (nearest == before).all():
            break
        members = [shapes[nearest == place] for place in range(len(centres))]
        centres = np.stack([np.median(m, axis=0) if len(m) else c for m, c in zip(members, centres, strict=True)])
    return centres


def shapes_of(samples: Sequence[KeyFrameSample]) -> np.ndarray:
    """Widths and heights (n, 2) of the samples' boxes, as shares of their frames."""
    from vidsuite_core.media.reader import frame_size

    sizes: dict[str, tuple[int, int]] = {}
    shapes = []
    for sample in samples:
        if sample.boxes and sample.recording not in sizes:
            sizes[sample.recording] = frame_size(sample.footage)
        for x1, y1, x2, y2 in sample.boxes:
            height, width = sizes[sample.recording]
            shapes.append(((x2 - x1) / width, (y2 - y1) / height))
    return np.array(shapes, np.float64).reshape(-1, 2)


def adapt(config: Any, samples: Sequence[KeyFrameSample]) -> None:
    """A recipe's `adapt`: where its `anchors` are "kmeans", fit them to the training boxes; "published" ones stay.

    YOWO takes five as shares of the frame, mmdet's YOLOv3 nine in pixels of its input, the largest three for its
    coarsest map.
    """
    if config.anchors == "published":
        return
    if config.anchors != "kmeans":
        raise UsageError(f"anchors={config.anchors!r} is neither 'kmeans' nor 'published'")
    if "bbox_head" in config.model:
        shapes = (cluster(shapes_of(samples), 9).shapes * config["size"]).round(1)
        largest_first = [tuple(map(tuple, part.tolist())) for part in np.split(shapes, 3)[::-1]]
        config.model.bbox_head.anchor_generator.base_sizes = largest_first
    else:
        config.model.anchors = cluster(shapes_of(samples), 5).shapes.round(5).tolist()

"""Anchors by k-means with 1 - IoU: what they find, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from vidsuite_core.errors import UsageError
from vidsuite_plugins.restaurant_yowo.anchors import cluster, overlaps


def test_the_shapes_that_boxes_were_drawn_from_are_found() -> None:
    centres = np.array([[0.05, 0.09], [0.15, 0.14], [0.4, 0.2]])
    rng = np.random.default_rng(0)
    shapes = np.concatenate([c * rng.uniform(0.95, 1.05, (200, 2)) for c in centres])
    found = cluster(shapes, 3)
    np.testing.assert_allclose(found.shapes, centres, rtol=0.02)
    assert 0.93 < found.mean_overlap < 1
    assert cluster(shapes, 1).mean_overlap < cluster(shapes, 2).mean_overlap < found.mean_overlap
    np.testing.assert_array_equal(cluster(shapes, 3, seed=0).shapes, found.shapes)


def test_more_anchors_than_groups_still_overlap_better() -> None:
    shapes = np.random.default_rng(1).uniform(0.02, 0.5, (500, 2))
    means = [cluster(shapes, k, tries=3).mean_overlap for k in (1, 3, 5, 9)]
    assert means == sorted(means)


def test_the_distance_does_not_favour_large_boxes() -> None:
    """By Euclid's distance the two small shapes, which differ by a factor of two, would share a centre."""
    shapes = np.array([[0.01, 0.01], [0.02, 0.02], [0.50, 0.50], [0.53, 0.53]] * 50)
    found = cluster(shapes, 3).shapes
    assert any(np.allclose(c, [0.01, 0.01]) for c in found)
    assert any(np.allclose(c, [0.02, 0.02]) for c in found)


def test_overlaps_of_shapes() -> None:
    np.testing.assert_allclose(
        overlaps(np.array([[2.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 2.0]])), [[0.5, 0.5, 1 / 3]]
    )


@pytest.mark.parametrize(
    ("shapes", "words"),
    [([[1, 1], [1, 1]], "2 different shapes"), ([[1, 0], [1, 1]], "positive"), ([[np.nan, 1], [1, 1]], "positive")],
)
def test_boxes_that_no_anchors_can_be_had_of(shapes: list[list[float]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        cluster(np.array(shapes), 2)

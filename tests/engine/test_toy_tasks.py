"""A cell of each task: small files, their dataset and packer, a tiny network, predictions and scores.

`clip_classification` has its own in test_bench.py; the others are here, all in one run of `bench`.
"""

from __future__ import annotations

import numpy as np
import pytest

import vidsuite_core as vs
from vidsuite_core.results.store import Attempt

NAMES = {"crossing": 12, "growing": 4, "passing": 39}


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_runs_from_files_to_scores(toy_tasks_ran: tuple[dict[str, Attempt], str], name: str) -> None:
    attempts, printed = toy_tasks_ran
    record, arrays = attempts[name].record, attempts[name].predictions()
    assert record.status == "ok", record.reason
    assert f"tiny_{name}" in printed
    assert len(arrays["sample_id"]) == NAMES[name]
    task = vs.load().tasks[record.cell.task].open(record.classes)
    task.check(arrays)
    first = task.score(arrays)[task.first_score]
    assert first == record.scores[task.first_score].value
    assert first > {"crossing": 0.9, "growing": 0.6, "passing": 0.9}[name]


def test_padded_moments_do_not_count(toy_tasks_ran: tuple[dict[str, Attempt], str]) -> None:
    arrays = toy_tasks_ran[0]["growing"].predictions()
    counts = dict(zip(arrays["sample_id"].tolist(), arrays["counts"].tolist(), strict=True))
    assert counts["r9"] == [True, True, True, False]  # three hours
    assert counts["r10"][:3] == [True, True, True]


def test_boxes_are_in_pixels_of_the_frame_as_it_was(toy_tasks_ran: tuple[dict[str, Attempt], str]) -> None:
    """The network saw 40 x 24 pixels of 80 x 48."""
    arrays = toy_tasks_ran[0]["passing"].predictions()
    assert np.bincount(np.diff(arrays["true_offset"])).tolist() == [
        3,
        len(arrays["sample_id"]) - 3,
    ]
    assert (arrays["offset"] == arrays["true_offset"]).all()
    assert np.abs(arrays["box"] - arrays["true_box"]).max() <= 2
    assert (arrays["size"] == (80, 48)).all()

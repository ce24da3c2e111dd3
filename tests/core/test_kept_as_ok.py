"""What is kept as ok holds: its predictions are opened, checked and scored before, as readers will do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import clip_arrays
from planned_runs import Run, good

from vidsuite_core.results.store import PREDICTIONS, write_predictions
from vidsuite_core.runner.executor import Job


def spoiled(**arrays: np.ndarray) -> Callable[[Job], dict[str, Any]]:
    """A cell whose stored arrays are not what it says that they are."""

    def answer(job: Job) -> dict[str, Any]:
        told = good(job)
        write_predictions(job.workspace.path / PREDICTIONS, {**clip_arrays(job.cell.fold), **arrays})
        return told

    return answer


def unwritten(job: Job) -> dict[str, Any]:
    told = good(job)
    (job.workspace.path / PREDICTIONS).unlink()
    return told


def boasting(job: Job) -> dict[str, Any]:
    told = good(job)
    told["scores"]["macro_f1"]["value"] += 0.01
    return told


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda job: {"status": "ok"}, "predictions.npz cannot be read"),
        (unwritten, "predictions.npz cannot be read"),
        (boasting, "score macro_f1 is recorded as"),
        (spoiled(prob=np.zeros((18, 2), "V2")), "predictions' 'prob' is |V2 (18, 2)"),  # as bfloat16 is stored
        (spoiled(prob=np.full((18, 2), 0.7)), "predictions' probabilities are not finite numbers"),
        (spoiled(target=np.full(18, 7)), "predictions have a target outside the 2 classes"),
        (spoiled(sample_id=np.array(["same"] * 18)), "predictions name a sample twice"),
        (
            lambda job: {**good(job), "score_id": "0" * 64},
            "what it handed back says what its run does not tell",
        ),
        (
            lambda job: {**good(job), "files": {}, "code": {}},
            "what its run does not tell: code",
        ),
    ],
)
def test_an_attempt_is_ok_only_if_its_stored_predictions_hold(
    tmp_path: Path, answer: Callable[[Job], dict[str, Any]], reason: str
) -> None:
    run = Run(tmp_path, answer=lambda job: answer(job) if job.cell.fold == "1" else good(job)).go()
    assert [outcome.ok for outcome in run.outcomes] == [True, False, True]
    attempt = run.outcomes[1].attempt
    assert attempt is not None
    assert attempt.record.status == "failed"
    assert reason in attempt.record.reason
    assert str(tmp_path) not in attempt.record.reason
    assert attempt.record.hardware == {"cores": 2}

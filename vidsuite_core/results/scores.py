"""What a record holds of scores, computed from stored predictions alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vidsuite_core.tasks.base import Task, select_variant, variants


def scored(task: Task, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """`scores`, `variants` and `details` of a record, computed from stored predictions alone."""
    main = select_variant(arrays)
    return {
        "scores": _score_rows(task, main),
        "variants": {name: _score_rows(task, select_variant(arrays, name)) for name in variants(arrays)},
        "details": task.details(main),
    }


def _score_rows(task: Task, arrays: Mapping[str, Any]) -> dict[str, Any]:
    rows = {}
    for name, value in task.score(arrays).items():
        info, finite = task.info(name), math.isfinite(value)
        rows[name] = {
            "value": value if finite else None,
            "unit": info.unit,
            "direction": info.direction,
            "n": len(arrays["sample_id"]),
            "reason": "" if finite else "not defined for these samples (one class only, or none that counts)",
        }
    return rows

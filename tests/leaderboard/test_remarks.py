"""What is to be known before a row's numbers are believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from board_pages import entry, score

from vidsuite_leaderboard.entries import Entry
from vidsuite_leaderboard.remarks import remarks

SOUND = entry("seizure_i3d/alpha", preset="paper")
MEAN_ALONE = replace(score(0.5), low=None, high=None)


def test_a_sound_row_needs_none() -> None:
    assert remarks(SOUND) == []


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"synthetic": True}, "Synthetic data"),
        ({"preset": "quick"}, "Preset quick"),
        ({"weights": ["i3d: random"]}, "Random initial weights"),
        ({"selection": "best_on_test"}, "Epoch chosen on the test fold"),
        ({"done": 5}, "Incomplete"),
        ({"done": 1, "expected": 1}, "One cell"),
        ({"scores": {"macro_f1": MEAN_ALONE}}, "No interval"),
        ({"status": "submitted", "by": "Ann"}, "Submitted by Ann"),
    ],
)
def test_what_flatters_or_weakens_a_row_is_said(changes: dict[str, Any], label: str) -> None:
    changed: Entry = replace(SOUND, **changes)
    assert [remark.label for remark in remarks(changed)] == [label]

"""What is to be known before a row's numbers are believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from board_pages import entry, score

from vidsuite_leaderboard.entries import Entry
from vidsuite_leaderboard.remarks import remarks

SOUND = replace(entry("seizure_i3d/alpha", preset="paper"), subjects=12, seeds=3, selection="inner")
MEAN_ALONE = replace(score(0.5), low=None, high=None)


def test_a_sound_row_needs_none() -> None:
    assert remarks(SOUND) == []


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"synthetic": True}, "Synthetic data"),
        ({"preset": "quick"}, "Preset quick"),
        ({"weights": ["i3d: random"]}, "Random initial weights"),
        ({"done": 5}, "Incomplete"),
        ({"seeds": 1}, "One seed"),
        ({"subjects": 9}, "9 subjects"),
        ({"subjects": 4, "unranked": "no ranks: 4 subjects scored, and a test needs 5"}, "No rank"),
        ({"above_floor": False}, "Not above the floor"),
        ({"used": [5, 11]}, "Hardly any classes"),
        ({"scores": {"macro_f1": MEAN_ALONE}}, "No interval"),
        ({"status": "submitted", "by": "Ann"}, "Submitted by Ann"),
    ],
)
def test_what_weakens_a_row_is_said(changes: dict[str, Any], label: str) -> None:
    changed: Entry = replace(SOUND, **changes)
    assert [remark.label for remark in remarks(changed)] == [label]


def test_what_is_sound_is_not_blamed() -> None:
    for changes in (
        {"above_floor": True},
        {"used": [6, 11]},
        {"subjects": 10},
        {"model": "core/prior", "used": [1, 11]},
    ):
        assert remarks(replace(SOUND, **changes)) == []

"""The results in the repository hold, tell nothing of the machine they were made on, and make a site."""

from __future__ import annotations

import re
from pathlib import Path

import vidsuite_core as vs
from vidsuite_leaderboard.changes import read_changes, removed
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.site import build

HOME = Path(__file__).parents[2] / "leaderboard"
PLACES = re.compile(rb"(?<![\w.])/(?:home|root|tmp|work|Users)/(?!usr/bin)")


def test_the_published_results_make_a_site_and_nothing_is_left_out(suite: vs.Suite, tmp_path: Path) -> None:
    built = build(
        suite,
        [Source(HOME / "published")],
        tmp_path / "site",
        progress=lambda *_: None,
        changes=HOME / "changes.yaml",
        pictures=HOME / "examples",
        workers=1,
    )
    assert built.rejected == 0
    assert built.entries >= 13
    assert len(list((tmp_path / "site" / "pictures").rglob("*.jpg"))) == len(list((HOME / "examples").rglob("*.jpg")))


def test_no_place_of_a_machine_is_told() -> None:
    texts = [path for path in (HOME / "published").rglob("*") if path.suffix in (".json", ".txt", ".py")]
    assert len(texts) > 100
    assert [path for path in texts if PLACES.search(path.read_bytes())] == []


def test_what_was_withdrawn_is_there_and_is_every_row_scored_before_its_batch_norm_had_settled() -> None:
    """Fast-SCNN is the one peer with mmseg's momentum of 0.01 among the published results."""
    withdrawn = removed(read_changes(HOME / "changes.yaml"))
    published = {path.parent.name: path.parents[1].name for path in (HOME / "published").rglob("result.json")}
    peers = {attempt for attempt, cell in published.items() if cell.startswith(("fast_scnn-", "bisenet-", "fcn18-"))}
    assert peers == set(withdrawn)
    assert all("batch norm" in reason for reason in withdrawn.values())

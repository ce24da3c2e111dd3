"""How an entry moved over versions of the code, and the change list."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from board_runs import SUITE, attempt, efficiency

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.verification import verified
from vidsuite_leaderboard.changes import Change, read_changes, removed
from vidsuite_leaderboard.history import Step, _moved, moments, newest_steps

MODEL = "seizure_i3d/i3d_lstm_fc"


def code(name: str) -> dict[str, dict[str, str]]:
    return {"core": {"version": "0.1.0", "sources": name, "commit": f"{name}1234567"}}


def at(root: Path, version: str, day: int, seeds: int = 3, **more: Any) -> list[Any]:
    found = [attempt(root, MODEL, seed=seed, day=day, code=code(version), **more) for seed in range(seeds)]
    return [verified(SUITE, one) for one in found]


def test_a_version_is_told_by_its_sources_and_dated_by_its_first_attempt(tmp_path):
    late = at(tmp_path, "new", 3)
    early = at(tmp_path, "old", 0)
    again = at(tmp_path, "old", 9)
    found = moments([*late, *again, *early])
    assert [(m.date[:10], m.commit, m.cells) for m in found] == [
        ("2026-09-01", "old1234567", 3),
        ("2026-09-04", "new1234567", 3),
    ]
    assert not any(m.score_step or m.latency_step for m in found)


def test_a_slower_version_is_a_step_on_its_device_alone(tmp_path):
    old = [*at(tmp_path, "old", 0, latency=0.02), *at(tmp_path, "old", 0, latency=0.02, device="cuda: H200")]
    new = [*at(tmp_path, "new", 1, latency=0.026), *at(tmp_path, "new", 1, latency=0.024, device="cuda: H200")]
    before, after = moments([*old, *new])
    assert (after.latency_step, after.score_step) == (True, False)
    assert after.latency == {"cpu: test": 0.026, "cuda: H200": 0.024}
    assert Step(SimpleNamespace(), before, after).what == ["latency on cpu: test 20 ms → 26 ms"]
    assert not moments(at(tmp_path / "even", "a", 0, latency=0.02) + at(tmp_path / "even", "b", 1, latency=0.024))[
        1
    ].latency_step


def test_a_better_version_is_a_step(tmp_path):
    before, after = moments(at(tmp_path, "old", 0, skill=0.6) + at(tmp_path, "new", 1, skill=1.0))
    assert after.score_step and after.score == 1.0
    assert Step(SimpleNamespace(), before, after).what == [f"score {before.score:.3f} → 1.000"]


def test_attempts_without_cost_or_score_do_not_step(tmp_path):
    lone = at(tmp_path, "old", 0, efficiency=None) + at(tmp_path, "new", 1, efficiency=efficiency(9.0))
    assert not moments(lone)[1].latency_step
    assert moments([]) == []


class TestMoved:
    """Cells are paired where both versions ran them."""

    @staticmethod
    def of(*values: float, first: int = 0) -> dict[tuple[str, int], float]:
        return {("0", first + seed): value for seed, value in enumerate(values)}

    def test_a_small_move_of_every_cell_is_seen_through_their_spread(self):
        assert _moved(self.of(0.2, 0.5, 0.9), self.of(0.21, 0.509, 0.911))

    def test_moves_to_and_fro_are_none(self):
        assert not _moved(self.of(0.2, 0.5, 0.9), self.of(0.25, 0.44, 0.91))

    def test_what_no_table_shows_is_none(self):
        assert not _moved(self.of(0.2, 0.5, 0.9), self.of(0.2001, 0.5001, 0.9001))

    def test_other_cells_are_compared_by_their_means(self):
        assert not _moved(self.of(0.2, 0.5, 0.9), self.of(0.3, 0.6, 0.95, first=5))
        assert _moved(self.of(0.2, 0.21, 0.22), self.of(0.9, 0.91, 0.92, first=5))

    def test_only_the_cells_of_both_count(self):
        assert not _moved(self.of(0.2, 0.5, 0.9), self.of(0.5, first=1))

    def test_one_cell_has_no_spread(self):
        assert _moved(self.of(0.5), self.of(0.51))

    def test_a_score_that_appears_or_goes_is_a_step(self):
        assert _moved({}, self.of(0.5)) and _moved(self.of(0.5), {}) and not _moved({}, {})


def test_the_newest_steps_of_a_board_read_those_details_alone():
    read = []
    step, still = (SimpleNamespace(date=d, score_step=s, latency_step=False) for d, s in (("2", True), ("1", False)))
    entries = [SimpleNamespace(slug=slug, steps=["2"] if slug in "ab" else []) for slug in "abc"]

    def detail(entry: Any) -> Any:
        read.append(entry.slug)
        return SimpleNamespace(history=[still, step])

    board: Any = SimpleNamespace(entries=entries, detail=detail)
    found = newest_steps(board, 1)
    assert [(s.entry.slug, s.before, s.after) for s in found] == [("b", still, step)]
    assert read == ["b"]
    assert len(newest_steps(board, 9)) == 2


class TestChangeList:
    GOOD = "changes:\n- {date: 2026-01-02, kind: removed, attempts: [a, b], reason: ' why ', by: me}\n"

    def test_the_newest_first(self, tmp_path):
        path = tmp_path / "changes.yaml"
        path.write_text(self.GOOD + "- {date: 2026-02-03, kind: corrected, attempts: [c], reason: other}\n")
        assert read_changes(path) == [
            Change("2026-02-03", "corrected", ["c"], "other"),
            Change("2026-01-02", "removed", ["a", "b"], "why", "me"),
        ]
        assert removed(read_changes(path)) == {"a": "why", "b": "why", "c": "other"}

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("changes", "others", "field 'changes' must be a list"),
            ("kind: removed, ", "", "must have the fields date, kind, attempts and reason"),
            ("by: me", "who: me", "must have the fields"),
            ("2026-01-02", "yesterday", "date must be YYYY-MM-DD"),
            ("removed", "hidden", "kind must be one of removed, corrected"),
            ("[a, b]", "a", "attempts must be a list of attempt ids"),
            ("[a, b]", "[1]", "attempts must be a list of attempt ids"),
            ("' why '", "''", "a reason must be given"),
            ("' why '", "", "a reason must be given"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, old, new, said):
        path = tmp_path / "changes.yaml"
        path.write_text(self.GOOD.replace(old, new, 1))
        with pytest.raises(VidsuiteError, match=said):
            read_changes(path)

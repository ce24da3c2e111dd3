"""From run folders to entries and files: what is left out and why, and what a second build does not do again."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from board_runs import attempt
from litter import strew

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.store import Attempt
from vidsuite_core.suite import Suite
from vidsuite_core.support.ids import digest
from vidsuite_leaderboard import cache as cache_module
from vidsuite_leaderboard import collect as collect_module
from vidsuite_leaderboard import site as site_module
from vidsuite_leaderboard.cache import Cache, opened
from vidsuite_leaderboard.collect import Collection, Source, collect
from vidsuite_leaderboard.site import Page, build

LSTM, POOL = "seizure_i3d/i3d_lstm_fc", "seizure_i3d/i3d_pool_logreg"


def gather(suite: Suite, root: Path, removed: dict[str, str] | None = None, cache: Path | None = None) -> Collection:
    with opened(cache) as known:
        return collect(suite, [Source(root)], removed or {}, known, lambda *_: None, workers=1)


def alter(one: Attempt, change: Callable[[dict[str, Any]], object]) -> None:
    path = one.path / "result.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Attempt, Attempt]:
    """A run folder with one good attempt of each of two models."""
    root = tmp_path / "runs"
    return root, attempt(root, LSTM), attempt(root, POOL)


class TestLeftOut:
    """One attempt is left out with its reason, in one line without this machine's folders, and the other goes on."""

    def check(self, suite: Suite, root: Path, said: str) -> str:
        found = gather(suite, root)
        assert [entry.model for entry in found.entries] == [POOL]
        (one,) = found.rejected
        assert said in one.reason
        assert str(root.parent) not in one.reason + one.path
        assert one.path.isprintable() and one.reason.isprintable() and len(one.reason) < 600
        assert not one.removed
        return one.path

    def test_scores_that_are_not_those_of_the_predictions(self, suite, two):
        root, one, _ = two
        alter(one, lambda record: record["scores"]["macro_f1"].update(value=0.999))
        path = self.check(suite, root, "score macro_f1 is recorded as 0.999, its predictions give 0.")
        assert path == "/".join(one.path.parts[-3:])

    def test_other_predictions(self, suite, two):
        root, one, other = two
        (one.path / "predictions.npz").write_bytes((other.path / "predictions.npz").read_bytes() + b"x")
        self.check(suite, root, "predictions.npz")

    def test_a_record_that_is_none(self, suite, two):
        root, one, _ = two
        (one.path / "result.json").write_text("{")
        self.check(suite, root, "result.json is not a readable result")

    def test_another_s_identity(self, suite, two):
        root, one, _ = two
        alter(one, lambda record: record["cell"].update(model=POOL))
        self.check(suite, root, "its cell id is not the hash of its names")

    def test_a_task_that_is_not_installed(self, suite, two):
        root, one, _ = two
        alter(one, lambda record: record["cell"].update(task="<b>\u202e\n" + "x" * 9000))
        self.check(suite, root, "cell.task: is longer than 200 characters")
        alter(one, lambda record: record["cell"].update(task="<b>\u202e\n"))
        self.check(suite, root, "its task '<b>\\u202e\\n' is not installed")

    @pytest.mark.parametrize("config", ["text", ["a"], 1])
    def test_a_record_whose_config_is_no_mapping(self, suite, two, config):
        root, one, _ = two
        alter(one, lambda record: record["score_key"].update(config=config))
        self.check(suite, root, "score_key: config must be a mapping")

    @pytest.mark.parametrize("level", [0, 1, 2])
    def test_links_are_not_followed(self, suite, two, tmp_path, level):
        root, one, _ = two
        place = [one.path, one.path.parent][min(level, 1)]
        if level == 2:  # a whole plugin's folder
            (tmp_path / "elsewhere").mkdir()
            attempt(tmp_path / "elsewhere", LSTM)
            for path in sorted(one.path.rglob("*"), reverse=True):
                path.unlink()
            one.path.rmdir()
            (root / "linked").symlink_to(tmp_path / "elsewhere" / "seizure_i3d")
        else:
            place.rename(tmp_path / "elsewhere")
            place.symlink_to(tmp_path / "elsewhere")
        self.check(suite, root, "is a symbolic link, which is not followed")

    def test_a_folder_whose_name_is_no_text(self, suite, two):
        root, one, _ = two
        one.path.rename(one.path.parent / os.fsdecode(b"\xff\x1b[31m"))
        self.check(suite, root, "lies in a folder that is not its record's")


def test_what_the_change_list_removed_is_told_apart(suite, two):
    root, one, _ = two
    found = gather(suite, root, {one.record.attempt: "wrong labels"})
    assert [(r.reason, r.removed) for r in found.rejected] == [("removed: wrong labels", True)]
    assert [entry.model for entry in found.entries] == [POOL]
    assert found.attempts == 2


@pytest.mark.parametrize(("load", "told"), [(2.5, False), (3.5, True), ("much", False)])
def test_a_speed_of_a_busy_machine_is_said(suite, tmp_path, load, told):
    attempt(tmp_path / "runs", LSTM, hardware={"cores": 2, "load": load})
    (entry,) = gather(suite, tmp_path / "runs").entries
    assert told == ("its speed was measured on a busy machine (a load of 3.5 on 2 cores)" in entry.notes)


def test_what_operating_systems_leave_in_a_run_folder_is_passed_over(suite, two):
    root = two[0]
    strew(root)
    found = gather(suite, root)
    assert not found.rejected
    assert found.attempts == 2


def test_no_run_folder_is_one_line(suite, tmp_path):
    with pytest.raises(VidsuiteError, match="there is no run folder at"):
        gather(suite, tmp_path / "none")


def test_steps_are_dates_of_the_history(suite, tmp_path):
    for day, skill in ((0, 0.5), (4, 1.0)):
        code = {"core": {"version": "1", "sources": str(day)}}
        for seed in range(3):
            attempt(tmp_path, LSTM, seed=seed, skill=skill, day=day, code=code)
    (entry,) = gather(suite, tmp_path).entries
    assert [date[:10] for date in entry.steps] == ["2026-09-05"]


class TestAgain:
    """A second build reads and scores only what is new."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Names of what is read, and of what is scored."""
        seen: list[str] = []
        group, score = collect_module._group_of, collect_module._entry_of
        monkeypatch.setattr(collect_module, "_group_of", lambda one: seen.append("read") or group(one))
        monkeypatch.setattr(collect_module, "_entry_of", lambda many: seen.append("scored") or score(many))
        return seen

    def test_nothing_is_read_anew(self, suite, two, tmp_path, read):
        root, one, _ = two
        (one.path / "result.json").write_text("{")  # what is faulty is remembered as well
        first = gather(suite, root, cache=tmp_path / "c.sqlite")
        assert read == ["read", "read", "scored"]
        second = gather(suite, root, cache=tmp_path / "c.sqlite")
        assert read == ["read", "read", "scored"]
        assert (second.entries, second.rejected, second.keys) == (first.entries, first.rejected, first.keys)
        for slug, (drawn_from, values) in first.draws.items():
            assert second.draws[slug][0] == drawn_from
            assert (second.draws[slug][1] == values).all()

    def test_a_new_attempt_touches_its_own_entry_alone(self, suite, two, tmp_path, read):
        root, _, _ = two
        gather(suite, root, cache=tmp_path / "c.sqlite")
        read.clear()
        attempt(root, LSTM, fold="1")
        found = gather(suite, root, cache=tmp_path / "c.sqlite")
        assert read == ["read", "scored"]
        assert sorted(entry.done for entry in found.entries) == [1, 2]

    def test_a_file_that_was_changed_in_place_is_noticed(self, suite, two, tmp_path, read):
        root, one, _ = two
        gather(suite, root, cache=tmp_path / "c.sqlite")
        read.clear()
        path = one.path / "predictions.npz"
        stat, data = path.stat(), bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # of the same size, and as old as before
        found = gather(suite, root, cache=tmp_path / "c.sqlite")
        assert read == ["read", "scored"]
        assert len(found.rejected) == 1

    def test_other_code_computes_anew(self, suite, two, tmp_path, read, monkeypatch):
        root, _, _ = two
        gather(suite, root, cache=tmp_path / "c.sqlite")
        monkeypatch.setattr(collect_module, "version_of", lambda suite: "other")
        gather(suite, root, cache=tmp_path / "c.sqlite")
        assert read == ["read", "read", "scored", "scored"] * 2


ROWS = {f"{number:05d}": ("x" * 2000, b"y" * 2000) for number in range(50)}


class TestCache:
    def filled(self, path: Path) -> Path:
        with opened(path) as known:
            known.put("entries", ROWS)
        return path

    def test_what_was_put_is_there_and_what_is_not_asked_for_goes(self, tmp_path):
        path = self.filled(tmp_path / "a" / "c.sqlite")
        with opened(path) as known:
            assert known.get("entries", ["00001", "none"]) == {"00001": ROWS["00001"]}
            known.used("entries", ["00002"])
        with opened(path) as known:
            assert set(known.get("entries", ROWS)) == {"00001", "00002"}

    def test_nothing_is_forgotten_when_a_build_fails(self, tmp_path):
        path = self.filled(tmp_path / "c.sqlite")
        with pytest.raises(KeyError), opened(path) as known:
            known.get("entries", ["00001"])
            raise KeyError
        with opened(path) as known:
            assert len(known.get("entries", ROWS)) == 50

    @pytest.mark.parametrize("damage", ["text", "middle", "cut"])
    def test_a_damaged_file_is_begun_anew(self, tmp_path, damage):
        path = self.filled(tmp_path / "c.sqlite")
        data = bytearray(path.read_bytes())
        if damage == "text":
            data[:] = b"no database, but longer than a header would be" * 10
        elif damage == "middle":
            data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
        else:
            del data[len(data) // 3 :]
        path.write_bytes(data)
        with opened(path) as known:
            assert known.get("entries", ROWS) == {}
            known.put("entries", ROWS)
        with opened(path) as known:
            assert len(known.get("entries", ROWS)) == 50

    def test_a_file_that_cannot_be_opened_is_one_line_and_stays(self, tmp_path):
        (tmp_path / "c.sqlite").mkdir()
        with pytest.raises(VidsuiteError, match="cannot open the cache"), opened(tmp_path / "c.sqlite"):
            pass

    def test_a_full_disk_is_one_line(self, tmp_path, monkeypatch):
        with (
            pytest.raises(VidsuiteError, match="database or disk is full; make room"),
            opened(tmp_path / "c.sqlite") as known,
        ):
            known._connection.execute("PRAGMA max_page_count = 10")
            known.put("entries", ROWS)

    def test_in_memory(self):
        known = Cache(None)
        known.put("pages", {"a": ("b", None)})
        assert known.get("pages", ["a"]) == {"a": ("b", None)}
        assert sqlite3.sqlite_version_info >= (3, 8) and cache_module._BATCH < 999


class TestSite:
    """Writing: only what changed, whole files, and nothing of others."""

    @pytest.fixture
    def tiny(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """Pages of a site that has nothing else: path -> content."""
        content = {"index.html": "home", "a/b/one.html": "one"}
        module = SimpleNamespace(
            pages=lambda site: [Page(path, digest(text), lambda text=text: text) for path, text in content.items()]
        )
        monkeypatch.setitem(sys.modules, "vidsuite_leaderboard.pages.tiny", module)
        monkeypatch.setattr(site_module, "PAGES", ("tiny",))
        return content

    @pytest.fixture
    def make(self, suite: Suite, tmp_path: Path) -> Callable[..., Any]:
        """Build the site at `tmp_path/site` of an empty run folder."""
        (tmp_path / "runs").mkdir()
        source = Source(tmp_path / "runs")
        return lambda **more: build(suite, [source], tmp_path / "site", progress=lambda *_: None, workers=1, **more)

    @staticmethod
    def files(out: Path) -> set[str]:
        return {path.relative_to(out).as_posix() for path in out.rglob("*")}

    def test_only_what_changed_is_written(self, make, tiny, tmp_path):
        assert (make().written, make().written) == (2, 0)
        tiny["index.html"] = "other"
        assert make().written == 1
        assert (tmp_path / "site" / "index.html").read_text() == "other"
        (tmp_path / "site" / "index.html").unlink()
        assert make().written == 1
        assert make(fresh=True).written == 2

    def test_stale_pages_and_their_folders_are_removed_and_others_files_stay(self, make, tiny, tmp_path):
        make()
        (tmp_path / "site" / "CNAME").write_text("mine")
        del tiny["a/b/one.html"]
        make()
        assert self.files(tmp_path / "site") == {"site.json", "index.html", "CNAME"}

    @pytest.mark.parametrize("mark", [None, "[]", '{"files": 1}', "{"])
    def test_a_folder_with_something_else_is_refused(self, make, tiny, tmp_path, mark):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "thesis.txt").write_text("mine")
        if mark is not None:
            (tmp_path / "site" / "site.json").write_text(mark)
        with pytest.raises(UsageError, match="is not empty and no site of vidsuite"):
            make()
        assert (tmp_path / "site" / "thesis.txt").read_text() == "mine"

    def test_a_file_in_its_place_is_refused(self, make, tiny, tmp_path):
        (tmp_path / "site").write_text("mine")
        with pytest.raises(UsageError, match="no site of vidsuite"):
            make()

    def test_a_mark_that_leads_out_removes_nothing(self, make, tiny, tmp_path):
        make()
        (tmp_path / "precious").write_text("mine")
        (tmp_path / "site" / "site.json").write_text('{"files": {"../precious": ""}}')
        with pytest.raises(VidsuiteError, match="leads out"):
            make()
        assert (tmp_path / "precious").read_text() == "mine"

    def test_two_pages_of_one_path_are_a_fault(self, make, tiny, monkeypatch):
        monkeypatch.setattr(site_module, "PAGES", ("tiny", "tiny"))
        with pytest.raises(VidsuiteError, match="two pages would be written to index"):
            make()

    def test_a_full_disk_is_one_line_and_the_next_build_goes_on(self, make, tiny, tmp_path, monkeypatch):
        make()
        tiny.update({f"{number}.html": "x" for number in range(5)}, **{"index.html": "new"})
        write, room = Path.write_bytes, [3]

        def full(path: Path, data: bytes) -> int:
            room[0] -= 1
            if room[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(VidsuiteError, match=r"cannot write .*\.html: No space left on device"):
            make()
        monkeypatch.setattr(Path, "write_bytes", write)
        assert not [name for name in self.files(tmp_path / "site") if name.endswith(".tmp")]
        tiny["index.html"] = "home"  # as before the disk was full, while the file is the new one
        make()
        assert (tmp_path / "site" / "index.html").read_text() == "home"
        assert self.files(tmp_path / "site") == {"site.json", "a", "a/b", *tiny}

    def test_a_first_build_that_ended_half_way_is_gone_on_with(self, make, tiny, tmp_path, monkeypatch):
        def page(site: Any) -> list[Page]:
            def stop() -> str:
                raise KeyboardInterrupt

            return [Page("first.html", "1", lambda: "first"), Page("second.html", "2", stop)]

        with monkeypatch.context() as broken:
            broken.setitem(sys.modules, "vidsuite_leaderboard.pages.tiny", SimpleNamespace(pages=page))
            with pytest.raises(KeyboardInterrupt):
                make()
        assert (tmp_path / "site" / "first.html").is_file()
        make()
        assert self.files(tmp_path / "site") == {"site.json", "a", "a/b", *tiny}

    def test_other_templates_write_pages_anew(self, make, tiny, monkeypatch):
        make()
        monkeypatch.setattr(site_module, "_looks", lambda: "other")
        assert make().written == 2

    def test_removed_attempts_are_no_failure(self, suite, tiny, tmp_path):
        one = attempt(tmp_path / "runs", LSTM)
        changes = tmp_path / "changes.yaml"
        listed = {"date": "2026-01-02", "kind": "removed", "attempts": [one.record.attempt], "reason": "wrong"}
        changes.write_text("changes:\n- " + json.dumps(listed).replace('"2026-01-02"', "2026-01-02"))
        source = Source(tmp_path / "runs")
        built = build(suite, [source], tmp_path / "s", progress=lambda *_: None, workers=1, changes=changes)
        assert replace(built, out=Path()) == site_module.Built(Path(), 1, 0, 0, 2, 2)

"""The run folder: attempts appear whole or not at all, are taken over from the dead, and strangers' harm nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import begin, clip_arrays, keep, make_cell, make_record

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results import store
from vidsuite_core.results.claims import OWNER, WORK
from vidsuite_core.results.store import LOG, PREDICTIONS, RESULT, Attempt, Store, Unreadable
from vidsuite_core.support.files import write_predictions

CELL = make_cell()


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def attempts(runs: Store) -> list[Attempt]:
    return runs.attempts(CELL.plugin, CELL.cell_id)


class TestCommit:
    def test_an_attempt_comes_back_whole(self, runs: Store) -> None:
        arrays = clip_arrays()
        kept = keep(runs, CELL, arrays)
        (found,) = attempts(runs)
        assert (found.path, found.record) == (kept.path, kept.record)
        assert found.faulty_files() == []
        assert set(found.record.files) == {PREDICTIONS, "config.py", LOG}
        assert all((found.predictions()[name] == value).all() for name, value in arrays.items())
        assert sorted(path.name for path in found.path.iterdir()) == sorted([RESULT, *found.record.files])

    def test_nothing_is_to_be_seen_before(self, runs: Store) -> None:
        workspace = begin(runs, CELL)
        (workspace.path / RESULT).write_text(make_record(CELL, workspace.attempt).model_dump_json())
        assert attempts(runs) == list(runs.everything()) == []

    def test_checkpoints_are_not_kept(self, runs: Store) -> None:
        workspace = begin(runs, CELL)
        workspace.work.mkdir(exist_ok=True)
        (workspace.work / "epoch_1.pth").write_bytes(b"weights")
        kept = workspace.commit(make_record(CELL, workspace.attempt, status="failed"))
        assert not (kept.path / WORK).exists()
        assert not (kept.path / OWNER).exists()

    @pytest.mark.parametrize("status", ["interrupted", "timeout"])
    def test_checkpoints_of_one_that_was_stopped_are_left_to_the_next(self, runs: Store, status: str) -> None:
        workspace = begin(runs, CELL)
        workspace.work.mkdir(exist_ok=True)
        (workspace.work / "epoch_1.pth").write_bytes(b"weights")
        kept = workspace.commit(make_record(CELL, workspace.attempt, status=status))
        assert not (kept.path / WORK).exists()
        assert not runs.claimed(CELL.plugin, CELL.cell_id)
        following = runs.begin(CELL.plugin, CELL.cell_id)
        assert (following.work / "epoch_1.pth").read_bytes() == b"weights"
        following.commit(make_record(CELL, following.attempt, status="failed"))
        assert [path.name for path in kept.path.parent.iterdir() if path.name.startswith(".")] == []

    def test_one_that_was_stopped_before_its_first_checkpoint_leaves_nothing(self, runs: Store) -> None:
        workspace = begin(runs, CELL)
        workspace.work.mkdir(exist_ok=True)
        kept = workspace.commit(make_record(CELL, workspace.attempt, status="interrupted"))
        assert list(kept.path.parent.iterdir()) == [kept.path]

    def test_earlier_attempts_stay_as_they_were_to_the_byte(self, runs: Store) -> None:
        first = keep(runs, CELL, clip_arrays(), status="failed")
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.path.iterdir()}
        second = keep(runs, CELL, clip_arrays(skill=1))
        assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in first.path.iterdir()} == before
        assert [attempt.path for attempt in attempts(runs)] == [first.path, second.path]

    def test_the_record_is_on_the_disk_before_it_can_be_seen(
        self, runs: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced, fsync, rename = [], os.fsync, Path.rename

        def note(handle: int) -> None:
            synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
            fsync(handle)

        def renamed(path: Path, target: Path) -> Path:
            synced.append("RENAMED")
            return rename(path, target)

        workspace = begin(runs, CELL)
        write_predictions(workspace.path / PREDICTIONS, clip_arrays())
        monkeypatch.setattr(os, "fsync", note)
        monkeypatch.setattr(Path, "rename", renamed)
        workspace.commit(make_record(CELL, workspace.attempt))
        before = synced[: synced.index("RENAMED")]
        assert {RESULT, PREDICTIONS, LOG, workspace.path.name} <= set(before)
        assert synced[-1] == CELL.cell_id

    def test_two_threads_that_commit_the_same_cell_both_keep_their_attempt(self, runs: Store) -> None:
        barrier, kept = threading.Barrier(8), []

        def work(number: int) -> None:
            barrier.wait()
            kept.append(keep(runs, CELL, clip_arrays(seed=number)).path)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(attempt.path for attempt in attempts(runs)) == sorted(kept)
        assert len(set(kept)) == 8

    def test_names_that_are_no_single_path_part_are_refused(self, runs: Store) -> None:
        for name in ("..", ".", "", "a/b", "../x", "/etc", ".hidden", "a\0b", "x" * 300, "a\nb"):
            for plugin, cell_id in ((name, "cell"), ("plugin", name)):
                with pytest.raises(VidsuiteError, match="cannot name a folder"):
                    runs.begin(plugin, cell_id)
        assert not runs.root.exists()


class TestFullDisk:
    @pytest.mark.parametrize("at", ["write_synced", "sync"])
    def test_no_space_while_committing_leaves_earlier_attempts_intact(
        self, runs: Store, monkeypatch: pytest.MonkeyPatch, at: str
    ) -> None:
        first = keep(runs, CELL, clip_arrays())
        workspace = begin(runs, CELL)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(store, at, full)
            workspace.commit(make_record(CELL, workspace.attempt))
        workspace.discard()
        assert [attempt.path for attempt in attempts(runs)] == [first.path]
        assert attempts(runs)[0].faulty_files() == []
        assert list(first.path.parent.iterdir()) == [first.path]
        assert keep(runs, CELL, clip_arrays()).faulty_files() == []

    def test_a_real_limit_on_file_size(self, runs: Store) -> None:
        first = keep(runs, CELL, clip_arrays())
        code = (
            "import resource, signal, sys; sys.path.insert(0, sys.argv[2])\n"
            "from pathlib import Path; from helpers import *\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "store = Store(Path(sys.argv[1])); workspace = begin(store, make_cell())\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
            "try: workspace.commit(make_record(make_cell(), workspace.attempt, warnings=['x' * 5000]))\n"
            "except OSError as error: print(error.strerror); workspace.discard()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(runs.root), str(Path(__file__).parents[1])], capture_output=True, text=True
        )
        assert (done.stdout, done.returncode) == ("File too large\n", 0), done.stderr
        assert list(first.path.parent.iterdir()) == [first.path]
        assert attempts(runs)[0].faulty_files() == []

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small disk is not permitted here")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    def test_a_real_full_disk(self, small_disk: Path) -> None:
        runs = Store(small_disk)
        first = keep(runs, CELL, clip_arrays())
        kept = 1
        with pytest.raises(OSError, match="No space"):
            while kept < 1000:
                workspace = begin(runs, CELL)
                try:
                    workspace.commit(make_record(CELL, workspace.attempt, status="failed", warnings=["x" * 20_000]))
                except OSError:
                    workspace.discard()
                    raise
                kept += 1
        assert 1 < kept < 20
        assert len(attempts(runs)) == kept
        assert all(attempt.faulty_files() == [] for attempt in attempts(runs))
        shutil.rmtree(attempts(runs)[1].path)
        assert keep(runs, CELL, clip_arrays()).record.status == "ok"
        assert first.faulty_files() == []


class TestStrangers:
    """A run folder that came in an archive or from a shared disk."""

    def test_linked_folders_are_named_and_not_followed(self, runs: Store, tmp_path: Path) -> None:
        kept = keep(runs, CELL, clip_arrays())
        outside = tmp_path / "outside"
        shutil.copytree(kept.path.parent.parent, outside)
        links = [runs.root / "linked", kept.path.parent.with_name("linked"), kept.path.with_name("linked")]
        for link, target in zip(links, (outside, outside / CELL.cell_id, kept.path), strict=True):
            link.symlink_to(target)
        rows = list(runs.everything())
        assert [row.path for row in rows if isinstance(row, Attempt)] == [kept.path]
        unreadable = [row for row in rows if isinstance(row, Unreadable)]
        assert sorted(row.path for row in unreadable) == sorted(links)
        assert {row.reason for row in unreadable} == {"is a symbolic link, which is not followed"}

    @pytest.mark.parametrize("level", ["attempt", "cell", "plugin"])
    def test_a_record_that_lies_in_anothers_folder_is_no_attempt(self, runs: Store, level: str) -> None:
        path = keep(runs, CELL, clip_arrays()).path
        moved = {"attempt": path, "cell": path.parent, "plugin": path.parent.parent}[level]
        moved.rename(moved.with_name("elsewhere"))
        (row,) = runs.everything()
        assert isinstance(row, Unreadable)
        assert "lies in a folder that is not its record's" in row.reason

    def test_junk_is_named_and_the_rest_is_read(self, runs: Store) -> None:
        kept = keep(runs, CELL, clip_arrays())
        (kept.path.with_name("junk")).mkdir()
        (kept.path.with_name("half")).mkdir()
        (kept.path.with_name("half") / RESULT).write_text('{"schema_version": 1')
        (runs.root / "notes.txt").write_text("a file, no plugin")
        rows = list(runs.everything())
        assert [row.path for row in rows if isinstance(row, Attempt)] == [kept.path]
        assert {row.path.name for row in rows if isinstance(row, Unreadable)} == {"junk", "half"}

    def test_a_missing_run_folder_is_an_error_that_says_what_makes_one(self, runs: Store) -> None:
        with pytest.raises(VidsuiteError, match=r"there is no run folder at .*; 'vidsuite bench' makes one"):
            list(runs.everything())

    def test_changed_missing_linked_and_unrecorded_files_are_faults(self, runs: Store, tmp_path: Path) -> None:
        kept = keep(runs, CELL, clip_arrays())
        (kept.path / LOG).write_text("another story")
        (kept.path / "config.py").unlink()
        (kept.path / PREDICTIONS).rename(tmp_path / "p.npz")
        (kept.path / PREDICTIONS).symlink_to(tmp_path / "p.npz")
        assert attempts(runs)[0].faulty_files() == [
            f"{PREDICTIONS} is missing",
            "config.py is missing",
            f"{LOG} differs from its recorded sha256",
        ]

    def test_good_predictions_need_a_recorded_hash(self, runs: Store) -> None:
        kept = keep(runs, CELL, clip_arrays())
        data = json.loads((kept.path / RESULT).read_text())
        (kept.path / RESULT).write_text(json.dumps({**data, "files": {"../../escape": "0", "/etc/passwd": "0"}}))
        assert attempts(runs)[0].faulty_files() == [
            f"{PREDICTIONS} has no recorded sha256",
            "../../escape is missing",
            "/etc/passwd is missing",
        ]


def test_a_log_does_not_tell_where_things_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cached"))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    cell = make_cell()
    workspace = begin(Store(Path("runs")), cell)
    places = [workspace.path.resolve(), tmp_path / "cached" / "w.pt", tmp_path / "me" / "video.mp4"]
    (workspace.path / LOG).write_text("\n".join(map(str, places)))
    told = [str(place) for place in places]
    record = make_record(
        cell, workspace.attempt, status="failed", reason=f"no space at {places[0]}", warnings=told, log_end=told
    )
    kept = workspace.commit(record)
    assert (kept.path / LOG).read_text() == "<attempt>\n<cache>/w.pt\n~/video.mp4"
    assert kept.record.warnings == kept.record.log_end == ["<attempt>", "<cache>/w.pt", "~/video.mp4"]
    assert kept.record.reason == "no space at <attempt>"
    assert str(tmp_path) not in (kept.path / RESULT).read_text()

"""`vidsuite merge`: whole attempts that hold are copied, and nothing that is there is changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import clip_arrays, core_suite, keep, make_cell
from test_cli_results import Command, vidsuite  # noqa: F401 (a fixture)
from test_tampered import TAMPERED

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results import merging
from vidsuite_core.results.merging import Taken, merge
from vidsuite_core.results.store import LOG, PREDICTIONS, RESULT, Attempt, Store
from vidsuite_core.results.verification import verified

FIRST, SECOND = make_cell(fold="0"), make_cell(fold="1")


def tree(root: Path) -> dict[str, str]:
    """Each file below a folder with its hash."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def reasons(results: list[Taken]) -> list[str]:
    return [reason for one in results for _, reason in one.refused]


@pytest.fixture
def one(tmp_path: Path) -> Store:
    store = Store(tmp_path / "one")
    keep(store, FIRST, clip_arrays("0"))
    return store


@pytest.fixture
def two(tmp_path: Path) -> Store:
    store = Store(tmp_path / "two")
    keep(store, SECOND, clip_arrays("1"))
    keep(store, SECOND, status="failed", reason="no luck")
    return store


def test_two_machines_runs_become_one_to_the_byte(one: Store, two: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = merge(core_suite(), [one.root, two.root], out)
    assert tree(out) == {**tree(one.root), **tree(two.root)}
    assert [(len(r.taken), len(r.present), r.refused) for r in results] == [(1, 0, []), (2, 0, [])]
    attempts = list(Store(out).everything())
    assert [a.record.status for a in attempts if isinstance(a, Attempt)] == ["ok", "ok", "failed"]
    assert all(verified(core_suite(), a).faults == () for a in attempts if isinstance(a, Attempt))


def test_what_is_there_stays_and_is_said(one: Store, two: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge(core_suite(), [one.root], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    results = merge(core_suite(), [one.root, two.root], out)
    assert [(len(r.taken), len(r.present)) for r in results] == [(0, 1), (2, 0)]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items() if path.is_file())


def altered_copy(store: Store, root: Path) -> None:
    """The same attempts with another story: sound, and not the same."""
    shutil.copytree(store.root, root)
    for path in root.rglob(RESULT):
        path.write_text(json.dumps({**json.loads(path.read_text()), "reason": "another story"}, indent=1))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_contents_under_one_id_none_is_taken_whichever_comes_first(
    one: Store, two: Store, tmp_path: Path, order: tuple[int, int]
) -> None:
    altered_copy(one, tmp_path / "other")
    sources = [one.root, tmp_path / "other"]
    results = merge(core_suite(), [*(sources[place] for place in order), two.root], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(two.root)
    assert reasons(results) == ["the sources have several contents under its id, of which one at most is true"] * 2


def test_another_content_than_what_is_there_is_refused_and_changes_nothing(one: Store, tmp_path: Path) -> None:
    altered_copy(one, tmp_path / "other")
    before = tree(one.root)
    (refused,) = reasons(merge(core_suite(), [tmp_path / "other"], one.root))
    assert "has its id and another content" in refused
    assert tree(one.root) == before


def test_an_id_that_is_there_below_another_cell_is_refused(one: Store, tmp_path: Path) -> None:
    attempt = next(a for a in one.everything() if isinstance(a, Attempt))
    out = Store(tmp_path / "out")
    workspace = out.begin(SECOND.plugin, SECOND.cell_id)
    workspace.path.rename(workspace.path.with_name(attempt.path.name))
    assert "is an attempt at another cell" in reasons(merge(core_suite(), [one.root], out.root))[0]


@pytest.mark.parametrize("kind", TAMPERED)
def test_what_does_not_hold_is_refused_with_verifys_reason(one: Store, two: Store, tmp_path: Path, kind: str) -> None:
    tamper, reason = TAMPERED[kind]
    tamper(next(a for a in one.everything() if isinstance(a, Attempt)))
    results = merge(core_suite(), [one.root, two.root], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(two.root)
    assert len(reasons(results)) == 1
    assert reason in reasons(results)[0] or "cannot be read" in reasons(results)[0]
    assert not list((tmp_path / "out").rglob(".tmp-*"))


def replace(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        (path.parent.parent / "elsewhere").write_bytes(content)
        path.symlink_to(path.parent.parent / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "half":
        path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", [RESULT, PREDICTIONS, LOG])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "half", "gone"])
def test_hostile_files_are_refused_and_the_rest_is_taken(
    one: Store, two: Store, tmp_path: Path, name: str, kind: str
) -> None:
    replace(next(one.root.rglob(name)), kind)
    results = merge(core_suite(), [one.root, two.root], tmp_path / "out")
    assert len(reasons(results)) == 1
    assert tree(tmp_path / "out") == tree(two.root)


def test_a_record_cannot_name_files_that_no_attempt_has(one: Store, tmp_path: Path) -> None:
    path = next(one.root.rglob(RESULT))
    (path.parent / "owner.json").write_text("{}")
    record = json.loads(path.read_text())
    record["files"]["owner.json"] = hashlib.sha256(b"{}").hexdigest()
    path.write_text(json.dumps(record))
    results = merge(core_suite(), [one.root], tmp_path / "out")
    assert "names a file 'owner.json', which no attempt has" in reasons(results)[0]


def test_a_linked_cell_or_plugin_is_not_followed(one: Store, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "paper").symlink_to(one.root / "paper")
    results = merge(core_suite(), [tmp_path / "source"], tmp_path / "out")
    assert "symbolic link" in reasons(results)[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("places", [("runs", "runs"), ("runs", "runs/below"), ("runs/below", "runs")])
def test_folders_within_one_another_are_wrong_use(tmp_path: Path, places: tuple[str, str]) -> None:
    (tmp_path / "runs" / "below").mkdir(parents=True)
    with pytest.raises(UsageError, match="lie in one another"):
        merge(core_suite(), [tmp_path / places[0]], tmp_path / places[1])


def test_a_source_that_is_not_there_stops_it_before_anything_is_copied(one: Store, tmp_path: Path) -> None:
    with pytest.raises(VidsuiteError, match="there is no run folder"):
        merge(core_suite(), [one.root, tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_kept_on_request_may_be_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "one")
    attempt = keep(store, FIRST, clip_arrays("0"))
    (attempt.path / "weights.pth").write_bytes(b"weights")
    record = json.loads((attempt.path / RESULT).read_text())
    record["files"]["weights.pth"] = hashlib.sha256(b"weights").hexdigest()
    (attempt.path / RESULT).write_text(json.dumps(record))
    merge(core_suite(), [store.root], tmp_path / "with")
    assert tree(tmp_path / "with") == tree(store.root)
    (attempt.path / "weights.pth").unlink()
    assert reasons(merge(core_suite(), [store.root], tmp_path / "without")) == []
    assert reasons(merge(core_suite(), [store.root], tmp_path / "with")) == []  # the same attempt still


def test_a_full_disk_leaves_no_half_attempt(one: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = merging.sync_open

    def full(descriptor: int, path: Path) -> None:
        if path.name == PREDICTIONS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor, path)

    monkeypatch.setattr(merging, "sync_open", full)
    with pytest.raises(OSError, match="No space left on device"):
        merge(core_suite(), [one.root], tmp_path / "out")
    assert tree(tmp_path / "out") == {}
    monkeypatch.undo()
    merge(core_suite(), [one.root], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(one.root)


def test_a_merge_that_is_killed_leaves_whole_attempts_and_the_next_one_ends_it(
    one: Store, two: Store, tmp_path: Path
) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from helpers import core_suite\n"
        "from vidsuite_core.results import merging\n"
        "check = merging.verified\n"
        "def killed(suite, attempt):\n"
        "    if attempt.record.cell.fold == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return check(suite, attempt)\n"
        "merging.verified = killed\n"
        "merging.merge(core_suite(), [Path(p) for p in sys.argv[2:]], Path(sys.argv[1]))\n"
    )
    tests = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", code, str(out), str(one.root), str(two.root)], env=env)
    assert done.returncode == -signal.SIGKILL
    assert list(out.rglob(".tmp-*"))
    assert [a.record.cell.fold for a in Store(out).everything() if isinstance(a, Attempt)] == ["0"]
    merge(core_suite(), [one.root, two.root], out)
    assert tree(out) == {**tree(one.root), **tree(two.root)}


def test_cells_under_way_are_counted_and_not_taken(one: Store, tmp_path: Path) -> None:
    one.begin(SECOND.plugin, SECOND.cell_id)
    (result,) = merge(core_suite(), [one.root], tmp_path / "out")
    assert (len(result.taken), result.under_way) == (1, 1)


def test_the_command_says_what_it_took(one: Store, two: Store, tmp_path: Path, vidsuite: Command) -> None:  # noqa: F811
    out = tmp_path / "out"
    done = vidsuite("merge", one.root, two.root, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{one.root}: 1 attempts at 1 cells taken, 0 were there",
        f"{two.root}: 2 attempts at 1 cells taken, 0 were there",
    ]
    assert vidsuite("verify", out).code == 0
    next(two.root.rglob(LOG)).write_text("another log")
    done = vidsuite("merge", two.root, "--out", tmp_path / "third")
    assert done.code == 1
    assert "log.txt differs from its recorded sha256" in done.err
    told = json.loads(vidsuite("merge", one.root, "--out", out, "--json").out)
    assert (told[0]["taken"], told[0]["present"]) == ([], 1)
    assert vidsuite("merge", one.root).code == 2

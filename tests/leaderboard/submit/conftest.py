"""Results of one model to hand in, and a pack of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from called import vidsuite
from submissions import BY, attempt, failed
from withheld_runs import HOLDER, Places, run_all

import vidsuite_core as vs
from vidsuite_core.results.store import Attempt, Store
from vidsuite_leaderboard.submit.packs import pack


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model on all five folds of the benchmark, the last of which failed."""
    root = tmp_path_factory.mktemp("submit") / "runs"
    for fold in "0123":
        attempt(root, fold, command=["/opt/own/vidsuite bench"])
    failed(root, "4", "the disk was full")
    return root


@pytest.fixture
def runs(results: Path, tmp_path: Path) -> Path:
    """A copy of `results` to be changed."""
    return Path(shutil.copytree(results, tmp_path / "runs"))


@pytest.fixture(scope="module")
def whole(suite: vs.Suite, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of `results`."""
    out = tmp_path_factory.mktemp("whole") / "pack.zip"
    pack(suite, [results], out, BY)
    return out


@pytest.fixture(scope="session")
def places(toy_withheld_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """See `withheld_runs.run_all`."""
    return run_all(tmp_path_factory.mktemp("withheld"), toy_withheld_path)


@pytest.fixture
def toys(toy_withheld_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys are installed, and the data are a user's, without test labels."""
    monkeypatch.syspath_prepend(str(toy_withheld_path))
    monkeypatch.setenv("VIDSUITE_CACHE", str(places.user))
    monkeypatch.setattr("vidsuite_leaderboard.collect._suite", vs.load)  # not the one that earlier tests had


@pytest.fixture(scope="session")
def scored(places: Places, toy_withheld_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attempt]:
    """By benchmark, what the labels' holder made of the packed runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_withheld_path))
        patch.setenv("VIDSUITE_CACHE", str(places.user))
        home = tmp_path_factory.mktemp("scored")
        packed = vidsuite("submit", "pack", str(places.home / "runs"), "--out", str(home / "p.zip"), "--by", BY)
        assert packed.returncode == 0, packed.stderr
        patch.setenv("VIDSUITE_CACHE", str(places.holder))
        words = ["submit", "score", str(home / "p.zip"), "--by", HOLDER, "--into", str(home / "into")]
        done = vidsuite(*words)
        assert done.returncode == 0, done.stdout
        assert "accepted" in done.stdout
        assert vidsuite(*words).returncode == 0  # again: what is there stays
    (folder,) = (home / "into").iterdir()
    found = [one for one in Store(folder).everything() if isinstance(one, Attempt)]
    return {one.record.cell.benchmark.partition("/")[2]: one for one in found}

"""Results of one model to hand in, and a pack of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from submissions import BY, attempt, failed

import vidsuite_core as vs
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

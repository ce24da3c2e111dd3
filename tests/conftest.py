"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))  # 'explore' looks for new examples

os.environ.setdefault("VIDSUITE_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: threads that spin would stop each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start background jobs: Ctrl-C could not be tested
    signal.signal(signal.SIGINT, signal.default_int_handler)
TOY = Path(__file__).parent / "toy_plugin"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that are marked `gpu` where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no GPU"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights, which lies beside the project; skips where it is absent."""
    folder = Path(os.environ.get("VIDSUITE_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real data or weights at {folder} (set VIDSUITE_SHARED)")
    return folder


def with_path(folder: Path) -> str:
    """PYTHONPATH with `folder` before what it holds already."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def installed(site: Path, source: Path, plugin: str) -> Path:
    """A folder for PYTHONPATH in which a plugin's package lies as if it were installed, entry point and all."""
    shutil.copytree(source, site / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{source.name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {source.name.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vidsuite]\n{plugin} = {source.name}\n")
    return site


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy plugin, `installed`."""
    return installed(tmp_path_factory.mktemp("site"), TOY / "vidsuite_toy", "toy")


@pytest.fixture(scope="session")
def toy_tasks_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy plugin of the other three tasks, `installed`."""
    return installed(tmp_path_factory.mktemp("site"), TOY.with_name("toy_tasks") / "vidsuite_toy_tasks", "toy_tasks")


@pytest.fixture(scope="session")
def toy_withheld_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All toy plugins, `installed`: those of four tasks, and two with and without their test labels."""
    site = tmp_path_factory.mktemp("site")
    installed(site, TOY / "vidsuite_toy", "toy")
    installed(site, TOY.with_name("toy_tasks") / "vidsuite_toy_tasks", "toy_tasks")
    for plugin in ("toy_withheld", "toy_open"):
        installed(site, TOY.with_name("toy_withheld") / f"vidsuite_{plugin}", plugin)
    return site


@pytest.fixture
def toy_env(toy_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which the toy plugin is installed and caches are the test's own; in force here, too."""
    monkeypatch.setenv("PYTHONPATH", with_path(toy_path))
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(toy_path))
    return dict(os.environ)

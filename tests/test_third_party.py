"""A third party's wheel: built, installed into a fresh environment, found by its entry point, and benched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

TOY = Path(__file__).parent / "toy_plugin"
ROOT = TOY.parents[1]


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_wheel_of_a_third_party_is_found_and_benched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(TOY, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip = ["-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    run(sys.executable, *pip, "wheel", *offline, "--wheel-dir", tmp_path, source)
    wheel = next(tmp_path.glob("vidsuite_toy-1.0-*.whl"))

    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # The heavy libraries and vidsuite itself come from this environment; the plugin only from its wheel.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env |= {"VIDSUITE_CACHE": str(tmp_path / "cache"), "VIDSUITE_OFFLINE": "1"}
    run(python, *pip, "install", "--no-deps", "--no-index", wheel, env=env)

    command = [python, "-P", "-m", "vidsuite_core.cli"]
    assert "toy/direction" in run(*command, "list", "benchmarks", env=env, cwd=tmp_path).stdout
    printed = run(*command, "bench", "--plugin", "toy", "--out", tmp_path / "runs", env=env, cwd=tmp_path).stdout
    assert "2 of 2 cells have scores" in printed
    listed = run(*command, "list", "plugins", env=env, cwd=tmp_path).stdout
    assert "toy" in listed
    assert "vidsuite-toy 1.0" in listed

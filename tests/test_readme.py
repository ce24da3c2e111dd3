"""Each command line that a README prints is run, or at least parsed where running it takes a user's own data."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = (ROOT / "README.md", ROOT / "leaderboard" / "README.md", *sorted((ROOT / "plugins").glob("*/README.md")))


def commands() -> list[str]:
    """Every line in the READMEs that calls vidsuite, without its comment."""
    lines = [line for readme in READMES for line in readme.read_text(encoding="utf-8").splitlines()]
    found = [match[1] for line in lines if (match := re.match(r"(?:    )?(vidsuite [^#]+)", line))]
    return sorted({line.strip() for line in found})


def set_up(mark: str) -> str:
    """The set-up command behind a mark in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.+?)\n```", text, re.DOTALL)
    assert found, f"README.md has no command marked {mark}"
    return found[1]


USERS_OWN = (
    "data import", "vidsuite crops", "--dataset", "seizure_search", "vidsuite stream", "leaderboard serve",
    "leaderboard pictures", "vidsuite submit", "vidsuite reproduce", "leaderboard/published", "ward", "scored",
    "vidsuite runs",
)  # fmt: skip
"""What takes a user's own data, or hours: parsed, not run. Tests of their own run these on small data."""


@pytest.fixture(scope="module")
def place(toy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with results below `runs`, and the environment in which they were made."""
    home = tmp_path_factory.mktemp("readme")
    path = os.pathsep.join(filter(None, [str(toy_path), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "VIDSUITE_CACHE": str(home / "cache"), "PYTHONPATH": path}
    assert call(["bench", "--plugin", "toy"], env, home).returncode == 0
    return home, env


def call(words: list[str], env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme(command: str, place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    words = shlex.split(command)[1:]
    if any(mark in command for mark in USERS_OWN) or (words[0] == "bench" and "--dry-run" not in words):
        words = [word for word in words if word.startswith("-") or not re.fullmatch(r"[A-Z]+|.*\.csv", word)]
        words.append("--help")  # parses what stands before it
    done = call(words, env, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_a_plugin_of_yours_comes_from_nothing_to_a_row(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## A plugin of yours") : text.index("## Architecture")]
    files = re.findall(r"```\w+\n# (\S+)\n(.*?)```", section, re.DOTALL)
    assert [name for name, _ in files if name == "pyproject.toml"], "the page has no pyproject.toml"
    for name, content in files:
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(content, encoding="utf-8")
    project = tomllib.loads(dict(files)["pyproject.toml"])["project"]
    info = tmp_path / "site" / f"{project['name']}-{project['version']}.dist-info"  # as 'pip install -e .' makes it
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    ((group, entries),) = project["entry-points"].items()
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()))
    env = {**os.environ, "VIDSUITE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path / "site")}
    (shell,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = shell.strip().splitlines()
    assert lines[0] == "pip install -e ."
    printed = []
    for line in lines[1:]:
        words = [str(found) for word in shlex.split(line)[1:] for found in (list(tmp_path.glob(word)) or [word])]
        done = call(words, env, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    assert "2 of 2 cells have scores" in printed[1]
    assert "not trained here" in printed[2]
    assert "2 folds" in printed[3]
    assert {"motion", "motion_trained"} <= set(printed[4].split())


def test_the_python_of_the_readme() -> None:
    code = re.search(
        r"```python\n(import vidsuite_core.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert code
    names: dict[str, object] = {}
    exec(code[1], names)
    assert type(names["network"]).__name__ == "InceptionI3d"


def test_the_set_up_commands_are_there() -> None:
    assert "vidsuite bench --plugin seizure_i3d" in set_up("bench")
    assert "pytest" in set_up("tests")


@pytest.mark.slow
def test_the_bench_command_from_a_fresh_clone(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("VIDSUITE", "PYTHONPATH"))}
    env |= {"VIDSUITE_CACHE": str(tmp_path / "cache"), "PIP_QUIET": "1"}
    done = subprocess.run(set_up("bench"), shell=True, cwd=tmp_path / "clone", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "15 of 15 cells have scores" in done.stdout

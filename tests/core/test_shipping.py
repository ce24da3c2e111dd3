"""The code as one folder: what a machine without us needs, the plugins of others among it, with the same identity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from vidsuite_core.runner.planner import code_of
from vidsuite_core.runner.shipping import staged
from vidsuite_core.suite import load

ASK = """
import json, sys
from vidsuite_core.runner.planner import code_of
from vidsuite_core.suite import load
import vidsuite_core
suite = load()
found = {plugin.name: code_of(suite, plugin)["sources"] for plugin in suite.manager.plugins}
print(json.dumps([vidsuite_core.__file__, found]))
"""


def test_what_is_shipped_is_found_as_if_installed_and_is_the_same_code(toy_env: dict[str, str]) -> None:
    suite = load()
    plugins = [plugin for plugin in suite.manager.plugins if plugin.name != "leaderboard"]
    here = {plugin.name: code_of(suite, plugin)["sources"] for plugin in plugins}
    assert {"core", "seizure_i3d", "toy"} <= set(here)
    folder = staged()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    libraries = next(path for path in sys.path if (Path(path) / "torch").is_dir())
    path = os.pathsep.join([str(folder), libraries])
    asked = subprocess.run(
        [sys.executable, "-S", "-P", "-c", ASK], env={**env, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    place, there = json.loads(asked.stdout)
    assert Path(place).is_relative_to(folder)
    there.pop("leaderboard", None)  # its published results stay at home, and no score depends on it
    assert there == here

"""What another Python says of itself, for plans of cells that are to run in it.

Started there as `python -m vidsuite_core.runner.about PLUGINS`, with the plugins' names and further modules as JSON;
prints one line: the worker protocol that it speaks, its software, and the code of the core and of these plugins.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from vidsuite_core.plugins import CORE
from vidsuite_core.runner.messages import PROTOCOL
from vidsuite_core.runner.planner import code_of
from vidsuite_core.specs import resolve
from vidsuite_core.support import code, environment


def told(wanted: dict[str, list[str]]) -> dict[str, Any]:
    """What is told; a plugin that is not here is left out of `code`.

    Args:
        wanted: plugins, with the modules that their models' configs import.
    """
    suite = resolve("vidsuite_core.suite:load")()  # above the runner, and so not imported
    plugins = [plugin for plugin in suite.manager.plugins if plugin.name in wanted and plugin.name != CORE]
    found = {plugin.name: code_of(suite, plugin, wanted[plugin.name]) for plugin in plugins}
    return {"protocol": PROTOCOL, "software": environment.software(), "code": {CORE: code.of_core(), **found}}


if __name__ == "__main__":
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what plugins print is no answer
    answer.write(json.dumps(told(json.loads(sys.argv[1]))) + "\n")
    answer.flush()

"""What a cell's process loads of the core is counted as its code, but for what was looked at and decides no score."""

from __future__ import annotations

import subprocess
import sys

from vidsuite_core.support import code

LOOKED_AT = {
    "vidsuite_core/__init__.py", "vidsuite_core/benchmark.py", "vidsuite_core/builtin.py", "vidsuite_core/errors.py",
    "vidsuite_core/hookspecs.py", "vidsuite_core/plugins.py", "vidsuite_core/specs.py", "vidsuite_core/suite.py",
    "vidsuite_core/cli/__init__.py",
    "vidsuite_core/engine/cost.py",  # measures time, after predictions are stored
    "vidsuite_core/engine/costed.py",  # what is measured
    "vidsuite_core/engine/speed.py",  # how long, and what it is held against
    "vidsuite_core/engine/probes.py",  # what the device can do at best
    "vidsuite_core/engine/remeasure.py",  # the same in further processes
    "vidsuite_core/engine/order.py",
    "vidsuite_core/results/__init__.py", "vidsuite_core/results/claims.py", "vidsuite_core/results/store.py",
    "vidsuite_core/runner/__init__.py", "vidsuite_core/runner/attendance.py", "vidsuite_core/runner/cellprocess.py",
    "vidsuite_core/runner/log.py", "vidsuite_core/runner/messages.py", "vidsuite_core/runner/processes.py",
    "vidsuite_core/runner/worker.py",
    "vidsuite_core/support/__init__.py", "vidsuite_core/support/code.py", "vidsuite_core/support/environment.py",
    "vidsuite_core/support/files.py", "vidsuite_core/support/gpus.py", "vidsuite_core/support/ids.py",
    "vidsuite_core/support/litter.py",  # which files of a folder are data: the dataset's fingerprint says so
    "vidsuite_core/support/paths.py",
    "vidsuite_core/support/surroundings.py", "vidsuite_core/support/text.py",
    "vidsuite_core/weights/__init__.py", "vidsuite_core/weights/download.py",
}  # fmt: skip
"""Modules that cells load and no score depends on. One that is new here: see `support.code._SCORELESS`."""


def test_what_a_cell_loads_of_the_core_is_its_code() -> None:
    program = (
        "import sys, vidsuite_core.engine.cell, vidsuite_core.runner.worker\n"
        "from pathlib import Path; root = Path(sys.modules['vidsuite_core'].__file__).parent.parent\n"
        "files = [m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'vidsuite_core' and m.__file__]\n"
        "print(*[Path(f).relative_to(root).as_posix() for f in files], sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "vidsuite_core/engine/cell.py" in loaded
    scoreless = {name for name in loaded if not code.scores_depend_on(name.partition("/")[2])}
    assert scoreless - LOOKED_AT == set()

"""Slurm's commands as far as submitit calls them: jobs are processes of this machine, a folder holds what is known.

Written to a folder for the PATH by `install`. `sbatch` keeps the script that it was given, and starts a process for
each member of its array; `scancel` sends signals; `sacct` tells states; `srun` is what a job's step becomes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

TOOLS = ("sbatch", "srun", "scancel", "sacct")


def install(folder: Path) -> Path:
    folder.mkdir()
    for tool in TOOLS:
        path = folder / tool
        path.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                        f"import fake_slurm\nfake_slurm.{tool}()\n")  # fmt: skip
        path.chmod(0o755)
    return folder


def _state() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch() -> None:
    script = Path(sys.argv[1]).read_text()
    if "--partition=closed" in script:
        print("sbatch: error: invalid partition specified: closed", file=sys.stderr)
        sys.exit(1)
    number = len(list(_state().glob("*.sh"))) + 100
    (_state() / f"{number}.sh").write_text(script)
    found = re.search(r"--array=0-(\d+)%(\d+)", script)
    for member in range(int(found[1]) + 1) if found else [None]:
        own = dict(os.environ, SLURM_JOB_ID=str(number), SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1")
        name = str(number)
        if member is not None:
            own |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(member)}
            name = f"{number}_{member}"
        process = subprocess.Popen(
            ["bash", str(_state() / f"{number}.sh")], env=own, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=(_state() / f"{name}.err").open("w"),
        )  # fmt: skip
        (_state() / f"{name}.json").write_text(json.dumps({"pid": process.pid}))
    print(f"Submitted batch job {number}")


def srun() -> None:
    """The step, with its output where the options say, in place of this process."""
    words = sys.argv[1:]
    while words and words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            path = words.pop(0).replace("%A", os.environ.get("SLURM_ARRAY_JOB_ID", ""))
            path = path.replace("%a", os.environ.get("SLURM_ARRAY_TASK_ID", ""))
            path = path.replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(target, 1 if option == "--output" else 2)
    name = os.environ["SLURM_JOB_ID"]
    if member := os.environ.get("SLURM_ARRAY_TASK_ID"):
        name += f"_{member}"
    (_state() / f"{name}.step").write_text(str(os.getpid()))
    os.execvp(words[0], words)


def scancel() -> None:
    name = sys.argv[-1]
    sent = next((word.partition("=")[2] for word in sys.argv if word.startswith("--signal=")), "")
    with (_state() / "cancelled").open("a") as file:
        file.write(" ".join(sys.argv[1:]) + "\n")
    step = _state() / f"{name}.step"
    if sent and step.exists():
        with suppress(ProcessLookupError):
            os.kill(int(step.read_text()), getattr(signal, f"SIG{sent}"))


def sacct() -> None:
    print("JobID|State|NodeList")
    for path in _state().glob("*.json"):
        name = path.stem
        forced = _state() / f"{name}.state"
        pid = json.loads(path.read_text())["pid"]
        alive = Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()
        state = forced.read_text() if forced.exists() else "RUNNING" if alive else "FAILED"
        print(f"{name}|{state}|node1")

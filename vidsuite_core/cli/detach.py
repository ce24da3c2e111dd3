"""`bench --detach`: the same command in the background, which outlives this terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click

_WATCHED = 15.0
"""Seconds within which wrong use shows itself, unless the run has begun before."""


def detached(out: Path) -> int:
    """Start the command of this process again in the background, without `--detach`; says how to look at it.

    What it prints goes to a file. Exit code 1 or 2 says that it ended at once, and why.
    """
    from vidsuite_core.runner.control import FOLDER, OUTPUT, RUN_ID, STATE, new_id, prepare

    run = new_id()
    folder = out.absolute() / FOLDER / run
    prepare(folder)
    words = [word for word in sys.argv[1:] if word != "--detach"]
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vidsuite_core.cli", *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env=dict(os.environ, **{RUN_ID: run}),
        )  # fmt: skip
    deadline = time.monotonic() + _WATCHED
    while (code := process.poll()) is None and time.monotonic() < deadline and not (folder / STATE).exists():
        time.sleep(0.05)
    if code:
        click.echo((folder / OUTPUT).read_text(errors="replace").rstrip(), err=True)
        return code
    click.echo(f"run {run} goes on in the background; what it prints is in {folder / OUTPUT}")
    click.echo(f"look at it: vidsuite runs show {run} --out {out}")
    click.echo(f"end it:     vidsuite runs stop {run} --out {out}")
    return 0

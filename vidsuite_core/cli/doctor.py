"""`vidsuite doctor`: is this installation whole, and what can this machine do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.suite import load
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from vidsuite_core.runner.devices import Slot

TRIAL = "vidsuite_core.runner.trial"
"""What `python -m` runs to try the checks."""
SECONDS = 600
"""How long all that a process tries may take together."""


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is well, and what was found or is to be done."""

    check: str
    well: bool
    text: str


@click.command()
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), help="Run folder to try.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(out: Path, as_json: bool) -> int:
    """Try, in a process of its own, all that a cell does: import, train, load, decode, write; and check the rest.

    Exit code 1 says that something is wrong.
    """
    findings = []
    for finding in _findings(out):
        findings.append(finding)
        if not as_json:
            text = printable(f"{'ok  ' if finding.well else 'BAD '} {finding.check:<10} {finding.text}")
            click.echo(text)
    if as_json:
        answer([asdict(finding) for finding in findings])
    return 0 if all(finding.well for finding in findings) else 1


def _findings(out: Path) -> Iterator[Finding]:
    yield from (_guarded(check) for check in (_plugins, _user, _devices, _network, _recordings))
    from vidsuite_core.runner.devices import cpu_slot, parse_devices
    from vidsuite_core.runner.trial import CHECKS

    try:
        slots = parse_devices("auto")
    except Exception:  # told above
        slots = [cpu_slot()]
    yield from _tried(slots[0], out, list(CHECKS))
    for slot in slots[1:]:
        for finding in _tried(slot, out, ["training"]):
            yield Finding(f"{finding.check} ({slot.device})", finding.well, finding.text)


def _tried(slot: Slot, out: Path, checks: Sequence[str]) -> Iterator[Finding]:
    """What came of the checks in a process such as cells are run in; what ends it is the check's that was under way."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": slot.visible, "PYTHONIOENCODING": "utf-8:backslashreplace"}
    command = [sys.executable, "-P", "-m", TRIAL, slot.precision, str(out.absolute()), *checks]
    under_way = checks[0]
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stderr=errors, env=environment, **pipes) as process,
    ):
        assert process.stdout is not None
        timer = _kill_after(process)
        for line in process.stdout:
            told = json.loads(line)
            under_way = told.get("begins", "")
            if not under_way:
                yield Finding(**told)
        code = process.wait()
        timer.cancel()
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip().splitlines()
    if under_way or code:
        end = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        said = f": {words[-1]}" if words else ""
        yield Finding(under_way or "process", False, f"the process that tried it ended {end}{said}")


def _kill_after(process: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    return timer


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:
        return Finding(check.__name__.strip("_"), False, f"{type(error).__name__}: {error}")


def _plugins() -> Finding:
    suite = load()
    if suite.faults:
        return Finding("plugins", False, "; ".join(f"{fault.plugin} {fault.reason}" for fault in suite.faults))
    return Finding("plugins", True, ", ".join(plugin.name for plugin in suite.manager.plugins))


def _user() -> Finding:
    import getpass

    from vidsuite_core.support.paths import cache_home, user_home

    return Finding("user", True, f"{getpass.getuser()}; home {user_home()}; cache {cache_home()}")


def _devices() -> Finding:
    from vidsuite_core.runner.devices import parse_devices

    slots = parse_devices("auto")
    return Finding("devices", True, ", ".join(f"{s.device} ({s.kind}; auto precision {s.precision})" for s in slots))


def _recordings() -> Finding:
    """Frames of data that were brought in, against their hashes; looked at where other software decodes now."""
    from vidsuite_core.cli.data import open_dataset
    from vidsuite_core.media import decoder_version

    suite, changes = load(), []
    for handle in suite.datasets.values():
        dataset = open_dataset(suite, handle, None, "quick")
        if dataset.is_ready():
            changes += [f"{handle.key}: {line}" for line in dataset.decoding_changes()]
    if changes:
        more = f"; and {len(changes) - 1} recordings more" if len(changes) > 1 else ""
        return Finding("recordings", False, changes[0] + more)
    return Finding("recordings", True, f"what was brought in decodes to the same pixels here ({decoder_version()})")


def _network() -> Finding:
    from vidsuite_core.support.paths import offline

    return Finding("network", True, "offline (VIDSUITE_OFFLINE)" if offline() else "used only to fetch weights")

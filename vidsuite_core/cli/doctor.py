"""`vidsuite doctor`: is this installation whole, and what can this machine do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click

from vidsuite_core.suite import load


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is well, and what was found or is to be done."""

    check: str
    well: bool
    text: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Check plugins, libraries, devices, folders and weights; exit code 1 says that something is wrong."""
    findings = [_guarded(check) for check in (_plugins, _openmmlab, _decoder, _devices, _backends, _space, _network)]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.well else 'BAD '} {finding.check:<10} {finding.text}")
    return 0 if all(finding.well for finding in findings) else 1


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


def _openmmlab() -> Finding:
    from vidsuite_core import openmmlab
    from vidsuite_core.support.environment import software

    openmmlab.prepare()
    import mmcv.ops  # noqa: F401

    found = software()
    names = ("torch", "mmengine", "mmcv-lite", "mmcv", "mmdet", "otxmmaction2", "openvino")
    return Finding("libraries", True, ", ".join(f"{name} {found[name]}" for name in names if name in found))


def _decoder() -> Finding:
    import av

    return Finding("decoding", True, f"PyAV {av.__version__}")


def _devices() -> Finding:
    from vidsuite_core.runner.devices import parse_devices

    slots = parse_devices("auto")
    return Finding("devices", True, ", ".join(f"{s.device} ({s.kind}; auto precision {s.precision})" for s in slots))


def _backends() -> Finding:
    from vidsuite_core.inference.registry import here
    from vidsuite_core.runner.devices import parse_devices

    on_gpu = any(slot.on_gpu for slot in parse_devices("auto"))
    return Finding("back ends", True, "; ".join(f"{name}: {text}" for name, text in here(on_gpu).items()))


def _space() -> Finding:
    from vidsuite_core.support.paths import cache_home

    home = cache_home()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    writable = os.access(home, os.W_OK)
    text = f"{home}: {free / 2**30:.1f} GiB free" + ("" if writable else ", not writable")
    return Finding("cache", writable and free > 2**30, text)


def _network() -> Finding:
    from vidsuite_core.support.paths import offline

    return Finding("network", True, "offline (VIDSUITE_OFFLINE)" if offline() else "used only to fetch weights")

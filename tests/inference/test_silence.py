"""OpenVINO's telemetry never runs: no socket is opened by import, conversion or inference."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
import torch
from networks import Small

from vidsuite_core.inference import accelerate
from vidsuite_core.inference.openvino_backend import OpenVino

# An audit hook sees every socket that Python makes, whoever makes it; /proc those of libraries beneath.
WATCH = """
import os, sys, threading
opened = []
sys.addaudithook(lambda name, arguments: opened.append(name) if name.startswith("socket.") else None)
{work}
places = ["/proc/self/fd/" + number for number in os.listdir("/proc/self/fd")]
links = [os.readlink(place) for place in places if os.path.islink(place)]
print(opened, [link for link in links if link.startswith("socket:")], sys.modules.get("openvino_telemetry", "absent"))
"""
INFERENCE = """
import torch
from torch import nn
from vidsuite_core.inference import accelerate
torch.set_num_threads(1)
network, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
fast = accelerate(network, x, backend="openvino", precision="fp32")
assert fast.path == "openvino-fp32"
fast(x)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def watched(work: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "VIDSUITE_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(work=work)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@linux
def test_no_socket_is_opened_by_import_conversion_or_inference() -> None:
    assert watched(INFERENCE) == "[] [] None"
    assert watched(INFERENCE) == "[] [] None"  # the second time, from the cache


@linux
def test_a_socket_would_be_seen() -> None:
    assert watched("import socket; kept = socket.socket()").startswith("['socket.__new__'] ['socket:[")


def test_where_somebody_imported_it_with_its_telemetry_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_telemetry", types.ModuleType("openvino_telemetry"))
    assert "imported before vidsuite" in OpenVino().missing("cpu")
    fast = accelerate(Small(), torch.randn(1, 3, 8, 8), precision="fp32")
    assert fast.backend in ("eager", "channels_last")
    assert any(trial.backend == "openvino" and "telemetry" in trial.reason for trial in fast.trials)


def test_where_it_is_not_installed_the_next_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr("vidsuite_core.inference.openvino_backend.find_spec", lambda name: None)
    fast = accelerate(Small(), torch.randn(1, 3, 8, 8), precision="fp32")
    assert fast.backend in ("eager", "channels_last")
    assert {trial.backend: trial.reason for trial in fast.trials}["openvino"].endswith("'pip install openvino'")

"""Subnormal numbers, which one part of a process must not change for the others."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vidsuite_core.engine.subnormals import flushed_subnormals, flushes

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush subnormals")


@pytest.mark.parametrize("before", [False, True])
def test_the_setting_is_put_back_even_after_an_error(before: bool) -> None:
    torch.set_flush_denormal(before)
    try:
        with pytest.raises(ValueError, match="in between"), flushed_subnormals():
            assert flushes()
            raise ValueError("in between")
        assert flushes() is before
    finally:
        torch.set_flush_denormal(False)


def test_a_new_process_does_not_flush() -> None:
    code = "from vidsuite_core.engine.subnormals import flushes; raise SystemExit(flushes())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

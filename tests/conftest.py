"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("VIDSUITE_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights, which lies beside the project; skips where it is absent."""
    folder = Path(os.environ.get("VIDSUITE_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real data or weights at {folder} (set VIDSUITE_SHARED)")
    return folder

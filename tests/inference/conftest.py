"""What tests of inference share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vidsuite_core.inference import choice


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    choice.forget()
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def seeded_and_on_one_thread() -> Iterator[None]:
    """The same random numbers whatever ran before; tiny layers wait for a second thread longer than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)

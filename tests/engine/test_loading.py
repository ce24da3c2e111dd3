"""Data loaders on machines with little shared memory, and those whose processes never hand over a batch."""

from __future__ import annotations

import pytest
import torch

from vidsuite_core.engine import loading
from vidsuite_core.support import surroundings

ASKED = {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 4, "batch_size": 8}


class Unsent(torch.utils.data.Dataset):
    """Samples that a process cannot hand over, as those that find no room in shared memory."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> object:
        return lambda: index


def test_with_little_shared_memory_no_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "shared_memory", lambda: 64 << 20)
    warnings: list[str] = []
    for _ in range(2):
        assert loading.fitted(ASKED, warnings) == {"num_workers": 0, "batch_size": 8}
    assert warnings == ["/dev/shm has 64 MiB free, so data were loaded without processes of their own"]
    torch.utils.data.DataLoader(Unsent(), **loading.fitted(ASKED, warnings))  # torch accepts what is left


@pytest.mark.parametrize("free", [8 << 30, None])
def test_with_enough_of_it_a_batch_may_take_its_time_and_no_longer(
    free: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "shared_memory", lambda: free)
    warnings: list[str] = []
    assert loading.fitted(ASKED, warnings) == {**ASKED, "timeout": loading.TIMEOUT}
    assert loading.fitted({**ASKED, "timeout": 9}, warnings)["timeout"] == 9
    assert loading.fitted({"num_workers": 0, "batch_size": 8}, warnings) == {"num_workers": 0, "batch_size": 8}
    assert warnings == []


def test_what_never_comes_is_an_error_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "shared_memory", lambda: None)
    monkeypatch.setattr(loading, "TIMEOUT", 2)
    loader = torch.utils.data.DataLoader(Unsent(), collate_fn=list, **loading.fitted({"num_workers": 1}, []))
    with pytest.raises(RuntimeError, match="DataLoader timed out after 2 seconds"):
        next(iter(loader))


def test_this_machines_shared_memory_is_told() -> None:
    found = surroundings.shared_memory()
    assert found is None or found > 0

"""Features of clips: computed once a recording, kept on the disk, and read as they are asked for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vidsuite_core.engine.data import FeatureDataset, ReadClip
from vidsuite_core.errors import UsageError
from vidsuite_core.samples import ClipSample, Recording
from vidsuite_core.support.cache import CacheWarning, feature_cache


class Sums:
    """Of each clip the sum of its pixels, `width` times, and which clips came together."""

    batch_size = 4
    path = "summed"

    def __init__(self, width: int = 3, name: str = "sums") -> None:
        self.width, self.name = width, name
        self.batches: list[list[int]] = []

    def key(self) -> dict[str, object]:
        return {"name": self.name, "width": self.width}

    def extract(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        self.batches.append([len(clip) for clip in clips])
        return [np.full((1, self.width), clip[..., 0].sum(), np.float32) for clip in clips]

    def to(self, device: str) -> Sums:
        return self

    def parameters(self) -> list[object]:
        return []


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def clips(recordings: int = 3, frames: int = 10, length: int = 4) -> list[ClipSample]:
    """Clips of `length` frames and what is left over, of recordings whose frames hold their number plus one."""
    samples = []
    for number in range(recordings):
        pixels = np.full((frames, 2, 2, 1), number + 1, np.uint8)
        recording = Recording(
            name=f"r{number}", subject="s", planes=(pixels,), frames=frames, fps=10, content=f"c{number}"
        )
        samples += [
            ClipSample(
                id=f"r{number}/{start}", footage=recording, label=0, start=start, stop=min(start + length, frames)
            )
            for start in range(0, frames, length)
        ]
    return samples


def prepared(samples: list[ClipSample], extractor: Sums, **more: object) -> tuple[FeatureDataset, int]:
    dataset = FeatureDataset(samples, [ReadClip(size=None)], extractor, **more)
    return dataset, dataset.prepare("cpu", lambda *_: None)


def values(dataset: FeatureDataset) -> list[float]:
    return [float(dataset[index]["inputs"][0, 0]) for index in range(len(dataset))]


EXPECTED = [4.0 * number * length for number in (1, 2, 3) for length in (4, 4, 2)]


def test_features_are_computed_once_and_an_entry_is_a_recording() -> None:
    first, count = prepared(clips(), Sums())
    assert count == 9
    assert values(first) == EXPECTED
    assert feature_cache().size()[0] == 3
    again, count = prepared(clips(), Sums())
    assert count == 0
    assert values(again) == EXPECTED
    assert again[4]["inputs"].shape == (1, 3)
    assert again[4]["data_samples"].sample_id == "r1/4"


def test_what_is_computed_together_is_of_one_length_and_of_all_recordings() -> None:
    """The order decides which clips share a batch, and so the last digits of what networks make of them."""
    extractor = Sums()
    prepared(clips(), extractor)
    assert extractor.batches == [[2, 2, 2, 4], [4, 4, 4, 4], [4]]


def test_another_part_of_the_recordings_uses_what_is_there() -> None:
    prepared(clips(2), Sums())
    extractor = Sums()
    dataset, count = prepared(clips(3), extractor)
    assert count == 3
    assert values(dataset) == EXPECTED


def test_other_features_are_computed_anew() -> None:
    prepared(clips(), Sums())
    assert prepared(clips(), Sums(name="other"))[1] == 9
    assert prepared(clips(length=5), Sums())[1] == 6


def test_items_are_read_from_the_disk_beyond_the_memory_that_is_given() -> None:
    """1,600 clips of 100 kB: 160 MB, of which none is held but 1 MB of packed ones."""
    samples = clips(40, 40, 1)
    prepared(samples, Sums(25_000))
    tracemalloc.start()
    dataset, count = prepared(samples, Sums(25_000), memory=10**6)
    seen = values(dataset)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 0
    assert seen == [4.0 * (number + 1) for number in range(40) for _ in range(40)]
    assert peak < 8e6
    assert dataset[3] is dataset[3]
    assert dataset[1000] is not dataset[1000]


def test_a_cache_that_takes_nothing_leaves_features_in_memory(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.warns(CacheWarning):
        dataset, count = prepared(clips(), Sums())
    assert count == 9
    assert values(dataset) == EXPECTED


def test_a_damaged_entry_is_computed_anew() -> None:
    prepared(clips(), Sums())
    for entry in feature_cache().root.rglob("*.npz"):
        data = bytearray(entry.read_bytes())
        data[len(data) // 3] ^= 1
        entry.write_bytes(data)
    dataset, count = prepared(clips(), Sums())
    assert count == 9
    assert values(dataset) == EXPECTED


def test_what_comes_before_must_tell_what_decides_it() -> None:
    with pytest.raises(UsageError, match="function before them needs a method key"):
        FeatureDataset(clips(), [ReadClip(), lambda results: results], Sums())
    with pytest.raises(RuntimeError, match=r"prepare\(\) was not called"):
        FeatureDataset(clips(), [ReadClip()], Sums())[0]

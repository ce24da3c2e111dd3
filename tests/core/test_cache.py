"""The cache of arrays: whole entries or none, whatever happens to the disk or to other processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support import cache
from vidsuite_core.support import cache as module
from vidsuite_core.support.cache import ArrayCache, CacheWarning, cache_key, computed_by, feature_cache, frame_cache
from vidsuite_core.support.paths import _host

KEYS = [cache_key(number=number) for number in range(12)]


def entry(number: int, count: int = 1000) -> dict[str, np.ndarray]:
    return {"clip": np.full((count, 3), number, np.int32), "file": np.array([number / 7])}


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path / "cache")
    arrays = {
        "clip": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1],
        "empty": np.zeros((0, 5), np.float32),
        "scalar": np.float64(3.5),
        "name": np.array(["é", "bed"]),
    }
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], arrays)
    found = cache.get(KEYS[0])
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    found["clip"][:] = 0  # the caller's own
    assert cache.get(KEYS[0])["clip"].any()


def test_what_is_put_can_be_mapped(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path / "cache")
    arrays = {
        "clip": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1],
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 5), np.float32),
        "name": np.array(["é", "bed"]),
    }
    assert cache.map(KEYS[0]) is None
    cache.put(KEYS[0], arrays)
    found = cache.map(KEYS[0])
    cache.clear()
    assert cache.map(KEYS[0]) is None
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    with pytest.raises(ValueError, match="read-only"):
        found["clip"][:] = 0


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8, 0.999])
def test_what_is_damaged_is_not_mapped(tmp_path: Path, place: float) -> None:
    cache = ArrayCache(tmp_path)
    cache.put(KEYS[0], entry(1))
    path = next(tmp_path.rglob("*.npz"))
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 255
    path.write_bytes(data)
    assert cache.map(KEYS[0]) is None
    assert not path.exists()


def test_get_or_compute_computes_once(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    calls = []
    for _ in range(2):
        found = cache.get_or_compute(KEYS[3], lambda: calls.append(1) or entry(3))
        assert np.array_equal(found["clip"], entry(3)["clip"])
    assert len(calls) == 1


def test_keys() -> None:
    assert cache_key(a=1, b=[2, None]) == cache_key(b=[2, None], a=1)
    assert cache_key(a=1) != cache_key(a=2) != cache_key(b=2)
    with pytest.raises(TypeError):
        cache_key(path=object())


@pytest.mark.parametrize("key", ["", "..", "../../x", "a/b", "A" * 64, "a" * 200])
def test_what_is_no_key(key: str, tmp_path: Path) -> None:
    with pytest.raises(VidsuiteError, match="no cache key"):
        ArrayCache(tmp_path).get(key)


@pytest.mark.parametrize("damage", ["cut", "byte", "empty", "text"])
def test_a_damaged_entry_is_dropped(damage: str, tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    cache.put(KEYS[0], entry(1))
    (path,) = tmp_path.rglob("*.npz")
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "cut": data[:-1],
            "byte": data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :],
            "empty": b"",
            "text": b"not an archive",
        }[damage]
    )
    assert cache.get(KEYS[0]) is None
    assert not path.exists()
    cache.put(KEYS[0], entry(1))
    assert cache.get(KEYS[0]) is not None


def test_no_byte_of_an_entry_changes_unnoticed(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    cache.put(KEYS[0], entry(1, 8))
    (path,) = tmp_path.rglob("*.npz")
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
        found = cache.get(KEYS[0])
        for name, array in entry(1, 8).items():
            assert found is None or np.array_equal(found[name], array), place


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        cache.put(KEYS[0], {"a": np.array([{}], dtype=object)})
    assert list(tmp_path.rglob("*.*")) == []
    cache.put(KEYS[0], entry(1))
    (path,) = tmp_path.rglob("*.npz")
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = module._comment(1)
        with archive.open("a.npy", "w") as member:
            np.lib.format.write_array(member, np.array([Bomb()], dtype=object), allow_pickle=True)
    assert cache.get(KEYS[0]) is None


class Bomb:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("it was unpickled",))


def test_a_full_disk_is_told_once_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_some(file, arrays) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = ArrayCache(tmp_path)
    monkeypatch.setattr(module, "_write", write_some)
    with pytest.warns(CacheWarning, match="No space left.*VIDSUITE_CACHE"):
        found = cache.get_or_compute(KEYS[0], lambda: entry(5))
    assert np.array_equal(found["clip"], entry(5)["clip"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEYS[1], entry(5))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def write_beyond_the_limit(root: Path) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    cache = ArrayCache(root)
    with pytest.warns(CacheWarning):
        cache.put(KEYS[0], entry(1, 100_000))
    cache.put(KEYS[1], entry(1, 10))
    assert cache.get(KEYS[1]) is not None
    assert cache.size()[0] == 1
    assert len([path for path in root.rglob("*") if path.is_file()]) == 1


@pytest.mark.skipif(os.name == "nt", reason="no limits of file sizes")
def test_a_disk_that_fills_while_an_entry_is_written(tmp_path: Path) -> None:
    run_all([multiprocessing.get_context("spawn").Process(target=write_beyond_the_limit, args=(tmp_path,))])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning):
        ArrayCache(tmp_path / "file" / "cache").put(KEYS[0], entry(1))


def test_the_entries_unused_for_longest_go_first(tmp_path: Path) -> None:
    one = entry(0)["clip"].nbytes + 1000
    cache = ArrayCache(tmp_path, max_bytes=5 * one)
    for number in range(5):
        cache.put(KEYS[number], entry(number))
        past = time.time() - 100 + number
        os.utime(cache._path(KEYS[number]), (past, past))
    assert cache.get(KEYS[0]) is not None  # used just now
    cache.put(KEYS[5], entry(5))
    assert [cache.get(key) is not None for key in KEYS[:6]] == [True, False, False, True, True, True]
    assert cache.size()[1] <= 5 * one


def test_what_other_processes_write_counts(tmp_path: Path) -> None:
    one = entry(0)["clip"].nbytes + 1000
    caches = [ArrayCache(tmp_path, max_bytes=6 * one) for _ in range(2)]
    for number, key in enumerate(KEYS):
        caches[number % 2].put(key, entry(number))
    assert 3 <= caches[0].size()[0] <= 6


def test_an_entry_beyond_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, max_bytes=100)
    cache.put(KEYS[0], entry(0))
    assert cache.size() == (0, 0)


def test_size_and_clear(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path / "cache")
    assert cache.size() == cache.clear() == (0, 0)
    for number in range(3):
        cache.put(KEYS[number], entry(number))
    count, size = cache.size()
    assert count == 3
    assert size > 3 * entry(0)["clip"].nbytes
    folder = cache._path(KEYS[0]).parent
    dead, ours = (folder / f".{KEYS[0]}.npz.{_host()}-{pid}-0123abcd.tmp" for pid in (2**22 + 1, os.getpid()))
    dead.touch()
    ours.touch()
    assert cache.clear() == (count, size)
    assert cache.size() == (0, 0)
    assert not dead.exists()
    assert ours.exists()
    cache.put(KEYS[0], entry(0))
    assert cache.size()[0] == 1


def put_and_get(root: Path, seed: int) -> None:
    cache = ArrayCache(root, max_bytes=8 * 13_000)
    dice = np.random.default_rng(seed)
    for number in dice.integers(0, len(KEYS), 60):
        found = cache.get_or_compute(KEYS[number], lambda number=number: entry(number))
        assert np.array_equal(found["clip"], entry(number)["clip"])
        if dice.random() < 0.05:
            cache.clear()


def test_many_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        run_all([context.Process(target=put_and_get, args=(tmp_path, seed)) for seed in range(4)])
    cache = ArrayCache(tmp_path)
    for number, key in enumerate(KEYS):
        found = cache.get(key)
        assert found is None or np.array_equal(found["clip"], entry(number)["clip"])
    assert list(tmp_path.rglob("*.tmp")) == []


def run_all(processes: list[multiprocessing.Process]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_the_two_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path))
    monkeypatch.delenv("VIDSUITE_CACHE_LIMIT", raising=False)
    assert (frame_cache().root, feature_cache().root) == (tmp_path / "frames", tmp_path / "features")
    assert frame_cache() is frame_cache()
    assert frame_cache().max_bytes == 20 * 10**9
    for text, size in (("1.5 MB", 1_500_000), ("2GiB", 2 * 2**30), ("700", 700), ("3k", 3000), ("0", 0)):
        monkeypatch.setenv("VIDSUITE_CACHE_LIMIT", text)
        assert frame_cache().max_bytes == size
    for text in ("much", "-1GB", "5 apples"):
        monkeypatch.setenv("VIDSUITE_CACHE_LIMIT", text)
        with pytest.raises(VidsuiteError, match="VIDSUITE_CACHE_LIMIT"):
            frame_cache()


def test_a_cache_goes_to_workers(tmp_path: Path) -> None:
    cache = pickle.loads(pickle.dumps(ArrayCache(tmp_path, 10**6)))
    cache.put(KEYS[0], entry(0))
    assert cache.get(KEYS[0]) is not None


def test_other_code_finds_nothing_of_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_identity", "")
    keys = [cache_key(a=1)]
    for identity in ("this code", "that code"):
        computed_by(identity)
        keys.append(cache_key(a=1))
    assert len(set(keys)) == 3
    computed_by("this code")
    assert cache_key(a=1) == keys[1]

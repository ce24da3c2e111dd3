"""Predictions from strangers: arrays and nothing else, of bounded size."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import clip_arrays

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support import files
from vidsuite_core.support.files import read_predictions, write_predictions


def test_arrays_come_back(tmp_path: Path) -> None:
    arrays = {**clip_arrays(), "prob@last": np.ones((3, 2), "f2"), "empty": np.zeros((0, 4), "u1")}
    write_predictions(tmp_path / "p.npz", arrays)
    found = read_predictions(tmp_path / "p.npz")
    assert found.keys() == arrays.keys()
    assert all(found[name].dtype == value.dtype and (found[name] == value).all() for name, value in arrays.items())


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    np.savez(tmp_path / "p.npz", allow_pickle=True, prob=np.array([Bomb()], dtype=object))
    with zipfile.ZipFile(tmp_path / "q.npz", "w") as archive:
        archive.writestr("prob.npy", pickle.dumps(Bomb()))
    (tmp_path / "r.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("p.npz", "q.npz", "r.npz"):
        with pytest.raises(VidsuiteError, match="cannot be read"):
            read_predictions(tmp_path / name)
    assert not trap.exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_PREDICTIONS", 2**20)
    np.savez_compressed(tmp_path / "p.npz", prob=np.zeros(2**20))  # 8 MiB in 8 KiB
    assert (tmp_path / "p.npz").stat().st_size < 20_000
    with pytest.raises(VidsuiteError, match="unpacks to 8 MiB; the limit for its size is 1 MiB"):
        read_predictions(tmp_path / "p.npz")


def test_what_grows_out_of_all_proportion_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "p.npz", prob=np.zeros(2**24))  # 128 MiB in 128 KiB, far below the limit of bytes
    begin = time.perf_counter()
    with pytest.raises(VidsuiteError, match="unpacks to 128 MiB; the limit for its size is 7"):
        read_predictions(tmp_path / "p.npz")
    assert time.perf_counter() - begin < 0.1
    np.savez_compressed(tmp_path / "q.npz", prob=np.zeros(2**22))
    assert len(read_predictions(tmp_path / "q.npz")["prob"]) == 2**22


def test_too_many_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(VidsuiteError, match="it has 1001 members; the limit is 1000"):
        read_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(10, 100000)", "(-1,)", "(2**99,)", "None"])
def test_a_header_that_promises_more_than_there_is(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("prob.npy", content)
    with pytest.raises(VidsuiteError, match="cannot be read"):
        read_predictions(tmp_path / "p.npz")


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("prob.npy", b"text")
        archive.writestr("readme.txt", b"text")
    with pytest.raises(VidsuiteError, match="is no array"):
        read_predictions(tmp_path / "p.npz")


def test_damage_anywhere_is_told_in_our_own_words(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.npz", clip_arrays())
    whole = (tmp_path / "p.npz").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 5):
            damaged[place] = rng.integers(256)
        (tmp_path / "q.npz").write_bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.3 else damaged)
        try:
            read_predictions(tmp_path / "q.npz")
        except VidsuiteError:
            refused += 1
    assert refused > 150


def test_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.npz", clip_arrays())
    (tmp_path / "link.npz").symlink_to(tmp_path / "p.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    for name, reason in {"link.npz": "symbolic link", "pipe.npz": "no plain file", "none.npz": "No such"}.items():
        with pytest.raises(VidsuiteError, match=reason):
            read_predictions(tmp_path / name)

"""Test labels that are kept back: what is refused when their holder scores a pack, in a line that says why."""

from __future__ import annotations

import errno
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from submissions import BY, repacked, repredict_with, rewrite
from withheld_runs import HOLDER, Places

import vidsuite_core as vs
from vidsuite_core.results.store import RESULT, Attempt, Store, read_attempt
from vidsuite_core.results.verification import verified
from vidsuite_core.results.withheld import KEY
from vidsuite_leaderboard.submit.packs import FAULT, Report, check
from vidsuite_leaderboard.submit.score import score

pytestmark = pytest.mark.usefixtures("toys")


def faults_of(report: Report) -> list[str]:
    return [finding.text for finding in report.findings if finding.kind == FAULT]


def spoiled(places: Places, name: str, folder: Path) -> Attempt:
    """A copy of the attempt at a benchmark, alone in a run folder."""
    attempt = places.attempt(name)
    target = folder / "runs" / Path(*attempt.path.parts[-3:])
    shutil.copytree(attempt.path, target)
    return read_attempt(target)


def judged(places: Places, attempt: Attempt, folder: Path, name: str) -> Report:
    """What the holder's command says of a pack with an attempt."""
    pack = repacked(attempt.path.parents[2], folder / "p.zip")
    report = score(vs.load(), pack, folder / "into", HOLDER, places.labels(name))
    assert report.accepted or not (folder / "into").exists()
    return report


def png(labels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", labels)[1].tobytes())


def bomb() -> bytes:
    """A label map of 2**26 pixels in a few bytes, as far as its header is asked."""
    data = bytearray(png(np.zeros((12, 16), np.uint8)))
    data[16:24] = (8192).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def maps(arrays: dict[str, Any], first: bytes) -> None:
    """Put another file in the place of the first label map."""
    rest = arrays["png"][arrays["png_offset"][1] :].tobytes()
    sizes = np.diff(arrays["png_offset"])
    sizes[0] = len(first)
    arrays["png"] = np.frombuffer(first + rest, np.uint8)
    arrays["png_offset"] = np.concatenate([[0], np.cumsum(sizes)])


def rows(arrays: dict[str, Any], chosen: list[int]) -> None:
    for name, value in list(arrays.items()):
        arrays[name] = value[chosen]


ATTACKS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("turning", lambda a: a["sample_id"].__setitem__(0, "r0"), "lack 1 of the fold's 4 samples, as 'r4'"),
    ("turning", lambda a: rows(a, [0, 1, 1, 2]), "name a sample twice"),
    ("turning", lambda a: rows(a, [0, 1, 2]), "lack 1 of the fold's 4 samples, as 'r7'"),
    ("turning", lambda a: a.update(target=np.zeros(4, int)), "it holds 'target', which is no prediction"),
    ("turning", lambda a: a["subject"].__setitem__(0, "subject 3"), "its 'subject' is not that of the"),
    ("turning", lambda a: a.update({"prob@last": a["prob"]}), "it holds 'prob@last', which is no prediction"),
    ("turning", lambda a: a.update(prob=np.zeros((4, 2), "V0")), "items of no bytes"),
    ("growing", lambda a: a["prob"].__setitem__((0, 0), 2), "need probabilities in"),
    ("growing", lambda a: a["time"].__setitem__((0, 0), 0.1), "its 'time' is not that of the"),
    ("growing", lambda a: a.update(target=np.ones(4, int)), "it holds 'target', which is no prediction"),
    ("passing", lambda a: a.update(true_box=a["box"]), "it holds 'true_box', which is no prediction"),
    ("passing", lambda a: a["position"].__setitem__(0, 0), "its 'position' is not that of the"),
    ("passing", lambda a: a["class"].__setitem__(0, 2), "a class outside the 2 classes"),
    ("crossing", lambda a: a.update(confusion=np.zeros((12, 2, 2), int)), "'confusion', which is no prediction"),
    ("crossing", lambda a: maps(a, bomb()), "a predicted label map is 8192x8192, its frame 32x24"),
    ("crossing", lambda a: maps(a, b"no picture"), "a predicted label map is no label map"),
    ("crossing", lambda a: maps(a, png(np.full((12, 16), 2, np.uint8))), "holds a label that is no class"),
    ("crossing", lambda a: maps(a, png(np.zeros((12, 15), np.uint8))), "differs in size from the one before it"),
    ("crossing", lambda a: a["png_offset"].__setitem__(1, 10**6), "'png_offset' must rise from 0"),
    ("crossing", lambda a: a["map_offset"].__setitem__(0, 1), "'map_offset' must rise from 0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "words"), ATTACKS)
def test_attacks_on_predictions(
    places: Places, tmp_path: Path, name: str, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    attempt = spoiled(places, name, tmp_path)
    repredict_with(attempt, change)
    found = faults_of(judged(places, attempt, tmp_path, name))
    assert found
    assert all(len(line.splitlines()) == 1 for line in found)
    assert any(words in line for line in found), found


def test_maps_of_one_frame_twice(places: Places, tmp_path: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        """The second frame brings the first one's map again."""
        sizes, files = np.diff(arrays["map_offset"]), np.diff(arrays["png_offset"])
        data = arrays["png"].tobytes()
        sizes[1] += 1
        arrays["map_offset"] = np.concatenate([[0], np.cumsum(sizes)])
        arrays["png_offset"] = np.concatenate([[0], np.cumsum([files[0], *files])])
        arrays["png"] = np.frombuffer(data[: files[0]] + data, np.uint8)

    attempt = spoiled(places, "crossing", tmp_path)
    repredict_with(attempt, change)
    assert "do not follow on each other" in faults_of(judged(places, attempt, tmp_path, "crossing"))[0]


SCORE = {"value": 1.0, "unit": "fraction", "direction": "higher", "n": 4, "reason": ""}
FORGED = {"by": HOLDER, "of": "20260901T120000000000-00000001", "labels": "0" * 64, "created": "2026-09-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scores": {"macro_f1": SCORE}}, "it tells scores, which only whoever has the labels can know"),
        ({"scores": {"macro_f1": SCORE}, "holder": FORGED}, "it says that whoever has the labels scored it"),
        ({"scores": {"made_up": SCORE}, "holder": FORGED}, "has a score 'made_up'"),
        ({"holder": {**FORGED, "labels": "x"}}, "holder.labels"),
    ],
)
def test_scores_of_a_strangers_own(places: Places, tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    attempt = spoiled(places, "turning", tmp_path)
    rewrite(attempt, lambda data: data.update(fields))
    for report in (
        judged(places, attempt, tmp_path, "turning"),
        check(vs.load(), repacked(attempt.path.parents[2], tmp_path / "q.zip")),
    ):
        assert any(words in line for line in faults_of(report)), faults_of(report)


def test_a_forged_score_in_a_run_folder_is_never_verified(places: Places, tmp_path: Path) -> None:
    attempt = spoiled(places, "turning", tmp_path)
    rewrite(attempt, lambda data: data.update(scores={"macro_f1": SCORE}, holder=FORGED))
    forged = read_attempt(attempt.path)
    assert not verified(vs.load(), forged).scored
    assert not verified(vs.load(), forged).faults
    faults = verified(vs.load(), forged, places.labels("turning")).faults
    assert any("score macro_f1 is recorded as 1.0" in fault for fault in faults)


def test_an_open_protocol_of_a_strangers_own(places: Places, tmp_path: Path) -> None:
    """Whoever has made up labels may not say that they are not kept back."""

    def change(data: dict[str, Any]) -> None:
        del data["score_key"]["protocol"]["labels"]

    attempt = spoiled(places, "turning", tmp_path)
    rewrite(attempt, change, rehash=True)
    attempt = next(one for one in Store(tmp_path / "runs").everything() if isinstance(one, Attempt))
    assert any("lack the array 'target'" in line for line in faults_of(judged(places, attempt, tmp_path, "turning")))
    without = places.attempt("turning", "open").predictions()
    repredict_with(attempt, lambda arrays: arrays.update(without))
    shown = json.loads((places.attempt("turning", "open").path / RESULT).read_text())["scores"]
    rewrite(attempt, lambda data: data.update(scores=shown))
    found = faults_of(judged(places, attempt, tmp_path, "turning"))
    assert found == ["it does not keep to the benchmark's protocol.labels: withheld -> None"]


class TestLabels:
    def test_none_are_here(self, places: Places, tmp_path: Path) -> None:
        attempt = spoiled(places, "growing", tmp_path)
        report = score(vs.load(), repacked(attempt.path.parents[2], tmp_path / "p.zip"), tmp_path / "into", HOLDER)
        assert "have no labels of 4 of 4 test samples, as 'r8'" in faults_of(report)[0]
        assert not (tmp_path / "into").exists()

    def test_those_of_another_dataset(self, places: Places, tmp_path: Path) -> None:
        attempt = spoiled(places, "turning", tmp_path)
        report = judged(places, attempt, tmp_path, "growing")
        assert "the data of toy_withheld/turning are not below" in faults_of(report)[0]

    def test_those_of_other_data(self, places: Places, tmp_path: Path) -> None:
        other = Path(shutil.copytree(places.labels("crossing"), tmp_path / "other"))
        cv2.imwrite(str(other / "drawn" / "0" / "0.png"), np.zeros((24, 32, 3), np.uint8))
        attempt = spoiled(places, "crossing", tmp_path)
        report = score(vs.load(), repacked(attempt.path.parents[2], tmp_path / "p.zip"), tmp_path / "into", BY, other)
        assert "are not those of toy_withheld/crossing that it was run on" in faults_of(report)[0]

    def test_altered_ones_give_another_hash_and_do_not_verify(
        self, places: Places, scored: dict[str, Attempt], tmp_path: Path
    ) -> None:
        other = Path(shutil.copytree(places.labels("crossing"), tmp_path / "other"))
        path = other / "drawn" / "5" / "0_labels.png"
        cv2.imwrite(str(path), 1 - np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1))
        faults = verified(vs.load(), scored["crossing"], other).faults
        assert any("is recorded as" in fault for fault in faults)
        assert any("it was scored by other labels than those" in fault for fault in faults)

    def test_a_folder_that_cannot_be_written(
        self, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, content: bytes) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        other = Path(shutil.copytree(places.labels("turning"), tmp_path / "other"))
        (other / KEY).unlink(missing_ok=True)
        monkeypatch.setattr("vidsuite_core.results.withheld.atomic_write", full)
        attempt = spoiled(places, "turning", tmp_path)
        report = score(vs.load(), repacked(attempt.path.parents[2], tmp_path / "p.zip"), tmp_path / "into", BY, other)
        assert faults_of(report) == [f"{other / KEY} cannot be written: Read-only file system; make it writable"]
        assert not (tmp_path / "into").exists()

    def test_the_key_is_made_once(self, places: Places, tmp_path: Path) -> None:
        other = Path(shutil.copytree(places.labels("turning"), tmp_path / "other"))
        (other / KEY).unlink(missing_ok=True)
        attempt = spoiled(places, "turning", tmp_path)
        pack = repacked(attempt.path.parents[2], tmp_path / "p.zip")
        keys, folders = [], []
        for place in ("one", "two"):
            report = score(vs.load(), pack, tmp_path / place, HOLDER, other)
            assert faults_of(report) == []
            keys.append((other / KEY).read_bytes())
            folders.append(Path(report.into).name)
        assert keys[0] == keys[1]
        assert len(keys[0]) == 32
        assert folders[0] == folders[1]

    def test_a_pack_without_any_that_are_kept_back(self, places: Places, tmp_path: Path) -> None:
        attempt = places.attempt("turning", "open")
        shutil.copytree(attempt.path, tmp_path / "runs" / Path(*attempt.path.parts[-3:]))
        report = score(vs.load(), repacked(tmp_path / "runs", tmp_path / "p.zip"), tmp_path / "into", HOLDER)
        assert any("no predictions whose labels are kept back" in line for line in faults_of(report))

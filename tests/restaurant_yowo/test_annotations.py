"""Annotation files of five kinds, every fault of one named at once, and the paper's two ways of dividing footage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.restaurant_yowo.annotations.formats import read_annotation, scaled
from vidsuite_plugins.restaurant_yowo.annotations.splits import BLOCK, LONGEST, SHORTEST, blocks, clips, leak
from vidsuite_plugins.restaurant_yowo.annotations.table import Row, VideoSize, class_names, faults_of, refuse

CSV = "video,start,end,x1,y1,x2,y2,class,action\na.mp4,0,9,10,20,30,40,wave,1\na.mp4,5,5,1,2,3,4,clap,\n"
CVAT = """<?xml version="1.0"?><annotations><meta><task><name>t</name><source>a.mp4</source></task></meta>
<track id="3" label="wave"><box frame="0" outside="0" xtl="10" ytl="20" xbr="30" ybr="40"/>
<box frame="1" outside="1" xtl="10" ytl="20" xbr="30" ybr="40"/></track></annotations>"""
COCO = {
    "videos": [{"id": 7, "name": "a.mp4"}],
    "images": [{"id": 1, "video_id": 7, "frame_id": 4}, {"id": 2, "file_name": "b.mp4/000012.png"}],
    "categories": [{"id": 5, "name": "wave"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 5, "bbox": [10, 20, 20, 20], "instance_id": 2},
        {"id": 2, "image_id": 2, "category_id": 5, "bbox": [0, 0, 5, 6]},
    ],
}


def read(folder: Path, name: str, text: str, **more: object) -> list[Row]:
    (folder / name).write_text(text)
    return read_annotation(folder / name, **more)  # type: ignore[arg-type]


def test_files_of_each_kind(tmp_path: Path) -> None:
    first, second = read(tmp_path, "x.csv", CSV)
    assert first == Row("a.mp4", 0, 10, (10, 20, 30, 40), "wave", "x.csv line 2", "1")
    assert (second.start, second.stop, second.action) == (5, 6, "")
    entries = [{"video": "a.mp4", "start": 0, "end": 9, "x1": 10, "y1": 20, "x2": 30, "y2": 40, "class": "wave"}]
    assert read(tmp_path, "x.json", json.dumps(entries))[0].box == (10, 20, 30, 40)
    (track,) = read(tmp_path, "x.XML", CVAT)
    assert (track.video, track.start, track.stop, track.action) == ("a.mp4", 0, 1, "3")
    one, two = read(tmp_path, "coco.json", json.dumps(COCO))
    assert (one.video, one.start, one.box, one.action) == ("a.mp4", 4, (10, 20, 30, 40), "2")
    assert (two.video, two.start, two.box) == ("b.mp4", 12, (0, 0, 5, 6))
    (ava,) = read(tmp_path, "ava.csv", "v1,2.5,0.1,0.2,0.3,0.4,12,0\n", fps={"v1": 30})
    assert (ava.start, ava.name, ava.action) == (75, "12", "0")
    assert scaled(ava.box, 100, 50) == pytest.approx((10, 10, 30, 20))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.csv", "video,start,end,x1,y1,x2,class\n", "lacks the column 'y2'"),
        ("x.csv", CSV.replace("10,20,30,40", "ten,20,30,40"), "line 2: ValueError"),
        ("x.csv", CSV.replace("wave", " "), "line 2: the class is empty"),
        ("x.json", "{", "no JSON"),
        ("x.json", "{}", "neither a list of boxes"),
        ("x.json", json.dumps({**COCO, "images": []}), "no whole COCO file"),
        ("x.xml", "<a", "no XML"),
        ("x.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "declares entities"),
        ("x.txt", "", "no annotation that is known"),
        ("ava.csv", "v1,2,0.1,0.2,0.3,0.4,12,0\n", "no rate is known of video 'v1'"),
        ("ava.csv", "v1,2,0.1,0.2\n", "7 columns"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(VidsuiteError, match=words):
        read(tmp_path, name, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VidsuiteError, match=r"none\.csv cannot be read"):
        read_annotation(tmp_path / "none.csv")


def test_every_fault_is_named_at_once() -> None:
    sizes = {"a": VideoSize(100, 50, 30)}
    rows = [
        Row("a", 0, 5, (10, 10, 20, 20), "wave", "line 1"),
        Row("a", 0, 5, (20, 10, 10, 20), "wave", "line 2"),
        Row("a", 0, 5, (90, 10, 110, 20), "wave", "line 3"),
        Row("a", 28, 31, (10, 10, 20, 20), "wave", "line 4"),
        Row("a", 5, 5, (10, 10, 20, 20), "wave", "line 5"),
        Row("b", 0, 5, (10, 10, 20, 20), "jump", "line 6"),
        Row("a", 0, 5, (10, 10, float("nan"), 20), "wave", "line 7"),
    ]
    faults = faults_of(rows, sizes, ["wave"])
    found = {fault.partition(":")[0] for fault in faults}
    assert found == {f"line {n}" for n in range(2, 8)}
    assert len(faults) == 7
    with pytest.raises(VidsuiteError, match=r"labels.csv has 7 faults:\nline 2: .*x1 < x2"):
        refuse(faults, "labels.csv")
    with pytest.raises(VidsuiteError, match="and 15 more"):
        refuse(faults * 5, "labels.csv")
    refuse(faults_of(rows[:1], sizes), "labels.csv")


def test_classes_are_ordered_by_how_often_they_are_done() -> None:
    rows = [Row("a", n, n + 1, (0, 0, 1, 1), "long", "", "1") for n in range(50)]  # one action of 50 frames
    rows += [Row("a", 60 + n, 61 + n, (0, 0, 1, 1), "often", "", str(2 + n)) for n in range(3)]
    rows += [Row("a", 70, 71, (0, 0, 1, 1), "also once", "", "9")]
    assert class_names(rows) == ("often", "also once", "long")


@given(frames=st.integers(1, 5000), seed=st.integers(0, 1000))
def test_blocks_stay_whole_and_leak_at_their_borders_alone(frames: int, seed: int) -> None:
    held = blocks(frames, np.random.default_rng(seed))
    assert held.shape == (frames,)
    for start in range(0, frames, BLOCK):
        assert len(set(held[start : start + BLOCK].tolist())) == 1
    if held.any():
        whole = held.reshape(-1).sum() / BLOCK
        assert leak(held, 8) <= min(1.0, 16 * np.ceil(whole) / held.sum())  # 8 frames at either border


def test_frames_drawn_one_by_one_would_leak_nearly_all() -> None:
    rng = np.random.default_rng(0)
    held = blocks(36_000, rng)
    assert 0.19 < held.mean() < 0.21
    assert leak(held, 8) < 0.14  # 16 of 120, less where blocks touch
    assert leak(rng.random(36_000) < 0.2, 8) > 0.999


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=12))
def test_clips_hold_every_action_with_its_padding(runs: list[tuple[int, int]]) -> None:
    busy = np.concatenate([np.repeat([False, True], run) for run in runs])
    found = clips(busy)
    covered = np.zeros(len(busy), bool)
    for clip in found:
        covered[clip.start : clip.stop] = True
        assert 0 <= clip.start < clip.stop <= len(busy)
        assert min(SHORTEST, len(busy)) <= len(clip) <= LONGEST
    assert covered[busy].all()
    if len(found) == 1:
        first, last = np.flatnonzero(busy)[[0, -1]]
        assert found[0].start <= max(0, first - 30)
        assert found[0].stop >= min(len(busy), last + 31)


def test_footage_without_actions_has_no_clips() -> None:
    assert clips(np.zeros(500, bool)) == []

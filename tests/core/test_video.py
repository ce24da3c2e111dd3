"""Reading videos: every frame that a seek gives is the one that decoding in order gives."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_samples import CODINGS, FRAMES, HEIGHT, OPEN_GOPS, WIDTH, Coding, decoded, scene, without_first_packets

from vidsuite_core.media import VideoError, VideoInfo, content_hash, count_frames, open_video, probe, write_video
from vidsuite_core.media.known import KNOWN

REAL = [
    "bigbuckbunny.mp4",
    "bikes.mp4",
    "carphone_pristine.mp4",
    "iscc_demo.mp4",
    "iscc_demo.vob",
    "iscc_demo.webm",
    "mmaction2_demo.mp4",
    "mmaction2_demo_stdet.mp4",
    "tree.avi",
]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("coded")
    return {name: coding.write(folder) for name, coding in CODINGS.items()}


@pytest.fixture(scope="module")
def truths(coded: dict[str, Path]) -> dict[str, np.ndarray]:
    return {name: decoded(path) for name, path in coded.items()}


@pytest.fixture
def forgotten() -> None:
    """No index is left from an earlier test."""
    KNOWN.clear()


@pytest.mark.parametrize("name", CODINGS)
def test_random_ranges_equal_sequential_decoding(
    name: str, coded: dict[str, Path], truths: dict[str, np.ndarray], forgotten: None
) -> None:
    truth = truths[name]
    with open_video(coded[name]) as video:
        for start in random.Random(0).choices(range(len(truth)), k=20):
            stop = min(len(truth), start + start % 4 + 1)
            assert np.array_equal(video.read(start, stop), truth[start:stop]), (start, stop)
        assert np.array_equal(np.stack(list(video.frames())), truth)
    assert count_frames(coded[name]) == len(truth)


@given(name=st.sampled_from(sorted(CODINGS)), starts=st.lists(st.integers(0, 42), min_size=1, max_size=6))
@settings(max_examples=60)
def test_any_order_of_reads(
    name: str, starts: list[int], coded: dict[str, Path], truths: dict[str, np.ndarray]
) -> None:
    KNOWN.clear()
    with open_video(coded[name]) as video:
        for start in starts:
            assert np.array_equal(video.read(start, start + 1)[0], truths[name][start])


@pytest.mark.parametrize(
    "name", ["h264 mp4, open groups", "mpeg2 vob", "vp9 webm, hidden frames", "mpeg4 avi, b frames"]
)
def test_late_frames_are_reached_by_a_seek(name: str, coded: dict[str, Path], forgotten: None) -> None:
    with open_video(coded[name]) as video:
        list(video.frames())
        video.read(40, 41)
        assert video._idle.sought


@pytest.mark.parametrize(("coding", "dropped"), [("h264 mkv, open groups", 12), ("mpeg2 ts", 5)])
def test_a_file_that_begins_between_key_frames(
    coding: str, dropped: int, coded: dict[str, Path], tmp_path: Path
) -> None:
    path = without_first_packets(coded[coding], tmp_path / f"cut{coded[coding].suffix}", dropped)
    truth = decoded(path)
    assert len(truth) < FRAMES
    with open_video(path) as video:
        assert count_frames(path) == len(truth)
        for start in (20, 3, 12):
            assert np.array_equal(video.read(start, start + 2), truth[start : start + 2])


def test_interleaved_iterations_do_not_disturb_each_other(coded: dict[str, Path]) -> None:
    path = coded["h264 mp4"]
    truth = decoded(path)
    with open_video(path) as video:
        pairs = list(zip(video.frames(0, 30), video.frames(20), strict=True))
        assert len(pairs) == 30
        for number, (early, late) in enumerate(pairs):
            assert np.array_equal(early, truth[number])
            assert np.array_equal(late, truth[20 + number])


def test_frames_are_the_callers_own(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_video(path, scene(), 25, "ffv1")
    with open_video(path) as video:
        for number, (frame, truth) in enumerate(zip(video.frames(), scene(), strict=True)):
            assert np.array_equal(frame, truth), number
            frame[:] = 0


@pytest.mark.parametrize("file", REAL)
def test_real_files(file: str, shared: Path, forgotten: None) -> None:
    path = shared / "data" / "videos_decode" / file
    truth = decoded(path)
    assert count_frames(path) == len(truth)
    with open_video(path) as video:
        for start in random.Random(0).sample(range(len(truth) - 3), 3):
            assert np.array_equal(video.read(start, start + 3), truth[start : start + 3]), start


def test_counts_of_jhmdb_are_those_of_its_table(shared: Path) -> None:
    """The clips' AVI headers count frames that were dropped; the dataset's annotations do not."""
    folder = shared / "data" / "jhmdb6_mini"
    with (folder / "clips.csv").open() as table:
        for row in csv.DictReader(table):
            assert count_frames(folder / "videos" / f"{row['clip']}.avi") == int(row["nframes"]), row["clip"]


def test_info(coded: dict[str, Path], tmp_path: Path) -> None:
    assert probe(coded["h264 mp4"]) == VideoInfo(FRAMES, 25.0, WIDTH, HEIGHT, 3, "uint8", "container")
    assert probe(coded["mpeg4 avi, b frames"]).frames is None
    grey = tmp_path / "grey.mkv"
    write_video(grey, (np.full((5, 7), 300 * n, np.uint16) for n in range(4)), 12.5, "ffv1")
    assert probe(grey) == VideoInfo(None, 12.5, 7, 5, 1, "uint16", "container")


@pytest.mark.parametrize(
    ("pixels", "channels", "dtype"),
    [
        ("gray", 1, "uint8"),
        ("gray10le", 1, "uint16"),
        ("ya8", 1, "uint8"),
        ("gbrp16le", 3, "uint16"),
        ("bgra", 3, "uint8"),
        ("yuv420p10le", 3, "uint8"),
    ],
)
def test_channels_and_depth_follow_the_pixel_format(pixels: str, channels: int, dtype: str, tmp_path: Path) -> None:
    path = Coding("a.mkv", "ffv1", pixels=pixels).write(tmp_path)
    info = probe(path)
    assert (info.channels, info.dtype) == (channels, dtype)
    with open_video(path) as video:
        frame = video.read(3, 4)[0]
    assert (frame.shape, str(frame.dtype)) == (info.shape, dtype)
    if pixels == "gray10le":
        assert 255 < frame.max() <= 1023  # as stored
    elif pixels == "gbrp16le":
        assert np.abs(frame // 257 - list(scene())[3].astype(int)).max() <= 2
    elif channels == 3:
        assert np.array_equal(frame, decoded(path)[3])


def test_an_empty_range(coded: dict[str, Path]) -> None:
    with open_video(coded["h264 mp4"]) as video:
        assert video.read(7, 7).shape == (0, HEIGHT, WIDTH, 3)
        assert list(video.frames(FRAMES)) == []


@pytest.mark.parametrize("name", ["h264 mp4", "mpeg4 avi, b frames"])
def test_ranges_that_do_not_exist(name: str, coded: dict[str, Path]) -> None:
    with open_video(coded[name]) as video:
        for start, stop in ((40, FRAMES + 1), (FRAMES + 5, FRAMES + 6)):
            with pytest.raises(VideoError, match=f"has {FRAMES} frames"):
                video.read(start, stop)
        for start, stop in ((-1, 3), (5, 4)):
            with pytest.raises(VideoError, match="no range"):
                video.read(start, stop)
        with pytest.raises(VideoError, match=f"has {FRAMES} frames"):
            list(video.frames(FRAMES + 1))
        assert video.read(0, 1).shape == (1, HEIGHT, WIDTH, 3)


def test_a_range_that_needs_too_much_memory(tmp_path: Path) -> None:
    path = Coding("a.ts", "libx264", OPEN_GOPS).write(tmp_path)
    with open_video(path) as video, pytest.raises(VideoError, match=r"4 GiB that one read may take"):
        video.read(0, 10**9)


def test_an_index_that_decoding_contradicts_is_given_up(coded: dict[str, Path], forgotten: None) -> None:
    """As if the packets had announced other time stamps than the frames then have."""
    truth = decoded(coded["h264 mp4"])
    with open_video(coded["h264 mp4"]) as video:
        index = video._scan()
        key = index.keys[-1]
        index.pts[key + 1] += 1
        assert np.array_equal(video.read(key + 2, key + 4), truth[key + 2 : key + 4])
        assert video._scan() is not index


def test_a_closed_video_says_so(coded: dict[str, Path]) -> None:
    with open_video(coded["h264 mp4"]) as video:
        pass
    with pytest.raises(VideoError, match="was closed"):
        video.read(0, 1)


def test_content_hash(tmp_path: Path) -> None:
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    assert content_hash(first) == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert content_hash([first, second]) != content_hash([second, first])
    assert content_hash([first]) != content_hash(first)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "1.png").write_bytes(b"one")
    assert content_hash([copy / "1.png"]) == content_hash([first])
    with pytest.raises(VideoError, match="cannot be read"):
        content_hash(tmp_path / "none")

"""When frames are shown: by the file's own time stamps, by its rate, or by the caller's; and what seconds mean."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_samples import CODINGS, FRAMES, Coding

from vidsuite_core.errors import UsageError
from vidsuite_core.media import Times, VideoError, frames_between, last_second, open_video, probe, resample, write_video
from vidsuite_core.media.known import KNOWN

UNEVEN = [0.0, 0.1, 0.2, 0.225, 0.25, 0.275, 0.3, 3.0, 3.1]
"""Frames at 10, then 40 a second, then one that stands for 2.7 s."""


@pytest.fixture
def forgotten() -> None:
    KNOWN.clear()


def times_of(path: Path, fps: float | None = None) -> Times:
    with open_video(path) as video:
        times = video.times(fps)
        assert len(times) == video.count()
    return times


@pytest.mark.parametrize("name", CODINGS)
def test_times_of_every_container(name: str, tmp_path: Path, forgotten: None) -> None:
    path = CODINGS[name].write(tmp_path)
    times = times_of(path)
    if name == "h264 mp4, uneven times":
        expected = [(n * n + 7 * n) / 1000 for n in range(FRAMES)]
    else:  # the edit list cuts 7 frames off
        expected = [n / 25 for n in range(FRAMES - 7 * (name == "h264 mp4, edit list"))]
    assert times.seconds == pytest.approx(expected, abs=0.0006)  # Matroska counts milliseconds
    assert times.constant is (name != "h264 mp4, uneven times")
    without = name in ("h264 avi, no time stamps", "h264 elementary stream")
    assert times.source == ("rate" if without else "stamps")


def test_times_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mp4"
    write_video(path, (np.zeros((16, 16, 3), np.uint8) for _ in range(9)), 30000 / 1001)
    times = times_of(path)
    assert times.exact(7) == Fraction(7 * 1001, 30000)
    assert times.fps == pytest.approx(30000 / 1001)


def test_sound_before_the_picture_counts(tmp_path: Path) -> None:
    """Players show the time from the first of both on."""
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=25), container.add_stream("pcm_s16le", 8000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), format="s16", layout="mono")
            frame.rate, frame.pts = 8000, 320 * number
            container.mux(sound.encode(frame))
            if number >= 25:
                picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
                picture.pts = number
                container.mux(video.encode(picture))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    assert times_of(path).seconds[[0, -1]] == pytest.approx([1.0, 1.96], abs=0.001)


def test_the_callers_rate_counts(tmp_path: Path) -> None:
    times = times_of(CODINGS["h264 mp4, uneven times"].write(tmp_path), fps=10)
    assert times.seconds == pytest.approx(np.arange(FRAMES) / 10)
    assert (times.source, times.constant, times.duration) == ("given", True, FRAMES / 10)


def test_info_says_whether_the_rate_is_constant_once_it_was_asked(tmp_path: Path) -> None:
    for name, constant in (("h264 mp4", True), ("h264 mp4, uneven times", False)):
        with open_video(CODINGS[name].write(tmp_path)) as video:
            assert video.info.constant is None
            video.times()
            assert video.info.constant is constant


@pytest.mark.parametrize(("file", "encoder"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video")])
def test_a_bare_stream_has_its_own_rate(file: str, encoder: str, tmp_path: Path) -> None:
    path = _at_10(tmp_path / file, encoder)
    assert (probe(path).fps, probe(path).rate) == (10.0, "stream")
    assert times_of(path).seconds[:3] == pytest.approx([0, 0.1, 0.2])


def test_an_avi_whose_stream_has_another_rate_says_so(tmp_path: Path) -> None:
    path = _at_10(tmp_path / "a.avi", "libx264")
    data = path.read_bytes()
    place = data.index(b"strh") + 8 + 20  # dwScale, dwRate of the stream header
    scale, rate = (int.from_bytes(data[place + n : place + n + 4], "little") for n in (0, 4))
    assert rate == 10 * scale
    assert (probe(path).fps, probe(path).rate, times_of(path).notes) == (10.0, "container", ())
    path.write_bytes(data[: place + 4] + (25 * scale).to_bytes(4, "little") + data[place + 8 :])
    info = probe(path)
    assert (info.fps, info.rate) == (10.0, "stream")
    (note,) = times_of(path).notes
    assert re.search("the AVI says 25 frames/s and the stream in it 10, which is taken; give fps", note)
    assert times_of(path).seconds[[1, -1]] == pytest.approx([0.1, (FRAMES - 1) / 10])


def test_images_need_a_rate(tmp_path: Path) -> None:
    import cv2

    files = [tmp_path / f"{n}.png" for n in range(3)]
    for file in files:
        cv2.imwrite(str(file), np.zeros((8, 8), np.uint8))
    with open_video(files) as video:
        assert video.times(fps=4).seconds.tolist() == [0, 0.25, 0.5]
        with pytest.raises(VideoError, match="does not state its frame rate; give its frames per second"):
            video.times()


def test_a_file_that_is_cut_short_has_no_times(tmp_path: Path) -> None:
    path = Coding("a.mkv", "libx264", {"g": "5", "bf": "0"}).write(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    with open_video(path) as video, pytest.raises(VideoError, match="truncated"):
        video.times()


def test_the_rate_varies_where_frames_and_seconds_come_apart() -> None:
    even = np.arange(100) * 100
    jitter = even + np.random.default_rng(0).integers(-40, 41, 100)
    gap = np.delete(even, range(40, 44))
    for ticks, constant in ((even, True), (jitter, True), (gap, False), (even[:2], True), (even[:1], True)):
        assert Times(ticks, Fraction(1, 1000), int(ticks[-1]) + 100, "stamps").constant is constant


@given(st.integers(1, 200), st.sampled_from([7.0, 23.976, 25.0, 29.97, 30.0, 1000.0]), st.floats(0, 5), st.floats(0, 5))
def test_at_a_constant_rate_seconds_are_rounded_to_frames(count: int, fps: float, start: float, length: float) -> None:
    times = Times.steady(count, fps, "rate")
    first, last = times.between(start, start + length)
    for seconds, found in ((start, first), (start + length, last)):
        if abs(seconds * fps % 1 - 0.5) > 1e-6:  # exactly between two frames either will do
            assert found == min(count, round(seconds * fps))


def test_an_edge_means_the_nearest_change_of_frames() -> None:
    assert frames_between(UNEVEN, 0.1, 0.25) == (1, 4)
    assert frames_between(UNEVEN, 0.104, 0.2451) == (1, 4)
    assert frames_between(UNEVEN, None, None) == (0, 9)
    assert frames_between(UNEVEN, 1.0, 3.05) == (6, 7)  # most of the frame that stands lies in it
    assert frames_between(UNEVEN, 2.0, 3.0) == (7, 7)
    assert frames_between(UNEVEN, 5.0, 6.0) == (9, 9)
    assert last_second(UNEVEN) == pytest.approx(3.2 + 1.5 * 0.1)


def test_resampling_shows_what_is_due() -> None:
    shown = resample(UNEVEN, 10).tolist()
    # 0.0, 0.1, 0.2, 0.3, and then the frame that stands until 3.0
    assert shown[:4] == [0, 1, 2, 6]
    assert shown[4:30] == [6] * 26
    assert shown[30:] == [7, 8]
    assert resample(UNEVEN, 40, 0.2, 0.3).tolist() == [2, 3, 4, 5]
    assert resample([0.0], 30, end=0.1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 30.0, 60.0])
def test_resampling_to_the_same_rate_gives_each_frame_once(fps: float) -> None:
    milliseconds = (np.arange(3000) / fps).round(3)  # as Matroska rounds
    assert (resample(milliseconds, fps) == np.arange(3000)).all()
    assert (resample(milliseconds, fps / 2) == np.arange(0, 3000, 2)).all()
    counts = np.bincount(resample(milliseconds, fps * 3))
    assert set(counts.tolist()) <= {2, 3, 4}


@given(
    st.lists(st.floats(0.001, 2), min_size=1, max_size=40), st.sampled_from([1.0, 7.5, 30.0, 240.0]), st.floats(0, 0.99)
)
def test_resampled_frames_are_in_order_and_near(steps: list[float], fps: float, share: float) -> None:
    times = np.cumsum(steps)
    end = float(times[-1]) + 0.5
    start = float(times[0] + share * (end - times[0]))
    chosen = resample(times, fps, start, end, end)
    assert (np.diff(chosen) >= 0).all()
    assert len(chosen) == max(1, round((end - start) * fps))
    for k, frame in enumerate(chosen):
        instant = start + k / fps
        assert times[frame] - instant < 0.5 / fps + 1e-9
        later = times[times <= instant]
        assert frame >= len(later) - 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fps": 0}, "at 0 frames/s"),
        ({"fps": 10, "start": 1, "stop": 1}, "no frames from 1 to 1 s"),
        ({"fps": 10, "start": 9}, "no frames from 9 to 3.2 s"),
    ],
)
def test_no_instants(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resample(UNEVEN, **options)


@pytest.mark.parametrize("times", [[], [1.0, 1.0], [2.0, 1.0], [[0.0, 1.0]]])
def test_times_that_are_none(times: list[float]) -> None:
    with pytest.raises(UsageError, match="do not rise, or none"):
        frames_between(times, 0, 1)


def test_the_case_of_a_variable_rate(shared: Path) -> None:
    times = times_of(shared / "cases" / "vfr.mp4")
    assert not times.constant
    assert times.between(0, 5) == (0, 50)
    assert times.between(5, 10) == (50, len(times))
    assert last_second(times.seconds, times.duration) > 10
    with open_video(shared / "cases" / "vfr.mp4") as video:
        red = [bool(frame[..., 0].mean() > 200 > frame[..., 2].mean()) for frame in video.frames()]
    assert red == [True] * 50 + [False] * (len(times) - 50)
    shown = times.resampled(30)
    assert len(shown) == round(30 * times.duration)
    assert sum(red[frame] for frame in shown) == 150  # 5 of 10 seconds, not 50 of 249 frames


def test_the_case_of_a_bare_stream(shared: Path) -> None:
    info = probe(shared / "cases" / "cam.h264")
    assert (info.fps, info.rate) == (10.0, "stream")
    assert times_of(shared / "cases" / "cam.h264").duration == 6


def test_frames_that_an_avi_dropped_are_gaps(shared: Path) -> None:
    times = times_of(shared / "data" / "videos_decode" / "tree.avi")
    assert (len(times), times.constant) == (68, False)
    assert times.duration == pytest.approx(29.93, abs=0.01)


def _at_10(path: Path, encoder: str) -> Path:
    """A file whose header and stream both say 10 frames/s."""
    import av
    from video_samples import scene

    with av.open(str(path), "w") as container:
        options = {"x264-params": "bframes=0"} if encoder == "libx264" else {"x265-params": "log-level=none"}
        stream = container.add_stream(encoder, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels in scene():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path

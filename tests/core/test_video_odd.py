"""Whole files of kinds that readers trip over: all frames are there, and seeks find those of a read from the start."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest
from field_coded import write_fields
from video_samples import CODINGS, FRAMES, Coding, scene

from vidsuite_core.media import VideoError, count_frames, examine, open_video, probe
from vidsuite_core.media.containers import missing_bytes
from vidsuite_core.media.decoder import Decoder
from vidsuite_core.media.known import KNOWN


@pytest.fixture(autouse=True)
def forgotten() -> None:
    KNOWN.clear()


def frames_of(path: Path) -> np.ndarray:
    with open_video(path) as video:
        return np.stack(list(video.frames()))


def assert_seeks(path: Path, truth: np.ndarray | None = None, picks: int = 8) -> int:
    """Check frames that are sought by readers that know nothing, and that know all; returns how many were sought."""
    sought = 0
    for informed in (False, True):
        KNOWN.clear()
        truth = frames_of(path) if truth is None or informed else truth
        for number in random.Random(0).sample(range(len(truth)), picks):
            with open_video(path) as video:
                assert np.array_equal(video.read(number, number + 1)[0], truth[number]), number
                sought += video._idle is not None and video._idle.sought
    return sought


def palettes(path: Path, change: int | None = None, count: int = 50) -> np.ndarray:
    """Write pal8 frames, grey, from frame `change` on by the opposite palette; returns them as RGB."""
    grey, truth = np.arange(256, dtype=np.uint8), []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for number in range(count):
            shades = 255 - grey if change is not None and number >= change else grey
            indices = next(scene(1)).sum(2).astype(np.uint8) + np.uint8(number)
            palette = np.stack([np.full(256, 255, np.uint8), shades, shades, shades], axis=1)
            frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
            frame.pts = number
            container.mux(stream.encode(frame))
            truth.append(shades[indices][..., None].repeat(3, axis=2))
        container.mux(stream.encode(None))
    return np.stack(truth)


@pytest.mark.parametrize("suffix", ["avi", "mov", "nut"])
def test_a_palette_survives_a_seek(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    truth = palettes(path)
    assert assert_seeks(path, truth) > 5
    assert np.array_equal(frames_of(path), truth)


def test_a_palette_that_changes_is_followed_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    truth = palettes(path, change=20)
    assert assert_seeks(path, truth) == 0
    KNOWN.clear()
    with open_video(path) as video:  # the change is met before anything is sought
        assert np.array_equal(video.read(0, 40), truth[:40])
        assert np.array_equal(video.read(5, 6)[0], truth[5])
        assert np.array_equal(video.read(45, 46)[0], truth[45])


def test_the_case_of_an_imagej_film(shared: Path) -> None:
    path = shared / "cases" / "imagej.avi"
    assert assert_seeks(path) > 5
    assert frames_of(path)[40:].max() > 0
    assert len(frames_of(path)) == 80


@pytest.mark.parametrize("suffix", ["h264", "mp4", "mkv", "ts", "avi"])
def test_field_coded_h264_has_half_as_many_frames_as_packets(suffix: str, tmp_path: Path) -> None:
    path = write_fields(tmp_path / f"a.{suffix}")
    assert count_frames(path) == len(frames_of(path)) == 40
    sought = assert_seeks(path)
    assert sought > 0 or suffix == "h264"


@pytest.mark.parametrize("name", ["mp4", "ts"])
def test_interlaced_h264_by_macroblocks(name: str, tmp_path: Path) -> None:
    path = Coding(f"a.{name}", "libx264", {"x264-params": "interlaced=1:keyint=12:bframes=2"}).write(tmp_path)
    assert count_frames(path) == FRAMES
    assert assert_seeks(path) > 0


def suspecting(monkeypatch: pytest.MonkeyPatch, frames: set[int], *, alone: bool = False) -> list[int]:
    """Let decoders of several threads report damage at some frames, or those of one as well; who was made."""
    made: list[int] = []

    class Suspecting(Decoder):
        def __init__(self, path: Path, name: str, threads: int) -> None:
            super().__init__(path, name, threads)
            made.append(self.threads)

        def _is_damaged(self, frame: object) -> bool:
            return self.position in frames and (alone or self.threads > 1)

    monkeypatch.setattr("vidsuite_core.media.file.Decoder", Suspecting)
    return made


@pytest.mark.parametrize("suspected", [{0}, {3, 17}, {39}])
def test_damage_that_one_thread_does_not_find_is_none(
    suspected: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fields(tmp_path / "a.mkv")
    truth = frames_of(path)
    KNOWN.clear()
    made = suspecting(monkeypatch, suspected)
    assert np.array_equal(frames_of(path), truth)
    assert made[0] == 2
    assert made[-1] == 1
    assert_seeks(path, truth)


def test_damage_that_one_thread_finds_as_well_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_fields(tmp_path / "a.mkv")
    made = suspecting(monkeypatch, {12}, alone=True)
    with pytest.raises(VideoError, match=r"from about frame 12 on \(the decoder reports damage\)"):
        frames_of(path)
    assert made == [2, 1]


@pytest.mark.parametrize("coding", ["h264 ts", "mpeg2 ts", "mpeg2 vob", "h264 elementary stream"])
@pytest.mark.parametrize("parts", [2, 3])
def test_streams_joined_end_to_end(coding: str, parts: int, tmp_path: Path) -> None:
    part = CODINGS[coding].write(tmp_path)
    truth = frames_of(part)
    path = tmp_path / f"joined{part.suffix}"
    path.write_bytes(part.read_bytes() * parts)
    assert count_frames(path) == parts * FRAMES
    assert np.array_equal(frames_of(path), np.concatenate([truth] * parts))
    assert_seeks(path)
    with open_video(path) as video:
        times = video.times()
    assert times.seconds[-1] == pytest.approx((parts * FRAMES - 1) / 25)


def test_packets_that_lack_in_a_transport_stream_are_no_joint(tmp_path: Path) -> None:
    path = CODINGS["h264 ts"].write(tmp_path)
    data = path.read_bytes()
    cut = len(data) // 2 // 188 * 188
    path.write_bytes(data[:cut] + data[cut + 3 * 188 :])
    with pytest.raises(VideoError, match="cannot be decoded from about frame"):
        frames_of(path)


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", bytes(4)])
def test_an_avi_that_was_written_to_a_pipe(size: bytes, tmp_path: Path) -> None:
    path = CODINGS["mjpeg avi"].write(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:4] + size + data[8:])
    assert missing_bytes(path) == 0
    assert count_frames(path) == FRAMES
    assert_seeks(path)
    path.write_bytes(path.read_bytes()[: len(data) // 2])
    assert (missing_bytes(path) or 0) > len(data) // 4
    with pytest.raises(VideoError, match=r"damaged or cut short|is truncated"):
        frames_of(path)
    movi = data.index(b"movi") - 4
    path.write_bytes(data[:4] + size + data[8:movi] + size + data[movi + 4 :])
    assert missing_bytes(path) is None
    assert count_frames(path) == FRAMES


def test_an_avi_of_several_chunks_that_lacks_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    chunk = b"RIFF" + (100).to_bytes(4, "little") + b"AVI " + bytes(96)
    second = b"RIFF" + (500).to_bytes(4, "little") + b"AVIX" + bytes(200)
    path.write_bytes(chunk + second)
    assert missing_bytes(path) == 500 - 204 - 1
    path.write_bytes(chunk + b"appended by the camera")
    assert missing_bytes(path) == 0


def test_the_case_of_a_piped_avi(shared: Path) -> None:
    path = shared / "cases" / "piped.avi"
    assert count_frames(path) == 100
    assert_seeks(path)
    with open_video(path) as video:
        assert video.times().seconds[-1] == pytest.approx(99 / 25)


def test_the_case_of_raw_mjpeg(shared: Path) -> None:
    path = shared / "cases" / "cam.mjpeg"
    assert count_frames(path) == 60
    assert (probe(path).fps, probe(path).rate) == (0.0, "invented")
    assert_seeks(path)
    with open_video(path) as video, pytest.raises(VideoError, match="does not state its frame rate"):
        video.times()


ODD = {
    "a.mjpeg": ("mjpeg", "yuvj420p", (64, 48)),
    "a.dv": ("dvvideo", "yuv420p", (720, 576)),
    "a.gif": ("gif", "rgb8", (64, 48)),
    "a.apng": ("apng", "rgb24", (64, 48)),
    "a.rm": ("rv10", "yuv420p", (352, 288)),
    "a.wtv": ("mpeg2video", "yuv420p", (64, 48)),
    "a.obu": ("libsvtav1", "yuv420p", (64, 64)),
    "a.mxf": ("mpeg2video", "yuv422p", (64, 48)),
    "qtrle.mov": ("qtrle", "rgb24", (64, 48)),
    "png.mov": ("png", "rgb24", (64, 48)),
    "prores.mov": ("prores", "yuv422p10le", (64, 48)),
    "cinepak.avi": ("cinepak", "rgb24", (64, 48)),
    "dv.avi": ("dvvideo", "yuv420p", (720, 576)),
    "huffyuv.avi": ("huffyuv", "rgb24", (64, 48)),
    "grey.avi": ("rawvideo", "gray", (64, 48)),
    "bgr.avi": ("rawvideo", "bgr24", (64, 48)),
    "msmpeg4.avi": ("msmpeg4", "yuv420p", (64, 48)),
    "zmbv.avi": ("zmbv", "bgr0", (64, 48)),
    "flashsv.flv": ("flashsv", "bgr24", (64, 48)),
    "hevc.mp4": ("libx265", "yuv420p", (64, 64)),
    "av1.mp4": ("libsvtav1", "yuv420p", (64, 64)),
    "a.y4m": ("wrapped_avframe", "yuv420p", (64, 48)),
}


@pytest.mark.parametrize("file", ODD)
def test_frames_after_seeks_in_every_container_and_coding(file: str, tmp_path: Path) -> None:
    encoder, pixels, (width, height) = ODD[file]
    path = tmp_path / file
    quiet = {"libx265": {"x265-params": "log-level=none:keyint=12"}, "libsvtav1": {"svtav1-params": "keyint=12"}}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=quiet.get(encoder, {"g": "12"}))
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for number, image in enumerate(scene(40, height, width)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert count_frames(path) == 40
    assert_seeks(path)
    bare = file in ("a.mjpeg", "a.obu")
    assert probe(path).fps == pytest.approx(0 if bare else 25)
    with open_video(path) as video:
        assert examine(video, 3, 37).seeks
        assert video.times(25 if bare else None).fps == pytest.approx(25, rel=0.001)

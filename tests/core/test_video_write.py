"""Writing videos: lossless where promised, the same bytes each time, all or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from video_samples import scene

from vidsuite_core.media import VideoError, content_hash, open_video, probe, write_video


def grey(dtype: str, shape: tuple[int, int] = (47, 63)) -> list[np.ndarray]:
    dice = np.random.default_rng(0)
    return [dice.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True) for _ in range(4)]


@pytest.mark.parametrize("frames", [grey("uint8"), grey("uint16"), [frame[:47, :63] for frame in scene(4)]])
def test_ffv1_gives_back_what_was_written(frames: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_video(path, frames, 29.97, "ffv1")
    with open_video(path) as video:
        assert video.info.fps == pytest.approx(29.97)
        assert np.array_equal(video.read(0, 4).squeeze(), np.stack(frames))
        assert np.array_equal(video.read(3, 4)[0].squeeze(), frames[3])
        write_video(tmp_path / "b.mkv", video.frames(), 29.97, "ffv1")
    assert content_hash(tmp_path / "b.mkv") == content_hash(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_h264_keeps_colours_and_levels(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    for colour in ((200, 200, 200), (10, 200, 90), (250, 5, 5)):
        write_video(path, [np.full((48, 64, 3), colour, np.uint8)] * 3, 25)
        with open_video(path) as video:
            assert np.abs(video.read(0, 3).astype(int) - colour).max() <= 5
    write_video(path, [np.full((48, 64), 77, np.uint8)] * 3, 25)
    assert probe(path).channels == 3
    with open_video(path) as video:
        assert np.abs(video.read(0, 3).astype(int) - 77).max() <= 2


def test_the_same_frames_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Also where memory that was just taken holds other bytes, which x264's mbtree would depend on."""
    script = (
        "import sys; from video_samples import scene; from vidsuite_core.media import write_video, content_hash\n"
        "for name, codec in (('a.mp4', 'h264'), ('a.mkv', 'ffv1')):\n"
        "    write_video(sys.argv[1] + name, scene(), 25, codec); print(content_hash(sys.argv[1] + name))\n"
    )
    printed = set()
    for fill in ("0", "85", "170"):
        environment = dict(os.environ, MALLOC_PERTURB_=fill, PYTHONPATH=str(Path(__file__).parent))
        command = [sys.executable, "-c", script, f"{tmp_path}/{fill}"]
        printed.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1


def test_a_lower_crf_is_closer(tmp_path: Path) -> None:
    sizes = []
    for crf in (10, 40):
        write_video(tmp_path / "a.mp4", scene(), 25, crf=crf)
        sizes.append((tmp_path / "a.mp4").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def broken() -> Iterator[np.ndarray]:
    yield from grey("uint8", (48, 64))
    raise RuntimeError("the camera fell")


@pytest.mark.parametrize(
    ("name", "frames", "codec", "says"),
    [
        ("a.mp4", [], "h264", "no frames to write"),
        ("a.mp4", grey("uint8"), "h264", "needs even sizes, not 63 x 47"),
        ("a.mp4", grey("uint16"), "h264", "h264 cannot hold frames of uint16 with 1 channels"),
        ("a.mkv", [np.zeros((4, 4, 3), np.float32)], "ffv1", "ffv1 cannot hold frames of float32"),
        ("a.mkv", [np.zeros((4, 4, 3), np.uint8)], "vp9", "vp9 cannot hold"),
        ("a.mkv", [np.zeros((4, 4, 2), np.uint8)], "ffv1", "with 2 channels"),
        ("a.mkv", [np.zeros(4, np.uint8)], "ffv1", r"frames of shape \(4,\)"),
        ("a.mp4", grey("uint8"), "ffv1", r"ffv1 is written to \.mkv"),
        ("a.avi", grey("uint8", (48, 64)), "h264", r"written to \.mp4 or \.mkv"),
        ("a.mkv", [*grey("uint8"), *grey("uint8", (4, 4))], "ffv1", "frame 4 is .*all must agree"),
    ],
)
def test_refusals_leave_no_file(name: str, frames: list[np.ndarray], codec: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=says):
        write_video(tmp_path / name, frames, 25, codec)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_frames_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="camera"):
        write_video(path, broken(), 25)
    with pytest.raises(VideoError, match="positive rate"):
        write_video(path, grey("uint8"), 0)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 1e308, 0, -1])
def test_a_rate_that_no_camera_has(fps: float, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="give a positive rate, up to 10000"):
        write_video(tmp_path / "v.mkv", [np.zeros((8, 8), np.uint8)], fps, codec="ffv1")

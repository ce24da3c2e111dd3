"""Recordings kept as image files."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidsuite_core.media import VideoError, VideoInfo, count_frames, open_video, probe
from vidsuite_core.media.images import image_files


def images(folder: Path, suffix: str, frames: list[np.ndarray]) -> list[Path]:
    files = []
    for number, frame in enumerate(frames):
        files.append(folder / f"{number:03}{suffix}")
        cv2.imwrite(str(files[-1]), frame[..., ::-1] if frame.ndim == 3 else frame)
    return files


def noise(shape: tuple[int, ...], dtype: str, count: int = 3) -> list[np.ndarray]:
    dice = np.random.default_rng(0)
    return [dice.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_lossless_formats(suffix: str, dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    frames = noise(shape, dtype)
    files = images(tmp_path, suffix, frames)
    truth = np.stack(frames).reshape(3, 20, 31, -1)
    assert probe(files) == VideoInfo(3, 0.0, 31, 20, truth.shape[3], dtype)
    assert count_frames(files) == 3
    with open_video(files) as video:
        assert np.array_equal(video.read(1, 3), truth[1:])
        assert np.array_equal(np.stack(list(video.frames())), truth)


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_jpeg(shape: tuple[int, ...], tmp_path: Path) -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 31, dtype=np.uint8)[:, None][None], (20, 31, 3)).copy()
    smooth[..., 0] = 200
    frame = smooth if len(shape) == 3 else smooth[..., 1]
    files = images(tmp_path, ".jpg", [frame])
    with open_video(files) as video:
        assert np.abs(video.read(0, 1)[0].squeeze().astype(int) - frame).mean() < 6


def test_alpha_is_dropped(tmp_path: Path) -> None:
    frame = noise((9, 8, 4), "uint8", 1)[0]
    cv2.imwrite(str(tmp_path / "a.png"), frame)
    with open_video([tmp_path / "a.png"]) as video:
        assert np.array_equal(video.read(0, 1)[0], frame[..., 2::-1])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_cut_image_is_named(suffix: str, tmp_path: Path) -> None:
    files = images(tmp_path, suffix, noise((40, 40), "uint8"))
    data = files[2].read_bytes()
    for share in (0.01, 0.5, 0.9):
        files[2].write_bytes(data[: int(share * len(data))])
        with open_video(files) as video:
            assert len(video.read(0, 2)) == 2
            with pytest.raises(VideoError, match=f"002{suffix}"):
                video.read(2, 3)


def test_images_that_differ(tmp_path: Path) -> None:
    files = images(
        tmp_path, ".png", [*noise((8, 8), "uint8", 1), *noise((8, 9), "uint8", 1), *noise((8, 8), "uint16", 1)]
    )
    with open_video(files) as video:
        assert len(video.read(0, 1)) == 1
        for number in (1, 2):
            with pytest.raises(VideoError, match=f"frame {number} is .*all must agree"):
                video.read(number, number + 1)
        with pytest.raises(VideoError, match="has 3 frames"):
            video.read(0, 4)


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="list of image files is empty"):
        open_video([])
    with pytest.raises(VideoError, match="cannot be read"):
        probe([tmp_path / "none.png"])
    (tmp_path / "a.png").write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(VideoError, match="is not a PNG, JPEG or TIFF"):
        probe([tmp_path / "a.png"])
    for content in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0\xff\xff\xff\x7f"):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(VideoError, match=r"a\.png"):
            probe([tmp_path / "a.png"])


def test_a_small_file_that_declares_a_huge_image_is_not_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(VideoError, match="60000 x 60000 pixels"):
        probe([tmp_path / "a.png"])


def test_real_frames(shared: Path) -> None:
    """Grey JPEGs and colour PNGs, by OpenCV's own account."""
    for folder, channels in (("embryo_zebrafish10/e01", 1), ("camvid11_mini/test", 3)):
        files = sorted(path for path in (shared / "data" / folder).iterdir() if path.suffix in (".jpg", ".png"))[:5]
        with open_video(files) as video:
            assert video.info.channels == channels
            frame = video.read(4, 5)[0]
        assert np.array_equal(frame[..., ::-1].squeeze(), cv2.imread(str(files[4]), cv2.IMREAD_UNCHANGED))


def test_frames_in_memory() -> None:
    frames = np.stack(noise((5, 7, 3), "uint16"))
    assert probe(frames) == VideoInfo(3, 0.0, 7, 5, 3, "uint16")
    with open_video(frames) as video:
        read = video.read(1, 3)
        assert np.array_equal(read, frames[1:])
        read[:] = 0
        assert np.array_equal(np.stack(list(video.frames())), frames)
    for wrong in (frames[0], frames[:0], frames[..., :2], frames.astype(np.float32)):
        with pytest.raises(VideoError, match="frames in memory are"):
            open_video(wrong)


def test_a_pipe_among_images_is_neither_waited_for_nor_a_frame(tmp_path: Path) -> None:
    files = images(tmp_path, ".png", noise((8, 8), "uint8"))
    os.mkfifo(tmp_path / "999.png")
    assert image_files(tmp_path) == files
    with pytest.raises(VideoError, match=r"999\.png: is no plain file"):
        probe([*files[:1], tmp_path / "999.png"][1:])

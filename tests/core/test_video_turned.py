"""Pictures that are stored turned or mirrored are read upright, as every player and viewer shows them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vidsuite_core.media import VideoError, open_video, probe
from vidsuite_core.media.images import read_image
from vidsuite_core.media.known import KNOWN
from vidsuite_core.media.turn import Turn, turn_of_matrix

WIDTH, HEIGHT = 64, 32
MATRICES = {  # a, b, c, d: a stored point (x, y) is shown at (a x + c y, b x + d y)
    "as stored": (1, 0, 0, 1),
    "turned by 90 degrees to the right": (0, 1, -1, 0),
    "turned by 180 degrees": (-1, 0, 0, -1),
    "turned by 90 degrees to the left": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "mirrored upside down": (1, 0, 0, -1),
    "turned by 90 degrees to the left and mirrored": (0, 1, 1, 0),
    "turned by 90 degrees to the right and mirrored": (0, -1, -1, 0),
}
EXIF = {  # by Exif 2.32, table 6: where the stored picture's first row and first column are shown
    1: "as stored",
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored upside down",
    5: "turned by 90 degrees to the left and mirrored",
    6: "turned by 90 degrees to the right",
    7: "turned by 90 degrees to the right and mirrored",
    8: "turned by 90 degrees to the left",
}


def picture(number: int = 0) -> np.ndarray:
    """A picture (H, W, 3) whose corners all differ."""
    image = np.full((HEIGHT, WIDTH, 3), 20 + number, np.uint8)
    image[:16, :32], image[:16, 32:], image[16:, :32] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    return image


def shown(stored: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """What a matrix makes of a picture, pixel by pixel."""
    a, b, c, d = matrix
    height, width = stored.shape[:2]
    y, x = np.mgrid[:height, :width]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    result = np.zeros((down.max() + 1, across.max() + 1, stored.shape[2]), stored.dtype)
    result[down, across] = stored
    return result


def fixed_point(matrix: tuple[float, float, float, float]) -> list[int]:
    a, b, c, d = (round(value * 65536) for value in matrix)
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


def write(path: Path, matrix: tuple[float, float, float, float], count: int = 40, encoder: str = "libx264") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options={"g": "10", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.set_display_matrix(fixed_point(matrix))
        for number in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("told", "suffix"),
    # Matroska has angles only
    [(told, suffix) for suffix in ("mp4", "mov", "mkv") for told in MATRICES if suffix != "mkv" or "mirr" not in told],
)
def test_videos_are_read_upright(told: str, suffix: str, tmp_path: Path) -> None:
    matrix = MATRICES[told]
    path = write(tmp_path / f"a.{suffix}", matrix)
    KNOWN.clear()
    truth = shown(picture(35), matrix)
    info = probe(path)
    assert info.shape == truth.shape
    assert info.notes == (
        () if told == "as stored" else (f"{told}, as the file says, from the 64 x 32 that it stores",)
    )
    for _ in range(2):  # the first reader finds out, the second is told
        with open_video(path) as video:
            for frame in (video.read(35, 36)[0], next(iter(video.frames(35)))):
                assert frame.flags.c_contiguous
                assert np.abs(frame.astype(int) - truth).max() < 12


def test_a_turn_by_no_quarter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="shown turned by no whole quarter"):
        probe(write(tmp_path / "a.mp4", (0.7071, 0.7071, -0.7071, 0.7071)))
    with pytest.raises(VideoError, match="no whole quarter"):
        turn_of_matrix(bytes(36), "a")


def test_a_quarter_that_was_measured_is_one() -> None:
    assert turn_of_matrix(struct.pack("=9i", *fixed_point((0.0005, 1.0, -1.0, 0.0005))), "a") == Turn(True, True, False)


def exif(orientation: int, order: str = "<") -> bytes:
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def jpeg(tags: bytes) -> bytes:
    data = cv2.imencode(".jpg", picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(tags) + 8) + b"Exif\0\0" + tags + data[2:]


def png(tags: bytes, image: np.ndarray) -> bytes:
    data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    chunk = b"eXIf" + tags
    return data[:33] + struct.pack(">I", len(tags)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", EXIF)
def test_images_are_read_upright(orientation: int, order: str, tmp_path: Path) -> None:
    told = EXIF[orientation]
    truth = shown(picture(), MATRICES[told])
    paths = [tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "grey.png"]
    grey = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[..., None]
    files = (
        jpeg(exif(orientation, order)),
        png(exif(orientation, order), picture()),
        png(exif(orientation, order), grey),
    )
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    assert np.abs(read_image(paths[0]).astype(int) - truth).mean() < 5  # JPEG halves colours
    assert np.array_equal(read_image(paths[1]), truth)
    assert np.array_equal(read_image(paths[2]), shown(grey, MATRICES[told]))
    with open_video(paths[:1] * 2) as video:
        assert video.info.shape == truth.shape
        assert video.info.notes == (() if orientation == 1 else (f"{told}, as the first image's tags say",))


@pytest.mark.parametrize("tags", [exif(9), exif(6)[:14], b"II*\0\xff\xff\xff\xff", b"", b"Exif"])
def test_broken_tags_turn_nothing(tags: bytes, tmp_path: Path) -> None:
    for name, data in (("a.jpg", jpeg(tags)), ("a.png", png(tags, picture()))):
        (tmp_path / name).write_bytes(data)
        assert read_image(tmp_path / name).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_tiff_is_turned_once(orientation: int, tmp_path: Path) -> None:
    """OpenCV turns TIFF by itself."""
    image = pytest.importorskip("PIL.Image")
    image.fromarray(picture()).save(tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    assert np.array_equal(read_image(tmp_path / "a.tif"), shown(picture(), MATRICES[EXIF[orientation]]))


def test_the_case_of_a_phone(shared: Path) -> None:
    path = shared / "cases" / "rot.mp4"
    info = probe(path)
    assert (info.width, info.height) == (96, 160)
    assert info.notes == ("turned by 90 degrees to the left, as the file says, from the 160 x 96 that it stores",)
    with open_video(path) as video, av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert np.array_equal(video.read(0, 1)[0], np.rot90(stored))

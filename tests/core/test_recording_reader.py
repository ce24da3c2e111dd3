"""The one reader: which frames, of which plane, at what size, and what it keeps and opens."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidsuite_core.errors import UsageError
from vidsuite_core.media import VideoError, images, open_video, reader, write_video
from vidsuite_core.media.framing import AS_STORED, Framing
from vidsuite_core.media.reader import Reader, first_frame, frame_size, to_uint8
from vidsuite_core.samples import ImageFiles, Recording


def recorded(*planes: object, frames: int = 20, **more: object) -> Recording:
    return Recording(**{"name": "r", "subject": "s", "fps": 10, "content": "c", **more}, planes=planes, frames=frames)


def in_memory(count: int = 20, shape: tuple[int, ...] = (6, 8, 1), **more: object) -> Recording:
    """Frame n is n everywhere."""
    frames = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, *shape))
    return recorded(frames, **{"frames": count, **more})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the image files that are decoded."""
    names: list[str] = []
    read = images.read_image

    def noted(file: Path) -> np.ndarray:
        names.append(file.name)
        return read(file)

    monkeypatch.setattr(images, "read_image", noted)
    return names


@pytest.fixture
def stills(tmp_path: Path) -> Recording:
    """20 PNG files of 8 x 6 pixels; frame n is 7 n everywhere."""
    names = tuple(f"{number:02}.png" for number in range(20))
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8), 7 * number, np.uint8))
    return recorded(ImageFiles(tmp_path, names))


def test_frames_come_in_the_order_that_is_asked_for() -> None:
    read = Reader().read(in_memory(first=3, frames=17), [5, 0, 5, 16])
    assert read.shape == (4, 6, 8, 1)
    assert read[:, 0, 0, 0].tolist() == [8, 3, 8, 19]


@pytest.mark.parametrize("memory", [0, 10**6])
def test_video_files_give_the_same_frames_however_they_are_reached(tmp_path: Path, memory: int) -> None:
    path = tmp_path / "v.mkv"
    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64), dtype=np.uint8)
    write_video(path, iter(frames), 25, "ffv1")
    recording = recorded(path, frames=38, first=2)
    one = Reader(memory)
    for index in (37, 0, 17, 16, 15):
        read = one.frame(recording, index)
        assert np.array_equal(read[..., 0], frames[index + 2])
        read[:] = 0
    assert np.array_equal(one.read(recording, range(38))[..., 0], frames[2:])  # what was kept is untouched


def test_image_lists_are_decoded_once_a_frame_that_is_asked_for(stills: Recording, decoded: list[str]) -> None:
    with open_video(stills.planes[0]) as video:
        assert decoded == []
        assert video.count() == 20
        assert video.read(7, 9)[:, 0, 0, 0].tolist() == [49, 56]
    assert decoded == ["07.png", "08.png"]
    decoded.clear()
    one = Reader(memory=10**6)
    for _ in range(2):
        assert one.read(stills, [19, 4, 4])[:, 0, 0, 0].tolist() == [133, 28, 28]
    assert decoded == ["04.png", "19.png"]


def test_of_a_video_file_single_frames_bring_those_around_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "v.mkv", []
    write_video(path, (np.full((16, 16), n, np.uint8) for n in range(40)), 25, "ffv1")
    monkeypatch.setattr(
        reader, "open_video", lambda source, seek: opened.append(source) or open_video(source, seek=seek)
    )
    one = Reader(memory=10**6)
    for index in (17, 31, 16, 20):
        assert one.frame(recorded(path, frames=40), index)[0, 0, 0] == index
    assert len(opened) == 1
    assert one.frame(recorded(path, frames=40), 39)[0, 0, 0] == 39
    assert len(opened) == 2


def test_the_memory_is_bounded(stills: Recording) -> None:
    one = Reader(memory=3 * 6 * 8)
    for index in range(20):
        one.frame(stills, index)
    assert len(one._kept) == 3
    assert one._bytes == 3 * 6 * 8


def test_planes_are_told_apart() -> None:
    recording = recorded(*(np.full((2, 4, 4, 1), plane, np.uint8) for plane in range(5)), frames=2)
    one = Reader(memory=10**6)
    assert [int(one.frame(recording, 1, plane=plane)[0, 0, 0]) for plane in (0, 4, 0)] == [0, 4, 0]
    assert one.frame(recording, 1)[0, 0, 0] == 2
    with pytest.raises(UsageError, match="'r' has 5 focal planes, no plane 5"):
        one.frame(recording, 0, plane=5)


@pytest.mark.parametrize("indices", [[-1], [20], [3, 25], []])
def test_frames_that_are_not_there_are_refused(indices: list[int]) -> None:
    with pytest.raises(UsageError, match="'r' has frames 0 to 19; asked for"):
        Reader().read(in_memory(), indices)


def test_a_missing_file_is_named_when_its_frame_is_read(stills: Recording, tmp_path: Path) -> None:
    (tmp_path / "04.png").unlink()
    assert Reader().read(stills, [3, 5]).shape[0] == 2
    with pytest.raises(VideoError, match=r"04\.png"):
        Reader().read(stills, [3, 4])


def test_sixteen_bits_become_eight_by_the_recordings_range() -> None:
    given = in_memory(value_range=(0, 2550))
    frames = np.array([-5, 0, 1275, 2550, 9999]).reshape(1, 1, 5, 1)
    assert to_uint8(frames, given).ravel().tolist() == [0, 0, 128, 255, 255]
    eight = np.array([[[[3]]]], np.uint8)
    assert to_uint8(eight, in_memory()) is eight
    assert to_uint8(np.array([51], np.uint8), replace(given, value_range=(0, 102))) == 128


def test_without_a_range_the_recordings_own_first_frame_decides() -> None:
    ramp = np.arange(6000, dtype=np.uint16).reshape(60, 100, 1)
    recording = recorded(np.stack([np.zeros_like(ramp), ramp, ramp * 2]), frames=2, first=1)
    low, high = np.percentile(ramp, [0.5, 99.5])
    assert to_uint8(np.array([[[[low]]]]), recording) == 0
    assert to_uint8(np.array([[[[high]]]]), recording) == 255
    assert first_frame(recording).shape == (60, 100, 3)
    assert frame_size(recording) == (60, 100)


def test_the_longest_side_is_fitted_and_the_rest_is_black() -> None:
    pad = Framing(size=(224, 224), fit="pad")
    fitted = pad.apply(np.full((424, 512, 1), 200, np.uint8))
    assert fitted.shape == (224, 224, 1)
    rows = np.flatnonzero(fitted[:, 112, 0])
    assert len(rows) == round(424 * 224 / 512) == 186  # the seizure paper's 512 x 424
    assert rows[0] == (224 - 186) // 2
    assert fitted[..., 0].max() == 200
    assert (pad.apply(np.full((10, 10, 3), 7, np.uint8)) == 7).all()


def test_channels_are_those_that_are_asked_for() -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[..., 0] = 200
    grey = Framing(channels=1).apply(colour)
    assert grey.shape == (4, 4, 1)
    assert grey[0, 0, 0] == round(0.299 * 200)
    assert Framing(channels=3).apply(grey).shape == (4, 4, 3)
    assert AS_STORED.apply(grey).shape == (4, 4, 1)
    for wrong in ({"channels": 2}, {"fit": "crop"}, {"interpolation": "cubic"}, {"size": (0, 4)}):
        with pytest.raises(UsageError):
            Framing(**wrong)


def test_boxes_move_with_the_pixels() -> None:
    frame = np.zeros((60, 100, 1), np.uint8)
    frame[20:40, 30:70] = 255
    cut = Framing(box=(10, 10, 90, 50), size=(160, 160), fit="pad")
    for framing in (Framing(size=(50, 50), fit="pad"), Framing(size=(40, 30)), cut, AS_STORED):
        rows, columns = np.nonzero(framing.apply(frame)[..., 0] > 127)
        (x1, y1, x2, y2) = framing.boxes(np.array([[30, 20, 70, 40]]), 100, 60)[0]
        assert (x1, y1, x2, y2) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert AS_STORED.boxes(np.zeros((0, 4)), 100, 60).shape == (0, 4)


def test_a_clip_takes_the_memory_of_what_is_shown(tmp_path: Path) -> None:
    """1,000 frames of 640 x 480 in 7 planes: 2 GB as they are stored, 11 MB as they are shown."""
    names = ("0.png",) * 1000
    cv2.imwrite(str(tmp_path / "0.png"), np.full((480, 640), 9, np.uint8))
    recording = recorded(*[ImageFiles(tmp_path, names)] * 7, frames=1000)
    tracemalloc.start()
    shown = [Reader().read(recording, range(1000), Framing(size=(40, 40)), plane) for plane in range(2)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sum(one.nbytes for one in shown) + 4e6

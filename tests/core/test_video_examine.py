"""What an import finds out of a recording: whether seeks are right, and hashes to compare decoders by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from field_coded import write_fields
from video_samples import CODINGS, FRAMES

from vidsuite_core.media import (
    VideoError,
    decoder_version,
    differing_frames,
    examine,
    frame_hashes,
    open_video,
    write_video,
)
from vidsuite_core.media.known import KNOWN


def test_hashes_are_of_pixels_whatever_coded_them(tmp_path: Path) -> None:
    frames = [np.full((8, 6, 3), n, np.uint8) for n in range(9)]
    write_video(tmp_path / "a.mkv", iter(frames), 25, "ffv1")
    write_video(tmp_path / "b.mkv", iter(frames), 10, "ffv1")
    first = frame_hashes(tmp_path / "a.mkv")
    assert list(first) == [0, 2, 4, 6, 8]
    assert first == frame_hashes(tmp_path / "b.mkv") == frame_hashes(np.stack(frames))
    assert list(frame_hashes(tmp_path / "a.mkv", 3, 5)) == [3, 4]
    assert len(set(first.values())) == 5
    grey = np.stack(frames)[..., :1]
    assert not set(first.values()) & set(frame_hashes(grey).values())


def test_differing_frames_are_named(tmp_path: Path) -> None:
    path = CODINGS["h264 mp4"].write(tmp_path)
    recorded = frame_hashes(path)
    assert differing_frames(path, recorded) == []
    number = sorted(recorded)[2]
    assert differing_frames(path, {**recorded, number: "0" * 64}) == [number]
    assert differing_frames(path, {}) == []


def test_examining_decodes_all_and_tells_of_each(tmp_path: Path) -> None:
    path, seen = CODINGS["h264 mp4, open groups"].write(tmp_path), []
    with open_video(path) as video:
        found = examine(video, 4, FRAMES, seen.append)
    assert seen == list(range(4, FRAMES))
    assert found.seeks
    assert found.hashes == frame_hashes(path, 4)
    with open_video(path) as video, pytest.raises(VideoError, match="has 50 frames"):
        examine(video, 4, FRAMES + 1)


def test_a_stream_that_lies_of_where_it_can_be_begun_at_is_read_from_its_start(tmp_path: Path) -> None:
    path = write_fields(tmp_path / "a.mkv", lying=True)
    with open_video(path) as video:
        truth = video.read(0, 40)
        found = examine(video, 0, 40)
    assert not found.seeks
    with open_video(path) as video:
        assert not np.array_equal(video.read(35, 36)[0], truth[35])
    for informed in (True, False):
        if not informed:
            KNOWN.clear()
        with open_video(path, seek=False) as video:
            for number in (39, 21, 35):
                assert np.array_equal(video.read(number, number + 1)[0], truth[number])
    assert differing_frames(path, found.hashes, seek=False) == []


def test_images_have_no_seeks_that_could_fail() -> None:
    with open_video(np.zeros((6, 4, 4, 1), np.uint8)) as video:
        assert examine(video, 0, 6).seeks


def test_the_decoder_is_named_with_its_libraries() -> None:
    import av

    assert decoder_version().startswith(f"PyAV {av.__version__}, libavcodec ")

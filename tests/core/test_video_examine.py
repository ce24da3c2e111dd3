"""What an import finds out of a recording: whether seeks are right, and hashes to compare decoders by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from field_coded import write_fields
from helpers import make_cell, make_record
from video_samples import CODINGS, FRAMES

from vidsuite_core.media import (
    VideoError,
    decoded_frames,
    decoder_version,
    differing_frames,
    examine,
    frame_hashes,
    open_video,
    write_video,
)
from vidsuite_core.media.known import KNOWN
from vidsuite_core.results.record import Record
from vidsuite_core.runner.reproduce import pixels
from vidsuite_core.samples import Recording


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


def recording(name: str, source: object, frames: int, **more: object) -> Recording:
    planes = (source,)
    return Recording(name=name, subject="s", planes=planes, frames=frames, fps=25, content=name, **more)  # type: ignore[arg-type]


def test_a_few_frames_stand_for_what_a_cell_decodes(tmp_path: Path) -> None:
    path = CODINGS["h264 mp4"].write(tmp_path)
    listed = [recording(str(n), np.full((5, 4, 4, 1), n, np.uint8), 5) for n in range(4)]
    listed.append(recording("film", path, 20, first=30))
    told = decoded_frames([listed[0], *listed, listed[0]])
    assert told["decoder"] == decoder_version()
    assert list(told["frames"]) == ["0#0", "0#4", "2#0", "2#4", "film#0", "film#19"]
    hashes = frame_hashes(path, 30, 50)
    assert [told["frames"][f"film#{n}"] for n in (0, 19)] == [hashes[30], hashes[49]]
    path.write_bytes(path.read_bytes()[:-2000])
    assert list(decoded_frames(listed[3:])["frames"])[:2] == ["3#0", "3#4"]


def test_a_record_says_whether_another_decoded_other_pixels() -> None:
    def record(frames: object) -> Record:
        return make_record(make_cell(), "20260101T000000-00000000", details={"decoded": {"frames": frames}})

    old = record({"a#0": "1", "a#9": "2", "gone#0": "3"})
    assert pixels(old, record({"a#0": "1", "a#9": "2"})) == "the same in 2 frames that were compared"
    told = pixels(old, record({"a#0": "1", "a#9": "x", "new#0": "4"}))
    assert told == "other ones in 1 of 2 frames that were compared, as a#9: another decoder"
    for strange in (record({}), record(["a#0"]), record(None), make_record(make_cell(), "20260101T000000-00000000")):
        assert pixels(old, strange) is None

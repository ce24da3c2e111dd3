"""Damaged, missing and foreign files: one line that names the file, and never fewer or false frames."""

from __future__ import annotations

import random
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from video_samples import CODINGS, FRAMES, Coding, scene

from vidsuite_core.media import VideoError, base, count_frames, file, open_video, probe, write_video
from vidsuite_core.media.containers import missing_bytes

CUT = ["h264 mp4", "h264 mkv, open groups", "h264 ts", "mpeg4 avi, b frames", "mpeg2 vob", "vp9 webm, hidden frames"]


def read_all(path: Path) -> list[np.ndarray]:
    with open_video(path) as video:
        return list(video.frames())


@pytest.mark.parametrize("name", CUT)
def test_a_cut_file_gives_an_error_and_no_short_read(name: str, tmp_path: Path) -> None:
    whole = CODINGS[name].write(tmp_path)
    data = whole.read_bytes()
    cut = tmp_path / f"cut{whole.suffix}"
    for share in (0.3, 0.5, 0.7, 0.95):
        # A transport stream that is cut at a multiple of its 188 bytes can look whole.
        cut.write_bytes(data[: int(share * len(data)) // 188 * 188 - 7])
        with pytest.raises(VideoError) as fault:
            read_all(cut)
        assert str(cut) in str(fault.value)
        assert "\n" not in str(fault.value)
        with pytest.raises(VideoError):
            count_frames(cut)


def test_a_cut_file_gives_its_first_frames_and_names_the_first_that_lacks(tmp_path: Path) -> None:
    path = Coding("a.mkv", "libx264", {"g": "5", "bf": "0"}).write(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    with open_video(path) as video:
        assert len(video.read(0, 20)) == 20
        with pytest.raises(VideoError, match=r"truncated.*frames from \d+ on"):
            video.read(20, FRAMES)


@pytest.mark.parametrize("name", ["h264 mp4", "mpeg4 avi, b frames", "mpeg2 ts", "mjpeg avi"])
def test_a_damaged_file_gives_an_error_that_names_a_frame(name: str, tmp_path: Path) -> None:
    """Random bytes in the middle. Some damage decodes to other pixels, which no decoder can tell."""
    path = CODINGS[name].write(tmp_path)
    data = path.read_bytes()
    told = 0
    for seed in range(8):
        dice = random.Random(seed)
        place = dice.randrange(len(data) // 3, 2 * len(data) // 3)
        path.write_bytes(data[:place] + dice.randbytes(300) + data[place + 300 :])
        try:
            assert len(read_all(path)) == FRAMES
        except VideoError as error:
            assert "frame" in str(error)
            told += 1
    assert told >= 6


def test_ffv1_checksums_are_checked(tmp_path: Path) -> None:
    """FFmpeg itself conceals such a slice without a word."""
    path = tmp_path / "a.mkv"
    write_video(path, (frame[..., 0] for frame in scene()), 25, "ffv1")
    data = path.read_bytes()
    place = len(data) // 2
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(VideoError, match=r"cannot be decoded from about frame 2\d on"):
        read_all(path)


def test_reads_go_on_after_an_error(tmp_path: Path) -> None:
    path = CODINGS["mpeg4 avi, b frames"].write(tmp_path)
    data = path.read_bytes()
    place = len(data) * 2 // 3
    path.write_bytes(data[:place] + bytes(400) + data[place + 400 :])
    with open_video(path) as video:
        first = video.read(0, 5)
        with pytest.raises(VideoError):
            video.read(0, FRAMES)
        assert np.array_equal(video.read(0, 5), first)


def test_a_size_that_changes(tmp_path: Path) -> None:
    path = Coding("a.m2v", "mpeg2video").write(tmp_path)
    large = tmp_path / "b.m2v"
    with av.open(str(large), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for pixels in scene(5, 80, 96):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes() + large.read_bytes())
    with pytest.raises(VideoError, match=r"frame (49|50) has 96 x 80 pixels, the first 64 x 48"):
        read_all(path)


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="is a folder; give the list"):
        open_video(tmp_path)
    for name, content, seen in (
        ("a.mp4", b"", "it is empty"),
        ("b.mp4", b"hello " * 500, "it is text that begins with 'hello hello"),
        ("c.m3u8", b"#EXTM3U\n#EXTINF:1,\na.ts\n", "it is a play list, which names other files"),
        ("d.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:4\n", "it is a git-lfs pointer"),
        ("e.mp4", b"PK\3\4" + bytes(500), "it is a zip archive"),
        ("f.py", b"import sys\n", "it is text that begins with 'import sys'"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VideoError, match=f"is not a video that can be read: {seen}") as fault:
            open_video(tmp_path / name)
        assert "\n" not in str(fault.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="is no plain file"):
        open_video(tmp_path / "a.mp4")


def test_a_video_without_its_header_is_named_as_what_it_is(tmp_path: Path) -> None:
    path = CODINGS["h264 mp4"].write(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(VideoError, match="is an MP4 or MOV by its first bytes, but its header is damaged or lost"):
        open_video(path)


def test_an_unknown_coding_is_named(tmp_path: Path) -> None:
    path = CODINGS["mjpeg avi"].write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"XYZ0"))
    with pytest.raises(VideoError, match="is coded as 'XYZ0', for which FFmpeg has no decoder here"):
        open_video(path)


def test_a_play_list_cannot_open_another_file(tmp_path: Path) -> None:
    CODINGS["h264 ts"].write(tmp_path)
    script = tmp_path / "a.ffconcat"
    script.write_text("ffconcat version 1.0\nfile i.ts\n")
    with pytest.raises(VideoError, match="is not a video"):
        open_video(script)


def test_a_path_is_never_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4"):
        with pytest.raises(VideoError, match="no such file"):
            open_video(address)


def test_sound_alone_has_no_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="has no video stream"):
        open_video(path)
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(VideoError, match="is not a video"):
        open_video(tmp_path / "a.wav")


def test_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        container.start_encoding()
    with pytest.raises(VideoError, match="holds no frames"):
        read_all(path)


def test_frames_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = CODINGS["h264 mp4"].write(tmp_path)
    monkeypatch.setattr(file, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(VideoError, match="64 x 48 pixels; 1 to 1000 pixels can be read"):
        probe(path)
    assert base.MAX_FRAME_PIXELS == 2**28


def test_missing_bytes_of_whole_and_cut_files(tmp_path: Path) -> None:
    for name, tells in {"h264 mp4": True, "h264 mkv, open groups": True, "mjpeg avi": True, "mpeg2 vob": False}.items():
        path = CODINGS[name].write(tmp_path)
        assert missing_bytes(path) == (0 if tells else None)
        path.write_bytes(path.read_bytes()[:-10])
        assert missing_bytes(path) in ((9, 10) if tells else (None,))
    stream = CODINGS["h264 ts"].write(tmp_path)
    assert missing_bytes(stream) is None
    stream.write_bytes(stream.read_bytes()[:-10])
    assert missing_bytes(stream) == 10

"""Small videos for the tests, coded in the ways that make seeking hard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAMES, HEIGHT, WIDTH = 50, 48, 64
X264 = "x264-params"


def scene(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) that all differ: a texture that drifts, and a square that crosses it."""
    texture = np.random.default_rng(0).integers(0, 255, (height // 4 + count, width // 4 + count, 3))
    texture = texture.astype(np.uint8).repeat(4, 0).repeat(4, 1)
    for number in range(count):
        frame = texture[2 * number : 2 * number + height, number : number + width].copy()
        frame[8:24, 5 * number % width : 5 * number % width + 16] = number * 5
        yield frame


@dataclass(frozen=True)
class Coding:
    """How a test file is coded; `times` gives a frame's time stamp in units of `unit`."""

    file: str
    encoder: str
    options: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    b_frames: int | None = None
    times: Callable[[int], int] = int
    unit: Fraction = Fraction(1, 25)

    def write(self, folder: Path) -> Path:
        path = folder / self.file
        with av.open(str(path), "w") as container:
            stream = container.add_stream(self.encoder, rate=25, options=self.options)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, self.pixels
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = self.unit
            if self.b_frames is not None:
                stream.codec_context.max_b_frames = self.b_frames
            for number, pixels in enumerate(scene()):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=self.pixels)
                frame.pts, frame.time_base = self.times(number), self.unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path


OPEN_GOPS = {X264: "keyint=12:min-keyint=12:open-gop=1:bframes=3:b-pyramid=normal:b-adapt=0:scenecut=0"}
CODINGS = {
    "h264 mp4": Coding("a.mp4", "libx264", {"g": "12"}),
    "h264 mp4, open groups": Coding("b.mp4", "libx264", OPEN_GOPS),
    "h264 mkv, open groups": Coding("c.mkv", "libx264", OPEN_GOPS),
    "h264 avi, no time stamps": Coding("d.avi", "libx264", OPEN_GOPS),
    "h264 mp4, intra refresh": Coding("e.mp4", "libx264", {X264: "keyint=12:intra-refresh=1:bframes=0"}),
    "h264 mp4, uneven times": Coding(
        "f.mp4", "libx264", {"g": "12"}, times=lambda n: n * n + 7 * n, unit=Fraction(1, 1000)
    ),
    "h264 mkv, late start": Coding("g.mkv", "libx264", {"g": "12"}, times=lambda n: n + 500),
    "h264 mp4, edit list": Coding("h.mp4", "libx264", {"g": "12"}, times=lambda n: n - 7),
    "h264 ts": Coding("i.ts", "libx264", {"g": "12"}),
    "h264 elementary stream": Coding("j.h264", "libx264", {"g": "12"}),
    "mpeg4 avi, b frames": Coding("k.avi", "mpeg4", {"g": "12"}, b_frames=2),
    "mpeg4 mp4, b frames": Coding("l.mp4", "mpeg4", {"g": "12"}, b_frames=2),
    "mpeg2 vob": Coding("m.vob", "mpeg2video", {"g": "12"}, b_frames=2),
    "mpeg2 ts": Coding("n.ts", "mpeg2video", {"g": "12"}, b_frames=2),
    "vp8 webm, hidden frames": Coding("o.webm", "libvpx", {"g": "24", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9 webm, hidden frames": Coding("p.webm", "libvpx-vp9", {"g": "24", "auto-alt-ref": "1", "cpu-used": "8"}),
    "mjpeg avi": Coding("q.avi", "mjpeg", pixels="yuvj420p"),
    "wmv2 asf": Coding("r.asf", "wmv2", {"g": "12"}),
}


def without_first_packets(source: Path, target: Path, dropped: int) -> Path:
    """A copy that begins in the middle of a group of pictures, as recordings of broadcasts do."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size and number >= dropped:
                packet.stream = stream
                new.mux(packet)
    return target


def decoded(path: Path) -> np.ndarray:
    """All frames as PyAV decodes them in order, (T, H, W, 3) uint8."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

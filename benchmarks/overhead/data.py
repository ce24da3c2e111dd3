"""Clips decoded and prepared a second: vidsuite's reader, plain PyAV, and mmaction2's pipeline with decord."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vidsuite_benchmarks.overhead.common import Figure, in_turn, ratio

FRAMES, WIDTH, HEIGHT, CLIP, SIDE, CLIPS = 250, 640, 360, 16, 224, 8
THREADS = 2


def clips(scratch: Path, options: Any) -> Iterator[Figure]:
    """Clips of 16 frames at random places of an H.264 file, brought to 224 x 224; the file is opened for each."""
    path = scratch / "street.mp4"
    _write(path)
    starts = random.Random(0).choices(range(FRAMES - CLIP), k=CLIPS)
    calls = {"vidsuite": lambda: _vidsuite(path, starts), "PyAV": lambda: _pyav(path, starts)}
    if _has_decord():
        calls["mmaction2, decord"] = lambda: _mmaction(path, starts)
    first = {name: _first(name, path, starts[0]) for name in calls}
    for name, clip in first.items():
        if (
            np.abs(clip.astype(int) - first["PyAV"]).mean() > 4
        ):  # other colour conversions differ by a grey value or two
            raise RuntimeError(f"{name} gives another clip than PyAV")
    taken = in_turn(calls, options.rounds)
    ours = taken["vidsuite"]
    for name, theirs in taken.items():
        if name != "vidsuite":
            yield Figure(
                f"clips/s, vidsuite over {name}", ratio(theirs, ours), "x", 0.9 if name == "PyAV" else None, least=True,
                of=f"{CLIPS / statistics.median(ours):.1f} against {CLIPS / statistics.median(theirs):.1f} clips/s",
                samples=tuple(b / a for a, b in zip(ours, theirs, strict=True)),
            )  # fmt: skip


def _write(path: Path) -> None:
    """A moving pattern with some noise, as H.264 in groups of pictures of its encoder's choice."""
    from vidsuite_core.media import write_video

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, : WIDTH + FRAMES]
    scene = np.stack([128 + 90 * np.sin(rows / 17 + columns / (11 + channel)) for channel in range(3)], axis=2)
    scene = np.clip(scene + rng.normal(0, 8, scene.shape), 0, 255).astype(np.uint8)
    write_video(path, (scene[:, number : number + WIDTH] for number in range(FRAMES)), 25, codec="h264")


def _sample(path: Path, start: int) -> Any:
    from vidsuite_core.samples import ClipSample, Recording

    recording = Recording(name="street", subject="s", planes=(path,), frames=FRAMES, fps=25, content="0" * 64)
    return ClipSample(id="c", footage=recording, label=0, start=start, stop=start + CLIP)


def _vidsuite(path: Path, starts: list[int]) -> np.ndarray:
    from vidsuite_core.engine.data.clips import ReadClip

    read = ReadClip(size=SIDE, fit="stretch")
    for start in starts:
        clip: np.ndarray = read({"sample": _sample(path, start)})["clip"]
    return clip


def _pyav(path: Path, starts: list[int]) -> np.ndarray:
    """As PyAV's own examples do it: seek to the key frame before, decode, convert, resize."""
    import av
    import cv2

    for start in starts:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count, stream.codec_context.thread_type = THREADS, "AUTO"
            rate = stream.average_rate
            container.seek(int(start / rate / stream.time_base), stream=stream)
            frames: list[np.ndarray] = []
            for frame in container.decode(stream):
                if round(frame.pts * stream.time_base * rate) >= start:
                    pixels = frame.to_ndarray(format="rgb24")
                    frames.append(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
                if len(frames) == CLIP:
                    break
    return np.stack(frames)


def _mmaction(path: Path, starts: list[int]) -> np.ndarray:
    from mmaction.datasets.transforms import DecordDecode, DecordInit, Resize

    steps = [DecordInit(num_threads=THREADS), DecordDecode(), Resize(scale=(SIDE, SIDE), keep_ratio=False)]
    for start in starts:
        results: dict[str, Any] = {
            "filename": str(path),
            "frame_inds": np.arange(start, start + CLIP),
            "modality": "RGB",
        }
        for step in steps:
            results = step(results)
    return np.stack(results["imgs"])


def _first(name: str, path: Path, start: int) -> np.ndarray:
    readers = {"vidsuite": _vidsuite, "PyAV": _pyav, "mmaction2, decord": _mmaction}
    return readers[name](path, [start])


def _has_decord() -> bool:
    from vidsuite_core import openmmlab

    openmmlab.prepare()
    try:
        import decord  # noqa: F401
    except ImportError:
        print("mmaction2's pipeline is left out: decord is not installed")
        return False
    return True

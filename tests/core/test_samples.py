"""Recordings and the samples that refer to them."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import (
    ClipSample,
    FrameSample,
    ImageFiles,
    KeyFrameSample,
    MomentsSample,
    Recording,
    split_by_time,
)

FOOTAGE = Recording(name="r", subject="s", planes=(Path("v.mp4"),), frames=30, fps=10, content="c")


def test_image_files_are_a_sequence_of_paths() -> None:
    files = ImageFiles(Path("a"), ("b/0.png", "b/1.png", "2.png"))
    assert list(files) == [Path("a/b/0.png"), Path("a/b/1.png"), Path("a/2.png")]
    assert files[-1] == Path("a/2.png")
    assert files[1:] == ImageFiles(Path("a"), ("b/1.png", "2.png"))
    assert len(files) == 3
    assert Path("a/b/1.png") in files


def test_a_sample_tells_its_recordings_subject_and_name() -> None:
    samples = [
        ClipSample(id="c", footage=FOOTAGE, label=0, start=0, stop=30),
        FrameSample(id="f", footage=FOOTAGE, index=29, labels=Path("l.png")),
        MomentsSample(id="m", footage=FOOTAGE, label=1, moments=((0, 10), (10, 10), (10, 30))),
        KeyFrameSample(id="k", footage=FOOTAGE, index=0, boxes=((0, 0, 1, 1),), classes=(3,)),
    ]
    assert {(sample.subject, sample.recording, sample.split) for sample in samples} == {("s", "r", "")}
    assert samples[2].counts == (True, False, True)
    assert pickle.loads(pickle.dumps(samples)) == samples


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ClipSample(id="x", footage=FOOTAGE, label=0, start=0, stop=31), "'x' names frames beyond"),
        (lambda: ClipSample(id="x", footage=FOOTAGE, label=0, start=-1, stop=3), "'x' names frames beyond"),
        (lambda: ClipSample(id="x", footage=FOOTAGE, label=0, start=3, stop=3), "a clip of no frames"),
        (lambda: FrameSample(id="x", footage=FOOTAGE, index=30, labels=Path()), "'x' names frames beyond"),
        (lambda: MomentsSample(id="x", footage=FOOTAGE, label=0, moments=((0, 0),)), "no moment with a frame"),
        (lambda: MomentsSample(id="x", footage=FOOTAGE, label=0, moments=((0, 31),)), "'x' names frames beyond"),
        (lambda: KeyFrameSample(id="x", footage=FOOTAGE, index=1, classes=(1,)), "0 boxes and 1 classes"),
        (lambda: replace(FOOTAGE, frames=0), "'r' needs a tuple of planes"),
        (lambda: replace(FOOTAGE, planes=Path("v.mp4")), "'r' needs a tuple of planes"),
        (lambda: replace(FOOTAGE, planes=()), "'r' needs a tuple of planes"),
        (lambda: replace(FOOTAGE, fps=0), "0 frames a second"),
        (lambda: replace(FOOTAGE, fps=float("nan")), "nan frames a second"),
        (lambda: replace(FOOTAGE, times=[0.0]), "1 times for 30 frames"),
        (lambda: replace(FOOTAGE, times=[0.0] * 30), "do not rise"),
        (lambda: replace(FOOTAGE, times=[*range(29), float("inf")]), "not finite"),
        (lambda: replace(FOOTAGE, times=[*range(29), float("nan")]), "not finite"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: object, words: str) -> None:
    with pytest.raises(VidsuiteError, match=words):
        make()  # type: ignore[operator]


def test_frames_have_times() -> None:
    assert FOOTAGE.time(15) == 1.5
    hours = replace(FOOTAGE, times=[3600.0 * n * n for n in range(30)])
    assert hours.time(3) == 9 * 3600
    assert split_by_time(FOOTAGE, [0, 1, 1.05, 9]) == ((0, 10), (10, 11), (11, 30))
    # Frames at 0, 1, 4, 9, 16 and 25 h: six hours hold three, the next one, then one, and then none is left out.
    assert split_by_time(hours, [6 * 3600 * k for k in range(5)]) == ((0, 3), (3, 4), (4, 5), (5, 5))


def test_memory_grows_with_frames_alone() -> None:
    """40,000 labelled frames of one recording; each held a tuple of all paths once, which took gigabytes."""

    def size(frames: int) -> int:
        tracemalloc.start()
        folder = Path("/data/drive")
        names = tuple(f"frames/{number:06d}.png" for number in range(frames))
        recording = Recording(
            name="r", subject="s", planes=(ImageFiles(folder, names),), frames=frames, fps=25, content="c"
        )
        samples = [
            FrameSample(id=f"r/{n:06d}", footage=recording, index=n, labels=folder / f"labels/{n:06d}.png")
            for n in range(frames)
        ]
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(samples) == frames
        return taken

    size(10)  # what is imported on the way
    assert size(4_000) < 4_000 * 1_000
    assert size(40_000) < 40_000 * 1_000

"""How fast vidsuite decodes video files on this machine, against OpenCV and decord.

    python benchmarks/speed/decode.py FILE ... [--threads 2] [--rounds 5] [--clip 16] [--clips 8]

`whole` reads a file from the first frame to the last, `clips` reads clips at random places, all of them
by one open reader; opening counts in both. All readers run in turn in each round, in one process and in
another order each round, so that a busy machine slows all of them; a ratio is the median over the rounds
of vidsuite's rate over the other's in the same round, so above 1 vidsuite is the faster. One untimed
round comes first. OpenCV gives BGR and is not charged for a conversion, and its seeks need not be exact;
a reader that is not installed or cannot read the file shows as "-".
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vidsuite_core.media import count_frames, open_video

Ranges = Sequence[tuple[int, int]]
Reader = Callable[[Path, Ranges | None, int], int]
"""(file, frame ranges or None for the whole file, threads) -> frames read."""


def main() -> None:
    options = parse()
    readers: dict[str, Reader] = {"vidsuite": read_vidsuite, "cv2": read_cv2, "decord": read_decord}
    print(f"frames/s, median of {options.rounds} rounds, {options.threads} decoder threads\n")
    print(f"{'file':28} {'what':6}" + "".join(f"{name:>10}" for name in readers) + f"{'x cv2':>9}{'x decord':>9}")
    for file in options.files:
        for what, ranges in (("whole", None), ("clips", draw(file, options))):
            rates = time_in_turn(readers, file, ranges, options)
            print(f"{file.name[:28]:28} {what:6}" + "".join(rate_column(rates[name]) for name in readers), end="")
            print("".join(ratio_column(rates["vidsuite"], rates[name]) for name in ("cv2", "decord")), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clip", type=int, default=16, help="frames a clip")
    parser.add_argument("--clips", type=int, default=8, help="clips a file")
    return parser.parse_args()


def draw(file: Path, options: argparse.Namespace) -> Ranges:
    """Clips at random places, the same in every run."""
    count = count_frames(file)
    length = min(options.clip, count)
    starts = random.Random(0).choices(range(count - length + 1), k=options.clips)
    return [(start, start + length) for start in starts]


def time_in_turn(
    readers: dict[str, Reader], file: Path, ranges: Ranges | None, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Frames/s of each round by reader; an empty list where a reader cannot read the file."""
    rates: dict[str, list[float]] = {name: [] for name in readers}
    able = list(readers)
    for number in range(options.rounds + 1):
        for name in able[number % len(able) :] + able[: number % len(able)]:
            begin = time.perf_counter()
            frames = readers[name](file, ranges, options.threads)
            if number:
                rates[name].append(frames / (time.perf_counter() - begin))
            elif not frames:
                able.remove(name)
    return rates


def read_vidsuite(file: Path, ranges: Ranges | None, threads: int) -> int:
    with open_video(file, threads) as video:
        if ranges is None:
            return sum(1 for _ in video.frames())
        return sum(len(video.read(start, stop)) for start, stop in ranges)


def read_cv2(file: Path, ranges: Ranges | None, threads: int) -> int:
    import cv2

    capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    if ranges is None:
        frames = 0
        while capture.read()[0]:
            frames += 1
        return frames
    frames = 0
    for start, stop in ranges:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        frames += sum(capture.read()[0] for _ in range(start, stop))
    return frames


def read_decord(file: Path, ranges: Ranges | None, threads: int) -> int:
    try:
        import decord

        reader = decord.VideoReader(str(file), num_threads=threads)
        if ranges is None:
            return sum(len(frame.asnumpy()) > 0 for frame in reader)
        return sum(len(reader.get_batch(range(start, stop)).asnumpy()) for start, stop in ranges)
    except (ImportError, RuntimeError):  # decord's own errors are RuntimeErrors
        return 0


def rate_column(rates: list[float]) -> str:
    return f"{statistics.median(rates):10.0f}" if rates else f"{'-':>10}"


def ratio_column(ours: list[float], theirs: list[float]) -> str:
    if not theirs:
        return f"{'-':>9}"
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):9.2f}"


if __name__ == "__main__":
    main()

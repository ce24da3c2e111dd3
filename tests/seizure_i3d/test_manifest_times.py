"""Seconds and rates in the manifest: presentation times, and the user's own rate before all others."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from vidsuite_core.engine.data.clips import ReadClip
from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.seizure_i3d.manifest import Recordings


def manifest(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["recording", "path", "subject", "class", "start", "end", "fps"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(recording: str, path: str, label: str, **more: str) -> dict[str, str]:
    return {"recording": recording, "path": path, "subject": recording, "class": label, **more}


def film(path: Path, times: list[int], unit: int = 100) -> Path:
    """A video of 32 x 32 pixels whose frame n is shown `times[n]` / unit seconds after the start."""
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, unit)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, unit)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_seconds_are_times_at_which_frames_are_shown(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [*range(0, 500, 10), *range(500, 1000, 2)])  # 10 frames/s for 5 s, then 50
    dataset = Recordings(tmp_path / "root")
    rows = row("slow", "a.mkv", "x", end="5"), row("fast", "a.mkv", "y", start="5", end="10")
    line = dataset.import_from(manifest(tmp_path, *rows))
    assert "note: rows 2 and 3: varies its rate, 10 to 50 frames/s; clips are shown at 30" in line
    fast, slow = dataset.recordings()
    assert (slow.start, slow.stop, fast.start, fast.stop) == (0, 50, 50, 300)
    assert slow.times == pytest.approx(np.arange(50) / 10, abs=0.001)
    assert fast.times == pytest.approx(5 + np.arange(250) / 50, abs=0.001)
    assert Recordings(tmp_path / "root").recordings() == (fast, slow)


def test_clips_of_a_rate_that_varies_are_as_long_as_others(tmp_path: Path) -> None:
    """Shown at 30 frames/s: 5 s are 150 frames, whether 50 or 250 are stored; each shows what was on at its time."""
    film(tmp_path / "a.mkv", [*range(0, 500, 10), *range(500, 1000, 2)])
    dataset = Recordings(tmp_path / "root")
    rows = row("slow", "a.mkv", "x", end="5"), row("fast", "a.mkv", "y", start="5", end="10")
    dataset.import_from(manifest(tmp_path, *rows))
    samples = dataset.samples()
    assert [sample.id for sample in samples] == [f"{name}/{n:06d}" for name in ("fast", "slow") for n in (0, 60, 120)]
    read = ReadClip(size=None, channels=1)
    for sample, length in zip(samples, [60, 60, 30] * 2, strict=True):
        item = read({"sample": sample})
        assert (len(item["clip"]), item["fps"]) == (length, 30)
        due = (int(sample.id[-6:]) + np.arange(length)) / 30 * (10 if sample.recording == "slow" else 50)
        assert np.abs(np.array(read.indices(sample)) - due).max() < 1


def test_a_picture_that_stands_long_makes_many_clips_of_one_frame(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [0, 4, 8, 800, 804, *range(808, 1200, 4)])
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(manifest(tmp_path, row("r1", "a.mkv", "x", end="8"), row("r2", "a.mkv", "y", start="8")))
    still = [sample for sample in dataset.samples() if sample.recording == "r1"]
    assert [len(sample) for sample in still][1:] == [1] * (len(still) - 1)
    read = ReadClip(size=None, channels=1)
    assert all(len(read({"sample": sample})["clip"]) == 60 for sample in still[:-1])


def test_a_steady_rate_needs_no_times(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", list(range(0, 600, 4)))
    dataset = Recordings(tmp_path / "root")
    line = dataset.import_from(manifest(tmp_path, row("r1", "a.mkv", "x", end="2"), row("r2", "a.mkv", "y", start="2")))
    assert "note" not in line
    assert [(r.fps, r.times, r.start, r.stop) for r in dataset.recordings()] == [
        (25.0, None, 0, 50),
        (25.0, None, 50, 150),
    ]


def test_the_users_rate_counts_and_is_told(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", list(range(0, 600, 4)))
    dataset = Recordings(tmp_path / "root")
    rows = row("r1", "a.mkv", "x", end="5", fps="10"), row("r2", "a.mkv", "y", start="5", fps="10")
    line = dataset.import_from(manifest(tmp_path, *rows))
    assert "note: rows 2 and 3: 10 frames/s are given and count, the video states 25" in line
    assert [(r.fps, r.start, r.stop) for r in dataset.recordings()] == [(10.0, 0, 50), (10.0, 50, 150)]


def test_an_end_a_frame_late_is_the_end_and_a_later_one_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", list(range(0, 600, 4)))
    dataset = Recordings(tmp_path / "root")
    rows = row("r1", "a.mkv", "x", end="2"), row("r2", "a.mkv", "y", start="2", end="6.04")
    dataset.import_from(manifest(tmp_path, *rows))
    assert dataset.recordings()[1].stop == 150
    with pytest.raises(VidsuiteError, match=r"row 3, end: 6\.1 s is after the video's end, 6\.00 s \(150 frames at 25"):
        dataset.import_from(manifest(tmp_path, rows[0], {**rows[1], "end": "6.1"}))


def test_many_rows_share_a_note(tmp_path: Path) -> None:
    for number in range(12):
        film(tmp_path / f"{number}.mkv", [*range(0, 100, 4), *range(number + 200, number + 300, 4)])
    rows = [row(f"r{n}", f"{n}.mkv", "xy"[n % 2], fps="30") for n in range(12)]
    line = Recordings(tmp_path / "root").import_from(manifest(tmp_path, *rows))
    assert "note: rows 2, 3, 4 and 9 more: 30 frames/s are given and count, the video states 25" in line
    rows = [{**one, "fps": str(30 + n)} for n, one in enumerate(rows)]
    line = Recordings(tmp_path / "root").import_from(manifest(tmp_path, *rows))
    assert "note: row 11: 39 frames/s" in line
    assert line.endswith("note: and 2 notes more of this kind")


@pytest.fixture
def cases(shared: Path, tmp_path: Path) -> Path:
    """The cases in a folder of the test's own."""
    copy = tmp_path / "cases"
    shutil.copytree(shared / "cases", copy)
    copy.chmod(0o755)
    return copy


def test_the_case_of_a_variable_rate(cases: Path, tmp_path: Path) -> None:
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(cases / "vfr.csv")
    blue, red = dataset.recordings()
    assert (red.start, red.stop, blue.start) == (0, 50, 50)
    assert red.stop + len(blue.times or ()) == blue.stop


def test_the_case_of_a_wrong_rate(cases: Path, tmp_path: Path) -> None:
    dataset = Recordings(tmp_path / "root")
    rows = row("r1", "wrong600.avi", "x", end="3", fps="10"), row("r2", "wrong600.avi", "y", start="3", fps="10")
    line = dataset.import_from(manifest(cases, *rows))
    assert "10 frames/s are given and count, the video states 600" in line
    assert [(r.start, r.stop, r.fps) for r in dataset.recordings()] == [(0, 30, 10.0), (30, 60, 10.0)]


def test_the_case_of_a_bare_stream(cases: Path, tmp_path: Path) -> None:
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(
        manifest(cases, row("r1", "cam.h264", "x", end="3"), row("r2", "cam.h264", "y", start="3", end="6"))
    )
    assert [(r.start, r.stop, r.fps) for r in dataset.recordings()] == [(0, 30, 10.0), (30, 60, 10.0)]

"""The slicing rule, the paper's counts, and the base of all recordings datasets."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media import content_hash, write_video
from vidsuite_core.media.reader import Reader
from vidsuite_plugins.seizure_i3d.data import (
    TABLE,
    Recording,
    RecordingsDataset,
    natural_key,
    sample_count_bounds,
    slice_samples,
)


@pytest.mark.parametrize(
    ("frames", "samples"),
    [
        (0, []),
        (9, []),
        (10, [(0, 10)]),
        (59, [(0, 59)]),
        (60, [(0, 60)]),
        (69, [(0, 60)]),
        (70, [(0, 60), (60, 70)]),
        (180, [(0, 60), (60, 120), (120, 180)]),
    ],
)
def test_the_rule_of_section_3_3_3(frames, samples):
    assert slice_samples(frames) == samples


@given(st.integers(0, 20_000), st.integers(1, 100), st.data())
def test_samples_tile_the_recording_and_lose_less_than_the_shortest(frames, clip, data):
    shortest = data.draw(st.integers(1, clip))
    samples = slice_samples(frames, clip, shortest)
    ends = [0, *(stop for _, stop in samples)]
    assert [start for start, _ in samples] == ends[:-1]
    assert all(stop - start == clip for start, stop in samples[:-1])
    assert all(shortest <= stop - start <= clip for start, stop in samples)
    assert 0 <= frames - ends[-1] < shortest


@pytest.mark.parametrize("rule", [(60, 61), (60, 0), (0, 0)])
def test_an_impossible_rule_is_refused(rule):
    with pytest.raises(UsageError, match="cannot cut"):
        slice_samples(100, *rule)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.integers(10, 60))
def test_bounds_hold_for_any_lengths(lengths, clip):
    low, high = sample_count_bounds(sum(lengths), len(lengths), clip)
    assert low <= sum(len(slice_samples(frames, clip)) for frames in lengths) <= high


def test_bounds_are_attained():
    assert len(slice_samples(69)) * 4 == sample_count_bounds(69 * 4, 4)[0]
    assert len(slice_samples(70)) * 4 == sample_count_bounds(70 * 4, 4)[1]


class TestTable2:
    """What the paper's rule makes of the paper's lengths: 2587 s in 85 and 3116 s in 41 seizures.

    Finding: at exactly 30 frames/s the printed 1282 (FLE) is at the very edge of what the rule can give, and the
    printed 1530 (TLE) is outside. Both fit a mean of about 29.1 recorded frames a second (3 % of the frames lost, or
    clinical lengths that count a little more than the files hold); that is an inference, the paper does not say it.
    """

    def test_at_30_frames_a_second_tle_cannot_give_1530(self):
        assert sample_count_bounds(2587 * 30, 85) == (1281, 1364)
        assert sample_count_bounds(3116 * 30, 41) == (1552, 1592)

    @pytest.mark.parametrize(("seconds", "seizures", "printed"), [(2587, 85, 1282), (3116, 41, 1530)])
    def test_one_frame_rate_explains_both_counts(self, seconds, seizures, printed):
        # With left-overs anywhere in 0..59 a seizure of f frames gives f / 60 + 20.5 / 60 samples on average.
        rate = (printed * 60 - seizures * 20.5) / seconds
        assert rate == pytest.approx(29.1, abs=0.15)
        counts = []
        for seed in range(20):
            lengths = np.random.default_rng(seed).dirichlet(np.full(seizures, 2.0)) * seconds * 29.1
            counts.append(sum(len(slice_samples(int(frames))) for frames in lengths))
        assert np.mean(counts) == pytest.approx(printed, rel=0.007)


def test_natural_key():
    assert sorted(["f10", "f9", "f1", "f1b"], key=natural_key) == ["f1", "f1b", "f9", "f10"]


@given(st.sets(st.text("01a²٣", max_size=5), max_size=8))
def test_natural_key_orders_any_names(names):
    assert sorted(names, key=natural_key) == sorted(sorted(names), key=natural_key)


class Two(RecordingsDataset):
    classes = ("a", "b")


@pytest.fixture
def rows(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (75, 16, 16), dtype=np.uint8)
    write_video(tmp_path / "v.mkv", iter(frames), 30, codec="ffv1")
    sha256 = content_hash(tmp_path / "v.mkv")
    first = Recording(
        name="r10",
        subject="s1",
        label="b",
        video="v.mkv",
        stop=75,
        fps=30.0,
        sha256=sha256,
        content=sha256,
        boxes={"bed": (1.0, 2.0, 9.0, 9.0)},
        value_range=(3.0, 99.0),
    )
    return [first, replace(first, name="r9", subject="s2", label="a", start=5, stop=70, content="other")]


@pytest.fixture
def dataset(tmp_path, rows):
    made = Two(tmp_path)
    made.write_table(tmp_path, Two.classes, rows)
    return made


def test_samples(dataset, tmp_path):
    samples = dataset.samples()
    assert [s.id for s in samples] == ["r9/000000", "r10/000000", "r10/000060"]
    assert [(s.start, s.stop) for s in samples] == [(0, 60), (0, 60), (60, 75)]
    assert [s.label for s in samples] == [0, 1, 1]
    last = samples[-1]
    assert (last.subject, last.recording, last.footage.regions["bed"]) == ("s1", "r10", (1.0, 2.0, 9.0, 9.0))
    assert last.footage.value_range == (3.0, 99.0)
    assert samples[0].footage.first == 5
    assert Reader().read(last.footage, range(last.start, last.stop)).shape == (15, 16, 16, 1)


def test_not_ready(tmp_path):
    with pytest.raises(DataNotReady):
        Two(tmp_path / "nothing").samples()


def test_fingerprint_ignores_paths_rates_and_row_order(dataset, rows, tmp_path):
    other = tmp_path / "elsewhere"
    moved = [replace(row, video="/another/place.mkv", fps=25.0) for row in reversed(rows)]
    copy = Two(other)
    copy.write_table(other, Two.classes, moved)
    assert copy.fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "r11"},
        {"subject": "s3"},
        {"label": "a"},
        {"stop": 74},
        {"content": "0"},
        {"boxes": {}},
        {"value_range": None},
    ],
)
def test_fingerprint_counts_all_that_decides_the_samples(dataset, rows, tmp_path, change):
    changed = Two(tmp_path / "changed")
    changed.write_table(tmp_path / "changed", Two.classes, [replace(rows[0], **change), rows[1]])
    assert changed.fingerprint() != dataset.fingerprint()


def test_fingerprint_counts_the_clip_rule(dataset, tmp_path):
    assert Two(tmp_path, shortest=20).fingerprint() != dataset.fingerprint()


def test_verify_names_changed_and_missing_files(dataset, tmp_path):
    assert dataset.verify() == []
    with (tmp_path / "v.mkv").open("ab") as file:
        file.write(b"x")
    faults = dataset.verify()
    assert len(faults) == 2
    assert faults[0].startswith("r9: ")
    assert "has changed" in faults[0]
    (tmp_path / "v.mkv").unlink()
    assert "v.mkv is missing" in dataset.verify()[0]
    (tmp_path / TABLE).unlink()
    assert len(Two(tmp_path).verify()) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "classes": [], "recordings": [{}]}'])
def test_a_damaged_table_is_named(tmp_path, text):
    (tmp_path / TABLE).write_text(text)
    with pytest.raises(VidsuiteError, match=r"recordings\.json is damaged"):
        Two(tmp_path).samples()


def test_another_format_is_refused(dataset, tmp_path):
    table = json.loads((tmp_path / TABLE).read_text())
    (tmp_path / TABLE).write_text(json.dumps({**table, "format": 99}))
    with pytest.raises(VidsuiteError, match="format 99"):
        Two(tmp_path).samples()


def test_the_dataset_modules_import_nothing_heavy():
    names = [f"vidsuite_plugins.seizure_i3d.{name}" for name in ("data", "manifest", "fir16", "synthetic")]
    code = f"import sys, {', '.join(names)}; print([m for m in ('torch', 'cv2', 'av', 'mmengine') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path("/"))
    assert done.stdout.strip() == "[]", done.stderr

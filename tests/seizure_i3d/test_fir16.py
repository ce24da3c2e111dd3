"""The real far-infrared clips, and a made-up folder in their layout."""

from __future__ import annotations

import csv
import gzip
from collections import Counter

import numpy as np
import pytest

from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media import open_video
from vidsuite_plugins.seizure_i3d.fir16 import FPS, HIGH, LOW, STEPS, Fir16, read_clip

INDEX = ("file", "subject", "tag", "action_first_row", "action_last_row")


def write_clip(path, degrees):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("Time (sec),PTAT," + ",".join(f"P{i:03d}" for i in range(256)) + "\n")
        for i, frame in enumerate(degrees):
            file.write(f"{i / 10},25.0," + ",".join(repr(float(v)) for v in frame.ravel()) + "\n")


@pytest.fixture
def source(tmp_path):
    folder, rng = tmp_path / "source", np.random.default_rng(0)
    rows = []
    for subject in ("human1", "human2"):
        for tag in ("standup", "falling2", "sitdown"):
            codes = rng.integers(22 * STEPS, 27 * STEPS, (36, 16, 16))
            write_clip(folder / "clips" / subject / f"day_{tag}.csv.gz", codes / STEPS)
            rows.append((f"{subject}/day_{tag}.csv.gz", subject, tag, 8, 27))
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([INDEX, *rows])
    return folder


def test_pixels_survive_exactly(source, tmp_path):
    dataset = Fir16(tmp_path / "root")
    assert dataset.import_from(source) == "4 recordings of 2 subjects (falling2 2, standup 2), 4 samples"
    sample = dataset.samples()[0]
    assert (sample.recording, sample.label, len(sample), sample.footage.fps) == ("human1_day_falling2", 0, 20, FPS)
    assert sample.footage.value_range == (LOW, HIGH)
    with open_video(sample.footage.planes[0]) as video:
        frames = video.read(sample.start, sample.stop)
    assert frames.dtype == np.uint16
    assert (frames[..., 0] == read_clip(source / "clips/human1/day_falling2.csv.gz")[8:28]).all()
    assert dataset.verify() == []


def test_rows_window_takes_the_context_too(source, tmp_path):
    dataset = Fir16(tmp_path / "root", rows="window")
    dataset.import_from(source)
    assert {len(sample) for sample in dataset.samples()} == {36}
    action = Fir16(tmp_path / "root")
    action.import_from(source)
    assert action.fingerprint() != dataset.fingerprint()
    with pytest.raises(UsageError, match="action or window"):
        Fir16(tmp_path, rows="all")


def test_a_second_import_says_that_all_is_there(source, tmp_path):
    Fir16(tmp_path / "root").import_from(source)
    assert Fir16(tmp_path / "root").import_from(source).startswith("already here, 4 samples")


def test_before_the_import(tmp_path):
    with pytest.raises(DataNotReady, match="vidsuite data import fir16"):
        Fir16(tmp_path).prepare()


def test_an_index_that_leads_outside_is_refused(source, tmp_path):
    text = (source / "index.csv").read_text().replace("human1/day_standup", "../../human1/day_standup")
    (source / "index.csv").write_text(text)
    with pytest.raises(VidsuiteError, match="leads out of"):
        Fir16(tmp_path / "root").import_from(source)
    assert not Fir16(tmp_path / "root").is_ready()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: (s / "index.csv").unlink(), "index.csv: cannot be read"),
        (lambda s: (s / "index.csv").write_text("file,subject\na,b\n"), "row 2 lacks tag"),
        (lambda s: (s / "clips/human2/day_standup.csv.gz").unlink(), "day_standup.csv.gz: cannot be read"),
        (lambda s: (s / "clips/human2/day_standup.csv.gz").write_bytes(b"no gzip"), "cannot be read"),
        (lambda s: cut(s / "clips/human2/day_standup.csv.gz"), "cannot be read"),
        (lambda s: write_clip(s / "clips/human2/day_standup.csv.gz", np.full((36, 16, 16), 22.0001)), "steps of 1/640"),
        (lambda s: write_clip(s / "clips/human2/day_standup.csv.gz", np.full((36, 16, 16), np.nan)), "steps of 1/640"),
        (lambda s: write_clip(s / "clips/human2/day_standup.csv.gz", np.full((20, 16, 16), 22.0)), "has 20 frames"),
    ],
)
def test_damaged_sources_are_named(source, tmp_path, damage, words):
    damage(source)
    with pytest.raises(VidsuiteError, match=words):
        Fir16(tmp_path / "root").import_from(source)
    assert not Fir16(tmp_path / "root").is_ready()


def cut(path):
    path.write_bytes(path.read_bytes()[:-400])


def test_the_real_clips(shared, tmp_path):
    source = shared / "data" / "fir16_actions"
    if not source.is_dir():
        pytest.skip(f"no clips at {source}")
    dataset = Fir16(tmp_path)
    assert dataset.import_from(source).startswith("432 recordings of 9 subjects (falling2 144, standup 288), 432 samp")
    samples = dataset.samples()
    each = Counter((sample.subject, sample.label) for sample in samples)
    assert {label: {each[f"human{i}", label] for i in range(1, 10)} for label in (0, 1)} == {0: {16}, 1: {32}}
    assert (min(map(len, samples)), max(map(len, samples))) == (13, 47)
    assert dataset.fingerprint().startswith("58b55ee97482")  # the same on every machine

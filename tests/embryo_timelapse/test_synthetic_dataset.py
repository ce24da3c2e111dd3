"""The synthetic embryos on disk, and the samples that are made of embryos."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsuite_core.errors import DataNotReady, UsageError
from vidsuite_core.media import open_video
from vidsuite_core.protocols import make_folds
from vidsuite_core.samples import Recording
from vidsuite_plugins.embryo_timelapse.embryos import PARTS, Embryo, divide
from vidsuite_plugins.embryo_timelapse.sheet import contact_sheet, evenly
from vidsuite_plugins.embryo_timelapse.synthetic.dataset import PAPERS, Synthetic, SyntheticMoments

FEW = {"embryos": 6, "blastocysts": 3, "patients": 3, "size": 32}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("embryos")
    Synthetic(folder, **FEW, interval=600, workers=1).prepare()
    SyntheticMoments(folder, **FEW, interval=360, hours=168, planes=3, workers=2).prepare()
    return folder


def clips(root: Path, **options) -> Synthetic:
    return Synthetic(root, **FEW, interval=600, **options)


def moments(root: Path, **options) -> SyntheticMoments:
    return SyntheticMoments(root, **FEW, interval=360, hours=168, planes=3, **options)


def test_clips_are_whole_recordings_with_times_and_outcomes(root):
    samples = clips(root).samples()
    assert len(samples) == 6
    assert sum(sample.label for sample in samples) == 3
    assert len({sample.subject for sample in samples}) == 3
    for sample in samples:
        footage = sample.footage
        assert (sample.start, sample.stop) == (0, footage.frames)
        hours = np.array(footage.times) / 3600
        assert hours[0] > 0
        assert hours[-1] <= 80
        assert abs(np.median(np.diff(hours)) - 10) < 1
        with open_video(footage.planes[0]) as video:
            assert video.read(0, footage.frames).shape == (footage.frames, 32, 32, 1)
        assert list(sample.events)[:3] == ["tPNa", "tPNf", "t2"]
        assert list(sample.events.values()) == sorted(sample.events.values())


def test_embryos_of_a_neighbouring_root_are_not_rendered_again(tmp_path):
    few = {**FEW, "embryos": 3, "blastocysts": 1, "interval": 1200, "hours": 40}
    first, second = Synthetic(tmp_path / "a", **few), Synthetic(tmp_path / "b", **few, group="embryo")
    first.prepare()
    shutil.rmtree(first.folder / "p002_e01")
    second.prepare()
    assert second.is_ready()
    assert second.verify() == []
    for embryo in first.folder.iterdir():
        for file in embryo.iterdir():
            assert file.samefile(second.folder / embryo.name / file.name)
    names = {path.name for path in second.folder.iterdir()}
    assert names - {path.name for path in first.folder.iterdir()} == {"p002_e01"}


def test_moments_are_of_six_hours_and_padded_where_nothing_was_recorded(root):
    dataset = moments(root)
    for sample in dataset.samples():
        assert len(sample) == 28
        assert len(sample.footage.planes) == 3
        assert sample.hours == tuple(6.0 * (number + 1) for number in range(28))
        for end, (start, stop) in zip(sample.hours, sample.moments, strict=True):
            assert all(end - 6 <= sample.footage.time(index) / 3600 < end for index in range(start, stop))
        counts = np.array(sample.counts)
        assert counts[:18].sum() >= 16  # moments may be dropped now and then
        assert not counts[int(sample.footage.time(sample.footage.frames - 1) / 3600 // 6) + 1 :].any()
    assert {sample.split for sample in dataset.samples()} == {""}


def test_groups_are_patients_or_embryos(root):
    by_patient, by_embryo = clips(root), clips(root, group="embryo")
    assert [s.subject for s in by_embryo.samples()] == [s.id for s in by_patient.samples()]
    assert by_patient.fingerprint() != by_embryo.fingerprint()
    with pytest.raises(UsageError, match="group='couple'"):
        clips(root, group="couple")


def test_fingerprints_tell_everything_that_decides_apart(root):
    seen = {
        clips(root).fingerprint(),
        clips(root, seed=1).fingerprint(),
        clips(root, rhythm=False).fingerprint(),
        clips(root, codec="h264").fingerprint(),
        moments(root).fingerprint(),
        moments(root, split="paper").fingerprint(),
        moments(root, split="patient").fingerprint(),
        moments(root, split="patient", split_seed=1).fingerprint(),
        moments(root, step=12).fingerprint(),
    }
    assert len(seen) == 9
    assert clips(root, workers=7).fingerprint() == clips(root).fingerprint()


def test_what_is_lost_is_rendered_again_and_is_the_same(root):
    dataset = clips(root)
    before = {sample.id: sample.footage.content for sample in dataset.samples()}
    shutil.rmtree(dataset.folder / "p002_e01")
    assert not dataset.is_ready()
    with pytest.raises(DataNotReady, match="prepare"):
        dataset.samples()
    dataset.prepare()
    assert {sample.id: sample.footage.content for sample in dataset.samples()} == before
    assert dataset.verify() == []


def test_changed_and_missing_files_are_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    dataset = moments(tmp_path / "copy")
    files = sorted(dataset.folder.glob("*/plane1.mkv"))
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"x")
    files[1].unlink()
    first, second = dataset.verify()
    assert "has changed since it was rendered" in first
    assert "plane1.mkv is missing" in second


def test_the_papers_statistics():
    for name, (total, blastocysts) in {"blastocyst_dnn": (531, 264), "blastocyst_amsnet": (2898, 1634)}.items():
        recipe = Synthetic(Path("nowhere"), paper=name, size=64).recipe
        assert (recipe.embryos, recipe.blastocysts) == (total, blastocysts)
        assert recipe.size == 64
    assert PAPERS["blastocyst_amsnet"]["planes"] == 7
    with pytest.raises(UsageError, match="paper='amsnet'"):
        Synthetic(Path("nowhere"), paper="amsnet")


def embryo(name: str, patient: str, label: int) -> Embryo:
    footage = Recording(name=name, subject=patient, planes=(Path(name),), frames=2, fps=1.0, content=name)
    return Embryo(footage=footage, label=label)


@settings(max_examples=60)
@given(patients=st.lists(st.integers(1, 9), min_size=3, max_size=40), seed=st.integers(0, 99))
def test_divisions_keep_patients_whole_and_the_proportion(patients, seed):
    embryos = [embryo(f"p{p}e{k}", f"p{p}", k % 2) for p, count in enumerate(patients) for k in range(count)]
    parts = divide(embryos, seed)
    assert set(parts) == {one.footage.subject for one in embryos}
    assert set(parts.values()) == set(PARTS)
    counts = {name: sum(parts[one.footage.subject] == name for one in embryos) for name in PARTS}
    for name, share in PARTS.items():
        assert abs(counts[name] - share * len(embryos) / 2898) < 2 * max(patients) + 1
    assert divide(list(reversed(embryos)), seed) == parts


def test_the_papers_division_is_exact():
    embryos = [embryo(f"e{k}", f"e{k}", k % 2) for k in range(2898)]
    counts = {name: list(divide(embryos, 0).values()).count(name) for name in PARTS}
    assert counts == PARTS


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 50), repeats=st.integers(1, 4))
def test_halves_share_no_patient_and_by_embryo_no_embryo(root, seed, repeats):
    protocol = {"type": "repeated_halves", "repeats": repeats, "seed": seed}
    for group in ("patient", "embryo"):
        samples = clips(root, group=group).samples()
        subject = {sample.id: sample.subject for sample in samples}
        for fold in make_folds(protocol, samples):
            assert not {subject[i] for i in fold.train} & {subject[i] for i in fold.test}
            assert set(fold.train) | set(fold.test) == set(subject)
            assert not set(fold.train) & set(fold.test)


def test_a_sheet_shows_rows_of_hours_and_of_planes(root):
    embryos = evenly(moments(root).embryos(), 4)
    assert [one.label for one in embryos] == [0, 1, 0, 1]
    over_time = contact_sheet(embryos, ("arrested", "blastocyst"), columns=5, size=40)
    assert over_time.shape == (4 * (16 + 42), 5 * 42)
    assert over_time[20:50].std() > 5
    planes = contact_sheet(embryos[:1], ("arrested", "blastocyst"), columns=4, size=40, plane=-1)
    assert planes[20:50, :120].std() > 5
    assert planes[17:50, 127:].max() == 0  # there are three planes

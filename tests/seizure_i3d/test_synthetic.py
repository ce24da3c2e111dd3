"""The synthetic ward: its plan follows Table 2, only motion tells the classes apart, and it is reproducible."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.media import open_video
from vidsuite_plugins.seizure_i3d import synthetic
from vidsuite_plugins.seizure_i3d.data import slice_samples
from vidsuite_plugins.seizure_i3d.synthetic import Ordered, Synthetic, motion, render_recording
from vidsuite_plugins.seizure_i3d.synthetic.motion import FRONTAL, TEMPORAL, Difficulty
from vidsuite_plugins.seizure_i3d.synthetic.plan import LEFT_OVER, Options, plan

TINY = {"seconds": 10, "seizures": 3, "patients": 3, "size": (64, 48), "seed": 1, "workers": 1}
QUICK = Options(seconds=320, seizures=49, patients=35, size=(256, 212), seed=0, fps=30)
PAPER = replace(QUICK, seconds=5703, seizures=126, size=(512, 424))


def by_class(planned, value):
    return [[value(p) for p in planned if p.label == label] for label in (FRONTAL, TEMPORAL)]


def sample_counts(planned):
    return [sum(len(slice_samples(p.frames)) for p in planned if p.label == label) for label in (FRONTAL, TEMPORAL)]


class TestPlan:
    def test_the_default_is_a_seventeenth_of_table_2(self, tmp_path):
        planned = plan(QUICK)
        assert Synthetic(tmp_path).recipe == QUICK
        assert [len(set(patients)) for patients in by_class(planned, lambda p: p.patient)] == [20, 15]
        assert [len(names) for names in by_class(planned, lambda p: p.name)] == [33, 16]
        assert sample_counts(planned) == [73, 87]
        assert sum(p.frames for p in planned) == pytest.approx(320 * 30, rel=0.02)

    def test_at_the_papers_size_it_has_the_papers_seizures(self):
        planned = plan(PAPER)
        seconds = by_class(planned, lambda p: p.frames / 30)
        assert [len(each) for each in seconds] == [85, 41]
        # Whole samples in place of arbitrary lengths: 1282 and 1530 in the paper, 1293.5 and 1558 at 30 frames/s.
        assert sample_counts(planned) == [1294, 1558]
        assert [min(each) for each in seconds] == pytest.approx([6.0, 6.3], abs=2)
        assert [max(each) for each in seconds] == pytest.approx([187.9, 225.9], rel=0.15)
        assert [np.mean(each) for each in seconds] == pytest.approx([30.4, 76.0], rel=0.03)

    @settings(max_examples=30)
    @given(st.integers(0, 2**31), st.integers(14, 60), st.integers(0, 40), st.integers(0, 100))
    def test_everybody_has_a_seizure_and_every_seizure_a_sample(self, seed, patients, seizures, samples):
        seizures += 2 * patients
        options = replace(QUICK, seed=seed, patients=patients, seizures=seizures, seconds=4 * seizures + 2 * samples)
        planned = plan(options)
        assert len({p.patient for p in planned}) == patients
        assert len({p.name for p in planned}) == len({p.index for p in planned}) == len(planned) == seizures
        assert sum(sample_counts(planned)) == round(options.seconds / 2)
        assert all(p.frames >= 10 for p in planned)

    def test_short_samples_do_not_tell_the_classes_apart(self):
        for options in (QUICK, PAPER):
            short = by_class(plan(options), lambda p: p.frames % 60 != 0)
            shares = [sum(each) / count for each, count in zip(short, sample_counts(plan(options)), strict=True)]
            assert shares == pytest.approx([LEFT_OVER, LEFT_OVER], abs=0.006)

    def test_a_patient_is_atypical_in_all_seizures(self):
        patients = {(p.patient, p.atypical) for p in plan(PAPER)}
        assert len(patients) == 35
        assert sum(atypical for _, atypical in patients) == 2 + 2

    @pytest.mark.parametrize(
        "options",
        [
            {"seizures": 34},
            {"seizures": 36, "patients": 36},
            {"seconds": 20},
            {"size": (63, 48)},
            {"size": (64,)},
            {"size": (64, 5000)},
            {"fps": 0},
            {"seed": -1},
            {"difficulty": {"speed": 1}},
            {"difficulty": {"frontal_rate": 0}},
            {"difficulty": {"swing": float("nan")}},
            {"difficulty": {"staff_share": 1}},
        ],
    )
    def test_impossible_options_are_refused(self, tmp_path, options):
        with pytest.raises(UsageError):
            Synthetic(tmp_path, **options).prepare()
        assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tracks():
    """Pose parameters (T, k) of 250 seizures in each class, and their speeds."""
    found = []
    for label in (FRONTAL, TEMPORAL):
        each = []
        for seed in range(250):
            rng = np.random.default_rng([label, seed])
            temperament = motion.draw_temperament(rng, label, False, Difficulty())
            track = motion.draw_pose_track(rng, temperament, 60, 30, Difficulty())
            parts = (track.trunk, track.pelvis, track.head, track.jaw, track.hip, track.lift, track.spread)
            each.append(np.concatenate([*(p.reshape(60, -1) for p in parts), track.hands.reshape(60, -1)], axis=1))
        found.append(np.stack(each))
    return found


class TestMotion:
    def test_single_frames_have_the_same_poses_in_both_classes(self, tracks):
        frontal, temporal = (each[:, 30] for each in tracks)
        p = [ks_2samp(frontal[:, k], temporal[:, k]).pvalue for k in range(frontal.shape[1])]
        assert min(p) > 0.01 / len(p)

    def test_speeds_differ(self, tracks):
        speed = [np.log(np.abs(np.diff(each, axis=1)).mean((1, 2))) for each in tracks]
        assert speed[FRONTAL].mean() - speed[TEMPORAL].mean() > 1
        assert speed[FRONTAL].min() < speed[TEMPORAL].max()

    def test_only_temporal_patients_have_automatisms(self):
        rng = np.random.default_rng(0)
        for label in (FRONTAL, TEMPORAL):
            drawn = [motion.draw_temperament(rng, label, False, Difficulty()) for _ in range(50)]
            assert all((t.fumbling > 0 or t.chewing > 0) == (label == TEMPORAL) for t in drawn)

    @pytest.mark.parametrize(("frames", "recordings"), [(60, 1500), (1800, 150)])
    def test_staff_are_there_as_often_in_short_recordings_as_in_long_ones(self, frames, recordings):
        rng, difficulty = np.random.default_rng(0), Difficulty(staff_share=0.3)
        present = [motion.draw_staff_track(rng, frames, 30, difficulty).present.mean() for _ in range(recordings)]
        assert np.mean(present) == pytest.approx(0.3, abs=0.04)

    def test_no_staff(self):
        track = motion.draw_staff_track(np.random.default_rng(0), 300, 30, Difficulty(staff_share=0))
        assert not track.present.any()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    dataset = Synthetic(tmp_path_factory.mktemp("ward"), **TINY)
    dataset.prepare()
    return dataset


def test_samples(prepared):
    samples = prepared.samples()
    assert Counter(sample.label for sample in samples) == {FRONTAL: 2, TEMPORAL: 3}
    assert len({sample.subject for sample in samples}) == 3
    for sample in samples:
        with open_video(sample.footage.planes[0]) as video:
            frames = video.read(sample.start, sample.stop)
            assert video.info.fps == 30
        assert frames.shape[:3] == (len(sample), 48, 64)
        assert frames.dtype == np.uint8
        assert 40 < frames.mean() < 170


def test_boxes_hold_bed_and_patient(prepared):
    for recording in prepared.recordings():
        (x1, y1, x2, y2), (p1, q1, p2, q2) = recording.boxes["bed"], recording.boxes["person"]
        for left, top, right, bottom in recording.boxes.values():
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 48
        overlap = max(min(x2, p2) - max(x1, p1), 0) * max(min(y2, q2) - max(y1, q1), 0)
        assert overlap > 0.7 * (p2 - p1) * (q2 - q1)


def test_patients_move_and_the_room_does_not():
    planned = plan(replace(QUICK, size=(128, 106), difficulty=Difficulty(staff_share=0)))
    frontal = next(p for p in planned if p.label == FRONTAL and not p.atypical and p.frames >= 60)
    rendered = render_recording(replace(QUICK, size=(128, 106), difficulty=Difficulty(staff_share=0)), frontal)
    frames = np.stack([cv2.GaussianBlur(frame, (5, 5), 0) for frame in rendered.frames]).astype(float)
    moved = frames.std(0)
    x1, y1, x2, y2 = (int(value) for value in rendered.boxes["person"])
    assert moved[y1:y2, x1:x2].max() > 15
    assert np.percentile(moved[:20], 99) < 4


def test_generating_again_in_two_processes_gives_the_same_bytes(prepared, tmp_path):
    again = Synthetic(tmp_path, **{**TINY, "workers": 2})
    steps = []
    again.prepare(lambda what, done, total: steps.append((what, done, total)))
    assert again.recordings() == prepared.recordings()
    assert again.fingerprint() == prepared.fingerprint()
    assert steps == [("render recordings", i, 3) for i in (1, 2, 3)]


def test_prepare_does_nothing_the_second_time(prepared, monkeypatch):
    monkeypatch.setattr(synthetic, "write_recording", None)
    Synthetic(prepared.root, **TINY).prepare()


@pytest.mark.parametrize("change", [{"seed": 2}, {"size": (64, 50)}, {"difficulty": {"frontal_rate": 0.9}}])
def test_options_do_not_mix(prepared, change):
    other = Synthetic(prepared.root, **{**TINY, **change})
    assert not other.is_ready()
    assert Synthetic(prepared.root, **{**TINY, "workers": 2}).is_ready()


def test_the_fingerprint_counts_the_generator_and_no_bytes(prepared, tmp_path, monkeypatch):
    rows = [replace(row, sha256="0", content="0") for row in prepared.recordings()]
    copy = Synthetic(tmp_path, **TINY)
    copy.write_table(copy.folder, copy.classes, rows)
    before = prepared.fingerprint()
    assert copy.fingerprint() == before
    monkeypatch.setattr(synthetic, "GENERATOR", synthetic.GENERATOR + 1)
    assert not copy.is_ready()
    copy.write_table(copy.folder, copy.classes, rows)
    assert copy.fingerprint() != before


def test_nothing_is_left_of_a_prepare_that_failed(tmp_path, monkeypatch):
    def fail(options, planned, folder):
        (folder / "half.mp4").write_bytes(b"")
        raise VidsuiteError("disk full")

    monkeypatch.setattr(synthetic, "write_recording", fail)
    dataset = Synthetic(tmp_path, **TINY)
    with pytest.raises(VidsuiteError, match="disk full"):
        dataset.prepare()
    assert not dataset.is_ready()
    assert not list(tmp_path.iterdir())


def test_a_process_that_fails_says_why(tmp_path, monkeypatch):
    dataset = Synthetic(tmp_path, **{**TINY, "workers": 2})
    broken = [replace(planned, label=7) for planned in plan(dataset.recipe)]
    monkeypatch.setattr(synthetic, "plan", lambda options: broken)
    with pytest.raises(VidsuiteError, match=r"rendering recordings failed with code 1: IndexError"):
        dataset.prepare()


def test_what_a_killed_run_left_behind_is_removed(tmp_path):
    code = "from vidsuite_core.support.paths import atomic_folder; import os, pathlib, sys\n"
    code += "with atomic_folder(pathlib.Path(sys.argv[1])) as folder: (folder / 'half.mp4').touch(); os._exit(9)"
    dataset = Synthetic(tmp_path / "root", **TINY)
    assert subprocess.run([sys.executable, "-c", code, str(dataset.folder)]).returncode == 9
    assert len(list(dataset.root.iterdir())) == 1
    dataset.prepare()
    assert list(dataset.root.iterdir()) == [dataset.folder]


def test_two_scripts_may_prepare_one_root_at_once(tmp_path):
    script = tmp_path / "script.py"  # without a guard for multiprocessing
    script.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from vidsuite_plugins.seizure_i3d.synthetic import Synthetic
        dataset = Synthetic(Path({str(tmp_path / "root")!r}), **{json.dumps({**TINY, "workers": 2})})
        dataset.prepare()
        print(dataset.fingerprint(), dataset.verify())
        """)
    )
    running = [subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(outputs) == 1
    assert outputs.pop().endswith("[]\n")
    assert len(list((tmp_path / "root").iterdir())) == 1


def test_verify_finds_a_changed_video(prepared, tmp_path):
    copy = Synthetic(tmp_path, **TINY)
    copy.prepare()
    assert copy.verify() == []
    victim = copy.samples()[0].footage.planes[0]
    victim.write_bytes(victim.read_bytes() + b"x")
    assert len(copy.verify()) == 1


def test_a_change_of_the_pictures_needs_a_new_generator_number():
    """Means of 4 x 4 blocks of a frame: they move with the drawing, not with a processor's rounding."""
    options = replace(QUICK, size=(128, 106))
    frames = list(render_recording(options, plan(options)[0]).frames)
    blocks = cv2.resize(frames[9], (4, 4), interpolation=cv2.INTER_AREA).astype(int)
    assert synthetic.GENERATOR == 1
    assert np.abs(blocks - KNOWN).max() <= 1, "raise GENERATOR, and note the new means here"


KNOWN = [[88, 83, 62, 62], [92, 124, 86, 50], [93, 121, 161, 69], [79, 96, 105, 70]]


@pytest.mark.slow
def test_motion_tells_the_classes_apart_and_single_frames_do_not():
    """120 patients: macro-F1 over 5 folds by patient, of the middle frames' pixels and of plain frame differences."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    options = replace(QUICK, patients=120, seizures=160, seconds=600, size=(96, 80))
    pixels, motions, labels, groups = [], [], [], []
    for planned in plan(options):
        frames = np.stack(list(render_recording(options, planned).frames))
        for start, stop in slice_samples(planned.frames):
            small = np.stack([cv2.resize(f, (24, 20), interpolation=cv2.INTER_AREA) for f in frames[start:stop]])
            pixels.append(small[len(small) // 2].ravel())
            steps = [np.abs(small[lag:].astype(float) - small[:-lag]) for lag in (1, 2, 4, 9)]
            motions.append([f(step.mean(0)) for step in steps for f in (np.mean, np.median, np.max)])
            labels.append(planned.label)
            groups.append(planned.patient)

    def macro_f1(features):
        forest = RandomForestClassifier(300, min_samples_leaf=2, class_weight="balanced", random_state=0)
        model = make_pipeline(PCA(30, random_state=0), forest) if len(features[0]) > 30 else forest
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        predicted = cross_val_predict(model, np.array(features, float), labels, groups=groups, cv=folds)
        return f1_score(labels, predicted, average="macro")

    static, moving = macro_f1(pixels), macro_f1(motions)
    assert static < 0.6
    assert 0.75 < moving < 0.95


class TestOrder:
    """The variant in which the order of a clip's phases tells the classes apart."""

    OPTIONS = replace(QUICK, size=(64, 54), cue="order")

    def test_the_cue_that_was_there_before_is_unsaid(self, tmp_path):
        assert "cue" not in QUICK.to_json()
        assert Options.from_json(QUICK.to_json()) == QUICK
        assert Options.from_json(self.OPTIONS.to_json()) == self.OPTIONS
        assert Ordered(tmp_path).recipe == replace(QUICK, size=(128, 106), cue="order")
        assert Ordered(tmp_path, size=(256, 212)).folder != Synthetic(tmp_path).folder

    def test_an_unknown_cue_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="speed or order"):
            Synthetic(tmp_path, cue="colour")

    def test_which_part_is_lively_is_all_that_differs(self):
        """Drawn for many patients: how far the pose path goes in the first and the last third of each clip."""
        ratios, totals = {}, {}
        for label in (FRONTAL, TEMPORAL):
            gone = []
            for seed in range(60):
                rng = np.random.default_rng(seed)
                temperament = motion.draw_temperament(rng, label, False, Difficulty(), "order")
                assert (temperament.fumbling, temperament.chewing) == (0, 0)
                phase = motion._phase(rng, np.arange(240) / 30, 30, temperament, Difficulty(), 60)
                gone.append(np.diff(phase, prepend=phase[0]).reshape(4, 60))
            gone = np.concatenate(gone)
            ratios[label] = np.log(gone[:, 1:21].sum(1) / gone[:, -20:].sum(1))
            totals[label] = np.log(gone.sum(1))
        assert np.mean(ratios[FRONTAL] > 0) > 0.97
        assert np.mean(ratios[TEMPORAL] < 0) > 0.97
        assert ks_2samp(totals[FRONTAL], totals[TEMPORAL]).pvalue > 0.01

    def test_atypical_patients_have_no_order(self):
        track = motion.draw_temperament(np.random.default_rng(0), FRONTAL, True, Difficulty(), "order")
        assert track.lively_first == 0

    def test_the_pictures_show_it(self):
        """Frame differences of the rendered clips of two typical patients."""
        for label, first_is_livelier in ((FRONTAL, True), (TEMPORAL, False)):
            one = next(p for p in plan(self.OPTIONS) if p.label == label and not p.atypical and p.frames >= 120)
            frames = np.stack(list(render_recording(self.OPTIONS, one).frames)).astype(float)
            changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
            halves = [
                [changes[s : s + 20].mean(), changes[s + 39 : s + 59].mean()] for s in range(0, one.frames - 59, 60)
            ]
            first, second = np.mean(halves, axis=0)
            assert bool(first > second) is first_is_livelier

"""The files of the synthetic street world: whole sequences or none, the same whoever renders them, verified."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import cv2
import numpy as np
import pytest

from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media import open_video
from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.synthetic import Synthetic, dataset
from vidsuite_plugins.driving_fanet.synthetic.sequence import Footage, plan

TINY = {"frames": 3, "size": (64, 48), "seed": 1, "sequences": 6}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    tiny = Synthetic(tmp_path_factory.mktemp("synthetic"), **TINY, workers=1)
    tiny.prepare()
    return tiny


class TestDataset:
    @pytest.mark.parametrize(
        "options",
        [{"size": (63, 48)}, {"size": (64,)}, {"size": 64}, {"size": (64, 5000)}, {"frames": 0}, {"seed": -1}]
        + [{"sequences": n} for n in (0, 4, 7, 2000, "6", 6.0)]
        + [{"frames": "x"}, {"frames": True}, {"seed": None}, {"size": ["a", 2]}, {"size": "64"}, {"size": (64, 48.0)}]
        + [{"workers": n} for n in (0, -1, "2", 1.5)],
    )
    def test_impossible_options_are_refused(self, tmp_path, options):
        (name,) = options
        with pytest.raises(UsageError, match=rf"^{name} .*\Z"):
            Synthetic(tmp_path, **options)
        assert not list(tmp_path.iterdir())

    def test_samples_are_the_frames_of_whole_sequences(self, prepared):
        samples = prepared.samples()
        assert prepared.class_names() == AIRSIM
        assert len(samples) == 18 == len({s.id for s in samples})
        assert [s.index for s in samples] == [0, 1, 2] * 6
        assert [s.recording for s in samples] == [p.name for p in plan(prepared.recipe) for _ in range(3)]
        assert {s.subject for s in samples} == {s.recording for s in samples}
        assert {s.split for s in samples} == {"train", "val", "test"}
        assert len({s.footage.content for s in samples}) == 6
        sample = samples[4]
        with open_video(sample.footage.planes[0]) as video:
            assert video.count() == sample.footage.frames == 3
            stored = video.read(1, 2)[0]
        picture, labels = Footage(prepared.recipe, plan(prepared.recipe)[1]).frame(1)
        assert np.array_equal(cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED), labels)
        assert np.abs(stored.astype(float) - picture).mean() < 12  # JPEG halves the colours' share of the noise
        assert sample.footage.fps == 25

    def test_workers_have_no_influence(self, prepared, tmp_path):
        reports = []
        other = Synthetic(tmp_path, **TINY, workers=2)
        other.prepare(lambda *report: reports.append(report))
        assert reports[-1][1:] == (18, 18)
        assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
        assert other.fingerprint() == prepared.fingerprint()
        assert [s.footage.content for s in other.samples()] == [s.footage.content for s in prepared.samples()]

    def test_the_fingerprint_counts_options_and_not_workers(self, tmp_path):
        same = Synthetic(tmp_path, **TINY, workers=5).fingerprint()
        others = [{"frames": 4}, {"size": (48, 64)}, {"seed": 2}, {"sequences": 8}]
        assert Synthetic(tmp_path, **TINY).fingerprint() == same
        assert len({same, *(Synthetic(tmp_path, **{**TINY, **other}).fingerprint() for other in others)}) == 5

    def test_samples_before_prepare_say_what_to_do(self, tmp_path):
        with pytest.raises(DataNotReady, match="vidsuite data prepare"):
            Synthetic(tmp_path, **TINY).samples()

    def test_verify_finds_changed_missing_and_damaged_files(self, prepared, tmp_path):
        copy = Synthetic(tmp_path / "copy", **TINY)
        shutil.copytree(prepared.root, copy.root)
        assert copy.verify() == []
        samples = copy.samples()
        changed, missing = samples[0].footage.planes[0][1], samples[4].labels
        changed.write_bytes(changed.read_bytes()[:-1] + b"x")
        missing.unlink()
        (samples[17].labels.parents[1] / dataset.RECORD).write_text("{}")
        faults = copy.verify()
        assert len(faults) == 3
        assert str(changed) in faults[0] and str(missing) in faults[1] and "is damaged" in faults[2]
        with pytest.raises(VidsuiteError, match="is damaged"):
            copy.samples()

    def test_a_killed_preparation_leaves_whole_sequences_and_is_resumed(self, tmp_path):
        started = start(f"Synthetic(root, **{TINY}, workers=1).prepare()", tmp_path)
        ours = Synthetic(tmp_path, **TINY, workers=2)
        deadline = time.monotonic() + 60
        while not list(ours.folder.glob("driven_*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        done = {path: path.stat().st_mtime_ns for path in ours.folder.glob(f"[df]*/{dataset.RECORD}")}
        assert 0 < len(done) < 6 and not ours.is_ready()
        ours.prepare()
        assert ours.verify() == []
        assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())

    def test_what_a_killed_process_left_behind_is_removed(self, prepared):
        victim, leave = prepared.folder / "flown_03", "with atomic_folder(root / 'flown_03'): os._exit(9)"
        shutil.rmtree(victim)
        assert start(leave, prepared.folder).wait() == 9
        assert len(list(prepared.folder.glob(".flown_03.*"))) == 1
        prepared.prepare()
        assert sorted(path.name for path in prepared.folder.iterdir()) == [p.name for p in plan(prepared.recipe)]

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_folder_that_lost_its_record_is_rendered_again(self, prepared, tmp_path, workers):
        copy = Synthetic(tmp_path / "copy", **TINY, workers=workers)
        shutil.copytree(prepared.root, copy.root)
        names = ["driven_02", "flown_01"]
        for name in names:
            (copy.folder / name / dataset.RECORD).unlink()
            (copy.folder / name / "frames" / "stray").touch()
        whole = copy.folder / "driven_01" / dataset.RECORD
        stamp = whole.stat().st_mtime_ns
        assert not copy.is_ready()
        copy.prepare()
        assert copy.verify() == []
        assert not list(copy.folder.glob("*/frames/stray"))
        assert whole.stat().st_mtime_ns == stamp

    def test_two_processes_may_prepare_at_once(self, tmp_path):
        running = [start(f"Synthetic(root, **{TINY}, workers=1).prepare()", tmp_path) for _ in range(2)]
        assert [process.wait() for process in running] == [0, 0]
        ours = Synthetic(tmp_path, **TINY)
        assert ours.is_ready() and ours.verify() == []

    def test_a_worker_that_fails_is_an_error_with_its_reason(self, tmp_path):
        broken = Synthetic(tmp_path, **TINY, workers=2)
        broken.folder.mkdir()
        for planned in plan(broken.recipe):
            (broken.folder / planned.name).write_text("a file in the way")
        with pytest.raises(VidsuiteError, match=r"rendering sequences failed with code 1: .*Error"):
            broken.prepare()

    def test_workers_may_write_many_warnings(self, tmp_path):
        """More than a pipe holds, from the moment they start."""
        noisy = tmp_path / "noisy"
        noisy.mkdir()
        (noisy / "sitecustomize.py").write_text("import os\nos.write(2, b'a warning\\n' * 20_000)\n")
        statement = f"sys.path.insert(0, {str(noisy)!r}); Synthetic(root, **{TINY}, workers=2).prepare()"
        process = start(statement, tmp_path / "root")
        try:
            assert process.wait(timeout=60) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert Synthetic(tmp_path / "root", **TINY).is_ready()

    def test_of_many_warnings_the_last_line_is_the_reason(self, tmp_path, monkeypatch):
        lines = "import os\nos.write(2, b'a warning\\n' * 20_000 + b'the reason\\n')\nos._exit(3)\n"
        (tmp_path / "sitecustomize.py").write_text(lines)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(VidsuiteError, match=r"failed with code 3: the reason\Z"):
            Synthetic(tmp_path / "root", **TINY, workers=2).prepare()


def start(statement, root):
    """A process, of a group of its own, that runs a statement with the path `root`."""
    program = f"""
import os, sys
from pathlib import Path
from vidsuite_core.support.paths import atomic_folder
from vidsuite_plugins.driving_fanet.synthetic import Synthetic
root = Path({str(root)!r})
{statement}
"""
    return subprocess.Popen([sys.executable, "-c", program], start_new_session=True)

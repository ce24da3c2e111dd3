"""Pictures of samples: which are chosen, of which data, and how little is believed of an archive."""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from called import vidsuite
from helpers import begin, make_cell, make_record, score_rows
from segmentation_frames import arrays_of, frame

from vidsuite_core import benchmark
from vidsuite_core.datasets import Dataset
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import PREDICTIONS, Attempt, Store, write_predictions
from vidsuite_core.samples import VOID, ClipSample, FrameSample, Recording
from vidsuite_core.suite import DatasetHandle, Suite
from vidsuite_core.tasks.base import spread
from vidsuite_core.tasks.segmentation_reducer import save_label_map
from vidsuite_core.tasks.video_segmentation import VideoSegmentation
from vidsuite_leaderboard.pictures import Drawn, draw_pictures
from vidsuite_leaderboard.pictures.outputs import opened_outputs

DRIVING = {"benchmark": "driving_fanet/driving_fanet", "dataset": "driving_fanet/synthetic", "fold": "fixed"}
SEIZURE = {"benchmark": "seizure_i3d/seizure_i3d", "dataset": "seizure_i3d/synthetic", "fold": "0"}
RNG = np.random.default_rng(0)


class Small(Dataset):
    """Samples made beforehand, in place of a plugin's dataset."""

    ready = True

    def __init__(self, name: str, classes: tuple[str, ...], samples: list[Any]) -> None:
        super().__init__(Path(name))
        self.classes, self.made = classes, samples

    def is_ready(self) -> bool:
        return self.ready

    def prepare(self, progress: Any = None) -> None:
        self.ready = True

    def samples(self) -> list[Any]:
        return self.made

    def fingerprint(self) -> str:
        return f"of {self.root}"


def written(folder: Path, name: str, image: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), image)
    return folder / name


def recorded(name: str, subject: str, files: tuple[Path, ...], **more: Any) -> Recording:
    """A recording of image files."""
    content = str(files[0].parent)
    return Recording(name=name, subject=subject, planes=(files,), frames=len(files), content=content, **more)


@pytest.fixture
def street(tmp_path: Path) -> Small:
    """Three sequences of two frames of noise, in three classes; the bottom row is void."""
    samples = []
    for name in "abc":
        frames = [RNG.integers(60, 180, (48, 64, 3), np.uint8) for _ in range(2)]
        files = tuple(written(tmp_path / name, f"{k}.png", image) for k, image in enumerate(frames))
        recording = recorded(name, name, files, fps=25)
        for k in range(2):
            labels = np.repeat(np.arange(48, dtype=np.uint8)[:, None] // 16, 64, axis=1)
            labels[-1] = VOID
            path = written(tmp_path / name, f"labels{k}.png", labels)
            samples.append(FrameSample(id=f"{name}/{k}", footage=recording, index=k, labels=path))
    return Small("street", ("sky", "tree", "road"), samples)


@pytest.fixture
def ward(tmp_path: Path) -> Small:
    """Five recordings of two clips of 8 dark grey frames, with a bed and a person."""
    samples = []
    for number in range(5):
        folder = tmp_path / f"r{number}"
        files = tuple(written(folder, f"{k}.png", np.full((60, 80), 10 + k, np.uint8)) for k in range(16))
        recording = recorded(
            f"r{number}", f"p{number}", files, fps=30, regions={"bed": (20, 20, 60, 50), "person": (25, 20, 50, 45)}
        )
        for start in (0, 8):
            samples.append(
                ClipSample(id=f"r{number}/{start}", footage=recording, label=number % 2, start=start, stop=start + 8)
            )
    return Small("ward", ("temporal", "frontal"), samples)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, street: Small, ward: Small) -> None:
    """The two plugins' synthetic datasets are the small ones."""
    small = {"driving_fanet/synthetic": street, "seizure_i3d/synthetic": ward}
    monkeypatch.setattr(DatasetHandle, "open", lambda handle, root=None, **options: small[handle.key])


def on(dataset: Any, model: str, of: dict[str, Any], **more: Any) -> Any:
    """A cell of `model` whose score key has the fingerprint of `dataset`."""
    cell = make_cell(model, folds=1, **of, **more)
    return replace(cell, score_key={**cell.score_key, "dataset": dataset.fingerprint()})


def commit(root: Path, cell: Any, task: Any, arrays: Any, maps: dict[str, np.ndarray] | None = None) -> Attempt:
    """A good attempt at `cell`, with predicted label maps kept where there are some."""
    workspace = begin(Store(root), cell)
    write_predictions(workspace.path / PREDICTIONS, arrays)
    if maps is not None:
        folder = root.parent / "maps"
        with zipfile.ZipFile(workspace.path / "outputs.zip", "w") as archive:
            for name, labels in maps.items():
                path = save_label_map(folder, name, labels)
                archive.write(path, path.name)
    return workspace.commit(
        make_record(cell, workspace.attempt, classes=task.classes, scores=score_rows(task, arrays), files={})
    )


def segmented(
    suite: Suite, street: Dataset, root: Path, model: str = "driving_fanet/fanet18", keep: bool = True
) -> Attempt:
    """Predictions of the last half of the samples' sequences, worse from frame to frame."""
    task = suite.tasks["video_segmentation"].open(street.class_names())
    frames, maps = [], {}
    for number, sample in enumerate(street.samples()[-4:]):
        true = cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED)
        found = np.where(true == VOID, 0, true)
        found[: 4 * number] = 1
        maps[sample.id] = found
        one = frame(sample.recording, sample.index, true=true, found=found)
        frames.append({**one, "sample_id": sample.id})
    cell = on(street, model, DRIVING, task="video_segmentation", version=2)
    return commit(root, cell, task, arrays_of(task, frames), maps if keep else None)


def classified(suite: Suite, ward: Dataset, root: Path) -> Attempt:
    """Predictions of all clips, every other one wrong, more confident from clip to clip."""
    task = suite.tasks["clip_classification"].open(ward.class_names())
    samples = ward.samples()
    labels = np.array([sample.label for sample in samples])
    place = np.arange(len(samples))
    found = np.where(place % 2, labels, 1 - labels)
    prob = np.empty((len(samples), 2))
    prob[place, found] = 0.6 + 0.3 * place / len(samples)
    prob[place, 1 - found] = 1 - prob[place, found]
    text = {"sample_id": "id", "subject": "subject", "recording": "recording"}
    arrays = {name: np.array([getattr(s, field) for s in samples]) for name, field in text.items()}
    cell = on(ward, "seizure_i3d/i3d_lstm_fc", SEIZURE)
    return commit(root, cell, task, {**arrays, "prob": prob, **task.targets(samples)})


def draw(suite: Suite, root: Path, out: Path, **options: Any) -> Drawn:
    return draw_pictures(suite, [root], out, lambda *_: None, **options)


def listed(out: Path, attempt: Attempt) -> tuple[Path, list[dict[str, Any]]]:
    folder = out / attempt.record.attempt
    lines = json.loads((folder / "pictures.json").read_text())
    assert {path.name for path in folder.iterdir()} == {"pictures.json", *(line["file"] for line in lines)}
    assert all((folder / line["file"]).stat().st_size < 80_000 for line in lines)
    return folder, lines


def test_frames_are_drawn_with_truth_prediction_and_what_is_wrong(suite, street, here, tmp_path):
    attempt = segmented(suite, street, tmp_path / "runs")
    drawn = draw(suite, tmp_path / "runs", tmp_path / "out")
    assert (drawn.entries, drawn.pictures, drawn.left_out) == (1, 4, [])
    folder, lines = listed(tmp_path / "out", attempt)
    assert [line["right"] for line in lines] == [None] * 4
    assert [line["caption"] for line in lines[:2]] == ["best frames: b/0, mIoU 1.00", "best frames: b/1, mIoU 0.85"]
    assert lines[2]["caption"].startswith("worst frames: c/1")
    best, worst = (cv2.imread(str(folder / lines[place]["file"])) for place in (0, 2))
    assert best.shape == worst.shape == (2 * 178 + 4, 480, 3)

    def red(picture: np.ndarray) -> float:
        panel = picture[-178:, -238:].astype(int)
        return float(((panel[..., 2] > 180) & (panel[..., 1] < 90)).mean())

    assert red(best) < 0.01  # the last panel marks what is wrong
    assert 0.18 < red(worst) <= 12 / 48  # of 48 rows 12 are wrong, and the panel's caption lies over some of them


def test_clips_are_drawn_right_and_wrong_ones_by_confidence(suite, ward, here, tmp_path):
    attempt = classified(suite, ward, tmp_path / "runs")
    assert draw(suite, tmp_path / "runs", tmp_path / "out").left_out == []
    folder, lines = listed(tmp_path / "out", attempt)
    assert [line["right"] for line in lines] == [True] * 4 + [False] * 4
    assert lines[0]["caption"] == "true: temporal, predicted: temporal (0.87)"
    assert lines[4]["caption"] == "true: temporal, predicted: frontal (0.84)"
    picture = cv2.imread(str(folder / lines[0]["file"])).astype(int)
    assert picture.shape == (2 * 118 + 4 + 10, 3 * 157 + 2 * 4, 3)  # frames over a bar
    yellow = (picture[..., 0] < 130) & (picture[..., 1] > 150) & (picture[..., 2] > 150)
    assert yellow.mean() > 0.02  # the crop that the sample's boxes make
    again = {path.name: path.read_bytes() for path in folder.iterdir()}
    draw(suite, tmp_path / "runs", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == again


@pytest.mark.slow
def test_the_plugins_own_data(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDSUITE_DATA", str(tmp_path / "data"))
    small = {"frames": 2, "size": [64, 48], "sequences": 6}
    monkeypatch.setattr(benchmark.Definition, "options", lambda definition, dataset, preset: dict(small))
    street = suite.datasets["driving_fanet/synthetic"].prepare(**small)
    attempt = segmented(suite, street, tmp_path / "runs")
    monkeypatch.setenv("VIDSUITE_DATA", str(tmp_path / "other"))
    assert draw(suite, tmp_path / "runs", tmp_path / "out").left_out == [
        "driving_fanet/synthetic (quick): is not here; --prepare makes it"
    ]
    assert draw(suite, tmp_path / "runs", tmp_path / "out", prepare=True).left_out == []
    assert len(listed(tmp_path / "out", attempt)[1]) == 4
    small.clear()
    small |= {"seconds": 10, "seizures": 3, "patients": 3, "size": [64, 48]}
    ward = suite.datasets["seizure_i3d/synthetic"].prepare(**small)
    attempt = classified(suite, ward, tmp_path / "clips")
    assert draw(suite, tmp_path / "clips", tmp_path / "out").left_out == []
    assert listed(tmp_path / "out", attempt)[1]


class TestLeftOut:
    def test_without_kept_label_maps(self, suite, street, here, tmp_path):
        segmented(suite, street, tmp_path / "runs", keep=False)
        drawn = draw(suite, tmp_path / "runs", tmp_path / "out")
        assert (drawn.pictures, len(drawn.left_out)) == (0, 1)
        assert "driving_fanet/fanet18 on driving_fanet/synthetic (quick): kept no label maps" in drawn.left_out[0]
        assert "--keep outputs" in drawn.left_out[0]
        assert not (tmp_path / "out").exists()

    def test_data_whose_licence_is_not_known_to_allow_it(self, suite, street, here, tmp_path):
        task = suite.tasks["clip_classification"].open(("a", "b"))
        arrays = {
            "sample_id": np.array(["x", "y"]), "subject": np.array(["x", "y"]), "recording": np.array(["x", "y"]),
            "target": np.array([0, 1]), "prob": np.array([[0.9, 0.1], [0.2, 0.8]]),
        }  # fmt: skip
        for model in ("seizure_i3d/i3d_lstm_fc", "seizure_i3d/single_frame"):
            cell = on(street, model, {**SEIZURE, "dataset": "seizure_i3d/fir16"})
            commit(tmp_path / "runs", cell, task, arrays)
        drawn = draw(suite, tmp_path / "runs", tmp_path / "out", prepare=True)
        why = "its licence (CC BY-NC-SA 4.0) is not known to allow pictures on a page"
        assert drawn.left_out == [f"seizure_i3d/fir16: {why}"]  # once for both models

    def test_other_data_under_the_same_name(self, suite, street, here, tmp_path, monkeypatch):
        segmented(suite, street, tmp_path / "runs")
        monkeypatch.setattr(Small, "fingerprint", lambda self: "another")
        (line,) = draw(suite, tmp_path / "runs", tmp_path / "out").left_out
        assert line.endswith("was run on other data than this dataset's with the preset's options")

    def test_data_that_is_not_here(self, suite, street, here, tmp_path):
        segmented(suite, street, tmp_path / "runs")
        street.ready = False
        assert draw(suite, tmp_path / "runs", tmp_path / "out").left_out == [
            "driving_fanet/synthetic (quick): is not here; --prepare makes it"
        ]
        assert draw(suite, tmp_path / "runs", tmp_path / "out", prepare=True).entries == 1

    def test_a_frame_that_cannot_be_read_leaves_its_entry_alone_out(self, suite, street, ward, here, tmp_path):
        segmented(suite, street, tmp_path / "runs")
        classified(suite, ward, tmp_path / "runs")
        street.samples()[-1].labels.write_bytes(b"")
        drawn = draw(suite, tmp_path / "runs", tmp_path / "out")
        assert drawn.entries == 1
        assert "no readable label map" in drawn.left_out[0]

    def test_an_attempt_that_was_altered(self, suite, street, here, tmp_path):
        attempt = segmented(suite, street, tmp_path / "runs")
        (attempt.path / "outputs.zip").write_bytes(b"PK")
        (line,) = draw(suite, tmp_path / "runs", tmp_path / "out").left_out
        assert "kept no label maps" in line  # what is there is not what was kept

    def test_an_older_attempt_is_not_drawn_in_place_of_the_one_that_counts(self, suite, street, here, tmp_path):
        segmented(suite, street, tmp_path / "runs")
        segmented(suite, street, tmp_path / "runs", keep=False)
        assert draw(suite, tmp_path / "runs", tmp_path / "out").entries == 0

    def test_the_command_says_so(self, street, here, suite, tmp_path):
        segmented(suite, street, tmp_path / "runs", keep=False)
        segmented(suite, street, tmp_path / "runs", model="driving_fanet/fast_scnn")
        called = vidsuite("leaderboard", "pictures", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
        assert called.returncode == 0, called.stderr
        assert "pictures of 1 entries" in called.stdout
        assert "left out: driving_fanet/fanet18" in called.stderr


def test_what_is_chosen_is_spread_over_recordings():
    recordings = np.array(["a"] * 6 + ["b"] * 2 + ["c"] * 12)
    assert spread([0, 1, 2, 3, 4, 5, 6, 7], recordings, 4) == [0, 1, 2, 3]  # a quarter, and at least as many as asked
    assert spread([0, 1, 6, 2, 8, *range(9, 20), 3, 4, 5, 7], recordings, 3) == [0, 6, 8]
    assert spread([], recordings) == []


def test_examples_of_a_few_and_of_void_frames(suite):
    task = suite.tasks["video_segmentation"].open(("a", "b"))
    true, void = np.zeros((4, 4), int), np.full((4, 4), VOID)
    one = arrays_of(task, [frame("s", 0, true=true, found=true), frame("s", 1, true=void, found=true)])
    assert [(e.group, e.sample_id) for e in task.examples(one)] == [("best frames", "s/0")]
    assert suite.tasks["early_prediction"].open(("a", "b")).examples({}) == []


class TestArchives:
    """`outputs.zip` comes from strangers."""

    @staticmethod
    def read(path: Path, name: str = "s/1", classes: int = 3) -> np.ndarray:
        task = VideoSegmentation([str(k) for k in range(classes)])
        with opened_outputs(path) as kept:
            return task.prediction({"sample_id": np.array([name])}, 0, kept.read(task.output_name(name)))["labels"]

    @pytest.fixture
    def archive(self, tmp_path):
        """A function that makes an archive of members by name."""

        def make(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
            with zipfile.ZipFile(tmp_path / "outputs.zip", "w", method) as made:
                for name, data in members.items():
                    made.writestr(name, data)
            return tmp_path / "outputs.zip"

        return make

    @staticmethod
    def png(labels: np.ndarray) -> bytes:
        return cv2.imencode(".png", labels)[1].tobytes()

    def test_a_label_map(self, archive):
        labels = np.arange(6, dtype=np.uint8).reshape(2, 3) % 3
        assert (self.read(archive({"s%2F1.png": self.png(labels)})) == labels).all()
        with pytest.raises(VidsuiteError, match=r"lack s%2F2\.png"):
            self.read(archive({"s%2F1.png": self.png(labels)}), "s/2")

    def test_labels_that_are_no_class(self, archive):
        with pytest.raises(VidsuiteError, match="a label that is no class"):
            self.read(archive({"s%2F1.png": self.png(np.full((2, 2), 3, np.uint8))}))

    @pytest.mark.parametrize("kind", ["huge", "colour", "deep", "text", "empty"])
    def test_other_pictures(self, archive, kind):
        data = {
            "colour": self.png(np.zeros((2, 2, 3), np.uint8)),
            "deep": self.png(np.zeros((2, 2), np.uint16)),
            "text": b"no picture",
            "empty": b"",
        }.get(kind)
        if data is None:  # a small file that says it is 100,000 pixels wide and high
            small = self.png(np.zeros((2, 2), np.uint8))
            data = small[:16] + struct.pack(">II", 100_000, 100_000) + small[24:]
        with pytest.raises(VidsuiteError, match="is no label map"):
            self.read(archive({"s%2F1.png": data}))

    def test_a_bomb_is_not_unpacked(self, archive):
        path = archive({"s%2F1.png": bytes(40 * 2**20)}, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 100_000
        with pytest.raises(VidsuiteError, match="too large"):
            self.read(path)

    def test_archives_that_are_none_or_hold_too_much(self, archive, tmp_path, monkeypatch):
        path = archive({f"{number}.png": b"" for number in range(100)})
        monkeypatch.setattr("vidsuite_leaderboard.pictures.outputs.MAX_MEMBERS", 99)
        with pytest.raises(VidsuiteError, match="100 members"):
            self.read(path)
        path.write_bytes(b"x" * 100)
        with pytest.raises(VidsuiteError, match="no zip file"):
            self.read(path)
        with pytest.raises(VidsuiteError, match="cannot be read"):
            self.read(tmp_path / "missing.zip")
        (tmp_path / "link.zip").symlink_to(path)
        with pytest.raises(VidsuiteError, match="symbolic link"):
            self.read(tmp_path / "link.zip")

    def test_other_packings(self, archive):
        with pytest.raises(VidsuiteError, match="packed in a way of its own"):
            self.read(archive({"s%2F1.png": b"x" * 100}, zipfile.ZIP_BZIP2))

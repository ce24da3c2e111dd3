"""TartanAir's neighborhood, in a small folder of its form that is written here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from litter import strew

from vidsuite_core.engine.data.frames import FrameDataset
from vidsuite_core.engine.data.runs import SequenceBatches
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.protocols import make_folds
from vidsuite_core.samples import VOID
from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.datasets.tartanair import CLASS_OF, LAST, WINDOW, TartanAir, TartanAirLeaky

IDS = np.array([[251, 251, 146, 146], [220, 0, 255, 1]], np.uint8)  # the last is in no list of the paper's code
CLASSES = np.array([[0, 0, 5, 5], [1, 7, 9, VOID]])


def write(folder, numbers, ids=IDS):
    for name in ("image_left", "seg_left"):
        (folder / name).mkdir(parents=True)
    for number in numbers:
        picture = np.full((*ids.shape, 3), number, np.uint8)
        cv2.imwrite(str(folder / "image_left" / f"{number:06d}_left.png"), picture)
        np.save(folder / "seg_left" / f"{number:06d}_left_seg.npy", ids)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "tartanair"
    for trajectory in range(6):
        write(folder / f"P{trajectory:03d}", range(30))
    return folder


def test_what_is_known_of_the_published_data():
    assert sum(LAST) + len(LAST) == 17_964
    assert len(CLASS_OF) == 105
    assert {AIRSIM[label] for label in CLASS_OF.values()} == set(AIRSIM)


def test_ids_become_classes_and_no_trajectory_is_on_two_sides(source, tmp_path):
    dataset = TartanAir(tmp_path / "root")
    line = dataset.import_from(source)
    assert line.startswith("180 labelled frames (train 120, val 30, test 30) among 180 in 6 sequences; 17,784 of the")
    assert "not in the class map, so void: id 1 (12.5 % of pixels)" in line
    samples = dataset.samples()
    assert {(s.subject, s.split) for s in samples} == {
        *((f"P{n:03d}", "train") for n in range(4)), ("P004", "val"), ("P005", "test")}  # fmt: skip
    first = samples[0]
    assert (first.id, first.recording, first.footage.fps) == ("P000/000000_left", "P000/000000", 25.0)
    assert (cv2.imread(str(first.labels), cv2.IMREAD_UNCHANGED) == CLASSES).all()
    assert first.footage.planes[0][3] == source / "P000/image_left/000003_left.png"
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert (len(fold.train), len(fold.val), len(fold.test)) == (120, 30, 30)
    assert dataset.verify() == []


def test_the_folder_as_it_is_unpacked_and_litter_make_no_difference(source, tmp_path):
    below = tmp_path / "download" / "neighborhood"
    below.mkdir(parents=True)
    source.rename(below / "Hard")
    strew(below / "Hard")
    dataset = TartanAir(tmp_path / "root")
    assert dataset.import_from(tmp_path / "download").startswith("180 labelled frames (train 120, val 30, test 30)")
    assert dataset.verify() == []


def test_a_frame_that_is_missing_begins_a_new_sequence(source, tmp_path):
    for path in source.glob("P000/*/000010_left*"):
        path.unlink()
    dataset = TartanAir(tmp_path / "root")
    dataset.import_from(source)
    assert {(s.recording, s.footage.frames) for s in dataset.samples() if s.subject == "P000"} == {
        ("P000/000000", 10), ("P000/000011", 19)}  # fmt: skip


def test_the_papers_windows_leak_and_train_the_same_labels_at_every_depth(source, tmp_path):
    dataset = TartanAirLeaky(tmp_path / "root")
    line = dataset.import_from(source)
    assert line.startswith("24 labelled frames (train 20, val 2, test 2) among 168 in 24 sequences")
    samples = dataset.samples()
    assert {(s.index, s.footage.frames) for s in samples} == {(WINDOW - 1, WINDOW)}
    assert len({s.subject for s in samples}) == 24
    trained = {s.recording for s in samples if s.split == "train"}
    tested = [s.recording for s in samples if s.split == "test"]
    beside = [f"{name.split('/')[0]}/{int(name.split('/')[1]) + step:06d}" for name in tested for step in (-7, 7)]
    assert trained & set(beside)  # which is why it is not the default
    again = TartanAirLeaky(tmp_path / "again")
    again.import_from(source)
    assert again.fingerprint() == dataset.fingerprint()

    def labels(depth):
        frames = FrameDataset([s for s in samples if s.split == "train"], [], lead=depth)
        batches = SequenceBatches(Endless(frames), batch_size=4, context=depth, skip=6)
        chosen = next(iter(batches))
        return [frames.at(place).sample.id for place, _ in chosen if frames.at(place).sample]

    assert labels(0) == labels(6)
    assert len(labels(0)) == 4


class Endless:
    """What `SequenceBatches` asks of mmengine's InfiniteSampler."""

    seed = 0

    def __init__(self, dataset):
        self.dataset = dataset


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4), np.int64), "holds no .H, W. array of uint8"),
        (np.zeros((2, 4, 3), np.uint8), "holds no .H, W. array of uint8"),
        (np.zeros((3, 4), np.uint8), "is 4 x 3 pixels, its frame 000002_left.png 4 x 2"),
        (np.array([{}]), "cannot be read .*seg_left again"),
        (None, "cannot be read .*seg_left again"),
    ],
)
def test_bad_ids_are_named_and_nothing_is_taken(source, tmp_path, array, words):
    path = source / "P001/seg_left/000002_left_seg.npy"
    path.unlink()
    if array is not None:
        np.save(path, array, allow_pickle=True)
    with pytest.raises(VidsuiteError, match=f"1 bad file, nothing was imported:\n  .*P001.*{words}"):
        TartanAir(tmp_path / "root").import_from(source)
    assert not (tmp_path / "root" / "imported").exists()


def test_another_folder_or_name_is_refused(source, tmp_path):
    with pytest.raises(VidsuiteError, match="holds no P000/image_left"):
        TartanAir(tmp_path / "root").import_from(tmp_path)
    (source / "P002/image_left/000004_left.png").rename(source / "P002/image_left/4.png")
    with pytest.raises(VidsuiteError, match=r"4\.png: is not named <six digits>_left.png"):
        TartanAir(tmp_path / "root").import_from(source)


def test_one_trajectory_cannot_be_divided(tmp_path):
    write(tmp_path / "source" / "P000", range(3))
    with pytest.raises(VidsuiteError, match="leaves no run to train on or none to test; bring one for each, or all"):
        TartanAir(tmp_path / "root").import_from(tmp_path / "source")
    with pytest.raises(VidsuiteError, match="or 10 windows of 7 frames"):
        TartanAirLeaky(tmp_path / "other").import_from(tmp_path / "source")

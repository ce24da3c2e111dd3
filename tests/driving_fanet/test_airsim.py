"""AirSim's recordings, in a made-up folder as its recorder writes it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from litter import strew

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.protocols import make_folds
from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.datasets.airsim import AirSim
from vidsuite_plugins.driving_fanet.datasets.airsim_classes import COLOURS, read_class_map

ROAD, SKY, POOL = 17, 42, 200
MAP = f"id,colour,class\n{ROAD},,road\n,#{COLOURS[SKY]:06x},sky\n{POOL},107 68 190,pool\n5,,void\n"
START = 1_600_000_000_000


def colour_image(ids):
    values = np.asarray(COLOURS)[ids]
    return np.stack([values & 255, values >> 8 & 255, values >> 16], axis=2).astype(np.uint8)  # BGR, as cv2 writes


def record(folder, times, ids=None, vehicle="", as_ids=False):
    """A run with its images; `ids` (H, W) are those of every frame."""
    ids = np.full((6, 8), ROAD) if ids is None else ids
    (folder / "images").mkdir(parents=True)
    lines = ["VehicleName\tTimeStamp\tPOS_X\tQ_W\tImageFile"]
    for number, time in enumerate(times):
        scene, segmentation = (f"img_{vehicle}0_{kind}_{time}000000.png" for kind in (0, 5))
        cv2.imwrite(str(folder / "images" / scene), np.full((6, 8, 3), number % 256, np.uint8))
        cv2.imwrite(str(folder / "images" / segmentation), ids.astype(np.uint8) if as_ids else colour_image(ids))
        lines.append(f"car\t{START + time}\t0.0\t1.0\t{scene};img_{vehicle}1_0_{time}000001.png;{segmentation}")
    (folder / "airsim_rec.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for number in (1, 2, 10):
        record(folder / f"run{number}", range(0, 200, 40))
    (folder / "class_map.csv").write_text(MAP)
    return folder


def test_litter_and_capitals_make_no_difference(source, tmp_path):
    _, line = imported(source, tmp_path, "plain")
    for path in (source / "run2").rglob("*.png"):
        path.rename(path.with_suffix(".PNG"))
    log = source / "run10" / "airsim_rec.txt"
    log.write_text(log.read_text().replace(".png", ".PNG"))
    for path in (source / "run10").rglob("*.png"):
        path.rename(path.with_suffix(".PNG"))
    strew(source)
    dataset, other = imported(source, tmp_path, "other")
    assert other == line
    assert dataset.verify() == []


def imported(source, tmp_path, name="root"):
    dataset = AirSim(tmp_path / name)
    return dataset, dataset.import_from(source)


def test_a_run_is_a_sequence_and_the_last_are_tested(source, tmp_path):
    dataset, line = imported(source, tmp_path)
    assert line.startswith("15 labelled frames (train 5, val 5, test 5) among 15 in 3 sequences; the files stay in ")
    samples = dataset.samples()
    assert {(s.recording, s.subject, s.split, s.footage.fps, s.footage.frames) for s in samples} == {
        ("run1/000000", "run1", "train", 25.0, 5),
        ("run2/000000", "run2", "val", 25.0, 5),
        ("run10/000000", "run10", "test", 25.0, 5),
    }
    assert samples[1].id == "run1/img_0_0_40000000"
    assert samples[1].footage.planes[0][1] == source / "run1/images/img_0_0_40000000.png"
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert (len(fold.train), len(fold.val), len(fold.test)) == (5, 5, 5)
    assert dataset.verify() == []
    assert dataset.class_names() == AIRSIM


def test_eighteen_runs_are_divided_as_the_description_says(tmp_path):
    from vidsuite_plugins.driving_fanet.datasets.airsim import _splits

    runs = [f"run{number}" for number in range(18)]
    splits = list(_splits(tmp_path, runs).values())
    assert splits == ["train"] * 12 + ["val"] * 3 + ["test"] * 3
    assert list(_splits(tmp_path, runs[:2]).values()) == ["train", "test"]
    with pytest.raises(VidsuiteError, match="leaves no run to train on"):
        _splits(tmp_path, runs[:1])


def test_splits_csv_decides(source, tmp_path):
    (source / "splits.csv").write_text("run,split\nrun1,test\nrun2,train\nrun10,train\n")
    dataset, _ = imported(source, tmp_path)
    assert {sample.subject: sample.split for sample in dataset.samples()} == {
        "run1": "test", "run2": "train", "run10": "train"}  # fmt: skip
    (source / "splits.csv").write_text("run,split\nrun1,test\nrun2,train\nrun10,holdout\n")
    with pytest.raises(VidsuiteError, match="does not put the run 'run10' into train, val or test"):
        imported(source, tmp_path, "other")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("split,run\ntrain,run1\n\ntrain\n", "splits.csv: row 4 ends before the column run; complete or remove it$"),
        ("run,split\nrun1\n", "splits.csv: row 2 ends before the column split; complete or remove it$"),
    ],
)
def test_a_short_row_of_splits_csv_is_named(source, tmp_path, text, words):
    (source / "splits.csv").write_text(text)
    with pytest.raises(VidsuiteError, match=words):
        imported(source, tmp_path)


@pytest.mark.parametrize("as_ids", [False, True])
@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_ids_and_colours_become_classes(source, tmp_path, as_ids, form):
    if form == "yaml":
        (source / "class_map.csv").unlink()
        sky = [COLOURS[SKY] >> shift & 255 for shift in (16, 8, 0)]
        text = f'road: {ROAD}\nsky: [{sky}]\npool: [{POOL}, "#{COLOURS[POOL]:06x}"]\nvoid: [5]\n'
        (source / "class_map.yaml").write_text(text)
    ids = np.full((6, 8), ROAD)
    ids[0], ids[1], ids[2], ids[3, :4] = SKY, POOL, 5, 99
    record(source / "run11", range(0, 120, 40), ids, vehicle="drone_", as_ids=as_ids)
    dataset, line = imported(source, tmp_path)
    assert "not in the class map, so void: id 99 (1.39 % of pixels); the files" in line  # 12 of 864
    labels = cv2.imread(str(dataset.samples()[-1].labels), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint8
    expected = np.full((6, 8), AIRSIM.index("road"))
    expected[0], expected[1], expected[2], expected[3, :4] = AIRSIM.index("sky"), AIRSIM.index("pool"), 255, 255
    assert (labels == expected).all()


def test_colours_that_no_id_has_are_told_too(source, tmp_path):
    cv2.imwrite(str(source / "run10/images/img_0_5_40000000.png"), np.full((6, 8, 3), (3, 2, 1), np.uint8))
    _, line = imported(source, tmp_path)
    assert "so void: #010203 (6.67 % of pixels)" in line


def test_a_gap_begins_a_new_sequence(source, tmp_path):
    record(source / "run11", [0, 40, 81, 119, 160, 240, 280, 320])
    dataset, _ = imported(source, tmp_path)
    run11 = {s.recording: (s.footage.frames, s.footage.fps) for s in dataset.samples() if s.subject == "run11"}
    assert run11 == {"run11/000000": (5, 25.0), "run11/000005": (3, 25.0)}


def test_a_moment_without_segmentation_is_context_alone(source, tmp_path):
    log = source / "run1/airsim_rec.txt"
    log.write_text(log.read_text().replace(";img_0_5_40000000.png", ""))
    dataset, line = imported(source, tmp_path)
    assert line.startswith("14 labelled frames (train 4, val 5, test 5) among 15")
    assert [s.index for s in dataset.samples() if s.subject == "run1"] == [0, 2, 3, 4]


def test_the_fingerprint_follows_labels_frames_and_map(source, tmp_path):
    first, second = (imported(source, tmp_path, name)[0].fingerprint() for name in "ab")
    assert first == second
    (source / "class_map.csv").write_text(MAP.replace("road", "stone"))
    assert imported(source, tmp_path, "c")[0].fingerprint() != first


def test_contents_follow_names_and_sizes_of_frames(source, tmp_path):
    def contents(name):
        return {sample.subject: sample.footage.content for sample in imported(source, tmp_path, name)[0].samples()}

    before = contents("before")
    assert len({*before.values()}) == 3
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    cv2.imwrite(str(source / "run1/images/img_0_0_40000000.png"), noise)
    log = source / "run2/airsim_rec.txt"
    log.write_text(log.read_text().replace("img_0_0_40000000", "img_0_0_40000009"))
    (source / "run2/images/img_0_0_40000000.png").rename(source / "run2/images/img_0_0_40000009.png")
    after = contents("after")
    assert {run for run in before if before[run] != after[run]} == {"run1", "run2"}


def test_verify_decodes_every_frame_and_names_each_bad_one(source, tmp_path):
    dataset, _ = imported(source, tmp_path)
    paths = [source / "run1/images/img_0_0_40000000.png", source / "run1/images/img_0_0_80000000.png"]
    for path in paths:
        spoil(path)
    labels = dataset.samples()[-1].labels
    cv2.imwrite(str(labels), np.zeros((6, 8), np.uint8) + AIRSIM.index("pool"))
    reports = []
    faults = dataset.verify(lambda *report: reports.append(report))
    assert reports[-1] == ("verify frames", 15, 15)
    assert [fault.partition(": ")[0] for fault in faults[:2]] == [str(path) for path in paths]
    assert all("cannot be decoded" in fault for fault in faults[:2])
    assert faults[2:] == [
        f"{labels} has changed since it was imported; put the original back, or delete {dataset.folder} "
        "and import again"
    ]
    assert len(imported(source, tmp_path, "again")[0].verify()) == 2  # an import looks at their ends alone


def test_a_second_import_says_that_all_is_there(source, tmp_path):
    imported(source, tmp_path)
    assert imported(source, tmp_path)[1].startswith("already here, 15 labelled frames of")


def log_line(number, old, new):
    def damage(source):
        path = source / "run2/airsim_rec.txt"
        lines = path.read_text().splitlines()
        lines[number - 1] = lines[number - 1].replace(old, new)
        path.write_text("\n".join(lines))

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (log_line(1, "ImageFile", "Image"), "airsim_rec.txt: its first line names no columns TimeStamp and ImageFile"),
        (log_line(3, str(START + 40), "soon"), "airsim_rec.txt: line 3 is no time and images with a PNG of type 0"),
        (log_line(3, str(START + 40), "nan"), "line 3 is no time"),
        (log_line(3, str(START + 40), str(START)), "line 3 is not after the one before; record one vehicle a run"),
        (log_line(3, "img_0_0_", "../../img_0_0_"), "line 3 is no time and images with a PNG"),
        (log_line(3, "img_0_0_40000000.png", "img_0_0_40000000.ppm"), "line 3 is no time and images with a PNG"),
        (log_line(3, "img_0_0_40000000", "img_0_0_80000000"), "names an image on two lines"),
        (log_line(3, "img_0_5_40000000", "img_0_5_41000000"), "img_0_5_41000000.png: cannot be read"),
        (lambda s: (s / "run2/airsim_rec.txt").write_bytes(b"\xff\xfe\x00"), "airsim_rec.txt: cannot be read"),
        (lambda s: (s / "run2/images/img_0_0_40000000.png").unlink(), "img_0_0_40000000.png: cannot be read"),
        (lambda s: (s / "run2/images/img_0_5_40000000.png").write_bytes(b"P6"), "img_0_5_40000000.png: is not a PNG"),
        (
            lambda s: paint(s / "run2/images/img_0_5_40000000.png", (4, 8)),
            "source/run2/images/img_0_5_40000000.png: is 8 x 4 pixels, its frame img_0_0_40000000.png 8 x 6",
        ),
    ],
)
def test_bad_runs_are_named_and_nothing_is_imported(source, tmp_path, damage, words):
    damage(source)
    with pytest.raises(VidsuiteError, match=f"1 bad file, nothing was imported:\n.*{words}"):
        imported(source, tmp_path)
    assert list((tmp_path / "root").iterdir()) == []


def test_runs_without_segmentation_are_refused(source, tmp_path):
    log = source / "run2/airsim_rec.txt"
    log.write_text(log.read_text().replace("_5_", "_2_"))
    with pytest.raises(VidsuiteError, match="names no image of type 5; record the segmentation too"):
        imported(source, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,class\n17,street\n", "row 2 names the class 'street'; there are road, vehicle"),
        ("id,class\n256,road\n", "row 2 holds '256'; give an id of 0 to 255"),
        ("id,class\n,road\n", "row 2 holds ''"),
        (f"id,colour,class\n17,,road\n,#{COLOURS[17]:06x},sky\n", "row 3 puts .* in a second class, sky"),
        ("id,class\n17,road\n ,\n\n18,street\n", "row 5 names the class 'street'"),
        ("id,class\n17\n", "row 2 ends before the column class"),
        ("id,name\n17,road\n", "its first line lacks class"),
        ("id,class\n", "names no id or colour"),
        ("id,class\n99,traffic_fixture\n", r"nothing in the images is in the class map; they show id 17 \(100 %"),
    ],
)
def test_a_wrong_class_map_is_explained(source, tmp_path, text, words):
    (source / "class_map.csv").write_text(text)
    with pytest.raises(VidsuiteError, match=words):
        imported(source, tmp_path)


def test_exactly_one_class_map_is_needed(source, tmp_path):
    (source / "class_map.yml").write_text("road: 17\n")
    with pytest.raises(VidsuiteError, match="holds more than one class map"):
        imported(source, tmp_path)
    (source / "class_map.yml").unlink()
    (source / "class_map.csv").unlink()
    with pytest.raises(VidsuiteError, match="holds no class map; write one class_map"):
        imported(source, tmp_path)
    with pytest.raises(VidsuiteError, match="holds no <run>/airsim_rec"):
        imported(source / "run1", tmp_path)


def test_a_photograph_does_not_fill_the_memory(source):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    labels, unnamed = read_class_map(source).classes_in(image)
    assert (labels == 255).all()
    assert unnamed.total() == 64 * 64
    assert len(unnamed) <= 33


def test_the_palette_has_256_colours():
    assert len(COLOURS) == len(set(COLOURS)) == 256
    assert (COLOURS[0], COLOURS[ROAD], COLOURS[255]) == (0x37B539, 0xC41E08, 0x2B2FCE)  # AirSim's docs/seg_rgbs.txt


def spoil(path):
    """Change a byte in the middle of a PNG's pixels, which leaves its size and its ends as they were."""
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 10] ^= 0xFF
    path.write_bytes(data)


def paint(path, shape):
    cv2.imwrite(str(path), np.full(shape, ROAD, np.uint8))

"""The user's manifest: what is taken, and that every fault is named at once."""

from __future__ import annotations

import csv
import re
import shutil

import cv2
import numpy as np
import pytest
from litter import strew

from vidsuite_core.errors import DataNotReady, VidsuiteError
from vidsuite_core.media import content_hash, open_video, write_video
from vidsuite_plugins.seizure_i3d.data import TABLE
from vidsuite_plugins.seizure_i3d.manifest import Recordings

COLUMNS = ("recording", "path", "subject", "class", "start", "end", "fps", "bed_box", "person_box", "low", "high")


@pytest.fixture(scope="session")
def footage(tmp_path_factory):
    """Three videos of 90, 80 and 8 frames of 32 x 24, one cut short, and two folders of frames."""
    folder = tmp_path_factory.mktemp("footage")
    rng = np.random.default_rng(0)
    for name, frames in (("a.mp4", 90), ("b.mkv", 80), ("short.mkv", 8)):
        codec = "h264" if name.endswith("mp4") else "ffv1"
        write_video(folder / name, iter(rng.integers(0, 255, (frames, 24, 32), dtype=np.uint8)), 30, codec=codec)
    data = (folder / "b.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    for name, dtype, top in (("frames8", np.uint8, 255), ("frames16", np.uint16, 60000)):
        (folder / name).mkdir()
        for i in range(1, 13):
            cv2.imwrite(str(folder / name / f"f{i}.png"), np.full((24, 32), i * top // 12, dtype=dtype))
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def write(footage, tmp_path):
    """Write a manifest of rows given as mappings beside a copy of the footage."""
    folder = tmp_path / "study"
    shutil.copytree(footage, folder)

    def write_manifest(*rows, columns=COLUMNS, delimiter=",", encoding="utf-8"):
        path = folder / "manifest.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.DictWriter(file, columns, delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write_manifest


def row(recording, path="a.mp4", subject="p1", label="FLE", **more):
    return {"recording": recording, "path": path, "subject": subject, "class": label, **more}


GOOD = (row("r2"), row("r1", "b.mkv", "p2", "TLE"))


def faults(dataset, path):
    with pytest.raises(VidsuiteError) as caught:
        dataset.import_from(path)
    assert not dataset.is_ready()
    first, *lines = str(caught.value).splitlines()
    return lines if lines else [first]


def test_import(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    line = dataset.import_from(write(*GOOD))
    assert line == "2 recordings of 2 subjects (FLE 1, TLE 1), 4 samples"
    assert dataset.class_names() == ("FLE", "TLE")
    samples = dataset.samples()
    assert [(s.id, s.label, s.start, s.stop, s.footage.fps) for s in samples] == [
        ("r1/000000", 1, 0, 60, 30.0),
        ("r1/000060", 1, 60, 80, 30.0),
        ("r2/000000", 0, 0, 60, 30.0),
        ("r2/000060", 0, 60, 90, 30.0),
    ]
    assert samples[0].footage.content == content_hash(samples[0].footage.planes[0])
    assert Recordings(tmp_path / "root").verify() == []


def test_the_files_stay_where_they_are_and_are_checked_again(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    manifest = write(*GOOD)
    dataset.import_from(manifest)
    assert [file.name for file in (tmp_path / "root").iterdir()] == [TABLE]
    shutil.copy(manifest.parent / "short.mkv", manifest.parent / "b.mkv")
    (manifest.parent / "a.mp4").unlink()
    assert ["missing" in line or "has changed" in line for line in dataset.verify()] == [True, True]


def test_part_of_a_video_with_boxes_and_value_range(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    part = {"start": "0.5", "end": "1.5", "bed_box": "1 2 30 24", "person_box": "0 0 5.5 6", "low": "10", "high": "200"}
    dataset.import_from(write(row("r2", **part), row("r3", subject="p1", start="1.5"), GOOD[1]))
    _, _, sample, rest = dataset.samples()
    assert (sample.start, sample.stop, rest.start, rest.stop) == (0, 30, 0, 45)
    assert (sample.footage.first, rest.footage.first) == (15, 45)
    assert sample.footage.regions == {"bed": (1.0, 2.0, 30.0, 24.0), "person": (0.0, 0.0, 5.5, 6.0)}
    assert sample.footage.value_range == (10.0, 200.0)
    assert sample.footage.content != rest.footage.content
    assert dataset.verify() == []


@pytest.mark.parametrize(("name", "dtype"), [("frames8", np.uint8), ("frames16", np.uint16)])
def test_folders_of_frames_in_natural_order(write, tmp_path, name, dtype):
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(write(row("r2", name), row("r3", "b.mkv", "p2", "TLE")))
    sample = dataset.samples()[0]
    assert (len(sample), sample.footage.fps) == (12, 30.0)
    with open_video(sample.footage.planes[0]) as video:
        frames = video.read(0, 12)
    assert frames.dtype == dtype
    assert (np.diff(frames[:, 0, 0, 0].astype(int)) > 0).all()


def test_litter_among_the_frames_and_capitals(write, tmp_path):
    dataset, manifest = Recordings(tmp_path / "root"), write(row("r2", "frames8"), row("r3", "b.mkv", "p2", "TLE"))
    (manifest.parent / "frames8/f2.png").rename(manifest.parent / "frames8/f2.PNG")
    strew(manifest.parent / "frames8")
    dataset.import_from(manifest)
    assert [path.name for path in dataset.samples()[0].footage.planes[0]][:3] == ["f1.png", "f2.PNG", "f3.png"]
    assert len(dataset.samples()[0].footage.planes[0]) == 12
    assert dataset.verify() == []


def test_a_folder_of_other_images_says_what_it_holds(write, tmp_path):
    manifest = write(row("r2", "empty"), GOOD[1])
    for n in range(3):
        (manifest.parent / "empty" / f"{n}.BMP").write_bytes(b"BM")
    (line,) = faults(Recordings(tmp_path / "root"), manifest)
    assert "empty holds no .png, .jpg, .jpeg, .tif, .tiff files, but 3 .bmp; correct it" in line


def test_pointers_of_git_lfs_are_named(write, tmp_path):
    manifest = write(row("r2", "lfs.mp4"), row("r4", "frames8"), GOOD[1])
    told = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    for path in (manifest.parent / "lfs.mp4", manifest.parent / "frames8/f3.png"):
        path.write_bytes(told)
    lines = faults(Recordings(tmp_path / "root"), manifest)
    assert ["git-lfs pointer, not the file itself; run 'git lfs pull'" in line for line in lines] == [True, True]
    manifest.write_bytes(told)
    assert "is a git-lfs pointer" in faults(Recordings(tmp_path / "root"), manifest)[0]


def test_fps_of_a_folder(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(write(row("r2", "frames8", fps="12", end="1"), GOOD[1]))
    assert [(s.footage.fps, len(s)) for s in dataset.samples()][-1] == (12.0, 12)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_write(write, tmp_path, delimiter, encoding):
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(write(row("Anfall ä, 1"), GOOD[1], delimiter=delimiter, encoding=encoding))
    assert dataset.samples()[0].recording == "Anfall ä, 1"


def test_more_than_two_classes(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(write(row("r2", label="c"), row("r1", "b.mkv", label="a"), row("r3", "frames8", label="b")))
    assert dataset.class_names() == ("a", "b", "c")


def test_row_order_and_place_do_not_change_the_fingerprint(write, tmp_path):
    one, two = Recordings(tmp_path / "one"), Recordings(tmp_path / "two")
    one.import_from(write(*GOOD))
    two.import_from(write(*reversed(GOOD), columns=COLUMNS[::-1]))
    assert one.fingerprint() == two.fingerprint()


BAD = [
    (row(""), "recording: is empty"),
    (row("r1"), "recording: 'r1' is the recording of row 2 already"),
    (row("x", "no.mp4"), "path: .*no.mp4 does not exist"),
    (row("x", "empty"), r"path: .*empty holds no \.png"),
    (row("x", "manifest.csv"), "path: .*manifest.csv"),
    (row("x", "cut.mkv"), "path: .*cut.mkv"),
    (row("x", "short.mkv"), "path: leaves 8 frames"),
    (row("x", "a" * 400), "path: .*aaa"),
    (row("x", ""), "path: is empty"),
    (row("x", subject=" "), "subject: is empty"),
    (row("x", subject="a\x07"), "subject: .*control characters"),
    (row("x", label=""), "class: is empty"),
    (row("x", label="fle"), "class: 'fle' is 'FLE' elsewhere"),
    (row("x", start="2", end="1"), "end: 1 s is not after the start, 2 s"),
    (row("x", start="-1"), "start: -1 s is before"),
    (row("x", end="9"), r"end: 9 s is after the video's end, 3\.00 s \(90 frames at 30 frames/s\)"),
    (row("x", start="3"), "start: 3 s is after the video's end"),
    (row("x", start="2.8"), "end: leaves 6 frames"),
    (row("x", start="nan"), "start: 'nan' is not a finite number"),
    (row("x", end="1,5"), "end: '1,5' is not a number; use a point"),
    (row("x", end="late"), "end: 'late' is not a number"),
    (row("x", fps="0"), "fps: 0 is no frame rate"),
    (row("x", bed_box="1 2 3"), "bed_box: '1 2 3' is not four numbers"),
    (row("x", bed_box="5 5 5 9"), "bed_box: '5 5 5 9' needs"),
    (row("x", person_box="0 0 33 10"), "person_box: leaves the frame of 32 x 24 pixels"),
    (row("x", person_box="0 0 nan 10"), "person_box: '0 0 nan 10' needs finite"),
    (row("x", low="1"), "high: is empty though the other is given"),
    (row("x", low="5", high="5"), "low: 5 is not below high"),
    (row("x", "b.mkv"), "path: the same frames are those of row 2"),
]


@pytest.mark.parametrize(("bad", "words"), BAD, ids=[words[:30] for _, words in BAD])
def test_each_fault_is_named_with_its_row(write, tmp_path, bad, words):
    good = [row("r1", "b.mkv", "p2", "TLE"), row("r2", "frames8"), row("r3", "frames16")]
    (line,) = faults(Recordings(tmp_path / "root"), write(*good, bad))
    assert line.startswith("row 5, ")
    assert re.search(words, line)


def test_all_faults_are_reported_at_once(write, tmp_path):
    bad = [dict(bad) for bad, _ in BAD]
    lines = faults(Recordings(tmp_path / "root"), write(*GOOD, *bad))
    rows = [int(line.split(",")[0].removeprefix("row ")) for line in lines]
    assert rows == sorted(rows)
    assert set(rows) >= set(range(4, 4 + len(BAD)))


def test_subjects_that_differ_by_case_or_spaces_are_pointed_out(write, tmp_path):
    line = Recordings(tmp_path / "root").import_from(write(row("r2", subject="P 2"), GOOD[1]))
    assert "note: subjects 'P 2', 'p2' differ by case or spaces only" in line


def test_unused_columns_are_pointed_out(write, tmp_path):
    line = Recordings(tmp_path / "root").import_from(write(*GOOD, columns=(*COLUMNS, "bedbox")))
    assert "note: columns that are not used: bedbox" in line


def test_one_class_is_refused(write, tmp_path):
    lines = faults(Recordings(tmp_path / "root"), write(row("r2"), row("r1", "b.mkv")))
    assert lines == ["row 1, class: all recordings are of class 'FLE'; there must be two classes or more"]


def test_no_rows(write, tmp_path):
    assert "row 1, row: no recording follows" in faults(Recordings(tmp_path / "root"), write())[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"recording,path,class\nr,p,c\n", "row 1 lacks the column subject"),
        (b"recording,path,subject,class,class\n", "column class is there twice"),
        ("recording,path,subject,class\nä,a,b,c\n".encode("latin-1"), "line 2 holds the byte 0xe4"),
        ("recording,path,subject,class\n".encode("utf-16"), "is UTF-16"),
        (b"recording,path,subject,class\nr,p,s,c,extra\n", "row 2, row: 5 cells under 4 columns"),
        (b"recording,path,subject,class\n\0\n", "is no text"),
        (b'recording,path,subject,class\n"' + b"x" * 200_000, "is no CSV table"),
    ],
)
def test_files_that_are_no_manifest(tmp_path, data, words):
    (tmp_path / "m.csv").write_bytes(data)
    text = faults(Recordings(tmp_path / "root"), tmp_path / "m.csv")
    assert any(words in line for line in text)


def test_a_missing_manifest_and_a_video_in_its_place(tmp_path):
    assert "cannot be read" in faults(Recordings(tmp_path), tmp_path / "no.csv")[0]
    with (tmp_path / "big.mp4").open("wb") as file:
        file.truncate(17 * 2**20)
    assert "not a video" in faults(Recordings(tmp_path), tmp_path / "big.mp4")[0]


def test_before_the_import(tmp_path):
    with pytest.raises(DataNotReady, match="vidsuite data import seizure_i3d MANIFEST"):
        Recordings(tmp_path).samples()


def test_a_failed_import_keeps_the_former(write, tmp_path):
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(write(*GOOD))
    before = dataset.fingerprint()
    with pytest.raises(VidsuiteError):
        dataset.import_from(write(row("r2")))
    assert Recordings(tmp_path / "root").fingerprint() == before

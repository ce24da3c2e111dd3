"""A user's own embryos: what a manifest may say, and every fault of it named at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vidsuite_core.errors import DataNotReady, VidsuiteError
from vidsuite_core.media import open_video, write_video
from vidsuite_plugins.embryo_timelapse.folder import Folder, FolderMoments


def image(path: Path, value: int = 100, size: tuple[int, int] = (20, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 50, size).astype(np.uint8)
    assert cv2.imwrite(str(path), noise + np.uint8(value))
    return path


def manifest(
    folder: Path, *rows: str, header: str = "embryo,patient,path,outcome,outcome_time,time,interval,plane"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "embryos.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def copy(tmp_path) -> Path:
    """Two embryos in folders of planes, one as a video, one as single images."""
    folder = tmp_path / "copy"
    for plane in ("F-15", "F0", "F15"):
        for number in range(5):
            image(folder / "a" / plane / f"D2024_RUN{number + 1}.jpeg", 50 + number)
    for number, hour in enumerate((0.5, 10, 20.25, 100)):
        image(folder / "b" / f"frame{number}_{hour}h.png", 80 + number)
    frames = [np.full((20, 24), 40 * number, np.uint8) for number in range(6)]
    write_video(folder / "c.mkv", frames, 10, codec="ffv1")
    for number in range(3):
        image(folder / "d" / f"{number}.png", 30 + number)
    (folder / "a" / "F0" / "._D2024_RUN1.jpeg").write_bytes(b"litter")
    (folder / "a" / "Thumbs.db").write_bytes(b"litter")
    return folder


GOOD = (
    "A,p1,a,blastocyst,110,0.5,60,",
    "B,p1,b,arrested,,,,",
    "C,p2,c.mkv,,,2,30,",
    "D,p3,d/0.png,blastocyst,,1.5,,",
    "D,p3,d/1.png,blastocyst,,8,,",
    "D,p3,d/2.png,blastocyst,,20,,0",
)


def imported(copy: Path, root: Path, *rows: str, kind: type = Folder, **options) -> Folder:
    manifest(copy, *rows)
    dataset = kind(root, **options)
    dataset.import_from(copy)
    return dataset


def test_all_forms_are_taken(copy, tmp_path):
    dataset = Folder(tmp_path / "root")
    with pytest.raises(DataNotReady, match="write a CSV manifest with the columns embryo, patient, path"):
        dataset.samples()
    line = dataset.import_from(manifest(copy, *GOOD))
    assert line == "4 embryos of 3 patients (2 blastocysts, 1 arrested, 1 of unknown outcome)"
    embryos = {one.footage.name: one for one in dataset.embryos()}
    hours = {name: [t / 3600 for t in one.footage.times] for name, one in embryos.items()}
    assert hours["A"] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert hours["B"] == [0.5, 10, 20.25, 100]
    assert hours["C"] == [2, 2.5, 3, 3.5, 4, 4.5]
    assert hours["D"] == [1.5, 8, 20]
    assert embryos["A"].events == {"tB": 110}
    assert embryos["C"].label is None
    assert len(embryos["A"].footage.planes) == 3
    for name, count in (("A", 5), ("B", 4), ("C", 6), ("D", 3)):
        with open_video(embryos[name].footage.planes[0]) as video:
            assert len(list(video.frames(0, count))) == count
    assert [(s.id, s.label, s.subject) for s in dataset.samples()] == [("A", 1, "p1"), ("B", 0, "p1"), ("D", 1, "p3")]
    assert dataset.verify() == []


def test_moments_of_the_same(copy, tmp_path):
    dataset = imported(copy, tmp_path / "root", *GOOD, kind=FolderMoments, until=24, step=6)
    counts = {sample.id: sample.counts for sample in dataset.samples()}
    assert counts["A"] == (True, False, False, False)
    assert counts["B"] == (True, True, False, True)


def test_changed_and_missing_files_are_found(copy, tmp_path):
    dataset = imported(copy, tmp_path / "root", *GOOD)
    image(copy / "b" / "frame1_10h.png", 1)
    (copy / "a" / "F15" / "D2024_RUN2.jpeg").unlink()
    first, second = dataset.verify()
    assert first.startswith("A: ")
    assert "D2024_RUN2.jpeg is missing" in first
    assert second.startswith("B: files of")


def cut(copy: Path) -> None:
    path = copy / "a" / "F0" / "D2024_RUN3.jpeg"
    path.write_bytes(path.read_bytes()[:-40])


def remove(copy: Path) -> None:
    (copy / "a" / "F15" / "D2024_RUN5.jpeg").unlink()


def resize(copy: Path) -> None:
    image(copy / "b" / "frame2_20.25h.png", 3, (30, 30))


def turn_back(copy: Path) -> None:
    (copy / "b" / "frame3_100h.png").rename(copy / "b" / "frame3_15h.png")


def empty(copy: Path) -> None:
    (copy / "e").mkdir()


FAULTS = [
    (cut, GOOD, "row 2, path: .*D2024_RUN3.jpeg.*(cut short|truncated)"),
    (remove, GOOD, r"row 2, plane: plane 15 of A lacks 1 frames that others have \(at 4.5 h\)"),
    (
        resize,
        GOOD,
        "row 3, path: B: frames have mixed sizes, as frame2_20.25h.png of 30 x 30 pixels where most have 24 x 20",
    ),
    (turn_back, GOOD, "row 3, path: frame3_15h.png: time stamps go back, 15 h after 20.25 h"),
    (None, (*GOOD[:4], GOOD[5], GOOD[4]), "row 7, time: 8 h is not after 20 h of row 6: time stamps go back"),
    (None, ("A,p1,a,blast,,0,60,",), "row 2, outcome: 'blast' is none of arrested, blastocyst"),
    (None, ("A,p1,a,arrested,,0,,",), "row 2, interval: give the minutes between frames"),
    (None, ("A,p1,nowhere,arrested,,0,60,",), "row 2, path: .*nowhere does not exist"),
    (None, ("D,p3,d/0.png,,,,,",), "row 2, time: is empty"),
    (None, ("A,p1,a/F0/._D2024_RUN1.jpeg,,,1,,",), "row 2, path: .*operating system left there"),
    (None, (GOOD[3], "D,p4,d/1.png,blastocyst,,8,,"), "row 3, patient: 'p4', but row 2 of this embryo says 'p3'"),
    (None, (GOOD[3], "D,p3,d/1.png,arrested,,8,,"), "row 3, outcome: 'arrested', but row 2"),
    (None, (GOOD[0], GOOD[0]), "row 3, plane: -15 is there twice"),
    (None, ("A,p1,a,arrested,500,0,60,",), "row 2, outcome_time: 500 h is not between 0 and 400"),
    (empty, ("E,p1,e,arrested,,0,60,",), "row 2, path: .*holds no .png"),
    (None, ("C,p2,embryos.csv,,,2,30,",), "row 2, path: .*embryos.csv"),
    (None, ("A,p1,a,arrested,,0,60,", ",p1,b,arrested,,,,"), "row 3, embryo: is empty"),
]


@pytest.mark.parametrize(("spoil", "rows", "message"), FAULTS, ids=range(len(FAULTS)))
def test_faults_are_named_with_their_rows(copy, tmp_path, spoil, rows, message):
    if spoil:
        spoil(copy)
    dataset = Folder(tmp_path / "root")
    with pytest.raises(VidsuiteError, match=message):
        dataset.import_from(manifest(copy, *rows))
    assert not dataset.is_ready()


def test_all_faults_are_named_at_once(copy, tmp_path):
    for spoil in (cut, remove, resize):
        spoil(copy)
    with pytest.raises(VidsuiteError) as caught:
        Folder(tmp_path / "root").import_from(manifest(copy, *GOOD, "F,p9,nowhere,blast,,,,"))
    text = str(caught.value)
    assert "5 faults, nothing was imported" in text
    for part in ("RUN3.jpeg", "plane 15 of A lacks", "mixed sizes", "nowhere does not exist", "'blast'"):
        assert part in text, part


def test_events_are_columns_and_must_be_in_order(copy, tmp_path):
    header = "embryo,patient,path,interval,outcome,tPNf,T2,t3"
    dataset = Folder(tmp_path / "root")
    dataset.import_from(manifest(copy, "A,p1,a,60,arrested,22,25.5,36", header=header))
    assert dataset.samples()[0].events == {"tPNf": 22, "t2": 25.5, "t3": 36}
    with pytest.raises(VidsuiteError, match=r"row 2, t3: 20 h is before t2, 25\.5 h"):
        Folder(tmp_path / "other").import_from(manifest(copy, "A,p1,a,60,arrested,22,25.5,20", header=header))


def test_fingerprints_follow_content_and_hours_not_places(copy, tmp_path):
    first = imported(copy, tmp_path / "one", *GOOD).fingerprint()
    moved = copy.rename(tmp_path / "moved")
    assert imported(moved, tmp_path / "two", *GOOD).fingerprint() == first
    later = imported(moved, tmp_path / "three", GOOD[0].replace("0.5,60", "1.5,60"), *GOOD[1:])
    assert later.fingerprint() != first

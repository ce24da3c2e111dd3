"""The two public sets: their layouts, what is refused, and the excerpts where they are here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_plugins.embryo_timelapse.nantes import Nantes
from vidsuite_plugins.embryo_timelapse.phases.samples import PHASES
from vidsuite_plugins.embryo_timelapse.zebrafish import Zebrafish, ZebrafishPhases


def image(path: Path, value: int = 90, side: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 50, (side, side)).astype(np.uint8)
    assert cv2.imwrite(str(path), noise + np.uint8(value))


def recording(folder: Path, name: str, runs: range, planes: tuple[str, ...] = ("",)) -> None:
    for plane in planes:
        for run in runs:
            image(folder / f"embryo_dataset{plane}" / name / f"D2013_WELL7_RUN{run}.jpeg", run)
    table = folder / "embryo_dataset_annotations" / f"{name}_phases.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text(f"tPB2,2,4\ntPNa,5,7\nt2,8,{runs[-1]}\n")


@pytest.fixture
def whole(tmp_path) -> Path:
    """A set in the layout of the whole one: two couples, planes and times of the first recording."""
    folder = tmp_path / "set"
    recording(folder, "AA83-7", range(1, 11), ("", "_F-15", "_F15"))
    recording(folder, "AA83-2", range(1, 12, 2))
    recording(folder, "BB1-3", range(1, 11))
    times = folder / "embryo_dataset_time_elapsed" / "AA83-7_timeElapsed.csv"
    times.parent.mkdir()
    times.write_text("frame_index,time\n" + "".join(f"{run},{run / 6}\n" for run in range(1, 12)))
    (folder / "embryo_dataset" / "AA83-7" / "._D2013_WELL7_RUN1.jpeg").write_bytes(b"litter")
    return folder


def test_the_layout_of_the_whole_set(whole, tmp_path):
    dataset = Nantes(tmp_path / "root")
    with pytest.raises(DataNotReady, match=r"zenodo\.org/records/7912264"):
        dataset.samples()
    line = dataset.import_from(whole)
    assert line == "3 recordings of 2 couples; 2 without times, taken as 15 minutes a frame"
    second, first, other = dataset.samples()
    assert (first.id, first.subject, second.subject, other.subject) == ("AA83-7", "AA83", "AA83", "BB1")
    assert len(first.footage.planes) == 3
    assert first.frames == tuple(range(1, 10))  # RUN 1 is before the first phase
    assert [PHASES[k] for k in first.labels] == ["tPB2"] * 3 + ["tPNa"] * 3 + ["t2"] * 3
    assert first.hours[0] == pytest.approx(2 / 6)
    assert second.footage.frames == 6
    assert second.hours[0] == pytest.approx(3 * 0.25)
    assert dataset.verify() == []


def go_back(whole: Path) -> None:
    (whole / "embryo_dataset_annotations" / "BB1-3_phases.csv").write_text("tPNa,5,7\ntPB2,2,6\n")


def unknown(whole: Path) -> None:
    (whole / "embryo_dataset_annotations" / "BB1-3_phases.csv").write_text("tXX,5,7\n")


def no_table(whole: Path) -> None:
    (whole / "embryo_dataset_annotations" / "BB1-3_phases.csv").write_text("<html>not found</html>\n")


def missing(whole: Path) -> None:
    (whole / "embryo_dataset_F15" / "AA83-7" / "D2013_WELL7_RUN4.jpeg").unlink()


def cut(whole: Path) -> None:
    path = whole / "embryo_dataset" / "BB1-3" / "D2013_WELL7_RUN4.jpeg"
    path.write_bytes(path.read_bytes()[:-40])


def resized(whole: Path) -> None:
    image(whole / "embryo_dataset" / "BB1-3" / "D2013_WELL7_RUN4.jpeg", side=30)


def unnumbered(whole: Path) -> None:
    image(whole / "embryo_dataset" / "BB1-3" / "last.jpeg")


def times_back(whole: Path) -> None:
    rows = "".join(f"{run},{20 - run}\n" for run in range(1, 12))
    (whole / "embryo_dataset_time_elapsed" / "AA83-7_timeElapsed.csv").write_text(rows)


def times_short(whole: Path) -> None:
    (whole / "embryo_dataset_time_elapsed" / "AA83-7_timeElapsed.csv").write_text("frame_index,time\n1,0.2\n")


def elsewhere(whole: Path) -> None:
    (whole / "embryo_dataset_annotations" / "BB1-3_phases.csv").write_text("tPNa,500,700\n")


FAULTS = {
    go_back: "BB1-3: .* tPB2 from 2 to 6 goes back",
    unknown: "'tXX' is no phase; there are tPB2",
    no_table: "'<html>not found</html>' is not phase,first,last",
    missing: r"AA83-7: plane 15 and the central one differ, at RUN \[4\]",
    cut: "RUN4.jpeg: (is cut short|has a broken header)",
    resized: "BB1-3: frames have mixed sizes",
    unnumbered: "last.jpeg has no RUN number",
    times_back: "times go back",
    times_short: "lacks 9 of its frames",
    elsewhere: "BB1-3: no frame lies within a phase",
}


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_faults_are_named_and_nothing_is_taken(change, whole, tmp_path):
    change(whole)
    dataset = Nantes(tmp_path / "root")
    with pytest.raises(VidsuiteError, match=FAULTS[change]):
        dataset.import_from(whole)
    assert not dataset.is_ready()


def test_all_faults_at_once_and_wrong_folders(whole, tmp_path):
    for change in (unknown, missing, unnumbered):
        change(whole)
    with pytest.raises(VidsuiteError, match="3 faults, nothing was imported"):
        Nantes(tmp_path / "root").import_from(whole)
    with pytest.raises(VidsuiteError, match="give the folder that embryo_dataset"):
        Nantes(tmp_path / "root").import_from(tmp_path)
    with pytest.raises(UsageError, match="neither 'leave out' nor 'keep'"):
        Nantes(tmp_path / "root", doubtful="mend")


def test_the_excerpt_of_nantes(shared, tmp_path):
    source = shared / "data" / "embryo_nantes3"
    if not source.is_dir():
        pytest.skip(f"no excerpt at {source}")
    line = Nantes(tmp_path).import_from(source)
    assert line.startswith(
        "3 recordings of 3 couples; 3 without times, taken as 15 minutes a frame; AAL839-6 is left out"
    )
    assert [sample.id for sample in Nantes(tmp_path).samples()] == ["AA83-7", "AB028-6"]
    samples = Nantes(tmp_path, doubtful="keep").samples()
    assert [sample.id for sample in samples] == ["AA83-7", "AAL839-6", "AB028-6"]
    for sample in samples:
        assert list(sample.labels) == sorted(sample.labels)


def test_ten_zebrafish(shared, tmp_path):
    source = shared / "data" / "embryo_zebrafish10"
    if not source.is_dir():
        pytest.skip(f"no excerpt at {source}")
    clips, phases = Zebrafish(tmp_path / "a"), ZebrafishPhases(tmp_path / "b")
    for dataset in (clips, phases):
        assert dataset.import_from(source) == "10 embryos, 2 of which die: too few for a claim about outcomes"
    assert [sample.id for sample in clips.samples() if sample.label == 1] == ["e08", "e09"]
    assert all(sample.footage.frames == 90 for sample in clips.samples())
    seen = {sample.id: sample for sample in phases.samples()}
    first_dead = {name: one.hours[one.labels.index(2)] for name, one in seen.items() if 2 in one.labels}
    assert set(first_dead) == {"e08", "e09"}
    assert first_dead["e08"] == pytest.approx(206 * 2 / 60, abs=0.3)
    assert first_dead["e09"] == pytest.approx(377 * 2 / 60, abs=0.3)


def test_zebrafish_tables_are_checked(tmp_path):
    (tmp_path / "labels.csv").write_text("file,embryo,t\nx.jpg,1,8\n")
    with pytest.raises(VidsuiteError, match="row 1 lacks the column label"):
        Zebrafish(tmp_path / "root").import_from(tmp_path)
    for row, text in (
        ("x.jpg,1,8,ALIVE", "label 'ALIVE' is none of"),
        ("../x.jpg,1,8,WNT", "x.jpg"),
        ("x.jpg,a,8,WNT", "cannot be read"),
    ):
        (tmp_path / "labels.csv").write_text(f"file,embryo,t,label\n{row}\n")
        with pytest.raises(VidsuiteError, match=text):
            Zebrafish(tmp_path / "root").import_from(tmp_path)
    image(tmp_path / "x.jpg")
    (tmp_path / "labels.csv").write_text("file,embryo,t,label\nx.jpg,1,8,WNT\nx.jpg,1,8,WNT\n")
    with pytest.raises(VidsuiteError, match="two images of one t"):
        Zebrafish(tmp_path / "root").import_from(tmp_path)

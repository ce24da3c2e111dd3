"""The restaurant's datasets: the rendered one, J-HMDB and the user's own videos."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from field_coded import write_fields
from litter import strew

from vidsuite_core.errors import DataNotReady, UsageError, VidsuiteError
from vidsuite_core.media import write_video
from vidsuite_core.media.reader import Reader
from vidsuite_core.protocols import make_folds
from vidsuite_plugins.restaurant_yowo.datasets.jhmdb import Jhmdb
from vidsuite_plugins.restaurant_yowo.datasets.synthetic import Synthetic
from vidsuite_plugins.restaurant_yowo.datasets.table import TABLE
from vidsuite_plugins.restaurant_yowo.datasets.videos import Videos

SMALL = {"sessions": 8, "seconds": 4.0, "size": (96, 54), "every": 2}


@pytest.fixture(scope="module")
def restaurant(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    dataset = Synthetic(tmp_path_factory.mktemp("restaurant"), **SMALL)
    dataset.prepare()
    return dataset


def test_the_rendered_sessions(restaurant: Synthetic) -> None:
    samples = restaurant.samples()
    assert len(samples) == 8 * 20
    assert Counter(s.split for s in samples) == {"train": 100, "test": 40, "val": 20}
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert (len(fold.train), len(fold.test), len(fold.val)) == (100, 40, 20)
    frame = Reader().frame(samples[5].footage, samples[5].index)
    assert frame.shape == (54, 96, 3)
    for sample in samples:
        for x1, y1, x2, y2 in sample.boxes:
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 54
    assert restaurant.verify() == []
    (restaurant.folder / "session03.mp4").write_bytes(b"")
    assert restaurant.verify() == [f"{restaurant.folder / 'session03.mp4'} is not what it was when it came in"]


def test_training_boxes_alone_are_a_little_off(tmp_path: Path) -> None:
    found = {}
    for jitter, wrong in ((0.0, 0.0), (0.2, 0.5)):
        dataset = Synthetic(tmp_path, **{**SMALL, "jitter": jitter, "wrong": wrong})
        dataset.prepare()
        found[jitter] = dataset.samples()
    for exact, off in zip(found[0.0], found[0.2], strict=True):
        assert len(exact.boxes) == len(off.boxes)
        if exact.split != "train":
            assert (exact.boxes, exact.classes) == (off.boxes, off.classes)
    trained = [(a, b) for a, b in zip(found[0.0], found[0.2], strict=True) if a.split == "train" and a.boxes]
    assert trained
    assert all(a.boxes != b.boxes for a, b in trained)
    changed = np.mean([a.classes != b.classes for a, b in trained])
    assert 0.1 < changed < 0.8


def test_options_that_cannot_be(tmp_path: Path) -> None:
    for options in ({"sessions": 3}, {"seconds": 0.1}, {"every": 0}):
        with pytest.raises(UsageError):
            Synthetic(tmp_path, **{**SMALL, **options})
    with pytest.raises(UsageError, match="none of 1, 2, 3"):
        Jhmdb(tmp_path, official=4)
    with pytest.raises(UsageError, match="divide='frames'"):
        Videos(tmp_path, divide="frames")
    with pytest.raises(DataNotReady, match="data import restaurant_yowo"):
        Videos(tmp_path).samples()


def test_jhmdb_by_its_official_split(shared: Path, tmp_path: Path) -> None:
    dataset = Jhmdb(tmp_path, every=5)
    said = dataset.import_from(shared / "data/jhmdb6_mini")
    assert said == "131 clips of 6 classes, 4650 boxes; 84 train and 47 are scored"
    assert dataset.class_names() == ("brush_hair", "clap", "pick", "pour", "push", "wave")
    samples = dataset.samples()
    assert all(len(sample.boxes) == 1 for sample in samples)
    (fold,) = make_folds({"type": "fixed"}, samples)
    assert not fold.val
    assert len({s.recording for s in samples if s.id in set(fold.test)}) == 47
    first = next(s for s in samples if s.recording.startswith("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0"))
    assert first.boxes == ((71.0, 48.0, 246.0, 239.0),)
    with pytest.raises(VidsuiteError, match="cannot be read"):
        Jhmdb(tmp_path / "other").import_from(tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        frames = (np.full((48, 64, 3), 10 * n % 255, np.uint8) for n in range(300))
        write_video(tmp_path / f"{name}.mp4", frames, fps=25, codec="h264", crf=30)
    lines = ["video,start,end,x1,y1,x2,y2,class"]
    lines += [f"{name},{start},{start + 20},1,2,30,40,wave" for name in "abc" for start in (20, 150)]
    lines.append("b.mp4,60,70,0.1,0.1,0.5,0.5,clap")  # shares of the frame
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "labels.csv"


def test_own_videos_are_divided_as_asked(own: Path, tmp_path: Path) -> None:
    for divide, splits in [("recording", 2), ("blocks", 2), ("clips", 3)]:
        dataset = Videos(tmp_path / "root", divide=divide, every=3)
        assert dataset.import_from(own) == f"3 videos, 137 boxes of 2 classes, divided by {divide}"
        samples = dataset.samples()
        assert len(samples) == 300
        assert len({s.split for s in samples}) == splits
        assert dataset.class_names() == ("wave", "clap")
        clap = [s for s in samples if 1 in s.classes]
        assert {s.recording for s in clap} == {"b"}
        assert clap[0].boxes[0] == pytest.approx((6.4, 4.8, 32.0, 24.0))
        assert dataset.verify() == []


def test_own_videos_among_litter_at_a_rate_that_varies(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for number, time in enumerate([*range(0, 500, 10), *range(500, 1000, 2)]):  # 10 frames/s for 5 s, then 50
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write_fields(tmp_path / "b.mp4", lying=True)
    (tmp_path / "ava.csv").write_text(
        "a,4.0,0.1,0.2,0.3,0.4,12,0\na,6.0,0.1,0.2,0.3,0.4,12,0\nb,0.5,0.1,0.2,0.3,0.4,13,0\n"
    )
    strew(tmp_path)
    dataset = Videos(tmp_path / "root")
    said = dataset.import_from(tmp_path / "ava.csv")
    assert "note: b.mp4: seeks find other frames than decoding does; it is read from its start, slowly" in said
    marked = {(sample.recording, sample.index) for sample in dataset.samples() if sample.boxes}
    assert {index for recording, index in marked if recording == "a"} == {40, 100}
    first, second = dataset.recordings()
    assert first.times is not None
    assert (first.seek, second.seek) == (True, False)
    assert dataset.verify() == dataset.decoding_changes() == []
    table = dataset.folder / TABLE
    before = dataset.fingerprint()
    table.write_text(
        table.read_text().replace(first.hashes[0], "0" * 64).replace('"decoder": "PyAV', '"decoder": "old PyAV')
    )
    for lines in (dataset.verify(), dataset.decoding_changes()):
        assert len(lines) == 1
        assert "1 of 5 frames decode to other pixels" in lines[0]
    assert dataset.fingerprint() == before


def test_every_fault_of_own_annotations_is_named(own: Path, tmp_path: Path) -> None:
    text = own.read_text() + "a,290,310,1,2,30,40,wave\nb,0,3,30,2,1,40,wave\nz,0,3,1,2,30,40,wave\n"
    own.write_text(text)
    with pytest.raises(VidsuiteError) as caught:
        Videos(tmp_path / "root").import_from(own)
    message = str(caught.value)
    assert "has 3 faults" in message
    assert "line 9: frame 310 is beyond the 300 of a.mp4" in message
    assert "line 10: box 30 2 1 40 ends before it begins" in message
    assert "line 11: there is no video 'z'" in message
    assert not Videos(tmp_path / "root").is_ready()

"""What the manifest's import keeps of a recording's frames, and what it says of how they are stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from test_manifest_times import film, manifest, row

from vidsuite_core.media import decoder_version, open_video, write_video
from vidsuite_core.media.reader import Reader
from vidsuite_plugins.seizure_i3d.data import TABLE
from vidsuite_plugins.seizure_i3d.manifest import Recordings


def other_decoder(dataset: Recordings, *, same_pixels: bool) -> None:
    """As if another version had decoded the recordings at their import, to the same pixels or to others."""
    path = dataset.folder / TABLE
    table = json.loads(path.read_text())
    for recording in table["recordings"]:
        recording["decoder"] = "PyAV 9.0.0"
        if not same_pixels:
            recording["hashes"] = dict.fromkeys(recording["hashes"], "0" * 64)
    path.write_text(json.dumps(table))


@pytest.fixture
def imported(tmp_path: Path) -> Recordings:
    film(tmp_path / "a.mkv", list(range(0, 600, 4)))
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(manifest(tmp_path, row("r1", "a.mkv", "x", end="2"), row("r2", "a.mkv", "y", start="2")))
    return dataset


def test_some_frames_hashes_and_their_decoder_are_kept(imported: Recordings) -> None:
    first, second = Recordings(imported.root).recordings()
    assert list(first.hashes) == [0, 12, 24, 37, 49]
    assert list(second.hashes)[::4] == [50, 149]
    assert first.decoder == second.decoder == decoder_version()
    assert first.seek
    assert imported.verify() == []
    assert imported.decoding_changes() == []


def test_other_pixels_are_a_fault_and_a_change(imported: Recordings) -> None:
    other_decoder(imported, same_pixels=False)
    told = (
        "5 of 5 frames decode to other pixels than when they were recorded, so scores may differ; it was PyAV 9.0.0, "
    )
    for lines in (Recordings(imported.root).verify(), Recordings(imported.root).decoding_changes()):
        assert [line.partition(": ")[0] for line in lines] == ["r1", "r2"]
        assert all(told in line for line in lines)


def test_another_decoder_with_the_same_pixels_is_none(imported: Recordings) -> None:
    other_decoder(imported, same_pixels=True)
    assert Recordings(imported.root).verify() == []
    assert Recordings(imported.root).decoding_changes() == []


def test_a_table_of_before_has_no_hashes_and_is_well(imported: Recordings) -> None:
    path = imported.folder / TABLE
    table = json.loads(path.read_text())
    for recording in table["recordings"]:
        for name in ("hashes", "decoder", "seek", "own_rate", "times"):
            del recording[name]
    path.write_text(json.dumps(table))
    dataset = Recordings(imported.root)
    assert dataset.verify() == dataset.decoding_changes() == []
    assert dataset.fingerprint() == imported.fingerprint()


def test_hashes_have_no_part_in_the_fingerprint_but_a_rate_of_the_users_has(imported: Recordings) -> None:
    before = imported.fingerprint()
    other_decoder(imported, same_pixels=False)
    assert Recordings(imported.root).fingerprint() == before
    other = Recordings(imported.root.with_name("other"))
    rows = row("r1", "a.mkv", "x", end="5", fps="10"), row("r2", "a.mkv", "y", start="5", fps="10")
    other.import_from(manifest(imported.root.parent, *rows))
    assert other.fingerprint() != before


def test_recordings_whose_seeks_lie_are_read_from_their_start(tmp_path: Path) -> None:
    from field_coded import write_fields

    write_fields(tmp_path / "a.mkv", lying=True)
    write_video(tmp_path / "b.mkv", (np.full((256, 256), n, np.uint8) for n in range(40)), 25, "ffv1")
    dataset = Recordings(tmp_path / "root")
    line = dataset.import_from(manifest(tmp_path, row("r1", "a.mkv", "x"), row("r2", "b.mkv", "y")))
    assert "note: row 2: seeks find other frames than decoding does; it is read from its start, slowly" in line
    lying, other = dataset.samples()
    assert not lying.footage.seek
    assert other.footage.seek
    with open_video(tmp_path / "a.mkv") as video:
        truth = video.read(0, 40)
    assert np.array_equal(Reader().read(lying.footage, [35, 36]), truth[35:37])
    assert dataset.verify() == []


def test_a_turned_video_is_told_of_and_its_boxes_are_upright(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(90)
        for number in range(30):
            picture = np.full((32, 64, 3), number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    dataset = Recordings(tmp_path / "root")
    path = manifest(tmp_path, row("r1", "phone.mp4", "x", end="0.6"), row("r2", "phone.mp4", "y", start="0.6"))
    text = path.read_text().replace("recording,", "bed_box,recording,", 1).replace("r1,", "0 0 32 64,r1,", 1)
    path.write_text(text.replace("\nr2,", "\n0 0 32 60,r2,").replace("\r\nr2,", "\r\n0 0 32 60,r2,"))
    line = dataset.import_from(path)
    assert "note: rows 2 and 3: turned by 90 degrees to the left, as the file says, from the 64 x 32 that it" in line
    assert Reader().read(dataset.samples()[0].footage, [0]).shape == (1, 64, 32, 3)


def test_the_case_of_an_imagej_film(shared: Path, tmp_path: Path) -> None:
    shutil.copy(shared / "cases" / "imagej.avi", tmp_path / "a.avi")
    dataset = Recordings(tmp_path / "root")
    dataset.import_from(manifest(tmp_path, row("r1", "a.avi", "x", end="1.6"), row("r2", "a.avi", "y", start="1.6")))
    assert all(recording.seek for recording in dataset.recordings())
    first, second = dataset.samples()
    for sample in (second, first):
        assert Reader().read(sample.footage, range(sample.start, sample.stop)).max(axis=(1, 2, 3)).min() > 0

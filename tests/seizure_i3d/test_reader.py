"""The reader that crops: which box, what is read of it, and when no detector is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vidsuite_plugins.seizure_i3d as plugin
from vidsuite_core.engine.config import cell_config, parse_options, settle
from vidsuite_core.errors import UsageError
from vidsuite_core.media import write_video
from vidsuite_core.samples import Box, ClipSample, Recording
from vidsuite_plugins.seizure_i3d.crop.cropper import Cropper
from vidsuite_plugins.seizure_i3d.crop.reader import ReadCropped, blended
from vidsuite_plugins.seizure_i3d.crop.warm import warm_box

CONFIG = Path(plugin.__file__).parent / "configs" / "i3d_pool_logreg.py"


BOTH: dict[str, Box] = {"bed": (10.0, 10.0, 30.0, 30.0), "person": (20.0, 15.0, 40.0, 25.0)}


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipSample:
    """Frames 5 to 25 of a recording that begins at frame 5 of a 16-bit video; frame n is n * 100 everywhere."""
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "video.mkv"
    write_video(video, (np.full((40, 60), n * 100, np.uint16) for n in range(30)), fps=30, codec="ffv1")
    recording = Recording(
        name="r", subject="s", planes=(video,), frames=25, fps=30, content="c", first=5, value_range=(0, 2550)
    )
    return ClipSample(id="a", footage=recording, label=1, start=0, stop=20)


def with_regions(sample: ClipSample, regions: dict[str, Box], content: str = "c") -> ClipSample:
    """The sample in a recording that brings regions."""
    return replace(sample, footage=replace(sample.footage, regions=regions, content=content))


def test_given_boxes_make_the_crop_and_the_key(sample: ClipSample) -> None:
    boxed = with_regions(sample, BOTH, "boxed")
    crop = Cropper().crop(boxed.footage)
    # Merged 10..40 x 10..30, 20 % of 30 and of 20 more on each side (section 3.3.1), clipped to 60 x 40.
    assert crop.box == (4, 6, 46, 34)
    assert (crop.status, crop.source) == ("cropped", "given")
    reader = ReadCropped(size=32, crop={"source": "given"})
    assert reader.key(boxed)["framing"]["box"] == [4, 6, 46, 34]
    clip = reader({"sample": boxed})["clip"]
    assert len(np.flatnonzero(clip[0, :, 16, 0])) == round(28 * 32 / 42)


def test_a_missing_region_or_detector_keeps_the_whole_frame(sample: ClipSample) -> None:
    only_bed = with_regions(sample, {"bed": (1.0, 1.0, 9.0, 9.0)})
    missing = Cropper(source="given").crop(only_bed.footage)
    assert (missing.status, missing.box) == ("whole_frame", (0, 0, 60, 40))
    assert "person" in missing.reason
    nobody = Cropper().crop(replace(only_bed.footage, content="e"))
    assert (nobody.status, nobody.source) == ("whole_frame", "none")
    with pytest.raises(UsageError, match="is none of"):
        Cropper(source="guess")


def test_what_was_cropped_is_told(sample: ClipSample) -> None:
    boxed = with_regions(sample, BOTH)
    told = ReadCropped(size=32, crop={"source": "given"}).details([boxed])
    assert told["crops"]["r"]["status"] == "cropped"
    assert ReadCropped(size=32).details([boxed]) == {}


def test_the_detector_is_not_asked_for_where_all_samples_bring_boxes() -> None:
    recording = Recording(name="r", subject="s", planes=(Path("v"),), frames=9, fps=30, content="c")
    bare = ClipSample(id="b", footage=recording, label=0, start=0, stop=9)
    sample = with_regions(bare, BOTH)
    for samples, options, detects in [
        ([sample], (), False),
        ([sample, bare], (), True),
        ([sample], ("crop.source=detector",), True),
        ([bare], ("crop.source=given",), False),
        ([bare], ("crop.source=warm",), False),
    ]:
        resolved = cell_config(CONFIG, "quick", [], parse_options(options), "fp32")
        settle(resolved, samples)
        assert "settle" not in resolved
        assert bool(resolved["crop"]["detector"]) is detects  # type: ignore[index]


def test_what_is_warm_makes_the_crop(sample: ClipSample) -> None:
    frames = np.full((3, 16, 16, 1), 50, np.uint8)
    frames[0, 4:6, 3:5], frames[2, 9, 7], frames[1, 15, 15] = 200, 150, 70  # a body, its foot, and noise
    assert warm_box(frames) == (3, 4, 8, 10)
    footage = replace(sample.footage, planes=(frames,), first=0, frames=3, value_range=None)
    thermal = replace(sample, footage=footage, stop=3)
    found = Cropper(source="warm", expand=0.2).crop(thermal.footage)
    assert (found.box, found.status, found.source) == ((2, 2, 9, 12), "cropped", "warm")
    reader = ReadCropped(size=None, crop={"source": "warm", "expand": 0})
    assert reader({"sample": thermal})["clip"].shape == (3, 6, 5, 3)


def test_a_room_without_anybody_is_not_cropped(sample: ClipSample) -> None:
    nobody = replace(sample.footage, planes=(np.full((3, 16, 16, 1), 50, np.uint8),), first=0, frames=3)
    found = Cropper(source="warm").crop(nobody)
    assert (found.status, found.box, found.reason) == ("whole_frame", (0, 0, 16, 16), "no warm found")


def test_frames_between_frames_are_means_of_both() -> None:
    clip = np.array([0, 30, 90], np.uint8).reshape(3, 1, 1, 1)
    assert blended(clip, 3).ravel().tolist() == [0, 10, 20, 30, 50, 70, 90]
    assert blended(clip, 1).ravel().tolist() == [0, 30, 90]
    assert blended(clip, 0.5).ravel().tolist() == [0, 90]
    assert blended(clip[:1], 3).ravel().tolist() == [0]


def test_a_clip_is_blended_to_the_rate_that_is_asked_for(sample: ClipSample) -> None:
    plain, nearest = ReadCropped(size=8), ReadCropped(size=8, fps=60)
    linear = ReadCropped(size=8, fps=60, between="linear")
    assert len(nearest({"sample": sample})["clip"]) == 40
    results = linear({"sample": sample})
    assert (len(results["clip"]), results["fps"]) == (39, 60)
    assert np.array_equal(results["clip"][::2], plain({"sample": sample})["clip"])
    middle = results["clip"][1].astype(float) - (results["clip"][0] + results["clip"][2].astype(float)) / 2
    assert np.abs(middle).max() <= 0.5
    assert linear.key(sample) == {**plain.key(sample), "linear": 60.0}
    assert ReadCropped(size=8, between="linear").key(sample) == plain.key(sample)
    with pytest.raises(UsageError, match="nearest or linear"):
        ReadCropped(between="cubic")  # type: ignore[arg-type]

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
from vidsuite_plugins.seizure_i3d.crop.reader import ReadCropped

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
    ]:
        resolved = cell_config(CONFIG, "quick", [], parse_options(options), "fp32")
        settle(resolved, samples)
        assert "settle" not in resolved
        assert bool(resolved["crop"]["detector"]) is detects  # type: ignore[index]

"""From a sample to pixels: fitting, scaling to 8 bits, crops, and which frames are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidsuite_core.engine.clips import ReadClip, first_frame, fit_square, to_uint8
from vidsuite_core.engine.data import PackClip, entry
from vidsuite_core.media import write_video
from vidsuite_core.samples import ClipSample


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipSample:
    """Frames 5 to 25 of a recording that begins at frame 5 of a 16-bit video; frame n is n * 100 everywhere."""
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "video.mkv"
    write_video(video, (np.full((40, 60), n * 100, np.uint16) for n in range(30)), fps=30, codec="ffv1")
    return ClipSample(
        id="a", subject="s", recording="r", label=1, video=video, start=5, stop=25, fps=30, content="c", first=5,
        value_range=(0, 2550),
    )  # fmt: skip


def test_the_longest_side_is_fitted_and_the_rest_is_black() -> None:
    frames = np.full((2, 424, 512, 1), 200, np.uint8)
    fitted = fit_square(frames, 224)
    assert fitted.shape == (2, 224, 224, 1)
    rows = np.flatnonzero(fitted[0, :, 112, 0])
    assert len(rows) == round(424 * 224 / 512) == 186  # the paper's 512 x 424
    assert rows[0] == (224 - 186) // 2
    assert fitted[0, :, :, 0].max() == 200
    assert (fit_square(np.full((1, 10, 10, 3), 7, np.uint8), 224) == 7).all()


def test_sixteen_bits_become_eight_by_the_recordings_range(sample: ClipSample) -> None:
    frames = np.array([-5, 0, 1275, 2550, 9999]).reshape(1, 1, 5, 1)
    assert to_uint8(frames, sample).ravel().tolist() == [0, 0, 128, 255, 255]
    eight = np.array([[[[3]]]], np.uint8)
    assert to_uint8(eight, replace(sample, value_range=None)) is eight


def test_without_a_range_the_recordings_own_first_frame_decides(tmp_path: Path) -> None:
    ramp = np.arange(6000, dtype=np.uint16).reshape(60, 100)
    video = tmp_path / "ramp.mkv"
    write_video(video, iter([np.zeros_like(ramp), ramp, ramp * 2]), fps=30, codec="ffv1")
    sample = ClipSample(
        id="a", subject="s", recording="r", label=0, video=video, start=1, stop=3, fps=30, content="c", first=1
    )
    low, high = np.percentile(ramp, [0.5, 99.5])
    assert to_uint8(np.array([[[[low]]]]), sample) == 0
    assert to_uint8(np.array([[[[high]]]]), sample) == 255


def test_the_samples_frames_are_read_and_packed(sample: ClipSample) -> None:
    results = ReadClip(size=32)(entry(sample))
    clip = results["clip"]
    assert clip.shape == (20, 32, 32, 3)
    middle = clip[:, 16, 16, 0]
    assert middle.tolist() == [round(n * 100 / 10) for n in range(5, 25)]
    assert (clip[..., 0] == clip[..., 2]).all()
    packed = PackClip()(results)
    assert packed["inputs"].shape == (3, 20, 32, 32)
    assert float(packed["inputs"].min()) == -1.0  # the padding is black
    assert packed["inputs"][0, 0, 16, 16].item() == pytest.approx(50 / 127.5 - 1)
    assert packed["data_samples"].num_frames == 20
    assert packed["data_samples"].gt_label.tolist() == [1]
    assert first_frame(sample)[0, 0, 0] == 50


def test_a_cached_clip_is_the_same_clip(sample: ClipSample) -> None:
    reader = ReadClip(size=32, cached=True)
    first, again = reader(entry(sample))["clip"], reader(entry(sample))["clip"]
    np.testing.assert_array_equal(first, again)
    assert reader.key(sample) != reader.key(replace(sample, stop=24))
    assert reader.key(sample) != reader.key(replace(sample, content="d"))
    assert reader.key(sample) != ReadClip(size=64, cached=True).key(sample)

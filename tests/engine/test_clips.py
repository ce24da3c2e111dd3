"""From a clip to what networks take: which frames, at what size, in which channels, and how they are packed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidsuite_core.engine.data import ClipDataset, PackClip, ReadClip
from vidsuite_core.errors import UsageError
from vidsuite_core.media import open_video, write_video
from vidsuite_core.samples import ClipSample, Recording


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipSample:
    """The first 20 frames of a recording that begins at frame 5 of a 16-bit video; frame n is n * 100 everywhere."""
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "video.mkv"
    write_video(video, (np.full((40, 60), n * 100, np.uint16) for n in range(30)), fps=30, codec="ffv1")
    recording = Recording(
        name="r", subject="s", planes=(video,), frames=25, fps=30, content="c", first=5, value_range=(0, 2550)
    )
    return ClipSample(id="a", footage=recording, label=1, start=0, stop=20)


def in_footage(sample: ClipSample, **fields: object) -> ClipSample:
    return replace(sample, footage=replace(sample.footage, **fields))


def test_the_samples_frames_are_read_and_packed(sample: ClipSample) -> None:
    item = ClipDataset([sample], [ReadClip(size=32), PackClip()])[0]
    assert item["inputs"].shape == (3, 20, 32, 32)
    assert float(item["inputs"].min()) == -1.0  # the padding is black
    middle = (item["inputs"][:, :, 16, 16] + 1) * 127.5
    assert middle[0].round().tolist() == [round(n * 100 / 10) for n in range(5, 25)]
    assert torch.equal(middle[0], middle[2])
    assert item["data_samples"].gt_label.tolist() == [1]
    assert item["data_samples"].metainfo == {"sample_id": "a", "num_frames": 20, "fps": 30}


def test_pixels_are_those_of_the_formula_to_the_digit(tmp_path: Path) -> None:
    """Decoded whole, scaled, fitted and packed in plain numpy, OpenCV and torch, as it was done before."""
    dice = np.random.default_rng(0)
    for number, (shape, dtype, values) in enumerate(
        [((53, 70), np.uint16, (100, 60000)), ((53, 70, 3), np.uint8, None), ((90, 31), np.uint8, (3, 99))]
    ):
        video = tmp_path / f"{number}.mkv"
        high = np.iinfo(dtype).max
        write_video(video, iter(dice.integers(0, high, (9, *shape), dtype=dtype)), fps=30, codec="ffv1")
        recording = Recording(
            name="r", subject="s", planes=(video,), frames=8, fps=30, content=str(number), first=1, value_range=values
        )
        sample = ClipSample(id="a", footage=recording, label=0, start=2, stop=7)
        packed = ClipDataset([sample], [ReadClip(size=24), PackClip()])[0]["inputs"]
        with open_video(video) as opened:
            frames = opened.read(3, 8)
        if values:
            low, high = values
            frames = np.clip((frames.astype(np.float32) - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)
        height, width = frames.shape[1:3]
        inner = round(height * 24 / max(height, width)), round(width * 24 / max(height, width))
        top, left = (24 - inner[0]) // 2, (24 - inner[1]) // 2
        expected = np.zeros((5, 24, 24, frames.shape[3]), np.uint8)
        for frame, place in zip(frames, expected, strict=True):
            small = cv2.resize(frame, inner[::-1], interpolation=cv2.INTER_LINEAR)
            place[top : top + inner[0], left : left + inner[1]] = small.reshape(*inner, -1)
        clip = torch.from_numpy(np.broadcast_to(expected, (5, 24, 24, 3)).copy())
        assert torch.equal(packed, clip.permute(3, 0, 1, 2).float().div_(127.5).sub_(1))


def test_one_channel_stays_one_where_a_network_takes_one(sample: ClipSample) -> None:
    assert ReadClip(size=32, channels=None)({"sample": sample})["clip"].shape == (20, 32, 32, 1)
    item = ClipDataset([sample], [ReadClip(size=(20, 10), fit="stretch", channels=1), PackClip(mean=0, std=255)])[0]
    assert item["inputs"].shape == (1, 20, 10, 20)
    assert float(item["inputs"][0, -1, 0, 0]) == pytest.approx(240 / 255)


def test_mean_std_and_layout_come_from_the_config(sample: ClipSample) -> None:
    results = ReadClip(size=32)({"sample": sample})
    plain = PackClip(mean=0, std=1)(results)["inputs"]
    packed = PackClip(mean=(1, 2, 3), std=(4, 5, 6), layout="TCHW")(results)["inputs"]
    expected = (plain - torch.tensor([1, 2, 3]).reshape(3, 1, 1, 1)) / torch.tensor([4, 5, 6]).reshape(3, 1, 1, 1)
    torch.testing.assert_close(packed, expected.transpose(0, 1))
    with pytest.raises(UsageError, match="must name the axes T, H, W, C once each"):
        PackClip(layout="CHW")(results)
    with pytest.raises(UsageError, match=r"mean \[1.0, 2.0\] is neither one number nor one for each of 3 channels"):
        PackClip(mean=(1, 2))(results)


@pytest.mark.parametrize("channels", [1, 3, None])
def test_a_cached_clip_is_the_same_clip(sample: ClipSample, channels: int | None) -> None:
    reader = ReadClip(size=32, channels=channels, cached=True)
    plain = ReadClip(size=32, channels=channels)({"sample": sample})["clip"]
    for _ in range(2):
        np.testing.assert_array_equal(reader({"sample": sample})["clip"], plain)


def test_what_decides_a_clip_is_in_its_key(sample: ClipSample) -> None:
    reader = ReadClip(size=32)
    others = [
        reader.key(replace(sample, stop=19)),
        reader.key(replace(sample, start=1)),
        reader.key(in_footage(sample, content="d")),
        reader.key(in_footage(sample, first=4)),
        reader.key(in_footage(sample, value_range=None)),
        reader.key(in_footage(sample, times=[n * n for n in range(25)])),
        ReadClip(size=64).key(sample),
        ReadClip(size=32, fit="stretch").key(sample),
        ReadClip(size=32, channels=1).key(sample),
        ReadClip(size=32, fps=10).key(sample),
    ]
    assert reader.key(sample) not in others
    assert reader.key(sample) == ReadClip(size=32, cached=True).key(replace(sample, id="b", label=0))
    assert reader.key(in_footage(sample, times=[n / 30 for n in range(25)]))["frames"] == [0, 20]


def test_a_rate_that_is_asked_for_is_given_and_said(sample: ClipSample) -> None:
    item = ClipDataset([sample], [ReadClip(size=32, fps=10), PackClip(0, 1)])[0]
    assert item["inputs"][0, :, 16, 16].tolist() == [(5 + n) * 10 for n in (0, 3, 6, 9, 12, 15, 18)]
    assert item["data_samples"].fps == 10
    doubled = ReadClip(size=32, fps=60)({"sample": sample})["clip"]
    assert doubled[:4, 16, 16, 0].tolist() == [50, 50, 60, 60]


def test_varying_rates_are_resampled_unless_frames_are_asked_for(sample: ClipSample) -> None:
    times = [*(n / 100 for n in range(10)), *(0.1 + n / 10 for n in range(15))]  # ten at 100 Hz, the others at 10 Hz
    varying = in_footage(sample, times=times, fps=20)
    shown = ReadClip(size=32)({"sample": varying})
    assert shown["fps"] == 20
    # At 0, 0.05 and 0.1 s frames 0, 5 and 10 are on, and then each frame for two ticks.
    assert (shown["clip"][:6, 16, 16, 0] // 10 - 5).tolist() == [0, 5, 10, 10, 11, 11]
    frames = ReadClip(size=32, fps="frames")({"sample": varying})
    assert frames["clip"].shape[0] == 20


def test_mmaction_s_pipelines_find_what_they_start_from(sample: ClipSample) -> None:
    entry = ClipDataset([sample], []).entry(sample)
    assert (entry["start_index"], entry["total_frames"], entry["modality"]) == (5, 20, "RGB")
    assert entry["filename"].endswith("video.mkv")

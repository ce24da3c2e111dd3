"""Streams: each task's model, step by step, predicts what it predicted of the recording; and what the command says."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import torch
from called import vidsuite

import vidsuite_core as vs
from vidsuite_core.engine.config import cell_config
from vidsuite_core.engine.streaming import StreamOptions
from vidsuite_core.errors import UsageError
from vidsuite_core.media import count_frames, open_video, probe, write_video
from vidsuite_core.media.reader import Reader
from vidsuite_core.results.store import Attempt
from vidsuite_core.specs import resolve


@pytest.fixture
def suite(toy_tasks_path: Path, toy_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> vs.Suite:
    monkeypatch.syspath_prepend(str(toy_tasks_path))
    return vs.load()


def streamer(suite: vs.Suite, model: str, weights: Path | None = None, **more: Any) -> Any:
    spec = suite.models[model].spec
    assert spec.config is not None
    config = cell_config(spec.config, "quick", [], {}, "fp32")
    options = StreamOptions(config=config, classes=2, weights=weights, device="cpu", name=model, **more)
    return resolve(resolve(suite.tasks[spec.task].spec.builder).streamer)(options)


def attempt_of(ran: tuple[dict[str, Attempt], str], name: str) -> tuple[Attempt, dict[str, np.ndarray]]:
    return ran[0][name], ran[0][name].predictions()


def test_label_maps_are_those_that_the_cell_kept(toy_tasks_ran: Any, suite: vs.Suite, tmp_path: Path) -> None:
    attempt, arrays = attempt_of(toy_tasks_ran, "crossing")
    dataset = suite.datasets["toy_tasks/crossing"].prepare(tmp_path)
    task = suite.tasks["video_segmentation"].open(dataset.class_names())
    live = streamer(suite, "toy_tasks/tiny_crossing", attempt.path / "weights.pth")
    with ZipFile(attempt.path / "outputs.zip") as kept:
        for place, name in enumerate(arrays["sample_id"].tolist()[:6]):
            sample = next(one for one in dataset.samples() if one.id == name)
            labels = live.step(Reader().frame(sample.footage, sample.index))["labels"]
            assert labels.shape == (24, 32)
            small = cv2.resize(labels, (16, 12), interpolation=cv2.INTER_NEAREST)
            stored = task.prediction(arrays, place, kept.read(task.output_name(name)))["labels"]
            np.testing.assert_array_equal(small, stored)


def test_boxes_are_those_of_the_cell(toy_tasks_ran: Any, suite: vs.Suite, tmp_path: Path) -> None:
    attempt, arrays = attempt_of(toy_tasks_ran, "passing")
    dataset = suite.datasets["toy_tasks/passing"].prepare(tmp_path)
    task = suite.tasks["action_detection"].open(dataset.class_names())
    live = streamer(suite, "toy_tasks/tiny_passing", attempt.path / "weights.pth")
    recording = next(one.footage for one in dataset.samples() if one.recording == "r6")
    places = {name: place for place, name in enumerate(arrays["sample_id"].tolist())}
    for index, frame in enumerate(Reader().read(recording, range(recording.frames))):
        found = live.step(np.repeat(frame, 3, axis=2))
        if f"r6/{index}" in places:
            stored = task.prediction(arrays, places[f"r6/{index}"])
            np.testing.assert_array_equal(found["class"], stored["class"])
            np.testing.assert_allclose(found["box"], stored["box"], atol=1e-4)
            np.testing.assert_allclose(found["score"], stored["score"], atol=1e-4)


def test_chances_at_each_moment_are_those_of_the_cell(toy_tasks_ran: Any, suite: vs.Suite, tmp_path: Path) -> None:
    attempt, arrays = attempt_of(toy_tasks_ran, "growing")
    dataset = suite.datasets["toy_tasks/growing"].prepare(tmp_path)
    live = streamer(suite, "toy_tasks/tiny_growing", attempt.path / "weights.pth")
    sample = next(one for one in dataset.samples() if one.id == "r10")
    found = []
    for start, stop in sample.moments:
        if start < stop:
            moment = np.stack([Reader().frame(sample.footage, (start + stop) // 2, plane=p) for p in range(3)])
            found.append(float(live.step(moment)["prob"][0]))
    stored = arrays["prob"][arrays["sample_id"].tolist().index("r10")]
    np.testing.assert_allclose(found, stored[: len(found)], atol=1e-5)


def test_clips_are_the_last_frames(suite: vs.Suite) -> None:
    """The network is that of the cell, on the last four frames, and at first on the first one for those before it."""
    live = streamer(suite, "toy/tiny", window=4)
    frames = np.random.default_rng(0).integers(0, 255, (7, 32, 32, 3), np.uint8)
    found = [live.step(frame)["prob"] for frame in frames]
    for place, clip in ((6, frames[-4:]), (1, frames[[0, 0, 0, 1]])):
        packed = torch.from_numpy(clip).permute(3, 0, 1, 2).float().div_(127.5).sub_(1)
        with torch.no_grad():
            expected = live.network([packed]).softmax(1)[0].numpy()
        np.testing.assert_allclose(found[place], expected, atol=1e-6)
    assert len(live._held) == 4
    with pytest.raises(UsageError, match="sees clips; say how many frames make one with --window N"):
        streamer(suite, "toy/tiny")


class Remembering(torch.nn.Module):
    """The mean of all moments so far, as an object that is asked moment by moment."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def stream(self) -> Remembering:
        return self

    def step(self, moment: torch.Tensor) -> torch.Tensor:
        assert moment.shape[:3] == (1, 3, 1)
        self.seen.append(float(moment.mean()))
        return torch.tensor([sum(self.seen) / len(self.seen)])


def test_a_network_that_streams_is_given_one_moment_at_a_time(suite: vs.Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsuite_core.engine.streaming.network_of", lambda *_: Remembering())
    live = streamer(suite, "toy_tasks/tiny_growing")
    chances = [float(live.step(np.full((3, 8, 8, 1), value, np.uint8))["prob"][0]) for value in (128, 192, 64)]
    np.testing.assert_allclose(chances, 1 / (1 + np.exp(-np.array([0, 0.5, 0]))), atol=1e-6)
    assert len(live._held) == 1


@pytest.mark.parametrize("name", ["crossing", "growing", "passing"])
def test_the_command_shows_what_each_task_predicts(
    toy_tasks_ran: Any, suite: vs.Suite, tmp_path: Path, name: str
) -> None:
    attempt, _ = attempt_of(toy_tasks_ran, name)
    frames = np.random.default_rng(0).integers(0, 40, (5, 48, 80, 3), np.uint8)
    frames[:, 16:32, 30:50] = 220
    write_video(tmp_path / "in.mp4", frames, 12)
    source = ["--input", str(tmp_path / "in.mp4"), "--out", str(tmp_path / "out.mp4"), "--devices", "cpu"]
    if name == "growing":  # three folders are three focal planes
        for plane in "abc":
            (tmp_path / "planes" / plane).mkdir(parents=True)
            for number in range(5):
                cv2.imwrite(str(tmp_path / "planes" / plane / f"{number}.png"), frames[number, ..., 0])
        source[1] = str(tmp_path / "planes")
    done = vidsuite("stream", f"toy_tasks/tiny_{name}", *source, "--weights", str(attempt.path / "weights.pth"))
    assert done.returncode == 0, done.stderr
    unit = "moment" if name == "growing" else "frame"
    assert f"ms a {unit}, " in done.stdout
    assert count_frames(tmp_path / "out.mp4") == 5
    assert probe(tmp_path / "out.mp4").width == 80
    with open_video(tmp_path / "out.mp4") as video:
        shown = video.read(0, 5)[:, :48].astype(int)
    drawn = np.abs(shown - frames).max(axis=(0, 3)) > 60
    assert drawn[17:31, 31:49].any() if name == "crossing" else drawn[18:, :].any()


def test_planes_of_different_lengths_and_planes_for_frames_are_refused(suite: vs.Suite, tmp_path: Path) -> None:
    for plane, count in (("a", 2), ("b", 3)):
        (tmp_path / "in" / plane).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(tmp_path / "in" / plane / f"{number}.png"), np.zeros((32, 32), np.uint8))
    words = ["--input", str(tmp_path / "in"), "--out", str(tmp_path / "out.mp4"), "--devices", "cpu"]
    done = vidsuite("stream", "toy_tasks/tiny_growing", *words)
    assert done.returncode == 2
    assert "has planes of 2 to 3 images; give each as many" in done.stderr
    (tmp_path / "in/b/2.png").unlink()
    done = vidsuite("stream", "toy_tasks/tiny_crossing", *words)
    assert done.returncode == 2
    assert "takes frames; --input" in done.stderr
    assert not (tmp_path / "out.mp4").exists()

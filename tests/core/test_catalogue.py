"""`list` and `show`: headings, plain values, and what a plugin's author looks for; a dry run touches nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from called import vidsuite


def test_list_has_a_heading() -> None:
    done = vidsuite("list")
    assert done.stdout.splitlines()[0] == "benchmarks (there are also: plugins, tasks, datasets, models, backends)"
    assert vidsuite("list", "models").stdout.startswith("models (")
    assert set(json.loads(vidsuite("list", "--json").stdout)) == {"benchmarks", "left_out"}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("toy/blobs", ["classes left, right", "synthetic yes", "footage Recording"]),
        ("toy/direction", ["models tiny", "paper subjects 8", "quick timeout 300.0"]),
        ("toy/tiny", ["recipe trains step by step (train_cfg)", "backends", "openvino cpu"]),
        ("openvino", ["kind back end", "here cpu"]),
        ("toy", ["datasets blobs", "models tiny", "benchmarks direction"]),
        ("clip_classification", ["kind task", "label int | None"]),
        ("i3d_lstm_fc", ["weights i3d_rgb_kinetics400, mask_rcnn_r101_fpn_coco"]),
    ],
)
def test_show_is_for_reading(name: str, lines: list[str], toy_env: dict[str, str]) -> None:
    done = vidsuite("show", name)
    assert done.returncode == 0, done.stderr
    assert not any(sign in done.stdout for sign in ("('", '["', '{"'))
    assert set(lines) <= {" ".join(line.split()) for line in done.stdout.splitlines()}, done.stdout


CHATTY = """
print("imported")
from vidsuite_core import DatasetSpec, hookimpl
from vidsuite_core.datasets import Dataset
vidsuite_api = 1

@hookimpl
def vidsuite_datasets():
    print("asked")
    return [DatasetSpec(name="noise", summary="", task="clip_classification", builder="chatty:Noise", licence="")]

class Noise(Dataset):
    classes = ("a", "b")
    def is_ready(self):
        print("looking")
        return False
    def samples(self):
        return []
    def fingerprint(self):
        return ""
"""


@pytest.mark.parametrize(
    "words", [["list", "datasets", "--json"], ["data", "list", "--json"], ["show", "chatty/noise", "--json"]]
)
def test_json_is_json_whatever_a_plugin_prints(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(CHATTY)
    info = tmp_path / "chatty-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chatty\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vidsuite]\nchatty = chatty\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "VIDSUITE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "chatty/noise" in json.dumps(json.loads(done.stdout))
    assert "imported" in done.stderr


def test_show_tells_the_sizes_of_data_that_are_here(toy_env: dict[str, str]) -> None:
    assert "state      the data below" in vidsuite("show", "toy/blobs").stdout
    assert vidsuite("data", "prepare", "toy/blobs").returncode == 0
    (found,) = json.loads(vidsuite("show", "toy/blobs", "--json").stdout)
    assert found["state"] == "ready"
    assert found["sizes"] == {"samples": 8, "subjects": 4, "recordings": 8, "of left": 4, "of right": 4}


def test_a_dry_run_prepares_and_fetches_nothing(
    toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDSUITE_OFFLINE", "0")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was tried"))
    monkeypatch.setattr("vidsuite_core.weights.download.run_pip", lambda *_: pytest.fail("pip was called"))
    for plugin, line in (
        ("toy", "run       toy/tiny · blobs · 2 folds, 1 seeds"),
        ("seizure_i3d", "run       seizure_i3d/single_frame · synthetic · 5 folds, 1 seeds"),
    ):
        done = vidsuite("bench", "--plugin", plugin, "--dry-run")
        assert done.returncode == 0, done.stderr
        assert line in done.stdout.splitlines()
        assert f"generate  {plugin}/" in done.stdout
        assert done.stdout.splitlines()[-1] == "of data that are not here yet cells and times are not known"
    assert "fetch     weights i3d_rgb_kinetics400" in done.stdout
    assert ", 47 MB" in done.stdout
    assert not os.path.lexists(toy_env["VIDSUITE_CACHE"])
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_over_data_that_are_here_names_the_cells(toy_env: dict[str, str], tmp_path: Path) -> None:
    vidsuite("data", "prepare", "toy/blobs")
    done = vidsuite("bench", "--plugin", "toy", "--dry-run", "--seeds", "2", "--out", str(tmp_path / "runs"))
    *cells, last = done.stdout.splitlines()
    assert [line.split()[0] for line in cells] == ["run"] * 4
    assert [line.split()[1][:18] for line in cells] == ["tiny-blobs-quick-f"] * 4
    assert last == "4 cells to run, 0 reused; how long they take is not known: there is no past attempt"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--model", "foo"], "benchmark toy/direction has no model 'foo'; it has tiny"),
        (["--model", "tny"], "benchmark toy/direction has no model 'tny'; did you mean 'tiny'?"),
        (["--model", "fanet18"], "driving_fanet/fanet18 is for task video_segmentation"),
        (["--dataset", "driving_fanet/camvid"], "driving_fanet/camvid is for task video_segmentation"),
    ],
)
def test_bench_names_what_the_benchmark_has(words: list[str], text: str, toy_env: dict[str, str]) -> None:
    done = vidsuite("bench", "--plugin", "toy", *words)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_dataset_of_another_plugin_is_taken_by_its_short_name_where_one_fits(toy_env: dict[str, str]) -> None:
    done = vidsuite("bench", "--plugin", "toy", "--dataset", "fir16", "--dry-run")
    assert "seizure_i3d/fir16" in done.stdout, done.stderr
    several = vidsuite("bench", "--plugin", "toy", "--dataset", "synthetic", "--dry-run")
    assert several.returncode == 2
    assert "ambiguous: embryo_timelapse/synthetic, seizure_i3d/synthetic" in several.stderr

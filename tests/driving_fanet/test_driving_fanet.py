"""The plugin as a whole: what it brings, and its models on a small synthetic dataset."""

from __future__ import annotations

import json
import zipfile
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from called import Called, vidsuite
from litter import strew

import vidsuite_core as vs
from vidsuite_core.engine.config import cell_config, named_weights, runtime_config
from vidsuite_core.media import count_frames, open_video, probe, write_video
from vidsuite_core.networks.runs import counted, runs_of

PAPER = Path(__file__).parents[2] / "plugins" / "driving_fanet" / "paper.yaml"
PEERS = ("fcn18", "bisenet", "fast_scnn")


@pytest.fixture(scope="module")
def suite() -> vs.Suite:
    return vs.load("driving_fanet")


def config_of(suite: vs.Suite, model: str) -> dict[str, object]:
    spec = suite.models[model].spec
    assert spec.config is not None
    return cell_config(spec.config, "paper", [], {}, "fp32")


def test_the_plugin_loads_without_faults(suite: vs.Suite) -> None:
    assert suite.faults == []
    assert set(suite.benchmarks) == {"driving_fanet/driving_fanet"}
    definition = suite.benchmarks["driving_fanet"].definition()
    assert {f"driving_fanet/{name}" for name in definition.datasets} == set(suite.datasets)
    assert {definition.full_name(name) for name in definition.models} == set(suite.models)


def test_specs_name_the_weights_that_configs_name(suite: vs.Suite) -> None:
    for model in suite.models.of_plugin("driving_fanet"):
        assert model.spec.config is not None
        for preset in ("quick", "paper"):
            assert named_weights(cell_config(model.spec.config, preset, [], {}, "fp32")) == set(model.spec.weights)
        assert all(name in {w.spec.name for w in suite.weights.values()} for name in model.spec.weights)


def test_the_paper_preset_has_the_papers_numbers(suite: vs.Suite) -> None:
    for model in suite.models.of_plugin("driving_fanet"):
        config = config_of(suite, model.key)
        assert config["train_cfg"] == {"by_epoch": False, "max_iters": 30 * 434, "val_interval": 434}
        assert config["train_dataloader"]["batch_size"] == 16


@pytest.mark.parametrize(
    ("model", "depth", "run"),
    [
        ("fanet18", 0, 1),
        ("fanet18_tca1", 1, 1),
        ("fanet18_tca2", 2, 1),
        ("fanet18_tca4", 4, 1),
        ("fanet18_tca6", 6, 1),
        ("fanet18_homogeneous", 0, 16),
        ("fanet18_tca4_homogeneous", 4, 16),
    ],
)
def test_each_row_has_its_depth_and_its_batches(suite: vs.Suite, model: str, depth: int, run: int) -> None:
    config = runtime_config(config_of(suite, model), {"resnet18_imagenet": None}, 11, [])
    sampler = config.train_dataloader.batch_sampler
    assert (sampler.context, sampler.run, sampler.skip) == (depth, run, 6)
    assert suite.models[model].build(num_classes=3).tca_depth == depth


@pytest.mark.parametrize("preset", ["quick", "medium", "paper"])
def test_rows_differ_in_what_they_are_about_and_in_nothing_else(suite: vs.Suite, preset: str) -> None:
    """The same steps, the same labelled frames in each, the same optimiser, augmentation and schedule."""
    definition = suite.benchmarks["driving_fanet"].definition()
    chosen = definition.preset(preset)
    recipes = {}
    for name in chosen.models or definition.models:
        model = suite.models[definition.full_name(name)]
        if model.plugin != "driving_fanet":
            continue
        assert model.spec.config is not None
        config = cell_config(model.spec.config, preset, [chosen.cfg], {}, "fp32")
        about = {
            "model",
            "tca_depth",
            "run",
            "auxiliary",
            "norm_cfg",
            "data_preprocessor",
            "precision",
            "pretrained",
            "loss",
        }
        recipes[name] = {field: value for field, value in config.items() if field not in about}
        assert config["run"] == (16 if "homogeneous" in name else "config://mixed")
    assert len(recipes) > 1
    first, *others = recipes.values()
    for other in others:
        assert other == first


def test_every_depth_trains_on_the_same_frames_in_the_same_order(suite: vs.Suite, tmp_path: Path) -> None:
    """By the losses themselves: the labels that count in each step are the same for N = 0 and N = 6."""
    from mmengine.runner import Runner

    import vidsuite_core.engine.data  # noqa: F401 (registers what configs name)
    from vidsuite_core.engine.build import import_modules

    samples = suite.datasets["synthetic"].prepare(tmp_path, frames=9, size=[32, 32], sequences=6).samples()
    counted_labels = []
    for model in ("fanet18", "fanet18_tca6"):
        config = runtime_config(config_of(suite, model), {"resnet18_imagenet": None}, 11, [])
        import_modules(config)
        loader = {**config.train_dataloader, "batch_size": 4, "collate_fn": {"type": "pseudo_collate"}}
        loader["dataset"] = {**loader["dataset"], "samples": samples}
        seen = []
        for batch in islice(Runner.build_dataloader(loader, seed=3), 4):
            metas = [sample.metainfo for sample in batch["data_samples"]]
            names = [f"{meta['sequence']} {meta['draw']}" for meta in metas]
            used = counted(runs_of(names, [meta["position"] for meta in metas]), config.tca_depth)
            seen.append([(m["sequence"], m["position"]) for m, use in zip(metas, used, strict=True) if use])
        assert all(len(step) == 4 for step in seen)
        counted_labels.append(seen)
    assert counted_labels[0] == counted_labels[1]


def test_reported_rows_are_as_printed(shared: Path) -> None:
    text = (shared / "papers" / "driving_fanet.txt").read_text(encoding="utf-8")
    tables = [line.split("\t") for line in text.splitlines() if "\t" in line]
    rows = {row["model"]: row["scores"] for row in yaml.safe_load(PAPER.read_text(encoding="utf-8"))["rows"]}

    def number(cell: str) -> float:
        return float(cell.split(" ")[0])

    printed = {cells[0].strip(): cells[1:] for cells in tables}
    for name in ("FANet (ours)", "FANet (Hu et al., 2021)", "ENet (Siam et al., 2018)", "Netwarp (Gadde et al., 2017)"):
        assert float(rows[name]["miou"].rstrip("†")) == pytest.approx(number(printed[name][0]) / 100)
        assert float(rows[name]["fps_paper"].rstrip("†")) == number(printed[name][1])
        assert ("†" in rows[name]["miou"]) == ("†" in printed[name][0])
    for column, depth in enumerate((0, 2, 4, 6)):
        scores = rows[f"FANet, N = {depth}"]
        assert float(scores["image_micro_iou"]) == pytest.approx(number(printed["Test mIoU (%)"][column]) / 100)
        assert float(scores["image_micro_iou_val"]) == pytest.approx(number(printed["Val. mIoU (%)"][column]) / 100)
        assert float(scores["image_micro_iou_train"]) == pytest.approx(number(printed["Train mIoU (%)"][column]) / 100)
        assert float(scores["fps_paper"]) == number(printed["Speed (FPS)"][column])


@pytest.fixture(scope="module")
def small(suite: vs.Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark on ten frames a sequence, and the cache that its data is kept in."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(
        f"""
protocol: {{type: fixed}}
datasets: {{synthetic: {{default: true, presets: {{quick: {{frames: 10, size: [64, 48]}}}}}}}}
models: [fanet18, fanet18_tca4, {", ".join(PEERS)}]
presets: {{quick: {{timeout: 300, cfg: {{train_cfg: {{max_iters: 3}}, recalibrate: 2}}}}}}
"""
    )
    spec = vs.BenchmarkSpec(name="small", summary="small", task="video_segmentation", definition=folder / "small.yaml")
    row = next(iter(suite.benchmarks.values()))
    suite.benchmarks._rows["driving_fanet/small"] = type(row)("driving_fanet", spec)
    yield folder / "cache"
    del suite.benchmarks._rows["driving_fanet/small"]


@pytest.mark.parametrize(
    "model",
    [
        "fanet18_tca4",
        "fast_scnn",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("fanet18", "fcn18", "bisenet")),
    ],
)
def test_each_kind_of_model_runs_end_to_end(
    suite: vs.Suite, small: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(small))
    results = suite.run(
        "", benchmark="small", model=model, out=tmp_path / "runs", devices="cpu", keep=("outputs", "weights")
    )
    (outcome,) = results.outcomes.values()
    assert outcome.ok, outcome.attempt and outcome.attempt.record.reason
    record = outcome.attempt.record
    assert set(record.files) == {"predictions.npz", "config.py", "log.txt", "outputs.zip", "weights.pth"}
    arrays = outcome.attempt.predictions()
    assert arrays["confusion"].shape == (4 * 10, 11, 11)
    assert (arrays["latency"] > 0).all()
    assert record.scores["miou"].value is not None
    assert record.efficiency.sample == "1 frame of 64x48"
    assert any("synthetic" in warning for warning in record.warnings)
    assert any("random" in warning for warning in record.warnings) == (model not in ("bisenet", "fast_scnn"))
    with zipfile.ZipFile(outcome.attempt.path / "outputs.zip") as maps:
        assert len(maps.namelist()) == 40
        label_map = cv2.imdecode(np.frombuffer(maps.read(maps.namelist()[0]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert label_map.shape == (48, 64)
    assert label_map.max() < 11
    suite.models[model].build(num_classes=11, weights=outcome.attempt.path / "weights.pth")
    assert record.details["path"].endswith("-fp32")
    speed = record.details["inference"]["speed"]
    assert record.efficiency.path == speed["path"]
    assert speed["difference"]["pred_sem_seg.data"]["labels"] < 0.1, speed
    if model == "fanet18_tca4":
        streamed_with_trained_weights(outcome.attempt.path, tmp_path)


def streamed_with_trained_weights(attempt: Path, folder: Path) -> None:
    """The record beside the weights tells model, config and classes."""
    write_video(folder / "in.mp4", np.zeros((3, 64, 64, 3), np.uint8), 12)
    arguments = ("--input", str(folder / "in.mp4"), "--out", str(folder / "out.mp4"))
    weights = ("--weights", str(attempt / "weights.pth"))
    told = stream("fanet18_tca4", *arguments, *weights).stdout
    assert "with weights.pth, classes of driving_fanet/synthetic" in told
    assert "is of driving_fanet/fanet18_tca4, not of" in stream("fanet18", *arguments, *weights, check=2).stderr
    other = stream("fanet18_tca4", *arguments, *weights, "--dataset", "camvid", check=2).stderr
    assert "was trained on the classes of driving_fanet/synthetic, not of camvid" in other
    hostile = json.loads((attempt / "result.json").read_text())
    hostile["score_key"]["config"]["model"] = {"type": "os.mkdir", "path": str(folder / "made")}
    (folder / "hostile").mkdir()
    (folder / "hostile" / "result.json").write_text(json.dumps(hostile))
    (folder / "hostile" / "weights.pth").write_bytes((attempt / "weights.pth").read_bytes())
    told = stream("fanet18_tca4", *arguments, "--weights", str(folder / "hostile" / "weights.pth"), check=2).stderr
    assert "was trained with another network" in told
    assert not (folder / "made").exists()
    other = stream("fanet18_tca4", *arguments, *weights, "--cfg-options", "model.norm=none", check=2).stderr
    assert "model.norm: none -> batch" in " ".join(other.split())
    alone = folder / "alone.pth"
    alone.write_bytes((attempt / "weights.pth").read_bytes())
    told = stream("fanet18_tca4", *arguments, "--weights", str(alone), check=2).stderr
    assert "nothing beside" in told
    stream("fanet18_tca4", *arguments, "--weights", str(alone), "--dataset", "driving_fanet/synthetic")


def stream(*arguments: str, check: int = 0) -> Called:
    done = vidsuite("stream", *arguments, "--devices", "cpu")
    assert done.returncode == check, done.stdout + done.stderr
    return done


def test_stream_writes_an_overlay_that_says_its_weights_are_random(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 96, 128, 3), dtype=np.uint8)
    write_video(tmp_path / "in.mp4", frames, 12)
    out = tmp_path / "out.mp4"
    done = stream("driving_fanet/fanet18_tca2", "--input", str(tmp_path / "in.mp4"), "--out", str(out))
    assert "5 frames with random weights" in done.stdout
    assert "the video has 12" in done.stdout
    assert count_frames(out) == 5
    assert probe(out).width == 128
    assert probe(out).height > 96  # the legend is below
    with open_video(out) as video:
        shown = video.read(0, 5)
    assert np.abs(shown[:, :96].astype(int) - frames).mean() > 10


def test_stream_takes_a_folder_of_images_in_their_natural_order(tmp_path: Path) -> None:
    for number in (9, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame {number}.png"), np.full((64, 64, 3), 20 * number, np.uint8))
    out = tmp_path / "out.mp4"
    stream("fanet18", "--input", str(tmp_path), "--out", str(out), "--opacity", "0")
    with open_video(out) as video:
        brightness = video.read(0, 3)[:, 40:60, 10:50].mean(axis=(1, 2, 3))
    assert list(brightness) == sorted(brightness)


def test_stream_takes_16_bit_images_among_litter_at_a_rate_of_the_users(tmp_path: Path) -> None:
    ramp = np.linspace(0, 60000, 64 * 64).reshape(64, 64).astype(np.uint16)
    for number in (9, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame {number}.PNG"), ramp)
    strew(tmp_path)
    out = tmp_path / "out.mp4"
    told = stream("fanet18", "--input", str(tmp_path), "--out", str(out), "--opacity", "0", "--fps", "7").stdout
    assert "3 frames" in told
    assert "the video has 7" in told
    with open_video(out) as video:
        shown = video.read(0, 1)[0, 40:64].mean(axis=(1, 2))
    assert shown[0] + 60 < shown[-1]


def test_stream_shows_a_turned_video_upright_and_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        coded = container.add_stream("libx264", rate=25)
        coded.width, coded.height, coded.pix_fmt = 96, 64, "yuv420p"
        coded.set_display_rotation(90)
        container.mux(coded.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        container.mux(coded.encode(None))
    out = tmp_path / "out.mp4"
    told = stream("fanet18", "--input", str(tmp_path / "in.mp4"), "--out", str(out)).stdout
    assert "note: the input was turned by 90 degrees to the left, as the file says" in told
    assert (probe(out).width, probe(out).height > 96) == (64, True)


def test_stream_refuses_in_one_line_what_it_cannot_do(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mp4", np.zeros((2, 64, 64, 3), np.uint8), 12)
    arguments = ("--input", str(tmp_path / "in.mp4"), "--out", str(tmp_path / "out.mp4"))
    (tmp_path / "empty").mkdir()
    assert "say how many frames make one" in stream("seizure_i3d/i3d_finetuned", *arguments, check=2).stderr
    folder = ("--input", str(tmp_path / "empty"), "--out", str(tmp_path / "out.mp4"))
    assert "holds no images" in stream("fanet18", *folder, check=2).stderr
    (tmp_path / "w.pth").write_bytes(b"no weights")
    weights = ("--weights", str(tmp_path / "w.pth"), "--dataset", "driving_fanet/synthetic")
    assert "w.pth" in stream("fanet18", *arguments, *weights, check=1).stderr
    over = ("--input", str(tmp_path / "in.mp4"), "--out", str(tmp_path / "in.mp4"))
    assert "would write over --input" in stream("fanet18", *over, check=2).stderr
    assert count_frames(tmp_path / "in.mp4") == 2
    assert "must be a file .mp4 or .mkv" in stream("fanet18", *arguments[:3], str(tmp_path / "o.avi"), check=2).stderr
    other = stream("fanet18", *arguments, "--dataset", "seizure_i3d/synthetic", check=2).stderr
    assert "is for task clip_classification" in other
    assert not (tmp_path / "out.mp4").exists()

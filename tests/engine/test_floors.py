"""`core/prior`, the floor of each task: what labels alone predict, on data whose video is nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cells import Reports
from floor_data import Clips, Moments, Street, street

import vidsuite_core as vs
from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.config import cell_config
from vidsuite_core.engine.floors import ClassPrior, PixelPrior
from vidsuite_core.engine.order import Order
from vidsuite_core.engine.recipe import settle_recipe, way_of
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.store import PREDICTIONS
from vidsuite_core.samples import VOID
from vidsuite_core.support.files import read_predictions

TASKS = {"clip_classification": Clips, "early_prediction": Moments, "video_segmentation": Street}


def run(folder: Path, task: str, **options: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run the prior of a task as a benchmark would; the outcome and what was stored."""
    suite, dataset = vs.load(), TASKS[task](folder / "data")
    dataset.prepare()
    recipe = suite.models["core/prior"].spec.recipe(task)
    assert recipe is not None
    layer = {"train_cfg": {"max_iters": 9}, "selection": "inner", "crop": None}  # what others of the benchmark take
    config = cell_config(recipe, "quick", [layer], options, "fp32")
    settle_recipe(config, "core/prior")
    (folder / "attempt").mkdir(parents=True)
    key = {"protocol": {"type": "fixed", "version": 1}, "fold": "fixed", "dataset": dataset.fingerprint()}
    outcome = run_cell(
        Order(
            score_key={**key, "config": config, "seed": 0, "weights": {}},
            task=suite.tasks[task].spec.builder,
            dataset=f"floor_data:{TASKS[task].__name__}",
            root=str(folder / "data"),
            options={},
            weights={},
            device="cpu",
            folder=str(folder / "attempt"),
            cost=True,
        ),
        Reports(),
    )
    assert outcome["status"] == "ok", outcome["reason"]
    return outcome, read_predictions(folder / "attempt" / PREDICTIONS)


def test_one_model_is_the_floor_of_each_task_but_boxes() -> None:
    spec = vs.load().models["core/prior"].spec
    assert set(spec.tasks) == set(TASKS)
    assert spec.recipe("action_detection") is None
    assert {way_of(cell_config(spec.recipe(task), "", [], {}, "fp32")) for task in TASKS} == {"fits"}


def test_every_benchmark_of_such_a_task_lists_it_in_every_preset() -> None:
    suite = vs.load()
    for benchmark in suite.benchmarks.values():
        if suite.models["core/prior"].spec.recipe(benchmark.spec.task):
            definition = benchmark.definition()
            assert "core/prior" in definition.models, benchmark.key
            for name, preset in definition.presets.items():
                assert "core/prior" in (preset.models or definition.models), (benchmark.key, name)


def test_clips_get_the_classes_shares_of_the_training_side(tmp_path: Path) -> None:
    outcome, arrays = run(tmp_path, "clip_classification")
    np.testing.assert_allclose(arrays["prob"], [[4 / 6, 2 / 6]] * 4)
    assert outcome["scores"]["accuracy"]["value"] == 3 / 4
    assert outcome["efficiency"]["parameters"] == 0


def test_moments_get_the_share_of_the_second_class_each_time(tmp_path: Path) -> None:
    outcome, arrays = run(tmp_path, "early_prediction")
    np.testing.assert_allclose(arrays["prob"], np.full((4, 3), 2 / 6))
    assert arrays["counts"].tolist() == [[True, True, place % 2 == 0] for place in range(6, 10)]
    assert outcome["scores"]["final_accuracy"]["value"] == 1 / 2  # of samples 6 and 8, the latter is rare


class TestPixels:
    def test_each_pixel_gets_its_most_frequent_class(self, tmp_path: Path) -> None:
        outcome, arrays = run(tmp_path, "video_segmentation", size=[8, 6])
        prior = street(1)  # the house stands in 4 of 6 training frames
        for place, number in enumerate((7, 8)):
            truth = street(number)
            seen = truth != VOID
            expected = np.zeros((3, 3), int)
            np.add.at(expected, (truth[seen], prior[seen]), 1)
            np.testing.assert_array_equal(arrays["confusion"][place], expected)
        assert arrays["lags"].tolist() == [1, 2]  # the frame before them is predicted, though it has no labels
        assert outcome["scores"]["miou"]["value"] == 1
        assert outcome["efficiency"]["sample"] == "1 frame of 8x6"

    def test_it_is_scored_at_the_size_that_others_are(self, tmp_path: Path) -> None:
        _, arrays = run(tmp_path, "video_segmentation", size=[16, 12])
        assert arrays["confusion"].sum() == 2 * 14 * 12
        assert (arrays["confusion"].sum((1, 2)) == 14 * 12).all()

    def test_pixels_without_any_label_get_the_most_frequent_class_of_all(self) -> None:
        prior = PixelPrior(3)
        prior.fit([self.item(street(number)) for number in range(3)])
        assert (prior.classes[:, 0] == 0).all()
        with pytest.raises(VidsuiteError, match="no pixel of the training frames has a class"):
            PixelPrior(3).fit([self.item(np.full((2, 2), VOID, np.uint8))])

    def test_frames_of_another_size_share_the_pixels(self) -> None:
        prior = PixelPrior(3)
        large = street(1).repeat(2, 0).repeat(2, 1)
        prior.fit([self.item(street(1)), self.item(large)])
        from mmseg.structures import SegDataSample

        (found,) = prior([], [SegDataSample(metainfo={"img_shape": large.shape})], mode="predict")
        labels = found.pred_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(labels[large != VOID], large[large != VOID])

    def item(self, labels: np.ndarray) -> dict[str, Any]:
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(labels[None].astype(np.int64))))
        return {"inputs": torch.zeros(0), "data_samples": sample}


def test_it_is_fitted_before_it_predicts_and_has_no_loss() -> None:
    for mode in ("predict", "loss"):
        with pytest.raises(UsageError, match="fitted in one go"):
            ClassPrior(2)([], [], mode=mode)

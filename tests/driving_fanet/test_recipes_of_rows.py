"""What rows of a table share in training: the loss, weights of classes, views of frames, and a dataset's recipe."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import vidsuite_core as vs
from vidsuite_core.engine.config import cell_config, runtime_config
from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.models.augment import RandomView
from vidsuite_plugins.driving_fanet.models.losses import VoidCrossEntropy, balance, median_frequencies

SHARED = ("optim_wrapper", "param_scheduler", "augment", "recalibrate_pipeline", "channels_last", "adapt", "loss_at")


def test_labels_are_taken_at_the_centres_of_cells():
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[0, 4, 4] = labels[0, 4, 12] = labels[0, 12, 4] = labels[0, 12, 12] = 1
    logits = torch.zeros(1, 2, 2, 2)
    logits[:, 1] = 30
    loss = VoidCrossEntropy()
    assert loss(logits, labels) < 1e-6
    assert loss(logits, torch.full_like(labels, 255)) == 0


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 5.0]])
def test_at_the_frame_it_is_torchs_loss_on_enlarged_logits(weights):
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 32, 40))
    labels[:, :9] = 255
    enlarged = F.interpolate(logits, (32, 40), mode="bilinear", align_corners=False)
    given = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(enlarged, labels, given, ignore_index=255)
    loss = VoidCrossEntropy(weights, "frame", loss_weight=0.4)
    assert torch.allclose(loss(logits, labels), 0.4 * expected)
    assert torch.allclose(loss(enlarged, labels, ignore_index=255), 0.4 * expected)  # as mmseg's heads call it
    assert not loss.state_dict()


def test_an_unknown_place_is_refused():
    with pytest.raises(UsageError, match="at 'logits' or 'frame', not at 'corner'"):
        VoidCrossEntropy(at="corner")


def test_frequencies_count_the_images_that_have_a_class():
    counts = np.array([[80, 20, 0, 0], [50, 0, 50, 0]])
    # class 0: 130 of 200, class 1: 20 of 100, class 2: 50 of 100; the median of .65, .2, .5 is .5; class 3 never occurs
    assert median_frequencies(counts) == [0.769231, 2.5, 1.0, 0.0]


def test_balance_fills_every_loss_of_a_config_in(tmp_path):
    labels = np.zeros((4, 4), np.uint8)
    labels[0], labels[1] = 1, 255
    cv2.imwrite(str(tmp_path / "labels.png"), labels)
    sample = SimpleNamespace(labels=tmp_path / "labels.png", label_of=None)

    class Config(dict):
        __getattr__ = dict.__getitem__

    config = Config(
        balance="median_frequency",
        num_classes=2,
        class_weights=None,
        model={"heads": [{"loss": {"class_weights": None}}]},
    )
    balance(config, [sample])
    assert config.model["heads"][0]["loss"]["class_weights"] == config.class_weights == [0.75, 1.5]
    config = Config(balance=None, class_weights=None)
    balance(config, [sample])
    assert config.class_weights is None
    with pytest.raises(UsageError, match="not 'inverse'"):
        balance(Config(balance="inverse"), [sample])


class TestViews:
    """A frame whose pixels say where they are, so that labels can be compared with what is shown."""

    @staticmethod
    def frame():
        columns, rows = np.meshgrid(np.arange(0, 240, 2), np.arange(0, 180, 2))
        image = np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8)
        return {"img": image, "gt_seg_map": (columns // 8).astype(np.uint8)}

    @pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
    def test_labels_go_with_the_pixels_and_what_is_beyond_is_void(self, scale):
        view = RandomView((96, 64), scales=(scale, scale), flip=0.5, jitter=0)
        for _ in range(8):
            results = view(self.frame())
            image, labels = results["img"], results["gt_seg_map"]
            assert image.shape == (64, 96, 3)
            assert labels.shape == results["img_shape"] == (64, 96)
            seen = labels != 255
            assert seen.mean() == pytest.approx(1 if scale >= 1 else 60 * 45 / (96 * 64), abs=0.02)
            apart = np.abs(image[..., 0].astype(float) - (labels * 8.0 + 3))
            assert apart[seen].max() <= 5 + 2 / scale

    def test_frames_of_a_draw_are_shown_alike(self):
        from vidsuite_core.engine.data.packing import _random_state

        view, shown = RandomView((96, 64)), []
        for draw in (7, 7, 8):
            with _random_state(draw):
                shown.append(view(self.frame())["img"])
        assert (shown[0] == shown[1]).all()
        assert (shown[0] != shown[2]).any()

    def test_colours_change_and_labels_do_not(self):
        plain, jittered = (RandomView((120, 90), (1, 1), 0, jitter)(self.frame()) for jitter in (0, 0.4))
        assert (plain["img"] == self.frame()["img"]).all()
        assert (plain["gt_seg_map"] == jittered["gt_seg_map"]).all()
        assert (plain["img"] != jittered["img"]).any()


def test_all_rows_of_camvid_mini_have_the_same_budget_views_and_loss():
    suite = vs.load("driving_fanet")
    definition = suite.benchmarks["driving_fanet"].definition()
    layers = [definition.presets["quick"].cfg, definition.datasets["camvid_mini"].cfg]
    shared = []
    for name in definition.datasets["camvid_mini"].models:
        if name == "core/prior":
            continue
        spec = suite.models[name].spec
        resolved = cell_config(spec.config, "quick", layers, {}, "bf16")
        config = runtime_config(resolved, dict.fromkeys(spec.weights), 11, [])
        config.balance, config.class_weights = None, None
        heads = str(config.model)
        assert heads.count("CrossEntropyLoss") == 0, name
        shared.append({key: config[key] for key in config if key.startswith("train") or key in SHARED})
    assert all(each == shared[0] for each in shared)
    assert shared[0]["train_cfg"]["max_iters"] == 800
    assert shared[0]["train_dataloader"]["batch_size"] == 8
    assert shared[0]["param_scheduler"][-1]["end"] == 800

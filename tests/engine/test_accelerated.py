"""Models of mmengine whose networks run through back ends while they predict, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

import vidsuite_core as vs
from vidsuite_core import openmmlab
from vidsuite_core.engine.accelerated import Part, accelerated, computed, warm_up
from vidsuite_core.engine.cost import differences
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference import Inference

openmmlab.prepare()
FP32 = Inference("fp32", "auto")
OPENVINO = Inference("fp32", "openvino")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)


class Model(nn.Module):
    """A model around a backbone that takes tensors and a head that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.bbox_head = Odd()

    def inference_parts(self) -> list[Part]:
        return [Part(self.backbone), Part(self.bbox_head)]

    def forward(self, x: Tensor) -> Tensor:
        return self.bbox_head(self.backbone(x), BaseDataElement())

    def test_step(self, batch: dict[str, Any]) -> list[Tensor]:
        return [self(torch.stack(batch["inputs"]))]


class Odd(nn.Module):
    def forward(self, x: Tensor, sample: BaseDataElement) -> Tensor:
        return x * 2


def test_parts_run_by_the_back_end_and_the_model_is_as_before_afterwards() -> None:
    model, x = Model().eval(), torch.randn(1, 3, 9, 9)
    with torch.no_grad():
        expected = model(x)
        with accelerated(model, "cpu", Inference("fp32", "auto")) as used:
            assert used.path == "eager-fp32"  # nothing was called yet
            torch.testing.assert_close(model(x), expected)
            torch.testing.assert_close(model(x), expected)
    head = "Odd: a BaseDataElement cannot pass a back end"
    assert [line[: len(head)] for line in used.falls if "Odd" in line] == [head]
    assert {part.path.partition("-")[2] for part in used.parts} == {"fp32"}
    assert "forward" not in vars(model.backbone)
    assert "forward" not in vars(model.bbox_head)


def test_a_back_end_that_was_asked_for_is_used_or_the_call_fails() -> None:
    model, x = Model().eval(), torch.randn(1, 3, 9, 9)
    with torch.no_grad(), accelerated(model, "cpu", OPENVINO), pytest.raises(VidsuiteError, match="BaseDataElement"):
        model(x)
    model.bbox_head = nn.Identity()
    model.forward = lambda x: model.backbone(x)
    with torch.no_grad(), accelerated(model, "cpu", OPENVINO) as used:
        model(x)
    assert used.path == "openvino-fp32"


def test_parts_of_models_that_say_nothing_are_known_for_openmmlabs_own_alone() -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Conv2d(3, 4, 3)

    with accelerated(Silent(), "cpu", FP32) as used:
        assert used.parts == []
        assert used.path == "eager-fp32"


def test_training_and_gradients_are_left_alone() -> None:
    model, x = Model(), torch.randn(1, 3, 9, 9)
    with accelerated(model, "cpu", FP32) as used:
        model(x).sum().backward()
        model.eval()(x).sum().backward()
        with torch.no_grad():
            model.train()(x)
    assert used.path == "eager-fp32"
    assert not any(part.fast for part in used.parts)
    assert model.backbone.weight.grad is not None


def test_each_time_the_present_weights_are_taken() -> None:
    model, x = Model().eval(), torch.randn(1, 3, 9, 9)
    for _ in range(2):
        nn.init.normal_(model.backbone.weight)
        with torch.no_grad():
            expected = model(x)
            with accelerated(model, "cpu", FP32):
                torch.testing.assert_close(model(x), expected)


def test_warming_up_makes_all_parts_ready() -> None:
    class Frames(list[Any]):
        pass

    items = Frames({"inputs": torch.randn(3, 9, 9), "data_samples": None} for _ in range(3))
    model = Model()
    with accelerated(model, "cpu", FP32) as used:
        warm_up(model, {"dataset": items, "batch_size": 2})
        assert all(part.path for part in used.parts)


@pytest.mark.parametrize("name", ["fast_scnn", "bisenet", "fcn18"])
def test_mmsegs_models_predict_as_before(name: str) -> None:
    from mmseg.structures import SegDataSample

    model = vs.load().models[f"driving_fanet/{name}"].build(num_classes=5).eval()
    nn.init.normal_(model.decode_head.conv_seg.weight)  # label maps of more than one class
    nn.init.zeros_(model.decode_head.conv_seg.bias)
    frames = torch.randint(0, 256, (2, 3, 128, 192), dtype=torch.uint8)

    def predicted(**meta: Any) -> list[Tensor]:
        samples = [SegDataSample(metainfo={"ori_shape": (128, 192), "img_shape": (128, 192), **meta}) for _ in frames]
        with torch.no_grad():
            found = model.test_step({"inputs": list(frames), "data_samples": samples})
        return [sample.pred_sem_seg.data.long() for sample in found]

    expected, flipped = predicted(), predicted(flip=True, flip_direction="horizontal")
    assert not torch.equal(expected[0], flipped[0])
    with accelerated(model, "cpu", OPENVINO) as used:
        for found, plain in zip(
            [*predicted(), *predicted(flip=True, flip_direction="horizontal")], [*expected, *flipped], strict=True
        ):
            assert found.shape == plain.shape
            assert (found == plain).float().mean() > 0.999
    assert used.path == "openvino-fp32"
    assert used.falls == []
    assert torch.equal(predicted()[0], expected[0])


def test_i3d_fine_tuned_predicts_batches_of_any_length_by_one_conversion() -> None:
    from vidsuite_plugins.seizure_i3d.models import I3dClassifier

    model = I3dClassifier(num_classes=3).eval()
    with torch.no_grad(), accelerated(model, "cpu", OPENVINO) as used:
        for batch, frames in [(2, 12), (1, 9), (3, 17)]:
            x = torch.rand(batch, 3, frames, 32, 32)
            found = model.logits(x)
            model.train()  # left alone, but for dropout: the features are what is compared
            model.backbone.eval()
            torch.testing.assert_close(found, model.logits(x), rtol=1e-4, atol=1e-5)
            model.eval()
    (part,) = used.parts
    assert used.path == "openvino-fp32"
    assert len(part.fast._ready) == 1


def test_what_a_record_says_of_features_is_their_own_path() -> None:
    class Extractor:
        falls = ("I3D: openvino: too old",)

    class Features:
        paths, extractor = ("eager-fp32", "openvino-fp32"), Extractor()

    with accelerated(nn.Identity(), "cpu", FP32) as used:
        pass
    told = computed(used, Features())
    assert told["path"] == "eager-fp32+openvino-fp32"
    assert told["inference"]["scored"] == {"path": told["path"], "falls": ["I3D: openvino: too old"]}
    assert computed(used, object())["path"] == "eager-fp32"


def test_differences_of_predictions_are_told_by_field() -> None:
    def output(score: float, label: int, boxes: int) -> list[dict[str, Any]]:
        labels = np.zeros((1, 2, 2), np.uint8)
        labels[0, 0, 0] = label
        return [{"pred_score": np.array([score, 0.5]), "pred_sem_seg": {"data": labels}, "boxes": np.zeros((boxes, 4))}]

    found = [output(0.25, 1, 2), output(0.5, 0, 3)]
    expected = [output(0.5, 0, 2), output(0.375, 0, 2)]
    assert differences(found, expected) == {
        "pred_score": {"largest": 0.25},
        "pred_sem_seg.data": {"labels": 0.25},
        "boxes": {"largest": 0.0, "shapes": 1},
    }

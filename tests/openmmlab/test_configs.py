"""Configs of OpenMMLab's own build, train a step and predict, nothing compiled: random weights, small inputs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper

from vidsuite_core import openmmlab

openmmlab.prepare()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def build(library: str, config: str) -> Any:
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    package = import_module(library)
    import_module(f"{library}.utils").register_all_modules(init_default_scope=False)
    found = Config.fromfile(Path(package.__file__).parent / ".mim" / "configs" / config)
    with DefaultScope.overwrite_default_scope(library):
        return import_module(f"{library}.registry").MODELS.build(found.model)


def step(model: Any, batch: dict[str, Any]) -> None:
    """Train a step, after which what was to be learned has moved."""
    model.train()
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    losses = model.train_step(batch, OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3)))
    assert losses
    assert all(torch.isfinite(torch.as_tensor(value)).all() for value in losses.values())
    moved = {name for name, value in before.items() if not torch.equal(value, model.get_parameter(name))}
    assert len(moved) > 0.9 * len(before), sorted(set(before) - moved)
    model.eval()


@pytest.mark.parametrize(
    ("config", "operator"),
    [
        ("dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", "DeformConv2dPack"),
        pytest.param(
            "dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py", "ModulatedDeformConv2dPack", marks=pytest.mark.slow
        ),
    ],
)
def test_a_detector_with_deformable_convolutions(config: str, operator: str) -> None:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    model = build("mmdet", config)
    deformable = [name for name, module in model.named_modules() if type(module).__name__ == operator]
    assert len(deformable) == 13  # all 3x3 convolutions of three of ResNet-50's stages
    model.test_cfg.rcnn.score_thr = 0.0
    meta = {"img_shape": (96, 128), "ori_shape": (96, 128), "scale_factor": (1.0, 1.0), "batch_input_shape": (96, 128)}
    sample = DetDataSample(metainfo=meta)
    boxes = torch.tensor([[10.0, 12, 60, 70], [50, 20, 120, 90]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([3, 7]))
    batch = {"inputs": [torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)], "data_samples": [sample]}
    step(model, batch)
    with torch.no_grad():
        (found,) = model.test_step(batch)
    assert found.pred_instances.bboxes.shape[1] == 4
    assert 0 < len(found.pred_instances) <= 100


def test_a_segmentor() -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    model = build("mmseg", "point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024.py")
    batch: dict[str, Any] = {"inputs": [], "data_samples": []}
    for _ in range(2):  # batch norm of the decoder needs more than one value a channel
        meta = {"img_shape": (64, 64), "ori_shape": (64, 64), "pad_shape": (64, 64), "padding_size": [0, 0, 0, 0]}
        sample = SegDataSample(metainfo=meta)
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, 64, 64)))
        batch["inputs"].append(torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8))
        batch["data_samples"].append(sample)
    model.data_preprocessor.size = (64, 64)
    step(model, batch)
    with torch.no_grad():
        found = model.test_step(batch)
    assert [sample.pred_sem_seg.data.shape for sample in found] == [(1, 64, 64)] * 2


def test_a_recogniser() -> None:
    from mmaction.structures import ActionDataSample

    model = build("mmaction", "recognition/slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb.py")
    batch: dict[str, Any] = {"inputs": [], "data_samples": []}
    for label in (3, 7):
        batch["inputs"].append(torch.randint(0, 256, (1, 3, 4, 64, 64), dtype=torch.uint8))
        batch["data_samples"].append(ActionDataSample().set_gt_label(label))
    step(model, batch)
    with torch.no_grad():
        found = model.test_step(batch)
    assert [sample.pred_score.shape for sample in found] == [(400,)] * 2
    assert all(sample.pred_score.isfinite().all() and sample.pred_score.std() > 0 for sample in found)

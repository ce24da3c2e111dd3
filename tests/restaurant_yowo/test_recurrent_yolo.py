"""Recurrent YOLO: runs and states, what its gate begins as, what is frozen, and where it may sit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vidsuite_core import openmmlab
from vidsuite_core.errors import UsageError

openmmlab.prepare()

from mmdet.registry import MODELS as MMDET_MODELS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.config import ConfigDict  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from vidsuite_core.engine.accelerated import accelerated  # noqa: E402
from vidsuite_core.inference import Inference  # noqa: E402
from vidsuite_plugins.restaurant_yowo.models.recurrent_yolo import Run, ScaleRecurrence, runs_of  # noqa: E402

SIDE = 64


def yolo_config(kind: str, head: str, **more: Any) -> dict[str, Any]:
    """YOLOv3 as mmdet has it, for two classes."""
    return {
        "type": kind,
        "backbone": {"type": "Darknet", "depth": 53, "out_indices": (3, 4, 5)},
        "neck": {
            "type": "YOLOV3Neck",
            "num_scales": 3,
            "in_channels": [1024, 512, 256],
            "out_channels": [512, 256, 128],
        },
        "bbox_head": {
            "type": head,
            "num_classes": 2,
            "in_channels": [512, 256, 128],
            "out_channels": [1024, 512, 256],
        },
        "train_cfg": {"assigner": {"type": "GridAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.5, "min_pos_iou": 0}},
        "test_cfg": {
            "nms_pre": 100,
            "score_thr": 0.0,
            "nms": {"type": "nms", "iou_threshold": 0.45},
            "max_per_img": 20,
        },
        **more,
    }


def built(kind: str, **more: Any) -> Any:
    head = "YOLOV3Head" if kind == "YOLOV3" else "restaurant_yowo.RecurrentYoloHead"
    kind = kind if kind == "YOLOV3" else f"restaurant_yowo.{kind}"
    with DefaultScope.overwrite_default_scope("mmdet"):
        torch.manual_seed(0)
        return MMDET_MODELS.build(ConfigDict(yolo_config(kind, head, **more)))


def samples(clip: str, positions: range) -> list[DetDataSample]:
    made = []
    for position in positions:
        meta = {"sequence": clip, "position": position, "img_shape": (SIDE, SIDE), "ori_shape": (SIDE, SIDE)}
        sample = DetDataSample(metainfo={**meta, "scale_factor": (1.0, 1.0)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]), labels=torch.tensor([1]))
        made.append(sample)
    return made


def test_runs_are_frames_that_follow_on_each_other() -> None:
    assert runs_of(["a", "a", "b", "b", "b", "a"], [3, 4, 0, 1, 3, 5]) == [
        Run(0, 2, "a", 3), Run(2, 2, "b", 0), Run(4, 1, "b", 3), Run(5, 1, "a", 5),
    ]  # fmt: skip
    assert runs_of([], []) == []


def test_runs_side_by_side_are_as_each_by_itself() -> None:
    torch.manual_seed(0)
    module = ScaleRecurrence(6, hidden=4).eval()
    maps = torch.randn(7, 6, 3, 3)
    runs = [Run(0, 2, "a", 0), Run(2, 2, "b", 0), Run(4, 3, "c", 0)]
    with torch.no_grad():
        together, states = module(maps, runs, [None] * 3)
        for number, run in enumerate(runs):
            alone, state = module(maps[run.start : run.start + run.length], [Run(0, run.length, "x", 0)], [None])
            torch.testing.assert_close(together[run.start : run.start + run.length], alone)
            torch.testing.assert_close(states[number], state[0])


@pytest.mark.parametrize("place", ["head", "neck", "backbone"])
def test_a_gate_begins_as_the_yolo_whose_weights_it_has(place: str) -> None:
    plain = built("YOLOV3")
    plain.eval()
    recurrent = built("RecurrentYolo", recurrence={"place": place, "hidden": 4, "gated": True})
    recurrent.eval()
    missing = recurrent.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith("recurrence.") for name in missing.missing_keys)
    frames, found = torch.rand(3, 3, SIDE, SIDE), []
    with torch.no_grad():
        for network in (plain, recurrent):
            found.append(network.predict(frames, samples("a", range(3)), rescale=False))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.pred_instances.bboxes, b.pred_instances.bboxes)
        torch.testing.assert_close(a.pred_instances.scores, b.pred_instances.scores)


def test_state_goes_on_to_the_clips_end_and_ends_there() -> None:
    network = built("RecurrentYolo", recurrence={"hidden": 4}).eval()
    frames = torch.rand(4, 3, SIDE, SIDE)

    def maps(clip: str, positions: range) -> torch.Tensor:
        network.recurrence.see(samples(clip, positions))
        return network._forward(frames[positions.start : positions.stop])[0][1]

    with torch.no_grad():
        whole = maps("a", range(4))
        parts = torch.cat([maps("a", range(2)), maps("a", range(2, 4))])
        torch.testing.assert_close(parts, whole)
        maps("a", range(2))
        maps("b", range(2))  # another clip: a's state is dropped
        anew = maps("a", range(2, 4))
        network.recurrence.reset()
        torch.testing.assert_close(anew, maps("a", range(2, 4)))
    assert not torch.allclose(anew, whole[2:], atol=1e-6)


def test_training_goes_through_sub_sequences_and_the_frozen_stay() -> None:
    network = built("RecurrentYolo", recurrence={"hidden": 4, "gated": True}, frozen=True).train()
    assert not any(module.training for module in network.backbone.modules())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.01)
    for start in (0, 2):
        losses = network.loss(torch.rand(2, 3, SIDE, SIDE), samples("a", range(start, start + 2)))
        total = sum(sum(value) if isinstance(value, list) else value for value in losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.endswith("gate") for name in changed)
    assert any("lstm" in name for name in changed)
    assert all(name.startswith("recurrence.") for name in changed)


def test_what_it_cannot_be_given() -> None:
    with pytest.raises(UsageError, match="not at 'tail'"):
        built("RecurrentYolo", recurrence={"place": "tail", "hidden": 4})
    network = built("RecurrentYolo", recurrence={"hidden": 4})
    with pytest.raises(UsageError, match="sequence and position"):
        network.recurrence.see([DetDataSample()])


@pytest.mark.slow
def test_the_papers_form_has_the_parameters_of_its_equations() -> None:
    """Kernel 3, as many hidden channels as in: 99.1 M and 37.2 M of peepholes beside YOLOv3's own."""
    with torch.device("meta"):
        scales = [ScaleRecurrence(width) for width in (1024, 512, 256)]
    named = [(name, p.numel()) for scale in scales for name, p in scale.named_parameters()]
    peepholes = sum(n for name, n in named if "peephole" in name)
    assert peepholes / 1e6 == pytest.approx(37.2, abs=0.05)
    assert (sum(n for _, n in named) - peepholes) / 1e6 == pytest.approx(99.1, abs=0.05)


def test_its_parts_pass_their_state_through_a_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path))
    model = built("RecurrentYolo", recurrence={}).eval()
    frames = torch.rand(6, 3, SIDE, SIDE)

    def found() -> list[Any]:
        model.recurrence.reset()
        with torch.no_grad():
            first = model(frames[:3], samples("a", range(3)), mode="predict")
            return [
                one.pred_instances.scores for one in first + model(frames[3:], samples("a", range(3, 6)), "predict")
            ]

    expected = found()
    with accelerated(model, "cpu", Inference("fp32", "openvino")) as used:
        torch.testing.assert_close(found(), expected, rtol=1e-4, atol=1e-5)
    assert used.path == "openvino-fp32"
    assert not used.falls
    assert {type(part.module).__name__ for part in used.parts if part.path} >= {"Darknet", "YOLOV3Neck", "ConvLstm"}

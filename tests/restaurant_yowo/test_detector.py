"""YOWO as mmengine drives it: it learns, what is frozen stays, boxes are in the frame's pixels; real branches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vidsuite_core import openmmlab
from vidsuite_core.errors import UsageError

openmmlab.prepare()

from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from vidsuite_plugins.restaurant_yowo.models import branches  # noqa: E402
from vidsuite_plugins.restaurant_yowo.models.branches import I3dBranch, YoloxNano, branch_2d  # noqa: E402
from vidsuite_plugins.restaurant_yowo.models.detector import YowoDetector  # noqa: E402


class Tiny(torch.nn.Module):
    """A 3-D branch that tests can train: one cell for 32 x 32 pixels."""

    out_channels = 16

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(3, 16, (16, 32, 32), (16, 32, 32))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.conv(clips).relu()


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(branches.BRANCHES_3D, "tiny", Tiny)


def small(**more: Any) -> YowoDetector:
    torch.manual_seed(0)
    return YowoDetector(3, "yolox_nano", "tiny", **more)


def samples() -> list[DetDataSample]:
    made = []
    for boxes, labels in ([[4.0, 4.0, 20.0, 20.0]], [1]), ([], []):
        sample = DetDataSample(metainfo={"ori_shape": (120, 160), "img_shape": (32, 32)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.tensor(labels).long())
        made.append(sample)
    return made


def test_it_learns() -> None:
    network = small(anchors=[(0.5, 0.5), (0.1, 0.1), (0.2, 0.4), (0.4, 0.2), (0.05, 0.05)]).train()
    clips = torch.rand(2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    course = []
    for _ in range(8):
        losses = network([*clips], samples(), mode="loss")
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        course.append(sum(losses.values()).item())
    assert course[-1] < 0.5 * course[0], course


class Says(torch.nn.Module):
    """A network that finds one box: the first anchor, in the middle of the only cell."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        output = torch.full((len(clips), 5, 5 + 3, 1, 1), -12.0)
        output[:, 0, :, 0, 0] = torch.tensor([0.0, 0.0, 0.0, 0.0, 9.0, -9.0, 9.0, -9.0])
        return output.flatten(1, 2)


def test_boxes_come_out_in_the_frames_own_pixels() -> None:
    network = small(anchors=[(0.5, 0.25), *[(0.1, 0.1)] * 4]).eval()
    network.network = Says()
    for sample in network(torch.rand(2, 3, 16, 32, 32), samples(), mode="predict"):
        found = sample.pred_instances
        torch.testing.assert_close(found.bboxes, torch.tensor([[40.0, 45.0, 120.0, 75.0]]))  # of 160 x 120 pixels
        assert found.labels.tolist() == [1]
        assert found.scores[0] > 0.99
    assert network([*torch.rand(2, 3, 16, 32, 32)]).shape == (2, 40, 1, 1)


def test_what_is_frozen_stays_with_its_statistics() -> None:
    network = small(frozen=["backbone_2d", "backbone_3d"]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    sum(network(torch.rand(2, 3, 16, 32, 32), samples(), mode="loss").values()).backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if "backbone" in name]


def test_what_it_refuses() -> None:
    for options, words in [
        ({"frozen": ["neck"]}, "frozen names 'neck'"),
        ({"anchors": [(0.1, 0.1)]}, "5 anchors"),
        ({"anchors": [(0.1, 0.0)] * 5}, "5 anchors"),
    ]:
        with pytest.raises(UsageError, match=words):
            small(**options)
    network = small()
    with pytest.raises(UsageError, match="needs data samples"):
        network(torch.rand(1, 3, 16, 64, 64), mode="loss")
    with pytest.raises(UsageError, match="2-D branch 'vgg'"):
        branch_2d("vgg")


def test_branches_with_real_weights_see_what_they_were_trained_on(shared: Path) -> None:
    i3d, yolox = I3dBranch().eval(), YoloxNano().eval()
    i3d.load_pretrained(shared / "weights/i3d_rgb_kinetics400/i3d_rgb_scratch_kinetics400.pt")
    yolox.load_pretrained(shared / "weights/yolox_nano_coco/yolox_nano_mmdet.pth")
    clip = torch.rand(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = i3d(clip)
        assert features.shape == (1, 1024, 2, 2, 2)
        steps = i3d.network.extract_features(clip * 2 - 1)  # the network's own way, RGB in [-1, 1]
        torch.testing.assert_close(features.mean(dim=(2, 3, 4))[:, None], steps)
        assert yolox(clip[:, :, -1]).shape == (1, 256, 2, 2)
        torch.testing.assert_close(yolox(clip[:, :, -1]), yolox.backbone(clip[:, [2, 1, 0], -1] * 255)[0])

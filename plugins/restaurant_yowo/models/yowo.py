"""YOWO, "you only watch once" (section 2.5): a 2-D branch on the key frame, a 3-D branch on the clip, fused by CFAM."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import load
from vidsuite_plugins.restaurant_yowo.models.branches import branch_2d, branch_3d
from vidsuite_plugins.restaurant_yowo.models.cfam import WIDTH, Cfam

ANCHORS = 5
"""Boxes that a cell predicts, each from an anchor of its own."""


class Yowo(nn.Module):
    """Clips (B, 3, T, H, W), RGB in [0, 1], key frame last -> a map (B, 5 (K + 5), H/32, W/32).

    Of each anchor the map has tx, ty, tw, th, the confidence's logit and K class logits; see
    `vidsuite_plugins.restaurant_yowo.models.region`. With Darknet-19 and a 3-D branch of YOWO's own the parameters
    have the names of its published checkpoints.

    Args:
        num_classes: K.
        backbone_2d, backbone_3d: the branches, whose features have H/32 x W/32 cells and `out_channels` channels.
    """

    def __init__(self, num_classes: int, backbone_2d: nn.Module, backbone_3d: nn.Module) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone_2d = backbone_2d
        self.backbone_3d = backbone_3d
        self.cfam = Cfam(int(backbone_2d.out_channels) + int(backbone_3d.out_channels))
        self.conv_final = nn.Conv2d(WIDTH, ANCHORS * (num_classes + 5), 1, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        return self.fuse(self.backbone_2d(clips[:, :, -1]), self.backbone_3d(clips))

    def fuse(self, frame: Tensor, clip: Tensor) -> Tensor:
        """The map from the branches' features, (B, C2, h, w) and (B, C3, t, h, w), the latter averaged over t.

        For YOWO's own branches t is 1 for clips of 16 frames, and 2 for 32, over which the reference averages, too.
        """
        fused: Tensor = self.conv_final(self.cfam(torch.cat([clip.mean(dim=2), frame], dim=1)))
        return fused


def build(
    weights: Path | str | None = None,
    *,
    num_classes: int = 24,
    backbone_2d: str = "darknet19",
    backbone_3d: str = "resnext101",
    width: float | None = None,
) -> Yowo:
    """A YOWO with random weights, or those of a file in the layout of its published checkpoints, loaded strictly.

    Args:
        weights: the file.
        num_classes: K.
        backbone_2d, backbone_3d: names of `vidsuite_plugins.restaurant_yowo.models.branches`.
        width: of the mobile 3-D branches, as a multiple.

    Raises:
        VidsuiteError: the file does not fit the network exactly.
    """
    network = Yowo(num_classes, branch_2d(backbone_2d), branch_3d(backbone_3d, width))
    if weights is not None:
        try:
            network.load_state_dict(load(Path(weights)), strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            what = f"YOWO with {backbone_3d} and {num_classes} classes"
            raise VidsuiteError(f"{weights} does not fit {what}: {reason}") from error
    return network


resnext101 = partial(build, backbone_3d="resnext101")
resnet50 = partial(build, backbone_3d="resnet50")
resnet18 = partial(build, backbone_3d="resnet18")
mobilenet_2x = partial(build, backbone_3d="mobilenet", width=2.0)
shufflenet_2x = partial(build, backbone_3d="shufflenet", width=2.0)

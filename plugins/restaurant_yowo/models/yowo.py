"""YOWO, "you only watch once" (section 2.5): a 2-D branch on the key frame, a 3-D branch on the clip, fused by CFAM."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.weights import load
from vidsuite_plugins.restaurant_yowo.models import resnet3d
from vidsuite_plugins.restaurant_yowo.models.cfam import WIDTH, Cfam
from vidsuite_plugins.restaurant_yowo.models.darknet import OUT_CHANNELS, Darknet19
from vidsuite_plugins.restaurant_yowo.models.mobile3d import MobileNet3d, ShuffleNet3d

ANCHORS = 5
"""Boxes that a cell predicts, each from an anchor of its own."""

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "resnet18": resnet3d.resnet18,
    "resnet50": resnet3d.resnet50,
    "resnet101": resnet3d.resnet101,
    "resnext101": resnet3d.resnext101,
    "mobilenet": MobileNet3d,
    "shufflenet": ShuffleNet3d,
}
"""3-D branches by name; the last two take a `width`."""


class Yowo(nn.Module):
    """Clips (B, 3, T, H, W), RGB in [0, 1], key frame last -> a map (B, 5 (K + 5), H/32, W/32).

    Of each anchor the map has tx, ty, tw, th, the confidence's logit and K class logits; see
    `vidsuite_plugins.restaurant_yowo.models.region`. The two branches and CFAM are YOWO's, their parameters named as in
    its published checkpoints.

    Args:
        num_classes: K.
        backbone: one of `BACKBONES`.
        width: of the mobile backbones, as a multiple.
    """

    def __init__(self, num_classes: int, backbone: str = "resnext101", width: float | None = None) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise UsageError(f"3-D backbone {backbone!r} is none of {', '.join(BACKBONES)}")
        if width is not None and backbone not in ("mobilenet", "shufflenet"):
            raise UsageError(f"3-D backbone {backbone} has one width; leave the width out")
        build = BACKBONES[backbone] if width is None else partial(BACKBONES[backbone], width=width)
        self.num_classes = num_classes
        self.backbone_2d = Darknet19()
        self.backbone_3d = build()
        self.cfam = Cfam(OUT_CHANNELS + int(self.backbone_3d.out_channels))
        self.conv_final = nn.Conv2d(WIDTH, ANCHORS * (num_classes + 5), 1, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        return self.fuse(self.backbone_2d(clips[:, :, -1]), self.backbone_3d(clips))

    def fuse(self, frame: Tensor, clip: Tensor) -> Tensor:
        """The map from the branches' features, (B, 425, h, w) and (B, C, t, h, w), the latter averaged over t.

        t is 1 for clips of 16 frames, and 2 for 32, over which the reference averages, too.
        """
        fused: Tensor = self.conv_final(self.cfam(torch.cat([clip.mean(dim=2), frame], dim=1)))
        return fused


def build(
    weights: Path | str | None = None, *, num_classes: int = 24, backbone: str, width: float | None = None
) -> Yowo:
    """A YOWO with random weights, or those of a file in the layout of its published checkpoints, loaded strictly.

    Raises:
        VidsuiteError: the file does not fit the network exactly.
    """
    network = Yowo(num_classes, backbone, width)
    if weights is not None:
        try:
            network.load_state_dict(load(Path(weights)), strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise VidsuiteError(
                f"{weights} does not fit YOWO with {backbone} and {num_classes} classes: {reason}"
            ) from error
    return network

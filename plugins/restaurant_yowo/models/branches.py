"""YOWO's branches by name, and two that come with real weights: I3D (Kinetics-400) and YOLOX-Nano (COCO).

A branch has `out_channels`; 2-D ones take frames (B, 3, H, W), 3-D ones clips (B, 3, T, H, W), RGB in [0, 1], and give
features of H/32 x W/32 cells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_core.networks.i3d import InceptionI3d
from vidsuite_core.weights import load, load_strictly
from vidsuite_plugins.restaurant_yowo.models import resnet3d
from vidsuite_plugins.restaurant_yowo.models.darknet import Darknet19
from vidsuite_plugins.restaurant_yowo.models.mobile3d import MobileNet3d, ShuffleNet3d


class YoloxNano(nn.Module):
    """The backbone of mmdet's YOLOX-Nano up to its last stage: 256 channels. It takes BGR from 0 to 255."""

    out_channels = 256

    def __init__(self) -> None:
        from mmdet.models.backbones import CSPDarknet  # takes seconds, and this branch alone needs it

        super().__init__()
        self.backbone = CSPDarknet(deepen_factor=0.33, widen_factor=0.25, out_indices=(4,), use_depthwise=True)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 256, H/32, W/32)."""
        (features,) = self.backbone(frames.flip(1) * 255)
        return features

    def load_pretrained(self, path: Path) -> None:
        """Take the backbone's part of a whole YOLOX-Nano, in mmdet's layout."""
        prefix = "backbone."
        state = {name: value for name, value in load(path).items() if name.startswith(prefix)}
        load_strictly(self, state, str(path))


class I3dBranch(nn.Module):
    """Inception I3D up to its last mixture: 1024 channels, T/8 steps. It takes RGB from -1 to 1."""

    out_channels = 1024

    def __init__(self) -> None:
        super().__init__()
        self.network = InceptionI3d(400)
        self.network.logits = nn.Identity()  # no part of the branch

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 1024, T/8, H/32, W/32), rounded up."""
        x = clips * 2 - 1
        for _, layer in self.network.body():
            x = layer(x)
        return x

    def load_pretrained(self, path: Path) -> None:
        """Take all but the classifier of an I3D trained on Kinetics."""
        state = {name: value for name, value in load(path).items() if not name.startswith("logits.")}
        load_strictly(self.network, state, str(path))


BRANCHES_2D: dict[str, Callable[[], nn.Module]] = {"darknet19": Darknet19, "yolox_nano": YoloxNano}
BRANCHES_3D: dict[str, Callable[..., nn.Module]] = {
    "resnet18": resnet3d.resnet18,
    "resnet50": resnet3d.resnet50,
    "resnet101": resnet3d.resnet101,
    "resnext101": resnet3d.resnext101,
    "mobilenet": MobileNet3d,
    "shufflenet": ShuffleNet3d,
    "i3d": I3dBranch,
}
_SCALED = ("mobilenet", "shufflenet")
"""3-D branches of any width."""


def branch_2d(name: str) -> nn.Module:
    """A 2-D branch with random weights; raises UsageError for an unknown name."""
    if name not in BRANCHES_2D:
        raise UsageError(f"2-D branch {name!r} is none of {', '.join(BRANCHES_2D)}")
    return BRANCHES_2D[name]()


def branch_3d(name: str, width: float | None = None) -> nn.Module:
    """A 3-D branch with random weights; raises UsageError for an unknown name, or a width where there is but one."""
    if name not in BRANCHES_3D:
        raise UsageError(f"3-D branch {name!r} is none of {', '.join(BRANCHES_3D)}")
    if width is not None and name not in _SCALED:
        raise UsageError(f"3-D branch {name} has one width; leave the width out")
    build = BRANCHES_3D[name] if width is None else partial(BRANCHES_3D[name], width=width)
    return build()

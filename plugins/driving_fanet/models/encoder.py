"""The encoder of FANet (figure 2a): a ResNet that halves its map in each of the four stages.

Reused is torchvision's `ResNet` with its `BasicBlock`: construction, names and initialisation are its own. Ours
are the three things in which FANet departs from it: stage 1 has stride 2 as well, so that "feat 4, 8, 16, 32" lie
at 1/8, 1/16, 1/32 and 1/64 of the frame; LeakyReLU stands after the stem's and each block's first batch norm; and
all four maps are returned. mmseg's `ResNet` has the strides but its blocks know no activation other than ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from vidsuite_core.errors import UsageError
from vidsuite_core.weights import load_strictly

SLOPE = 0.01
"""Of LeakyReLU below zero, everywhere in FANet."""
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
CHANNELS = (64, 128, 256, 512)
"""Of the maps at 1/8, 1/16, 1/32 and 1/64."""

Norm = Literal["batch", "none"]


class SkippedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that never runs, as in the paper's published code, where it returned its activation alone.

    Parameters and statistics exist, so that checkpoints of both fit each other; they get no gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> `x` itself."""
        return x


NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "none": SkippedBatchNorm2d}


class LeakyBasicBlock(BasicBlock):
    """torchvision's `BasicBlock` with LeakyReLU after its first norm; after the addition stays ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H/stride), ceil(W/stride))."""
        out = nn.functional.leaky_relu(self.bn1(self.conv1(x)), SLOPE)
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out + shortcut)


class Encoder(ResNet):
    """ResNet-18 or -34 with strides (2, 2, 2, 2) after the stem and the max pool.

    Args:
        depth: 18 or 34.
        norm: "batch", or "none" as `SkippedBatchNorm2d` says.

    Raises:
        UsageError: another depth or norm.
    """

    def __init__(self, depth: int = 18, norm: Norm = "batch") -> None:
        if depth not in BLOCKS:
            raise UsageError(f"depth {depth} is none of {', '.join(map(str, BLOCKS))}; FANet has two encoders")
        super().__init__(LeakyBasicBlock, list(BLOCKS[depth]), norm_layer=norm_layer(norm))
        del self.avgpool, self.fc

    def _make_layer(
        self, block: type[BasicBlock], planes: int, blocks: int, stride: int = 2, dilate: bool = False
    ) -> nn.Sequential:
        """torchvision asks for stage 1 without a stride, and so gets FANet's."""
        return super()._make_layer(block, planes, blocks, stride, dilate)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames (B, 3, H, W), normalised -> maps of 64, 128, 256 and 512 channels at 1/8, 1/16, 1/32 and 1/64."""
        x = self.maxpool(nn.functional.leaky_relu(self.bn1(self.conv1(x)), SLOPE))
        feat4 = self.layer1(x)
        feat8 = self.layer2(feat4)
        feat16 = self.layer3(feat8)
        return feat4, feat8, feat16, self.layer4(feat16)

    def load_torchvision(self, state: Mapping[str, Tensor], origin: str = "of torchvision's ResNet") -> None:
        """Take torchvision's weights of `resnet18` or `resnet34`, as trained on ImageNet.

        All tensors must fit but the classifier's, which is left out. The shortcut of stage 1, a 1x1 convolution
        that only a stride needs, has none there and keeps its own.

        Args:
            state: torchvision's state dict.
            origin: what an error calls the weights.

        Raises:
            VidsuiteError: tensors are missing, left over or of another shape.
        """
        own = {name: tensor for name, tensor in self.state_dict().items() if name.startswith("layer1.0.downsample.")}
        body = {name: tensor for name, tensor in state.items() if name not in ("fc.weight", "fc.bias")}
        load_strictly(self, own | body, origin)


def map_sizes(frame: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width of the maps of a frame of that size: at 1/8, 1/16, 1/32 and 1/64, rounded up each time."""
    height, width = frame
    sizes = []
    for halvings in range(1, 7):  # the stem, the max pool, and the four stages
        height, width = -(-height // 2), -(-width // 2)
        if halvings > 2:
            sizes.append((height, width))
    return sizes


def norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    """The class that `norm` names.

    Raises:
        UsageError: an unknown name.
    """
    if norm not in NORMS:
        raise UsageError(f"norm {norm!r} is none of {', '.join(NORMS)}")
    return NORMS[norm]

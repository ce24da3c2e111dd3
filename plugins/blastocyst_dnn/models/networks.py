"""The paper's 21 networks (Tables 3 and 4), and two that its text describes, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as library
from torchvision.models.vision_transformer import VisionTransformer

from vidsuite_core.errors import UsageError
from vidsuite_core.networks.i3d import InceptionI3d
from vidsuite_core.networks.initial import bare, load_initial, take_channels
from vidsuite_core.weights import load, load_strictly
from vidsuite_plugins.blastocyst_dnn.models.mfnet import MFNet
from vidsuite_plugins.blastocyst_dnn.models.recurrent import ConvGRU, ConvLSTM, ConvRecurrentResNet, RecurrentResNet

VIT_SIZE = 224
"""Side of the square that the ViTs' positions are for: the printed counts hold for no other (ViT-B at 400: 85.74 M)."""


class SquareViT(VisionTransformer):
    """A ViT with 16x16 patches of a 224x224 square; an image of another size is resized to it first."""

    def __init__(self, layers: int, heads: int, width: int, num_classes: int) -> None:
        super().__init__(VIT_SIZE, 16, layers, heads, width, 4 * width, num_classes=num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        if x.shape[2:] != (VIT_SIZE, VIT_SIZE):
            x = F.interpolate(x, (VIT_SIZE, VIT_SIZE), mode="bilinear", antialias=True, align_corners=False)
        return super().forward(x)


class MeanI3d(InceptionI3d):
    """I3D with the mean over time of its logits, as its authors score a clip."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W), T of at least 9 -> logits (B, K)."""
        return super().forward(x).mean(dim=1)


@dataclass(frozen=True)
class Network:
    """How a network is made, and which of its parts depend on classes and channels.

    Attributes:
        make: the network of so many classes, on RGB.
        first: its first convolution.
        head: prefixes of the tensors that no initial weights have, or that only they have.
        encoder: where initial weights go, if not to the whole network.
        clips: whether it takes clips (B, C, T, H, W) in place of frames (B, C, H, W).
    """

    make: Callable[[int], nn.Module]
    first: str
    head: tuple[str, ...]
    encoder: str = ""
    clips: bool = False


def _library(name: str, first: str, *head: str, **options: bool) -> Network:
    builder = library.get_model_builder(name)
    return Network(lambda num_classes: builder(num_classes=num_classes, **options), first, head)


def _video(name: str) -> Network:
    builder = library.get_model_builder(name)
    return Network(lambda num_classes: builder(num_classes=num_classes), "stem.0", ("fc.",), clips=True)


NETWORKS: dict[str, Network] = {
    "mobilenet_v3": _library("mobilenet_v3_large", "features.0.0", "classifier.3."),
    # Any size from 75 pixels on: its maps are averaged over all of their area. Without the auxiliary classifier.
    "inception_v3": _library(
        "inception_v3", "Conv2d_1a_3x3.conv", "fc.", "AuxLogits.", aux_logits=False, init_weights=True
    ),
    "resnet18": _library("resnet18", "conv1", "fc."),
    "resnet50": _library("resnet50", "conv1", "fc."),
    "resnet101": _library("resnet101", "conv1", "fc."),
    "resnet152": _library("resnet152", "conv1", "fc."),
    "resnext50": _library("resnext50_32x4d", "conv1", "fc."),
    "resnext101": _library("resnext101_32x8d", "conv1", "fc."),
    "wide_resnet50": _library("wide_resnet50_2", "conv1", "fc."),
    "wide_resnet101": _library("wide_resnet101_2", "conv1", "fc."),
    "densenet121": _library("densenet121", "features.conv0", "classifier."),
    "densenet169": _library("densenet169", "features.conv0", "classifier."),
    "vit_base": Network(partial(SquareViT, 12, 12, 768), "conv_proj", ("heads.",)),
    "vit_large": Network(partial(SquareViT, 24, 16, 1024), "conv_proj", ("heads.",)),
    "resnet_lstm": Network(partial(RecurrentResNet, nn.LSTM), "encoder.conv1", (), "encoder", clips=True),
    "resnet_gru": Network(partial(RecurrentResNet, nn.GRU), "encoder.conv1", (), "encoder", clips=True),
    "i3d": Network(MeanI3d, "Conv3d_1a_7x7.conv3d", ("logits.",), clips=True),
    "resnet3d": _video("r3d_18"),
    "resnet_mc": _video("mc3_18"),
    "r2plus1d": _video("r2plus1d_18"),
    "mfnet": Network(partial(MFNet, in_channels=3), "conv1.conv", ("classifier.",), clips=True),
    "resnet50_convlstm": Network(partial(ConvRecurrentResNet, ConvLSTM), "encoder.conv1", ("fc.",), "encoder", True),
    "resnet50_convgru": Network(partial(ConvRecurrentResNet, ConvGRU), "encoder.conv1", ("fc.",), "encoder", True),
}


def build(
    name: str,
    num_classes: int = 2,
    in_channels: int = 1,
    weights: Path | str | None = None,
    initial: Path | str | None = None,
) -> nn.Module:
    """The network `name` of `NETWORKS`: frames (B, C, H, W) or clips (B, C, T, H, W) -> logits (B, K).

    Args:
        num_classes: K.
        in_channels: C; with random weights and one channel, the network is the RGB one on grey images.
        weights: a file of this network's own state dict (the reference's layout, or a trained cell's); loaded strictly.
        initial: a file of weights trained elsewhere, in torchvision's layout (I3D: piergiaj's; MFNet: cypw's), loaded
            strictly but for the classifier; its first convolution is summed to the channels.

    Raises:
        UsageError: no such network, or both `weights` and `initial`.
        VidsuiteError: a file cannot be read, or does not fit.
    """
    if name not in NETWORKS:
        raise UsageError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    if weights is not None and initial is not None:
        raise UsageError("weights and initial both say what the network holds; give one of them")
    design = NETWORKS[name]
    network = design.make(num_classes)
    take_channels(network, design.first, in_channels)
    if weights is not None:
        load_strictly(network, bare(load(Path(weights))), str(weights))
    if initial is not None:
        part = network.get_submodule(design.encoder)
        first = design.first.removeprefix(f"{design.encoder}.")
        load_initial(part, bare(load(Path(initial))), str(initial), first=first, fresh=design.head)
    return network


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """`build` for the network `name`, so that a `ModelSpec` can name it as `…networks:resnet18`."""
    if name in NETWORKS:
        return partial(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

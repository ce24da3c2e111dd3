"""Initial weights for another number of input channels and other classes than they were trained for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import load_strictly

_OLD_NAMES = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)
"""torchvision's published files of DenseNet and ViT have names that its networks have given up since."""


def spread_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weight (O, I, ...) -> (O, channels, ...): its sum over I, divided evenly.

    The result answers to `channels` equal planes as the original does to I equal ones, so one channel answers to a
    grey image as three do to the same image in grey RGB.
    """
    whole = weight.sum(dim=1, keepdim=True) / channels
    return whole.repeat(1, channels, *[1] * (weight.ndim - 2))


def take_channels(network: nn.Module, first: str, channels: int) -> None:
    """Give `network` another number of input channels: its convolution `first` is replaced, see `spread_channels`.

    Raises:
        VidsuiteError: channels is below 1, or `first` is no ungrouped convolution.
    """
    old = network.get_submodule(first)
    if not isinstance(old, nn.Conv2d | nn.Conv3d) or old.groups != 1:
        raise VidsuiteError(f"{first} of {type(network).__name__} is not a plain convolution; name its first one")
    if channels < 1:
        raise VidsuiteError(f"a network takes at least 1 channel, not {channels}")
    if channels == old.in_channels:
        return
    new = type(old)(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        new.weight.copy_(spread_channels(old.weight, channels))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, name = first.rpartition(".")
    setattr(network.get_submodule(parent), name, new)


def load_initial(
    network: nn.Module, state: Mapping[str, Tensor], origin: str, *, first: str, fresh: Sequence[str] = ()
) -> None:
    """Load weights trained for other classes and channels; all but what is named must fit exactly.

    Args:
        state: in the layout of `network`, or in the older of torchvision's.
        origin: what an error calls the weights.
        first: the first convolution, whose weight is spread over the network's channels where they are others.
        fresh: prefixes of the tensors that keep the network's own values (its classifier) or that it lacks
            (an auxiliary classifier).

    Raises:
        VidsuiteError: another tensor is missing, left over or of another shape.
    """
    prefixes = tuple(fresh)
    own = network.state_dict()
    fitted = {name: value for name, value in renamed(state).items() if not (prefixes and name.startswith(prefixes))}
    fitted |= {name: value for name, value in own.items() if prefixes and name.startswith(prefixes)}
    weight = f"{first}.weight"
    if weight in fitted and fitted[weight].shape[1] != own[weight].shape[1]:
        fitted[weight] = spread_channels(fitted[weight], own[weight].shape[1])
    load_strictly(network, fitted, origin)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the names that torchvision's networks have now."""
    named = {}
    for name, value in state.items():
        for pattern, new in _OLD_NAMES:
            name = pattern.sub(new, name)
        named[name] = value
    return named


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the prefix that all its names share, of a wrapper that it was saved in.

    Wrappers are `module.` (torch's parallel ones) and `network.` (the suite's classifiers).
    """
    named = dict(state)
    for prefix in ("module.", "network."):
        if named and all(name.startswith(prefix) for name in named):
            named = {name.removeprefix(prefix): value for name, value in named.items()}
    return named

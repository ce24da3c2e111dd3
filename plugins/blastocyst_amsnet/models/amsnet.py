"""AMSNet and the rows of its ablation (Table 1), offline and moment by moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.initial import bare, load_initial
from vidsuite_core.weights import load, load_strictly
from vidsuite_plugins.blastocyst_amsnet.models.causal import CausalResNet50, Memory, Shifts
from vidsuite_plugins.blastocyst_amsnet.models.layouts import torchvision_names
from vidsuite_plugins.blastocyst_amsnet.models.selection import MultiFocusSelection, NonLocal


@dataclass(frozen=True)
class Row:
    """A row of Table 1: with or without temporal shift, MFS's channel and spatial attention; #F focal planes."""

    shift: bool
    channel: bool
    spatial: bool
    planes: int


ROWS = {
    "baseline": Row(shift=False, channel=False, spatial=False, planes=1),
    **{f"tsm{m}": Row(shift=True, channel=False, spatial=False, planes=m) for m in (1, 3, 5, 7)},
    **{f"channel{m}": Row(shift=True, channel=True, spatial=False, planes=m) for m in (3, 5, 7)},
    **{f"amsnet{m}": Row(shift=True, channel=True, spatial=True, planes=m) for m in (3, 5, 7)},
}


class AmsNet(nn.Module):
    """A row of the ablation: the probability of a blastocyst (as a logit) at each moment, from it and those before.

    Without MFS the planes are concatenated at the input; with it, Res-1 looks at each plane with the same weights.
    The temporal shift is in every residual block, Res-1's too (there plane by plane), as the paper's section 3.2 says.

    Args:
        row: of Table 1.
        in_channels: C of each plane's image, 1 for grey.
    """

    def __init__(self, row: Row, in_channels: int = 1) -> None:
        super().__init__()
        self.row = row
        self.in_channels = in_channels
        self.backbone = CausalResNet50(in_channels if row.channel else in_channels * row.planes)
        self.mfs = MultiFocusSelection(row.planes, 256, row.spatial) if row.channel else None

    def forward(self, clip: Tensor) -> Tensor:
        """Clips (B, T, m, C, H, W), any T -> logits (B, T).

        Raises:
            VidsuiteError: more planes than the network was made for, or other channels.
        """
        return self.advance(clip)[0]

    def advance(self, clip: Tensor, memory: Memory = ()) -> tuple[Tensor, Memory]:
        """Go on from the moments that left `memory`: moments (B, T, m, C, H, W) -> logits (B, T) and the new memory."""
        self._check(clip)
        batch, moments = clip.shape[:2]
        shifts = Shifts(batch, moments, memory) if self.row.shift else None
        maps = self._look(clip, shifts)
        logits = self.backbone.rest(maps, shifts).view(batch, moments)
        return logits, tuple(shifts.kept) if shifts else ()

    def _look(self, clip: Tensor, shifts: Shifts | None) -> Tensor:
        """Moments (B, T, m, C, H, W) -> what Res-2 takes (B * T, 256, H / 4, W / 4)."""
        if self.mfs is None:
            return self.backbone.res1(self._all_planes(clip.flatten(0, 1)).flatten(1, 2), shifts)
        return self.mfs(self.features(clip, shifts))

    def features(self, clip: Tensor, shifts: Shifts | None = None) -> Tensor:
        """Moments (B, T, m, C, H, W) -> MFS's input U (B * T, planes * 256, H / 4, W / 4); all planes as one batch."""
        maps = self.backbone.res1(clip.flatten(0, 2), shifts)
        return self._all_planes(maps.unflatten(0, (-1, clip.shape[2]))).flatten(1, 2)

    def _all_planes(self, x: Tensor) -> Tensor:
        """(N, given, ...) -> (N, planes, ...): a plane that is not given is stood in for by its nearest."""
        given = x.shape[1]
        return x if given == self.row.planes else x[:, nearest_planes(given, self.row.planes)]

    def _check(self, clip: Tensor) -> None:
        planes, channels = self.row.planes, self.in_channels
        if clip.ndim != 6 or clip.shape[3] != channels or not 0 < clip.shape[2] <= planes:
            raise VidsuiteError(
                f"this network takes moments (B, T, m, {channels}, H, W) of 1 to {planes} focal planes, "
                f"not {tuple(clip.shape)}; choose the planes in the input pipeline"
            )

    def stream(self) -> Stream:
        """What follows recordings as they grow; see `Stream`. Switch the network to evaluation first."""
        return Stream(self)


class Stream:
    """Follows a batch of recordings, moment by moment, at constant time and memory a moment.

    `step` gives what `AmsNet.forward` gives at that moment for all moments so far. The memory may be stored and set
    again, to go on later.

    Attributes:
        memory: of the moments so far; empty before the first.
    """

    def __init__(self, network: AmsNet) -> None:
        self.network = network
        self.memory: Memory = ()

    @torch.inference_mode()
    def step(self, moment: Tensor) -> Tensor:
        """The next moment (B, m, C, H, W) -> logits (B,). B and m are those of the first.

        Raises:
            UsageError: the network is in training mode, or the recordings changed in number or size.
        """
        if self.network.training:
            raise UsageError("a stream needs the network in evaluation mode; call network.eval() first")
        try:
            logits, memory = self.network.advance(moment[:, None], self.memory)
        except RuntimeError as error:
            if not self.memory:
                raise
            raise UsageError(f"moment {tuple(moment.shape)} does not follow those before: {error}") from error
        self.memory = memory
        return logits[:, 0]


def nearest_planes(given: int, wanted: int) -> list[int]:
    """For each of `wanted` planes about the central one, which of the `given` central ones lies nearest.

    Three of seven: [0, 0, 0, 1, 2, 2, 2].
    """
    offset = (wanted - given) // 2
    return [min(max(plane - offset, 0), given - 1) for plane in range(wanted)]


def build(
    name: str,
    in_channels: int = 1,
    weights: Path | str | None = None,
    initial: Path | str | None = None,
) -> AmsNet:
    """The row `name` of `ROWS`.

    Args:
        in_channels: C of each plane.
        weights: a file of this network's state dict, or, for `tsm1` and `baseline`, of the reference's (mit-han-lab's
            TSM with one output: layouts told apart by their names); loaded strictly.
        initial: a ResNet-50 trained elsewhere, in torchvision's, TSM's or mmaction2's layout; loaded strictly but for
            the classifier, its first convolution summed to the channels. MFS keeps its own initial values.

    Raises:
        UsageError: no such row, or both `weights` and `initial`.
        VidsuiteError: a file cannot be read, or does not fit.
    """
    if name not in ROWS:
        raise UsageError(f"there is no network {name!r}; there are {', '.join(ROWS)}")
    if weights is not None and initial is not None:
        raise UsageError("weights and initial both say what the network holds; give one of them")
    network = AmsNet(ROWS[name], in_channels)
    if weights is not None:
        state = bare(load(Path(weights)))
        if any(key.startswith("base_model.") for key in state):
            load_strictly(network, _prefixed(torchvision_names(state)), str(weights))
        else:
            load_strictly(network, state, str(weights))
    if initial is not None:
        state = torchvision_names(bare(load(Path(initial))))
        load_initial(network.backbone, state, str(initial), first="conv1", fresh=("fc.",))
    return network


def _prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"backbone.{name}": value for name, value in state.items()}


@dataclass(frozen=True)
class Look:
    """What AMSNet's attention makes of one moment, for pictures.

    Attributes:
        planes: (m, h, w), the mean over channels of each plane's features, each weighted by the channel attention.
        shares: (m,), the mean weight of each plane's channels, 0 to 1.
        place: (row, column) of the position asked about.
        partners: (h, w), what that position takes from each other in the non-local block, summing to 1; None for rows
            without it.
    """

    planes: Tensor
    shares: Tensor
    place: tuple[int, int]
    partners: Tensor | None


@torch.inference_mode()
def look(network: AmsNet, moment: Tensor, place: Sequence[float] | None = None) -> Look:
    """Look into the attention at one moment (m, C, H, W), without its past.

    Args:
        place: (row, column) in shares of height and width; where the merged features are strongest without it.

    Raises:
        UsageError: the row has no attention.
    """
    if network.mfs is None:
        raise UsageError("only the rows channel* and amsnet* have an attention to look at")
    u = network.features(moment[None, None])
    weights = network.mfs.attention(u).view(network.row.planes, -1)
    planes = u.view(*weights.shape, *u.shape[2:])
    merged = network.mfs.merge(u)
    height, width = merged.shape[2:]
    if place is None:
        strongest = int(merged.norm(dim=1).argmax())
        row, column = divmod(strongest, width)
    else:
        row, column = (min(int(share * side), side - 1) for share, side in zip(place, (height, width), strict=True))
    partners = None
    if isinstance(network.mfs.spatial, NonLocal):
        partners = NonLocal.weights_at(merged, torch.tensor([row * width + column]))[0]
    return Look((planes * weights[..., None, None]).mean(dim=1), weights.mean(dim=1), (row, column), partners)

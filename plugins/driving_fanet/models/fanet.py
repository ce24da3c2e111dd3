"""FANet with temporal context (Torgesen et al., figure 2, after Hu et al., RA-L 2021): the network itself.

Names and shapes of the parameters are those of the reference implementation (feinanshan/FANet), so that its
checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_core.weights import load, load_strictly
from vidsuite_plugins.driving_fanet.models.attention import SMOOTH_CHANNELS, ConvBNReLU, FastAttentionModule, enlarge
from vidsuite_plugins.driving_fanet.models.context import SCALES, Alone, Decayed, Learned, Sum, TemporalContext
from vidsuite_plugins.driving_fanet.models.encoder import Encoder, Norm
from vidsuite_plugins.driving_fanet.models.memory import Memory, State
from vidsuite_plugins.driving_fanet.models.motion import Aligned

Context = Literal["sum", "decayed", "learned", "aligned"]
CONTEXTS: dict[str, type[TemporalContext]] = {"sum": Sum, "decayed": Decayed, "learned": Learned, "aligned": Aligned}


class Fanet(nn.Module):
    """FANet-18 or -34 with TCA of any depth: 13.820 or 23.928 million parameters with 19 classes.

    In published weights every scale has an `up` and a `smooth`, but `fam_32.smooth`, `fam_8.smooth` and `fam_4.up`
    take no part in the output and get no gradient: distributed training needs `find_unused_parameters`.

    Args:
        depth: of the ResNet, 18 or 34.
        num_classes: K.
        tca_depth: N, how many past frames' contexts are added.
        context: how they are weighed: "sum" (the paper), "decayed", "learned" or "aligned".
        norm: "batch", or "none" for what the paper's published code computed: its batch norm never ran.
        aux_weight: of the loss of each of the two auxiliary heads of Hu et al. (theirs: 0.5), on the smoothed
            maps of the two coarse scales; at 0 there are no heads.

    Raises:
        UsageError: an unknown depth, context or norm, or a negative N or weight.
    """

    def __init__(
        self,
        depth: int = 18,
        num_classes: int = 19,
        tca_depth: int = 0,
        context: Context = "sum",
        norm: Norm = "batch",
        aux_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if aux_weight < 0:
            raise UsageError(f"aux_weight must be 0 or more, not {aux_weight}")
        self.num_classes = num_classes
        self.aux_weight = aux_weight
        self.resnet = Encoder(depth, norm)
        self.fam_32, self.fam_16, self.fam_8, self.fam_4 = (
            FastAttentionModule(scale, channels, norm) for scale, channels in SCALES.items()
        )
        self.clslayer = OutputHead(2 * SMOOTH_CHANNELS, 256, num_classes, norm)
        if aux_weight:
            self.clslayer_32 = OutputHead(SMOOTH_CHANNELS, 64, num_classes, norm)
            self.clslayer_16 = OutputHead(SMOOTH_CHANNELS, 64, num_classes, norm)
        self.tca = temporal_context(context, tca_depth)

    def forward(self, x: Tensor, runs: Sequence[int] | None = None) -> Tensor:
        """Frames -> logits.

        Args:
            x: (B, 3, H, W), RGB, normalised.
            runs: lengths of the runs of consecutive frames that make up the batch, in its order: [8, 8] for two
                runs of 8. A frame has the context of the N frames before it in its run, with gradients, and none
                of other runs. None: no frame follows on another. In training mode batch norm's statistics are
                the batch's, all runs', as ever.

        Returns:
            (B, K, ceil(H/8), ceil(W/8)).

        Raises:
            UsageError: the runs do not add up to B.
        """
        return self.decode(x, self._memory(x, runs))

    def decode(self, frames: Tensor, memory: Memory) -> Tensor:
        """As `forward`, with the contexts that `memory` gives."""
        return self.outputs(frames, memory)[0]

    def forward_auxiliary(self, x: Tensor, runs: Sequence[int] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, with the auxiliary heads' logits beside: at 1/8, 1/64 and 1/32 of the frame.

        Raises:
            UsageError: the network was built without auxiliary heads.
        """
        if not self.aux_weight:
            raise UsageError("the network has no auxiliary heads; build it with aux_weight above 0")
        logits, fused_32, smooth_16 = self.outputs(x, self._memory(x, runs))
        return logits, self.clslayer_32(self.fam_32.smooth(fused_32)), self.clslayer_16(smooth_16)

    def outputs(self, x: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Figure 2, block by block: the logits, and what auxiliary heads look at."""
        memory.see(x)
        feat4, feat8, feat16, feat32 = self.resnet(x)
        fused_32 = self.fam_32(feat32, None, memory)
        fused_16 = self.fam_16(feat16, self.fam_32.up(fused_32), memory)
        fused_8 = self.fam_8(feat8, self.fam_16.up(fused_16), memory)
        fused_4 = self.fam_4(feat4, self.fam_8.up(fused_8), memory)
        smooth_16 = self.fam_16.smooth(fused_16)
        smooth_4 = self.fam_4.smooth(fused_4)
        size = (smooth_4.shape[2], smooth_4.shape[3])
        logits = self.clslayer(torch.cat([enlarge(smooth_16, size), smooth_4], dim=1))
        return logits, fused_32, smooth_16

    def step(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """The next frames of B streams -> their logits, as `forward`'s, and the state that goes in with those after.

        Args:
            frames: (B, 3, H, W).
            state: what the frames before gave, or `empty_state`.
        """
        memory = self.tca.stream(state)
        return self.decode(frames, memory), memory.after

    def empty_state(self, frames: Tensor) -> State:
        """The state of streams that begin with frames like these (B, 3, H, W)."""
        return self.tca.empty(frames)

    def load_reference(self, state: Mapping[str, Tensor], origin: str) -> None:
        """Take weights in the reference's layout, in which TCA has no parameters; ours keep their first values.

        Raises:
            VidsuiteError: tensors are missing, left over or of another shape.
        """
        own = {name: tensor for name, tensor in self.state_dict().items() if name.startswith("tca.")}
        load_strictly(self, own | dict(state), origin)

    def _memory(self, x: Tensor, runs: Sequence[int] | None) -> Memory:
        return self.tca.batch([1] * len(x) if runs is None else runs)


class OutputHead(nn.Module):
    """The reference's `FPNOutput`: a 3x3 convolution with norm and activation, then 1x1 without bias."""

    def __init__(self, in_channels: int, channels: int, num_classes: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, channels, kernel=3, padding=1, norm=norm)
        self.conv_out = nn.Conv2d(channels, num_classes, 1, bias=False)
        nn.init.kaiming_normal_(self.conv_out.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> logits (B, K, h, w)."""
        return self.conv_out(self.conv(x))


def temporal_context(kind: Context, depth: int) -> TemporalContext:
    """The way to weigh `depth` past frames that `kind` names.

    Raises:
        UsageError: an unknown kind, or a negative depth.
    """
    if kind not in CONTEXTS:
        raise UsageError(f"context {kind!r} is none of {', '.join(CONTEXTS)}")
    if depth < 0:
        raise UsageError(f"tca_depth must be 0 or more, not {depth}")
    return CONTEXTS[kind](depth) if depth else Alone()


def build(weights: Path | str | None = None, **options: Any) -> Fanet:
    """The network, with random weights or those of `weights`, loaded strictly.

    Args:
        weights: a file of a state dict: of the reference, or of a network built with the same options.
        options: passed to `Fanet`.

    Raises:
        VidsuiteError: the file cannot be read, or its names or shapes are not the network's.
    """
    network = Fanet(**options)
    if weights is not None:
        network.load_reference(load(Path(weights)), str(weights))
    return network

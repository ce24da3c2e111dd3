"""FANet for inference: the same logits at several times the speed (benchmarks/speed/fanet.py prints how many).

What differs from `Fanet`, all of it exact but for rounding:

- batch norm is folded into the convolutions, memory is channels-last, activations are applied in place;
- queries, keys and values of a scale are one convolution;
- `latlayer3` is linear up to its norm, so that it is applied to the 32xC context instead of to every pixel;
- the output head's convolution of the enlarged coarse map is done on the coarse map (fast_head.py), which saves a
  fifth of the network's products, and nothing is concatenated;
- `smooth` of the coarsest scale, which only auxiliary heads look at, is left out;
- on a CPU, what `OneDnnConvolution`, `Winograd` and `BandedStem` say;
- weights and maps are bfloat16 where the device multiplies in it; contexts stay float32.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.models.attention import KEY_CHANNELS, FastAttentionModule, enlarge
from vidsuite_plugins.driving_fanet.models.encoder import SLOPE, Encoder, LeakyBasicBlock
from vidsuite_plugins.driving_fanet.models.fanet import Fanet
from vidsuite_plugins.driving_fanet.models.fast_head import FastHead
from vidsuite_plugins.driving_fanet.models.fast_stem import BandedStem, Stem
from vidsuite_plugins.driving_fanet.models.folded import (
    Convolution,
    Folded,
    Layer,
    MakeLayer,
    OneDnnConvolution,
    fold,
    fold_block,
    leaky_,
)
from vidsuite_plugins.driving_fanet.models.graphs import GraphStream
from vidsuite_plugins.driving_fanet.models.memory import Memory, StreamMemory
from vidsuite_plugins.driving_fanet.models.streaming import Stream
from vidsuite_plugins.driving_fanet.models.winograd import Winograd

Precision = Literal["auto", "fp32", "bf16"]
Backend = Literal["auto", "folded", "onednn", "cuda_graphs", "compiled"]
HEAD_BAND = 1 << 20
"""Values of the head's widest map that a CPU holds at once: 4 MiB in float32, which stay in its cache."""


def fast_path(
    network: Fanet, device: str | torch.device = "cpu", precision: Precision = "auto", backend: Backend = "auto"
) -> Stream:
    """A stream of the inference form of `network`, as a frozen copy: later changes of it do not reach the stream.

    Args:
        network: its batch norms' running statistics are used, whatever its mode.
        device: where it is to run.
        precision: "fp32" equals the plain network up to float32 rounding, "bf16" up to bfloat16's
            (tests/driving_fanet/test_fast.py states both tolerances); "auto" is bf16 where `multiplies_bf16`
            and fp32 elsewhere.
        backend: "folded" is everything that needs torch's public operators alone, on any device; "onednn" adds what
            only a CPU gains from; "cuda_graphs" replays "folded" as one graph on a GPU; "compiled" gives
            "folded" to torch.compile, which needs a compiler; "auto" is "onednn" or "cuda_graphs" by
            device, else "folded".

    Raises:
        UsageError: an unknown precision or backend, or one that this device does not have.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is none of {', '.join(get_args(Precision))}")
    device = torch.device(device)
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    chosen = _backend(backend, device, dtype, network)
    on_device = copy.deepcopy(network).requires_grad_(False).to(device)
    fast = FastFanet(on_device, cpu_kit(dtype) if chosen == "onednn" else plain_kit(dtype))
    fast.path = f"{precision}-{chosen}"
    if chosen == "compiled":
        fast.compute = torch.compile(fast.compute)
    return GraphStream(fast) if chosen == "cuda_graphs" else Stream(fast)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies in bfloat16; an x86 CPU that only emulates it is slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _backend(backend: Backend, device: torch.device, dtype: torch.dtype, network: Fanet) -> str:
    """The back end that "auto" stands for, or the given one where it can run."""
    if backend not in get_args(Backend):
        raise UsageError(f"backend {backend!r} is none of {', '.join(get_args(Backend))}")
    onednn = device.type == "cpu" and OneDnnConvolution.available(dtype)
    graphs = device.type == "cuda" and network.stream_memory().capturable
    if backend == "auto":
        return "onednn" if onednn else "cuda_graphs" if graphs else "folded"
    if (backend == "onednn" and not onednn) or (backend == "cuda_graphs" and not graphs):
        raise UsageError(f"backend {backend} does not run this network in {dtype} on {device}; take auto or folded")
    return backend


@dataclass(frozen=True)
class Kit:
    """Of what an inference form is made.

    Attributes:
        dtype: of weights and maps.
        layer: makes convolutions.
        stem: makes the encoder's first layers.
        head_band: as `FastHead`'s `band`.
        frame_by_frame: whether a batch goes through encoder and head a frame at a time, whose maps stay in the cache.
    """

    dtype: torch.dtype
    layer: MakeLayer
    stem: type[Stem]
    head_band: int
    frame_by_frame: bool


def plain_kit(dtype: torch.dtype) -> Kit:
    """Torch's public operators, on any device."""
    return Kit(dtype, partial(Convolution, dtype=dtype), Stem, head_band=1 << 40, frame_by_frame=False)


def cpu_kit(dtype: torch.dtype) -> Kit:
    """OneDNN's fused convolutions, Winograd's where they are faster, and frames and bands that fit into the cache."""

    def layer(folded: Folded) -> Layer:
        if dtype == torch.float32 and Winograd.suits(folded):
            return Winograd(folded)
        return OneDnnConvolution(folded, dtype)

    return Kit(dtype, layer, BandedStem, HEAD_BAND, frame_by_frame=True)


class FastFanet:
    """The inference form of a `Fanet`; see `fast_path`.

    Attributes:
        path: how logits are computed, as "fp32-onednn"; record it with what is measured.
    """

    training = False

    def __init__(self, network: Fanet, kit: Kit) -> None:
        self.path = "folded"
        self.dtype = kit.dtype
        self.frame_by_frame = kit.frame_by_frame
        self.tca = network.tca
        self.encoder = _FastEncoder(network.resnet, kit)
        self.fam_32, self.fam_16, self.fam_8, self.fam_4 = (
            _FastAttention(fam, kit) for fam in (network.fam_32, network.fam_16, network.fam_8, network.fam_4)
        )
        self.smooth_16 = kit.layer(fold_block(network.fam_16.smooth))
        self.smooth_4 = kit.layer(fold_block(network.fam_4.smooth))
        self.head = FastHead(network.clslayer, kit.layer, kit.dtype, kit.head_band)

    def stream_memory(self) -> StreamMemory:
        """A new, empty memory for `Stream`."""
        return self.tca.stream()

    @torch.no_grad()
    def decode(self, frames: Tensor, memory: Memory) -> Tensor:
        """As `Fanet.decode`; logits are float32."""
        memory.see(frames)
        return self.compute(frames, memory)

    def compute(self, frames: Tensor, memory: Memory) -> Tensor:
        """`decode` but for the memory's `see`: what a CUDA graph can replay."""
        x = frames.to(self.dtype, memory_format=torch.channels_last)
        feat4, feat8, feat16, feat32 = self._encode(x)
        fused_32 = self.fam_32(feat32, None, memory)
        fused_16 = self.fam_16(feat16, self.fam_32.up(fused_32), memory)
        fused_8 = self.fam_8(feat8, self.fam_16.up(fused_16), memory)
        fused_4 = self.fam_4(feat4, self.fam_8.up(fused_8), memory)
        return self._decide(self.smooth_16(fused_16), self.smooth_4(fused_4))

    def _encode(self, x: Tensor) -> list[Tensor]:
        if not self.frame_by_frame or len(x) == 1:
            return self.encoder(x)
        return [torch.cat(maps) for maps in zip(*map(self.encoder, x.split(1)), strict=True)]

    def _decide(self, coarse: Tensor, fine: Tensor) -> Tensor:
        if not self.frame_by_frame or len(fine) == 1:
            return self.head(coarse, fine)
        return torch.cat(list(map(self.head, coarse.split(1), fine.split(1))))


class _FastEncoder:
    """`Encoder` of folded convolutions."""

    def __init__(self, encoder: Encoder, kit: Kit) -> None:
        self.stem = kit.stem(fold(encoder.conv1, encoder.bn1, SLOPE), kit.layer)
        self.stages = [
            [_FastBlock(block, kit.layer) for block in stage]
            for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
        ]

    def __call__(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x)
            maps.append(x)
        return maps


class _FastBlock:
    """`LeakyBasicBlock` of folded convolutions; it overwrites its input where that is the shortcut."""

    def __init__(self, block: LeakyBasicBlock, layer: MakeLayer) -> None:
        self.conv1 = layer(fold(block.conv1, block.bn1, SLOPE))
        self.conv2 = layer(fold(block.conv2, block.bn2))
        self.downsample = None if block.downsample is None else layer(fold(*block.downsample))

    def __call__(self, x: Tensor) -> Tensor:
        return self.conv2.add_relu(self.conv1(x), x if self.downsample is None else self.downsample(x))


class _FastAttention:
    """`FastAttentionModule` of folded convolutions."""

    def __init__(self, fam: FastAttentionModule, kit: Kit) -> None:
        self.scale = fam.scale
        parts = [fold_block(block) for block in (fam.w_qs, fam.w_ks, fam.w_vs)]
        weight, bias = (torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "bias"))
        self.query_key_value = kit.layer(Folded(weight, bias))
        self.slope = parts[2].slope
        lateral = fold_block(fam.latlayer3)
        self.lateral = lateral.weight[:, :, 0, 0].T.contiguous()
        self.bias = lateral.bias.to(kit.dtype)
        self.up = kit.layer(fold_block(fam.up))

    def __call__(self, feat: Tensor, coarser: Tensor | None, memory: Memory) -> Tensor:
        """As `FastAttentionModule.forward`."""
        batch, channels, *size = feat.shape
        projected = self.query_key_value(feat).permute(0, 2, 3, 1).reshape(batch, -1, 2 * KEY_CHANNELS + channels)
        pointers, values = projected.split([2 * KEY_CHANNELS, channels], dim=2)
        query, keys = F.normalize(pointers.float().unflatten(2, (2, KEY_CHANNELS)), dim=3, eps=1e-12).unbind(2)
        values = leaky_(values, self.slope).float()
        context = memory.recall(self.scale, keys.transpose(1, 2), values.transpose(1, 2), tuple(size))
        answer = torch.baddbmm(self.bias, query.to(feat.dtype), torch.matmul(context, self.lateral).to(feat.dtype))
        fused = leaky_(answer, self.slope).view(batch, *size, channels).permute(0, 3, 1, 2).add_(feat)
        return fused if coarser is None else fused.add_(enlarge(coarser, tuple(size)))

"""Motion-aligned context: past frames count for what of them is still in view, and the less the farther they moved.

The paper's conclusion blames plain addition: frames change at various rates. K^T V is a sum over pixels, hence the
same for any joint warp of keys and values; so moving the past into place changes nothing, and all that an
alignment can change is which pixels take part (those that are still in view) and what the sum weighs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.networks.runs import ages
from vidsuite_plugins.driving_fanet.models.attention import KEY_CHANNELS
from vidsuite_plugins.driving_fanet.models.context import SCALES, TemporalContext, check_runs
from vidsuite_plugins.driving_fanet.models.encoder import map_sizes
from vidsuite_plugins.driving_fanet.models.memory import Memory, State, StreamMemory, product

COARSE = (64, 128)
"""Height and width, at most, of the map on which motion is estimated; a step of it is what a shift is exact to."""


class Aligned(TemporalContext):
    """Pixels that have left the view are masked out of a past frame's K^T V, and the rest is weighed.

    The translation (dy, dx) between two frames is found by phase correlation and is no function of the weights, so
    no gradient passes it. The weight is exp(-s r), r being the translation's length relative to the frame's
    diagonal, with one learned s >= 0 a scale, 1 at first. For s = 0 and frames that do not move this is plain
    addition. What is kept of the past are keys and values, and every frame multiplies those of all N anew: the
    cost of a frame grows with N.
    """

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        start = torch.tensor(1.0).expm1().log()  # softplus of it is 1
        self.stiffness = nn.ParameterDict({scale: nn.Parameter(start.clone()) for scale in SCALES})

    def batch(self, runs: Sequence[int]) -> Memory:
        """One masked product for each of the N ages, over all frames at once."""
        return _MovingBatch(self, runs)

    def stream(self, state: State) -> StreamMemory:
        """Keys, values and brightness of the last N frames."""
        return _MovingStream(self, state)

    def empty(self, frames: Tensor) -> State:
        """Brightness (N, B, h, w) on the coarse map, and of each scale keys (N, B, 32, n) and values (N, B, C, n)."""
        state = {_BRIGHTNESS: frames.new_zeros(self.depth, len(frames), *coarse_size(frames.shape[2:]))}
        sizes = reversed(map_sizes(frames.shape[2:]))
        for (scale, channels), (height, width) in zip(SCALES.items(), sizes, strict=True):
            for name, rows in zip(_names(scale), (KEY_CHANNELS, channels), strict=True):
                state[name] = frames.new_zeros(self.depth, len(frames), rows, height * width)
        return state

    def factors(self, scale: str, shifts: Tensor, frame: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """What each pixel of past maps counts for.

        Args:
            scale: one of `SCALES`.
            shifts: (P, 2), the content's move (dy, dx) since then, as fractions of the frame's height and width.
            frame: height and width of the frames.
            size: height h and width w of the maps.

        Returns:
            (P, 1, h w): 0 for pixels out of view, else the weight.
        """
        stiffness = F.softplus(self.stiffness[scale])
        extent = shifts.new_tensor(frame)
        moved = (shifts * extent).norm(dim=1) / extent.norm()
        weight = torch.exp(-stiffness * moved)
        return (visible(shifts, size) * weight[:, None, None]).flatten(1)[:, None]


class _MovingBatch:
    """A batch's memory under `Aligned`."""

    def __init__(self, context: Aligned, runs: Sequence[int]) -> None:
        self.context = context
        self.age = ages(runs)
        self.frame = (0, 0)
        self.shifts: list[Tensor] = []

    def see(self, frames: Tensor) -> None:
        """Estimate the motion of each frame against those 1 .. N before it."""
        check_runs(self.age, frames)
        self.frame = (frames.shape[2], frames.shape[3])
        self.age = self.age.to(frames.device)
        spectra = spectrum(frames)
        deepest = min(self.context.depth, len(frames) - 1)
        self.shifts = [translation(spectra[age:], spectra[:-age], self.frame) for age in range(1, deepest + 1)]

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Each frame's own matrix and the masked, weighted sum of the N before it in its run."""
        context = product(keys, values.transpose(1, 2))
        for age, shifts in enumerate(self.shifts, start=1):
            same_run = self.age.diagonal(-age) == age
            factors = self.context.factors(scale, shifts, self.frame, size) * same_run[:, None, None]
            past = product(keys[:-age] * factors, values[:-age].transpose(1, 2))
            context = context + F.pad(past, (0, 0, 0, 0, age, 0))
        return context


_BRIGHTNESS = "brightness"


def _names(scale: str) -> tuple[str, str]:
    """Of a scale's keys and values in a state."""
    return f"{scale} keys", f"{scale} values"


class _MovingStream:
    """A stream's memory under `Aligned`; what is kept of N frames lies newest first."""

    def __init__(self, context: Aligned, state: State) -> None:
        self.context = context
        self.before = state
        self.after: State = {}
        self.frame = (0, 0)
        self.shifts: list[Tensor] = []

    def see(self, frames: Tensor) -> None:
        """Estimate the motion of the frames against those kept."""
        self.frame = (frames.shape[2], frames.shape[3])
        seen, kept = brightness(frames), self.before[_BRIGHTNESS]
        now = torch.fft.rfft2(seen)
        self.shifts = [translation(now, torch.fft.rfft2(before), self.frame) for before in kept]
        self.after[_BRIGHTNESS] = torch.cat([seen[None], kept[:-1]])

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices and the masked, weighted sum of those kept."""
        context = product(keys, values.transpose(1, 2))
        of_keys, of_values = _names(scale)
        kept_keys, kept_values = self.before[of_keys], self.before[of_values]
        for shifts, old_keys, old_values in zip(self.shifts, kept_keys, kept_values, strict=True):
            factors = self.context.factors(scale, shifts, self.frame, size)
            context = context + product(old_keys * factors, old_values.transpose(1, 2))
        self.after[of_keys] = torch.cat([keys[None], kept_keys[:-1]])
        self.after[of_values] = torch.cat([values[None], kept_values[:-1]])
        return context


def coarse_size(frame: Sequence[int]) -> tuple[int, int]:
    """Height and width of the map on which motion is estimated: `COARSE`, or the frame's own size if that is less."""
    return min(frame[0], COARSE[0]), min(frame[1], COARSE[1])


@torch.no_grad()
def brightness(frames: Tensor) -> Tensor:
    """The frames' brightness, coarse and tapered to the borders.

    Args:
        frames: (B, 3, H, W), scaled in any way: phase correlation does not depend on it.

    Returns:
        (B, h, w), of `coarse_size`.
    """
    size = coarse_size(frames.shape[2:])
    seen = F.adaptive_avg_pool2d(frames.float().mean(dim=1), size)
    seen = seen - seen.mean(dim=(1, 2), keepdim=True)
    taper = [torch.hann_window(length, periodic=False, device=frames.device) for length in size]
    return seen * taper[0][:, None] * taper[1]


def spectrum(frames: Tensor) -> Tensor:
    """The Fourier transform of `brightness`: complex64 (B, h, w/2 + 1)."""
    return torch.fft.rfft2(brightness(frames))


@torch.no_grad()
def translation(now: Tensor, before: Tensor, frame: tuple[int, int]) -> Tensor:
    """How far the content has moved between frames, by phase correlation.

    Args:
        now, before: spectra (P, h, w/2 + 1) of frames and of their past.
        frame: height and width of the frames.

    Returns:
        (P, 2): dy and dx as fractions of the frame's height and width, in [-0.5, 0.5).
    """
    height, width = coarse_size(frame)
    # now * conj(before), by parts: converters know no conjugates.
    (a, b), (c, d) = (torch.view_as_real(one).unbind(dim=3) for one in (now, before))
    cross = torch.stack([a * c + b * d, b * c - a * d], dim=3)
    phases = cross / cross.norm(dim=3, keepdim=True).clamp_min(1e-12)
    correlation = torch.fft.irfft2(torch.view_as_complex(phases), s=(height, width))
    peak = correlation.flatten(1).argmax(dim=1)
    y = (peak // width + height // 2) % height - height // 2
    x = (peak % width + width // 2) % width - width // 2
    return torch.stack([y / height, x / width], dim=1)


def visible(shifts: Tensor, size: tuple[int, int]) -> Tensor:
    """Bool (P, h, w): the pixels of maps of `size` whose centres are still in the frame after a move by `shifts`."""
    rows, columns = (
        (torch.arange(length, device=shifts.device) + 0.5) / length + moved[:, None]
        for length, moved in zip(size, shifts.T, strict=True)
    )
    return inside(rows)[:, :, None] & inside(columns)[:, None, :]


def inside(place: Tensor) -> Tensor:
    """Whether places, as fractions of an axis, are on it."""
    return (place >= 0) & (place <= 1)

"""I3D fine-tuned end to end: what the paper proposes as future work (section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.networks.classifier import ClipClassifier, Loss, Samples
from vidsuite_core.networks.i3d import MIN_FRAMES, InceptionI3d, output_steps
from vidsuite_plugins.seizure_i3d.registry import MODELS

BnStatistics = Literal["frozen", "batch"]


@MODELS.register_module()
class I3dClassifier(ClipClassifier):
    """I3D with a new classifier on clips (B, 3, T, H, W), RGB in [-1, 1]; the mean over time of its logits.

    A clip shorter than its batch says how many of its frames count in its data sample's metainfo
    `num_frames`; without it all T do. Only the steps that those frames yield are averaged. Padding still
    reaches the last of them through the convolutions, so pad with the last frame, as `collate` does.

    Args:
        num_classes: K.
        pretrained: a state dict of I3D; all but its classifier must fit. None is random weights.
        freeze_until: the last layer, as "Mixed_4f", of those that are not trained; None trains all.
        bn_statistics: "frozen" normalises by the pretrained statistics (batches of clips are small); "batch"
            by the batch's in the layers that are trained, which random weights need.
        dropout: before the classifier.
        loss, class_weights: as `ClipClassifier`.
    """

    def __init__(
        self,
        num_classes: int = 2,
        pretrained: str | Path | None = None,
        freeze_until: str | None = None,
        bn_statistics: BnStatistics = "frozen",
        dropout: float = 0.5,
        loss: Loss = "cross_entropy",
        **classifier: Any,
    ) -> None:
        super().__init__(num_classes, loss, **classifier)
        if bn_statistics not in ("frozen", "batch"):
            raise VidsuiteError(f"bn_statistics {bn_statistics!r} is unknown; use 'frozen' or 'batch'")
        self.backbone = InceptionI3d(num_classes, dropout=dropout)
        if pretrained is not None:
            load_all_but_logits(self.backbone, Path(pretrained))
        self.bn_statistics = bn_statistics
        self.frozen = layers_until(self.backbone, freeze_until)
        for name in self.frozen:
            self.backbone.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> I3dClassifier:
        """Switch to training, but keep frozen batch norm at its running statistics."""
        super().train(mode)
        roots = [self.backbone] if self.bn_statistics == "frozen" else map(self.backbone.get_submodule, self.frozen)
        for root in roots:
            for module in root.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: I3D, for batches of any number and length."""
        return [Part(self.backbone, {0: (0, 2)})]

    def collate(self, inputs: Tensor | Sequence[Tensor]) -> Tensor:
        """(B, 3, T, H, W) of a batch or of clips (3, t, H, W), whose last frame is repeated up to the longest."""
        if isinstance(inputs, Tensor):
            return inputs.float()
        longest = max(clip.shape[1] for clip in inputs)
        return super().collate([_hold_last_frame(clip, longest) for clip in inputs])

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """(B, 3, T, H, W) -> (B, K)."""
        steps = self.backbone(inputs)
        counts = _valid_counts(inputs, data_samples)
        valid = torch.arange(steps.shape[1], device=steps.device) < counts[:, None]
        return torch.where(valid[..., None], steps, 0).sum(dim=1) / counts[:, None]


def _hold_last_frame(clip: Tensor, frames: int) -> Tensor:
    missing = frames - clip.shape[1]
    return torch.cat([clip, clip[:, -1:].expand(-1, missing, -1, -1)], dim=1) if missing else clip


def _valid_counts(inputs: Tensor, data_samples: Samples | None) -> Tensor:
    """The number of I3D's steps that each clip's own frames yield: (B,)."""
    longest = inputs.shape[2]
    frames = [longest] * len(inputs) if data_samples is None else [s.get("num_frames", longest) for s in data_samples]
    if not all(MIN_FRAMES <= n <= longest for n in frames):
        raise VidsuiteError(f"num_frames {frames} must lie in {MIN_FRAMES} to the batch's {longest} frames")
    return torch.tensor([output_steps(n) for n in frames], device=inputs.device)


def layers_until(network: InceptionI3d, last: str | None) -> list[str]:
    """The names of the body's layers up to and including `last`; none for None."""
    if last is None:
        return []
    names = [name for name, _ in network.body()]
    if last not in names:
        raise VidsuiteError(f"freeze_until {last!r} is not a layer of I3D; use one of {', '.join(names)}")
    return names[: names.index(last) + 1]


def load_all_but_logits(network: InceptionI3d, path: Path) -> None:
    """Load a state dict strictly, except for the classifier, which keeps its own weights.

    Raises:
        VidsuiteError: the file cannot be read, or its other names or shapes are not the network's.
    """
    from vidsuite_core.weights import load, load_strictly

    state = {name: value for name, value in load(path).items() if not name.startswith("logits.")}
    own = {name: value for name, value in network.state_dict().items() if name.startswith("logits.")}
    load_strictly(network, state | own, str(path))

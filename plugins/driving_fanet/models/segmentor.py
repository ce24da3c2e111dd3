"""FANet as mmengine trains and tests it: runs, loss and streaming around the network of `fanet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.errors import UsageError
from vidsuite_core.inference.labels import label_map
from vidsuite_core.networks.runs import counted, runs_of
from vidsuite_core.samples import VOID
from vidsuite_core.weights import load
from vidsuite_plugins.driving_fanet.models.encoder import Norm
from vidsuite_plugins.driving_fanet.models.fanet import Context, Fanet
from vidsuite_plugins.driving_fanet.models.losses import VoidCrossEntropy, Where
from vidsuite_plugins.driving_fanet.models.streaming import Step, Stream
from vidsuite_plugins.driving_fanet.registry import MODELS

_PREFIX = "network."


@MODELS.register_module()
class FanetSegmentor(BaseModel):
    """`Fanet` with its loss, and with its stream at test.

    Called by itself it gives logits, and its state dict has the names of published checkpoints.

    Args:
        depth, num_classes, tca_depth, context, norm, aux_weight: of `Fanet`.
        class_weights, loss_at: of `VoidCrossEntropy`; "logits" are at 1/8 of the frame's size, as the paper's target.
        pretrained: file of torchvision's weights for the encoder; None is random.
        data_preprocessor: mmseg's.
    """

    def __init__(
        self,
        depth: int = 18,
        num_classes: int = 19,
        tca_depth: int = 0,
        context: Context = "sum",
        norm: Norm = "batch",
        aux_weight: float = 0.0,
        class_weights: Sequence[float] | None = None,
        loss_at: Where = "logits",
        pretrained: str | Path | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.network = Fanet(depth, num_classes, tca_depth, context, norm, aux_weight)
        if pretrained is not None:
            self.network.resnet.load_torchvision(load(Path(pretrained)), str(pretrained))
        self.criterion = VoidCrossEntropy(class_weights, loss_at)
        self.tca_depth = tca_depth
        self._step = (Step(self.network),)  # in a tuple: as a module its parameters would have second names
        self._stream = Stream(self.network, self._step[0])
        self._last: tuple[str, int] | None = None
        self._register_state_dict_hook(_published_names)
        self._register_load_state_dict_pre_hook(self._own_names)

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = "tensor") -> Any:
        """See mmengine's BaseModel.

        Args:
            inputs: (B, 3, H, W), RGB, normalised.
            data_samples: mmseg's, with `sequence` and `position` in their metainfo.
            mode: "tensor" gives the logits (B, K, ceil(H/8), ceil(W/8)) of frames that do not follow on another;
                "loss" the losses; "predict" data samples with `pred_sem_seg`.
        """
        if mode == "tensor":
            return self.network(inputs)
        if data_samples is None:
            raise ValueError(f"mode {mode!r} needs data samples")
        return self.loss(inputs, data_samples) if mode == "loss" else self.predict(inputs, data_samples)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Cross entropy over the frames that have all their context (section 2.3.2); see `VoidCrossEntropy`."""
        metas = [sample.metainfo for sample in data_samples]
        # Frames of another draw are augmented otherwise, even if they are the sequence's next ones.
        names = [f"{meta['sequence']} {meta.get('draw')}" for meta in metas]
        runs = runs_of(names, [meta["position"] for meta in metas])
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
        counts = counted(runs, self.tca_depth).to(labels.device)
        if not counts.any():
            raise UsageError(
                f"no frame of a batch has the {self.tca_depth} frames before it that the context takes; "
                "set tca_depth, which the batches know too, and not model.tca_depth"
            )
        labels = labels.masked_fill(~counts[:, None, None], VOID)
        if not self.network.aux_weight:
            return {"loss": self.criterion(self.network(inputs, runs), labels)}
        logits, *auxiliary = self.network.forward_auxiliary(inputs, runs)
        weight = self.network.aux_weight
        losses = {f"loss_aux_{i}": weight * self.criterion(other, labels) for i, other in enumerate(auxiliary)}
        return {"loss": self.criterion(logits, labels), **losses}

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """Label maps of frames that come one after another; a frame that does not follow on the last begins anew."""
        for image, sample in zip(inputs, data_samples, strict=True):
            place = (sample.metainfo["sequence"], sample.metainfo["position"])
            if self._last is None or (self._last[0], self._last[1] + 1) != place:
                self._stream.reset()
            self._last = place
            logits = self._stream.step(image[None])
            labels = label_map(logits, (image.shape[1], image.shape[2]))
            sample.pred_sem_seg = PixelData(data=labels[None])
        return data_samples

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: a step of the stream, in which all the work is."""
        return [Part(self._step[0])]

    def train(self, mode: bool = True) -> FanetSegmentor:
        """As ever; what a stream remembers is of the weights as they were, so training ends it."""
        if mode:
            self._last = None
        super().train(mode)
        return self

    def _own_names(self, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Published names -> ours, in place; whatever streams with the old weights ends."""
        self._last = None
        for name in [name for name in state if name.startswith(prefix) and not name.startswith(prefix + _PREFIX)]:
            state[prefix + _PREFIX + name.removeprefix(prefix)] = state.pop(name)


def _published_names(module: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> dict[str, Tensor]:
    """Our names -> published ones, in place, their order kept."""
    for name in list(state):
        if name.startswith(prefix + _PREFIX):
            state[prefix + name.removeprefix(prefix + _PREFIX)] = state.pop(name)
    return state

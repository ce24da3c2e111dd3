"""The networks as mmengine trains them, and morphokinetics, which needs no picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.engine.fitting import Items, stacked
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.classifier import ClipClassifier, Samples
from vidsuite_plugins.blastocyst_dnn.models.networks import NETWORKS, build
from vidsuite_plugins.blastocyst_dnn.registry import MODELS

Kind = Literal["logistic", "boosting"]


@MODELS.register_module()
class Classifier(ClipClassifier):
    """A network of `NETWORKS` on clips (B, C, T, H, W); one of single frames sees the last.

    Args:
        network: its name.
        in_channels: C.
        pretrained: weights trained elsewhere, see `build`'s `initial`; None is random.
        num_classes, class_weights, data_preprocessor, init_cfg: as `ClipClassifier`.
    """

    def __init__(
        self,
        network: str,
        num_classes: int = 2,
        in_channels: int = 1,
        pretrained: str | Path | None = None,
        **classifier: Any,
    ) -> None:
        super().__init__(num_classes, loss="cross_entropy", **classifier)
        self.network = build(network, num_classes, in_channels, initial=pretrained)
        self.clips = NETWORKS[network].clips

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: the network, for batches of any number."""
        return [Part(self.network, {0: (0,)})]

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """(B, C, T, H, W) -> (B, K)."""
        return self.network(inputs if self.clips else inputs[:, :, -1])


@MODELS.register_module()
class Morphokinetics(ClipClassifier):
    """Logistic regression or gradient boosting (scikit-learn) on hours and intervals that `PackEvents` packs.

    `fit` keeps what it has seen in buffers, so checkpoints work as usual; fitting is deterministic, and done anew from
    them. Logistic regression takes the median for a missing value, and its absence as one more value.

    Args:
        kind: "logistic" or "boosting".
        num_classes, data_preprocessor, init_cfg: as `ClipClassifier`.
    """

    seen: Tensor
    labels: Tensor

    def __init__(self, kind: Kind = "logistic", num_classes: int = 2, **classifier: Any) -> None:
        super().__init__(num_classes, loss="cross_entropy", **classifier)
        if kind not in ("logistic", "boosting"):
            raise UsageError(f"kind {kind!r} of morphokinetics is neither 'logistic' nor 'boosting'")
        self.kind = kind
        self.register_buffer("seen", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self._model: Any = None

    def fit(self, items: Items) -> None:
        """See `vidsuite_core.engine.fitting`.

        Raises:
            VidsuiteError: a class without a sample, or no embryo with an hour.
        """
        self.seen, self.labels = stacked(items)
        if not torch.isfinite(self.seen).any():
            raise VidsuiteError("no embryo has a division time; give them as columns t2, t3, ... of the manifest")
        missing = sorted(set(range(self.num_classes)) ^ set(self.labels.tolist()))
        if missing:
            raise VidsuiteError(f"labels {missing} are without a training sample or beyond num_classes; see the split")
        self._model = None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        for name in ("seen", "labels"):  # of any number of samples
            if f"{prefix}{name}" in state_dict:
                setattr(self, name, torch.empty_like(state_dict[f"{prefix}{name}"], device=self.seen.device))
        self._model = None
        super()._load_from_state_dict(state_dict, prefix, *more)

    def logits(self, inputs: Tensor, data_samples: Samples | None = None) -> Tensor:
        """Measures (B, D), NaN where not observed -> logarithms of the probabilities (B, K).

        Raises:
            UsageError: neither `fit` nor a checkpoint came before.
        """
        if not len(self.labels):
            raise UsageError("Morphokinetics is not fitted; call fit or load a checkpoint first")
        never = ~torch.isfinite(self.seen).any(dim=0)  # scikit-learn's trees do not take a column without a value
        seen, asked = (values.cpu().masked_fill(never.cpu(), 0).double().numpy() for values in (self.seen, inputs))
        if self._model is None:
            self._model = _fitted(self.kind, seen, self.labels.cpu().numpy())
        return torch.from_numpy(np.log(self._model.predict_proba(asked).clip(1e-7, 1))).float().to(inputs.device)

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """Not trained by steps: raises UsageError."""
        raise UsageError("Morphokinetics is fitted in one go and has no loss; leave train_cfg out of its config")


def _fitted(kind: Kind, seen: np.ndarray, labels: np.ndarray) -> Any:
    """A fitted scikit-learn classifier of rows of measures."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "boosting":
        model = HistGradientBoostingClassifier(max_depth=3, max_iter=60, learning_rate=0.1, random_state=0)
    else:
        filled = SimpleImputer(strategy="median", add_indicator=True)
        model = make_pipeline(filled, StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(seen, labels)

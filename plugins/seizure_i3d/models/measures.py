"""Baselines without a network: a few measures of a clip, and scikit-learn."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vidsuite_core.engine.data import data_sample
from vidsuite_core.engine.fitting import Items, stacked
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.classifier import ClipClassifier, Samples
from vidsuite_plugins.seizure_i3d.crop.warm import SHARE, excess
from vidsuite_plugins.seizure_i3d.registry import MODELS, TRANSFORMS

Kind = Literal["logistic", "forest"]
TREES, SEED = 300, 0
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
PARTS = 3


def motion_energy(clip: np.ndarray) -> np.ndarray:
    """How much changes from frame to frame of a clip uint8 (T, H, W, C), T >= 2: float32 (6,).

    The mean over pixels of absolute differences, grey levels, on a logarithmic scale: `QUANTILES` of it over the
    clip, and its mean. Neither order nor place is in it.

    Raises:
        VidsuiteError: a single frame.
    """
    changes = _changes(clip)
    return np.append(np.quantile(changes, QUANTILES), changes.mean()).astype(np.float32)


def motion_course(clip: np.ndarray) -> np.ndarray:
    """As `motion_energy`, but the mean of each of `PARTS` equal parts of a clip in their order: float32 (PARTS,)."""
    changes = _changes(clip)
    edges = np.linspace(0, len(changes), PARTS + 1)
    parts = [changes[int(a) : max(int(b), int(a) + 1)].mean() for a, b in pairwise(edges)]
    return np.array(parts, np.float32)


def _changes(clip: np.ndarray) -> np.ndarray:
    if len(clip) < 2:
        raise VidsuiteError("a clip of one frame has no motion energy; leave such clips out")
    grey = clip.mean(axis=3, dtype=np.float32)
    found: np.ndarray = np.log(0.01 + np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2)))
    return found


def blob_moments(clip: np.ndarray) -> np.ndarray:
    """Moments of what is warm in a clip uint8 (T, H, W, C), and how they change: float32 (50,).

    Of each frame: the mass of the excess over the room (`warm.excess`, what is below `SHARE` of the clip's peak left
    out), its area in pixels, its peak, its centre (x, y), its standard deviations along its long and its short axis,
    the elongation and the absolute slant of the long axis. Of each of those nine its mean, its standard deviation, its
    first and its last fifth's mean, and its mean absolute step; beside them the frames of the clip, and the centre's
    path, displacement, fastest step and mean step.
    """
    above = excess(clip)
    above[above <= SHARE * above.max()] = 0
    rows = np.stack([_moments(frame) for frame in above])
    fifth = max(1, len(rows) // 5)
    steps = np.diff(rows, axis=0) if len(rows) > 1 else np.zeros((1, rows.shape[1]))
    path = np.hypot(steps[:, 3], steps[:, 4])
    summary = [rows.mean(0), rows.std(0), rows[:fifth].mean(0), rows[-fifth:].mean(0), np.abs(steps).mean(0)]
    whole = [len(rows), path.sum(), np.hypot(*(rows[-1, 3:5] - rows[0, 3:5])), path.max(), path.mean()]
    return np.concatenate([*summary, whole]).astype(np.float32)


def first_moments(clip: np.ndarray) -> np.ndarray:
    """The nine moments of a clip's first frame alone, as in `blob_moments`: float32 (9,). No motion is in them."""
    return blob_moments(clip[:1])[:9]


def _moments(mass: np.ndarray) -> np.ndarray:
    """The nine moments of one frame's excess (H, W), see `blob_moments`; zeros where nothing is warm."""
    total = float(mass.sum())
    if total == 0:
        return np.zeros(9)
    rows, columns = np.indices(mass.shape)
    y, x = float((mass * rows).sum() / total), float((mass * columns).sum() / total)
    dy, dx = rows - y, columns - x
    xx, yy, xy = ((mass * part).sum() / total for part in (dx * dx, dy * dy, dx * dy))
    short, long = np.sqrt(np.linalg.eigvalsh([[xx, xy], [xy, yy]]).clip(0))
    slant = abs(0.5 * np.arctan2(2 * xy, xx - yy))
    peak = float(mass.max())
    return np.array([total, np.count_nonzero(mass), peak, x, y, long, short, long / (short + 0.1), slant])


MEASURES = {"energy": motion_energy, "course": motion_course, "blob": blob_moments, "first_blob": first_moments}


@TRANSFORMS.register_module()
class Measure:
    """`clip` uint8 (T, H, W, C) -> `inputs` (D,) float32, by one of `MEASURES`.

    Args:
        measure: "energy" (`motion_energy`), "course" (`motion_course`), "blob" (`blob_moments`) or "first_blob"
            (`first_moments`).

    Raises:
        UsageError: another.
    """

    def __init__(self, measure: str) -> None:
        if measure not in MEASURES:
            raise UsageError(f"measure {measure!r} is none of {', '.join(MEASURES)}")
        self.measure = MEASURES[measure]

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        inputs = torch.from_numpy(self.measure(results["clip"]))
        return {"inputs": inputs, "data_samples": data_sample(results["sample"])}


@MODELS.register_module()
class MeasureClassifier(ClipClassifier):
    """Logistic regression or a random forest (scikit-learn) on a clip's measures; classes weigh the same.

    `fit` keeps what it has seen in buffers, so checkpoints work as usual; fitting is deterministic, and done anew from
    them.

    Args:
        kind: "logistic", on standardised measures, or "forest", of `TREES` trees.
        num_classes, data_preprocessor, init_cfg: as `ClipClassifier`.

    Raises:
        UsageError: another kind.
    """

    seen: Tensor
    labels: Tensor

    def __init__(self, kind: Kind = "logistic", num_classes: int = 2, **classifier: Any) -> None:
        super().__init__(num_classes, loss="cross_entropy", **classifier)
        if kind not in ("logistic", "forest"):
            raise UsageError(f"kind {kind!r} of a classifier of measures is neither 'logistic' nor 'forest'")
        self.kind = kind
        self.register_buffer("seen", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self._model: Any = None

    def fit(self, items: Items) -> None:
        """See `vidsuite_core.engine.fitting`; raises VidsuiteError where a class has no sample."""
        self.seen, self.labels = stacked(items)
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
        """Measures (B, D) -> logarithms of the probabilities (B, K).

        Raises:
            UsageError: neither `fit` nor a checkpoint came before.
        """
        if not len(self.labels):
            raise UsageError("MeasureClassifier is not fitted; call fit or load a checkpoint first")
        if self._model is None:
            self._model = _fitted(self.kind, self.seen.double().cpu().numpy(), self.labels.cpu().numpy())
        chances = self._model.predict_proba(inputs.double().cpu().numpy())
        return torch.from_numpy(np.log(chances.clip(1e-7, 1))).float().to(inputs.device)

    def loss(self, inputs: Tensor, data_samples: Samples) -> dict[str, Tensor]:
        """Not trained by steps: raises UsageError."""
        raise UsageError("MeasureClassifier is fitted in one go and has no loss; leave train_cfg out of its config")


def _fitted(kind: Kind, seen: np.ndarray, labels: np.ndarray) -> Any:
    """A fitted scikit-learn classifier of rows of measures."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "forest":
        model = RandomForestClassifier(TREES, class_weight="balanced", random_state=SEED, min_samples_leaf=2)
    else:
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    return model.fit(seen, labels)

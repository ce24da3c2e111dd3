"""`video_segmentation`: a label for each pixel of a frame.

Stored array: `confusion` (N, K, K) integer counts of each frame's pixels, rows the true class, columns the
predicted one, void pixels (label 255) left out. First score: mIoU over the whole set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require, resample_sums

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.tasks.base import Arrays

MAX_PIXELS = 2**32
"""More pixels than a frame has; counts beyond it would overflow the sums."""


class VideoSegmentation(Task):
    """Intersection over union of the set's confusion matrix, averaged over the classes that occur.

    A class that neither truth nor prediction holds is left out of the mean, as in mmsegmentation's IoUMetric.
    """

    name = "video_segmentation"
    version = 1
    first_score = "miou"
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("miou", "mIoU"),
        ScoreInfo("pixel_accuracy", "pixel accuracy"),
    )

    def targets(self, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """Nothing: the confusion counts hold the truth's pixels, and label maps are not stored."""
        return {}

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`confusion` (N, K, K) int64 from each output's `confusion` (K, K)."""
        import numpy as np

        return {"confusion": np.stack([np.asarray(output["confusion"], dtype=np.int64) for output in outputs])}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        count = check_samples(arrays)
        confusion = require(arrays, "confusion", "iu", count, len(self.classes), len(self.classes))
        if confusion.size == 0 or not confusion.any() or (confusion < 0).any() or (confusion > MAX_PIXELS).any():
            raise VidsuiteError(f"predictions' confusion counts are empty, negative or above {MAX_PIXELS} pixels")

    def score(self, arrays: Arrays) -> dict[str, float]:
        """mIoU and pixel accuracy of the whole set."""
        import numpy as np

        total = arrays["confusion"].sum(0).astype(float)
        return {"miou": float(_mean_iou(total)), "pixel_accuracy": float(np.trace(total) / total.sum())}

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """IoU of each class (None where it does not occur) and the confusion counts."""
        import numpy as np

        total = arrays["confusion"].sum(0)
        iou = _iou(total.astype(float))
        named = zip(self.classes, iou, strict=True)
        return {
            "per_class": {label: {"iou": None if np.isnan(value) else float(value)} for label, value in named},
            "confusion": total.tolist(),
        }

    def resample(self, folds: Sequence[Arrays], draws: int, seed: int) -> np.ndarray:
        """See `Task.resample`; sequences (subjects) are drawn as one stratum."""
        import numpy as np

        rng = np.random.default_rng(seed)
        total = np.zeros(draws)
        for arrays in folds:
            one = np.zeros(len(arrays["subject"]), dtype=int)
            total += _mean_iou(resample_sums(arrays["confusion"], arrays["subject"], one, draws, rng))
        return total / len(folds)


def _iou(confusion: np.ndarray) -> np.ndarray:
    """(..., K) from counts (..., K, K); NaN for a class that does not occur."""
    import numpy as np

    hits = np.einsum("...kk->...k", confusion)
    union = confusion.sum(-1) + confusion.sum(-2) - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(union > 0, hits / union, np.nan)


def _mean_iou(confusion: np.ndarray) -> np.ndarray:
    """(...) means over the classes that occur; NaN where none does, as in a draw of void frames alone."""
    import numpy as np

    iou = _iou(confusion)
    occurs = ~np.isnan(iou)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(occurs, iou, 0).sum(-1) / occurs.sum(-1)

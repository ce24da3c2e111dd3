"""`video_segmentation`: a label for each pixel of a frame, in a sequence of frames.

Stored arrays, for N labelled frames and K classes; pixels whose true label is void (255) count in none of them:

- `confusion` (N, K, K): pixels by true class (row) and predicted class (column).
- `boundary` (N, K, 4): boundary pixels predicted and matched, predicted, true and matched, true, of each class.
- `stable` (N, 2): pixels whose true class is that of the frame before, and those of them whose predicted class is, too;
  0 where that frame is not labelled.
- `lagged` (N, 8, K, K): as `confusion`, with the predictions made for the frames 1 to 8 before, as far as there are:
  `lags` (N,) of them, and zeros beyond.
- `eighth` (N, 3, K): of the cells of 8x8 pixels, taken at their centres, those hit, true and predicted of each class;
  records from before it was counted lack it.
- `latency` (N,): seconds that the prediction took; NaN where it was not timed.
- `position` (N,), `fps` (N,): the frame's index in its sequence (`recording`), and the sequence's frames per second.

Where labels are kept back nothing can be counted yet: then predicted label maps are stored (`segmentation_answers`).

First score: mIoU over the whole set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import (
    EXAMPLES,
    Example,
    ScoreInfo,
    Task,
    check_samples,
    require,
    spread,
    unit_sums,
)
from vidsuite_core.tasks.segmentation_answers import ANSWERS, FrameAnswerer, as_arrays, check_maps, counted
from vidsuite_core.tasks.segmentation_counts import boundary_f1, class_counts, class_iou, mean_iou, nan_mean, ratio
from vidsuite_core.tasks.segmentation_reducer import LAGS, FrameReducer, label_map_name, read_label_map
from vidsuite_core.tasks.shown import Lines, Shown, confusion
from vidsuite_core.tasks.streaming_miou import RATES, streaming_counts, streaming_miou, typical_latency

if TYPE_CHECKING:
    from pathlib import Path

    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import FrameSample
    from vidsuite_core.tasks.base import Arrays

MAX_PIXELS = 2**31 - 1
"""More pixels than a frame has, and more frames than a sequence has; what is stored fits 32 bits."""
LATENCIES = 1e-9, 1e6
"""The least and the most seconds that a prediction may have taken."""
MAX_FPS = 1e6


class VideoSegmentation(Task):
    """Overlap, boundaries, steadiness and timeliness of label maps.

    - `miou`: intersection over union of each class, from the whole set's pixels, averaged over the classes that are
      true or predicted anywhere, as in mmsegmentation's IoUMetric.
    - `image_miou`: the same of each image, averaged over images: equations (1) and (2) of Torgesen, Elatov and Howard,
      "Temporal Context Aggregation with FANet", section 2.3.1. They divide by the number of classes, and leave open
      what a class counts that is neither in an image's truth nor in its prediction, 0/0. Here it is left out of that
      image's mean: as 0, a perfect prediction would not reach 1; as 1, an image would gain by what it does not show.
    - `image_miou_eighth`: the same on label maps at 1/8 of the size, where that paper's network answers and its target
      is taken (section 2.3.1). Not known, NaN, where it was not counted.
    - `image_micro_iou`: of each image one IoU over all its pixels and classes, averaged over images, which is what that
      paper's code computes on its videos. Frequent classes decide it, so it is mostly the higher.
    - `boundary_f1`: F1 of boundary precision and recall of each class that has a true boundary in an image, averaged
      over these, then over images: the BF of Csurka et al., BMVC 2013, as computed for SegNet (PAMI 2017, section 3.3).
    - `temporal_consistency`: of the pixels whose true class stays from one frame to the next, the share whose predicted
      class does, right or wrong. Read it beside `miou`: a constant prediction has 1.
    - `streaming_miou`: mIoU when each frame is scored as it arrives, over sequences of more than one predicted frame;
      not known, NaN, where there is none. Predictions are taken as if each had the context it was made with; for a
      network with a memory and a latency above 1 / fps that is optimistic. See `vidsuite_core.tasks.streaming_miou`.

    Frames in which nothing defines a mean, as those that are void throughout, are left out of it.
    """

    name = "video_segmentation"
    version = 2
    first_score = "miou"
    outputs = "label maps (PNG)"
    answers = ("position", "fps", *ANSWERS)
    streamer = "vidsuite_core.engine.segmenter:Segmenter"
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("miou", "mIoU"),
        ScoreInfo("streaming_miou", "streaming mIoU"),
        ScoreInfo("temporal_consistency", "temporal consistency"),
        ScoreInfo("boundary_f1", "boundary F1"),
        ScoreInfo("image_miou", "mIoU per image"),
        ScoreInfo("pixel_accuracy", "pixel accuracy"),
        ScoreInfo("image_micro_iou", "micro IoU per image"),
        ScoreInfo("image_miou_eighth", "mIoU per image at 1/8", in_tables=False),
    )

    def targets(self, samples: Sequence[FrameSample]) -> dict[str, np.ndarray]:
        """`places`; the truth's pixels are in the counts, and label maps are not stored."""
        return self.places(samples)

    def places(self, samples: Sequence[FrameSample]) -> dict[str, np.ndarray]:
        """`position` and `fps`."""
        return {
            "position": np.array([sample.index for sample in samples], np.int32),
            "fps": np.array([sample.footage.fps for sample in samples], np.float64),
        }

    def reducer(self, samples: Sequence[FrameSample], keep: Path | None = None) -> FrameReducer:
        """See `Task.reducer`: counts of each labelled frame, and its predicted label map as PNG in `keep`."""
        return FrameReducer(len(self.classes), keep)

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """The stored arrays but `position` and `fps`, from what the reducer returned: int32, `latency` float64."""
        return {
            name: np.array([output[name] for output in outputs], dtype).reshape(len(outputs), *shape)
            for name, (dtype, shape) in self._form().items()
        }

    def answerer(self, samples: Sequence[FrameSample], keep: Path | None = None) -> FrameAnswerer:
        """See `Task.answerer`: the predicted label maps that a frame's counts need, and in `keep` its own as PNG."""
        return FrameAnswerer(len(self.classes), keep)

    def answered(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """See `Task.answered`."""
        return as_arrays(outputs)

    def check_answers(self, arrays: Arrays) -> None:
        """See `Task.check_answers`; label maps are looked at when they are joined with the labels."""
        count = check_samples(arrays)
        position = require(arrays, "position", "iu", count)
        if count == 0 or (position < 0).any() or (position > MAX_PIXELS).any():
            raise VidsuiteError(f"predictions hold no frame, or a position below 0 or above {MAX_PIXELS}")
        _check_times(arrays, count)
        check_maps(arrays)

    def joined(self, arrays: Arrays, samples: Sequence[FrameSample]) -> dict[str, np.ndarray]:
        """See `Task.joined`: the label maps go through the reducer, as they did when they were predicted."""
        outputs = counted(arrays, samples, self.reducer(samples), len(self.classes))
        own = {name: arrays[name] for name in ("sample_id", "subject", "recording")}
        return {**own, **self.places(samples), **self.predictions(outputs)}

    def _form(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Kind and shape of what is stored of a frame's prediction."""
        k = len(self.classes)
        return {
            "confusion": ("int32", (k, k)),
            "boundary": ("int32", (k, 4)),
            "stable": ("int32", (2,)),
            "lagged": ("int32", (LAGS, k, k)),
            "lags": ("int32", ()),
            "eighth": ("int32", (3, k)),
            "latency": ("float64", ()),
        }

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`: what counts the same pixels must agree, and times be possible."""
        count = check_samples(arrays)
        form = {name: kind for name, kind in self._form().items() if name != "eighth" or name in arrays}
        for name, (dtype, shape) in {**form, "position": ("int32", ()), "fps": ("float64", ())}.items():
            value = require(arrays, name, "f" if dtype == "float64" else "iu", count, *shape)
            if dtype == "int32" and ((value < 0).any() or (value > MAX_PIXELS).any()):
                raise VidsuiteError(f"predictions' {name!r} holds numbers below 0 or above {MAX_PIXELS}")
        if not arrays["confusion"].any():
            raise VidsuiteError("predictions' 'confusion' counts no pixel")
        _check_times(arrays, count)
        _check_counts({name: arrays[name].astype(np.int64) for name, (kind, _) in form.items() if kind[0] == "i"})
        _check_runs(arrays["recording"], arrays["position"].astype(np.int64), arrays["lags"].astype(np.int64))

    def score(self, arrays: Arrays) -> dict[str, float]:
        """See the class."""
        scores = _scores({name: values.sum(0) for name, values in _sums(arrays).items()})
        return {name: float(value) for name, value in scores.items()}

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """IoU and boundary F1 of each class (None where it has none), the confusion counts, and streaming mIoU.

        `streaming` has the `latency` in seconds and `miou` by frames per second, at the latency as it is: None where
        `streaming_miou` is not known.
        """
        counts = class_counts(arrays["confusion"]).sum(0)
        columns = {"iou": class_iou(counts), "boundary_f1": nan_mean(boundary_f1(arrays["boundary"]).T)}
        return {
            "per_class": {
                label: {name: _plain(values[k]) for name, values in columns.items()}
                for k, label in enumerate(self.classes)
            },
            "confusion": arrays["confusion"].sum(0).tolist(),
            "streaming": {
                "latency": _plain(typical_latency(arrays)),
                "miou": {str(fps): _plain(streaming_miou(arrays, fps=fps)) for fps in RATES},
            },
        }

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: the confusion matrix in pixels, and mIoU by the rate at which frames arrive."""
        counts = np.sum([arrays["confusion"].sum(0, dtype=np.int64) for arrays in cells], axis=0)
        rows = [[streaming_miou(arrays, fps=fps) for fps in RATES] for arrays in cells]
        rates = nan_mean(np.transpose(rows))
        found: list[Shown] = [confusion(self.classes, counts)]
        points = [(float(fps), value) for fps, value in zip(RATES, rates.tolist(), strict=True) if value == value]
        if points:
            caption = "Mean over cells, at the latency that was measured; see the task's description."
            lines = [("mIoU", points)]
            found.append(Lines("rates", "Streaming mIoU by frame rate", "frames a second", "mIoU", lines, caption))
        return found

    def examples(self, arrays: Arrays) -> list[Example]:
        """The frames with the highest and the lowest mIoU, of each sequence one before any has two."""
        miou = mean_iou(class_counts(arrays["confusion"]))
        order = [i for i in np.lexsort((arrays["sample_id"], -miou)).tolist() if not np.isnan(miou[i])]
        half = min(EXAMPLES, len(order) // 2)
        best = spread(order, arrays["recording"], max(half, 1))
        worst = spread([i for i in reversed(order) if i not in best], arrays["recording"], half)
        return [
            Example(str(arrays["sample_id"][i]), group, f"{arrays['sample_id'][i]}, mIoU {miou[i]:.2f}")
            for group, members in (("best frames", best), ("worst frames", worst))
            for i in members
        ]

    def truth(self, arrays: Arrays) -> Arrays:
        """See `Task.truth`: pixels of each class, which sum to the frame's size without void, and the frame's place."""
        return {"pixels": arrays["confusion"].sum(2), "position": arrays["position"]}

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`: every score, streaming mIoU at the latency of all frames."""
        found = {name: unit_sums(values, arrays[self.unit]) for name, values in _sums(arrays).items()}
        return found["miou"][0], _scores({name: sums.sum(0) - sums for name, (_, sums) in found.items()})

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`: pixels."""
        confusion = arrays["confusion"].sum(0, dtype=np.int64)
        return np.stack([confusion.sum(0), confusion.sum(1)])

    def prediction(self, arrays: Arrays, index: int, output: bytes | None = None) -> dict[str, np.ndarray]:
        """See `Task.prediction`: the label map, `labels` (H, W) uint8, from the file that was kept of it.

        Raises:
            VidsuiteError: there is none, or it is not as it was written.
        """
        if output is None:
            raise VidsuiteError("label maps are not among the stored arrays; run with --keep outputs")
        name = f"{self.output_name(str(arrays['sample_id'][index]))} of its kept outputs"
        return {"labels": read_label_map(output, len(self.classes), name)}

    def output_name(self, sample_id: str) -> str:
        """See `Task.output_name`."""
        return label_map_name(sample_id)

    def draw(self, sample: FrameSample, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB]) -> np.ndarray:
        """See `Task.draw`: the frame, its true and its predicted labels over it, and the pixels that are wrong."""
        from vidsuite_core.tasks import drawing

        return drawing.frame_picture(sample, prediction, palette)

    def draw_on(
        self, frame: np.ndarray, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB], opacity: float
    ) -> np.ndarray:
        """See `Task.draw_on`: the labels over it."""
        from vidsuite_core.media.overlay import overlay

        return overlay(frame, prediction["labels"], palette, opacity)


def _sums(arrays: Arrays) -> dict[str, np.ndarray]:
    """Of each frame (N, ...) what the scores of a set of frames are computed from, once it is added up."""
    counts = class_counts(arrays["confusion"])
    every = counts.sum(-1)
    of_image = {
        "image_miou": mean_iou(counts),
        "image_micro_iou": ratio(every[:, 0], every[:, 1] + every[:, 2] - every[:, 0]),
        "boundary_f1": nan_mean(boundary_f1(arrays["boundary"])),
        "image_miou_eighth": mean_iou(_eighth(arrays)),
    }
    return {
        "miou": counts,
        "streaming_miou": streaming_counts(arrays),
        "temporal_consistency": arrays["stable"][:, ::-1].astype(float),
        **{name: np.stack([np.nan_to_num(value), ~np.isnan(value)], axis=-1) for name, value in of_image.items()},
    }


def _eighth(arrays: Arrays) -> np.ndarray:
    """(N, 3, K) counts at 1/8; of records that lack them none, by which nothing is defined."""
    found: np.ndarray = arrays.get("eighth", np.zeros((len(arrays["confusion"]), 3, 1))).astype(float)
    return found


def _scores(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores (...) from sums (..., 3, K) of class counts, and (..., 2) of parts and wholes."""
    means = ("image_miou", "boundary_f1", "temporal_consistency", "image_micro_iou", "image_miou_eighth")
    every = sums["miou"].sum(-1)
    return {
        "miou": mean_iou(sums["miou"]),
        "streaming_miou": mean_iou(sums["streaming_miou"]),
        "pixel_accuracy": ratio(every[..., 0], every[..., 1]),
        **{name: ratio(sums[name][..., 0], sums[name][..., 1]) for name in means},
    }


def _check_times(arrays: Arrays, count: int) -> None:
    latency, fps = (require(arrays, name, "f", count).astype(float) for name in ("latency", "fps"))  # float16 overflows
    if ((latency < LATENCIES[0]) | (latency > LATENCIES[1])).any():
        low, high = LATENCIES
        raise VidsuiteError(f"predictions' 'latency' must be {low:g} to {high:g} seconds, or NaN if not timed")
    if not ((fps > 0) & (fps <= MAX_FPS)).all():
        raise VidsuiteError(f"predictions' 'fps' must be above 0 and at most {MAX_FPS:g}")


def _check_counts(arrays: Arrays) -> None:
    true, predicted = arrays["confusion"].sum(2), arrays["confusion"].sum(1)
    boundary, stable = arrays["boundary"], arrays["stable"]
    matched, all_of_it = boundary[..., ::2], boundary[..., 1::2]
    pixels = np.stack([predicted, true], axis=-1)
    if (matched > all_of_it).any() or (all_of_it > pixels).any() or ((matched > 0).sum(-1) == 1).any():
        raise VidsuiteError("predictions' 'boundary' matches more pixels than there are, or one side alone")
    if (stable[:, 1] > stable[:, 0]).any() or (stable[:, 0] > true.sum(1)).any():
        raise VidsuiteError("predictions' 'stable' counts more pixels than there are")
    hits, whole, answered = np.moveaxis(_eighth(arrays), 1, 0)
    if (hits > np.minimum(whole, answered)).any() or (whole.sum(1) != answered.sum(1)).any():
        raise VidsuiteError("predictions' 'eighth' hits more cells than there are, or does not predict each once")
    if (whole.sum(1) > true.sum(1)).any():
        raise VidsuiteError("predictions' 'eighth' counts more cells than there are pixels")
    stored = np.arange(LAGS) < arrays["lags"][:, None]
    if (arrays["lags"] > LAGS).any() or (arrays["lagged"].sum(-1) != stored[..., None] * true[:, None]).any():
        raise VidsuiteError("predictions' 'lagged' counts other true pixels than 'confusion', or not 'lags' times")


def _check_runs(recording: np.ndarray, position: np.ndarray, lags: np.ndarray) -> None:
    """No frame stands twice, and `lags` are those of frames that were predicted in order.

    A run of predicted frames that begins after a stored frame does not begin right after it, for then it had gone on.
    """
    if (lags > position).any():
        raise VidsuiteError("predictions' 'lags' counts more earlier frames than 'position' leaves")
    _, sequence = np.unique(recording, return_inverse=True)
    order = np.lexsort((position, sequence))
    sequence, position, lags = sequence[order], position[order], lags[order]
    same, step = sequence[1:] == sequence[:-1], np.diff(position)
    if (same & (step == 0)).any():
        raise VidsuiteError("predictions name a frame twice: 'recording' and 'position' of two samples are the same")
    goes_on = same & (lags[1:] >= step - 1)
    if (goes_on & (lags[1:] != np.minimum(lags[:-1] + step, LAGS))).any():
        raise VidsuiteError("predictions' 'lags' disagrees with that of an earlier frame of the same recording")


def _plain(value: float) -> float | None:
    return None if value != value else float(value)

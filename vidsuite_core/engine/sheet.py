"""The contact sheet of a dataset's crops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.contact_sheet import contact_sheet, success_rate
from vidsuite_core.datasets import Progress
from vidsuite_core.engine.clips import first_frame
from vidsuite_core.engine.regions import Cropper

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.crop import CropResult
    from vidsuite_core.datasets import Dataset


def crop_sheet(dataset: Dataset, out: Path, options: Mapping[str, Any], progress: Progress) -> str:
    """Write the sheet of every recording's crop; returns one line with the success rate.

    Args:
        options: of `Cropper`.
    """
    cropper = Cropper(**options)
    recordings = {sample.recording: sample for sample in dataset.samples()}
    results = []

    def entries() -> Iterator[tuple[str, np.ndarray, CropResult]]:
        for number, (name, sample) in enumerate(recordings.items(), 1):
            results.append(cropper.crop(sample))
            progress("crop", number, len(recordings))
            yield name, first_frame(sample), results[-1]

    contact_sheet(entries(), out)
    return f"{success_rate(results)}; sheet in {out}"

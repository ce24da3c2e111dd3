"""The contact sheet of a dataset's crops: `vidsuite crops DATASET --out FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.data import PRESET, ROOT, open_dataset
from vidsuite_core.datasets import Progress
from vidsuite_core.suite import load
from vidsuite_plugins.seizure_i3d.crop.sheet import contact_sheet, success_rate

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.datasets import Dataset
    from vidsuite_plugins.seizure_i3d.crop.rule import CropResult


def crop_sheet(dataset: Dataset, out: Path, options: Mapping[str, Any], progress: Progress) -> str:
    """Write the sheet of every recording's crop; returns one line with the success rate.

    Args:
        options: of `Cropper`.
    """
    from vidsuite_core.media.reader import first_frame
    from vidsuite_plugins.seizure_i3d.crop.cropper import Cropper

    cropper = Cropper(**options)
    recordings = {sample.recording: sample.footage for sample in dataset.samples()}
    results = []

    def entries() -> Iterator[tuple[str, np.ndarray, CropResult]]:
        for number, (name, recording) in enumerate(recordings.items(), 1):
            results.append(cropper.crop(recording))
            progress("crop", number, len(recordings))
            yield name, first_frame(recording), results[-1]

    contact_sheet(entries(), out)
    return f"{success_rate(results)}; sheet in {out}"


@click.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="PNG or HTML file to write.")
@click.option(
    "--source",
    default="auto",
    show_default=True,
    type=click.Choice(("auto", "given", "detector", "warm")),
    help="Boxes that recordings bring along, detected ones, or what is warmer than the room.",
)
@click.option(
    "--detector",
    metavar="CONFIG",
    default="mask_rcnn/mask-rcnn_r101_fpn_2x_coco",
    show_default=True,
    help="Config file, or name of one of mmdet's.",
)
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help="The detector's weights.")
@ROOT
@PRESET
def crops(
    name: str, out: Path, source: str, detector: str, weights: Path | None, root: Path | None, preset: str
) -> int:
    """Draw a contact sheet of every recording's crop, with the success rate, for checking by eye."""
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for

    suite = load()
    dataset = open_dataset(suite, suite.datasets[name], root, preset)
    options = {"source": source, "detector": {"config": detector, "weights": weights and str(weights)}}
    with watcher_for(Console()) as watcher:
        line = crop_sheet(dataset, out, options, watcher.preparing)
    click.echo(line)
    return 0

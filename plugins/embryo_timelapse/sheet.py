"""A contact sheet: embryos in rows, hours in columns, to see a dataset at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.embryo_timelapse.embryos import HOUR, Embryo

GAP = 2
TITLE = 16
"""Pixels above each row for the embryo's name and outcome."""


def contact_sheet(
    embryos: Sequence[Embryo],
    classes: Sequence[str],
    columns: int = 12,
    size: int = 112,
    plane: int | None = None,
) -> NDArray[np.uint8]:
    """One image (H, W) of `columns` frames of each embryo, evenly over all hours that were recorded of any.

    An hour of which an embryo has no frame is left black. Below a row's name stands each frame's hour.

    Args:
        plane: focal plane; None is the middle one, -1 all planes of each embryo's middle frame in place of hours.
    """
    from vidsuite_core.media.framing import Framing
    from vidsuite_core.media.reader import Reader

    last = max(one.footage.time(one.footage.frames - 1) for one in embryos) / HOUR
    hours = np.linspace(0, last, columns + 1)
    framing, reader = Framing(size=(size, size), fit="pad", channels=1), Reader()
    rows = []
    for one in embryos:
        footage = one.footage
        cells = [np.zeros((size, size), np.uint8)] * columns
        if plane == -1:
            middle = footage.frames // 2
            for number in range(min(len(footage.planes), columns)):
                cells[number] = _captioned(reader.frame(footage, middle, framing, number)[..., 0], f"plane {number}")
        else:
            times = np.array([footage.time(index) for index in range(footage.frames)]) / HOUR
            for number in range(columns):
                inside = np.flatnonzero((times >= hours[number]) & (times <= hours[number + 1]))
                if len(inside):
                    index = int(inside[len(inside) // 2])
                    cells[number] = _captioned(
                        reader.frame(footage, index, framing, plane)[..., 0], f"{times[index]:.0f} h"
                    )
        outcome = "outcome unknown" if one.label is None else classes[one.label]
        strip = np.hstack([np.pad(cell, GAP // 2) for cell in cells])
        rows += [_line(f"{footage.name}  {footage.subject}  {outcome}", strip.shape[1]), strip]
    return np.vstack(rows)


def _captioned(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    import cv2

    shown = np.ascontiguousarray(image)
    cv2.putText(shown, text, (3, shown.shape[0] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 230, 1, cv2.LINE_AA)
    return shown


def _line(text: str, width: int) -> NDArray[np.uint8]:
    import cv2

    strip = np.full((TITLE, width), 32, np.uint8)
    cv2.putText(strip, text, (4, TITLE - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    return strip


@click.command()
@click.argument("dataset")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The PNG to write.")
@click.option("--embryos", "count", type=click.IntRange(1, 200), default=12, show_default=True, help="Rows.")
@click.option("--columns", type=click.IntRange(1, 60), default=12, show_default=True, help="Frames a row.")
@click.option("--size", type=click.IntRange(32, 500), default=112, show_default=True, help="Pixels of a frame's side.")
@click.option("--planes", is_flag=True, help="All focal planes of a middle frame in place of hours.")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="Of the dataset, as a preset gives them."
)
def sheet(dataset: str, out: Path, count: int, columns: int, size: int, planes: bool, options: tuple[str, ...]) -> None:
    """Draw embryos of DATASET over time, evenly taken from both outcomes."""
    import cv2

    import vidsuite_core as vs
    from vidsuite_core.engine.config import parse_options
    from vidsuite_core.errors import UsageError
    from vidsuite_core.support.paths import atomic_write
    from vidsuite_plugins.embryo_timelapse.embryos import Embryos

    opened = vs.load().datasets[dataset].prepare(**parse_options(options))
    if not isinstance(opened, Embryos):
        raise UsageError(
            f"{dataset} is no dataset of embryos; 'vidsuite list datasets' shows those of embryo_timelapse"
        )
    chosen = evenly(opened.embryos(), count)
    image = contact_sheet(chosen, opened.class_names(), columns, size, -1 if planes else None)
    written, encoded = cv2.imencode(".png", image)
    assert written
    atomic_write(out, encoded.tobytes())
    click.echo(f"{out}: {len(chosen)} embryos")


def evenly(embryos: Sequence[Embryo], count: int) -> list[Embryo]:
    """Up to `count` embryos, the outcomes in turn."""
    by_outcome: dict[int | None, list[Embryo]] = {}
    for one in embryos:
        by_outcome.setdefault(one.label, []).append(one)
    ranked = [
        (place, -1 if label is None else label, one) for label, of in by_outcome.items() for place, one in enumerate(of)
    ]
    return [one for _, _, one in sorted(ranked, key=lambda row: row[:2])[:count]]

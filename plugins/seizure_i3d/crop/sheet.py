"""Contact sheets: every recording's first frame with its crop, to be looked through by eye.

The seizure paper reviewed each crop so (sections 3.3.1 and 4.1). A sheet shows people; keep it where
the videos are kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.seizure_i3d.crop.rule import CropResult, Detection, as_rgb

if TYPE_CHECKING:
    Entry = tuple[str, np.ndarray, CropResult]
    Colour = tuple[int, int, int]

TILE_WIDTH, TILE_HEIGHT = 320, 240  # pixels that a drawn frame fits into
MAX_PNG_ENTRIES = 600

# RGB; Okabe and Ito's colours, which colour-blind people tell apart.
_CROP, _UNCROPPED = (240, 228, 66), (213, 94, 0)
_LABELS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
_TEXT, _PAPER = (20, 20, 20), (255, 255, 255)

_LINE = 20  # height of a line of text on a PNG sheet
_GAP = 8

_STYLE = """
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 1.5rem; }
main { display: grid; grid-template-columns: repeat(%d, minmax(0, 1fr)); gap: 1rem; }
figure { margin: 0; }
img { width: 100%%; height: auto; display: block; }
figcaption { overflow-wrap: anywhere; }
strong, span { display: block; }
"""


def success_rate(results: Iterable[CropResult]) -> str:
    """How many recordings were cropped, as "122 of 126 cropped (96.83 %)" (section 4.1)."""
    cropped = [result.status == "cropped" for result in results]
    if not cropped:
        raise VidsuiteError("no recordings to count; crop at least one")
    return f"{sum(cropped)} of {len(cropped)} cropped ({100 * sum(cropped) / len(cropped):.2f} %)"


def contact_sheet(entries: Iterable[Entry], out: Path, columns: int = 6) -> None:
    """Write a page of pictures: each recording's frame, detections (thin) and crop (thick), with its status.

    Args:
        entries: title, first frame (uint8, (H, W) grey or (H, W, 3) RGB) and crop of each recording.
        out: a `.png`, or an `.html` that needs no other file.
        columns: pictures side by side.

    Raises:
        VidsuiteError: no entries, too many for one PNG, or another kind of file.
    """
    entries = list(entries)
    if not entries or columns < 1:
        raise VidsuiteError(f"a contact sheet of {len(entries)} entries in {columns} columns is empty; pass some")
    if out.suffix.lower() == ".html":
        page = _html(entries, columns).encode()
    elif out.suffix.lower() == ".png" and len(entries) <= MAX_PNG_ENTRIES:
        page = _png(entries, columns)
    else:
        raise VidsuiteError(
            f"cannot write {len(entries)} entries to {out}; name an .html, or a .png for up to {MAX_PNG_ENTRIES}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(page)


def _palette(entries: list[Entry]) -> dict[str, Colour]:
    labels = sorted({found.label for _, _, crop in entries for found in crop.detections})
    return {label: _LABELS[i % len(_LABELS)] for i, label in enumerate(labels)}


def _draw(frame: np.ndarray, crop: CropResult, palette: dict[str, Colour]) -> np.ndarray:
    """The frame scaled into a tile with its boxes, uint8 RGB."""
    import cv2

    height, width = frame.shape[:2]
    scale = min(TILE_WIDTH / width, TILE_HEIGHT / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    picture = cv2.resize(as_rgb(frame), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    def corners(box: tuple[float, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
        x1, y1, x2, y2 = (round(v * scale) for v in box)
        return (x1, y1), (x2 - 1, y2 - 1)

    for found in reversed(crop.detections):  # the most confident on top
        start, end = corners(found.box)
        cv2.rectangle(picture, start, end, palette[found.label], 1)
        _write(picture, _name(found), (start[0] + 5, start[1] + 15), palette[found.label], ground=_TEXT)
    cv2.rectangle(picture, *corners(crop.box), _CROP if crop.status == "cropped" else _UNCROPPED, 3)
    return picture


def _name(found: Detection) -> str:
    return f"{found.label} {found.score:.2f}"


def _status(crop: CropResult) -> str:
    x1, y1, x2, y2 = crop.box
    return f"{crop.status.replace('_', ' ')} ({crop.source}): {x2 - x1}x{y2 - y1} at {x1},{y1}"


def _write(
    picture: np.ndarray, text: str, where: tuple[int, int], colour: Colour, ground: Colour | None = None
) -> None:
    """Text with its base line at `where`, shortened to the picture's width; cv2's fonts are ASCII only."""
    import cv2

    def width(line: str) -> int:
        return cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0]

    line = "".join(c if " " <= c <= "~" else "?" for c in text)
    room = picture.shape[1] - where[0] - 2
    while line and width(line) > room:
        line = line[:-4] + "..." if len(line) > 4 else ""
    if line and ground:
        x, y = where
        cv2.rectangle(picture, (x - 2, y - 12), (x + width(line) + 1, y + 4), ground, cv2.FILLED)
    cv2.putText(picture, line, where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _png(entries: list[Entry], columns: int) -> bytes:
    import cv2

    palette, columns = _palette(entries), min(columns, len(entries))
    cell_width, cell_height = TILE_WIDTH + _GAP, TILE_HEIGHT + 3 * _LINE + _GAP
    rows = -(-len(entries) // columns)
    sheet = np.full((2 * _LINE + rows * cell_height, _GAP + columns * cell_width, 3), _PAPER, np.uint8)
    _write(sheet, success_rate(crop for _, _, crop in entries), (_GAP, 26), _TEXT)
    for i, (title, frame, crop) in enumerate(entries):
        row, column = divmod(i, columns)
        y, x = 2 * _LINE + row * cell_height, _GAP + column * cell_width
        picture = _draw(frame, crop, palette)
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        caption = sheet[y + TILE_HEIGHT : y + TILE_HEIGHT + 3 * _LINE, x : x + TILE_WIDTH]
        for k, line in enumerate((title, _status(crop), crop.reason)):
            _write(caption, line, (0, 15 + k * _LINE), _TEXT)
    return cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()


def _html(entries: list[Entry], columns: int) -> str:
    """One page that runs no script and loads nothing; every name in it is a stranger's text."""
    style, palette = _STYLE % columns, _palette(entries)
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    rate = success_rate(crop for _, _, crop in entries)
    figures = "\n".join(_figure(*entry, palette) for entry in entries)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{rate}</title>
<style>{style}</style>
</head>
<body>
<h1>{rate}</h1>
<p>Thick yellow: the crop. Thick orange: the whole frame, kept. Thin: the detections to choose from.</p>
<main>
{figures}
</main>
</body>
</html>
"""


def _figure(title: str, frame: np.ndarray, crop: CropResult, palette: dict[str, Colour]) -> str:
    import cv2

    jpeg = cv2.imencode(".jpg", _draw(frame, crop, palette)[..., ::-1])[1].tobytes()
    found = ", ".join(map(_name, crop.detections)) or "nothing found"
    alt = f"first frame of {title}, {crop.status.replace('_', ' ')}"
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f"<figcaption><strong>{escape(title)}</strong><span>{escape(_status(crop))}</span>"
        f"<span>{escape(crop.reason)}</span><span>{escape(found)}</span></figcaption></figure>"
    )

"""From the 250 and more ids of AirSim's segmentation images to the paper's 11 classes (paper, section 2.2).

AirSim draws each object in the colour of its segmentation id. Which id is what differs between environments, so the
user states it in a class map, one file beside the runs:

    class_map.csv    columns `class` and `id` (0 to 255), `colour` (`#rrggbb` or `r g b`) or both
    class_map.yaml   a mapping of each class to a list of ids and colours, as  road: [17, "#c41e08"]

`class` is one of the 11, or `void`. An id and its colour are the same thing, whichever the map or the images use. What
occurs in the images and is not in the map becomes void, and the import says how much of it there is.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import VOID
from vidsuite_core.support.litter import pointer
from vidsuite_plugins.driving_fanet.classes import AIRSIM

if TYPE_CHECKING:
    import numpy as np

MAPS = ("class_map.csv", "class_map.yaml", "class_map.yml")
MAX_BYTES = 2**20
MAX_TOLD = 32
"""Of an image so many ids or colours that are not in the map are told by name: a photograph has thousands."""


_HEX = (
    "37b539996c067069bf597948bee140cebe3b510d2473b0c3a1ab1b87a9b41d1ac76610eff26b929cc6173159a044da74"
    "0bec09c41e0879431c003541923446e2958f977eabc22707cd78a1d4333cd350d0bd87bc3648cd67fc9d7c157b138445"
    "c3ed845efdafb6fb575aa2f2c71d01fe0ce523c4f4dca33156fed69803815c1f6acfe55a7d4b3062374a7e81eede996d"
    "559822ad451f25807d3a1321863977da7c737800c8e1835cf65a10339bf1ca619bb891b660e82c85f485b4bf1d01dec0"
    "63f2685ba8db4136d9944282cb66ccd84e4bea14fa6dce18a4c2119d17ec9e7258f5166e431123b5d55daab32a34bb94"
    "f7c86f193eae6419f0bfc390fc2443f14d95ed218d77e6551c226c4e62fe72a11e4b32f342e2fd2e684c08ead80ff166"
    "5d0e47c0ffc1fd29a418af78b9f3e7a9e961f3d791488915a07165d65c0da78c93656db535767e03b120283f63ba8b99"
    "58cf644792e3ec26bbd704d712d3427131862f2a3fdb677f39f089e385d39147c9d9adb7fa2871d07d44e0baf945942e"
    "ef55146c74e038d61ab3932b30bcacdd532f9ba6da3ed9bdc6b47ac990a984020e80bd72a3e3702d9db140568e76c1a3"
    "0e204fc82daa4a51023b25d44923e15fe02754aadc9f3aad115bed1f5f5422c9f83f49d181eb6be77328244a5feee49a"
    "3dd4360d5ea58dae008ca7ff755d5bb70abaa51c3d90eec20c9e294c6eea9609798e01f6e688c6053ce9e8fa508f7038"
    "bb469c02b93e8adfe27ab7dea6f503af068cf03bd2f82c0a535234dff8a7570f966fb275c55416ebd07c094c2db01832"
    "9a9ffb956fcfa8e70fd1f7ca50cd98b2ddd51b0826f475336b44be17c78bab58a888ca3a062e56697fb0aef9c5acac8a"
    "e48e5107ccb9163df7e9644e7f416921579e8b9cfc2a07881463b34f96df83b6b86e7b253c8a60d2605e7b301289c5a2"
    "bc120527db97cc8f87f94f494d40b229f64d109a04748613047aebb16ae615770c6805623282351ec0191aa5a60aa052"
    "6a2b832cd867ff65dd2097c4d5dc5946d1e461b85352efe8fba480c10bf5261b9fe58dcb82383793d20ba2cb762b2fce"
)
COLOURS = tuple(int(_HEX[place : place + 6], 16) for place in range(0, len(_HEX), 6))
"""0xRRGGBB of each segmentation id, 0 to 255 (AirSim, docs/seg_rgbs.txt; MIT licence)."""

_ID_OF = {colour: number for number, colour in enumerate(COLOURS)}
_LABELS = {name: label for label, name in enumerate(AIRSIM)} | {"void": VOID}
_UNNAMED = VOID - 1


class ClassMap:
    """Classes of colours.

    Args:
        labels: class, 0 to 10 or 255 for void, of each colour 0xRRGGBB; an id stands for its colour.
    """

    def __init__(self, labels: Mapping[int, int]) -> None:
        import numpy as np

        self._by_colour = np.full(2**24, _UNNAMED, np.uint8)
        self._by_colour[list(labels)] = list(labels.values())
        self._by_id = self._by_colour[list(COLOURS)]

    def classes_in(self, image: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
        """The classes in a segmentation image, and what is not in the map.

        Args:
            image: uint8, ids (H, W, 1) or colours (H, W, 3) in RGB.

        Returns:
            classes (H, W) uint8, 255 where void; pixels of each id (`id 17`) or colour (`#0a0b0c`) not in the map.
        """
        import numpy as np

        if image.shape[2] == 1:
            table, values = self._by_id, image[..., 0]
        else:
            red, green, blue = np.moveaxis(image.astype(np.uint32), 2, 0)
            table, values = self._by_colour, red << 16 | green << 8 | blue
        classes = table[values]
        unnamed = classes == _UNNAMED
        classes[unnamed] = VOID
        found, counts = np.unique(values[unnamed], return_counts=True)
        if image.shape[2] == 1:
            found = np.asarray(COLOURS)[found]
        ranked = Counter(dict(zip(found.tolist(), counts.tolist(), strict=True))).most_common()
        named = Counter({_name(colour): count for colour, count in ranked[:MAX_TOLD]})
        if rest := sum(count for _, count in ranked[MAX_TOLD:]):
            named["other colours"] = rest
        return classes, named


def read_class_map(folder: Path) -> ClassMap:
    """The class map in `folder`.

    Raises:
        VidsuiteError: there is none or more than one, or it is not as this module's description says.
    """
    files = [folder / name for name in MAPS if (folder / name).is_file()]
    if len(files) != 1:
        raise VidsuiteError(
            f"{folder}: holds {'more than one' if files else 'no'} class map; write one {MAPS[0]} with the columns "
            f"id, colour, class (or a {MAPS[1]}); the classes are {', '.join(_LABELS)}"
        )
    path = files[0]
    labels: dict[int, int] = {}
    for where, text, name in _csv_entries(path) if path.suffix == ".csv" else _yaml_entries(path):
        if name not in _LABELS:
            raise VidsuiteError(f"{path}: {where} names the class {name!r}; there are {', '.join(_LABELS)}")
        colour = _colour(text)
        if colour is None:
            raise VidsuiteError(f"{path}: {where} holds {text!r}; give an id of 0 to 255, #rrggbb or r g b")
        if labels.setdefault(colour, _LABELS[name]) != _LABELS[name]:
            raise VidsuiteError(f"{path}: {where} puts {text!r} in a second class, {name}; leave it in one")
    if not labels:
        raise VidsuiteError(f"{path}: names no id or colour; give the class of each")
    return ClassMap(labels)


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a small CSV file that are not empty, each with its number, the first line being row 1.

    A row's cells are under the names in the first line, in lower case; those of `columns` are in every row.

    Raises:
        VidsuiteError: it cannot be read, lacks a column, or a row ends before one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VidsuiteError(f"{path}: is larger than {MAX_BYTES} bytes; give a short table")
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VidsuiteError(f"{path}: cannot be read ({error}); give a CSV table in UTF-8") from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if missing := [name for name in columns if name not in header]:
        if pointed := pointer(path.read_bytes()):
            raise VidsuiteError(f"{path}: is {pointed}")
        raise VidsuiteError(f"{path}: its first line lacks {', '.join(missing)}; name the columns there")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(header, (cell.strip() for cell in line), strict=False))
        if any(row.values()):
            if short := [name for name in columns if name not in row]:
                raise VidsuiteError(f"{path}: row {number} ends before the column {short[0]}; complete or remove it")
            rows.append((number, row))
    return rows


def _csv_entries(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, row in read_csv(path, ["class"]):
        texts = [row[name] for name in ("id", "colour", "color") if row.get(name)]
        for text in texts or [""]:
            yield f"row {number}", text, _spelt(row["class"])


def _yaml_entries(path: Path) -> Iterator[tuple[str, str, str]]:
    from vidsuite_core.benchmark import read_yaml

    for name, items in read_yaml(path).items():
        for item in items if isinstance(items, list) else [items]:
            text = " ".join(map(str, item)) if isinstance(item, list) else str(item)
            yield f"field {str(name)!r}", text, _spelt(str(name))


def _spelt(name: str) -> str:
    return name.strip().lower().replace("_", " ")


def _colour(text: str) -> int | None:
    """0xRRGGBB of an id, `#rrggbb` or `r g b`."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    if not re.fullmatch(r"[0-9]{1,3}([ ,]+[0-9]{1,3}[ ,]+[0-9]{1,3})?", text):
        return None
    numbers = [int(part) for part in re.findall("[0-9]+", text)]
    if max(numbers) > 255:
        return None
    return COLOURS[numbers[0]] if len(numbers) == 1 else numbers[0] << 16 | numbers[1] << 8 | numbers[2]


def _name(colour: int) -> str:
    return f"id {_ID_OF[colour]}" if colour in _ID_OF else f"#{colour:06x}"

"""Vega-Lite's pictures, made safe to stand in a page: known elements and attributes alone, colours as classes.

Texts never reach Vega: a spec holds tokens (`@3`), which are short to measure, and which the names, titles and links
take the place of, escaped, when the picture is cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PAPER, INK, SOFT, GRID, AXIS, FRONT, FAINT = "#ffffff", "#16201f", "#50605e", "#d5dedd", "#82918f", "#0b6666", "#aab5b3"
SERIES = ("#0072b2", "#c44900", "#007f5f", "#b0488a", "#8a6d00", "#4b5563")
"""Colours of up to six models on white: at least 3:1 against it, and told apart by colour-blind readers."""
DASHES = ((), (7, 3), (2, 2), (9, 3, 2, 3), (4, 4), (1, 3))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
COLOURS: Mapping[str, str] = {
    PAPER: "paper",
    INK: "ink",
    SOFT: "soft",
    GRID: "grid",
    AXIS: "axis",
    FRONT: "front",
    FAINT: "faint",
} | {colour: f"c{place}" for place, colour in enumerate(SERIES, 1)}
"""Every colour that a spec may use, and the class by which a page gives it the theme's own."""
LABEL = 12
"""Size of names in pictures, in pixels; one letter is about `LETTER` wide."""
LETTER = 6.4
CONFIG: Mapping[str, Any] = {
    "background": PAPER,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": LABEL,
        "titleFontSize": LABEL,
        "titleFontWeight": "normal",
        "labelColor": SOFT,
        "titleColor": INK,
        "gridColor": GRID,
        "domainColor": AXIS,
        "tickColor": AXIS,
        "titlePadding": 9,
        "labelLimit": 0,
    },
    "header": {"labelFontSize": LABEL, "labelColor": INK, "title": None},
    "legend": {"labelFontSize": LABEL, "labelColor": INK, "title": None, "labelLimit": 0, "symbolOpacity": 1},
    "text": {"fontSize": LABEL, "color": INK},
}
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_TOKEN = re.compile(r"@(\d+)")
_LINK = re.compile(r".*@(\d+)(f?)")
_CLASS = re.compile(r' class="((?:[fs]-[a-z0-9]+ ?)+)"')
"""Cannot stand in a text, whose quotes are escaped."""
_SLUG = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")
_ONE = rf"(?:{_NUMBER.pattern})"
_ELEMENTS = {"svg", "g", "path", "line", "rect", "text", "a"}
_ATTRIBUTES = {
    **dict.fromkeys(("x", "y", "x1", "x2", "y1", "y2", "width", "height", "opacity", "stroke-width"), _ONE),
    **dict.fromkeys(("fill-opacity", "stroke-opacity", "stroke-miterlimit"), _ONE),
    "d": r"[MLHVCSQTAZmlhvcsqtaz0-9,.\-+e ]+",
    "transform": r"(?:(?:translate|rotate|scale)\([-+0-9,.e ]+\) ?)+",
    "stroke-dasharray": r"[0-9., ]+",
    "text-anchor": r"start|middle|end",
    "font-size": rf"{_ONE}(?:px)?",
    "font-weight": r"bold|\d+",
    "fill": r"none|transparent",
    "stroke": r"none|transparent",
}
"""Attributes that stay, with what they may hold; a colour of `COLOURS` in fill and stroke becomes a class."""
_VALUES = {name: re.compile(pattern) for name, pattern in _ATTRIBUTES.items()}
_NOTHING = {
    "transform": {"translate(0,0)"},
    "opacity": {"1"},
    "stroke-width": {"1"},
    "font-size": {f"{LABEL}px"},
    "stroke-dasharray": {"1,0"},
}


class Texts:
    """Texts that stand in a picture, each by its token."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._known: dict[str, int] = {}

    def __call__(self, text: str, most: int = 1000) -> str:
        """The token of a text, which is cut to `most` signs."""
        text = shortened(text, most)
        if text not in self._known:
            self._known[text] = len(self.values)
            self.values.append(text)
        return f"@{self._known[text]}"

    def link(self, slug: str, *, reached_by_tab: bool = True) -> str:
        """The token of a link to an entry's page."""
        return self(slug) + ("" if reached_by_tab else "f")


def shortened(text: str, most: int) -> str:
    """One line of at most `most` signs."""
    text = " ".join((text if text.isprintable() else printable(text)).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def capital(text: str) -> str:
    """`text` with a large first letter, but for words like mIoU that are written as they are."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first == first.lower() else text


def drawn(spec: Mapping[str, Any], texts: Texts, name: str, title: str, description: str) -> Markup:
    """A Vega-Lite spec as SVG that may stand in a page, and in a file as well (see `as_file`).

    Args:
        name: begins every id of the picture; unique within a page.
    """
    import vl_convert

    whole = {"$schema": _SCHEMA, "config": CONFIG, **spec}
    return cleaned(vl_convert.vegalite_to_svg(whole, allowed_base_urls=[]), texts, name, title, description)


def as_file(svg: str, title: str) -> str:
    """An inlined picture as a file of its own, in the colours of paper."""
    colours = {f"{side}-{name}": colour for colour, name in COLOURS.items() for side in "fs"}

    def coloured(match: re.Match[str]) -> str:
        names = {"f": "fill", "s": "stroke"}
        return "".join(f' {names[one[0]]}="{colours[one]}"' for one in match[1].split())

    named = f"<title>{escape(shortened(title, 200))}</title><desc>"
    return _CLASS.sub(coloured, str(svg)).replace("<desc>", named, 1)


def cleaned(svg: str, texts: Texts, name: str, title: str, description: str) -> Markup:
    """The parts of `svg` that are known to be safe, with texts in the place of their tokens.

    Raises:
        ValueError: the picture declares something, or is no SVG.
    """
    from xml.etree.ElementTree import fromstring

    if "<!" in svg or "<?" in svg:
        raise ValueError("a picture must not declare anything")
    root = fromstring(svg)  # noqa: S314 - what could be declared to harm the parser is refused above
    body = "".join(part for child in root for part in _clean(child, texts))
    width, height = (round(float(root.attrib[side])) for side in ("width", "height"))
    return framed(body, (width, height), name, title, description)


def framed(body: str, size: tuple[int, int], name: str, title: str, description: str) -> Markup:
    """An `<svg>` around `body`, which is escaped: an image, or a group where it has links."""
    width, height = size
    role = "group" if "<a " in body else "img"
    fields = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" id="{}" role="{}" aria-label="{}" width="{}" height="{}"'
        ' viewBox="0 0 {} {}" fill="none" font-family="sans-serif" font-size="{}"><desc>{}</desc>'
    ).format(name, role, shortened(title, 200), width, height, width, height, LABEL, shortened(description, 1000))
    return fields + Markup(body) + Markup("</svg>")  # noqa: S704 - made by `_clean`, or of constants and escaped texts


def _clean(element: Element, texts: Texts) -> Iterator[str]:
    tag = element.tag.rpartition("}")[2]
    if tag not in _ELEMENTS or element.get("display") == "none":
        return
    if tag == "path" and not element.get("d", "").replace("M0,0h0v0h0Z", ""):
        return
    inner = "".join(part for child in element for part in _clean(child, texts))
    if tag == "text":
        inner = str(escape(_text(element.text or "", texts)))
    if tag in ("g", "a", "text") and not inner:
        return
    attributes = dict(_kept(element)) if tag != "a" else _linked(element, texts)
    if tag in ("path", "line", "rect") and "class" not in attributes:
        return
    attributes |= _named(element, texts) if tag not in ("a", "g") else {}
    if not attributes and tag in ("g", "a"):
        yield inner
        return
    if tag == "a":  # a link's name stands at the link
        inner = re.sub(r' data-tip="[^"]*"', "", inner, count=1)
    start = tag + "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    yield f"<{start}>{inner}</{tag}>" if inner else f"<{start}/>"


def _kept(element: Element) -> Iterator[tuple[str, str]]:
    classes = []
    for name, value in element.attrib.items():
        if name in ("fill", "stroke") and value in COLOURS:
            classes.append(f"{name[0]}-{COLOURS[value]}")
        elif name in _VALUES and _VALUES[name].fullmatch(value):
            value = _rounded(value) if name in ("d", "transform", "x", "y", "x1", "x2", "y1", "y2") else value
            if value not in _NOTHING.get(name, ()):
                yield name, value
    if classes:
        yield "class", " ".join(classes)


def _rounded(value: str) -> str:
    """Coordinates to a tenth of a pixel."""
    return _NUMBER.sub(lambda match: f"{round(float(match[0]), 1) + 0:g}", value)


def _text(text: str, texts: Texts) -> str:
    match = _TOKEN.fullmatch(text)
    return texts.values[int(match[1])] if match else text


def _linked(element: Element, texts: Texts) -> dict[str, str]:
    """The attributes of a link to an entry's page; none where it leads elsewhere."""
    target = next((value for name, value in element.attrib.items() if name.rpartition("}")[2] == "href"), "")
    match = _LINK.fullmatch(target)
    slug = texts.values[int(match[1])] if match else ""
    if match is None or not _SLUG.fullmatch(slug):
        return {}
    label = next((child.get("aria-label", "") for child in element), "")
    kept = {"href": f"../entries/{slug}.html", "aria-label": _text(label, texts)}
    return kept | ({"tabindex": "-1"} if match[2] else {})


def _named(element: Element, texts: Texts) -> dict[str, str]:
    """What a mark says of itself, where the spec gave it a description."""
    match = _TOKEN.fullmatch(element.get("aria-label", ""))
    return {"data-tip": texts.values[int(match[1])]} if match else {}

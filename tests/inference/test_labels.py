"""Label maps from logits at 1/8, against all logits interpolated."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_core.inference import labels
from vidsuite_core.inference.labels import label_map


def street(classes: int, height: int, width: int, grain: int) -> Tensor:
    """Logits (1, K, h, w) of regions some `grain` wide."""
    coarse = torch.randn(1, classes, max(height // grain, 2), max(width // grain, 2))
    return F.interpolate(coarse, (height, width), mode="bicubic")


SIZES = [((16, 24), (128, 192)), ((45, 60), (360, 480)), ((13, 17), (100, 131)), ((5, 7), (5, 7)), ((1, 2), (8, 9))]


@pytest.mark.parametrize("corners", ["apart", "aligned"])
@pytest.mark.parametrize(("small", "large"), [*SIZES, ((9, 9), (5, 30))])
@pytest.mark.parametrize("grain", [1, 6])
def test_label_maps(corners: str, small: tuple[int, int], large: tuple[int, int], grain: int, monkeypatch):
    monkeypatch.setattr(labels, "WORTHWHILE", 1.0)
    monkeypatch.setattr(labels, "AT_ONCE", 19 * 81 * 7)  # several pieces
    logits = street(19, *small, grain).to(memory_format=torch.channels_last)
    full = F.interpolate(logits, large, mode="bilinear", align_corners=corners == "aligned")
    found = label_map(logits, large, corners)
    assert found.dtype == torch.uint8 and found.shape == large
    best, chosen = full.max(dim=1).values[0], full[0].gather(0, found[None].long())[0]
    assert (best - chosen <= 1e-5 * (best.abs() + 1)).all()  # another class only where the two tie
    assert (found == full.argmax(1)[0]).float().mean() >= 0.9999


def test_exact_ties_go_to_the_first_class():
    assert not label_map(torch.zeros(1, 4, 3, 3), (24, 24)).any()


def test_logits_that_are_no_numbers_still_give_classes():
    logits = torch.full((1, 5, 4, 4), torch.nan)
    logits[..., 0] = torch.inf
    assert label_map(logits, (32, 32)).max() < 5


def test_label_maps_of_many_mixed_cells_take_the_other_way():
    logits = street(19, 32, 32, 1)
    full = F.interpolate(logits, (256, 256), mode="bilinear").argmax(1)[0]
    assert torch.equal(label_map(logits, (256, 256)).long(), full)


def test_label_maps_refuse_batches():
    with pytest.raises(UsageError, match="not of one frame"):
        label_map(torch.zeros(2, 3, 4, 4), (32, 32))

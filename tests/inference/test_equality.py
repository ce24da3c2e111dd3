"""What counts as equal."""

from __future__ import annotations

import pytest
import torch

from vidsuite_core.inference.equality import BF16, FP32, difference
from vidsuite_core.inference.flat import Form, flatten

EXPECTED = torch.linspace(-1, 3, 101)


def test_the_tolerance_of_float32_is_a_share_of_the_spread() -> None:
    for share, equal in [(0.9 * FP32, True), (1.2 * FP32, False)]:
        found = EXPECTED.clone()
        found[50] += share * 4
        off = difference([EXPECTED, found], [EXPECTED, EXPECTED])
        assert off.largest == pytest.approx(share, rel=0.01)
        assert off.within("fp32") == equal
        assert off.within("bf16")


def test_the_tolerance_of_bfloat16_is_a_share_of_the_norm_without_the_mean() -> None:
    deviation = EXPECTED - EXPECTED.mean()
    for share, equal in [(0.9 * BF16, True), (1.1 * BF16, False)]:
        found = EXPECTED + 100 + share * deviation
        off = difference([found], [EXPECTED + 100])
        assert off.norm == pytest.approx(share, rel=1e-3)
        assert off.within("bf16") == equal
        assert not off.within("fp32")


def test_whole_numbers_may_differ_in_a_few_places() -> None:
    labels = torch.zeros(10_000, dtype=torch.long)
    found = labels.clone()
    found[:5] = 1
    assert difference([found], [labels]).within("fp32")
    found[:50] = 1
    assert not difference([found], [labels]).within("fp32")
    assert difference([found], [labels]).within("bf16")
    assert "0.50% of its whole numbers" in difference([found], [labels]).text("fp32")


def test_what_is_not_finite_must_be_the_same() -> None:
    expected = torch.tensor([1.0, torch.nan, torch.inf, 2.0])
    assert difference([expected.clone()], [expected]).within("fp32")
    for other in ([1.0, 0.0, torch.inf, 2.0], [1.0, torch.nan, -torch.inf, 2.0], [torch.nan, torch.nan, torch.inf, 2]):
        assert not difference([torch.tensor(other)], [expected]).within("bf16")


def test_shapes_and_numbers_of_results_must_be_the_same() -> None:
    assert not difference([EXPECTED[:-1]], [EXPECTED]).within("bf16")
    assert not difference([EXPECTED], [EXPECTED, EXPECTED]).within("bf16")


def test_results_that_are_all_alike_are_compared_by_their_size() -> None:
    assert difference([torch.full((5,), 2.0001)], [torch.full((5,), 2.0)]).within("fp32")
    assert not difference([torch.full((5,), 2.01)], [torch.full((5,), 2.0)]).within("fp32")
    assert difference([torch.zeros(3)], [torch.zeros(3)]).within("fp32")
    assert difference([torch.zeros(0)], [torch.zeros(0)]).within("fp32")


def test_forms_come_back_from_json() -> None:
    _, form = flatten({"a": [torch.zeros(1), None], "b": (torch.ones(1, dtype=torch.int32), 1.5, "x", True)})
    assert Form.from_json(form.to_json()) == form
    assert flatten({1: torch.zeros(1)})[1].to_json() is None

"""Blind frames: the picture says nothing, the label what is there, and depths of context up to the longest differ."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.synthetic import Synthetic, SyntheticBlind
from vidsuite_plugins.driving_fanet.synthetic.blind import CLEAR, FIRST, KINDS, blind_spells
from vidsuite_plugins.driving_fanet.synthetic.sequence import Footage, Options, plan

SEEING = Options(frames=24, size=(64, 48), seed=0, sequences=18)
BLIND = replace(SEEING, blind=6)


def spells(frames=4000, longest=6):
    return blind_spells(np.random.default_rng(0), frames, longest)


def runs(kinds):
    """(what, length) of each stretch of frames of one kind."""
    found = []
    for kind in kinds:
        if found and found[-1][0] == kind:
            found[-1][1] += 1
        else:
            found.append([kind, 1])
    return found


def test_spells_have_all_lengths_and_kinds_with_clear_frames_between():
    found = runs(spells())
    assert found[0] == ["", FIRST]
    blind = [length for kind, length in found[:-1] if kind]
    clear = [length for kind, length in found[1:-1] if not kind]
    assert set(blind) == set(range(1, 7))
    assert (min(clear), max(clear)) == CLEAR
    assert {kind for kind, _ in found} == {"", *KINDS}
    assert all(bool(a[0]) != bool(b[0]) for a, b in pairwise(found))


@pytest.mark.parametrize("depth", range(7))
def test_each_step_of_depth_leaves_fewer_frames_without_a_seeing_one(depth):
    kinds = spells()

    def lost(n):
        return sum(all(kinds[max(0, k - n) : k + 1]) for k in range(len(kinds)))

    assert lost(depth) > lost(depth + 1) if depth < 6 else lost(depth) == 0


def test_none_are_blind_unless_asked_for():
    assert spells(longest=0) == [""] * 4000
    assert Footage(SEEING, plan(SEEING)[0]).spells == [""] * 24


def test_a_blind_frame_shows_nothing_and_changes_nothing_else():
    seeing, blind = (Footage(options, plan(options)[0]) for options in (SEEING, BLIND))
    number = next(k for k, kind in enumerate(blind.spells) if kind)
    for k in range(24):
        (plain, labels), (shown, same) = seeing.frame(k), blind.frame(k)
        assert (labels == same).all()
        if not blind.spells[k]:
            assert (plain == shown).all()
    picture, labels = blind.frame(number)
    smooth = picture.reshape(6, 8, 8, 8, 3).mean((1, 3, 4))  # noise averages out, and nothing is left
    assert smooth.std() < 2
    assert len(np.unique(labels)) > 2


def test_the_variant_is_another_dataset(tmp_path):
    plain, blind = Synthetic(tmp_path), SyntheticBlind(tmp_path)
    assert plain.fingerprint() != blind.fingerprint()
    assert blind.recipe == replace(plain.recipe, blind=6)
    assert SyntheticBlind(tmp_path, blind=2).recipe.blind == 2


@pytest.mark.parametrize(
    ("sequences", "tested", "sides"), [(24, 10, (12, 2, 10)), (36, 12, (20, 4, 12)), (6, 2, (2, 2, 2))]
)
def test_as_many_sequences_are_tested_as_asked_for(sequences, tested, sides):
    splits = [one.split for one in plan(replace(SEEING, sequences=sequences, tested=tested))]
    assert tuple(map(splits.count, ("train", "val", "test"))) == sides


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tested": 3}, "tested is 3; of 18 it must be even and less than 15"),
        ({"tested": 16}, "tested is 16; of 18"),
        ({"blind": -1}, "blind is -1; it must be from 0 to 100"),
        ({"blind": 1.5}, "blind is 1.5; give a whole number"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        replace(SEEING, **options)

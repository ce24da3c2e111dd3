"""The plan of the synthetic embryos: counts, cues and their controls, siblings, and what time alone tells."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsuite_core.errors import UsageError
from vidsuite_plugins.embryo_timelapse.synthetic.plan import (
    SIBLINGS,
    WEIGHTS,
    Embryo,
    Options,
    draw_embryos,
    draw_patients,
)

MANY = Options(embryos=3000, blastocysts=1500, patients=500)


@pytest.fixture(scope="module")
def many() -> list[Embryo]:
    return draw_embryos(MANY)


def area(score: np.ndarray, label: np.ndarray) -> float:
    """Under the ROC curve: how often a positive's score is above a negative's."""
    ranks = np.argsort(np.argsort(score))
    positives = label.sum()
    return float((ranks[label].sum() - positives * (positives - 1) / 2) / (positives * (len(label) - positives)))


def column(embryos: list[Embryo], name: str) -> np.ndarray:
    return np.array([getattr(embryo, name) for embryo in embryos])


@pytest.mark.parametrize(
    ("embryos", "blastocysts", "patients"), [(531, 264, 83), (2898, 1634, 414), (2, 1, 1), (7, 6, 7)]
)
def test_counts_are_exact(embryos, blastocysts, patients):
    drawn = draw_embryos(Options(embryos=embryos, blastocysts=blastocysts, patients=patients))
    assert len(drawn) == embryos
    assert sum(embryo.blastocyst for embryo in drawn) == blastocysts
    assert {embryo.patient for embryo in drawn} == set(range(patients))
    assert len({embryo.name for embryo in drawn}) == embryos


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), embryos=st.integers(2, 40), data=st.data())
def test_any_plan_is_consistent(seed, embryos, data):
    options = Options(
        embryos=embryos,
        blastocysts=data.draw(st.integers(1, embryos - 1)),
        patients=data.draw(st.integers(1, embryos)),
        seed=seed,
        hours=data.draw(st.sampled_from([24.0, 80.0, 168.0])),
    )
    for embryo in draw_embryos(options):
        assert len(embryo.divisions) == 63
        assert list(embryo.divisions) == sorted(embryo.divisions)
        assert embryo.pronuclei[0] < embryo.pronuclei[1] < embryo.divisions[0]
        assert embryo.compaction < embryo.cavity < embryo.expanded
        assert (embryo.arrest == np.inf) == embryo.blastocyst
        assert 0 < embryo.end <= options.hours
        assert embryo.emptied > embryo.end or embryo.emptied < embryo.end
        if embryo.blastocyst and options.hours == 168:
            assert embryo.end > min(embryo.expanded, 160)


def test_the_same_options_draw_the_same(many):
    assert draw_embryos(MANY) == many
    assert draw_patients(MANY) == draw_patients(MANY)
    assert draw_embryos(replace(MANY, seed=1)) != many


def test_pictures_options_do_not_change_the_plan(many):
    assert draw_embryos(replace(MANY, size=224, planes=7, interval=10.0)) == many


def test_every_cue_has_its_part_and_time_the_largest(many):
    label = column(many, "blastocyst")
    areas = {cue: area(column(many, "scores")[:, k], label) for k, cue in enumerate(WEIGHTS)}
    assert areas["rhythm"] > max(areas["looks"], areas["depth"]) + 0.05
    assert min(areas.values()) > 0.6
    assert max(areas.values()) < 0.87


@pytest.mark.parametrize("cue", WEIGHTS)
def test_a_cue_that_is_off_says_nothing_and_looks_the_same(many, cue):
    without = draw_embryos(replace(MANY, **{cue: False}))
    label = column(without, "blastocyst")
    for k, name in enumerate(WEIGHTS):
        found = area(column(without, "scores")[:, k], label)
        assert abs(found - 0.5) < 0.035 if name == cue else found > 0.6
    for name in ("scores", "divisions", "fragments", "inclusions"):
        assert (column(without, name) == column(many, name)).all()


def test_without_the_looks_no_embryo_stops_early():
    without = draw_embryos(replace(MANY, looks=False))
    assert min(embryo.arrest for embryo in without) > 80
    assert 0.12 < np.mean([embryo.arrest < 80 for embryo in draw_embryos(MANY) if not embryo.blastocyst]) < 0.28


def test_the_last_frame_says_little_of_the_rhythm(many):
    """Cells on the third day are as many in embryos that divided in rhythm and that did not."""
    cells = (column(many, "divisions") <= 80).sum(axis=1) + 1
    rhythm = column(many, "scores")[:, 0]
    assert abs(np.corrcoef(cells, rhythm)[0, 1]) < 0.06
    lag = column(many, "divisions")[:, 2] - column(many, "divisions")[:, 1]  # t4 - t3
    assert np.corrcoef(lag, rhythm)[0, 1] < -0.7
    assert np.median(lag[rhythm > 1]) < 1.5 < 4 < np.median(lag[rhythm < -1])


def test_siblings_resemble_each_other(many):
    patient = column(many, "patient")
    scores = column(many, "scores")
    pairs = [(scores[i], scores[i + 1]) for i in range(len(many) - 1) if patient[i] == patient[i + 1]]
    first, second = map(np.array, zip(*pairs, strict=True))
    for cue in range(3):
        assert np.corrcoef(first[:, cue], second[:, cue])[0, 1] == pytest.approx(SIBLINGS, abs=0.08)


def test_a_patients_tempo_says_nothing(many):
    tempo = np.array([patient.tempo for patient in draw_patients(MANY)])[column(many, "patient")]
    assert abs(area(tempo, column(many, "blastocyst")) - 0.5) < 0.05
    assert np.corrcoef(tempo, column(many, "divisions")[:, 0])[0, 1] > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embryos": 1}, "embryos of the synthetic embryos must lie in 2"),
        ({"blastocysts": 60}, "blastocysts"),
        ({"patients": 0}, "patients"),
        ({"planes": 2}, "must be odd"),
        ({"hours": 200}, "hours"),
        ({"size": 64.0}, "whole number"),
        ({"rhythm": 1}, "true or false"),
        ({"interval": "5"}, "interval"),
        ({"seed": True}, "whole number"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        Options(**options)


def test_options_survive_json():
    options = Options(embryos=9, blastocysts=4, patients=3, looks=False)
    assert Options.from_json(asdict(options)) == options

"""Development and optics of the synthetic embryos: what physics and the plan say must hold in cells and pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vidsuite_plugins.embryo_timelapse.synthetic.development import Development, State
from vidsuite_plugins.embryo_timelapse.synthetic.optics import FIELD, LAYERS, SPACING, Microscope
from vidsuite_plugins.embryo_timelapse.synthetic.plan import Embryo, Options, draw_embryos, draw_patients
from vidsuite_plugins.embryo_timelapse.synthetic.scene import Scene

OPTIONS = Options(embryos=40, blastocysts=24, patients=8, hours=168.0, size=96, planes=7)
PATIENTS, EMBRYOS = draw_patients(OPTIONS), draw_embryos(OPTIONS)
GOOD = next(embryo for embryo in EMBRYOS if embryo.blastocyst and embryo.emptied == np.inf)


def scene(embryo: Embryo, options: Options = OPTIONS) -> Scene:
    return Scene(options, embryo, PATIENTS[embryo.patient])


def states(embryo: Embryo, hours: list[float]) -> list[State]:
    return list(Development(embryo, PATIENTS[embryo.patient], np.random.default_rng(0)).follow(hours))


# --- development ------------------------------------------------------------------------------------


@pytest.mark.parametrize("embryo", EMBRYOS[:6], ids=lambda embryo: embryo.name)
def test_cells_are_as_many_as_divisions_say(embryo):
    hours = [10.0, 30.0, 45.0, 60.0, 80.0, 100.0, 130.0]
    for hour, state in zip(hours, states(embryo, hours), strict=True):
        due = sum(t <= min(hour, embryo.arrest) for t in embryo.divisions)
        assert len(state.radii) == len(state.ids) == due + 1
        assert len(set(state.ids.tolist())) == due + 1


@pytest.mark.parametrize("embryo", EMBRYOS[:6], ids=lambda embryo: embryo.name)
def test_cells_stay_inside_the_zona_and_apart(embryo):
    for state in states(embryo, list(np.arange(2, 140, 6.0))):
        assert np.isfinite(state.centres).all()
        assert np.linalg.norm(state.centres, axis=1).max() < state.inner
        assert state.outer > state.inner
        if len(state.radii) > 1:
            distance = np.linalg.norm(state.centres[:, None] - state.centres[None], axis=2)
            assert distance[np.triu_indices(len(distance), 1)].min() > 1


def test_divisions_share_the_volume():
    state = states(replace(GOOD, unevenness=0.0), [60.0])[0]
    assert len(state.radii) == 8
    assert np.ptp(state.radii) < 0.15 * state.radii.mean()
    uneven = states(replace(GOOD, unevenness=0.5), [60.0])[0]
    assert np.ptp(uneven.radii) > 2 * np.ptp(state.radii)


def test_how_it_develops_does_not_depend_on_who_looks():
    often = {state.hour: state for state in states(GOOD, list(np.arange(1.0, 101.0)))}
    for state in states(GOOD, [40.0, 100.0]):
        np.testing.assert_array_equal(state.centres, often[state.hour].centres)


def test_a_blastocyst_has_a_cavity_and_a_stretched_zona():
    before, after = states(GOOD, [GOOD.compaction, GOOD.expanded + 20])
    assert before.cavity[1] == 0
    assert after.cavity[1] > 0.5 * after.inner
    assert after.inner > 1.15 * before.inner
    thickness = [state.outer - state.inner for state in (before, after)]
    assert thickness[1] < 0.8 * thickness[0]


def test_an_arrested_embryo_stays_as_it_was_and_decays():
    embryo = next(embryo for embryo in EMBRYOS if embryo.arrest < 80)
    before, after = states(embryo, [embryo.arrest + 1, embryo.arrest + 60])
    assert len(before.radii) == len(after.radii)
    assert before.decay == 0 < after.decay
    assert after.cavity[1] == 0


# --- optics -----------------------------------------------------------------------------------------


def bare(centres: list[list[float]], radii: list[float], **more) -> State:
    fields = {"gap": 0.0, "inner": 70.0, "outer": 0.0, "cavity": (np.zeros(3), 0.0), "wall": 0.0, "decay": 0.0}
    return State(
        hour=0.0, empty=False, centres=np.array(centres, float), radii=np.array(radii, float),
        ids=np.arange(len(radii)), spheres=np.empty((0, 5)), **{**fields, **more},
    )  # fmt: skip


def layers_of(state: State, size: int = 200) -> np.ndarray:
    microscope = Microscope(size, 1.5, 7)
    return microscope.thickness(state, np.zeros(2), np.zeros((size * 2, size * 2), np.float32), 0.0)


def volume(layers: np.ndarray) -> float:
    return float(layers.sum()) * (FIELD / layers.shape[-1]) ** 2


def test_a_spheres_thickness_is_its_chord():
    layers = layers_of(bare([[0, 0, 0]], [40]))
    total = layers.sum(axis=0)
    x = (np.arange(200) - 100) * FIELD / 200
    np.testing.assert_allclose(total[100], 2 * np.sqrt(np.clip(1600 - x**2, 0, None)), atol=1e-3)
    assert volume(layers) == pytest.approx(4 / 3 * np.pi * 40**3, rel=1e-3)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 0, 1], [0.6, 0, 0.8]])
def test_cells_are_cut_flat_where_they_touch(axis):
    """Two spheres of radius r at distance d fill their union, whichever way they lie to the light."""
    r, d = 30.0, 40.0
    layers = layers_of(bare([np.multiply(axis, -d / 2), np.multiply(axis, d / 2)], [r, r]))
    lens = np.pi * (4 * r + d) * (2 * r - d) ** 2 / 12
    assert volume(layers) == pytest.approx(2 * 4 / 3 * np.pi * r**3 - lens, rel=0.01)


def test_the_cleft_between_cells_takes_of_both():
    touching = volume(layers_of(bare([[-20, 0, 0], [20, 0, 0]], [30, 30])))
    apart = volume(layers_of(bare([[-20, 0, 0], [20, 0, 0]], [30, 30], gap=2.0)))
    disk = np.pi * (30**2 - 20**2)
    assert touching - apart == pytest.approx(2 * 2.0 * disk, rel=0.08)


def test_cavity_and_zona_bound_the_cells():
    hollow = layers_of(bare([[0, 0, 0]], [50], cavity=(np.array([5.0, 0, 0]), 30.0)))
    assert volume(hollow) == pytest.approx(4 / 3 * np.pi * (50**3 - 30**3), rel=2e-3)
    held = layers_of(bare([[20, 0, 0]], [60], inner=40.5))
    outside = np.hypot(*np.meshgrid(*[(np.arange(200) - 100) * FIELD / 200] * 2)) > 41
    assert held.sum(axis=0)[outside].max() == 0


@pytest.mark.parametrize("depth", [-45, -30, -15, 0, 15, 30, 45])
def test_a_body_is_sharpest_in_the_plane_of_its_own_depth(depth):
    microscope = Microscope(200, 1.5, 7)
    planes = microscope.relief(layers_of(bare([[0, 0, depth]], [6])))
    sharpness = np.abs(planes).max(axis=(1, 2))
    assert int(sharpness.argmax()) == 3 + depth // 15
    # Further away it is ever softer.
    distance = np.abs(np.arange(7) - 3 - depth // 15)
    assert (np.diff(sharpness[np.argsort(distance, kind="stable")]) < 1e-6).all()


def test_depth_between_planes_does_not_jump():
    planes = [Microscope(100, 1.5, 7).relief(layers_of(bare([[0, 0, z]], [8]), 100)) for z in np.arange(0, 16, 1.0)]
    steps = [np.abs(b - a).max() for a, b in pairwise(planes)]
    assert max(steps) < 2.5 * min(steps)


def test_layers_reach_as_deep_as_an_embryo():
    assert LAYERS // 2 * SPACING >= 75
    assert np.isfinite(layers_of(bare([[0, 0, 400.0]], [10]))).all()


# --- pictures ---------------------------------------------------------------------------------------


def test_frames_are_the_same_each_time():
    first, second = (list(scene(GOOD).frames([20, 60, 100])) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.shape == (7, 96, 96)
        assert a.dtype == np.uint8
        np.testing.assert_array_equal(a, b)


def test_inclusions_show_in_the_outer_planes_alone():
    with_them, without = replace(GOOD, inclusions=8), replace(GOOD, inclusions=0)
    options = replace(OPTIONS, size=160)
    shown, plain = (next(scene(embryo, options).frames([18.0])).astype(float) for embryo in (with_them, without))
    change = np.abs(shown - plain).max(axis=(1, 2))
    assert change[[0, 6]].min() > max(4 * change[3], 2 * change[2:5].max())


def test_the_outcome_itself_is_not_drawn_before_the_embryo_shows_it():
    """Two embryos that differ in nothing but what will become of them look the same until the third day's end."""
    arrested = replace(GOOD, blastocyst=False, arrest=90.0)
    for a, b in zip(scene(GOOD).frames([10, 50, 80]), scene(arrested).frames([10, 50, 80]), strict=True):
        np.testing.assert_array_equal(a, b)
    late = [next(scene(embryo).frames([125.0])).astype(int) for embryo in (GOOD, arrested)]
    assert np.abs(late[0] - late[1]).max() > 50


def test_an_emptied_well_shows_no_embryo():
    emptied = replace(GOOD, emptied=50.0)
    before, after = scene(emptied, replace(OPTIONS, planes=1)).frames([49.0, 51.0])
    middle = (0, slice(36, 60), slice(36, 60))
    assert before[middle].std() > 2 * after[middle].std()


def test_divisions_are_seen():
    """A frame after a division differs from the one before by far more than two frames between divisions do."""
    options = replace(OPTIONS, planes=1)
    quiet = GOOD.divisions[0] + 5
    frames = [frame.astype(float) for frame in scene(GOOD, options).frames([GOOD.divisions[0] - 1, quiet, quiet + 0.5])]
    divided, still = (np.abs(b - a).mean() for a, b in pairwise(frames))
    assert divided > 1.5 * still


@pytest.mark.parametrize("size", [32, 101, 500])
def test_any_size_is_rendered(size):
    frame = next(scene(GOOD, replace(OPTIONS, size=size, planes=3)).frames([60.0]))
    assert frame.shape == (3, size, size)
    assert 20 < frame[1].mean() < 120

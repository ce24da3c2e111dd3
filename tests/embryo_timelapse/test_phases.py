"""Phases by frame: samples, what networks take of them, and the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.protocols import make_folds
from vidsuite_core.samples import Recording
from vidsuite_plugins.embryo_timelapse.embryos import HOUR, Embryo
from vidsuite_plugins.embryo_timelapse.phases.models import CHUNK, PhaseClock, PhaseNet
from vidsuite_plugins.embryo_timelapse.phases.reading import PackPhases, PhasesDataset, ReadPhases, TurnPhases
from vidsuite_plugins.embryo_timelapse.phases.samples import PHASES, Phases, PhasesSample
from vidsuite_plugins.embryo_timelapse.synthetic.dataset import SyntheticPhases


def embryo(name: str, hours: list[float], patient: str = "p", **known) -> Embryo:
    frames = np.arange(len(hours), dtype=np.uint8)[:, None, None, None] * np.full((1, 16, 16, 1), 5, np.uint8)
    footage = Recording(
        name=name, subject=patient, planes=(frames,), frames=len(hours), fps=1e-3, content=name,
        times=tuple(hour * HOUR for hour in hours),
    )  # fmt: skip
    return Embryo(footage=footage, label=None, **known)


class Few(Phases):
    def __init__(self, embryos: list[Embryo], **options) -> None:
        super().__init__(Path("nowhere"), **options)
        self.few = embryos

    def is_ready(self) -> bool:
        return True

    def embryos(self) -> list[Embryo]:
        return self.few


HOURS = [1.0, 10.0, 24.0, 26.0, 40.0, 100.0]
EVENTS = {"tPNa": 8.0, "tPNf": 23.0, "t2": 25.5, "t3": 39.0, "t4": 39.5, "t9": 70.0, "tEnd": 99.0}


def test_phases_by_events():
    (sample,) = Few([embryo("e", HOURS, events=EVENTS), embryo("bare", HOURS)]).samples()
    assert sample.frames == (0, 1, 2, 3, 4)  # the last is after the end
    assert [PHASES[k] for k in sample.labels] == ["tPB2", "tPNa", "tPNf", "t2", "t4"]
    assert sample.hours == tuple(HOURS[:5])
    late = Few([embryo("e", [60.0, 80.0], events=EVENTS)]).samples()[0]
    assert [PHASES[k] for k in late.labels] == ["t4", "t9+"]


def test_marked_phases_leave_the_rest_unlabelled():
    phases = (("tPNa", 9.0, 24.0), ("t2", 26.0, 26.0))
    (sample,) = Few([embryo("e", HOURS, phases=phases, events=EVENTS)]).samples()
    assert sample.frames == (1, 2, 3)
    assert [PHASES[k] for k in sample.labels] == ["tPNa", "tPNa", "t2"]


def test_groups_and_the_leak_that_is_marked():
    few = [embryo(f"e{k}", HOURS, patient=f"p{k // 2}", events=EVENTS) for k in range(4)]
    assert {sample.subject for sample in Few(few).samples()} == {"p0", "p1"}
    assert {sample.subject for sample in Few(few, group="embryo").samples()} == {"e0", "e1", "e2", "e3"}
    halves = Few(few, group="frame").samples()
    assert [sample.id for sample in halves] == [f"e{k}#{part}" for k in range(4) for part in (1, 2)]
    for whole, *parts in zip(Few(few).samples(), halves[::2], halves[1::2], strict=True):
        assert sorted(parts[0].frames + parts[1].frames) == list(whole.frames)
        assert parts[0].subject != parts[1].subject
        assert parts[0].recording == parts[1].recording
    prints = {Few(few, group=group).fingerprint() for group in ("patient", "embryo", "frame")}
    assert len(prints) == 3
    with pytest.raises(UsageError, match="neither 'patient' nor 'embryo'"):
        Few(few, group="clinic")


@pytest.mark.parametrize("frames", [(), (1, 0), (1, 1), (0, 6)])
def test_frames_that_cannot_be(frames):
    footage = embryo("e", HOURS).footage
    with pytest.raises(VidsuiteError, match="sample 'e'"):
        PhasesSample(id="e", footage=footage, frames=frames, labels=tuple(0 for _ in frames))


def test_rendered_embryos_have_phases_and_no_patient_is_on_both_sides(tmp_path):
    dataset = SyntheticPhases(
        tmp_path, embryos=4, blastocysts=2, patients=4, size=32, hours=60, interval=240, workers=1
    )
    dataset.prepare()
    samples = dataset.samples()
    assert len(samples) == 4
    for sample, one in zip(samples, dataset.embryos(), strict=True):
        assert list(sample.labels) == sorted(sample.labels)
        for hour, label in zip(sample.hours, sample.labels, strict=True):
            begun = [name for name, at in one.events.items() if at <= hour]
            assert PHASES[label] == (begun[-1].replace("t9", "t9+") if begun else "tPB2")
    for fold in make_folds({"type": "grouped_kfold", "folds": 2}, samples):
        assert not {name[:4] for name in fold.train} & {name[:4] for name in fold.test}


# --- what networks take -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))


def some(count: int = 10, name: str = "e") -> PhasesSample:
    one = embryo(name, [float(k) for k in range(count)])
    return PhasesSample(
        id=name, footage=one.footage, frames=tuple(range(1, count)), labels=tuple(k // 5 for k in range(1, count))
    )


def test_all_frames_or_a_choice_of_them():
    sample = some()
    whole = ReadPhases(size=16)({"sample": sample})
    assert whole["clip"][:, 0, 0, 0].tolist() == [5 * k for k in range(1, 10)]
    for draw in ("run", "spread"):
        for _ in range(20):
            part = ReadPhases(size=16, frames=4, draw=draw)({"sample": sample})
            places = part["places"]
            assert (np.diff(places) > 0).all()
            if draw == "run":
                assert (np.diff(places) == 1).all()
            assert part["clip"][:, 0, 0, 0].tolist() == [5 * (k + 1) for k in places]
    with pytest.raises(UsageError, match="draw='run' or 'spread'"):
        ReadPhases(draw="all")


def test_items_go_together():
    sample = some()
    pipeline = [ReadPhases(size=16, frames=3), TurnPhases(), PackPhases()]
    item = PhasesDataset([sample], pipeline)[0]
    assert item["inputs"].shape == (3, 1, 16, 16)
    element = item["data_samples"]
    places = [sample.hours.index(hour) for hour in element.hours]
    assert element.gt_label.tolist() == [sample.labels[k] for k in places]
    bare = PackPhases()({"sample": sample})
    assert bare["inputs"].numel() == 0
    assert bare["data_samples"].gt_label.tolist() == list(sample.labels)


@pytest.mark.parametrize("memory", [None, 8])
def test_networks_judge_each_frame_and_remember_only_the_past(memory):
    torch.manual_seed(0)
    model = PhaseNet(3, memory).eval()
    long, short = torch.randn(CHUNK + 6, 1, 32, 32), torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        both = model([long, short])
        assert [tuple(one.shape) for one in both] == [(CHUNK + 6, 3), (4, 3)]
        torch.testing.assert_close(both[1], model([short])[0], rtol=1e-4, atol=1e-5)
        changed = long.clone()
        changed[30] += 1
        other = model([changed])[0]
    torch.testing.assert_close(other[:30], both[0][:30], rtol=1e-4, atol=1e-5)
    assert (other[30] - both[0][30]).abs().max() > 1e-4
    after = (other[31:] - both[0][31:]).abs().max()
    assert after > 1e-5 if memory else after < 1e-5


def test_networks_train_a_step_and_predict():
    torch.manual_seed(0)
    model = PhaseNet(2, memory=8)
    batch = pseudo_collate([PhasesDataset([some(8, n)], [ReadPhases(size=32), PackPhases()])[0] for n in "ab"])
    loss = model(**batch, mode="loss")["loss_phase"]
    loss.backward()
    assert torch.isfinite(loss)
    model.eval()
    with torch.no_grad():
        for one in model(**batch, mode="predict"):
            torch.testing.assert_close(one.pred_score.sum(1), torch.ones(7), rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="mode 'guess'"):
        model(**batch, mode="guess")


def test_the_clock_knows_the_hour_and_the_prior_does_not():
    items = PhasesDataset([some(10, "a"), some(10, "b")], [PackPhases()])
    clock, prior = PhaseClock(3, width=0.2), PhaseClock(3, width=None)
    for model in (clock, prior):
        with pytest.raises(UsageError, match="fitted in one go"):
            model(None, [items[0]["data_samples"]], mode="predict")
        model.fit(items[k] for k in range(2))
        (one,) = model(None, [items[0]["data_samples"]], mode="predict")
        assert one.pred_score.shape == (9, 3)
        torch.testing.assert_close(one.pred_score.sum(1), torch.ones(9), rtol=0, atol=1e-5)
        if model is clock:
            assert one.pred_score.argmax(1).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
        else:
            torch.testing.assert_close(one.pred_score[0], torch.tensor([4 / 9, 5 / 9, 0]), rtol=0, atol=1e-4)
    again = PhaseClock(3, width=0.2)
    again.load_state_dict(clock.state_dict())
    torch.testing.assert_close(again.chances(torch.tensor([3.0]).double()), clock.chances(torch.tensor([3.0]).double()))

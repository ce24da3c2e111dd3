"""Initial weights of a run: a mistaken name is refused, a path in a config too, and what is random is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vidsuite_core as vs
from vidsuite_core.engine import cell
from vidsuite_core.engine.config import cell_config, parse_options
from vidsuite_core.engine.order import Order
from vidsuite_core.errors import UsageError, WeightsUnavailable
from vidsuite_core.runner.initial_weights import InitialWeights
from vidsuite_core.support.paths import weights_home
from vidsuite_core.weights import content_sha256, locate

I3D = "i3d_rgb_kinetics400"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> vs.Suite:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    return vs.load("seizure_i3d")


def config(suite: vs.Suite, *options: str) -> dict[str, object]:
    path = suite.models["i3d_pool_logreg"].spec.config
    assert path is not None
    return cell_config(path, "quick", [], parse_options(options), "fp32")


def finder(suite: vs.Suite, *given: str, may_be_random: bool = True) -> InitialWeights:
    return InitialWeights(suite, given, may_be_random, lambda line: None, lambda what, done, total: None)


def test_a_file_is_known_by_its_tensors(suite: vs.Suite, tmp_path: Path) -> None:
    state = {"a": torch.arange(3.0)}
    torch.save(state, tmp_path / "one.pt")
    for name in (I3D, f"seizure_i3d/{I3D}"):
        weights = finder(suite, f"{name}={tmp_path / 'one.pt'}")
        found = weights.find("model", config(suite))
        weights.refuse_unused()
        assert found.files[I3D] == str(tmp_path / "one.pt")
        assert found.hashes[I3D] == content_sha256(state)


def test_a_mistaken_name_is_refused(suite: vs.Suite, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "one.pt")
    with pytest.raises(UsageError, match="did you mean"):
        finder(suite, f"i3d_rgb_kinetic400={tmp_path / 'one.pt'}")
    weights = finder(suite, f"yolox_nano_coco={tmp_path / 'one.pt'}")
    weights.find("model", config(suite))
    with pytest.raises(UsageError, match="no model of this run starts from these"):
        weights.refuse_unused()


def test_quick_goes_on_and_says_what_is_missing_and_paper_stops(suite: vs.Suite) -> None:
    found = finder(suite).find("model", config(suite))
    assert found.hashes == {I3D: "random", "mask_rcnn_r101_fpn_coco": "random"}
    assert f"random weights were used in place of {I3D}" in found.warnings
    assert "without mask_rcnn_r101_fpn_coco no regions were looked for: whole frames were used" in found.warnings
    with pytest.raises(WeightsUnavailable, match="vidsuite weights get"):
        finder(suite, may_be_random=False).find("model", config(suite))


def test_a_path_in_a_config_is_refused(suite: vs.Suite) -> None:
    with pytest.raises(UsageError, match="names a file"):
        config(suite, "crop.detector.weights=/somewhere.pth")


def test_cfg_options_that_cannot_be_read_or_fit_nothing_are_refused(suite: vs.Suite) -> None:
    for option, words in [
        ("model.C=[1,2", "cannot be read"),
        ("selecton=inner", "has no field 'selecton'"),
        ("selection=best", "is none of"),
    ]:
        with pytest.raises(UsageError, match=words):
            config(suite, option)


def test_kept_weights_that_were_altered_are_not_taken(suite: vs.Suite, tmp_path: Path) -> None:
    spec = suite.weights[I3D].spec
    place = weights_home() / f"{I3D}.pt"
    place.parent.mkdir(parents=True)
    torch.save({"a": torch.ones(3)}, place)
    record = {"name": I3D, "source": "", "trained_on": "", "licence": "", "download_sha256": "", "checked": ""}
    record |= {"content_sha256": spec.content_sha256, "size": place.stat().st_size, "converted_by": ""}
    place.with_suffix(".json").write_text(json.dumps(record))
    assert locate(spec) == place  # by size and record they are genuine
    said: list[str] = []
    found = InitialWeights(suite, (), True, said.append, lambda what, done, total: None).find("model", config(suite))
    assert found.hashes[I3D] == "random"
    assert "has changed since it was installed" in said[0]


def test_a_cell_takes_no_other_weights_than_it_was_planned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "w.pt")
    monkeypatch.setattr(cell, "_run", lambda order, course: {"status": "ok"})

    def run(sha256: str) -> dict[str, object]:
        order = Order(
            score_key={"weights": {"w": sha256, "other": "random"}},
            task="", dataset="", root="", options={}, device="cpu", folder=str(tmp_path), cost=False,
            weights={"w": str(tmp_path / "w.pt"), "other": None},
        )  # fmt: skip
        return cell.run_cell(order, lambda what, done, total: None)

    assert run(content_sha256({"a": torch.ones(3)}))["status"] == "ok"
    outcome = run("0" * 64)
    assert outcome["status"] == "failed"
    assert "holds other tensors than this cell was planned with" in str(outcome["reason"])

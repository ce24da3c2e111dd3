"""The suite: catalogues by name, and handles that open what specs name."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import core_suite

from vidsuite_core.errors import UsageError
from vidsuite_core.plugins import Registered
from vidsuite_core.specs import DatasetSpec, ModelSpec
from vidsuite_core.suite import Catalogue, DatasetHandle, ModelHandle, load
from vidsuite_core.tasks.clip_classification import ClipClassification


def model(plugin: str, name: str) -> Registered[ModelSpec]:
    return Registered(plugin, ModelSpec(name=name, summary="", task="t"))


@pytest.fixture
def catalogue() -> Catalogue[Registered[ModelSpec]]:
    return Catalogue("model", [model("a", "x"), model("b", "x"), model("b", "y")])


def test_a_catalogue_is_a_mapping(catalogue: Catalogue[Registered[ModelSpec]]) -> None:
    assert list(catalogue) == ["a/x", "b/x", "b/y"]
    assert len(catalogue) == 3
    assert [row.key for row in catalogue.values()] == list(catalogue)
    assert catalogue["y"] is catalogue["b/y"]


def test_in_and_get_agree_with_indexing(catalogue: Catalogue[Registered[ModelSpec]]) -> None:
    for name in ("a/x", "b/y", "y"):
        assert name in catalogue
        assert catalogue.get(name) is catalogue[name]
    assert 5 not in catalogue
    for name in ("x", "z", "a/y", ""):  # "x" is ambiguous
        assert name not in catalogue
        assert catalogue.get(name, "none") == "none"
        with pytest.raises(UsageError):
            catalogue[name]


def test_rows_of_one_plugin(catalogue: Catalogue[Registered[ModelSpec]]) -> None:
    assert [row.key for row in catalogue.of_plugin("b")] == ["b/x", "b/y"]
    assert catalogue.of_plugin("c") == []
    assert catalogue.keys_and_names() == {"a/x", "b/x", "b/y", "x", "y"}


def test_the_core_brings_four_tasks_and_the_local_executor_through_its_own_hooks() -> None:
    suite = core_suite()
    assert list(suite.tasks) == [
        "core/clip_classification",
        "core/early_prediction",
        "core/action_detection",
        "core/video_segmentation",
    ]
    assert list(suite.executors) == ["core/local", "core/slurm", "core/ray"]
    assert suite.faults == []


@pytest.mark.parametrize("name", ["clip_classification", "early_prediction", "action_detection", "video_segmentation"])
def test_every_task_opens_and_knows_its_first_score(name: str) -> None:
    task = core_suite().tasks[name].open(["a", "b"])
    assert (task.name, task.classes) == (name, ("a", "b"))
    assert task.info(task.first_score).direction == "higher"


def test_a_dataset_lies_below_the_data_home_in_a_folder_per_set_of_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDSUITE_DATA", str(tmp_path))
    handle = DatasetHandle("paper", DatasetSpec(name="ward", summary="", task="t", builder="a:b", licence=""))
    plain, small, same = handle.home({}), handle.home({"size": (1, 2)}), handle.home({"size": [1, 2]})
    assert plain == tmp_path / "paper" / "ward" / "data"
    assert small == same != plain
    assert small.parent == plain.parent


def build_network(weights: object, **options: object) -> tuple[object, object]:
    return weights, options


def test_a_model_with_a_network_of_its_own_is_built_by_it() -> None:
    handle = ModelHandle("paper", ModelSpec(name="net", summary="", task="t", network=f"{__name__}:build_network"))
    assert handle.build() == (None, {})
    assert handle.build("file.pth", depth=18) == ("file.pth", {"depth": 18})


def test_load_alone() -> None:
    suite = load("seizure_i3d")
    assert {key.partition("/")[0] for key in suite.models} == {"core", "seizure_i3d"}
    assert suite.tasks["clip_classification"].open(["a"]).__class__ is ClipClassification
    with pytest.raises(UsageError, match=r"did you mean 'seizure_i3d'"):
        load("seizure_i3")


def test_every_spec_of_the_installed_plugins_names_a_task_that_there_is() -> None:
    suite = load()
    for row in (*suite.datasets.values(), *suite.models.values(), *suite.benchmarks.values()):
        assert row.spec.task in suite.tasks, row.key

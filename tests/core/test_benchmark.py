"""Benchmark definitions: checked field by field, all faults at once, names of other plugins taken as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import vidsuite_core as vs
from vidsuite_core.benchmark import Definition
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.plugins import Registered
from vidsuite_core.suite import BenchmarkHandle

GOOD = """
protocol: {type: grouped_kfold, folds: 2}
datasets:
  own: {default: true, cfg: {size: 3}, presets: {paper: {subjects: 8}}}
  other/own: {protocol: {type: fixed}, presets: {quick: {subjects: 1}}}
  bare:
models: [net, other/net]
presets:
  quick: {models: [net], timeout: 300, protocol: {folds: 3}}
  paper:
"""


def read(text: str, folder: Path) -> Definition:
    (folder / "bench.yaml").write_text(text)
    spec = vs.BenchmarkSpec(name="b", summary="", task="t", definition=folder / "bench.yaml")
    return BenchmarkHandle("mine", spec).definition()


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    found = read(GOOD, tmp_path)
    assert found.preset("paper").models is None
    assert found.preset("quick").timeout == 300
    assert found.datasets["bare"].cfg == {}
    with pytest.raises(UsageError, match="preset 'quik' is unknown here; there are quick, paper"):
        found.preset("quik")


def test_datasets_are_known_by_their_full_names(tmp_path: Path) -> None:
    found = read(GOOD, tmp_path)
    assert found.full_name("own") == "mine/own"
    assert found.full_name("other/own") == "other/own"
    assert found.options("mine/own", "paper") == {"subjects": 8}
    assert found.options("other/own", "paper") == {}
    assert found.options("other/own", "quick") == {"subjects": 1}
    assert found.options("third/own", "paper") == {}


def test_a_preset_changes_the_benchmarks_protocol_and_no_datasets(tmp_path: Path) -> None:
    found = read(GOOD, tmp_path)
    assert found.protocol_of("third/own", "paper") == {"type": "grouped_kfold", "folds": 2}
    assert found.protocol_of("third/own", "quick") == {"type": "grouped_kfold", "folds": 3}
    assert found.protocol_of("other/own", "quick") == {"type": "fixed"}


FAULTS = {
    "models: [net]": ("models: net", "models: Input should be a valid list"),
    "models: [net, other/net]": ("models: []", "models: List should have at least 1 item"),
    "timeout: 300": ("timeout: -1", "presets.quick.timeout: Input should be greater than 0"),
    "default: true": ("defualt: true", "unknown field 'datasets.own.defualt' (did you mean 'default'?)"),
    "  quick: {models": ("  quick: {modles", "unknown field 'presets.quick.modles' (did you mean 'models'?)"),
    "protocol: {type: grouped_kfold, folds: 2}": ("", "field 'protocol' is missing"),
    "type: grouped_kfold, ": ("", "protocol lacks 'type', the kind of protocol"),
    "{models: [net], ": (
        "{models: [nett], ",
        "presets.quick.models names 'nett', which 'models' lacks (did you mean 'net'?)",
    ),
    "presets: {paper:": (
        "presets: {papr:",
        "datasets.own.presets names 'papr', which 'presets' lacks (did you mean 'paper'?)",
    ),
}


@pytest.mark.parametrize("place", FAULTS)
def test_a_fault_is_named_by_its_place(place: str, tmp_path: Path) -> None:
    instead, words = FAULTS[place]
    assert place in GOOD
    with pytest.raises(VidsuiteError) as caught:
        read(GOOD.replace(place, instead), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'bench.yaml'}: ")
    assert words in str(caught.value)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("timeout: 300", "timeout: soon")
        .replace("default: true", "default: perhaps")
        .replace("cfg:", "cgf:")
    )
    with pytest.raises(VidsuiteError) as caught:
        read(text, tmp_path)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("bench.yaml: it has faults")
    assert [line.split(":")[0].strip() for line in lines] == [
        "datasets.own.default", "unknown field 'datasets.own.cgf' (did you mean 'cfg'?)", "presets.quick.timeout",
    ]  # fmt: skip


def test_a_file_cannot_say_whose_it_is(tmp_path: Path) -> None:
    with pytest.raises(VidsuiteError, match="unknown field 'plugin'"):
        read(GOOD + "plugin: other\n", tmp_path)


def test_of_several_rows_the_one_for_the_task_is_meant() -> None:
    def row(plugin: str, task: str) -> Registered[vs.DatasetSpec]:
        spec = vs.DatasetSpec(name="synthetic", summary="", task=task, builder="a:b", licence="")
        return Registered(plugin, spec)

    from vidsuite_core.suite import Catalogue

    rows: Catalogue[Registered[vs.DatasetSpec]] = Catalogue(
        "dataset", [row("a", "clips"), row("b", "frames"), row("c", "frames")]
    )
    assert rows.of_task("synthetic", "clips").key == "a/synthetic"
    assert rows.of_task("a/synthetic", "frames").key == "a/synthetic"  # said in full, so meant
    with pytest.raises(UsageError, match="'synthetic' is ambiguous: b/synthetic, c/synthetic"):
        rows.of_task("synthetic", "frames")
    with pytest.raises(UsageError, match="no dataset 'sinthetic'; did you mean 'synthetic'"):
        rows.of_task("sinthetic", "clips")

"""The plugin API: every hook is documented by an example that runs, and has a test of its own here."""

from __future__ import annotations

import inspect
import textwrap
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import vidsuite_core
from vidsuite_core import hookspecs
from vidsuite_core.plugins import SPECS, PluginManager, Registered
from vidsuite_core.suite import Suite

HOOKS = {name: member for name, member in inspect.getmembers(hookspecs, inspect.isfunction) if name[:9] == "vidsuite_"}


def example(hook: str) -> str:
    """The source of the example in a hook's docstring."""
    doc = inspect.getdoc(HOOKS[hook]) or ""
    return textwrap.dedent(doc.partition("Example:\n")[2])


class Plugin(EntryPoint):
    """An entry point whose module is the example itself, run."""

    def load(self) -> Any:
        module = types.ModuleType("example")
        names = {name: getattr(vidsuite_core, name) for name in vidsuite_core.__all__}
        module.__dict__.update(names, Path=Path, __file__=__file__, vidsuite_api=1, tracker=Tracker)
        exec(example(self.value), module.__dict__)
        return module


class Tracker:
    seen: list[tuple[str, Any]] = []  # noqa: RUF012 (emptied by the test)

    @classmethod
    def log(cls, title: str, scores: Any) -> None:
        cls.seen.append((title, scores))


def manager_of(hook: str) -> PluginManager:
    manager = PluginManager(entries=[Plugin(name="example", value=hook, group="vidsuite")])
    assert manager.faults == []
    return manager


def the_only(hook: str) -> Registered[Any]:
    """The one spec that the example of `hook` yields."""
    manager = manager_of(hook)
    rows = [row for row in manager.collect(hook) if row.plugin == "example"]
    assert manager.faults == []
    assert len(rows) == 1
    assert isinstance(rows[0].spec, SPECS[hook])
    return rows[0]


def catalogue_of(hook: str, kind: str) -> set[str]:
    return set(getattr(Suite(manager_of(hook)), kind))


def test_vidsuite_tasks() -> None:
    assert the_only("vidsuite_tasks").key == "example/counting"
    assert "example/counting" in catalogue_of("vidsuite_tasks", "tasks")


def test_vidsuite_datasets() -> None:
    assert the_only("vidsuite_datasets").spec.licence == "CC BY 4.0"
    assert catalogue_of("vidsuite_datasets", "datasets") == {"example/ward"}


def test_vidsuite_models() -> None:
    assert the_only("vidsuite_models").spec.config == Path(__file__).parent / "configs" / "tsn.py"
    assert catalogue_of("vidsuite_models", "models") == {"core/prior", "example/tsn"}


def test_vidsuite_benchmarks() -> None:
    assert the_only("vidsuite_benchmarks").spec.definition.name == "benchmark.yaml"
    assert catalogue_of("vidsuite_benchmarks", "benchmarks") == {"example/ward"}


def test_vidsuite_weights() -> None:
    assert the_only("vidsuite_weights").spec.trained_on == "Kinetics-400"
    assert "example/tsn_k400" in catalogue_of("vidsuite_weights", "weights")


def test_vidsuite_executors() -> None:
    assert the_only("vidsuite_executors").spec.builder == "my_plugin.queue:Queue"
    assert "example/queue" in catalogue_of("vidsuite_executors", "executors")


def test_vidsuite_backends() -> None:
    assert the_only("vidsuite_backends").spec.devices == ("cuda",)
    assert "example/tensorrt" in catalogue_of("vidsuite_backends", "backends")


def test_vidsuite_commands() -> None:
    assert the_only("vidsuite_commands").spec.summary == "look at our ward"
    assert catalogue_of("vidsuite_commands", "commands") == {"example/ward"}


def test_vidsuite_cell_started(capsys: pytest.CaptureFixture[str]) -> None:
    cell = types.SimpleNamespace(title="lstm · ward · fold 0")
    manager_of("vidsuite_cell_started").notify("vidsuite_cell_started", cell=cell)
    assert capsys.readouterr().out == "started lstm · ward · fold 0\n"


def test_vidsuite_cell_finished() -> None:
    Tracker.seen.clear()
    cell = types.SimpleNamespace(title="lstm")
    result = types.SimpleNamespace(record=types.SimpleNamespace(scores={"f1": 1}))
    manager_of("vidsuite_cell_finished").notify("vidsuite_cell_finished", cell=cell, result=result)
    assert Tracker.seen == [("lstm", {"f1": 1})]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_an_example_of_itself(hook: str) -> None:
    summary, _, rest = (inspect.getdoc(HOOKS[hook]) or "").partition("\n")
    assert summary.endswith(".")
    assert "Example:" in rest
    assert f"@hookimpl\ndef {hook}(" in example(hook)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_of_its_own(hook: str) -> None:
    assert callable(globals().get(f"test_{hook}")), f"write test_{hook}"


@pytest.mark.parametrize("hook", HOOKS)
def test_an_example_takes_the_arguments_of_its_hook(hook: str) -> None:
    module = Plugin(name="example", value=hook, group="vidsuite").load()
    assert list(inspect.signature(getattr(module, hook)).parameters) == list(inspect.signature(HOOKS[hook]).parameters)


def test_every_hook_that_describes_something_has_its_kind_of_spec() -> None:
    observers = {"vidsuite_cell_started", "vidsuite_cell_finished"}
    assert set(SPECS) == set(HOOKS) - observers

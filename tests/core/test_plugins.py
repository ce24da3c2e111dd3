"""Plugins: each is loaded by itself, and what is wrong with one is reported by name and harms no other."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vidsuite_core import plugins
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.plugins import PluginManager
from vidsuite_core.specs import ModelSpec, TaskSpec, resolve
from vidsuite_core.suite import Suite, load

Write = Callable[..., EntryPoint]

HEADER = """
from vidsuite_core import ModelSpec, TaskSpec, hookimpl
vidsuite_api = 1
def model(name):
    return ModelSpec(name=name, summary="a model", task="clip_classification")
"""
GOOD = """
@hookimpl
def vidsuite_models():
    return [model("net"), model("other_net")]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Write:
    """Writes a plugin module and returns its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    prefix = "".join(sign if sign.isalnum() else "_" for sign in request.node.name)

    def write_plugin(name: str, body: str = GOOD, header: str = HEADER) -> EntryPoint:
        module = f"{prefix}_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{module}.py").write_text(header + textwrap.dedent(body))
        return EntryPoint(name=name, value=module, group=plugins.GROUP)

    return write_plugin


def reasons(suite: Suite) -> dict[str, str]:
    return {fault.plugin: fault.reason for fault in suite.faults}


def suite_of(*entries: EntryPoint, only: str | None = None) -> Suite:
    return Suite(PluginManager(only, entries))


def models_of(suite: Suite) -> list[str]:
    """The models that plugins bring, beside the core's own."""
    return [name for name in suite.models if not name.startswith("core/")]


BAD = {
    "import_error": ("import no_such_module_anywhere", "cannot be imported: ModuleNotFoundError"),
    "syntax_error": ("def f(:\n", "cannot be imported: SyntaxError"),
    "exits": ("raise SystemExit('no GPU here')", "cannot be imported: SystemExit: no GPU here"),
    "leaves_pytest": ("import pytest\npytest.exit('not here')", "cannot be imported: Exit: not here"),
    "panics": (
        "class PanicException(BaseException): pass\nraise PanicException('index out of\\n bounds')",
        "cannot be imported: PanicException: index out of bounds",
    ),
    "exits_in_a_hook": (
        "@hookimpl\ndef vidsuite_models(): raise SystemExit(3)",
        "vidsuite_models failed: SystemExit: 3",
    ),
    "misspelt": (
        "@hookimpl\ndef vidsuite_model(): return []",
        "implements 'vidsuite_model', which is no hook; did you mean 'vidsuite_models'?",
    ),
    "unmarked": ("def vidsuite_models(): return []", "defines 'vidsuite_models' without marking it; put @hookimpl"),
    "wrong_argument": ("@hookimpl\ndef vidsuite_cell_started(sell): pass", "PluginValidationError"),
    "other_api": ("vidsuite_api = 99", "is written for plugin API 99, this vidsuite has 1"),
    "no_api": ("del vidsuite_api", "does not say which plugin API it is written for; add 'vidsuite_api = 1'"),
    "raises": ("@hookimpl\ndef vidsuite_models(): raise RuntimeError('boom')", "failed: RuntimeError: boom"),
    "returns_none": ("@hookimpl\ndef vidsuite_models(): pass", "vidsuite_models failed: TypeError"),
    "no_spec": ("@hookimpl\ndef vidsuite_models(): return ['net']", "returned str, which is no ModelSpec"),
    "other_spec": (
        "@hookimpl\ndef vidsuite_models(): return [TaskSpec(name='t', summary='', builder='a:b')]",
        "vidsuite_models returned TaskSpec, which is no ModelSpec",
    ),
    "bad_name": ("@hookimpl\ndef vidsuite_models(): return [model('My Net')]", "'My Net' is not lower-case letters"),
    "name_of_no_text": ("@hookimpl\ndef vidsuite_models(): return [model(5)]", "name 5 is not lower-case"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_plugin_is_reported_by_name_with_its_reason_and_the_good_one_works(kind: str, write: Write) -> None:
    body, reason = BAD[kind]
    suite = suite_of(write("bad", body), write("good"))
    assert list(reasons(suite)) == ["bad"]
    assert reason in reasons(suite)["bad"]
    assert "\n" not in reasons(suite)["bad"]
    assert models_of(suite) == ["good/net", "good/other_net"]


def test_all_bad_plugins_at_once_leave_the_good_one(write: Write) -> None:
    suite = suite_of(write("good"), *(write(f"bad_{kind}", body) for kind, (body, _) in BAD.items()))
    assert set(reasons(suite)) == {f"bad_{kind}" for kind in BAD}
    assert models_of(suite) == ["good/net", "good/other_net"]
    assert "core/clip_classification" in suite.tasks


def test_a_name_given_twice_is_reported_and_the_first_stays(write: Write) -> None:
    body = """
        @hookimpl
        def vidsuite_models():
            return [model("net"), ModelSpec(name="net", summary="second", task="t")]
    """
    suite = suite_of(write("twice", body))
    assert reasons(suite) == {"twice": "vidsuite_models names 'net' twice; the second is left out"}
    assert suite.models["net"].spec.summary == "a model"


def test_a_plugin_keeps_what_is_good_beside_one_bad_hook_or_spec(write: Write) -> None:
    body = """
        @hookimpl
        def vidsuite_models():
            return [model("net"), "junk"]
        @hookimpl
        def vidsuite_weights():
            raise OSError("disk gone")
    """
    suite = suite_of(write("half", body))
    assert models_of(suite) == ["half/net"]
    assert [fault.reason.split()[0] for fault in suite.faults] == ["vidsuite_models", "vidsuite_weights"]


def test_two_entry_points_of_one_name_load_the_first_and_report_the_second(write: Write) -> None:
    first, second = write("same"), write("same", GOOD.replace("net", "web"))
    suite = suite_of(first, second)
    assert models_of(suite) == ["same/net", "same/other_net"]
    assert second.value in reasons(suite)["same"]


def test_an_entry_point_that_is_found_twice_is_one_plugin(write: Write) -> None:
    entry = write("same")
    again = EntryPoint(name=entry.name, value=entry.value, group=entry.group)  # as by a stale dist-info
    suite = suite_of(entry, again)
    assert suite.faults == []
    assert models_of(suite) == ["same/net", "same/other_net"]


def test_ctrl_c_while_a_plugin_is_imported_is_ctrl_c(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        suite_of(write("slow", "raise KeyboardInterrupt"))


def test_what_plugins_print_goes_to_standard_error(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    entry = write("chatty", f"print('hello from import')\n{GOOD}    print('never')\n".replace(
        "    return", "    print('hello from a hook')\n    return"
    ))  # fmt: skip
    lazy = write("lazy", "print('hello from a builder')\nThing = int")
    suite = suite_of(entry)
    assert resolve(f"{lazy.value}:Thing") is int
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line for line in printed.err.splitlines() if "hello" in line] == [
        "hello from import", "hello from a hook", "hello from a builder",
    ]  # fmt: skip
    assert models_of(suite) == ["chatty/net", "chatty/other_net"]


def test_a_builder_that_exits_is_an_error_of_a_line(write: Write) -> None:
    entry = write("leaves", "raise SystemExit(2)")
    with pytest.raises(VidsuiteError, match="SystemExit: 2; check the plugin"):
        resolve(f"{entry.value}:thing")


def test_a_plugin_cannot_take_the_cores_name(write: Write) -> None:
    suite = suite_of(write("core"))
    assert "loaded already" in reasons(suite)["core"]
    assert len(suite.tasks) == 4


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "two words", "x" * 101])
def test_a_plugin_name_that_could_not_name_a_folder_is_refused(name: str, write: Write) -> None:
    suite = suite_of(write(name), write("good"))
    assert "rename its entry point" in reasons(suite)[name]
    assert suite.models.of_plugin(name) == []


def test_only_loads_one_plugin_and_the_core(write: Write) -> None:
    suite = suite_of(write("good"), write("bad", "1 / 0"), only="good")
    assert suite.faults == []
    assert [plugin.name for plugin in suite.manager.plugins] == ["core", "good"]


def test_only_does_not_import_the_others(write: Write, tmp_path: Path) -> None:
    trap = write("trap", f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    suite_of(write("good"), trap, only="good")
    assert not (tmp_path / "imported").exists()


def test_only_names_what_comes_close(write: Write) -> None:
    with pytest.raises(UsageError, match=r"no plugin 'goood' is installed; did you mean 'good'\?"):
        suite_of(write("good"), only="goood")
    with pytest.raises(UsageError, match=r"no plugin 'zzz' is installed; there are: good"):
        suite_of(write("good"), only="zzz")


def test_names_with_and_without_the_plugin_part(write: Write) -> None:
    suite = suite_of(write("good"), write("more", GOOD.replace("other_net", "third_net")))
    assert suite.models["good/net"].key == "good/net"
    assert suite.models["third_net"].key == "more/third_net"
    with pytest.raises(UsageError, match=r"model 'net' is ambiguous: good/net, more/net"):
        suite.models["net"]


@pytest.mark.parametrize("wrong", ["othr_net", "good/othr_net", "other_nets", "goood/other_net"])
def test_an_unknown_name_is_met_with_a_suggestion(wrong: str, write: Write) -> None:
    with pytest.raises(UsageError, match=rf"no model '{wrong}'; did you mean '(good/)?other_net'\?"):
        suite_of(write("good")).models[wrong]


def test_an_unknown_name_that_is_like_none_lists_all(write: Write) -> None:
    with pytest.raises(UsageError, match="there are: core/prior, good/net, good/other_net"):
        suite_of(write("good")).models["zzz"]


def test_a_hook_may_be_implemented_under_another_function_name(write: Write) -> None:
    body = "@hookimpl(specname='vidsuite_models')\ndef my_models(): return [model('net')]"
    assert models_of(suite_of(write("renamed", body))) == ["renamed/net"]


def test_a_misspelt_specname_is_reported(write: Write) -> None:
    body = "@hookimpl(specname='vidsuite_modles')\ndef my_models(): return []"
    assert "did you mean 'vidsuite_models'?" in reasons(suite_of(write("renamed", body)))["renamed"]


def test_an_object_can_be_a_plugin(write: Write) -> None:
    body = """
        class Plugin:
            vidsuite_api = 1
            @hookimpl
            def vidsuite_models(self):
                return [model("net")]
        plugin = Plugin()
    """
    entry = write("thing", body)
    entry = EntryPoint(name="thing", value=f"{entry.value}:plugin", group=plugins.GROUP)
    assert models_of(suite_of(entry)) == ["thing/net"]


def test_a_failing_observer_is_reported_and_the_others_are_told(write: Write, tmp_path: Path) -> None:
    told = tmp_path / "told"
    bad = write("a_bad", "@hookimpl\ndef vidsuite_cell_started(cell): raise ConnectionError('tracker is down')")
    good = write("b_good", f"@hookimpl\ndef vidsuite_cell_started(cell): open({str(told)!r}, 'a').write(cell)")
    bare = write("c_bare", f"@hookimpl\ndef vidsuite_cell_started(): open({str(told)!r}, 'a').write('!')")
    manager = PluginManager(entries=[bad, good, bare])
    manager.notify("vidsuite_cell_started", cell="x")
    manager.notify("vidsuite_cell_started", cell="y")
    assert told.read_text() == "x!y!"
    assert [(f.plugin, f.reason) for f in manager.faults] == [
        ("a_bad", "vidsuite_cell_started failed: ConnectionError: tracker is down")
    ]


def test_the_installed_plugins_load_without_fault() -> None:
    suite = load()
    assert suite.faults == []
    assert "seizure_i3d" in {plugin.name for plugin in suite.manager.plugins}


def test_resolve_says_what_cannot_be_loaded_and_why(write: Write) -> None:
    entry = write("broken", "raise ValueError('bad config')")
    with pytest.raises(VidsuiteError, match=r"cannot load '.*:build': ValueError: bad config; check the plugin"):
        resolve(f"{entry.value}:build")
    with pytest.raises(VidsuiteError, match=r"cannot load 'vidsuite_core\.specs:nothing'"):
        resolve("vidsuite_core.specs:nothing")
    with pytest.raises(VidsuiteError, match="cannot load 'no_such_module_anywhere:x'"):
        resolve("no_such_module_anywhere:x")
    assert resolve("vidsuite_core.specs:ModelSpec") is ModelSpec


@pytest.mark.parametrize("name", ["Upper", "1st", "with-dash", "a/b", "", "ü", "name\n"])
def test_spec_names_are_refused_that_would_not_fit_keys_and_files(name: str) -> None:
    with pytest.raises(VidsuiteError, match="lower-case letters, digits and underscores"):
        TaskSpec(name=name, summary="", builder="a:b")

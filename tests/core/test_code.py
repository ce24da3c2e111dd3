"""The identity of code: by content, however a plugin's entry point is written, and of the core what decides scores."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import vidsuite_core
from vidsuite_core.benchmark import DatasetEntry
from vidsuite_core.plugins import PluginManager
from vidsuite_core.results.cell import Cell
from vidsuite_core.runner.bench import BenchOptions, Session, Silent
from vidsuite_core.suite import Suite
from vidsuite_core.support import code

HERE = {"sources": "a" * 64}


@pytest.fixture(autouse=True)
def looked_up_anew() -> Iterator[None]:
    code._core.cache_clear()
    code._of_plugin.cache_clear()
    yield
    code._core.cache_clear()
    code._of_plugin.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"NAME = {name!r}\n")


def sources(*modules: str, distribution: str = "", **more: set[Path]) -> str:
    code._of_plugin.cache_clear()
    return code.of_plugin(modules, distribution, **more)["sources"]


LAYOUTS = {
    "package": ["lab/__init__.py", "lab/models.py", "lab/deep/__init__.py", "lab/deep/net.py", "lab/table.json"],
    "module": ["lab.py"],
    "namespace": ["lab/hooks.py", "lab/models.py"],
}


@pytest.mark.parametrize(
    ("layout", "entry"),
    [
        ("package", "lab"),
        ("package", "lab:hooks"),
        ("package", "lab.deep"),
        ("package", "lab.deep.net:Hooks"),
        ("package", "lab.models"),
        ("module", "lab"),
        ("module", "lab:hooks"),
        ("namespace", "lab.hooks"),
        ("namespace", "lab.hooks:hooks"),
    ],
)
def test_any_file_of_a_plugin_decides_however_its_entry_point_is_written(site: Path, layout: str, entry: str) -> None:
    write(site, *LAYOUTS[layout])
    before = sources(entry)
    assert len(before) == 64
    assert sources(entry) == before
    for name in LAYOUTS[layout]:
        (site / name).write_text("changed = True\n")
        after = sources(entry)
        assert after != before, name
        before = after


def test_what_is_no_code_decides_nothing(site: Path) -> None:
    write(site, *LAYOUTS["package"])
    before = sources("lab")
    write(site, "lab/README.md", "lab/__pycache__/models.pyc", "lab/.cache/x.py", "other.py", "lab/paper.yaml")
    assert sources("lab", besides={site / "lab" / "paper.yaml"}) == before
    assert sources("lab") != before


def test_what_builders_name_elsewhere_decides_too_and_libraries_do_not(site: Path) -> None:
    write(site, "hooks.py", "networks.py")
    alone = sources("hooks")
    assert sources("hooks", "networks:Net") != alone
    assert sources("hooks", "mmengine.model:BaseModel", "torch.nn:Linear") == alone
    assert sources("hooks", "vidsuite_core.tasks.clip_classification:ClipClassification") == alone


@pytest.mark.parametrize("told_by", ["top_level.txt", "RECORD"])
def test_all_that_a_distribution_brings_decides(site: Path, told_by: str) -> None:
    write(site, "hooks.py", "lab_networks/__init__.py", "lab_networks/net.py")
    info = site / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    before = sources("hooks", distribution="lab")
    listed = {"top_level.txt": "hooks\nlab_networks\n", "RECORD": "hooks.py,,\nlab_networks/net.py,,\n"}[told_by]
    (info / told_by).write_text(listed)
    whole = sources("hooks", distribution="lab")
    assert whole != before
    write(site, "lab_networks/more.py")
    assert sources("hooks", distribution="lab") != whole
    assert code.of_plugin(["hooks"], "lab")["version"] == "1.0"


def test_sources_that_cannot_be_found_are_unknown_and_never_the_same(site: Path) -> None:
    assert sources("nowhere_to_be_found.at_all:hooks") == code.UNKNOWN
    sys.modules["made_up"] = type(sys)("made_up")
    assert sources("made_up") == code.UNKNOWN
    del sys.modules["made_up"]
    unknown = {"core": HERE, "lab": {"sources": code.UNKNOWN}}
    assert not code.same_code(unknown, unknown)
    assert not code.same_code({"core": {"version": "1"}}, {"core": {"version": "1"}})
    assert code.same_code({"core": HERE}, {"core": {**HERE, "commit": "another"}})
    assert not code.same_code({"core": HERE}, {"core": HERE, "lab": HERE})


def test_our_plugins_stand_for_themselves() -> None:
    folder = Path(vidsuite_core.__file__).parents[1] / "plugins"
    for entry in ("vidsuite_plugins.seizure_i3d", "vidsuite_plugins.seizure_i3d.synthetic:Ward"):
        assert code._place(entry.partition(":")[0]) == folder / "seizure_i3d"
    assert sources("vidsuite_plugins.seizure_i3d", distribution="vidsuite") != sources(
        "vidsuite_plugins.driving_fanet", distribution="vidsuite"
    )


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the core that is taken for it."""
    copy = tmp_path / "vidsuite_core"
    shutil.copytree(Path(vidsuite_core.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "_place", lambda module: copy)
    return copy


def of_core() -> str:
    code._core.cache_clear()
    return code.of_core()["sources"]


def test_of_the_core_what_decides_scores_counts_and_what_is_new_does(core: Path) -> None:
    before = of_core()
    for name in ("engine/cell.py", "tasks/base.py", "media/decoder.py", "protocols.py", "support/cache.py"):
        path = core / name
        path.write_text(path.read_text() + "\n# changed\n")
        after = of_core()
        assert after != before, name
        before = after
    write(core, "brand_new_room/of_networks.py")
    assert of_core() != before


def test_an_edit_elsewhere_in_the_core_reruns_nothing(core: Path) -> None:
    before = of_core()
    for name in (
        "results/tables.py", "results/summary.py", "cli/progress.py", "runner/schedule.py", "suite.py", "cli/new.py",
    ):  # fmt: skip
        path = core / name
        path.write_text((path.read_text() if path.is_file() else "") + "\n# changed\n")
        assert of_core() == before, name


def test_every_part_of_the_core_that_is_named_is_there() -> None:
    root = Path(vidsuite_core.__file__).parent
    assert [name for name in (*code._SCORELESS, *code._SCORING) if not (root / name).exists()] == []


def plan(suite: Suite, root: Path, **options: object) -> list[tuple[Cell, dict[str, dict[str, str]]]]:
    code._of_plugin.cache_clear()
    session = Session(suite, BenchOptions(data=root, devices="cpu", **options), Silent())  # type: ignore[arg-type]
    return [(entry.cell, dict(entry.code)) for entry in session.plan([0])]


def another_plugin(site: Path, name: str, text: str) -> None:
    (site / f"{name}.py").write_text(f"from vidsuite_core import *\nvidsuite_api = 1\n{text}")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vidsuite]\n{name} = {name}\n")


TASK = """
from vidsuite_core.tasks.clip_classification import ClipClassification
class Mine(ClipClassification):
    name = "mine"
@hookimpl
def vidsuite_tasks():
    return [TaskSpec(name="mine", summary="mine", builder="askers:Mine")]
"""
MIXED = """
from pathlib import Path
@hookimpl
def vidsuite_models():
    import vidsuite_toy
    return [ModelSpec(name="net", summary="net", task="mine", config=vidsuite_toy.HERE / "config.py")]
@hookimpl
def vidsuite_datasets():
    return [DatasetSpec(name="blobs", summary="b", task="mine", builder="vidsuite_toy.data:Blobs", licence="CC0")]
@hookimpl
def vidsuite_benchmarks():
    definition = Path(__file__).with_name("mixed.yaml")
    return [BenchmarkSpec(name="mixed", summary="mixed", task="mine", definition=definition)]
"""
DEFINITION = """
protocol: {type: grouped_kfold, folds: 2}
datasets: {blobs: {default: true, presets: {paper: {subjects: 8}}}}
models: [net]
presets: {quick: {}, paper: {}}
"""


def test_a_cells_code_is_that_of_its_task_its_dataset_and_its_model(
    site: Path, toy_env: dict[str, str], toy_path: Path, tmp_path: Path
) -> None:
    another_plugin(site, "askers", TASK)
    another_plugin(site, "mixed", MIXED)
    (site / "mixed.yaml").write_text(DEFINITION)
    suite = Suite(PluginManager())
    (cell, found), *_ = plan(suite, tmp_path / "data", benchmark="mixed/mixed")
    assert cell.task == "mine"
    assert set(found) == {"core", "askers", "mixed"}
    (site / "askers.py").write_text((site / "askers.py").read_text() + "\n# another rule for ties\n")
    changed = plan(suite, tmp_path / "data", benchmark="mixed/mixed")[0][1]
    assert [name for name in found if changed[name]["sources"] != found[name]["sources"]] == ["askers"]
    (site / "mixed.yaml").write_text(DEFINITION + "summary: the definition is part of the score id, not of the code\n")
    assert plan(suite, tmp_path / "data", benchmark="mixed/mixed")[0][1] == changed


def test_anothers_dataset_of_the_same_name_gets_none_of_a_benchmarks_options(
    site: Path, toy_env: dict[str, str], tmp_path: Path
) -> None:
    text = MIXED.replace("mine", "clip_classification")
    another_plugin(site, "other", text.replace('"mixed"', '"more"').replace("mixed.yaml", "other.yaml"))
    (site / "other.yaml").write_text(
        DEFINITION.replace("blobs:", "toy/blobs:")
        .replace("}}}}", "}}, cfg: {selection: last}}}")
        .replace("net", "tiny")
    )
    suite = Suite(PluginManager(entries=[e for e in entry_points(group="vidsuite") if e.name in ("toy", "other")]))
    toy, other = (suite.benchmarks[name].definition() for name in ("toy/direction", "other/more"))
    assert toy.options("toy/blobs", "paper") == {"subjects": 8}
    assert toy.options("other/blobs", "paper") == {}
    assert other.dataset("other/blobs") == DatasetEntry()
    assert other.options("toy/blobs", "paper") == {"subjects": 8}
    assert other.protocol_of("toy/blobs", "quick")["folds"] == 2
    foreign = plan(suite, tmp_path / "a", benchmark="toy/direction", dataset="other/blobs", preset="paper")
    own = plan(suite, tmp_path / "b", benchmark="toy/direction", preset="paper")
    assert {cell.dataset for cell, _ in foreign} == {"other/blobs"}
    assert foreign[0][0].score_key["dataset"] != own[0][0].score_key["dataset"]

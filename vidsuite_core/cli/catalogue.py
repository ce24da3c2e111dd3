"""`vidsuite list` and `vidsuite show`: what the plugins bring."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any

import click

from vidsuite_core.cli import about
from vidsuite_core.cli.about import lines
from vidsuite_core.cli.output import answer
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.plugins import Registered
from vidsuite_core.suite import Suite, load

KINDS = ("plugins", "tasks", "datasets", "models", "benchmarks", "backends")
_SHOWN = ("tasks", "datasets", "models", "benchmarks", "weights", "backends")


@click.command("list")
@click.argument("kind", default="benchmarks", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(kind: str, as_json: bool) -> int:
    """List plugins, tasks, datasets, models, benchmarks (the default) or back ends."""
    suite = load()
    rows = _plugins(suite) if kind == "plugins" else [_row(row) for row in getattr(suite, kind).values()]
    if as_json:
        faults = [dataclasses.asdict(fault) for fault in suite.faults]
        answer({kind: rows, "left_out": faults})
        return 0
    others = ", ".join(other for other in KINDS if other != kind)
    click.echo(f"{kind} (there are also: {others})" if rows else f"there are no {kind}")
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['summary']}")
    for fault in suite.faults:
        click.echo(f"plugin {fault.plugin} is left out: {fault.reason}", err=True)
    return 0


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> int:
    """Show what is known of a task, dataset, model, benchmark, weights, back end or plugin."""
    suite = load()
    found = _find(suite, name)
    if as_json:
        answer(found)
        return 0
    for entry in found:
        click.echo("\n".join(lines(entry)) + "\n")
    return 0


def _plugins(suite: Suite) -> list[dict[str, Any]]:
    return [
        {
            "name": plugin.name,
            "summary": f"{plugin.distribution} {plugin.version}".strip(),
            "module": plugin.module,
        }
        for plugin in suite.manager.plugins
    ]


def _row(row: Registered[Any]) -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(row.spec).items() if name not in ("name", "summary")}
    return {"name": row.key, "summary": row.spec.summary, **{name: _plain(value) for name, value in fields.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value if isinstance(value, bool | int) or value is None else str(value)


_ABOUT: dict[str, Callable[[Suite, Any], dict[str, Any]]] = {
    "tasks": about.of_task,
    "datasets": about.of_dataset,
    "models": about.of_model,
    "benchmarks": about.of_benchmark,
    "backends": about.of_backend,
}


def _find(suite: Suite, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind in _SHOWN:
        catalogue = getattr(suite, kind)
        for row in catalogue.values():
            if name in (row.key, row.spec.name):
                found.append({"kind": catalogue.kind, **_row(row), **_more(suite, kind, row)})
    for plugin in _plugins(suite):
        if plugin["name"] == name:
            found.append({"kind": "plugin", **plugin, **_brought(suite, name)})
    if found:
        return found
    names = [row.key for kind in _SHOWN for row in getattr(suite, kind).values()]
    close = difflib.get_close_matches(name, [*names, *(n.rpartition("/")[2] for n in names)], n=1)
    raise UsageError(
        f"nothing is called {name!r}" + (f"; did you mean {close[0]!r}?" if close else "; see 'vidsuite list'")
    )


def _more(suite: Suite, kind: str, row: Any) -> dict[str, Any]:
    """What is known beyond the spec; a plugin's own code may fail to tell it."""
    if kind not in _ABOUT:
        return {}
    try:
        return _ABOUT[kind](suite, row)
    except Exception as error:
        return {"fault": f"no more is known: {error}" if isinstance(error, VidsuiteError) else repr(error)}


def _brought(suite: Suite, plugin: str) -> dict[str, list[str]]:
    kinds = ("datasets", "models", "benchmarks", "weights")
    return {kind: [row.spec.name for row in getattr(suite, kind).of_plugin(plugin)] for kind in kinds}

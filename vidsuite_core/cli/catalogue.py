"""`vidsuite list` and `vidsuite show`: what the plugins bring."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from vidsuite_core.errors import UsageError
from vidsuite_core.plugins import Registered
from vidsuite_core.suite import Suite, load

KINDS = ("plugins", "tasks", "datasets", "models", "benchmarks")


@click.command("list")
@click.argument("kind", default="benchmarks", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(kind: str, as_json: bool) -> int:
    """List plugins, tasks, datasets, models or benchmarks (the default)."""
    suite = load()
    rows = _plugins(suite) if kind == "plugins" else [_row(row) for row in getattr(suite, kind).values()]
    if as_json:
        faults = [dataclasses.asdict(fault) for fault in suite.faults]
        click.echo(json.dumps({kind: rows, "left_out": faults}, indent=1))
        return 0
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
    """Show what is known of a task, dataset, model, benchmark, weights or plugin."""
    suite = load()
    found = _find(suite, name)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return 0
    for entry in found:
        for field, value in entry.items():
            if value not in ("", None, [], {}):
                text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
                click.echo(f"{field:<12} {text}")
        click.echo("")
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
    plain = {
        name: value if isinstance(value, bool | int | tuple) or value is None else str(value)
        for name, value in fields.items()
    }
    return {"name": row.key, "summary": row.spec.summary, **plain}


def _find(suite: Suite, name: str) -> list[dict[str, Any]]:
    found = []
    for kind in ("tasks", "datasets", "models", "benchmarks", "weights"):
        catalogue = getattr(suite, kind)
        for row in catalogue.values():
            if name in (row.key, row.spec.name):
                entry = {"kind": catalogue.kind, **_row(row)}
                if kind == "benchmarks":
                    entry["definition_fields"] = dict(row.definition())
                found.append(entry)
    for plugin in _plugins(suite):
        if plugin["name"] == name:
            found.append({"kind": "plugin", **plugin})
    if not found:
        names = [
            row.key
            for kind in ("tasks", "datasets", "models", "benchmarks", "weights")
            for row in getattr(suite, kind).values()
        ]
        import difflib

        close = difflib.get_close_matches(name, [*names, *(n.rpartition("/")[2] for n in names)], n=1)
        raise UsageError(
            f"nothing is called {name!r}" + (f"; did you mean {close[0]!r}?" if close else "; see 'vidsuite list'")
        )
    return found

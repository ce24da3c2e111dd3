"""How to submit results and to reproduce them, what is checked, and the JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from vidsuite_core.support.ids import digest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from vidsuite_leaderboard.site import Page, Site

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def pages(site: Site) -> Iterator[Page]:
    """`submit.html`, and `schema/<kind>.schema.json` of results, submissions and reproductions."""
    from vidsuite_leaderboard.site import Page

    models = schemas()
    for kind, model in models.items():
        path = schema_path(kind)
        yield Page(path, digest([path, schema_text(model)]), partial(schema_text, model))
    facts = _facts()

    def context() -> dict[str, Any]:
        return {**facts, "schemas": {kind: schema_path(kind) for kind in models}}

    yield site.page("submit.html", "submit.html", facts, context)


def schemas() -> Mapping[str, type[BaseModel]]:
    """What has a schema, by kind."""
    from vidsuite_core.results.record import Record
    from vidsuite_core.runner.reproduce import Reproduction
    from vidsuite_leaderboard.submit.submission import Submission

    return {"result": Record, "submission": Submission, "reproduction": Reproduction}


def schema_path(kind: str) -> str:
    """Where the schema of `kind` lies on the site."""
    return f"schema/{kind}.schema.json"


def schema_text(model: type[BaseModel]) -> str:
    """A model's JSON Schema."""
    return json.dumps({"$schema": DIALECT, **model.model_json_schema()}, indent=1, ensure_ascii=False) + "\n"


def _facts() -> dict[str, Any]:
    """Limits that the page tells, in the units that it uses."""
    from vidsuite_core.runner.reproduce import SEEDS
    from vidsuite_leaderboard.submit.packfile import MAX_ATTEMPTS, MAX_PACK, MAX_UNPACKED

    return {
        "attempts": MAX_ATTEMPTS,
        "packed": MAX_PACK >> 30,
        "unpacked": MAX_UNPACKED >> 30,
        "seeds": SEEDS,
    }

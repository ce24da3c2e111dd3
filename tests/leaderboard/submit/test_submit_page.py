"""The page that says how to hand in results, and its schemas."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest
from called import vidsuite
from submissions import good

import vidsuite_core as vs
from vidsuite_core.results.store import RESULT
from vidsuite_leaderboard import site
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.submit.submission import SUBMISSION


def test_the_schemas_describe_what_is_written(suite: vs.Suite, results: Path, whole: Path, tmp_path: Path) -> None:
    import jsonschema

    from vidsuite_leaderboard.pages.submit import schema_text, schemas

    models = {kind: json.loads(schema_text(model)) for kind, model in schemas().items()}
    jsonschema.validate(json.loads((good(results).path / RESULT).read_text()), models["result"])
    with zipfile.ZipFile(whole) as archive:
        jsonschema.validate(json.loads(archive.read(SUBMISSION)), models["submission"])
    for model in models.values():
        jsonschema.Draft202012Validator.check_schema(model)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"unknown": 1}, model)


def test_the_page_tells_every_command_as_it_is(
    suite: vs.Suite, results: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(site, "PAGES", ("submit",))
    site.build(suite, [Source(results)], tmp_path / "site", progress=lambda *_: None, workers=1)
    text = (tmp_path / "site" / "submit.html").read_text()
    lines = [
        line
        for block in re.findall(r"<pre class=\"command\"><code>(.*?)</code>", text, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line.replace("&#34;", '"'))
        assert vidsuite(*words[1:], "--help").returncode == 0, line
        options = [word for word in words if word.startswith("--")]
        helped = vidsuite(*[w for w in words[1:3] if w.isalpha()], "--help").stdout
        assert all(option in helped for option in options), line
    for kind in ("result", "submission", "reproduction"):
        assert f'href="schema/{kind}.schema.json"' in text
        assert json.loads((tmp_path / "site" / "schema" / f"{kind}.schema.json").read_text())["$schema"]

"""Style sheet and scripts: the site's own, and DataTables out of the installed package itables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError

if TYPE_CHECKING:
    from vidsuite_leaderboard.site import Page, Site

OWN = Path(__file__).parent.parent / "assets"
_EXPORT = re.compile(r"export\{([^{}]*)\};?")


def pages(site: Site) -> Iterator[Page]:
    """Every file below `assets/`."""
    from vidsuite_leaderboard.site import Page

    for path in sorted(OWN.iterdir()):
        yield Page(f"assets/{path.name}", path.name, path.read_bytes)
    yield Page("assets/datatables.js", _version(), _datatables_script)
    yield Page("assets/datatables.css", _version(), lambda: (_itables() / "dt_bundle.css").read_bytes())


def _datatables_script() -> str:
    """itables' bundle as a plain script, which a page opened from a disk may load: modules may not be loaded there."""
    text = (_itables() / "dt_bundle.js").read_text(encoding="utf-8")
    exports = list(_EXPORT.finditer(text))
    if not exports:
        raise VidsuiteError("itables' bundle has no exports; install the version that pyproject.toml names")
    last = exports[-1]
    names = {new: old for old, _, new in (part.strip().partition(" as ") for part in last[1].split(","))}
    if not {"default", "jQuery"} <= names.keys():
        raise VidsuiteError("itables' bundle exports no DataTable; install the version that pyproject.toml names")
    body = text[: last.start()] + text[last.end() :]
    return f"(function(){{{body}\n;window.DataTable={names['default']};window.jQuery={names['jQuery']};}})();\n"


@cache
def _itables() -> Path:
    from importlib.util import find_spec

    found = find_spec("itables")
    if found is None or found.origin is None:
        raise VidsuiteError("itables is not installed, whose tables the site uses; pip install 'vidsuite[site]'")
    return Path(found.origin).parent / "html"


def _version() -> str:
    from importlib.metadata import version

    return f"itables {version('itables')}"

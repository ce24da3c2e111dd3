"""Style sheets and scripts: the site's own, and DataTables out of the installed package itables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.litter import entries

if TYPE_CHECKING:
    from vidsuite_leaderboard.site import Page, Site

OWN = Path(__file__).parent.parent / "assets"
_EXPORT = re.compile(r"export\{([^{}]*)\};?")
_CORE_ENDS = re.compile(r"\.fn\.DataTable\[(\w+)\]=\w+\}\);var \w+=\w+;var (\w+)=\w+;")
"""Where itables' bundle has defined DataTables, and begins with its extensions, which no page here uses."""
_LICENCES = "/*! Bundled license information"


def pages(site: Site) -> Iterator[Page]:
    """Every file below `assets/`."""
    from vidsuite_core.support.ids import digest
    from vidsuite_leaderboard.site import Page

    for path in entries(OWN):
        yield Page(f"assets/{path.name}", digest(path.read_text(encoding="utf-8")), path.read_bytes)
    yield Page("assets/datatables.js", _version(), datatables_script)


def datatables_script() -> str:
    """itables' bundle as a plain script, which a page opened from a disk may load: modules may not be loaded there.

    Of the 600 kB only jQuery and DataTables itself are kept (280 kB), where their end is found.
    """
    text = (_itables() / "dt_bundle.js").read_text(encoding="utf-8")
    exports = list(_EXPORT.finditer(text))
    if not exports:
        raise VidsuiteError("itables' bundle has no exports; install the version that pyproject.toml names")
    last = exports[-1]
    names = {new: old for old, _, new in (part.strip().partition(" as ") for part in last[1].split(","))}
    if not {"default", "jQuery"} <= names.keys():
        raise VidsuiteError("itables' bundle exports no DataTable; install the version that pyproject.toml names")
    table = names["default"]
    body, licences = text[: last.start()], text[last.end() :]
    core = _CORE_ENDS.search(body)
    if core is not None and _LICENCES in licences:
        body, table = body[: core.end()], core[2]
    return f"(function(){{{body}\n;window.DataTable={table};window.jQuery={names['jQuery']};}})();\n{licences}"


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

"""What holds of every kind of page: no dead link, nothing inline, no finding of axe-core, no sideways scrolling."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from vidsuite_leaderboard.site import Built

KINDS = (
    "index.html", "all.html", "benchmarks/*.html", "tasks/*.html", "plots/*.html", "entries/*i3d_lstm_fc*.html",
    "papers/seizure*.html", "devices.html", "compare.html", "submit.html", "changes.html",
)  # fmt: skip


def first(site: Path, kind: str) -> Path:
    return sorted(site.glob(kind))[-1]


class Links(HTMLParser):
    """What a page refers to, and what the Content-Security-Policy would refuse."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.refused: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids |= {value for value in (named.get("id"),) if value}
        self.found += [value for name in ("href", "src", "xlink:href") if (value := named.get(name))]
        inline = tag == "style" or (tag == "script" and "src" not in named)
        self.refused += [tag] if inline or any(n == "style" or n.startswith("on") for n in named) else []


def test_every_link_leads_somewhere_and_nothing_is_inline(built: Built) -> None:
    pages = {page.resolve(): Links(page) for page in built.out.rglob("*.html")}
    assert len(pages) > 15
    dead = []
    for page, links in pages.items():
        assert links.refused == [], page
        for link in links.found:
            assert not re.match(r"[a-z]+:|//", link) or link.startswith("data:"), (page, link)
            path, _, fragment = link.partition("#")
            target = (page.parent / unquote(path)).resolve() if path else page
            known = target in pages and fragment and "=" not in fragment and fragment not in pages[target].ids
            dead += [(page.name, link)] if not target.is_file() or known else []
    assert dead == []


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(kind: str, built: Built, open_page: Callable[..., Any]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page = open_page(first(built.out, kind), color_scheme=scheme, bypass_csp=True).page
        found = Axe().run(page, options={"preload": False}).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_does_not_scroll_sideways(kind: str, built: Built, open_page: Callable[..., Any]) -> None:
    page = open_page(first(built.out, kind), viewport={"width": 360, "height": 740}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

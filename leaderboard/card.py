"""A paper's card: the README of its plugin as HTML, with nothing in it that could run, load or lead astray."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.files import read_regular

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from vidsuite_core.plugins import Plugin

MAX_CARD = 2**20
_SAFE = ("https://", "http://")


def card_of(plugin: Plugin) -> str:
    """The text of the README.md in a plugin's package; "" where the plugin is a single module, or has none."""
    try:
        spec = find_spec(plugin.module.partition(":")[0])
    except (ImportError, ValueError):
        return ""
    for folder in (spec and spec.submodule_search_locations) or []:
        try:
            return read_regular(Path(folder) / "README.md", MAX_CARD).decode(errors="replace")
        except (OSError, VidsuiteError):
            continue
    return ""


def rendered(text: str) -> Markup:
    """Markdown as HTML: raw HTML is shown as text, pictures by their words, and links only where they leave the site.

    Headings are one level lower, as the page has a title of its own.
    """
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        _adapt(token)
        if token.children:
            token.children = _inline(token.children)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - raw HTML is off, links are checked


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    opened = '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="plain">\n'
    parser.add_render_rule("table_open", lambda *_: opened)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    for block in ("fence", "code_block"):
        parser.add_render_rule(block, _code)
    return parser


def _code(_: object, tokens: Sequence[Token], place: int, *__: object) -> str:
    """A block of code, which the keyboard can scroll."""
    return f'<pre tabindex="0"><code>{escape(tokens[place].content)}</code></pre>\n'


def _adapt(token: Token) -> None:
    """A block's tag and attributes as the site has them; a style attribute is forbidden by its security policy."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    if token.type in ("th_open", "td_open"):
        style = str(token.attrs.pop("style", ""))
        if "right" in style:
            token.attrSet("class", "number")
        if token.tag == "th":
            token.attrSet("scope", "col")


def _inline(tokens: list[Token]) -> list[Token]:
    """Inline tokens without pictures, and without links to anything but web addresses."""
    from markdown_it.token import Token

    kept: list[Token] = []
    opened: list[bool] = []
    for token in tokens:
        if token.type == "image":
            kept.append(Token("text", "", 0, content=token.content))
        elif token.type == "link_open":
            opened.append(str(token.attrs.get("href", "")).lower().startswith(_SAFE))
            if opened[-1]:
                token.attrSet("rel", "noopener noreferrer")
                kept.append(token)
        elif token.type == "link_close":
            if opened.pop():
                kept.append(token)
        else:
            kept.append(token)
    return kept

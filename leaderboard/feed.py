"""The Atom feed (RFC 4287): what is new among entries, changes and steps.

No address is known when a site is built, so every link is relative: readers resolve it against the address that they
took the feed from (RFC 4287, section 2; RFC 3986, section 5.1.3). Ids are `urn:uuid`s, hashes of what an item is about:
the same item has the same id in every build, and an entry that changes keeps its own with a newer date.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from vidsuite_core.specs import resolve
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.history import newest_steps
from vidsuite_leaderboard.show import score

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.changes import Change
    from vidsuite_leaderboard.entries import Entry
    from vidsuite_leaderboard.history import Step

NEWEST = 50
"""Items of each kind."""
ATOM = "http://www.w3.org/2005/Atom"
_SPACE = uuid.UUID("7f1b7f54-6d0f-5a3b-9c58-2f2b8f3c6a11")


@dataclass(frozen=True)
class Item:
    """One entry of the feed; `link` is relative to it, `updated` ISO 8601."""

    id: str
    title: str
    updated: str
    link: str
    kind: str
    text: str


def newest_entries(board: Board) -> list[Entry]:
    """The entries whose newest attempts are the newest."""
    return sorted(board.entries, key=lambda entry: (entry.created, entry.slug), reverse=True)[:NEWEST]


def feed(board: Board) -> bytes:
    """The feed as a file's bytes."""
    items = [
        *(_of_entry(board, entry) for entry in newest_entries(board)),
        *(_of_change(change) for change in board.changes[:NEWEST]),
        *(_of_step(step) for step in newest_steps(board, NEWEST)),
    ]
    unique = {item.id: item for item in items}
    return document(sorted(unique.values(), key=lambda item: (item.updated, item.id), reverse=True), board.built)


def document(items: Sequence[Item], built: str) -> bytes:
    """An Atom document of `items`, the newest first; one without any is dated `built`."""
    ElementTree.register_namespace("", ATOM)
    root = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(root, "id", _id("feed"))
    _add(root, "title", "vidsuite leaderboard")
    _add(root, "subtitle", "New results, removals and corrections, and steps in scores and speed")
    _add(root, "updated", items[0].updated if items else _instant(built))
    _add(root, "link", rel="self", type="application/atom+xml", href="feed.xml")
    _add(root, "link", rel="alternate", type="text/html", href="index.html")
    _add(_add(root, "author"), "name", "vidsuite leaderboard")
    for item in items:
        entry = _add(root, "entry")
        _add(entry, "id", item.id)
        _add(entry, "title", item.title)
        _add(entry, "updated", item.updated)
        _add(entry, "link", rel="alternate", type="text/html", href=item.link)
        _add(entry, "category", term=item.kind)
        _add(entry, "summary", item.text)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _of_entry(board: Board, entry: Entry) -> Item:
    task = resolve(board.suite.tasks[entry.task].spec.builder)
    title = next(info.title for info in task.scores if info.name == task.first_score)
    found = entry.scores.get(task.first_score)
    parts = [
        entry.status + (f" by {entry.by}" if entry.by else ""),
        f"{entry.done} of {entry.expected} cells",
        *([f"rank {entry.rank}" + (", tied" if entry.tied else "")] if entry.rank else []),
        *([entry.device] if entry.device else []),
        *entry.problems[:3],
    ]
    return Item(
        id=_id("entry", entry.slug),
        title=f"{_name(entry)}: " + (f"{title} {score(found)}" if found else "no score"),
        updated=_instant(entry.created),
        link=f"entries/{entry.slug}.html",
        kind="result",
        text="; ".join(parts),
    )


def _of_change(change: Change) -> Item:
    count = f"{len(change.attempts)} attempt{'s' if len(change.attempts) != 1 else ''}"
    return Item(
        id=_id("change", change.date, change.kind, *change.attempts, change.reason),
        title=f"{change.kind.capitalize()}: {count}",
        updated=_instant(change.date),
        link="changes.html#changes",
        kind="change",
        text=change.reason + (f" ({change.by})" if change.by else ""),
    )


def _of_step(step: Step) -> Item:
    version = f"version {step.after.version}" + (f" ({step.after.commit[:10]})" if step.after.commit else "")
    return Item(
        id=_id("step", step.entry.slug, step.after.date),
        title=f"Step: {_name(step.entry)}",
        updated=_instant(step.after.date),
        link=f"entries/{step.entry.slug}.html#history",
        kind="step",
        text=f"{'; '.join(step.what)} with {version}",
    )


def _name(entry: Entry) -> str:
    return f"{entry.model} on {entry.dataset} ({entry.preset})"


def _id(*parts: str) -> str:
    name = "\0".join(parts).encode(errors="replace").decode()
    return uuid.uuid5(_SPACE, name).urn


def _instant(date: str) -> str:
    """An ISO 8601 date or time as RFC 3339 has it, in UTC."""
    found = datetime.fromisoformat(date)
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
    """A child element; of its text only what is printable, as XML 1.0 allows control characters not even escaped."""
    clean = {key: printable(value) for key, value in attributes.items()}
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", clean)
    child.text = printable(text) or None
    return child

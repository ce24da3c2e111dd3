"""The page of changes and the feed: complete, bounded, stable, and deaf to what strangers write into names."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from board_runs import attempt

from vidsuite_core.suite import Suite
from vidsuite_leaderboard import site as site_module
from vidsuite_leaderboard.board import Board
from vidsuite_leaderboard.collect import Rejected, Source
from vidsuite_leaderboard.feed import ATOM, NEWEST, Item, document, feed
from vidsuite_leaderboard.pages import trust
from vidsuite_leaderboard.site import Site, build

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}"
HOSTILE = f"{ATTACK}\u202egnp.\x1b[31m" + "W" * 60
LSTM = "seizure_i3d/i3d_lstm_fc"


@dataclass(frozen=True)
class Made:
    """A small site, its run folder, and the ids of what was tampered with and removed."""

    out: Path
    runs: Path
    changes: Path
    altered: str
    removed: str

    def again(self, suite: Suite, out: Path) -> None:
        build(suite, [Source(self.runs)], out, progress=lambda *_: None, workers=1, changes=self.changes)


@pytest.fixture(scope="module")
def made(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Steps in score and speed, a hostile model, an altered attempt, and one that the change list removed."""
    root = tmp_path_factory.mktemp("trust")
    runs = root / "runs"
    for day, skill, latency in ((0, 0.5, 0.02), (5, 1.0, 0.09)):
        code = {"core": {"version": "0.1.0", "sources": str(day), "commit": f"{day}abcdef"}}
        for seed in range(3):
            attempt(runs, LSTM, seed=seed, skill=skill, latency=latency, day=day, code=code)
    attempt(runs, f"seizure_i3d/{HOSTILE}")
    altered, gone = (attempt(runs, LSTM, seed=seed, day=9) for seed in (7, 8))
    path = altered.path / "result.json"
    record = json.loads(path.read_text())
    record["scores"]["macro_f1"]["value"] = 0.5
    path.write_text(json.dumps(record))
    changes = root / "changes.yaml"
    listed = {"kind": "removed", "attempts": [gone.record.attempt], "reason": ATTACK, "by": "the maintainers"}
    changes.write_text(f"changes:\n- {{date: 2026-09-20, {json.dumps(listed)[1:-1]}}}\n")
    made = Made(root / "site", runs, changes, altered.record.attempt, gone.record.attempt)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(site_module, "PAGES", ("assets", "trust"))
        made.again(suite, made.out)
        yield made


def board(**fields: Any) -> Board:
    whole = {"suite": None, "entries": [], "reported": [], "draws": {}, "keys": {}, "known": None, "attempts": 9}
    return Board(**{**whole, "built": "2026-10-01T08:00+00:00", **fields})


class TestPage:
    def test_it_tells_what_changed_with_links(self, made, open_page):
        page = open_page(made.out / "changes.html").page
        assert page.locator(".changes li .badge").first.inner_text() == "removed"
        assert made.removed in page.locator(".changes").inner_text()
        left_out = page.locator(".reasons tbody tr")
        assert left_out.count() == 1  # what was removed on purpose stands above, not here
        assert "score macro_f1 is recorded as 0.5, its predictions give" in left_out.inner_text()
        assert made.altered in left_out.inner_text()
        assert "1 of 9 attempts does not count" in page.locator("main").inner_text()
        step = page.locator(".steps tbody tr")
        assert step.count() == 1
        assert re.search(r"score 0\.\d{3} → 1\.000\s+latency on cpu: test 20 ms → 90 ms", step.inner_text())
        assert "5abcdef" in step.inner_text()
        assert re.fullmatch(
            r"entries/seizure_i3d-i3d_lstm_fc-.*\.html#history", step.locator("a").get_attribute("href")
        )

    def test_hostile_text_stays_text(self, made, open_page):
        page = open_page(made.out / "changes.html").page
        assert ATTACK in page.locator(".changes .reason").inner_text()
        assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_fits_a_phone(self, made, open_page, scheme):
        page = open_page(made.out / "changes.html", viewport={"width": 360, "height": 700}, color_scheme=scheme).page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360

    def test_the_whole_list_is_there_as_data(self, made):
        listed = json.loads((made.out / "data" / "left-out.json").read_text())
        assert {(one["path"].rpartition("/")[2], one["removed"]) for one in listed} == {
            (made.altered, False), (made.removed, True),
        }  # fmt: skip

    def test_an_empty_one_says_so(self):
        text = self.rendered(board())
        assert "No published result has been removed" in text
        assert "all 9 attempts agree with their records" in text
        assert "No entry's score or speed has stepped" in text

    def test_thousands_are_grouped_and_bounded(self):
        many = [
            Rejected(f"p/c/{n}", "", f"score auc is recorded as 0.{n}, its predictions give {n}e-3")
            for n in range(5000)
        ]
        kinds = [Rejected(f"p/d/{n}", HOSTILE, "".join(chr(97 + int(d)) for d in str(n)) * 9) for n in range(3000)]
        groups = trust.grouped([*kinds, *many])
        assert (len(groups), len(groups[0].attempts), groups[0].alike) == (3001, 5000, False)
        text = self.rendered(board(rejected=[*kinds, *many], attempts=9000))
        assert len(text) < 300_000
        assert "8,000 of 9,000 attempts do not count" in text
        assert "and 4,900 others, in the JSON file" in text
        assert "and 2,901 other reasons, in the JSON file" in text
        assert "<script>alert" not in text

    def test_equal_reasons_are_one_group(self):
        same = [Rejected(f"p/c/{n}", "", "it is not here") for n in range(3)]
        (group,) = trust.grouped(same)
        assert (group.alike, [one.path for one in group.listed]) == (True, ["p/c/0", "p/c/1", "p/c/2"])

    @staticmethod
    def rendered(board: Board) -> str:
        page = next(page for page in trust.pages(Site(board)) if page.path == "changes.html")
        return str(page.render())

    def test_its_key_is_all_that_it_shows(self):
        def keys(**fields: Any) -> list[str]:
            return [page.key for page in trust.pages(Site(board(**fields)))]

        one = Rejected("p/c/1", "", "why")
        first = keys(rejected=[one])
        assert keys(rejected=[replace(one)]) == first
        for other in (replace(one, reason="because"), replace(one, by="x"), replace(one, removed=True)):
            assert keys(rejected=[other])[0] != first[0]


class TestFeed:
    @staticmethod
    def parsed(data: bytes) -> ElementTree.Element:
        """The feed, with all that RFC 4287 asks of one."""
        root = ElementTree.fromstring(data)

        def one(parent: ElementTree.Element, name: str) -> ElementTree.Element:
            (found,) = parent.findall(f"{{{ATOM}}}{name}")
            return found

        assert root.tag == f"{{{ATOM}}}feed"
        entries = root.findall(f"{{{ATOM}}}entry")
        ids = []
        for part in (root, *entries):
            ids.append(one(part, "id").text)
            assert uuid.UUID(ids[-1]).urn == ids[-1]
            assert one(part, "title").text.strip()
            date = one(part, "updated").text
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", date) and datetime.fromisoformat(date)
        assert len(set(ids)) == len(ids)
        assert one(one(root, "author"), "name").text
        assert {link.get("rel") for link in root.findall(f"{{{ATOM}}}link")} == {"self", "alternate"}
        for entry in entries:
            assert one(entry, "link").get("rel") == "alternate"
            assert one(entry, "summary").text
        dates = [one(entry, "updated").text for entry in entries]
        assert dates == sorted(dates, reverse=True)
        assert one(root, "updated").text == (dates[0] if dates else "2026-10-01T08:00:00Z")
        return root

    def test_it_is_sound_and_says_what_is_new(self, made):
        root = self.parsed((made.out / "feed.xml").read_bytes())
        titles = [entry.findtext(f"{{{ATOM}}}title") for entry in root.findall(f"{{{ATOM}}}entry")]
        assert len(titles) == 4
        assert titles[0] == "Removed: 1 attempt"
        assert f"{LSTM} on seizure_i3d/synthetic (quick): macro F1 1.000 ± 0.000" in titles
        assert f"Step: {LSTM} on seizure_i3d/synthetic (quick)" in titles
        assert any(title.startswith(f"seizure_i3d/{ATTACK}gnp.[31m") for title in titles)
        links = [link.get("href") for link in root.iter(f"{{{ATOM}}}link")]
        assert all(re.fullmatch(r"[A-Za-z0-9_/-]+\.(html|xml)(#[a-z]+)?", link) for link in links)

    def test_another_build_gives_the_same(self, made, suite, tmp_path):
        made.again(suite, tmp_path / "again")
        assert (tmp_path / "again" / "feed.xml").read_bytes() == (made.out / "feed.xml").read_bytes()

    def test_one_without_items_is_sound(self):
        self.parsed(feed(board()))

    def test_signs_that_xml_forbids_are_left_out(self):
        text = "a\x00\x0b\x1f\ud800\ufffe\uffffb ]]> & <c> \U0001f600"
        item = Item(uuid.uuid4().urn, text, "2026-01-01T00:00:00Z", f'x.html"{text}', "k", text)
        entry = self.parsed(document([item], "")).find(f"{{{ATOM}}}entry")
        assert entry.findtext(f"{{{ATOM}}}title") == entry.findtext(f"{{{ATOM}}}summary") == "a  b ]]> & <c> \U0001f600"

    def test_ids_outlive_what_changes(self, made, suite):
        def ids(data: bytes) -> dict[str, str]:
            entries = ElementTree.fromstring(data).findall(f"{{{ATOM}}}entry")
            return {e.findtext(f"{{{ATOM}}}title").partition(":")[0]: e.findtext(f"{{{ATOM}}}id") for e in entries}

        from vidsuite_leaderboard.entries import Entry, Score

        names = {"benchmark": "b", "task": "clip_classification", "dataset": "d", "preset": "quick", "config": "c"}
        entry = Entry(slug="m-1", model="m", status="measured", created="2026-01-01T00:00:00+00:00", **names)
        later = replace(
            entry, created="2026-03-01T00:00:00+02:00", scores={"macro_f1": Score(0.5, None, None, None, 1)}
        )
        before, after = (feed(board(suite=suite, entries=[one])) for one in (entry, later))
        assert ids(before) == ids(after)
        assert b"2026-02-28T22:00:00Z" in after and b"no score" in before

    def test_it_is_bounded(self, suite):
        from vidsuite_leaderboard.entries import Entry

        names = {"benchmark": "b", "task": "clip_classification", "dataset": "d", "preset": "quick", "config": "c"}
        many = [
            Entry(slug=f"m-{n}", model="m", status="measured", created=f"2026-01-01T00:{n:02}:00+00:00", **names)
            for n in range(60)
        ]
        root = self.parsed(feed(board(suite=suite, entries=many)))
        dates = [entry.findtext(f"{{{ATOM}}}updated") for entry in root.findall(f"{{{ATOM}}}entry")]
        assert len(dates) == NEWEST
        assert dates[-1] == "2026-01-01T00:10:00Z"


def test_the_page_has_no_serious_axe_findings(made: Made, open_page: Callable[..., Any]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(made.out / "changes.html", bypass_csp=True).page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []

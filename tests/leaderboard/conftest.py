"""A small site, built once, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from board_runs import small_runs

import vidsuite_core as vs
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.site import Built, build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def suite() -> vs.Suite:
    return vs.load()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `board_runs.small_runs`."""
    return small_runs(tmp_path_factory.mktemp("board") / "runs")


@pytest.fixture(scope="session")
def built(suite: vs.Suite, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site of `runs`."""
    out = tmp_path_factory.mktemp("built") / "site"
    return build(suite, [Source(runs)], out, progress=lambda *_: None, workers=1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where there is none."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("VIDSUITE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium to look at the site with (install it, or set VIDSUITE_CHROMIUM)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@dataclass
class Opened:
    """A page of the site as the browser shows it, and all that went wrong: console errors, requests to elsewhere."""

    page: Page
    faults: list[str]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """`open_page(path, **context)`: a file of a site, opened from the disk; the test fails on any fault."""
    contexts, opened = [], []

    def open_(path: Path, fragment: str = "", **options: Any) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else faults.append(r.url))
        page.goto(path.resolve().as_uri() + fragment)
        opened.append(Opened(page, faults))
        return opened[-1]

    yield open_
    for context in contexts:
        context.close()
    assert [fault for one in opened for fault in one.faults] == []

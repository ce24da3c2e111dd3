"""Entries side by side, in a real browser: intervals as `ranks` computes them, names as text, state in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_runs import attempt

import vidsuite_core as vs
from vidsuite_leaderboard import site as site_module
from vidsuite_leaderboard.cache import Cache
from vidsuite_leaderboard.collect import Collection, Source, collect
from vidsuite_leaderboard.ranks import difference
from vidsuite_leaderboard.site import build

HOSTILE = "a<img src=x onerror=alert(1)>__proto__"
OPTIONS = {"progress": lambda *_: None, "workers": 1}
MODELS = ("i3d_lstm_fc", "i3d_pool_logreg", "single_frame")


@pytest.fixture(scope="module")
def compared(suite: vs.Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collection]:
    """A site of three models that pair, one that does not, and one of another table; and what it was built from."""
    folder = tmp_path_factory.mktemp("compared")
    runs = folder / "runs"
    for place, name in enumerate(MODELS):
        for fold in "01":
            classes = ("temporal", HOSTILE)
            attempt(runs, f"seizure_i3d/{name}", skill=0.9 - place / 6, fold=fold, classes=list(classes))
    attempt(runs, f"seizure_i3d/{HOSTILE}", fold="0", folds=1)
    attempt(runs, "seizure_i3d/elsewhere", fold="0", folds=1, preset="paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_module, "PAGES", ("assets", "compare"))
        build(suite, [Source(runs)], folder / "site", **OPTIONS)
    return folder / "site" / "compare.html", collect(suite, [Source(runs)], {}, Cache(None), *OPTIONS.values())


def slugs(found: Collection, *names: str) -> list[str]:
    by_model = {entry.model.partition("/")[2]: entry.slug for entry in found.entries}
    return [by_model[name] for name in names]


def verdicts(page: Any) -> list[str]:
    page.wait_for_selector("#comparison h2")
    return page.locator("#comparison section:first-child .verdicts li").all_inner_texts()


def test_paired_intervals_are_those_of_the_ranks(
    compared: tuple[Path, Collection], open_page: Callable[..., Any]
) -> None:
    path, found = compared
    chosen = slugs(found, *MODELS)
    page = open_page(path, f"#e={','.join(chosen)}").page
    lines = verdicts(page)
    assert len(lines) == 2
    assert page.locator("#comparison .e2 > .reach").count() == page.locator("#comparison .e3 > .reach").count() == 1
    for line, other in zip(lines, chosen[1:], strict=True):
        low, high = difference(found.draws, other, chosen[0])
        told = re.search(r"interval (\S+) to (\S+):", line)
        signed = [float(part.replace("−", "-")) for part in told.groups()]
        assert signed == pytest.approx([low, high], abs=6e-4)
        word = "cannot be told apart" if low <= 0 <= high else "better" if low > 0 else "worse"
        assert word in line
    exact = page.evaluate(
        """(slug) => new Promise((resolve) => {
            const held = {};
            window.vidsuite.compared = (data) => { held[data.slug] = data; };
            const pairs = slug.map((name) => new Promise((done) => {
                const tag = document.createElement("script");
                tag.src = `data/compare/${name}.js`;
                tag.onload = done;
                document.head.append(tag);
            }));
            Promise.all(pairs).then(() => resolve(window.vidsuite.compare.interval(held[slug[1]], held[slug[0]])));
        })""",
        chosen[:2],
    )
    assert exact == pytest.approx(difference(found.draws, chosen[1], chosen[0]), abs=2e-5)


def test_names_are_text_and_other_samples_have_no_interval(
    compared: tuple[Path, Collection], open_page: Callable[..., Any]
) -> None:
    path, found = compared
    [own, hostile] = slugs(found, MODELS[0], HOSTILE)
    page = open_page(path, f"#e={own},{hostile}").page
    assert "not drawn from the same samples: no paired interval" in verdicts(page)[0]
    assert page.locator("#comparison img, #chosen img").count() == 0
    assert HOSTILE in page.locator("#chosen").inner_text()
    badges = page.locator("#comparison .marks .badge").all_inner_texts()
    assert badges == ["synthetic data", "preset quick: a shortened run", "random weights"]
    assert page.locator("#measure option").all_inner_texts() == ["precision", "recall", "F1"]
    assert HOSTILE in page.locator("#comparison section:nth-child(2) tbody").inner_text()
    assert page.locator("#comparison section:nth-child(3) details tbody tr").count() == 12


def test_the_fragment_names_known_entries_of_one_table(
    compared: tuple[Path, Collection], open_page: Callable[..., Any]
) -> None:
    path, found = compared
    [first, second, elsewhere] = slugs(found, *MODELS[:2], "elsewhere")
    page = open_page(path, f"#e={first},../../evil,constructor,{elsewhere},{second},{first}").page
    verdicts(page)
    assert page.locator("#chosen li").count() == 2
    assert "4 of the link's entries are left out" in page.locator("#message").inner_text()
    sources = page.evaluate("Array.from(document.scripts).map((one) => one.src)")
    assert not any("evil" in source or "constructor" in source for source in sources)


def test_choosing_is_kept_in_the_url_and_goes_back(
    compared: tuple[Path, Collection], open_page: Callable[..., Any]
) -> None:
    path, found = compared
    [one, other] = slugs(found, *MODELS[:2])
    page = open_page(path).page
    page.select_option("#table", label="seizure_i3d on synthetic, quick")
    for slug in (one, other):
        page.select_option("#entry", slug)
        page.click("#add")
    verdicts(page)
    assert page.url.endswith(f"#e={one},{other}")
    page.click("#chosen li:nth-child(2) button:has-text('First')")
    page.wait_for_function("(slug) => location.hash.startsWith('#e=' + slug)", arg=other)
    page.go_back()
    page.wait_for_function("(slug) => location.hash.startsWith('#e=' + slug)", arg=one)
    assert MODELS[0] in page.locator("#chosen li:first-child").inner_text()
    page.click("#chosen li:nth-child(2) button:has-text('Remove')")
    page.wait_for_function("() => !document.querySelector('#comparison h2')")
    assert "Add one more entry" in page.locator("#message").inner_text()


def test_a_phone_does_not_scroll_sideways(compared: tuple[Path, Collection], open_page: Callable[..., Any]) -> None:
    path, found = compared
    page = open_page(path, f"#e={','.join(slugs(found, *MODELS))}", viewport={"width": 360, "height": 700}).page
    verdicts(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

"""The home page: leaders with their spread, ties named, and what is synthetic, shortened or only reported."""

from __future__ import annotations

from board_pages import entry, reported, write_pages

from vidsuite_leaderboard.collect import Rejected


def test_each_benchmark_has_its_leaders(suite, tmp_path, open_page):
    entries = [
        entry("seizure_i3d/alpha", 0.91, rank=1, tied=True, synthetic=True),
        entry(
            "seizure_i3d/beta", 0.9, rank=1, tied=True, indistinct=True, synthetic=True, status="submitted", by="Ann"
        ),
        entry(
            "seizure_i3d/gamma",
            0.6,
            done=5,
            synthetic=True,
            created="2026-10-02T00:00:00+00:00",
            weights=["i3d: random"],
        ),
        entry("seizure_i3d/only", None, dataset="seizure_i3d/fir16", preset="paper"),
    ]
    rejected = [Rejected("a/b/c", "", "hashes do not agree")]
    site = write_pages(suite, tmp_path, entries, [reported("This work", macro_f1="0.84")], rejected=rejected)
    page = open_page(site / "index.html").page
    [card] = page.locator(".card").all()
    text = " ".join(card.inner_text().split())
    assert "alpha 0.910 ± 0.013 0.860 to 0.950 measured beta 0.900 ± 0.013" in text
    assert "2 share the first rank" in text and "2 ranked, 1 incomplete; newest 2026-10-02" in text
    assert "No complete entry yet." in text and "3 measured 1 submitted 1 reported" in text
    badges = card.locator(".standing").nth(0).locator("h3 .badge").all_inner_texts()
    assert badges == ["synthetic data", "preset quick: a shortened run", "random weights in 1 of 3"]
    assert card.locator(".standing").nth(1).locator("h3 .badge").count() == 0
    facts = " ".join(page.locator(".facts").inner_text().split())
    assert "4 entries measured from 42 attempts" in facts and "1 attempt was left out" in facts
    assert "vidsuite 0.1.0, commit abc1234, 2026-11-21" in facts
    card.locator("h3 a").nth(1).click()
    assert page.locator("#rows caption").inner_text().startswith("2 rows · dataset fir16 · preset paper")


def test_without_a_test_there_is_no_winner_and_few_subjects_are_said(suite, tmp_path, open_page):
    why = "no ranks: 4 subjects scored, and a test needs 5"
    entries = [
        entry("seizure_i3d/alpha", 0.91, subjects=4, unranked=why),
        entry("seizure_i3d/beta", 0.6, subjects=4, unranked=why),
        entry("seizure_i3d/alpha", 0.8, dataset="seizure_i3d/fir16", rank=1, subjects=8),
    ]
    page = open_page(write_pages(suite, tmp_path, entries) / "index.html").page
    few, none = sorted(" ".join(part.inner_text().split()) for part in page.locator(".standing").all())
    assert "§ ranked on 8 subjects. 1 ranked" in few and "alpha 0.800" in few
    assert "No winner: no ranks: 4 subjects scored, and a test needs 5. 0 ranked" in none
    assert "0.910" not in none


def test_a_site_without_entries_says_so(suite, tmp_path, open_page):
    page = open_page(write_pages(suite, tmp_path, []) / "index.html").page
    assert "Nothing has been measured yet" in page.locator("main").inner_text()
    page = open_page(write_pages(suite, tmp_path, [], [reported("This work", auc="0.9")]) / "index.html").page
    assert "Nothing has been measured here yet" in page.locator(".card").inner_text()
    page = open_page(tmp_path / "benchmarks/seizure_i3d-seizure_i3d.html").page
    assert page.locator("#rows tbody tr").count() == 1


def test_the_choice_of_colours_lasts(suite, tmp_path, open_page):
    site = write_pages(suite, tmp_path, [entry("seizure_i3d/alpha", 0.9, rank=1)])
    page = open_page(site / "index.html", color_scheme="light").page
    for theme in ("light", "dark", "auto", "light", "dark"):
        page.click("#theme")
        assert page.inner_text("#theme") == f"Theme: {theme}"
    page.goto((site / "all.html").resolve().as_uri())
    assert page.get_attribute("html", "data-theme") == "dark" and page.inner_text("#theme") == "Theme: dark"

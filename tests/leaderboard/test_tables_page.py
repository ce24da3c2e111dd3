"""The tables in a real browser: sorting, filters, the address, downloads, and strings from strangers."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from board_pages import CPU, GPU, entry, reported, score, speed, write_pages

HOSTILE = "</script><img src=x onerror=alert(1)>"
PAGE = "benchmarks/seizure_i3d-seizure_i3d.html"


def _entries() -> list:
    both = {CPU: speed(0.02), GPU: speed(0.002)}
    models = [
        entry("seizure_i3d/alpha", 0.91, rank=1, tied=True, speeds=both),
        entry("seizure_i3d/beta10", 0.9, rank=1, tied=True, indistinct=True, status="submitted", by="Ann"),
        entry("seizure_i3d/beta9", 0.7, rank=3, status="reproduced", by="=1+1", speeds={CPU: speed(0.03)}),
        entry("seizure_i3d/gamma", 0.6, done=5, problems=["fold 1, seed 2: failed: <i>out of memory</i>"]),
        entry("seizure_i3d/never", None, problems=["fold 0, seed 0: failed: no data"], parameters=None),
    ]
    real = {"dataset": "seizure_i3d/fir16", "preset": "paper"}
    return [replace(one, synthetic=True) for one in models] + [entry("seizure_i3d/alpha", 0.5, rank=1, **real)]


@pytest.fixture(scope="module")
def site(suite, tmp_path_factory) -> Path:
    rows = [reported("This work", macro_f1="0.844 ± 0.042"), reported("Others [3], 2020", auc="0.78†")]
    return write_pages(suite, tmp_path_factory.mktemp("tables"), _entries(), rows)


def _column(page: Any, name: str) -> list[str]:
    """The texts of a column as shown, top to bottom; of cells with more lines the first."""
    heads = page.locator("#rows thead th").all_inner_texts()
    place = [head.strip() for head in heads].index(name)
    return page.evaluate(
        """place => [...document.querySelectorAll('#rows tbody tr')]
            .map(tr => tr.cells[place].innerText.split('\\n')[0].trim())""",
        place,
    )


def _models(page: Any) -> list[str]:
    return page.evaluate(
        "() => [...document.querySelectorAll('#rows tbody th.model')].map(th => th.querySelector('span > *').innerText)"
    )


def _fragment(page: Any) -> str:
    return page.evaluate("location.hash")


def test_the_page_opens_with_the_first_dataset_by_rank(site, open_page):
    page = open_page(site / PAGE).page
    assert _models(page) == ["alpha", "beta10", "beta9", "gamma", "never", "This work", "Others [3], 2020"]
    assert _column(page, "rank") == ["1=", "1=", "3", "–", "–", "–", "–"]
    assert _column(page, "macro F1")[0] == "0.910 ± 0.013" and _column(page, "macro F1")[5] == "0.844 ± 0.042"
    assert _column(page, "cells")[3:5] == ["5 of 6", "0 of 6"]
    assert page.locator("#rows caption").inner_text() == (
        "7 rows · dataset synthetic · preset quick · synthetic data · speed on cpu: Test CPU"
    )
    assert page.locator("th.model a").first.get_attribute("href").startswith("../entries/seizure_i3d-alpha-synthetic-")
    assert _fragment(page) == ""
    page.locator("tr.incomplete details.problems summary").first.press("Enter")
    assert page.get_by_text("failed: <i>out of memory</i>").is_visible()


def _sorted(page: Any, name: str, way: str) -> None:
    """Wait until the rows are sorted by a column: DataTables sorts a moment after the click."""
    page.locator(f"#rows thead th[aria-sort={way}]", has_text=name).wait_for()


def test_sorting_by_click_and_keyboard(site, open_page):
    page = open_page(site / PAGE).page
    head = page.locator("#rows thead th", has_text="macro F1")
    head.click()
    _sorted(page, "macro F1", "descending")
    assert _fragment(page) == "#sort=-score:macro_f1"
    head.locator("[role=button]").press("Enter")
    _sorted(page, "macro F1", "ascending")
    assert _models(page)[:5] == ["gamma", "beta9", "beta10", "alpha", "never"]  # what has no score stays last
    page.locator("#rows thead th", has_text="model").click()
    _sorted(page, "model", "ascending")
    assert _models(page) == ["alpha", "beta9", "beta10", "gamma", "never", "Others [3], 2020", "This work"]


def test_filters_search_and_the_address(site, open_page):
    page = open_page(site / PAGE).page
    page.select_option("#filter-dataset", "")
    page.select_option("#filter-preset", "")
    page.select_option("#filter-status", "measured")
    assert _models(page) == ["alpha", "alpha", "gamma", "never"] and "dataset=*" in _fragment(page)
    page.fill("#query", "AMMA")
    page.wait_for_function("() => location.hash.includes('q=AMMA')")
    assert _models(page) == ["gamma"]
    page.fill("#query", "nothing has this name")
    page.wait_for_function("() => location.hash.includes('nothing')")
    assert page.locator("#rows tbody").inner_text() == "No row is left by these filters."
    page.go_back()
    page.wait_for_function("() => !location.hash.includes('q=')")
    assert page.input_value("#query") == "" and _models(page) == ["alpha", "alpha", "gamma", "never"]
    page.go_back()
    page.wait_for_function("() => document.querySelector('#filter-status').value === ''")
    assert len(_models(page)) == 8
    page.go_forward()
    page.wait_for_function("() => document.querySelector('#filter-status').value === 'measured'")
    page.click("#reset")
    assert _fragment(page) == "" and len(_models(page)) == 7
    page.locator(".skip").press("Enter")
    assert len(_models(page)) == 7


def test_a_linked_view_opens_as_it_was(site, open_page):
    linked = "#dataset=seizure_i3d/fir16&preset=*&sort=-model&hide=cells,status&show=config&intervals=1&rows=100"
    page = open_page(site / PAGE, linked).page
    assert _models(page) == ["alpha", "This work", "Others [3], 2020"]
    heads = page.locator("#rows thead th").all_inner_texts()
    assert "cells" not in heads and "status" not in heads and "config" in heads
    assert page.locator("#rows .interval").first.inner_text() == "[0.450, 0.540]"
    assert page.input_value("#size") == "100" and not page.is_checked("[data-column=cells]")
    assert page.get_attribute("#rows thead th:nth-child(2)", "aria-sort") == "descending"
    page = open_page(site / PAGE, "#dataset=nowhere&sort=__proto__&show=constructor&page=9e9&rows=7&speed=%00").page
    assert len(_models(page)) == 7


def test_columns_can_be_taken_off_and_put_on(site, open_page):
    page = open_page(site / PAGE).page
    page.click("#columns summary")
    page.uncheck("[data-column='score:precision']")
    page.check("[data-column=peak_memory]")
    heads = page.locator("#rows thead th").all_inner_texts()
    assert "precision" not in heads and "peak memory" in heads
    assert _fragment(page) == "#show=peak_memory&hide=score:precision"
    page.keyboard.press("Escape")
    assert not page.locator("#columns .panel").is_visible()


def test_rows_stay_sorted_by_a_column_that_is_taken_off(site, open_page):
    page = open_page(site / PAGE, "#sort=score:macro_f1").page
    order = _models(page)
    assert order[:2] == ["gamma", "beta9"]
    page.click("#columns summary")
    page.uncheck("[data-column='score:macro_f1']")
    assert "macro F1" not in page.locator("#rows thead").inner_text() and _models(page) == order
    page.locator("#rows thead th", has_text="precision").click()
    _sorted(page, "precision", "descending")
    assert _models(page)[0] == "alpha" and "sort=-score:precision" in _fragment(page)


def test_speed_on_one_device_or_across_all(site, open_page):
    page = open_page(site / PAGE).page
    assert _column(page, "latency")[:3] == ["20 ms", "20 ms", "30 ms"]
    page.select_option("#speed", f"at:{GPU}")
    assert _column(page, "latency")[:3] == ["2 ms", "–", "–"] and _column(page, "samples/s")[0] == "500"
    page.locator("#rows thead th", has_text="latency").click()
    _sorted(page, "latency", "ascending")
    assert _models(page)[0] == "alpha"
    page.select_option("#speed", "across")
    assert _column(page, f"latency on {CPU}")[:2] == ["20 ms", "20 ms"]
    assert _column(page, f"latency on {GPU}")[:2] == ["2 ms", "–"]
    assert "samples/s" not in page.locator("#rows thead th").all_inner_texts()


def _download(page: Any, form: str) -> bytes:
    page.select_option("#format", form)
    with page.expect_download() as found:
        page.click("#download")
    assert found.value.suggested_filename == f"vidsuite-benchmarks-seizure_i3d-seizure_i3d.{form}"
    return Path(found.value.path()).read_bytes()


VIEW = "#sort=score:macro_f1&hide=cells,dataset,preset,score:precision,score:recall,flops&show=peak_memory"


def test_machine_readable_downloads_hold_the_view(site, open_page):
    page = open_page(site / PAGE, VIEW).page
    shown = list(zip(_models(page), _column(page, "macro F1"), _column(page, "rank"), strict=True))
    rows = json.loads(_download(page, "json"))
    table = pq.read_table(io.BytesIO(_download(page, "parquet")))
    text = _download(page, "csv").decode()
    assert table.to_pylist() == rows
    assert [(field.name, str(field.type)) for field in table.schema][:3] == [
        ("rank", "double"), ("tied", "double"), ("model", "string")
    ]  # fmt: skip
    for (model, told, rank), row in zip(shown, rows, strict=True):
        assert row["name"] == model and (rank.rstrip("=") == ("–" if row["rank"] is None else f"{row['rank']:.0f}"))
        mean, sd = row["macro_f1"], row["macro_f1_sd"]
        assert told in (
            row["macro_f1_reported"],
            "–" if mean is None else f"{mean:.3f} ± {sd:.3f}".replace("012", "013"),
        )
    assert rows[3]["macro_f1_low"] == pytest.approx(0.86) and rows[0]["model"] == "seizure_i3d/gamma"
    assert "precision" not in rows[0] and "flops" not in rows[0] and rows[0]["peak_memory_bytes"] == 300 << 20
    flat = [{name: "" if v is None else str(v) for name, v in row.items()} for row in rows]
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["by"] for row in read if row["by"]] == ["'=1+1", "Ann"]  # no formula for a spreadsheet
    as_numbers = [{name: _plain(value) for name, value in row.items()} for row in flat]
    assert [{name: _plain(value.removeprefix("'")) for name, value in row.items()} for row in read] == as_numbers


def _plain(text: str) -> float | str:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) else text


def test_downloads_to_be_read_hold_the_view(site, open_page):
    page = open_page(site / PAGE, VIEW + "&intervals=1").page
    shown = [_models(page), _column(page, "macro F1"), _column(page, "latency"), _column(page, "parameters")]
    shown = [[text.replace(" ≈", "") for text in column] for column in shown]
    markdown = _download(page, "md").decode().splitlines()
    assert markdown[0].startswith("**seizure\\_i3d: 7 rows")
    lines = [line for line in markdown[2:] if "|" in line]
    table = [[re.sub(r"\\(.)", r"\1", part).strip() for part in line.split("|")[1:-1]] for line in lines]
    heads = table[0]
    body = [dict(zip(heads, row, strict=True)) for row in table[2:]]
    assert [re.sub(r" [≈◇†‡]", "", row["model"]) for row in body] == shown[0]
    synthetic = [row["synthetic"] or 0 for row in json.loads(_download(page, "json"))]
    assert [row["model"].count("◇") for row in body] == synthetic and "◇ synthetic data" in markdown[-1]
    assert [row["macro F1"].partition(" [")[0] for row in body] == shown[1] and "[0.860, 0.950]" in body[3]["macro F1"]
    assert [row["latency"] for row in body] == shown[2] and [row["parameters"] for row in body] == shown[3]
    latex = _download(page, "tex").decode()
    lines = latex.partition("\\midrule")[2].partition("\\bottomrule")[0].strip().splitlines()
    assert len(lines) == 7 and "\\begin{tabular}{rl" in latex and latex.count("\\toprule") == 1
    assert lines[3].startswith("1= & alpha $\\diamond$ & 0.910 $\\pm$ 0.013 [0.860, 0.950]")
    assert lines[3].endswith("\\\\") and "diamond$ synthetic data" in latex.splitlines()[1]
    assert r"\_" in latex.splitlines()[0] and re.search(r"(?<!\\)[_#]", latex.partition("\\toprule")[2]) is None


def test_strings_from_strangers_neither_run_nor_restyle(suite, tmp_path, open_page):
    hostile = entry(
        f"seizure_i3d/{HOSTILE}", 0.8, rank=1, by=HOSTILE, status="submitted", problems=[HOSTILE],
        dataset=f"seizure_i3d/{HOSTILE}", preset="<style>*{display:none}</style>",
        config="\"><script>alert(2)</script>",
        notes=["javascript:alert(3)", "<a href='javascript:alert(4)'>go</a>", "{{ 7 * 7 }}"],
        weights=["<svg onload=alert(5)>: random"], device=HOSTILE,
        speeds={HOSTILE: speed(0.1), "x\" onclick=\"alert(6)": speed(1)},
        done=5,
    )  # fmt: skip
    hostile = [hostile, replace(hostile, slug=hostile.slug + "2", model="=cmd|' /C calc'!A0", preset="quick")]
    site = write_pages(suite, tmp_path, hostile, [reported(HOSTILE, macro_f1=HOSTILE)])
    every = "#preset=*&speed=across&show=weights,config,benchmark,dataset,preset"
    for path, fragment in {"index.html": "", "all.html": f"#q={HOSTILE}", PAGE: every}.items():
        opened = open_page(site / path, fragment)
        for forbidden in ("img", "main script", "main style", "[onload]", "[onclick]", "[style*=display]"):
            assert opened.page.locator(forbidden).count() == 0
        assert opened.page.evaluate("[...document.links].every(a => a.protocol === 'file:')")
        assert opened.page.locator("h1").is_visible()
    page = opened.page
    assert HOSTILE.partition("/")[2] in _models(page)
    assert page.locator("details.notes li", has_text="javascript:alert(3)").count() == 2
    script = (site / "data/tables/all.js").read_text()
    assert script.count("<") == 0 and "&" not in script


def test_dark_and_narrow(site, open_page):
    for path in ("index.html", "all.html", PAGE):
        page = open_page(site / path, color_scheme="dark", viewport={"width": 390, "height": 800}).page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")  # light, whatever the system has
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", dark))) < 150) and light == "rgb(255, 255, 255)"
    box = page.locator("#live .dt-layout-table")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth") and box.get_attribute("tabindex") == "0"


def test_without_scripts_the_rows_are_there(site, open_page):
    page = open_page(site / PAGE, java_script_enabled=False).page
    rows = page.locator("#static tbody tr")
    assert rows.count() == 8 and rows.nth(0).inner_text().split()[:2] == ["1=", "alpha"]
    assert page.locator("noscript").count() and not page.locator("#controls").is_visible()
    assert page.locator("#static svg.bar").count() == 5 * 4


def test_nothing_moves_when_the_table_comes(site, open_page):
    page = open_page(site / PAGE, viewport={"width": 1280, "height": 900}).page
    moved = """() => new Promise(resolve => { let total = 0;
        new PerformanceObserver(list => { for (const one of list.getEntries()) total += one.value; })
            .observe({type: 'layout-shift', buffered: true});
        setTimeout(() => resolve(total), 300); })"""
    assert page.evaluate(moved) < 0.02
    assert page.locator("#static").count() == 0


def test_what_a_page_weighs(site):
    names = re.findall(r'(?:src|href)="\.\./(assets/[^"]+)"', (site / PAGE).read_text())
    assert sum((site / name).stat().st_size for name in names) < 390_000
    home = re.findall(r'(?:src|href)="(assets/[^"]+)"', (site / "index.html").read_text())
    assert sum((site / name).stat().st_size for name in home) < 30_000


def test_bars_of_different_measures_have_scales_of_their_own(suite, tmp_path, open_page):
    street = {
        "benchmark": "driving_fanet/driving_fanet",
        "task": "video_segmentation",
        "dataset": "driving_fanet/synthetic",
    }
    rows = [entry("seizure_i3d/alpha", 0.9, rank=1), entry("seizure_i3d/beta", 0.7, rank=2)]
    rows += [
        entry(f"driving_fanet/{name}", None, scores={"miou": score(mean)}, done=6, rank=1, **street)
        for name, mean in (("fanet18", 0.2), ("fast_scnn", 0.1))
    ]
    site = write_pages(suite, tmp_path, rows)
    means = "rows => [...document.querySelectorAll(rows + ' .bar .mean')].map(line => Number(line.getAttribute('x1')))"
    page = open_page(site / "all.html").page
    places = [48.8, 18.3, 53.0, 13.0]
    assert page.evaluate(means, "#rows") == places
    static = open_page(site / "all.html", java_script_enabled=False).page
    assert [float(line.get_attribute("x1")) for line in static.locator("#static .bar .mean").all()] == places


def test_ten_thousand_rows_stay_smooth(suite, tmp_path, open_page):
    many = [
        entry(
            f"seizure_i3d/model{place % 500}", ((place * 7919) % 10_000) / 10_000, rank=place + 1,
            config=f"{place:064x}", dataset=f"seizure_i3d/d{place % 7}", speeds={CPU: speed(0.001 + place / 1e6)},
        )
        for place in range(10_000)
    ]  # fmt: skip
    site = write_pages(suite, tmp_path, many)
    page = open_page(site / "all.html").page
    page.wait_for_timeout(500)  # a reader looks before clicking; the page is read in by then
    timed = """selector => new Promise(resolve => { const node = document.querySelector(selector);
        const start = performance.now();
        vidsuite.board.table.one('draw', () => setTimeout(() => {
            document.body.offsetHeight; resolve(performance.now() - start); }));
        if (node.tagName === 'SELECT') {
            node.selectedIndex = node.selectedIndex % 4 + 1; node.dispatchEvent(new Event('change'));
        } else node.click(); })"""
    for what, selector in {
        "sort by score": "#rows thead th.score",
        "sort by model": "#rows thead th.model",
        "filter": "#filter-dataset",
    }.items():
        took = [page.evaluate(timed, selector) for _ in range(6)]
        print(f"{what}: first {took[0]:.0f} ms, then {', '.join(f'{ms:.0f}' for ms in took[1:])}")
        assert min(took) < 1000
    assert page.locator("#rows caption").inner_text().startswith("1429 rows")
    assert page.locator("#rows tbody tr").count() == 25

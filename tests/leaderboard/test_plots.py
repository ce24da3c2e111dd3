"""Plots: drawn where there is something to draw, right, linked, and safe whatever strangers call their models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import board_pages
import pytest

import vidsuite_core as vs
from vidsuite_core.tasks.shown import Lines, Matrix, Shown, plain
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.entries import CellView, Curve, Detail, Entry, Moment
from vidsuite_leaderboard.plots import entry_figures, table_figures
from vidsuite_leaderboard.plots import matrix as plots_matrix
from vidsuite_leaderboard.plots import svg as plots_svg
from vidsuite_leaderboard.plots.data import Box, apart, beside, linear_ticks, log_scale, log_ticks, names, pareto_front
from vidsuite_leaderboard.plots.figure import Figure
from vidsuite_leaderboard.site import Built, build

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'"
ADDRESS = "javascript:alert(3)"
NOTHING = Detail([], "{}", [], [], [], {}, {}, [], {}, [], [], [])
ALLOWED = {"svg", "desc", "g", "path", "line", "rect", "text", "a"}
TABLES = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "span", "p"}


class Parsed(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def entry(place: int, model: str = "", **more: Any) -> Entry:
    """One of a table's entries: the lower its place, the better and the slower."""
    model = model or f"seizure_i3d/model_{place}"
    speeds = {board_pages.CPU: board_pages.speed(1 / (place + 1))}
    return board_pages.entry(model, 0.9 - place / 200, **{"speeds": speeds, "rank": place + 1, **more})


def detail(classes: tuple[str, ...] = ("temporal", "frontal"), fold: str = "0", version: str = "1") -> Detail:
    """Something of everything that there is to draw."""
    cells = [
        CellView(
            f,
            seed,
            "ok",
            "",
            {"macro_f1": 0.7 + seed / 10},
            "a",
            "p/c/a",
            "c",
            "s",
            "",
            board_pages.CPU,
            0,
            [],
            {},
            [],
            [],
        )
        for f in (fold, "1")
        for seed in range(2)
    ]
    latency = {board_pages.CPU: 0.1}
    return replace(
        NOTHING,
        classes=classes,
        cells=cells,
        per_class={name: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 9.0} for name in classes},
        shown=[plain(one) for one in shown(classes)],
        curves=[Curve(fold, 0, name, [(1, 0.9), (2, 0.4)]) for name in ("loss", "val seizure_i3d/macro_f1")],
        history=[
            Moment("2026-08-01T12:00:00+00:00", version, "abc", 0.7, 0.1, 4, latency),
            Moment("2026-09-01T12:00:00+00:00", version, "def", 0.8, 0.1, 4, {board_pages.CPU: 0.2}, True, True),
        ],
    )


def shown(classes: Sequence[str], rates: Sequence[str] = ()) -> list[Shown]:
    """What a task shows: of the last class, or of `rates`, ROC curves."""
    counts = [[8.0 if i == j else 1.0 for j in range(len(classes))] for i in range(len(classes))]
    points = [(0.0, 0.0), (0.2, 0.8), (1.0, 1.0)]
    curves = [(name, points) for name in rates or classes[-1:]]
    return [
        Matrix("confusion", "Confusion matrix", classes, counts, "Counts."),
        Lines("roc", "ROC curve", "false", "true", curves, "Pooled.", diagonal=True),
        Lines("over-time", "Accuracy", "moment", "accuracy", [("all", [(1.0, 0.5), (3.0, 0.7), (4.0, 0.8)])], "Mean."),
    ]


def board(suite: vs.Suite, details: dict[str, Detail]) -> Any:
    """As much of a board as plots ask for."""
    return SimpleNamespace(suite=suite, detail=lambda entry: details[entry.slug])


def drawn_for(suite: vs.Suite, entries: list[Entry], given: Detail) -> list[Figure]:
    return table_figures(board(suite, {one.slug: given for one in entries}), entries, "t")


def own_figures(suite: vs.Suite, one: Entry, given: Detail) -> list[Figure]:
    return entry_figures(SimpleNamespace(board=board(suite, {})), one, given)  # type: ignore[arg-type]


def test_front_is_what_no_other_beats() -> None:
    #         best   slower  dear     as good, dearer  twin of the first   cheap and bad
    points = [(2, 0.8), (4, 0.7), (9, 0.9), (5, 0.8), (2, 0.8), (1, 0.1)]
    assert pareto_front(points) == [5, 0, 4, 2]
    assert pareto_front([]) == []
    assert pareto_front([(1, 0.5), (1, 0.9)]) == [1]


def test_axes_have_marks_whatever_the_range() -> None:
    for values in ([3.0], [1e-6, 1e6], [0.02, 0.03], [1e9, 1.01e9]):
        ticks = log_ticks(log_scale(values, 400))
        assert 2 <= len(ticks) <= 8, values
    for low, high in ((0, 1), (0.911, 0.934), (-3, 1e6), (1, 12)):
        ticks = linear_ticks(low, high)
        assert 3 <= len(ticks) <= 9 and low <= ticks[0] and ticks[-1] <= high, (low, high)


def test_names_do_not_collide() -> None:
    area = Box(0, 0, 400, 260)
    close = [(200.0, 100.0 + place, f"model number {place}") for place in range(6)]
    placed = beside(close, [], area)
    found = [(place, 6.4 * len(text)) for place, (_, _, text) in zip(placed, close, strict=True) if place is not None]
    share = {"left": 0.0, "center": 0.5, "right": 1.0}
    boxes = [Box(p.x - share[p.align] * w, p.y - 5, p.x + (1 - share[p.align]) * w, p.y + 5) for p, w in found]
    assert len(boxes) >= 4
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert apart([5, 5, 6, 100], 10, 0, 100) == [5, 15, 25, 100]
    assert apart([95, 96, 97], 10, 0, 100) == [80, 90, 100]


def test_names_of_a_table_are_told_apart() -> None:
    same = [
        board_pages.entry("seizure_i3d/m", config="aaaaaaaa"),
        board_pages.entry("seizure_i3d/m", config="bbbbbbbb"),
        board_pages.entry("seizure_i3d/m", config="aaaaaaaa", by="someone"),
        board_pages.entry("seizure_i3d/other"),
    ]
    found = list(names(same).values())
    assert found == ["m [aaaaaa]", "m [bbbbbb]", "m (someone)", "other"]


def test_every_plot_of_a_table_and_of_an_entry(suite: vs.Suite) -> None:
    figures = drawn_for(suite, [entry(place) for place in range(3)], detail())
    kinds = {figure.name.removeprefix("t-") for figure in figures}
    assert kinds == {
        "latency-cpu-Test-CPU",
        *("parameters", "flops", "over-time", "classes-0", "confusion", "roc", "loss", "validation", "folds"),
    }
    assert {figure.name for figure in own_figures(suite, entry(0), detail())} == {
        *("classes", "confusion", "roc", "over-time", "folds", "loss", "validation", "history-score", "history-latency")
    }
    for figure in [*figures, *own_figures(suite, entry(0), detail())]:
        assert figure.title and figure.caption
        assert bool(figure.rows) == figure.drawn
        assert all(len(row) == len(figure.columns) for row in figure.rows)
        assert not figure.links or len(figure.links) == len(figure.rows)


def test_nothing_is_drawn_of_nothing(suite: vs.Suite) -> None:
    assert own_figures(suite, entry(0), NOTHING) == []
    assert drawn_for(suite, [board_pages.entry("seizure_i3d/m", None)], NOTHING) == []
    bare = entry(0, parameters=None, flops=None, speeds={})
    assert drawn_for(suite, [bare], NOTHING) == []
    empty = [Matrix("confusion", "t", "ab", [[0, 0], [0, 0]]), Lines("roc", "t", "x", "y", [("a", [(1.0, 1.0)])])]
    without = replace(NOTHING, shown=[plain(one) for one in empty], per_class={"a": {"f1": None}})
    assert own_figures(suite, bare, without) == []


def test_entry_without_the_cost_is_named_and_not_drawn(suite: vs.Suite) -> None:
    given = [entry(0), entry(1, parameters=0), entry(2, parameters=None)]
    figure = next(f for f in drawn_for(suite, given, NOTHING) if f.name == "t-parameters")
    assert [row[0] for row in figure.rows] == ["model_0"]
    assert "Not measured, so not drawn: model_1, model_2." in figure.caption


def test_numbers_beyond_reason_are_not_drawn(suite: vs.Suite) -> None:
    huge = [Curve("0", 0, "loss", [(1, 0.9), (2, -1e308), (3, 1e308), (4, float("inf")), (5, float("nan")), (6, 0.1)])]
    history = [replace(moment, latency={board_pages.CPU: 1.7e308}) for moment in detail().history]
    given = replace(detail(), curves=[*huge, Curve("1", 0, "loss", [(1, 1e300)])], history=history)
    speeds = {board_pages.CPU: board_pages.speed(1e307)}
    figures = drawn_for(suite, [entry(0), entry(1, parameters=10**400, flops=float("nan"), speeds=speeds)], given)
    own = {figure.name: figure for figure in own_figures(suite, entry(0), given)}
    assert "history-latency" not in own and own["loss"].rows == [["0", "0", "0.900", "0.100"]]
    assert [row[0] for row in next(f for f in figures if f.name == "t-parameters").rows] == ["model_0"]
    assert not any("nan" in figure.svg.lower() or "inf" in figure.svg for figure in [*figures, *own.values()])


def test_front_leaves_incomplete_entries_out(suite: vs.Suite) -> None:
    given = [entry(1), entry(2), entry(0, done=5, rank=None)]
    figure = next(f for f in drawn_for(suite, given, NOTHING) if f.name == "t-latency-cpu-Test-CPU")
    assert "Pareto front (steps, filled marks): model_2, model_1." in figure.caption
    assert [row[-1] for row in figure.rows][-1] == "no"
    assert "incomplete: 5 of 6 cells" in figure.svg


def test_many_entries_stay_readable(suite: vs.Suite) -> None:
    many = [entry(place, parameters=10**6 + 1000 * (place % 5) - place * (place > 60)) for place in range(70)]
    figures = {figure.name.removeprefix("t-"): figure for figure in drawn_for(suite, many, detail())}
    cost = figures["parameters"]
    links = [attrs for tag, attrs in Parsed(cost.svg).tags if tag == "a"]
    tabbed = [attrs for attrs in links if "tabindex" not in attrs]
    assert 30 <= len(tabbed) == len(cost.rows) == len(cost.key) < 60
    assert [number for number, _, _ in cost.key][:3] == [1, 2, 3]
    assert f"The other {70 - len(cost.rows)} entries are drawn faint." in cost.caption
    assert figures["confusion"].svg.count("<table") == 6
    assert len({row[0] for row in figures["folds"].rows}) == 12
    assert len(cost.svg) < 40_000


def hostile(suite: vs.Suite) -> Iterator[Figure]:
    """Figures in which everything that a stranger names is named badly."""
    bad = detail(classes=(EVIL, ADDRESS), fold=EVIL, version=EVIL)
    device = f"cpu: {EVIL}"
    cells = [replace(cell, device=device) for cell in bad.cells]
    history = [replace(moment, latency={device: 1.0}, commit=EVIL) for moment in bad.history]
    told = [plain(one) for one in shown((EVIL, ADDRESS), (EVIL, ADDRESS))]
    bad = replace(bad, cells=cells, history=history, shown=told)
    own = {"device": device, "speeds": {device: board_pages.speed(0.1)}}
    given = [
        entry(0, f"p/{EVIL}", **own),
        entry(1, ADDRESS, **own),
        entry(2, "p/\x1b\u202e@0", by=EVIL, status="submitted", **own),
    ]
    given += [entry(place, f"p/{EVIL}{place}", **own) for place in range(3, 40)]
    yield from drawn_for(suite, given, bad)
    yield from own_figures(suite, given[0], bad)


def test_hostile_names_stay_text(suite: vs.Suite) -> None:
    found = list(hostile(suite))
    assert len(found) > 15
    for figure in found:
        parsed = Parsed(figure.svg)
        assert {tag for tag, _ in parsed.tags} <= (ALLOWED if figure.drawn else TABLES), figure.name
        for tag, attrs in parsed.tags:
            assert not any(name.startswith("on") or name in ("style", "src") for name in attrs), (figure.name, tag)
            assert re.fullmatch(r"\.\./entries/[\w-]+\.html", attrs.get("href", "../entries/x.html"))
            assert all(re.fullmatch(r"[\w -]*", attrs.get(name, "")) for name in ("id", "class"))
        if figure.drawn:
            ElementTree.fromstring(plots_svg.as_file(figure.svg, figure.title))
    scripts = "".join(text for figure in found for text in Parsed(figure.svg).text)
    assert "<script>alert(1)" in scripts
    assert "\u202e" not in scripts and "\x1b" not in scripts


def test_only_what_is_known_of_a_picture_stays() -> None:
    texts = plots_svg.Texts()
    links = texts.link("good-1"), texts.link('bad"slug')
    inner = f"""
      <script>alert(1)</script><style>*{{}}</style><foreignObject><div/></foreignObject><image href="x.png"/>
      <rect fill="#ffffff" width="9" height="url(x)" style="fill:red" onclick="alert(2)" class="evil"/>
      <path fill="#0b6666" d="M0,0L1.23456,2" transform="translate(1.26,NaN)"/><path fill="url(#x)" d="M0,0"/>
      <a href="javascript:alert(3)"><text>one</text></a>
      <a href="https://example.org/{links[0]}"><path fill="#16201f" d="M1,1" aria-label="{texts("a & b")}"/></a>
      <a href="{links[1]}"><text>two</text></a>"""
    made = f'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">{inner}</svg>'
    assert plots_svg.cleaned(made, texts, "n", "t", "d").partition("<desc>d</desc>")[2] == (
        '<rect width="9" class="f-paper"/><path d="M0,0L1.2,2" class="f-front"/><text>one</text>'
        '<a href="../entries/good-1.html" aria-label="a &amp; b"><path d="M1,1" class="f-ink"/></a>'
        "<text>two</text></svg>"
    )
    with pytest.raises(ValueError, match="declare"):
        plots_svg.cleaned(f'<!DOCTYPE svg [<!ENTITY a "b">]>{made}', texts, "n", "t", "d")


def test_matrix_with_a_column_of_what_has_no_class() -> None:
    assert plots_matrix.headings(["a", "b"], [[1, 2, 3], [4, 5, 6]]) == (["a", "b"], ["a", "b", "void"])
    cells = Parsed(plots_matrix.matrix(["a", "b"], [[1, 1, 2], [0, 0, 0]], "m"))
    assert [attrs["class"] for tag, attrs in cells.tags if tag == "td"] == [
        "corner",
        "m2",
        "m2",
        "m5",
        "m0",
        "m0",
        "m0",
    ]
    assert [text for text in cells.text if re.fullmatch(r"\d\.\d\d|–", text)] == ["0.25", "0.25", "0.50", "–", "–", "–"]
    assert not plots_matrix.usable([]) and not plots_matrix.usable([[1, 2], [3]])
    large = [[9.0 if i == j else float(j == 3 and i == 5) for j in range(30)] for i in range(30)]
    named = [f"class {place}" for place in range(30)]
    assert [(p.true, p.predicted, p.share) for p in plots_matrix.pairs(named, large)] == [("class 5", "class 3", 0.1)]
    assert "class 5" in plots_matrix.shown(named, large, "m") and "class 7" not in plots_matrix.shown(named, large, "m")


def test_pages_of_the_small_site(built: Built) -> None:
    stems = ("seizure_i3d-seizure_i3d", "driving_fanet-driving_fanet")
    for stem in stems:
        page = (built.out / "plots" / f"{stem}.html").read_text()
        parsed = Parsed(page)
        hrefs = [attrs["href"] for tag, attrs in parsed.tags if tag == "a"]
        inner = [href for href in hrefs if "entries/" in href or href.endswith(".svg")]
        assert inner and all((built.out / "plots" / href).is_file() for href in inner)
        assert not any(tag in ("style",) or "style" in attrs for tag, attrs in parsed.tags)
        ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        for kind in ("latency-cpu-test", "parameters", "flops", "classes-0", "folds"):
            file = built.out / "plots" / f"{stem}-synthetic-quick-{kind}.svg"
            assert ElementTree.parse(file).getroot().find("{http://www.w3.org/2000/svg}title") is not None
            assert "class=" not in file.read_text()
        assert page.count('class="matrix"') == 3
        assert len(page) < 200_000


def test_plots_are_drawn_once(suite: vs.Suite, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsuite_leaderboard.site.PAGES", ("plots",))
    quiet = {"progress": lambda *_: None, "workers": 1, "cache": tmp_path / "cache.sqlite"}
    first = build(suite, [Source(runs)], tmp_path / "site", **quiet)
    monkeypatch.setattr("vidsuite_leaderboard.plots.svg.drawn", None)
    monkeypatch.setattr("vidsuite_leaderboard.plots.table_figures", None)
    again = build(suite, [Source(runs)], tmp_path / "site", **quiet)
    assert (first.written, again.written, again.files) == (first.files, 0, first.files)
    picture = next((tmp_path / "site" / "plots").glob("*.svg"))
    picture.unlink()
    assert build(suite, [Source(runs)], tmp_path / "site", **quiet).written == 1
    assert picture.read_text().startswith("<svg")


def test_mark_tells_its_row_and_leads_to_its_entry(built: Built, open_page: Callable[..., Any]) -> None:
    path = built.out / "plots" / "seizure_i3d-seizure_i3d.html"
    page = open_page(path, viewport={"width": 1200, "height": 800}).page
    mark = page.locator("#synthetic-quick-latency-cpu-test a").first
    tip = page.locator("#plot-tip")
    mark.locator("path").hover()
    assert tip.inner_text().split("\n")[0] == "i3d_lstm_fc"
    assert "macro F1 0." in tip.inner_text() and "rank 1" in tip.inner_text()
    box, window = tip.bounding_box(), page.viewport_size
    assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= window["width"]
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    mark.focus()
    assert tip.is_visible()
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    mark.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("entries/.*i3d_lstm_fc"))
    page.go_back()
    page.locator("#synthetic-quick-latency-cpu-test a").nth(1).locator("path").click()
    page.wait_for_url(re.compile("entries/.*i3d_pool_logreg"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_follow_the_theme_and_fit(built: Built, open_page: Callable[..., Any], scheme: str) -> None:
    path = built.out / "plots" / "driving_fanet-driving_fanet.html"
    page = open_page(path, viewport={"width": 360, "height": 800}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    values = page.evaluate(
        """() => ["fill"].flatMap((side) => [".f-ink", ".f-soft", ".f-paper"].map((name) => {
            const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
            canvas.fillStyle = getComputedStyle(document.querySelector(".plot svg " + name))[side];
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
            return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
        }))"""
    )
    ink, soft, paper = values
    assert (
        (paper > 0.9 and ink < 0.2 and soft < 0.45)
        if scheme == "light"
        else (paper < 0.2 and ink > 0.8 and soft > 0.55)
    )

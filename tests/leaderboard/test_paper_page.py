"""The page of a paper: printed against measured, with an honest remark, and a card that can do nothing."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from board_runs import SEIZURE
from helpers import clip_arrays, keep, make_cell

import vidsuite_core as vs
from vidsuite_core.results.store import Store
from vidsuite_leaderboard.card import card_of, rendered
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.entries import Entry, Score
from vidsuite_leaderboard.pages.paper import Printed, number_of, remark
from vidsuite_leaderboard.site import Built, build

CARD = """# title

<script>alert(1)</script> <b onclick="x()">bold</b>

[run](javascript:alert(1)) [here](configs/x.py) [up](../../etc/passwd) [out](https://example.org/a)
![a *picture*](https://e.org/p.png)
[data](data:text/html;base64,PHNjcmlwdD4=) <javascript:alert(1)> <https://example.org/b>

| left | right |
|:---|---:|
| `a|b` | <style>*{}</style> |

```html
</code></pre><script>alert(2)</script>
```

    indented <i>code</i>
"""


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_card_can_do_nothing() -> None:
    html = rendered(CARD)
    tags = Tags(html).found
    assert {tag for tag, _ in tags} <= {
        "h2",
        "p",
        "a",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
        "code",
    }
    names = {name for _, attrs in tags for name in attrs}
    assert names <= {"href", "rel", "class", "scope", "tabindex", "role", "aria-label"}
    assert [attrs["href"] for tag, attrs in tags if tag == "a"] == ["https://example.org/a", "https://example.org/b"]
    assert "<h2>title</h2>" in html
    assert "a <em>" not in html
    assert '<th class="number" scope="col">right</th>' in html
    assert "here" in html
    assert "&lt;script&gt;alert(2)" in html


def test_installed_plugins_have_their_cards(suite: vs.Suite) -> None:
    cards = {plugin.name: card_of(plugin) for plugin in suite.manager.plugins}
    assert "# seizure_i3d" in cards["seizure_i3d"]
    assert cards["core"] == ""
    module = dataclasses.replace(suite.manager.plugins[0], module="json.decoder")
    assert card_of(module) == ""
    assert card_of(dataclasses.replace(module, module="no_such_module_at_all.part")) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.844 ± 0.042", 0.844),
        ("0.750†", 0.75),
        ("53.4 %", 0.534),
        (".5", 0.5),
        ("53.39%-56.31%", None),
        ("n/a", None),
        ("about 0.5", None),
        ("", None),
    ],
)
def test_a_printed_value(text: str, value: float | None) -> None:
    assert number_of(text) == (None if value is None else pytest.approx(value))


ROW = Printed("FANet", "Table 1", "CityScapes", "", {"miou": "0.7"}, "p/fanet", "p/cityscapes")
OURS = Entry(
    slug="a", benchmark="p/b", task="video_segmentation", dataset="p/cityscapes", preset="paper", model="p/fanet",
    config="c", status="measured", scores={"miou": Score(0.7, None, None, None, 1)}, done=1, expected=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "the paper's dataset and settings"),
        ({"synthetic": True}, "not comparable: synthetic data"),
        ({"dataset": "p/camvid"}, "not comparable: other data than the paper's"),
        ({"weights": ["imagenet: random"]}, "compare with care: random weights in place of imagenet"),
        ({"preset": "quick"}, "compare with care: preset quick, not the paper's settings"),
        ({"expected": 5}, "compare with care: 1 of 5 cells"),
        (
            {"weights": ["detector: random"], "notes": ["without detector no regions were looked for: whole frames"]},
            "the paper's dataset and settings",
        ),
    ],
)
def test_an_honest_remark(changes: dict, said: str) -> None:
    assert remark(ROW, dataclasses.replace(OURS, **changes)) == said


def test_a_row_without_a_dataset_here_compares_with_none() -> None:
    assert remark(dataclasses.replace(ROW, dataset=""), OURS) == "not comparable: other data than the paper's"


def test_reported_rows_name_models_and_datasets_that_there_are(suite: vs.Suite) -> None:
    matched = 0
    for handle in suite.benchmarks.values():
        for row in handle.reported()["rows"]:
            if "ours" in row:
                assert f"{handle.plugin}/{row['ours']}" in suite.models
                matched += 1
            if "dataset" in row:
                assert f"{handle.plugin}/{row['dataset']}" in suite.datasets
    assert matched >= 6


def test_printed_and_measured_stand_side_by_side(built: Built) -> None:
    text = _text(built.out / "papers" / "seizure_i3d.html")
    [measured] = [row for row in text if "synthetic, quick" in row and "not comparable" in row]
    assert "0.844 ± 0.042" in " ".join(text)
    mean, apart = (float(part) for part in (measured.split()[3], measured.split()[6]))
    assert apart == pytest.approx(mean - 0.844, abs=2e-3)
    assert "random weights in place of resnet18_imagenet" in measured
    speeds = " ".join(_text(built.out / "papers" / "driving_fanet.html"))
    assert "FANet, N = 2 50.0 Table 2; section 3.2 printed as mIoU of the test set; what its code computes is" in speeds


def test_the_papers_choice_of_the_epoch_stands_beside_the_print(
    suite: vs.Suite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("rule")
    for fold in "01":
        chosen = clip_arrays(fold, skill=1.0)["prob"]
        arrays = clip_arrays(fold, skill=0.6) | {"prob@paper_rule": chosen}
        cell = make_cell("seizure_i3d/i3d_lstm_fc", fold, config={"selection": "inner"}, **SEIZURE)
        keep(Store(home / "runs"), cell, arrays)
    out = build(suite, [Source(home / "runs")], home / "site", progress=lambda *_: None, workers=1).out
    ranked, rule = [row for row in _text(out / "papers" / "seizure_i3d.html") if "synthetic, quick" in row][:2]
    assert "the paper's rule" in rule and "chosen on the samples that are scored, so never ranked" in rule
    assert "the paper's rule" not in ranked
    assert "1.000" in rule and "1.000" not in ranked


def _text(path: Path) -> list[str]:
    """The rows of a page's tables, as text."""

    class Rows(HTMLParser):
        rows: list[str]

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag == "tr":
                self.rows.append("")

        def handle_data(self, data: str) -> None:
            if self.rows:
                self.rows[-1] += f" {data}"

    reader = Rows()
    reader.rows = []
    reader.feed(path.read_text(encoding="utf-8"))
    return [" ".join(row.split()).replace(" ,", ",") for row in reader.rows]

"""Tables: every form can be read back, and a stranger's names do no harm in any."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from helpers import clip_arrays, core_suite, keep, make_cell
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vidsuite_core.errors import UsageError
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.results.summary import Row, Summary, measured_rows
from vidsuite_core.results.tables import FORMATS, export, show
from vidsuite_core.support.text import printable

TITLES = {"macro_f1": "macro F1", "auc": "AUC"}
HOSTILE = [
    "a|b",
    "back\\slash",
    "=cmd|'/c calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    " =1+1",
    "\t=1+1",
    "<script>alert(1)</script>",
    "[red]stop[/red]",
    "[link=https://evil]here[/link]",
    "[/]",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "line\nbreak\r\nand\x0bmore",
    "right\u202eto left",
    "zero\u200bwidth",
    "half\ud800pair",
    "\\end{tabular}\\input{/etc/passwd}",
    "100% & $x$ #1 _a {b} ~c ^d",
    "`code` *bold* ![image](https://evil)",
    "",
]


def row(model: str = "paper/lstm", **fields: Any) -> Row:
    scores = {"macro_f1": Summary(0.5, 0.1, (0.4, 0.6), (0.35, 0.65)), "recording/auc": Summary(0.7, None, (0.7,))}
    known = {"done": 2, "expected": 2, "config": "c" * 64, "device": "cpu: test", "parameters": 2_000_000}
    return Row("paper/bench", "t", "paper/ward", "quick", model, "measured", **{"scores": scores, **known, **fields})


def reported(model: str = "LSTM of the paper", text: str = "0.76 ± 0.06") -> Row:
    return Row("paper/bench", "t", "", "", model, "reported", {"macro_f1": text}, notes=("Table 2",))


def shown(rows: list[Row], width: int = 200) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=width, force_terminal=True, color_system=None), rows, TITLES)
    return stream.getvalue()


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestTerminal:
    def test_a_table_by_eye(self) -> None:
        text = shown(
            [
                row(throughput=12.345),
                row(variant="last", scores={"macro_f1": Summary(0.25, None, (0.25,))}, done=1),
                row("paper/b", indistinct=True, done=1, problems=("fold 1, seed 0: failed: boom",), notes=("a note",)),
                reported(),
            ]
        )
        lines = [line.strip() for line in text.splitlines()]
        assert lines[1] == "paper/bench on paper/ward, preset quick"
        told = [" ".join(line.split()) for line in lines]
        assert "model macro F1 AUC params /s" in told
        assert told.index("lstm 0.500±0.100 – 2.0M 12.3") + 1 == told.index("0.350–0.650")
        assert "· last epoch 0.250 –" in told
        assert "b ≈ [1 of 2] 0.500±0.100 – 2.0M –" in told
        assert told.index("reported:") + 1 == told.index("LSTM of the paper 0.76±0.06 – – –")
        assert "b: fold 1, seed 0: failed: boom" in lines
        assert "b: a note" in lines
        assert "≈ cannot be told apart from the best row (paired test over subjects and seeds, 95 %)" in lines

    def test_what_a_narrow_terminal_has_no_room_for_is_named(self) -> None:
        text = shown([row(model="paper/a_rather_long_name")], width=40)
        assert max(map(len, text.splitlines())) <= 40
        assert "AUC" not in text.split("no room here for ")[0]
        assert "no room here for AUC: a wider terminal" in " ".join(text.split())
        assert "AUC" in shown([row(model="paper/a_rather_long_name")], width=60)

    def test_a_heading_wider_than_its_column_is_a_word_a_line(self) -> None:
        stream = io.StringIO()
        show(Console(file=stream, width=80), [row()], {"macro_f1": "a heading of several words"})
        assert [line.strip() for line in stream.getvalue().splitlines()[3:7]][:3] == ["a", "heading", "of"]

    def test_a_note_of_all_rows_is_said_once(self) -> None:
        text = shown([row(notes=("random weights",)), row("paper/b", notes=("random weights",))])
        assert text.count("random weights") == 1

    @pytest.mark.parametrize(
        ("first", "second", "names"),
        [
            (row("p/a"), row("p/b"), ("a", "b")),
            (row("p/a"), row("q/a"), ("p/a", "q/a")),
            (row("p/a"), row("p/a", config="d" * 64), ("p/a (config cccccccc)", "p/a (config dddddddd)")),
            (
                row("p/a"),
                row("p/a", device="cuda: X"),
                ("p/a (config cccccccc, cpu: test)", "p/a (config cccccccc, cuda: X)"),
            ),
        ],
    )
    def test_rows_of_one_name_say_in_what_they_differ(self, first: Row, second: Row, names: tuple[str, str]) -> None:
        for text in (shown([first, second]), export([first, second], "latex", None)):
            for name in names:
                assert re.search(rf"^ ?{re.escape(name)} ", text, re.M), text


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    runs = Store(tmp_path_factory.mktemp("runs"))
    for model, skill in (("paper/good", 0.9), ("paper/bad", 0.3)):
        for fold in ("0", "1"):
            arrays = clip_arrays(fold, skill)
            keep(runs, make_cell(model, fold), {**arrays, "prob@last": arrays["prob"]})
    keep(runs, make_cell("paper/broken", "0"), status="failed", reason="boom")
    return measured_rows(core_suite(), [entry for entry in runs.everything() if isinstance(entry, Attempt)])


class TestExport:
    def test_json(self, measured: list[Row]) -> None:
        data = json.loads(export([*measured, reported()], "json", None), parse_constant=pytest.fail)
        assert [entry["model"] for entry in data] == [row.model for row in measured] + ["LSTM of the paper"]
        first = measured[0].scores["macro_f1"]
        assert isinstance(first, Summary)
        assert data[0]["scores"]["macro_f1"]["values"] == list(first.values)
        assert data[-1]["scores"]["macro_f1"] == "0.76 ± 0.06"
        assert all("draws" not in entry for entry in data)

    def test_json_has_null_for_what_is_no_number(self) -> None:
        odd = row(flops=float("inf"), scores={"a": Summary(float("nan"), None, (), (float("-inf"), 1.0))})
        (entry,) = json.loads(export([odd], "json", None), parse_constant=pytest.fail)
        assert entry["flops"] is None
        assert entry["scores"]["a"] == {"mean": None, "sd": None, "values": [], "interval": [None, 1]}

    def test_csv(self, measured: list[Row]) -> None:
        rows = read_csv(export([*measured, reported()], "csv", None))
        assert [entry["model"] for entry in rows] == [row.model for row in measured] + ["LSTM of the paper"]
        first = measured[0].scores["macro_f1"]
        assert isinstance(first, Summary)
        assert first.interval is not None
        assert float(rows[0]["macro_f1"]) == first.mean
        assert float(rows[0]["macro_f1_high"]) == first.interval[1]
        assert rows[-1]["macro_f1_reported"] == "0.76 ± 0.06"
        assert (rows[-1]["macro_f1"], rows[-2]["problems"]) == ("", "fold 0, seed 0: failed: boom")
        assert {len(entry) for entry in rows} == {len(rows[0])}

    def test_parquet(self, measured: list[Row], tmp_path: Path) -> None:
        out = tmp_path / "rows.parquet"
        assert export([*measured, reported()], "parquet", out) == f"wrote {len(measured) + 1} rows to {out}"
        table = pq.read_table(out).to_pylist()
        first = measured[0].scores["macro_f1"]
        assert isinstance(first, Summary)
        assert table[0]["macro_f1"] == first.mean
        assert table[-1]["macro_f1_reported"] == "0.76 ± 0.06"
        with pytest.raises(UsageError, match="name it with --out FILE"):
            export(measured, "parquet", None)

    def test_markdown(self, measured: list[Row]) -> None:
        text = export([*measured, reported()], "markdown", None)
        tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
        assert len(tables) == 2
        assert tables[0][0].startswith(r"| model | macro\_f1 | precision")
        assert all(len(fields(line)) == len(fields(tables[0][0])) for line in tables[0])
        assert len(tables[0]) == 2 + len(measured)
        assert re.match(r"\| good \| \d\.\d{3}±\d\.\d{3} \\\[\d\.\d{3}–\d\.\d{3}\\\]", tables[0][2])

    def test_latex(self, measured: list[Row]) -> None:
        text = export([*measured, reported(text="95 % ± 2")], "latex", None)
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
        assert re.search(r"^good & \d\.\d{3} \$\\pm\$ \d\.\d{3} & ", text, re.M)
        assert r"LSTM of the paper & 95 \% $\pm$ 2 \\" in text

    @pytest.mark.parametrize("form", ["latex", "markdown"])
    def test_readers_see_headings_and_not_keys(self, form: str, measured: list[Row]) -> None:
        text = export(measured, form, None, {measured[0].task: {"macro_f1": "macro F1"}})
        assert "macro F1" in text
        assert "macro" not in text.replace("macro F1", "")
        assert "accuracy" in text  # whose heading is not known

    def test_a_form_that_there_is_not(self) -> None:
        with pytest.raises(UsageError, match="format 'excel' is none of table, markdown, csv"):
            export([row()], "excel", None)


def fields(line: str) -> list[str]:
    """The cells of a Markdown table's row, as GitHub splits it."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


def hostile_rows(text: str) -> list[Row]:
    """The text wherever a stranger's could stand."""
    score = Summary(0.5, None, (0.5,))
    names = {"benchmark": text, "task": "t", "dataset": text, "preset": text, "model": text}
    more = {"problems": (text,), "notes": (text,), "device": text, "path": text}
    return [
        Row(**names, status="measured", scores={"macro_f1": score, text: score}, **more),  # type: ignore[arg-type]
        Row(**names, status="measured", scores={"macro_f1": score}, variant=text or "v"),
        Row(**{**names, "dataset": "", "preset": ""}, status="reported", scores={"f1": text, text: text}),
    ]


any_text = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=8)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


class TestHostile:
    @given(any_text)
    def test_nothing_but_text_reaches_a_terminal(self, text: str) -> None:
        out = shown(hostile_rows(text))
        assert all(sign.isprintable() or sign == "\n" for sign in out), repr(out)
        out.encode()

    def test_rich_markup_is_shown_as_it_is(self) -> None:
        out = shown([row("paper/x [red]stop[/red]", problems=("[bold]why[/bold] [/]",)), reported("[blink]y[/blink]")])
        assert "x [red]stop[/red]" in out
        assert "[bold]why[/bold] [/]" in out
        assert "[blink]y[/blink]" in out

    @given(any_text)
    def test_no_csv_field_is_a_formula(self, text: str) -> None:
        out = export(hostile_rows(text), "csv", None)
        rows = list(csv.reader(io.StringIO(out, newline="")))
        assert len(rows) == 4
        for line in rows:
            for field in line:
                assert field.lstrip()[:1] not in tuple("=+-@") or _is_number(field), field
                assert "\n" not in field
                assert "\r" not in field
        out.encode()

    @pytest.mark.parametrize("number", ["-0.5", "+1", "-1e-3"])
    def test_a_number_stays_a_number_in_csv(self, number: str) -> None:
        (entry,) = read_csv(export([reported(text=number)], "csv", None))
        assert entry["macro_f1_reported"] == number

    @given(any_text)
    def test_markdown_keeps_its_columns_and_holds_no_tag_or_link(self, text: str) -> None:
        out = export(hostile_rows(text), "markdown", None)
        for block in out.split("\n\n"):
            lines = [line for line in block.splitlines() if line.startswith("|")]
            assert len({len(fields(line)) for line in lines}) <= 1, out
        unescaped = re.sub(r"\\[!-/:-@\[-`{-~]", "", out)
        assert not set(unescaped) & set("<>*_`[]$"), out
        parser = Links()
        parser.feed(unescaped)
        assert parser.tags == []
        out.encode()

    @given(any_text)
    def test_latex_is_balanced_and_runs_no_command_of_a_strangers(self, text: str) -> None:
        out = export(hostile_rows(text), "latex", None)
        commands = set(re.findall(r"\\([A-Za-z]+)", out))
        assert commands <= {
            "begin", "end", "toprule", "midrule", "bottomrule", "pm", "approx", "cdot", "textbackslash",
            "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar",
        }  # fmt: skip
        bare = re.sub(r"\\([&%$#_{}]|\\)", "", out)
        assert bare.count("{") == bare.count("}")
        assert bare.count("$") % 2 == 0
        lines = [line for line in bare.splitlines() if not line.startswith("%")]
        assert not any(sign in line for line in lines for sign in "%#_^~<>|")
        for table in re.findall(r"\\toprule\n(.*?)\\bottomrule", out, re.S):
            rows = [line for line in table.splitlines() if line != r"\midrule"]
            assert all(line.endswith(r" \\") for line in rows)
            assert len({len(re.findall(r"(?<!\\)&", line)) for line in rows}) == 1, table
        out.encode()

    @given(any_text)
    def test_json_and_parquet_take_any_text(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        rows = hostile_rows(text)
        assert json.loads(export(rows, "json", None))[0]["model"] == text
        out = tmp_path_factory.getbasetemp() / "rows.parquet"
        export(rows, "parquet", out)
        assert pq.read_table(out).to_pylist()[0]["model"] == printable(text)


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


@given(st.text(st.characters(codec=None)))
def test_printable_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    found = printable(text)
    assert found.isprintable()
    assert printable(found) == found
    found.encode()


@pytest.mark.parametrize("text", ["lstm ≈ 0.5 ± 0.1 – Karácsony · 100 %", "模型", "naïve", "🙂"])
def test_printable_leaves_what_can_be_printed(text: str) -> None:
    assert printable(text) == text


def test_every_form_is_exported() -> None:
    for form in set(FORMATS) - {"table", "parquet"}:
        assert "paper/bench" in export([row()], form, None)

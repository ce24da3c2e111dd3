"""Tables of leaderboard rows: for a terminal, and as Markdown, CSV, LaTeX, JSON or parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError
from vidsuite_core.results.ranks import FLOOR
from vidsuite_core.results.statistics import FEW, FEWEST
from vidsuite_core.results.summary import Row, Summary
from vidsuite_core.results.verification import PAPER_RULE, variant_title
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from rich.console import Console

"""What tables call second sets of predictions."""
FORMATS = ("table", "markdown", "csv", "latex", "json", "parquet")


def show(console: Console, rows: Sequence[Row], titles: dict[str, str]) -> None:
    """Print a table a benchmark, dataset and preset; `titles` are the headings of the scores shown."""
    from rich.text import Text

    reported = [row for row in rows if row.status == "reported"]
    for (benchmark, dataset, preset), members in _tables([row for row in rows if row.status == "measured"]):
        table = list(members)
        console.print(Text("\n" + printable(f"{benchmark} on {dataset}, preset {preset}"), style="bold"))
        own = [row for row in reported if row.benchmark == benchmark]
        shown = [*table, *(row for row in own if set(row.scores) & set(titles))]
        fitting = _fitting(titles, shown, console.width)
        console.print(_rich_table(shown, fitting))
        for line in [*_left_out(titles, fitting), *_footnotes(table), *_reported_notes(own, titles)]:
            console.print(Text(printable(line), style="dim"))


def _fitting(titles: dict[str, str], rows: Sequence[Row], width: int) -> dict[str, str]:
    """The headings of as many scores as a terminal has room for, one at least; a wide one is a word a line."""
    widths = [max(map(len, _names(rows)), default=0), 6, 6]  # model (which may fold), parameters, rate
    room = width - min(widths[0], width // 3) - sum(widths[1:])
    fitting: dict[str, str] = {}
    for score, title in titles.items():
        cells = max((len(line) for row in rows for line in _cell(row.scores.get(score)).split("\n")), default=0)
        heading = printable(title) if len(title) <= cells else "\n".join(printable(title).split())
        room -= 1 + max(cells, *map(len, heading.split("\n")))
        if room < 0 and fitting:
            break
        fitting[score] = heading
    return fitting


def _left_out(titles: dict[str, str], fitting: dict[str, str]) -> list[str]:
    names = ", ".join(title for score, title in titles.items() if score not in fitting)
    return [f"no room here for {names}: a wider terminal or --format markdown shows them"] if names else []


def _rich_table(rows: Sequence[Row], titles: dict[str, str]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("model", overflow="fold")
    for title in titles.values():
        table.add_column(Text(title), justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("/s", justify="right", no_wrap=True)
    told = False
    for row, name in zip(rows, _names(rows), strict=True):
        if row.status == "reported" and not told:
            told = True
            table.add_section()
            table.add_row(Text("reported:", style="dim italic"))
        style = "dim" if row.status == "reported" or row.variant else ""
        table.add_row(
            Text(name),
            *(Text(_cell(row.scores.get(score))) for score in titles),
            Text("" if row.variant else _count(row.parameters)),
            Text("" if row.variant else _rate(row.throughput)),
            style=style,
        )
    return table


def _names(rows: Sequence[Row]) -> list[str]:
    """What a table calls its rows; rows that would have one name say in what they differ."""
    named: list[Callable[[Row], str]] = [
        lambda row: _short(row.model),
        lambda row: row.model,
        lambda row: f"{row.model} (config {row.config[:8]})",
        lambda row: f"{row.model} (config {row.config[:8]}, {row.device})",
    ]
    main = [row for row in rows if row.status == "measured" and not row.variant]
    names: dict[tuple[str, str, str], str] = {}
    for name in named:
        twice = Counter(name(row) for row in main)
        for row in main:
            if twice[name(row)] == 1:
                names.setdefault((row.model, row.config, row.device), name(row))
    return [_name(row, names.get((row.model, row.config, row.device), row.model)) for row in rows]


def _short(model: str) -> str:
    return model.partition("/")[2] or model


def _name(row: Row, name: str) -> str:
    if row.status == "reported":
        return f"  {printable(row.model)}"
    if row.variant:
        return f"  · {printable(variant_title(row.variant))}"
    marks = "" if row.done == row.expected else f" [{row.done} of {row.expected}]"
    marks += " [labels kept back]" if row.kept_back else ""
    return f"{printable(name)}{' ≈' if row.indistinct else ''}{marks}"


def _cell(score: Summary | str | None) -> str:
    if score is None:
        return "–"
    if isinstance(score, str):
        return printable(score).replace(" ± ", "±")
    spread = "" if score.sd is None else f"±{score.sd:.3f}"
    interval = "" if score.interval is None else f"\n{score.interval[0]:.3f}–{score.interval[1]:.3f}"
    return f"{score.mean:.3f}{spread}{interval}"


def _count(number: int | None) -> str:
    if number is None:
        return "–"
    return f"{number / 1e6:.1f}M" if number >= 1e5 else f"{number / 1e3:.1f}k"


def _rate(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"


def _footnotes(rows: Sequence[Row]) -> list[str]:
    main = [row for row in rows if not row.variant]
    units = " or ".join(sorted({row.units for row in main}))
    alone = " (where there is one seed, over these alone)" if any(row.seeds == 1 for row in main) else ""
    lines = [
        "mean ± sd over folds and seeds; /s: samples a second",
        f"below the mean a 95 % interval over {units} and seeds{alone}",
    ]
    if any(row.variant == PAPER_RULE for row in rows):
        lines.append("the paper's rule: the moment of training is chosen on the scored samples; shown, never ranked")
    if any(row.indistinct for row in main):
        lines.append(f"≈ cannot be told apart from the best row (paired test over {units} and seeds, 95 %)")
    lines += _shared(main, _cautions)
    lines += [f"{_short(row.model)}: {problem}" for row in main for problem in row.problems]
    return lines + _shared(main, lambda row: row.notes)


def _cautions(row: Row) -> list[str]:
    """What to know before a row's place is believed."""
    found = [row.reason] if row.reason else []
    if FEWEST <= row.subjects < FEW:
        found.append(f"only {row.subjects} {row.units} are scored, so little can be told apart")
    if row.above_floor is False:
        found.append(f"not above the floor, {FLOOR}, which needs no video")
    if row.few_classes and row.used and not row.floor:
        found.append(f"its predictions use {row.used[0]} of the {row.used[1]} classes")
    return found


def _shared(rows: Sequence[Row], told: Callable[[Row], Sequence[str]]) -> list[str]:
    """A line a text, with the rows that it is told of unless it is of all."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for text in told(row):
            found.setdefault(text, []).append(_short(row.model))
    return [text if len(who) == len(rows) else f"{', '.join(who)}: {text}" for text, who in found.items()]


def _reported_notes(rows: Sequence[Row], titles: dict[str, str]) -> list[str]:
    lines = ["reported: as printed in the paper, on other data; not run here, not comparable"] if rows else []
    for row in rows:
        others = ", ".join(f"{name} {score}" for name, score in row.scores.items() if name not in titles)
        lines += [f"reported, {row.model}: {others}"] if others else []
    return lines


Headings = Mapping[str, Mapping[str, str]]
"""What scores are called, by task and key."""


def export(rows: Sequence[Row], form: str, out: Path | None, headings: Headings | None = None) -> str:
    """The rows in another form; parquet is written to `out` (which it needs), the others are returned as text.

    `headings` are for readers, so for Markdown and LaTeX; the others have the scores' keys.
    """
    flat = [_flat(row) for row in rows]
    if form == "json":
        return json.dumps([_plain(row) for row in rows], indent=1, allow_nan=False)
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream)
        names = _columns(flat)
        writer.writerow([_spreadsheet(name) for name in names])
        writer.writerows([_spreadsheet(row.get(name)) for name in names] for row in flat)
        return stream.getvalue()
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        if out is None:
            raise UsageError("--format parquet writes a file: name it with --out FILE")
        names = _columns(flat)
        pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in flat]), out)
        return f"wrote {len(flat)} rows to {out}"
    if form in ("markdown", "latex"):
        return _markdown(rows, headings or {}) if form == "markdown" else _latex(rows, headings or {})
    raise UsageError(f"format {form!r} is none of {', '.join(FORMATS)}")


def _markdown(rows: Sequence[Row], headings: Headings) -> str:
    lines = []
    for (benchmark, dataset, preset), members in _tables(rows):
        table = list(members)
        names = _score_names(table)
        where = f"{benchmark} on {dataset}, preset {preset}" if dataset else f"{benchmark}: reported by the paper"
        lines += [f"### {_escape_markdown(where)}", ""]
        lines.append(
            "| " + " | ".join(map(_escape_markdown, ["model", *_called(table, names, headings), "status"])) + " |"
        )
        lines.append("|---|" + "---:|" * len(names) + "---|")
        for row, name in zip(table, _names(table), strict=True):
            cells = [_cell(row.scores.get(score)).replace("\n", " [") for score in names]
            cells = [f"{cell}]" if " [" in cell else cell for cell in cells]
            cells = [name.strip(), *cells, row.kept_back or row.status]
            lines.append("| " + " | ".join(map(_escape_markdown, cells)) + " |")
        lines.append("")
    return "\n".join(lines)


def _latex(rows: Sequence[Row], headings: Headings) -> str:
    lines = []
    for (benchmark, dataset, preset), members in _tables(rows):
        table = list(members)
        names = _score_names(table)
        lines += [f"% {_escape_latex(benchmark)} {_escape_latex(dataset)} {_escape_latex(preset)}"]
        lines += [r"\begin{tabular}{l" + "r" * len(names) + "}", r"\toprule"]
        lines += [" & ".join(["model", *map(_escape_latex, _called(table, names, headings))]) + r" \\", r"\midrule"]
        for row, name in zip(table, _names(table), strict=True):
            cells = [_cell(row.scores.get(score)).partition("\n")[0] for score in names]
            lines.append(" & ".join(map(_escape_latex, [name.strip(), *cells])) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def _called(rows: Sequence[Row], names: Sequence[str], headings: Headings) -> list[str]:
    known = headings.get(rows[0].task, {})
    return [known.get(name, name) for name in names]


def _tables(rows: Sequence[Row]) -> Any:
    return groupby(rows, key=lambda row: (row.benchmark, row.dataset, row.preset))


def _score_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.scores if "/" not in name))


def _plain(row: Row) -> dict[str, Any]:
    whole = asdict(replace(row, draws=None))
    del whole["draws"]
    return dict(_finite(whole))


def _finite(value: Any) -> Any:
    """`value` with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(row: Row) -> dict[str, Any]:
    names = ("benchmark", "task", "dataset", "preset", "model", "variant", "status", "config", "done", "expected")
    flat: dict[str, Any] = {name: getattr(row, name) for name in names}
    flat |= {name: getattr(row, name) for name in ("parameters", "flops", "throughput", "device", "path")}
    flat |= {name: getattr(row, name) for name in ("rank", "tied", "indistinct", "reason", "above_floor", "subjects")}
    flat |= {"kept_back": row.kept_back, "problems": "; ".join(row.problems), "notes": "; ".join(row.notes)}
    scores: dict[str, Any] = {}
    for name, score in row.scores.items():
        if isinstance(score, Summary):
            low, high = score.interval or (None, None)
            scores |= {name: score.mean, f"{name}_sd": score.sd, f"{name}_low": low, f"{name}_high": high}
        else:
            scores[f"{name}_reported"] = score
    flat |= {name: v for name, v in scores.items() if name not in flat}
    return {printable(name): printable(v) if isinstance(v, str) else v for name, v in flat.items()}


def _columns(flat: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in flat for name in row))


def _spreadsheet(value: Any) -> Any:
    """A CSV field; a text that a spreadsheet would run as a formula is put behind an apostrophe."""
    if isinstance(value, str) and value.lstrip()[:1] in tuple("=+-@") and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\|<>*_`[]&$~" else sign for sign in printable(text))


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r" $\pm$ ", "≈": r"$\approx$", "·": r"$\cdot$", "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in printable(text))

"""Tables of leaderboard rows: for a terminal, and as Markdown, CSV, LaTeX, JSON or parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError
from vidsuite_core.summary import Row, Summary

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "markdown", "csv", "latex", "json", "parquet")


def show(console: Console, rows: Sequence[Row], titles: dict[str, str]) -> None:
    """Print a table a benchmark, dataset and preset; `titles` are the headings of the scores shown."""
    from rich.text import Text

    reported = [row for row in rows if row.status == "reported"]
    for (benchmark, dataset, preset), members in _tables([row for row in rows if row.status == "measured"]):
        table = list(members)
        console.print(Text(f"\n{benchmark} on {dataset}, preset {preset}", style="bold"))
        own = [row for row in reported if row.benchmark == benchmark]
        console.print(_rich_table([*table, *(row for row in own if set(row.scores) & set(titles))], titles))
        for line in [*_footnotes(table), *_reported_notes(own, titles)]:
            console.print(Text(line, style="dim"))


def _rich_table(rows: Sequence[Row], titles: dict[str, str]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("model", overflow="fold")
    for title in titles.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("/s", justify="right", no_wrap=True)
    told = False
    for row in rows:
        if row.status == "reported" and not told:
            told = True
            table.add_section()
            table.add_row(Text("reported:", style="dim italic"))
        style = "dim" if row.status == "reported" or row.variant else ""
        table.add_row(
            Text(_name(row)),
            *(Text(_cell(row.scores.get(name))) for name in titles),
            Text("" if row.variant else _count(row.parameters)),
            Text("" if row.variant else _rate(row.throughput)),
            style=style,
        )
    return table


def _name(row: Row) -> str:
    if row.status == "reported":
        return f"  {row.model}"
    if row.variant:
        return f"  · {row.variant} epoch" if row.variant == "last" else f"  · {row.variant}"
    marks = "" if row.done == row.expected else f" [{row.done} of {row.expected}]"
    return f"{row.model.rpartition('/')[2]}{' ≈' if row.indistinct else ''}{marks}"


def _cell(score: Summary | str | None) -> str:
    if score is None:
        return "–"
    if isinstance(score, str):
        return score.replace(" ± ", "±")
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
    lines = ["mean ± sd over folds and seeds; below it a 95 % interval (bootstrap over subjects); /s: clips a second"]
    if any(row.variant == "last" for row in rows):
        lines.append(
            "the epoch is chosen on the scored fold, as in the paper, which flatters; 'last epoch' is not chosen"
        )
    if any(row.indistinct for row in main):
        lines.append("≈ cannot be told apart from the best row (paired bootstrap over subjects, 95 %)")
    lines += [f"{row.model.rpartition('/')[2]}: {problem}" for row in main for problem in row.problems]
    notes: dict[str, list[str]] = {}
    for row in main:
        for note in row.notes:
            notes.setdefault(note, []).append(row.model.rpartition("/")[2])
    lines += [note if len(who) == len(main) else f"{', '.join(who)}: {note}" for note, who in notes.items()]
    return lines


def _reported_notes(rows: Sequence[Row], titles: dict[str, str]) -> list[str]:
    lines = ["reported: as printed in the paper, on other data; not run here, not comparable"] if rows else []
    for row in rows:
        others = ", ".join(f"{name} {score}" for name, score in row.scores.items() if name not in titles)
        lines += [f"reported, {row.model}: {others}"] if others else []
    return lines


def export(rows: Sequence[Row], form: str, out: Path | None) -> str:
    """The rows in another form; parquet is written to `out` (which it needs), the others are returned as text."""
    flat = [_flat(row) for row in rows]
    if form == "json":
        return json.dumps([_plain(row) for row in rows], indent=1)
    if form == "csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, fieldnames=_columns(flat))
        writer.writeheader()
        writer.writerows(flat)
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
        return _markdown(rows) if form == "markdown" else _latex(rows)
    raise UsageError(f"format {form!r} is none of {', '.join(FORMATS)}")


def _markdown(rows: Sequence[Row]) -> str:
    lines = []
    for (benchmark, dataset, preset), members in _tables(rows):
        table = list(members)
        names = _score_names(table)
        where = f"{benchmark} on {dataset}, preset {preset}" if dataset else f"{benchmark}: reported by the paper"
        lines += [f"### {_escape_markdown(where)}", ""]
        lines.append("| model | " + " | ".join(names) + " | status |")
        lines.append("|---|" + "---:|" * len(names) + "---|")
        for row in table:
            cells = [_cell(row.scores.get(name)).replace("\n", " [") for name in names]
            cells = [f"{cell}]" if " [" in cell else cell for cell in cells]
            lines.append("| " + " | ".join(map(_escape_markdown, [_name(row).strip(), *cells, row.status])) + " |")
        lines.append("")
    return "\n".join(lines)


def _latex(rows: Sequence[Row]) -> str:
    lines = []
    for (benchmark, dataset, preset), members in _tables(rows):
        table = list(members)
        names = _score_names(table)
        lines += [f"% {_escape_latex(benchmark)} {_escape_latex(dataset)} {_escape_latex(preset)}"]
        lines += [r"\begin{tabular}{l" + "r" * len(names) + "}", r"\toprule"]
        lines += [" & ".join(["model", *map(_escape_latex, names)]) + r" \\", r"\midrule"]
        for row in table:
            cells = [_cell(row.scores.get(name)).partition("\n")[0].replace("±", r" $\pm$ ") for name in names]
            lines.append(" & ".join([_escape_latex(_name(row).strip()), *cells]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def _tables(rows: Sequence[Row]) -> Any:
    return groupby(rows, key=lambda row: (row.benchmark, row.dataset, row.preset))


def _score_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.scores if "/" not in name))


def _plain(row: Row) -> dict[str, Any]:
    whole = asdict(row)
    del whole["draws"]
    return whole


def _flat(row: Row) -> dict[str, Any]:
    names = ("benchmark", "task", "dataset", "preset", "model", "variant", "status", "config", "done", "expected")
    flat: dict[str, Any] = {name: getattr(row, name) for name in names}
    flat |= {name: getattr(row, name) for name in ("parameters", "flops", "throughput", "device", "path", "indistinct")}
    for name, score in row.scores.items():
        if isinstance(score, Summary):
            low, high = score.interval or (None, None)
            flat |= {name: score.mean, f"{name}_sd": score.sd, f"{name}_low": low, f"{name}_high": high}
        else:
            flat[f"{name}_reported"] = score
    flat["problems"], flat["notes"] = "; ".join(row.problems), "; ".join(row.notes)
    return flat


def _columns(flat: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in flat for name in row))


def _escape_markdown(text: str) -> str:
    for sign in "\\|<>*_`[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def _escape_latex(text: str) -> str:
    table = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≈": r"$\approx$"}
    table |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(table.get(sign, sign) for sign in text)

"""`vidsuite submit`: pack results for somebody else's leaderboard, check such a pack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import click

from vidsuite_core.cli.output import answer
from vidsuite_core.suite import load
from vidsuite_core.support.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidsuite_leaderboard.submit.packs import Report

_PATH = click.Path(path_type=Path)
PUBLISHED = Path(__file__).parents[1] / "published"
"""The results that the project's own site is built from; an installed package has them not."""
_WIDTH = 80
_SHOWN = 20
"""Findings of a kind that are shown; JSON has them all."""
_HEADINGS = {"fault": "refused", "not checked": "not checked", "note": "to know"}


@click.group()
def submit() -> None:
    """Pack results for somebody else's leaderboard, or check such a pack."""


@submit.command()
@click.argument("runs", nargs=-1, type=_PATH)
@click.option("--out", required=True, type=_PATH, help="The file to write, as results.zip.")
@click.option("--by", required=True, metavar="NAME", help="Your name or your group's, as the tables will show it.")
@click.option("--note", default="", metavar="TEXT", help="A word to whoever reads the submission.")
@click.option("--benchmark", metavar="GLOB", help="Only results of these benchmarks.")
@click.option("--dataset", metavar="GLOB", help="Only results on these datasets.")
@click.option("--model", metavar="GLOB", help="Only results of these models.")
def pack(
    runs: tuple[Path, ...],
    out: Path,
    by: str,
    note: str,
    benchmark: str | None,
    dataset: str | None,
    model: str | None,
) -> int:
    """Pack the results of run folders (by default 'runs') into one file.

    Every attempt is verified first. The newest good one of each cell goes in, or the newest that failed, so that an
    incomplete row shows why; and reproductions that 'vidsuite reproduce --by NAME' made.

    What others will see: result.json (scores, config, versions, CPU, GPU and memory, a hash of the machine's name, the
    command line), predictions.npz (the names of samples and subjects, and what was predicted), config.py, and the log.
    No picture, no label map, no weights. Nothing is rewritten on the way; you are warned where a command line or log
    names a folder of yours.

    Exit code 1 says that an attempt was left out since it does not hold.
    """
    from pydantic import ValidationError

    from vidsuite_core.errors import UsageError
    from vidsuite_leaderboard.submit.packs import pack as write

    folders = runs or (Path("runs"),)
    try:
        packed = write(load(), folders, out, by, note, benchmark=benchmark, dataset=dataset, model=model)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for path, reason in packed.refused:
        click.echo(printable(f"left out: {path}: {reason}"), err=True)
    for warning in packed.warnings:
        click.echo(printable(f"note: {warning}"), err=True)
    click.echo(
        f"{out}: {_many(packed.attempts, 'attempt')}, {_size(packed.size)}; 'vidsuite submit check {out}' checks it"
    )
    return 1 if packed.refused else 0


@submit.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--into", type=_PATH, help="Unpack a file without a fault to a folder of its own below this one.")
@click.option(
    "--known",
    multiple=True,
    type=_PATH,
    help="Run folder to compare predictions with; by default the published results, where they are here.",
)
def check(file: Path, as_json: bool, into: Path | None, known: tuple[Path, ...]) -> int:
    """Check a pack, which may come from anybody, as far as the data here allow.

    It is opened within bounds and nothing in it is run. Checked are its form, all hashes, ids and scores (computed anew
    from the predictions), the environment, the benchmark's protocol, that rows are whole, and that no subject is tested
    twice; where the dataset is here, also that the predictions are of exactly the samples of each fold. Predictions are
    compared with those of all known results (--known, and what lies below --into), names with those of their owners,
    and speeds with the record's own latencies.

    Exit code 0 says that it was accepted, 1 that it was refused, 2 that there is no such file. 'vidsuite leaderboard
    build --submitted DIR' shows what was unpacked into DIR.
    """
    from vidsuite_leaderboard.submit.packs import check as run

    report = run(load(), file, into, known=known or [path for path in (PUBLISHED,) if path.is_dir()])
    return _told(report, as_json)


@submit.command()
@click.argument("file", type=_PATH)
@click.option("--by", required=True, metavar="NAME", help="Your name or your group's: who has the labels.")
@click.option("--into", required=True, type=_PATH, help="Folder below which the scored results get one of their own.")
@click.option("--labels", type=_PATH, help="Folder of the dataset with its test labels; by default below the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--known",
    multiple=True,
    type=_PATH,
    help="Run folder to compare predictions with; by default the published results, where they are here.",
)
def score(file: Path, by: str, into: Path, labels: Path | None, as_json: bool, known: tuple[Path, ...]) -> int:
    """Score a pack of predictions whose test labels are kept back: for whoever has the labels.

    The pack is checked as 'submit check' does it. Then labels and predictions are joined by the samples' ids, of which
    each must be there once, and scored as everywhere; the results say that you scored them, and hold a keyed hash of
    the labels (its key is made beside them), never a label.

    Exit code 0 says that all was scored, 1 that the pack was refused, 2 that there is no such file. 'vidsuite
    leaderboard build --submitted DIR' shows what lies in DIR.
    """
    from vidsuite_core.errors import UsageError
    from vidsuite_core.support.text import shown_name
    from vidsuite_leaderboard.submit.score import score as run

    try:
        shown_name(by)
    except ValueError as error:
        raise UsageError(f"--by: {error}") from error
    if not 1 <= len(by) <= 80:
        raise UsageError("--by: a name has 1 to 80 characters")
    report = run(load(), file, into, by, labels, known or [path for path in (PUBLISHED,) if path.is_dir()])
    return _told(report, as_json)


def _told(report: Report, as_json: bool) -> int:
    """Write the report, for a reader or as JSON; its exit code."""
    if as_json:
        answer({"accepted": report.accepted, **asdict(report)})
    else:
        for line in _lines(report):
            click.echo(line)
    return 0 if report.accepted else 1


def _lines(report: Report) -> Iterator[str]:
    """The report for a reader: 80 columns, equal findings as one."""
    from vidsuite_core.results.withheld import KEPT_BACK

    if report.by:
        again = f", {_many(report.reproductions, 'reproduction')} among them" if report.reproductions else ""
        yield _wrapped(
            f"submission by {report.by}: {_many(report.attempts, 'attempt')}"
            f" in {_many(len(report.rows), 'row')}{again}; sha256 {report.sha256[:16]}"
        )
    if report.note:
        yield _wrapped(f"note: {report.note}")
    for row in report.rows:
        unscored = KEPT_BACK if row["kept_back"] else "no score"
        mean = unscored if row["mean"] is None else f"{row['score']} {row['mean']:.3f}"
        yield _wrapped(
            f"{row['model']} on {row['dataset']}, {row['preset']}: {row['done']} of {row['cells']} cells, {mean}"
        )
    for kind, heading in _HEADINGS.items():
        places: dict[str, list[str]] = {}
        for finding in report.findings:
            if finding.kind == kind:
                places.setdefault(finding.text, []).append(finding.where)
        if places:
            yield f"\n{heading}"
        for text, where in list(places.items())[:_SHOWN]:
            many = f" and {len(where) - 1} more" if len(where) > 1 else ""
            yield _wrapped(f"{_short(where[0])}{many}: {text}" if where[0] else text, "  ")
        if len(places) > _SHOWN:
            yield f"  and {len(places) - _SHOWN} more; --json shows all"
    for one in report.scored:
        value = "not defined" if one["value"] is None else f"{one['value']:.3f}"
        yield _wrapped(f"scored: {_short(one['place'])}: {one['score']} {value}")
    faults = sum(finding.kind == "fault" for finding in report.findings)
    yield ""
    yield f"refused: {_many(faults, 'fault')}" if faults else "accepted: what could be checked holds"
    if report.into:
        yield _wrapped(f"unpacked to {report.into}")


def _wrapped(text: str, indent: str = "") -> str:
    return fill(printable(text), _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def _short(place: str) -> str:
    """An attempt's place by its cell alone, which fits a line."""
    parts = place.split("/")
    return parts[1] if len(parts) == 3 else place


def _many(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"

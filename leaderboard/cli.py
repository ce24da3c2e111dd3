"""`vidsuite leaderboard`: build the site, draw pictures for it, serve it."""

from __future__ import annotations

from pathlib import Path

import click

from vidsuite_core.suite import load

_PATH = click.Path(path_type=Path)


@click.group()
def leaderboard() -> None:
    """Build a static site of results, or serve it."""


@leaderboard.command()
@click.argument("runs", nargs=-1, type=_PATH)
@click.option("--out", default="site", show_default=True, type=_PATH, help="Folder of the site.")
@click.option("--submitted", type=_PATH, help="Folder of accepted submissions, a run folder each.")
@click.option("--changes", type=_PATH, help="YAML of removals and corrections.")
@click.option("--pictures", type=_PATH, help="Folder that 'vidsuite leaderboard pictures' wrote.")
@click.option("--fresh", is_flag=True, help="Compute and write everything anew.")
@click.option("--no-attempts", is_flag=True, help="Do not copy the attempts' own files beside the pages.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read and score; by default one a core.")
def build(
    runs: tuple[Path, ...],
    out: Path,
    submitted: Path | None,
    changes: Path | None,
    pictures: Path | None,
    fresh: bool,
    no_attempts: bool,
    workers: int | None,
) -> int:
    """Build the site of run folders (by default 'runs').

    Every score is recomputed from stored predictions. What does not agree is left out and listed on the site; the exit
    code is 1 then. What an earlier build computed is reused.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.support.ids import digest
    from vidsuite_core.support.paths import cache_home
    from vidsuite_leaderboard.collect import Source
    from vidsuite_leaderboard.site import build as build_site
    from vidsuite_leaderboard.submit.submission import sources_below

    cache = cache_home() / "leaderboard" / f"{digest(str(out.resolve()))[:16]}.sqlite"
    if fresh:
        cache.unlink(missing_ok=True)
    sources = [Source(run) for run in runs or (Path("runs"),)]
    sources += sources_below(submitted) if submitted else []
    with watcher_for(Console(stderr=True)) as watcher:
        built = build_site(
            load(),
            sources,
            out,
            progress=watcher.preparing,
            changes=changes,
            pictures=pictures,
            cache=cache,
            fresh=fresh,
            attempts=not no_attempts,
            workers=workers,
        )
    click.echo(
        f"{built.out}/index.html: {built.entries} entries from {built.attempts} attempts;"
        f" {built.written} of {built.files} files written"
    )
    if built.rejected:
        click.echo(f"{built.rejected} attempts were left out; {built.out}/changes.html lists why", err=True)
    return 1 if built.rejected else 0


@leaderboard.command()
@click.argument("runs", nargs=-1, type=_PATH)
@click.option("--out", default="pictures", show_default=True, type=_PATH, help="Folder to draw into.")
@click.option("--prepare", is_flag=True, help="Generate or download datasets that are not here.")
def pictures(runs: tuple[Path, ...], out: Path, prepare: bool) -> int:
    """Draw samples that the models of run folders (by default 'runs') got right and wrong, for 'build --pictures'.

    Only datasets that may be shown are drawn. Frames are drawn with the label maps that 'vidsuite bench --keep outputs'
    kept. What is left out is named with the reason.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_leaderboard.pictures import draw_pictures

    with watcher_for(Console(stderr=True)) as watcher:
        drawn = draw_pictures(load(), runs or (Path("runs"),), out, watcher.preparing, prepare=prepare)
    for line in drawn.left_out:
        click.echo(f"left out: {line}", err=True)
    click.echo(f"{out}: {drawn.pictures} pictures of {drawn.entries} entries")
    return 0 if drawn.pictures else 1


@leaderboard.command()
@click.argument("site", default="site", type=_PATH)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
def serve(site: Path, port: int) -> int:
    """Serve a site to this machine's browsers, until stopped. Any web host will do as well, and so will no host."""
    from vidsuite_leaderboard.serve import serve_forever

    serve_forever(site, port, click.echo)
    return 0

"""The command line. A sub-command's module is imported when it is called; `--help` imports nothing heavy."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from vidsuite_core.cli.output import reserved
from vidsuite_core.errors import Note, VidsuiteError
from vidsuite_core.support.text import printable, show_anywhere

COMMANDS = {
    "bench": ("vidsuite_core.cli.bench:bench", "Run a benchmark's cells and show the table."),
    "runs": ("vidsuite_core.cli.runs:runs", "Look at runs that are under way, and steer them."),
    "list": ("vidsuite_core.cli.catalogue:list_", "List plugins, tasks, datasets, models or benchmarks."),
    "show": ("vidsuite_core.cli.catalogue:show", "Show what is known of a name."),
    "report": ("vidsuite_core.cli.results:report", "Show the tables of run folders."),
    "verify": ("vidsuite_core.cli.results:verify", "Recompute scores from predictions and check hashes."),
    "merge": ("vidsuite_core.cli.merge:merge", "Copy the attempts of run folders into one."),
    "export": ("vidsuite_core.cli.export:export", "Write predictions in the forms of others' tools."),
    "reproduce": ("vidsuite_core.cli.reproduce:reproduce", "Run a recorded cell again and compare its score."),
    "stream": ("vidsuite_core.cli.stream:stream", "Segment a video frame by frame and write it with its labels."),
    "data": ("vidsuite_core.cli.data:data", "List, prepare, import and verify datasets."),
    "weights": ("vidsuite_core.cli.weights:weights", "List, get and verify initial weights."),
    "doctor": ("vidsuite_core.cli.doctor:doctor", "Check this installation and machine."),
}


class _Lazy(click.Group):
    """A group that imports a command only to run it, and takes further ones from plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *self._of_plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        builder = self._of_plugins().get(cmd_name)
        if builder is None:
            return None
        from vidsuite_core.specs import resolve

        brought: click.Command = resolve(builder[0])
        return brought

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, text) for name, (_, text) in {**COMMANDS, **self._of_plugins()}.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _of_plugins(self) -> dict[str, tuple[str, str]]:
        from vidsuite_core.suite import load

        return {
            row.spec.name: (row.spec.builder, row.spec.summary)
            for row in load().commands.values()
            if row.spec.name not in COMMANDS
        }


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="vidsuite")
def cli(debug: bool) -> None:
    """Benchmarks of video-analysis papers: run them, compare methods, keep every prediction."""
    from vidsuite_core.support.surroundings import settle

    settle()


_REPEATED = ("--cfg-options", "--executor-options")
"""Options that may be followed by several K=V."""


def repeat_options(arguments: list[str]) -> list[str]:
    """`--cfg-options a=1 b=2`, as OpenMMLab's tools take it, with the option before each pair."""
    out: list[str] = []
    inside = ""
    for word in arguments:
        if inside and not word.startswith("-") and "=" in word and out[-1] != inside:
            out.append(inside)
        elif word.startswith("-"):
            inside = word if word in _REPEATED else ""
        out.append(word)
    return out


def main() -> None:
    """The console script: one line an error, exit code 0 (fine), 1 (something failed) or 2 (wrong use)."""
    debug = "--debug" in sys.argv
    sys.argv[1:] = repeat_options(sys.argv[1:])
    show_anywhere()
    _show_notes()
    try:
        with reserved(sys.argv[1:]):
            code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped; what had finished is kept, and the same command goes on", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except VidsuiteError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except OSError as error:
        if debug:
            raise
        _fail(_told(error), 1)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}"
        _fail(f"{what}; this is a fault of vidsuite or of a plugin, and 'vidsuite --debug ...' shows where", 1)


def _told(error: OSError) -> str:
    """Where the system refused, and why; of a disk that is full and not named, the fullest that is written to."""
    import shutil
    import tempfile

    from vidsuite_core.support.files import why
    from vidsuite_core.support.paths import cache_home

    if error.filename:
        return f"{os.fsdecode(error.filename)}: {why(error, Path(os.fsdecode(error.filename)))}"
    places = [place for place in (Path.cwd(), cache_home(), Path(tempfile.gettempdir())) if place.is_dir()]
    return f"the system: {why(error, min(places, key=lambda place: shutil.disk_usage(place).free))}"


def _show_notes() -> None:
    """Print each `Note` as a line, once, whatever is asked of Python's other warnings."""
    usual, told = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, Note):
            usual(message, category, *rest, **more)
        elif str(message) not in told:
            told.add(str(message))
            click.echo(printable(f"note: {message}"), err=True)

    warnings.showwarning = show
    warnings.filterwarnings("always", category=Note)


def _fail(text: str, code: int) -> Any:
    for number, line in enumerate(text.splitlines() or [""]):
        click.echo(printable(f"  {line}" if number else f"error: {line}"), err=True)
    sys.exit(code)

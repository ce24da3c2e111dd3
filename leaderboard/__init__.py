"""The leaderboard: a static site from run folders. Importing it imports nothing heavy."""

from vidsuite_core import hookimpl
from vidsuite_core.specs import CommandSpec

vidsuite_api = 1


@hookimpl
def vidsuite_commands() -> list[CommandSpec]:
    """`vidsuite leaderboard` and `vidsuite submit`."""
    return [
        CommandSpec(
            name="leaderboard",
            summary="Build a static site of results, or serve it.",
            builder="vidsuite_leaderboard.cli:leaderboard",
        ),
        CommandSpec(
            name="submit",
            summary="Pack results for somebody else's leaderboard, or check such a pack.",
            builder="vidsuite_leaderboard.submit.cli:submit",
        ),
    ]

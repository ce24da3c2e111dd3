"""Errors that a user reads: what is wrong, where, and what to do."""

from __future__ import annotations


class VidsuiteError(Exception):
    """A fault in one or two sentences that name the thing and the remedy.

    The command line prints it in one line and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(VidsuiteError):
    """The command or the call itself was wrong (exit code 2)."""

    exit_code = 2


class WeightsUnavailable(VidsuiteError):
    """Named weights are neither in the cache nor to be fetched now."""


class DataNotReady(VidsuiteError):
    """A dataset was asked for its samples before it was prepared or imported."""


class Note(UserWarning):
    """Something that a user should know and that stops nothing; the command line prints it in one line, once."""

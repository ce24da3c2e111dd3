"""Submissions that were accepted: other people's run folders, each with a `submission.json` that says whose."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.runner.files import read_regular
from vidsuite_leaderboard.collect import Source

SUBMISSION = "submission.json"
MAX_BYTES = 2**16


class Submission(BaseModel):
    """Whose results they are: a name that they give, and a note."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(min_length=1, max_length=80)
    note: str = Field(default="", max_length=2000)
    created: AwareDatetime


def read_submission(folder: Path) -> Submission:
    """The `submission.json` of a run folder.

    Raises:
        VidsuiteError: it is missing, or not of the form.
    """
    path = folder / SUBMISSION
    try:
        return Submission.model_validate(json.loads(read_regular(path, MAX_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise VidsuiteError(f"{path} is no submission: {first}") from error


def sources_below(folder: Path) -> list[Source]:
    """The accepted submissions in `folder`, one a sub-folder."""
    if not folder.is_dir():
        raise VidsuiteError(f"there is no folder of submissions at {folder}")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    return [Source(path, read_submission(path).by) for path in found]

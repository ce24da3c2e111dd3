"""Submissions that were accepted: other people's run folders, each with a `submission.json` that says whose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.runner.reproduce import Name
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.litter import entries
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.collect import Source

SUBMISSION = "submission.json"
MAX_BYTES = 2**16


class Submission(BaseModel):
    """`submission.json`: whose results they are (a name that they give), a note, and when the newest was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    by: Name
    note: str = Field(default="", max_length=2000)
    created: AwareDatetime

    @field_validator("note")
    @classmethod
    def _visible(cls, note: str) -> str:
        if any(printable(line) != line for line in note.split("\n")):
            raise ValueError("a note has no signs that cannot be seen")
        return note


def read_submission(folder: Path) -> Submission:
    """The `submission.json` of a run folder.

    Raises:
        VidsuiteError: it is missing, or not of the form.
    """
    path = folder / SUBMISSION
    try:
        return Submission.model_validate(json.loads(read_regular(path, MAX_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise VidsuiteError(f"{path} is no submission: {where}") from error


def sources_below(folder: Path) -> list[Source]:
    """The accepted submissions in `folder`, one a sub-folder."""
    if not folder.is_dir():
        raise VidsuiteError(f"there is no folder of submissions at {folder}")
    found = [path for path in entries(folder) if path.is_dir() and not path.is_symlink()]
    return [Source(path, read_submission(path).by) for path in found]

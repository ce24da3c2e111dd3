"""The command line, called in the tests' own process: without the seconds that starting another one takes."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from vidsuite_core.cli import main


@dataclass(frozen=True)
class Called:
    """What a call printed and came to."""

    returncode: int
    stdout: str
    stderr: str


def vidsuite(*words: str) -> Called:
    """`vidsuite WORDS..`; the environment is afterwards what it was before."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    argv = patch.object(sys, "argv", ["vidsuite", *words])
    with patch.dict(os.environ), argv, redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Called(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())

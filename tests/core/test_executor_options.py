"""Options of executors: a profile and the command line, checked by name and type before anything is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vidsuite_core.cli import repeat_options
from vidsuite_core.errors import UsageError
from vidsuite_core.runner.executor import Resources
from vidsuite_core.runner.local import LocalExecutor
from vidsuite_core.runner.options import gathered, minutes, settled


@dataclass(frozen=True)
class Kind:
    name: str = ""
    count: int = 1
    share: float = 0.5
    lines: list[str] = field(default_factory=list)
    table: dict[str, str] = field(default_factory=dict)


def test_what_is_given_stands_in_place_of_the_profiles(tmp_path: Path) -> None:
    profile = tmp_path / "lab.toml"
    profile.write_text('name = "gpu"\ncount = 4\nlines = ["a", "b"]\n[table]\nx = 1\ny = true\n')
    found = settled(Kind, "queue", gathered(profile, ["count=8", "share=0.25"]))
    assert found == Kind("gpu", 8, 0.25, ["a", "b"], {"x": "1", "y": True})  # type: ignore[dict-item]
    assert settled(Kind, "queue", gathered(None, ["lines=one", "name=a=b"])) == Kind("a=b", lines=["one"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"nam": "x"}, "executor queue has no option 'nam'; did you mean 'name'?"),
        ({"zzz": "x"}, "executor queue has no option 'zzz'; it has name, count, share, lines, table"),
        ({"count": "many"}, "executor queue: count is a whole number from 0, not 'many'"),
        ({"count": -1}, "executor queue: count is a whole number from 0, not -1"),
        ({"count": True}, "executor queue: count is a whole number from 0, not True"),
        ({"share": "nan"}, "executor queue: share is a number from 0, not 'nan'"),
        ({"lines": 3}, "executor queue: lines is a list of texts, not 3"),
        ({"table": "x"}, "executor queue: table is a table of the profile, not 'x'"),
    ],
)
def test_a_wrong_option_is_named_with_the_remedy(options: dict[str, object], fault: str) -> None:
    with pytest.raises(UsageError) as error:
        settled(Kind, "queue", options)
    assert str(error.value) == fault


def test_a_profile_that_is_none_is_named(tmp_path: Path) -> None:
    profile = tmp_path / "lab.toml"
    with pytest.raises(UsageError, match=r"lab\.toml"):
        gathered(profile, [])
    profile.write_text("name = gpu")
    with pytest.raises(UsageError, match=r"lab\.toml is no TOML"):
        gathered(profile, [])
    with pytest.raises(UsageError, match="--executor-options gpu: say NAME=VALUE"):
        gathered(None, ["gpu"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("45:00", 45),
        ("45:01", 46),
        ("1:30:00", 90),
        ("2-00:00:00", 2880),
        ("1-12", 2160),
        ("1-02:30", 1590),
    ],
)
def test_times_are_slurms(text: str, value: int) -> None:
    assert minutes(text, "time") == value


@pytest.mark.parametrize("text", ["", "soon", "1:2", "0", "-5", "1:00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="time="):
        minutes(text, "time")


def test_the_local_executor_has_none() -> None:
    with pytest.raises(UsageError, match="executor local has no option 'partition'; it has none"):
        LocalExecutor(Resources(options={"partition": "gpu"}), listener=None)  # type: ignore[arg-type]


def test_several_options_follow_one_word() -> None:
    words = ["bench", "--executor-options", "a=1", "b=2", "--cfg-options", "c=3", "d=4", "--fresh", "e=5"]
    assert repeat_options(words) == [
        "bench", "--executor-options", "a=1", "--executor-options", "b=2", "--cfg-options", "c=3", "--cfg-options",
        "d=4", "--fresh", "e=5",
    ]  # fmt: skip

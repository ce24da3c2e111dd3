"""A plugin with a Python of its own: another installation, whose cells stand in the same table."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from test_bench import attempts, run

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.messages import PROTOCOL
from vidsuite_core.runner.pythons import FILE, chosen

OTHER = "9.9.9"
"""The version of mmaction2 that the other installation says it has."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second environment that has the first one's packages, and says that it has another mmaction2."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/*/site-packages"))
    (site / "first.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    info = site / f"mmaction2-{OTHER}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mmaction2\nVersion: {OTHER}\n")
    return folder / "bin" / "python"


def test_a_plugins_cells_run_in_its_own_python_and_are_told_by_its_software(
    toy_env: dict[str, str], tmp_path: Path, other: Path
) -> None:
    out = tmp_path / "runs"
    run(out, "--python", f"toy={other}", env=toy_env)
    assert {attempt.record.software.get("mmaction2") for attempt in attempts(out)} == {OTHER}
    assert "(2 reused)" in run(out, "--python", f"toy={other}", env=toy_env).stdout
    ours = run(out, env=toy_env).stdout
    assert "(0 reused)" in ours
    assert f"software.mmaction2: {OTHER} -> " in " ".join(ours.split())
    mixed = run(out, "--python", f"toy={other}", "--model", "core/prior", env=toy_env)  # of another plugin
    floor = [attempt.record for attempt in attempts(out) if attempt.record.cell.model == "core/prior"]
    assert [record.software.get("mmaction2") == OTHER for record in floor] == [False, False], mixed.stdout


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"""echo '{{"protocol": {PROTOCOL - 1}, "software": {{}}, "code": {{}}}}'""",
         f"workers speak protocol {PROTOCOL - 1}, this one speaks {PROTOCOL}; install the same version there"),
        ("echo 'No module named vidsuite' >&2; exit 1", "install it there (it said: No module named vidsuite)"),
        ("echo hello", "does not answer as a Python with this vidsuite"),
        (f"""echo '{{"protocol": {PROTOCOL}, "software": {{}}, "code": {{"core": {{}}}}}}'""", "lacks plugin toy"),
        ("\0", "cannot be run"),
    ],
)  # fmt: skip
def test_a_python_that_does_not_fit_is_told_in_a_line(
    toy_env: dict[str, str], tmp_path: Path, text: str, words: str
) -> None:
    python = script(tmp_path / "python", text)
    if text == "\0":
        python.write_text("no program")
        python.chmod(0o644)
    done = run(tmp_path / "runs", "--python", f"toy={python}", env=toy_env, check=2)
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_file_names_them_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    for name in ("old", "older"):
        script(tmp_path / name, "")
    (tmp_path / FILE).write_text('[plugins.toy]\npython = "old"\n[plugins.other]\npython = "older"\n')
    found = chosen([f"toy={tmp_path / 'older'}"], tmp_path)
    assert found.of("toy") == found.of("other") == str(tmp_path / "older")
    assert chosen([], tmp_path).of("toy") == str(tmp_path / "old")
    assert chosen([], tmp_path / "elsewhere").of("toy") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[plugins.toy]\npython = 3\n", "must hold python"),
        ("[plugins.toy]\npython = 'old'\nmore = 1\n", "must hold python"),
        ("[plugins]\ntoy = 'old'\n", "must hold python"),
        ("[python]\ntoy = 'old'\n", r"it has tables \[plugins.NAME\] alone"),
        ("[plugins", "it is no TOML"),
        ("[plugins.toy]\npython = 'nowhere'\n", "is not there"),
    ],
)
def test_a_file_of_another_form_is_wrong_use(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=words):
        chosen([], tmp_path)


@pytest.mark.parametrize("text", ["toy", "toy=", "=python", ""])
def test_a_text_of_another_form_is_wrong_use(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="say PLUGIN=PATH"):
        chosen([text], tmp_path)

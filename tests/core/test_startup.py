"""Start-up and the command line's manners: no heavy import, errors of one line, exit codes that mean something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidsuite_core.cli import COMMANDS

HEAVY = (
    "torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "mmaction", "cv2", "av", "sklearn", "pandas", "numpy",
    "scipy", "pyarrow", "openvino",
)  # fmt: skip
GROUPS = {
    "data": ("list", "prepare", "import", "verify", "cache"),
    "weights": ("list", "get", "verify"),
}
HELPS = [
    ["--help"],
    *([name, "--help"] for name in COMMANDS),
    *([group, name, "--help"] for group, names in GROUPS.items() for name in names),
]
KINDS = ("plugins", "tasks", "datasets", "models", "benchmarks", "backends")
LISTS = [*(["list", kind] for kind in KINDS), ["list", "--json"], ["show", "openvino"]]

# Runs commands in one interpreter and tells of each the heavy modules that it left behind, and its exit code.
PROBE = """
import contextlib, io, json, sys
import vidsuite_core
heavy, commands = json.loads(sys.argv[1])
found = [["import", sorted(set(heavy) & set(sys.modules)), 0]]
from vidsuite_core.cli import main
for command in commands:
    sys.argv = ["vidsuite", *command]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main()
        except SystemExit as end:
            code = end.code
    found.append([" ".join(command), sorted(set(heavy) & set(sys.modules)), code, len(out.getvalue())])
print(json.dumps(found))
"""


def vidsuite(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from vidsuite_core.cli import main; sys.argv[0] = 'vidsuite'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
    )


@pytest.mark.parametrize("commands", [HELPS, LISTS], ids=["help", "list"])
def test_nothing_heavy_is_imported(commands: list[list[str]]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([HEAVY, commands])], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for name, modules, code, *printed in json.loads(done.stdout):
        assert modules == [], f"'{name}' imports {modules}"
        assert code == 0, name
        assert printed != [0], name


def test_the_probe_sees_what_is_heavy() -> None:
    probe = PROBE.replace("import vidsuite_core", "import vidsuite_core, numpy", 1)
    done = subprocess.run([sys.executable, "-c", probe, json.dumps([HEAVY, []])], capture_output=True, text=True)
    assert json.loads(done.stdout) == [["import", ["numpy"], 0]]


def test_every_command_is_described_as_its_own_help_says() -> None:
    from importlib import import_module

    for name, (builder, text) in COMMANDS.items():
        module, _, attribute = builder.partition(":")
        command = getattr(import_module(module), attribute)
        assert command.name == name
        assert text.endswith(".")
        if name in GROUPS:
            assert tuple(command.commands) == GROUPS[name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["banch"], "No such command 'banch'. Did you mean 'bench'?"),
        (["list", "modles"], "'modles' is not one of 'plugins'"),
        (["bench", "--preste", "quick"], "No such option '--preste'"),
        (["bench", "--seeds", "0"], "0 is not in the range x>=1"),
        (["bench", "--plugin", "seizure_i3d", "--timeout", "nan"], "nan is no number"),
        (["bench", "--plugin", "seizure_i3d", "--timeout", "inf"], "inf is no number"),
        (["stream", "fanet18", "--input", "/", "--out", "o.mp4", "--fps", "1e308"], "1e+308 is not in the range"),
        (["stream", "fanet18", "--input", "/dev/null", "--out", "o.mp4"], "is neither a file nor a folder"),
        (["show"], "Missing argument 'NAME'"),
        (["show", "i3d_lstm_fx"], "error: nothing is called 'i3d_lstm_fx'; did you mean 'i3d_lstm_fc'?"),
        (["bench"], "error: say what to run: --plugin NAME or --benchmark NAME"),
        (["bench", "--plugin", "nothing"], "error: no plugin 'nothing' is installed"),
        (["bench", "--plugin", "seizure_i3d", "--devices", "cuda:99"], "error: device 'cuda:99' is not here"),
        (["bench", "--benchmark", "seizure"], "error: no benchmark 'seizure'; did you mean 'seizure_i3d'?"),
        (
            ["bench", "--plugin", "seizure_i3d", "--preset", "quik"],
            "error: preset 'quik' is unknown here",
        ),
        (["data", "prepare", "nothing"], "error: no dataset 'nothing'"),
        (["weights", "get", "nothing"], "error: no weights 'nothing'"),
    ],
)
def test_wrong_use_is_told_in_a_line_and_exits_with_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = vidsuite(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.lower().startswith("error")]
    assert len(errors) == 1


@pytest.mark.parametrize("command", ["report", "verify"])
def test_something_that_is_not_there_exits_with_1(command: str, tmp_path: Path) -> None:
    done = vidsuite(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no run folder at runs; 'vidsuite bench' makes one\n"
    empty = tmp_path / "runs"
    empty.mkdir()
    assert vidsuite(command, cwd=tmp_path).returncode == (1 if command == "report" else 0)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = vidsuite("--debug", "report", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "VidsuiteError: there is no run folder" in done.stderr


def test_a_fault_of_ours_is_a_line_too(tmp_path: Path) -> None:
    code = (
        "import sys; from vidsuite_core import cli, suite\n"
        "def broken(*_): raise ZeroDivisionError('a \\x1b[31mbug')\n"
        "import vidsuite_core.cli.catalogue as c; c.load = broken\n"
        "sys.argv = ['vidsuite', *sys.argv[1:]]; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ZeroDivisionError: a [31mbug; this is a fault of vidsuite or of a plugin")
    assert done.stderr.count("\n") == 1
    debug = subprocess.run([sys.executable, "-c", code, "--debug", "list"], capture_output=True, text=True)
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr


def test_version_and_no_command() -> None:
    assert vidsuite("--version").stdout.startswith("vidsuite, version ")
    done = vidsuite()
    assert done.returncode == 2
    assert "Commands:" in done.stderr + done.stdout


def test_a_closed_pipe_is_no_traceback() -> None:
    code = "import sys; from vidsuite_core.cli import main; sys.argv = ['vidsuite', 'list', 'models', '--json']; main()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_json_output_is_json_and_nothing_else() -> None:
    for arguments in (["list", "models", "--json"], ["show", "i3d_lstm_fc", "--json"], ["weights", "list", "--json"]):
        done = vidsuite(*arguments)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)

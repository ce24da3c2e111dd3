"""What strangers might send in place of a submission: refused in a line, with nothing unpacked."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from called import vidsuite

from vidsuite_leaderboard.submit import packfile
from vidsuite_leaderboard.submit.packfile import Refused, unpack
from vidsuite_leaderboard.submit.submission import SUBMISSION


def zipped(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def info(name: str, mode: int) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.external_attr = mode << 16
    return found


CELL = "seizure_i3d/cell/20260901T120000000000-00000000"


def encrypted(path: Path) -> Path:
    zipped(path, [(SUBMISSION, b"{}")])
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)
    return path


def many(path: Path) -> Path:
    """A directory that claims to hold one member, and holds very many."""
    zipped(path, [(SUBMISSION, b"{}")])
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entries = data[start:end] * (packfile.MAX_MEMBERS + 1)
    path.write_bytes(
        data[:start] + entries + data[end : end + 12] + len(entries).to_bytes(4, "little") + data[end + 16 :]
    )
    return path


def zip64(path: Path) -> Path:
    zipped(path, [(SUBMISSION, b"{}")])
    data = path.read_bytes()
    end = data.index(b"PK\5\6")
    path.write_bytes(data[:end] + b"PK\6\6" + bytes(52) + b"PK\6\7" + bytes(16) + data[end:])
    return path


ATTACKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bomb": (lambda p: zipped(p, [(f"{CELL}/log.txt", bytes(30 << 20))]), "times its size"),
    "larger than a log is": (lambda p: zipped(p, [(f"{CELL}/log.txt", bytes(33 << 20))]), "the limit is 33554432"),
    "parent": (lambda p: zipped(p, [(f"../{CELL}/log.txt", b"x")]), "is none of the files"),
    "parent inside": (lambda p: zipped(p, [("a/../../20260901T120000000000-00000000/log.txt", b"")]), "is none of the"),
    "absolute": (lambda p: zipped(p, [("/etc/cron.d/x", b"x")]), "is none of the files"),
    "backslash": (lambda p: zipped(p, [(CELL.replace("/", "\\") + "\\log.txt", b"x")]), "is none of the files"),
    "null": (lambda p: zipped(p, [(SUBMISSION, b"")]) and nulled(p), "is none of the files"),
    "link": (lambda p: zipped(p, [(info(f"{CELL}/log.txt", stat.S_IFLNK | 0o777), b"/etc/passwd")]), "is a link"),
    "device": (lambda p: zipped(p, [(info(f"{CELL}/log.txt", stat.S_IFCHR | 0o666), b"")]), "a device"),
    "folder": (lambda p: zipped(p, [(f"{CELL}/", b"")]), "is none of the files"),
    "twice": (lambda p: zipped(p, [(f"{CELL}/log.txt", b"1"), (f"{CELL}/log.txt", b"2")]), "is there twice"),
    "case": (
        lambda p: zipped(p, [(f"{CELL}/log.txt", b"1"), (f"{CELL.upper()[:11]}{CELL[11:]}/log.txt", b"2")]),
        "twice",
    ),
    "encrypted": (encrypted, "is encrypted"),
    "many": (many, "members; the limit is"),
    "zip64": (zip64, "zip64"),
    "bzip2": (lambda p: zipped(p, [(SUBMISSION, b"{}")], zipfile.ZIP_BZIP2), "in a way that is not taken"),
    "foreign": (lambda p: zipped(p, [(f"{CELL}/run.sh", b"rm")]), "is none of the files"),
    "weights": (lambda p: zipped(p, [(f"{CELL}/weights.pth", b"")]), "is none of the files"),
    "no zip": (lambda p: p.write_bytes(b"MZ" + bytes(100)) and p, "no zip file"),
    "polyglot": (lambda p: zipped(p, [(SUBMISSION, b"{}")]) and polyglot(p), "does not begin"),
    "empty": (lambda p: p.write_bytes(b"") or p, "no zip file"),
    "damaged": (lambda p: zipped(p, [(SUBMISSION, b"x" * 99)], 0) and damaged(p), "damaged"),
}


def nulled(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b"submission.json", b"submission\0json"))
    return path


def polyglot(path: Path) -> Path:
    path.write_bytes(b"<script>" + path.read_bytes())
    return path


def damaged(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b"xxx", b"yyy", 1))
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_file_is_refused_in_a_line(attack: str, tmp_path: Path) -> None:
    make, words = ATTACKS[attack]
    file, folder = make(tmp_path / "p.zip"), tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(Refused) as refused:
        unpack(file, folder)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [folder, file]
    if attack != "damaged":
        assert list(folder.iterdir()) == []


def test_a_refused_file_ends_with_1_and_is_not_unpacked(tmp_path: Path) -> None:
    file = zipped(tmp_path / "p.zip", [("\x1b[31m../x", b"")])
    done = vidsuite("submit", "check", str(file), "--into", str(tmp_path / "accepted"))
    assert done.returncode == 1
    assert "refused: 1 fault" in done.stdout
    assert all(sign.isprintable() or sign == "\n" for sign in done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not (tmp_path / "accepted").exists()
    assert vidsuite("submit", "check", str(tmp_path / "none.zip")).returncode == 2

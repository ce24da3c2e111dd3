"""Serving a site: its files, with their types and headers, and nothing beside them."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from called import vidsuite

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_leaderboard import serve
from vidsuite_leaderboard.serve import POLICY, serve_forever, server_for

TEMPLATE = Path(__file__).parents[2] / "leaderboard" / "templates" / "base.html"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that says it is a site, with what must be seen, and what must not."""
    site = tmp_path / "site"
    (site / "entries").mkdir(parents=True)
    (site / ".git").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "site-too").mkdir()
    (tmp_path / "site-too" / "secret.html").write_text("secret")
    (site / "site.json").write_text('{"files": {}}')
    (site / "index.html").write_text("<!doctype html>home" + " " * 5000)
    (site / "entries" / "a b é.html").write_text("entry")
    (site / ".git" / "config").write_text("secret")
    (site / ".hidden.html").write_text("secret")
    (site / "out.html").symlink_to(tmp_path / "secret.html")
    (site / "outside").symlink_to(tmp_path)
    (site / "git").symlink_to(site / ".git")
    (site / "inner.html").symlink_to(site / "index.html")
    os.mkfifo(site / "pipe.html")
    for name in ("a.js", "a.css", "a.json", "a.svg", "feed.xml", "a.txt", "a.csv", "a.md", "a.py", "a.jpg", "a.npz"):
        (site / name).write_text("x" * 3000)
    return site


@pytest.fixture
def server(site: Path) -> Iterator[ThreadingHTTPServer]:
    with server_for(site, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: ThreadingHTTPServer, target: str, method: str = "GET", **headers: str) -> tuple[int, dict, bytes]:
    """Status, headers and content of the answer to a request for exactly `target`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def test_a_client_that_sends_a_byte_now_and_then_is_hung_up_on(server, monkeypatch):
    monkeypatch.setattr(serve, "SECONDS", 1.0)
    with socket.create_connection(server.server_address, timeout=10) as client:
        begin = time.monotonic()
        with suppress(OSError):  # told on the sending side, or the next line's
            for sign in b"GET / HTTP/1.1\r\nX-Slow: yes yes yes":
                client.sendall(bytes([sign]))
                time.sleep(0.1)
        with suppress(ConnectionError):
            assert client.recv(100) == b""
        assert time.monotonic() - begin < 8
    assert ask(server, "/")[0] == 200


def test_a_client_that_does_not_read_is_hung_up_on(server, site, monkeypatch):
    monkeypatch.setattr(serve, "SECONDS", 1.0)
    with (site / "large.bin").open("wb") as file:
        file.truncate(64 << 20)
    with socket.create_connection(server.server_address, timeout=10) as client:
        client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + 8
        while any(thread.name.endswith("(process_request_thread)") for thread in threading.enumerate()):
            assert time.monotonic() < deadline, "its thread is held"
            time.sleep(0.1)


def test_more_clients_than_there_is_room_for(site, monkeypatch):
    monkeypatch.setattr(serve, "MAX_CLIENTS", 2)
    with server_for(site, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        idle = [socket.create_connection(server.server_address, timeout=10) for _ in range(2)]
        with socket.create_connection(server.server_address, timeout=10) as third, suppress(ConnectionError):
            assert third.recv(100) == b""
        for client in idle:
            client.close()
        deadline = time.monotonic() + 8
        while True:  # once they are gone there is room again
            with suppress(OSError, http.client.HTTPException):
                if ask(server, "/")[0] == 200:
                    break
            assert time.monotonic() < deadline
        server.shutdown()
        thread.join()


def test_pages_and_their_headers(server):
    for target in ("/", "/index.html", "/index.html?a=b#c", "/inner.html"):
        status, headers, content = ask(server, target)
        assert (status, content[:19]) == (200, b"<!doctype html>home")
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"
        assert headers["content-security-policy"] == f"{POLICY}; frame-ancestors 'none'"
        assert headers["server"] == "vidsuite"
    assert ask(server, "/entries/a%20b%20%C3%A9.html")[2] == b"entry"


def test_the_policy_is_that_of_the_pages():
    stated = re.search(r'Content-Security-Policy" content="([^"]*)"', TEMPLATE.read_text())
    assert stated and stated[1] == POLICY


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("feed.xml", "application/atom+xml; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/plain; charset=utf-8"),
        ("a.py", "text/plain; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.jpg", "image/jpeg"),
        ("a.npz", "application/octet-stream"),
    ],
)
def test_types_and_packing(server, name, kind):
    status, headers, content = ask(server, f"/{name}", Accept_Encoding="br, gzip;q=0.5")
    assert (status, headers["content-type"]) == (200, kind)
    if "charset" in kind:
        assert headers["content-encoding"] == "gzip"
        assert len(content) < 100
        assert gzip.decompress(content) == b"x" * 3000
    else:
        assert "content-encoding" not in headers
        assert content == b"x" * 3000


@pytest.mark.parametrize("accepts", ["", "identity", "gzip;q=0", "gzip; q=0.000", "xgzip"])
def test_who_takes_no_gzip_gets_none(server, accepts):
    _, headers, content = ask(server, "/a.js", Accept_Encoding=accepts)
    assert "content-encoding" not in headers
    assert content == b"x" * 3000


def test_a_file_that_changed_is_sent_anew(server, site):
    _, headers, _ = ask(server, "/a.js", Accept_Encoding="gzip")
    assert ask(server, "/a.js", If_None_Match=headers["etag"])[::2] == (304, b"")
    (site / "a.js").write_text("other")
    status, _, content = ask(server, "/a.js", If_None_Match=headers["etag"], Accept_Encoding="gzip")
    assert (status, gzip.decompress(content)) == (200, b"other")


def test_head_sends_headers_alone(server):
    status, headers, content = ask(server, "/a.jpg", "HEAD")
    assert (status, headers["content-length"], content) == (200, "3000", b"")
    assert ask(server, "/none", "HEAD")[::2] == (404, b"")


@pytest.mark.parametrize(
    "target",
    [
        "/none.html", "/entries", "/entries/", "/assets", "/.", "/index.html/", "/index.html/x",
        "/../secret.html", "/..%2fsecret.html", "/%2e%2e/secret.html", "/entries/../../secret.html",
        "/../site-too/secret.html", "/out.html", "/outside/secret.html", "/git/config", "/.git/config",
        "/%2egit/config", "/.hidden.html", "/entries/../.hidden.html", "/entries/..%5c..%5csecret.html",
        "//etc/passwd", "/%2fetc/passwd", "/etc/passwd", "/index.html%00.js", "/%ff", "/%", "/pipe.html", "*",
        "/" + "a" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_page_is_not_found(server, target):
    status, headers, content = ask(server, target)
    assert (status, content) == (404, b"404: there is no such page\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert "content-security-policy" in headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil", ""])
def test_another_host_s_name_is_refused(server, host):
    assert ask(server, "/", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_s_names_are_taken(server, host):
    assert ask(server, "/", Host=host)[0] == 200


def test_other_methods_are_refused(server):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _ = ask(server, "/", method)
        assert status == 501
        assert "content-security-policy" in headers


def test_a_browser_that_hangs_up_is_passed_over(server, site, capfd):
    (site / "large.npz").write_bytes(bytes(30 * 2**20))
    for _ in range(3):
        with socket.create_connection(server.server_address[:2], timeout=10) as gone:
            gone.sendall(b"GET /large.npz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            gone.recv(10)
    assert ask(server, "/a.jpg")[0] == 200
    assert capfd.readouterr().err == ""


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_is_one_line_with_the_remedy(server, site):
    port = server.server_address[1]
    with pytest.raises(VidsuiteError, match=rf"^port {port} is in use; name another with --port, or 0 for any"):
        server_for(site, port)


def test_a_folder_that_is_no_site_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is no site of vidsuite; 'vidsuite leaderboard build --out "):
        serve_forever(tmp_path, 0, print)
    assert vidsuite("leaderboard", "serve", str(tmp_path / "none")).returncode == 2


def test_ctrl_c_ends_quietly(site):
    command = [sys.executable, "-m", "vidsuite_core.cli", "leaderboard", "serve", str(site), "--port", "0"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        said = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/  \(Ctrl-C ends\)\n", said)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
        assert process.stderr.read() == ""

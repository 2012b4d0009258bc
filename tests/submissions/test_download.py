"""Downloads from strangers' servers end: in bytes, in time, and at every redirect that leaves https."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from memobench.base.errors import DataError
from memobench.submissions.download import fetch


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/file":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 1000)
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(50):
                try:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
                except OSError:
                    return
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/").replace("HOST", self.headers["Host"]))
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as held:
        threading.Thread(target=held.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{held.server_port}"
        held.shutdown()


def test_a_download_is_bounded(server: str) -> None:
    assert fetch(f"{server}/file", 1000) == b"x" * 1000
    with pytest.raises(DataError, match="more than the 999 bytes"):
        fetch(f"{server}/file", 999)
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch(f"{server}/missing", 999)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://a.example/x", "http://a.example/x", "http://localhost/x", "HTTPS:/x", ""]
)
def test_only_https_is_fetched(address: str) -> None:
    with pytest.raises(DataError, match="only https"):
        fetch(address, 999)


@pytest.mark.parametrize("target", ["http://a.example/x", "file:///etc/passwd", "ftp://a.example/x", "//a.example/x"])
def test_a_redirect_away_from_https_is_refused(server: str, target: str) -> None:
    with pytest.raises(DataError, match=r"not https|cannot be fetched"):
        fetch(f"{server}/to/{target}", 999)


def test_a_circle_of_redirects_ends(server: str) -> None:
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch(f"{server}/to/http://HOST/to/http://HOST/to/http://HOST/to/http://HOST/to/http://HOST/missing", 999)


def test_a_server_that_drips_bytes_meets_the_deadline(server: str) -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match=r"fetched within|in time"):
        fetch(f"{server}/drip", 1000, deadline=0.4)
    assert time.monotonic() - began < 2


def test_a_server_that_drips_its_headers_meets_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            held, _ = listening.accept()
            with held:
                for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 60:
                    try:
                        held.send(bytes([letter]))
                        time.sleep(0.05)
                    except OSError:
                        return

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(DataError, match="fetched within"):
            fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/", 1000, deadline=0.4)
        assert time.monotonic() - began < 2

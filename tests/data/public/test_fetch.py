"""Downloads, against a server on loopback that misbehaves on demand."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import memobench
import pytest
from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.cli.main import main
from memobench.data.public import _fetch as fetching
from memobench.data.public._fetch import fetch
from memobench.data.public._source import SOURCES, Download

CONTENT = bytes(range(256)) * 9000  # 2.3 MB, several blocks


@dataclass
class Site:
    """A server: what it serves, how it misbehaves, what it was asked."""

    files: dict[str, bytes]
    cuts: int = 0
    ranges: bool = True
    pause: float = 0.0
    pieces: int = 1
    rest: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site({"/data.bin": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted[6:-1]) if wanted and state.ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if state.cuts:
                state.cuts -= 1
                body = body[: len(body) // 2]
            time.sleep(state.pause)
            for start in range(0, len(body), -(-len(body) // state.pieces)):
                self.wfile.write(body[start : start + -(-len(body) // state.pieces)])
                time.sleep(state.rest)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    return tmp_path / "home" / "data" / "chestmnist"


def offer(monkeypatch: pytest.MonkeyPatch, url: str, content: bytes = CONTENT, unpack: bool = False) -> None:
    download = Download(url, hashlib.md5(content, usedforsecurity=False).hexdigest(), unpack)
    changed = replace(SOURCES.get("chestmnist"), downloads=(download,))
    monkeypatch.setitem(SOURCES._loaded, "chestmnist", changed)


def archive(name: str, links_to: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        if links_to:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, links_to
            tar.addfile(link)
            name += "/escaped.txt"
        member = tarfile.TarInfo(name)
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    return buffer.getvalue()


def test_size_and_licence_are_said_before_the_file_comes_and_it_comes_once(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    said: list[tuple[str, int]] = []
    for _ in range(2):
        assert fetch("chestmnist", say=lambda text: said.append((text, len(site.asked)))) == home
    assert (home / "data.bin").read_bytes() == CONTENT
    assert site.asked == [""]
    assert "0.5 GB; licence: CC BY 4.0" in said[0][0]
    assert said[0][1] == 0


def test_a_cut_transfer_goes_on_where_it_stopped(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    site.cuts = 2
    fetch("chestmnist", say=print)
    assert (home / "data.bin").read_bytes() == CONTENT
    assert site.asked == ["", f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]


def test_after_too_many_cuts_the_next_command_goes_on(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    site.cuts = fetching.ATTEMPTS
    with pytest.raises(MemobenchError, match=r"cut.*what came is kept"):
        fetch("chestmnist", say=print)
    fetch("chestmnist", say=print)
    assert site.asked[-1].startswith("bytes=")
    assert (home / "data.bin").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_again(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    site.cuts, site.ranges = 1, False
    fetch("chestmnist", say=print)
    assert (home / "data.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_the_file_is_deleted(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, f"{site.url}/data.bin", b"something else")
    with pytest.raises(MemobenchError, match="not the publisher's"):
        fetch("chestmnist", say=print)
    assert [file.name for file in home.iterdir()] == [".lock"]


def test_404_is_one_line_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/gone.bin")
    with pytest.raises(MemobenchError, match=r"gone.bin answers 404") as caught:
        fetch("chestmnist", say=print)
    assert "\n" not in str(caught.value)
    assert len(site.asked) == 1


def test_a_server_that_sends_nothing_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    monkeypatch.setattr(fetching, "TIMEOUT", 0.1)
    monkeypatch.setattr(fetching, "ATTEMPTS", 2)
    site.pause = 1.0
    with pytest.raises(MemobenchError, match=r"cannot be had \(.*timed out"):
        fetch("chestmnist", say=print)
    assert len(site.asked) == 2


def test_a_slow_server_is_waited_for(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole takes longer than the time allowed without a byte, no pause does."""
    offer(monkeypatch, f"{site.url}/data.bin")
    monkeypatch.setattr(fetching, "TIMEOUT", 1.5)
    site.pieces, site.rest = 20, 0.1
    fetch("chestmnist", say=print)
    assert (home / "data.bin").read_bytes() == CONTENT
    assert site.asked == [""]


def test_without_a_network_the_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SystemExit) as ended:
        main(["data", "fetch", "chestmnist"])
    said = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert "licence: CC BY 4.0" in said[0]
    assert re.search(r"Temporary failure in name resolution.*zenodo.*--data phantom needs no data", said[-1])
    assert len(said) == 2


def test_offline_says_how_to_get_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/data.bin")
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    with pytest.raises(MemobenchError, match=r"refused.*zenodo.*--data phantom needs no data"):
        fetch("chestmnist", say=print)


def test_a_full_disk_is_one_line_and_keeps_what_came(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")

    def full(blocks: Iterator[bytes], *_: object) -> Iterator[bytes]:
        yield next(blocks)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MemobenchError, match="No space left on device; free space there or set MEMOBENCH_HOME"):
        fetch("chestmnist", say=print, track=full)
    assert (home / ".data.bin.part").stat().st_size == fetching.BLOCK
    fetch("chestmnist", say=print)
    assert site.asked[-1] == f"bytes={fetching.BLOCK}-"


def test_too_little_room_is_seen_before_the_transfer(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{site.url}/data.bin")
    usage = fetching.shutil.disk_usage("/")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MemobenchError, match="No space left"):
        fetch("chestmnist", say=print)
    assert not (home / ".data.bin.part").exists()


def test_an_archive_is_unpacked_and_not_kept(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["/set.tar"] = archive("Task/one.txt")
    offer(monkeypatch, f"{site.url}/set.tar", site.files["/set.tar"], unpack=True)
    fetch("chestmnist", say=print)
    fetch("chestmnist", say=print)
    assert (home / "Task" / "one.txt").read_text() == "hello"
    assert sorted(file.name for file in home.iterdir()) == [".lock", ".set.tar.done", "Task"]
    assert len(site.asked) == 1


@pytest.mark.parametrize("name", ["../escaped.txt", "Task/../../escaped.txt", "a/../../../escaped.txt"])
def test_an_archive_that_leaves_its_folder_is_refused(
    name: str, site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/set.tar"] = archive(name)
    offer(monkeypatch, f"{site.url}/set.tar", site.files["/set.tar"], unpack=True)
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch("chestmnist", say=print)
    assert not list(home.parents[2].rglob("escaped.txt"))


@pytest.mark.parametrize("links_to", ["../../..", "/tmp"])  # noqa: S108  (nothing is written there: that is the test)
def test_an_archive_that_links_out_of_its_folder_is_refused(
    links_to: str, site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/set.tar"] = archive("Task", links_to)
    offer(monkeypatch, f"{site.url}/set.tar", site.files["/set.tar"], unpack=True)
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch("chestmnist", say=print)
    assert not list(home.parents[2].rglob("escaped.txt"))
    assert not (home / "Task").exists()


@pytest.mark.parametrize(("file", "unpack"), [("data.bin", False), ("set.tar", True)])
def test_what_was_deleted_is_fetched_again(
    file: str, unpack: bool, site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/set.tar"] = archive("Task/one.txt")
    offer(monkeypatch, f"{site.url}/{file}", site.files[f"/{file}"], unpack)
    for _ in range(2):
        fetch("chestmnist", say=print)
        if unpack:
            shutil.rmtree(home / "Task")
        else:
            (home / "data.bin").unlink()
    assert len(site.asked) == 2


def test_two_processes_at_once_transfer_once(site: Site, home: Path) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    script = (
        "from dataclasses import replace; from memobench.data.public._source import SOURCES, Download; "
        "from memobench.data.public._fetch import fetch; "
        f"changed = replace(SOURCES.get('chestmnist'), downloads=(Download('{site.url}/data.bin', '{md5}'),)); "
        "SOURCES._loaded['chestmnist'] = changed; fetch('chestmnist', say=print)"
    )
    site.pause = 0.5
    path = str(Path(memobench.__file__).parents[1])
    both = [
        subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {script}"]) for _ in "ab"
    ]
    assert [process.wait(120) for process in both] == [0, 0]
    assert (home / "data.bin").read_bytes() == CONTENT
    assert site.asked == [""]


def test_what_cannot_be_fetched_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match=r"mrnet cannot be fetched .registration.. How to get it: register at"):
        fetch("mrnet", say=print)
    with pytest.raises(UsageError, match='unknown data source "mrnett"; did you mean "mrnet"'):
        fetch("mrnett", say=print)


def test_every_download_has_a_checksum() -> None:
    for name in SOURCES.names():
        for download in SOURCES.get(name).downloads:
            assert download.url.startswith("https://")
            assert len(download.md5) == 32
            assert SOURCES.get(name).access == "open"

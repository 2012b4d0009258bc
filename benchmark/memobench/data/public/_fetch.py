"""Downloads of open data: resumed after a cut, checked against the publisher's checksum, one process at a time.

Only the standard library transfers: pooch, which catalogues and checks as this does, begins again after a cut, and the
archives here have up to 27 GB.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.progress import silent
from memobench.base.store import locked, writing_into
from memobench.data.public._source import SOURCES, Download, Source, data_folder

BLOCK = 1 << 20
ATTEMPTS = 5
TIMEOUT = 60.0  # seconds without a byte
PAUSE = 1.0  # factor of the seconds between attempts

Say = Callable[[str], None]
Track = Callable[..., Iterator[Any]]


def fetch(name: str, *, say: Say, track: Track = silent) -> Path:
    """Get the data of an open source into its folder, unless they are there.

    Args:
        name: Of the source.
        say: Is told the licence and the size before anything is transferred.
        track: Shows progress.

    Returns:
        The folder.

    Raises:
        UsageError: The name is unknown.
        DataError: The source cannot be fetched: the message says how to get it.
        MemobenchError: The transfer failed (no network, not found, wrong checksum, disk full).
    """
    source = SOURCES.get(name)
    folder = data_folder(name)
    if not source.downloads:
        raise UsageError(
            f"{name} cannot be fetched ({source.access}). How to get it: {source.how_to_get} Put it into {folder}"
        )
    say(f"{source.title}: {source.size}; licence: {source.licence}; cite: {source.citation}")
    with writing_into(folder, "set MEMOBENCH_HOME to another one"):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", name, say):  # a second process waits, and then finds everything
            for download in source.downloads:
                get(download, folder, source, track)
    return folder


def get(download: Download, folder: Path, source: Source, track: Track = silent) -> None:
    """Get one file, check it, unpack it if it is an archive, and mark it as done.

    Raises:
        DataError: The archive holds a path that leaves the folder.
        MemobenchError: The transfer failed.
    """
    done = folder / f".{download.name}.done"
    if done.exists():
        md5, *names = done.read_text().splitlines()
        if md5 == download.md5 and all((folder / name).exists() for name in names):
            return
    partial = folder / f".{download.name}.part"
    transfer(download, partial, source, track)
    found = md5_of(partial)
    if found != download.md5:
        partial.unlink()
        raise MemobenchError(
            f"{download.url} has the checksum {found}, not the publisher's {download.md5}; the file was deleted, try "
            "again"
        )
    if download.unpack:
        names = unpack(partial, folder)
        partial.unlink()
    else:
        names = [download.name]
        partial.replace(folder / download.name)
    done.write_text("\n".join([download.md5, *names]))  # what is deleted later is fetched again


def transfer(download: Download, partial: Path, source: Source, track: Track = silent) -> None:
    """Append to the partial file what it lacks, trying again after a cut.

    Raises:
        MemobenchError: The server refuses, cannot be reached, or was cut too often.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(2**attempt, 10) * PAUSE)
        start = partial.stat().st_size if partial.exists() else 0
        asked = urllib.request.Request(download.url)  # noqa: S310  (addresses come from the registered sources)
        if start:
            asked.add_header("Range", f"bytes={start}-")
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:  # noqa: S310
                if _append(answer, partial, start, track, download.name):
                    return
                reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is lacking
                return
            if error.code < 500:
                raise MemobenchError(
                    f"{download.url} answers {error.code} ({error.reason}); {source.how_to_get}"
                ) from error
            reason = f"the server answers {error.code}"
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error or type(error).__name__)
    raise MemobenchError(
        f"{source.name}: {download.url} cannot be had ({reason}); what came is kept, and the same command goes on. "
        f"Without network: {source.how_to_get} --data phantom needs no data"
    )


def _append(answer: Any, partial: Path, start: int, track: Track, name: str) -> bool:
    """Write an answer behind what is there, or alone where the server sends all; whether it came to its end."""
    resumed = answer.status == 206
    length = answer.headers.get("Content-Length")
    expected = None if length is None else int(length)
    if expected is not None and shutil.disk_usage(partial.parent).free < expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial))
    came = 0

    def blocks() -> Iterator[bytes]:
        while block := answer.read(BLOCK):
            yield block

    total = None if expected is None else -(-expected // BLOCK)
    with partial.open("ab" if resumed and start else "wb") as handle:
        for block in track(blocks(), f"fetching {name} (MB)", total):
            handle.write(block)
            came += len(block)
    return expected is None or came == expected


def md5_of(file: Path) -> str:
    """A file's MD5 in hex digits, read in blocks; it guards against damage, not against malice."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack a tar archive into a folder, all or nothing, and give the names of what it put there.

    Raises:
        DataError: It is no archive, or a member would leave the folder or is no plain file or folder.
        MemobenchError: This Python is too old to unpack safely.
    """
    if not hasattr(tarfile, "data_filter"):  # what keeps members inside the folder came with 3.11.4
        raise MemobenchError(f"{archive.name} cannot be unpacked safely by this Python; update it to 3.11.4 or later")
    scratch = Path(tempfile.mkdtemp(prefix=".unpack.", dir=folder))
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        names = sorted(entry.name for entry in scratch.iterdir())
        for name in names:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            (scratch / name).replace(folder / name)
        return names
    except tarfile.TarError as error:
        raise DataError(f"{archive.name} cannot be unpacked ({error}); nothing of it was kept") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

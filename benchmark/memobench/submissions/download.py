"""Fetching what a stranger's address holds: https alone, to the end of every redirect, bounded in bytes and in time."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from http.client import HTTPMessage
from typing import IO, Any

from memobench.base.errors import DataError

TIMEOUT = 30.0  # seconds without a byte
DEADLINE = 600.0  # seconds for the whole, however steadily its bytes drip
REDIRECTS = 5
CHUNK = 1 << 16
LOOPBACK = "http://127.0.0.1:"  # this very machine, as the tests serve it; no submission may name it


def fetch(address: str, most: int, *, deadline: float = DEADLINE) -> bytes:
    """What lies at an address, at most ``most`` bytes.

    Args:
        address: https; redirects must stay https too.
        most: Bytes.
        deadline: Seconds for everything together: names, handshake, redirects, headers and content.

    Raises:
        DataError: It cannot be had, takes too long, is larger, or leads away from https.
    """
    if not _allowed(address, address):
        raise DataError("only https addresses are fetched")
    ends = time.monotonic() + deadline
    found: list[bytes | DataError] = []

    def work() -> None:
        try:
            found.append(_download(address, most, ends))
        except DataError as error:
            found.append(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = ascii(str(error)[:200]).strip("'\"") or type(error).__name__
            found.append(DataError(f"the samples cannot be fetched: {reason}; give --samples FILE"))

    # A server may drip its handshake or its headers, where no loop of ours can look at the clock; so it is seen from
    # outside. What still waits then ends with its own timeout, or with the program.
    worker = threading.Thread(target=work, name="fetch", daemon=True)
    worker.start()
    worker.join(max(0.0, ends - time.monotonic()))
    if not found:
        raise DataError(f"the samples cannot be fetched within {deadline:.0f} s; give --samples FILE")
    if isinstance(found[0], DataError):
        raise found[0]
    return found[0]


def _download(address: str, most: int, ends: float) -> bytes:
    pieces, size = [], 0
    opener = urllib.request.build_opener(_Redirects(address))
    with opener.open(address, timeout=TIMEOUT) as answer:
        while piece := answer.read1(CHUNK):  # read() would wait for the whole chunk
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise DataError(f"the samples take more than the {most} bytes that they can need")
            if time.monotonic() > ends:
                raise DataError("the samples cannot be fetched in time; give --samples FILE")
    return b"".join(pieces)


def _allowed(address: str, asked: str) -> bool:
    return address.startswith("https://") or (address.startswith(LOOPBACK) and asked.startswith(LOOPBACK))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to https alone."""

    max_redirections = REDIRECTS
    max_repeats = REDIRECTS

    def __init__(self, asked: str) -> None:
        self.asked = asked

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Any:
        """The next request.

        Raises:
            DataError: It would leave https.
        """
        if not _allowed(newurl, self.asked):
            raise DataError(f"the samples' address redirects to {newurl[:60]!a}, which is not https; refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

"""What strangers send: every text and archive that is damaged or lies is refused in one line, and costs no memory."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.submissions.untrusted import check_values, hidden, parse_arrays, parse_json

WANTED = {"samples": "<f4"}
HIDDEN = {
    "right-to-left override": "\u202e",
    "isolate": "\u2067",
    "right-to-left mark": "\u200f",
    "zero width": "\u200b",
    "byte order mark": "\ufeff",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "lone surrogate": "\ud800",
    "NUL": "\0",
    "escape": "\x1b",
    "C1 control": "\x9b",
    "tag": "\U000e0041",
}


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def npy(shape: Any, values: bytes = b"", descr: str = "<f4", fortran: bool = False) -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1") + values


def refused(data: bytes, reason: str, most: int = 100_000) -> None:
    with pytest.raises(DataError, match=reason) as error:
        parse_arrays(data, "samples.npz", WANTED, most)
    assert "\n" not in str(error.value)
    assert str(error.value).isascii()


@pytest.mark.parametrize("letter", HIDDEN.values(), ids=HIDDEN.keys())
def test_hidden_characters_are_refused_in_every_text_and_name_of_a_field(letter: str) -> None:
    for value in (f"a{letter}b", [f"a{letter}"], {"a": {"b": [f"{letter}"]}}, {f"a{letter}": 1}):
        with pytest.raises(DataError, match=r"U\+[0-9A-F]{4}") as error:
            parse_json(json.dumps(value).encode())  # as an escape, which is plain ASCII on the way
        assert str(error.value).isprintable()
        with pytest.raises(DataError):
            check_values(value)


def test_ordinary_words_of_any_language_pass() -> None:
    words = ["Universitätsklinikum", "東京大学", "Ł. O'Neil & co.", "line\nline\ttab", "Ω ≤ 0.5 μm", "🙂"]
    assert parse_json(json.dumps(words).encode()) == words
    assert not any(map(hidden, words))


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("(4611686018427387904, 4, 0)", b""),
        ("(0, 4611686018427387904, 4611686018427387904)", b""),
        ("(9223372036854775808,)", b""),
        ("(-1, 4)", b"\0" * 16),
        ("(1,) * 99", b"\0" * 4),
        (f"({'1,' * 40})", b"\0" * 4),
        ("(2, 4)", b"\0" * 16),
        ("('4',)", b"\0" * 16),
        ("(4.0,)", b"\0" * 16),
        ("[[[[" * 20, b""),
        ("(4,)}, {", b"\0" * 16),
    ],
)
def test_shapes_that_lie_are_refused(shape: str, values: bytes) -> None:
    refused(npz({"samples.npy": npy(shape, values)}), "shape|no plain array")


@pytest.mark.parametrize("descr", ["|O", "<f8", "<i4", ">f4", "|V4", "<U9"])
def test_other_types_and_pickles_are_refused(descr: str) -> None:
    refused(npz({"samples.npy": npy("(1,)", b"\0" * 36, descr)}), "type|plain array")


def test_every_cut_of_an_archive_and_every_changed_byte_is_refused_or_harmless() -> None:
    out = io.BytesIO()
    values = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    np.savez_compressed(out, samples=values)
    data = out.getvalue()
    assert (parse_arrays(data, "samples.npz", WANTED, 100_000)["samples"] == values).all()
    for end in range(0, len(data), 7):
        refused(data[:end], "archive")
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x41
        with contextlib.suppress(DataError):  # or, of a date and the like, nothing is changed
            assert (parse_arrays(bytes(changed), "samples.npz", WANTED, 100_000)["samples"] == values).all()


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = npz({"samples.npy": npy("(10000000,)", b"\0" * 40_000_000)})
    refused(bomb, "unpacks to 40000128 bytes")
    lying = bytearray(bomb)  # the sizes in both headers are made small
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = lying.index(mark)
        lying[start + offset : start + offset + 4] = struct.pack("<I", 1000)
    tracemalloc.start()
    refused(bytes(lying), "archive|bytes")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_bounded_are_refused(compression: int) -> None:
    refused(npz({"samples.npy": npy("(1,)", b"\0" * 4)}, compression), "packed in a way")


def test_many_members_links_and_paths_are_refused() -> None:
    one = npy("(1,)", b"\0" * 4)
    refused(npz({f"{i}.npy": b"" for i in range(2000)}), "2000 files")
    refused(npz({"../samples.npy": one}), "leaves its folder")
    refused(npz({"other.npy": one}), "must hold")
    refused(b"", "archive")
    refused(b"PK\x05\x06" + b"\0" * 18, "must hold")

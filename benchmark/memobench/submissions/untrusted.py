"""Reading what strangers sent: JSON, arrays and folders, bounded before they are parsed, with nothing executed."""

from __future__ import annotations

import io
import json
import math
import stat
import struct
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError

JSON_BYTES = 1_000_000
TEXT = 4000  # characters of one string
ITEMS = 2000  # of one list or object
DEPTH = 12
AXES = 8  # of an array
CHUNK = 1 << 20  # bytes that are unpacked at once
# What no reader sees or what changes how the rest is read: controls (Cc), invisible formats such as U+202E and U+200B
# (Cf), half characters (Cs), and the line and paragraph separators U+2028 and U+2029 (Zl, Zp)
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# what numpy raises for a header that is not valid: it is a Python literal
NO_HEADER = (
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)
# all that zipfile, zlib and numpy raise for a damaged or a lying archive
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, OSError)


def parse_json(data: bytes) -> Any:
    """The value of a JSON text from a stranger.

    Args:
        data: At most 1 MB, in UTF-8.

    Raises:
        DataError: It is too long or too deep, holds an overlong text or list, a key twice, NaN, infinity or a control
            character, or is no JSON.

    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    if len(data) > JSON_BYTES:
        raise DataError(
            f"the file has {len(data)} bytes, more than {JSON_BYTES}; nothing in a submission needs as much"
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise DataError(f"the JSON is nested deeper than {DEPTH}; a submission is not") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise DataError(f"the file is no JSON: {str(error)[:200]}") from error
    check_values(value)
    return value


def hidden(text: str) -> str:
    r"""The first character of a text that a reader does not see as it is, as U+XXXX; empty where there is none.

    Line breaks and tabs are seen.

    >>> hidden("a\n\tb"), hidden("abc\u202egnp.exe"), hidden("\ud800"), hidden("\u2028"), hidden("\0")
    ('', 'U+202E', 'U+D800', 'U+2028', 'U+0000')
    """
    for letter in text:
        if letter not in "\n\t" and not 32 <= ord(letter) < 127 and unicodedata.category(letter) in HIDDEN:
            return f"U+{ord(letter):04X}"
    return ""


def check_values(value: Any) -> None:
    """Refuse what no record may hold, in any text, name of a field, number or list of it.

    Args:
        value: As JSON gives it.

    Raises:
        DataError: A text or list is overlong, a text holds an invisible or control character, a number is not finite or
            needs more than 64 bits, or the value is nested too deep.

    >>> check_values({"name": "Gr\u00fcn & S\u00f8n", "values": [1, 2.5, None]})
    """
    _bounded(value, DEPTH)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DataError("a key stands twice in one object; readers would differ on which counts")
    return found


def _no_number(word: str) -> float:
    raise DataError(f"{word} is no number; a submission holds finite numbers alone")


def _bounded(value: Any, depth: int) -> None:
    if depth == 0:
        raise DataError(f"the JSON is nested deeper than {DEPTH}; a submission is not")
    if isinstance(value, str):
        if len(value) > TEXT:
            raise DataError(f"a text has {len(value)} characters, more than {TEXT}: {value[:40]!a}...; shorten it")
        if found := hidden(value):
            raise DataError(f"a text holds {found}, an invisible or control character: {value[:40]!a}; take it out")
    elif isinstance(value, float) and not math.isfinite(value):  # 1e999 is infinite without its name
        raise DataError("a number is too large; a submission holds finite numbers alone")
    elif isinstance(value, int) and abs(value) > 2**63:
        raise DataError("an integer takes more than 64 bits; a submission needs none such")
    elif isinstance(value, list | dict):
        if len(value) > ITEMS:
            raise DataError(f"a list or object has {len(value)} items, more than {ITEMS}")
        for item in value:
            _bounded(item, depth - 1)
        if isinstance(value, dict):
            for item in value.values():
                _bounded(item, depth - 1)


def read_bytes(file: Path, most: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        DataError: It is a link, no file, or larger than ``most`` bytes.
    """
    if file.is_symlink() or not file.is_file():
        raise DataError(f"{file.name} is missing, or a link; give a regular file")
    size = file.stat().st_size
    if size > most:
        raise DataError(f"{file.name} has {size} bytes, more than the {most} that it can need")
    return file.read_bytes()


def parse_arrays(
    data: bytes, name: str, wanted: Mapping[str, str], most: int, *, below: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive from a stranger; what is pickled is never opened.

    Args:
        data: The archive's bytes.
        name: Its name, for messages.
        wanted: Name to type ("<f4", "|b1", ...) of every array that must be there; no other may be.
        most: Bytes that all arrays may take together.
        below: Arrays that may hold minus infinity.

    Raises:
        DataError: It is no such archive: another member, a link, a path, a pickle, another type, a size that its header
            does not hold, NaN or infinity.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, name, wanted, most)
            found = {member.filename[:-4]: _array(archive, member, name, wanted) for member in members}
    except (*DAMAGED, ValueError, OverflowError, MemoryError) as error:
        reason = ascii(str(error)[:200]).strip("'\"") or type(error).__name__
        raise DataError(
            f"{name} is no npz archive, or damaged: {reason}; write it with numpy.savez_compressed"
        ) from error
    for array, values in found.items():
        if values.dtype.kind == "f":
            known = np.isfinite(values) | (np.isneginf(values) if array in below else False)
            if not known.all():
                raise DataError(f"{name}: {array}.npy holds NaN or infinity; scores and pixels are finite numbers")
    return found


def _check_members(members: list[zipfile.ZipInfo], name: str, wanted: Mapping[str, str], most: int) -> None:
    names = [member.filename for member in members]
    if len(names) > 2 * len(wanted) + 10:
        raise DataError(f"{name} holds {len(names)} files, and {len(wanted)} arrays are wanted; write those alone")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{name} is packed in a way that numpy does not write; use numpy.savez_compressed")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{name} holds a link, {member.filename[:60]!r}; an archive of arrays has none")
        if member.filename.startswith("/") or ".." in member.filename or "\\" in member.filename:
            raise DataError(f"{name} holds {member.filename[:60]!r}, a path that leaves its folder")
    expected = sorted(f"{array}.npy" for array in wanted)
    if sorted(names) != expected:
        odd = sorted({*names} ^ {*expected}) or sorted(names)
        raise DataError(f"{name} must hold {', '.join(expected)}, each once; what differs: {odd[0][:60]!r}")
    if (size := sum(member.file_size for member in members)) > most:
        raise DataError(f"{name} unpacks to {size} bytes, more than the {most} that it can need")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, wanted: Mapping[str, str]) -> NDArray[Any]:
    array, what = member.filename[:-4], f"{name}: {member.filename}"
    packed = _unpacked(archive, member)
    if len(packed) != member.file_size:
        raise DataError(f"{what} has {len(packed)} bytes, and the archive claims {member.file_size}; write it again")
    stream = io.BytesIO(packed)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except (*NO_HEADER, RecursionError) as error:
        raise DataError(f"{what} is no plain array (a pickle?); arrays of numbers alone are read") from error
    if dtype.str != wanted[array]:
        raise DataError(f"{what} is of type {dtype.str[:40]}, not {wanted[array]}; objects (pickles) are never read")
    size = len(packed) - stream.tell()
    # each side by itself as well: 2^62 x 4 x 0 has no values, and no memory holds its shape
    honest = len(shape) <= AXES and all(0 <= side <= size for side in shape) and not fortran
    if not honest or size != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{what} has {size} bytes for an array of shape {str(shape)[:80]}; write it with NumPy")
    found: NDArray[Any] = np.frombuffer(packed, dtype=dtype, offset=stream.tell()).reshape(shape)
    return found


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, never more than the archive claims: ``read()`` alone unpacks a bomb before it cuts it."""
    pieces, left = [], member.file_size
    with archive.open(member) as stream:
        while left > 0 and (piece := stream.read(min(left, CHUNK))):
            pieces.append(piece)
            left -= len(piece)
        stream.read(1)  # the end is where the checksum is compared
    return b"".join(pieces)

"""Compressed DICOM: which decoder it takes, and whether its code streams are what the header declares."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from memobench.data.files.attributes import value, whole
from memobench.data.files.limits import DEFLATE, WAVELET, size
from memobench.data.files.picture import Unreadable

LEAST = 8  # bytes that a frame in a fragment of its own takes
_BLOCK = 2**20
_JPEG = "pip install python-gdcm (BSD), or pylibjpeg pylibjpeg-libjpeg (GPL-3.0)"
_WAVELET = "pip install pylibjpeg pylibjpeg-openjpeg"
_ALL = 'or pip install "memobench[dicom]" for all'
_JPEGS = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame of JPEG, and of JPEG-LS
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


@cache
def packed(syntax: UID | None) -> bool:
    """Whether the pixels stand in fragments."""
    return bool(syntax and syntax.is_transfer_syntax and not syntax.is_private and syntax.is_encapsulated)


def most(syntax: UID) -> int:
    """The most that a transfer syntax can expand."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return DEFLATE
    if not packed(syntax):
        return 1
    if syntax == RLELossless:
        return 64
    return DEFLATE if syntax in _JPEGS else WAVELET


def check_syntax(dataset: Dataset) -> None:
    """Refuse what no installed decoder reads, and name the one to install, by transfer syntax and bit depth.

    Raises:
        Unreadable: There is no decoder, or it is not installed.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if syntax in _NATIVE:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        kind = "a video; save its frames as images" if _video(syntax) else "for which no decoder exists; convert it"
        raise Unreadable(f"is stored as {syntax.name}, {kind}") from error
    if not decoder.is_available or (_deep(dataset) and not _any_depth(decoder.available_plugins)):
        raise Unreadable(f"is compressed ({_named(dataset)}); install its decoder: {_install(syntax)}, {_ALL}")


def check_length(dataset: Dataset) -> None:
    """Refuse pixels that are not as many as Rows, Columns, frames and depth say.

    Raises:
        Unreadable: There are fewer, or more.
    """
    content = value(dataset, "PixelData")
    if packed(dataset.file_meta.TransferSyntaxUID) or content is None:
        return
    expected, found = _expected(dataset), len(content)
    if found == expected:
        return
    behind = content[expected:]
    if found < expected or (len(behind) > 1 and (len(behind) >= expected or any(behind))):  # zeros are padding
        frames = dataset.get("NumberOfFrames") or 1
        word = "cut short" if found < expected else "at odds with its header"
        raise Unreadable(
            f"is {word}: it declares {frames} frame(s) of {dataset.Rows}x{dataset.Columns}, which take {expected} "
            f"bytes, and holds {found}"
        )


def _expected(dataset: Dataset) -> int:
    """How many bytes the pixels take."""
    bits, samples = whole(dataset, "BitsAllocated") or 0, whole(dataset, "SamplesPerPixel") or 0
    if samples != 1 or bits % 8:
        return get_expected_length(dataset)
    pixels = (whole(dataset, "Rows") or 0) * (whole(dataset, "Columns") or 0)
    return pixels * (bits // 8) * (whole(dataset, "NumberOfFrames") or 1)


def check_frame(dataset: Dataset, frame: int) -> None:
    """Refuse a compressed frame whose own size is not that of Rows and Columns.

    Raises:
        Unreadable: They disagree, or there is no such frame.
    """
    if not packed(dataset.file_meta.TransferSyntaxUID):
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    own = coded_size(get_frame(dataset.PixelData, frame, number_of_frames=frames))
    if own and own != (int(dataset.Rows), int(dataset.Columns)):
        raise Unreadable(
            f"is at odds with its header: Rows and Columns say {dataset.Rows}x{dataset.Columns}, its compressed pixels "
            f"{own[0]}x{own[1]}"
        )


def coded_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 code stream; None where it is none of these.

    >>> coded_size(bytes.fromhex("ffd8 ffc0 0011 08 0030 0040 03"))
    (48, 64)
    """
    start = stream.find(b"\xff\x4f\xff\x51")  # SOC and SIZ, perhaps within a JP2 box
    if 0 <= start < 512 and len(stream) >= start + 24:
        width, height, left, top = (int.from_bytes(stream[start + k : start + k + 4], "big") for k in (8, 12, 16, 20))
        return height - top, width - left
    if not stream.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 < len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _SOF:
            return int.from_bytes(stream[at + 5 : at + 7], "big"), int.from_bytes(stream[at + 7 : at + 9], "big")
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None


def decoded(dataset: Dataset, work: Callable[[], NDArray[Any]]) -> NDArray[np.generic]:
    """Run a decoder; its failure says which decoder would do better.

    Raises:
        Unreadable: The installed decoders cannot read it.
    """
    try:
        return work()
    except (RuntimeError, ValueError, NotImplementedError) as error:
        syntax: UID = dataset.file_meta.TransferSyntaxUID
        if not packed(syntax) or syntax == RLELossless:
            raise
        if _any_depth(get_decoder(syntax).available_plugins):
            reason = " ".join(str(error).split())
            raise Unreadable(f"is compressed ({_named(dataset)}) and damaged ({reason[:150]})") from error
        raise Unreadable(
            f"is compressed ({_named(dataset)}), which the installed decoder cannot read; install another: "
            f"{_install(syntax)}, {_ALL}"
        ) from error


def check_deflate(handle: BinaryIO, limit: int) -> None:
    """Unpack a raw deflate stream block by block, keeping nothing, and refuse it beyond a limit.

    Raises:
        Unreadable: It unpacks to more, or is damaged.
    """
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof:
        block = unpacker.unconsumed_tail or handle.read(_BLOCK)
        if not block:
            return  # cut short: pydicom says what is missing
        try:
            total += len(unpacker.decompress(block, _BLOCK))
        except zlib.error as error:
            raise Unreadable(f"cannot be unpacked ({error})") from error
        if total > limit:
            raise Unreadable(f"unpacks to more than the limit of {size(limit)} (--max-image-gib)")


def _named(dataset: Dataset) -> str:
    return f"{dataset.file_meta.TransferSyntaxUID.name}, {dataset.get('BitsStored')} bit"


def _deep(dataset: Dataset) -> bool:
    return dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and int(dataset.get("BitsStored") or 8) > 8


def _any_depth(plugins: tuple[str, ...]) -> bool:
    """Whether one of the decoders reads every bit depth, which Pillow does not."""
    return any(name != "pillow" for name in plugins)


def _install(syntax: UID) -> str:
    return _WAVELET if "2000" in syntax.name else _JPEG


def _video(syntax: UID) -> bool:
    return any(word in syntax.name for word in ("MPEG", "HEVC", "H.264"))

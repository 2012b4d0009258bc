from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from memobench.data.files.decode import decode, read
from memobench.data.files.picture import Unreadable, stretched
from PIL import Image

RNG = np.random.default_rng(0)
SMOOTH = (np.cumsum(RNG.integers(-90, 90, (24, 30)), axis=1) % 4096).astype(np.uint16)  # 12 bits in 16


def _png(channels: np.ndarray, colour: int, *, interlaced: int = 0, lines: bytes | None = None) -> bytes:
    """A file of 16 bits without filters; (H, W, C) channels."""

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, _ = channels.shape
    plain = b"".join(b"\0" + line.tobytes() for line in channels.astype(">u2"))
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(plain if lines is None else lines))
        + part(b"IEND", b"")
    )


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_all_sixteen_bits_are_kept(tmp_path: Path, colour: int, channels: int) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(_png(np.repeat(SMOOTH[..., None], channels, axis=-1), colour))
    assert np.array_equal(decode([file], None, 2).pixels, stretched(SMOOTH))


def test_real_colour_of_sixteen_bits(tmp_path: Path) -> None:
    channels = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]], axis=-1)
    file = tmp_path / "a.png"
    file.write_bytes(_png(channels, 2))
    raw = read([file], None, 2)
    assert raw.colour
    assert np.allclose(raw.values, channels @ np.array([0.299, 0.587, 0.114]))


def test_every_filter_is_undone(tmp_path: Path) -> None:
    two = np.stack([SMOOTH, np.full_like(SMOOTH, 65535)], axis=-1).astype(">u2")
    stream = io.BytesIO()
    Image.fromarray(two.view(np.uint8).reshape(24, 30, 4), "RGBA").save(stream, "PNG", compress_level=9)
    filtered = zlib.decompress(_data(stream.getvalue()))  # four bytes a pixel, as grey of 16 bits with opacity has
    assert len(set(filtered[:: 1 + 30 * 4])) > 1
    file = tmp_path / "a.png"
    file.write_bytes(_png(two, 4, lines=filtered))
    assert np.array_equal(read([file], None, 2).values, SMOOTH)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"interlaced": 1}, "interlaced"),
        ({"lines": bytes(10)}, "its pixels are not as many"),
        ({"lines": bytes([9]) * (24 * (1 + 30 * 6))}, "a filter that PNG does not know"),
        ({"lines": bytes(10**6)}, "its pixels are not as many"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, more: dict, reason: str) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(_png(np.repeat(SMOOTH[..., None], 3, axis=-1), 2, **more))
    with pytest.raises(Unreadable, match=reason):
        read([file], None, 2)


def _data(content: bytes) -> bytes:
    at, found = 8, b""
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found += content[at + 8 : at + 8 + length] if content[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    return found

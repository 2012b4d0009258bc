"""Headers that declare more than there is: refused before memory is taken."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from memobench.base.errors import DataError
from memobench.data.files.decode import decode, header
from memobench.data.files.inspect import inspect_folder, survey
from memobench.data.files.limits import check_size, gib
from memobench.data.files.picture import Unreadable
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
SMALL = 2**20


def _refused(file: Path, reason: str, limit: int = gib(4)) -> None:
    """The header refuses it, for that reason, and takes next to no memory."""
    with pytest.raises(Unreadable, match=reason):  # loads the modules that it needs
        header(file, limit)
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match=reason):
            header(file, limit)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("frames", "reason"), [(10**8, "declares"), (-1, "declares -1 frames"), (3, "declares 3 frame")]
)
def test_frames_that_a_dicom_file_cannot_hold(
    tmp_path: Path, draw: Draw, save_dicom: Save, frames: int, reason: str
) -> None:
    _refused(save_dicom(tmp_path / "a", draw(), NumberOfFrames=frames), reason)


@pytest.mark.parametrize(("name", "value"), [("Rows", 40), ("Columns", 12), ("Rows", 60)])
def test_rows_and_columns_at_odds_with_the_pixels(
    tmp_path: Path, draw: Draw, save_dicom: Save, name: str, value: int
) -> None:
    file = save_dicom(tmp_path / "a", draw((48, 40)), **{name: value})
    with pytest.raises(Unreadable, match=r"at odds with its header|cut short|cannot hold"):
        decode([file], None, 2)


def test_padding_behind_the_pixels_is_none_of_them(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw())
    expected = decode([file], None, 2).pixels
    dataset = pydicom.dcmread(file)
    dataset.PixelData += bytes(64)
    dataset.save_as(file)
    assert np.array_equal(decode([file], None, 2).pixels, expected)


def test_compressed_pixels_of_another_size(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    pytest.importorskip("openjpeg")
    file = save_dicom(tmp_path / "a", draw((48, 40)))
    dataset = pydicom.dcmread(file)
    dataset.compress(pydicom.uid.JPEG2000Lossless)
    dataset.Rows, dataset.Columns = 40, 48
    dataset.save_as(file)
    with pytest.raises(Unreadable, match="Rows and Columns say 40x48, its compressed pixels 48x40"):
        decode([file], None, 2)


def test_a_deflated_dicom_bomb(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw(), TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
    content = file.read_bytes()
    unpacker = zlib.decompressobj(-15)
    start = 144 + int.from_bytes(content[140:144], "little")  # behind the group of the file meta information
    plain = unpacker.decompress(content[start:])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    with file.open("wb") as handle:
        handle.write(content[:start] + packer.compress(plain + struct.pack("<HH2sHI", 0x7FE1, 0x10, b"OB", 0, 2**28)))
        for _ in range(64):
            handle.write(packer.compress(bytes(2**20)))
        handle.write(packer.flush())
    assert file.stat().st_size < 2**17
    _refused(file, "unpacks to more than the limit", limit=2**24)


def test_a_gz_bomb(tmp_path: Path) -> None:
    head = nibabel.Nifti1Header()
    head.set_data_shape((1024, 1024, 512))
    head.set_data_dtype(np.int16)
    head["vox_offset"], head["magic"] = 352, b"n+1\0"
    file = tmp_path / "a.nii.gz"
    with gzip.open(file, "wb", compresslevel=1) as handle:
        handle.write(head.binaryblock + bytes(4))
        for _ in range(4):
            handle.write(bytes(2**20))
    _refused(file, "far more than an image unpacks to")
    _refused(file, "more than the limit of 1.0 MiB; raise --max-image-gib", limit=SMALL)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("dim", [3, 100, 100, 30000, 1, 1, 1, 1], "is cut short"),
        ("dim", [3, 4, 5, -6, 1, 1, 1, 1], "negative side"),
        ("dim", [3, 4, 5, 0, 1, 1, 1, 1], "without pixels"),
        ("dim", [3, 4, 5, 2, 1, 1, 1, 1], "at odds with its header"),
        ("dim", [9, 4, 5, 6, 1, 1, 1, 1], "axes"),
        ("vox_offset", 2.0**31, "values start at byte"),
        ("vox_offset", float("nan"), "values start at byte"),
        ("datatype", 999, "no known type"),
    ],
)
def test_nifti_headers_that_lie(tmp_path: Path, name: str, value: object, reason: str) -> None:
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    content = bytearray(image.to_bytes())
    head = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    head[name] = value
    content[:348] = head.binaryblock
    file = tmp_path / "a.nii"
    file.write_bytes(content)
    _refused(file, reason)


def test_npy_and_npz_headers_that_lie(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (1 << 14, 1 << 14)})
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + bytes(800))
    _refused(tmp_path / "a.npy", "its header declares 2147483776 bytes, the file has 928")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", stream.getvalue() + bytes(800))
    _refused(tmp_path / "a.npz", "far more than an image unpacks to")
    bomb = io.BytesIO()
    np.save(bomb, np.zeros((1200, 1200, 24), dtype=np.float64))
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bomb.getvalue())
    _refused(tmp_path / "b.npz", "far more than an image unpacks to")


def test_png_and_jpeg_headers_that_lie(tmp_path: Path, draw: Draw) -> None:
    for name, at, form in (("a.png", 16, ">II"), ("b.jpg", None, ">HH")):
        Image.fromarray(draw()).save(tmp_path / name)
        content = bytearray((tmp_path / name).read_bytes())
        if at is None:
            at = content.index(b"\xff\xc0") + 5
        struct.pack_into(form, content, at, 12_000, 13_000)
        if name == "a.png":
            struct.pack_into(">I", content, 29, zlib.crc32(bytes(content[12:29])))
        (tmp_path / name).write_bytes(content)
        _refused(tmp_path / name, "more than the limit", limit=2**26)
        with pytest.raises(Unreadable):
            decode([tmp_path / name], None, 2)


def _tiff(*pages: tuple[int, int, int]) -> bytearray:
    """A TIFF of pages (width, height, offset of the next directory; 0 for none), without any pixels."""
    data = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    for width, height, following in pages:
        data += struct.pack("<H", 3)
        for tag, value in ((256, width), (257, height), (258, 8)):
            data += struct.pack("<HHII", tag, 4, 1, value)
        data += struct.pack("<I", following)
    return data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_tiff((8, 8, 8)), "go in a circle"),
        (_tiff((2, 2, 50), (2, 2, 8)), "go in a circle"),
        (_tiff((60_000, 60_000, 0)), "far more than an image unpacks to"),
        (_tiff((2**31, 2**31, 0)), "more than the limit"),
        (_tiff((2, 2, 10**6)), "cut short within its directory"),
        (bytearray(b"II*\0\0\0\0\0"), "has no page"),
    ],
)
def test_tiff_directories_that_lie(tmp_path: Path, content: bytearray, reason: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    _refused(tmp_path / "a.tif", reason)


def test_the_limit_can_be_raised(tmp_path: Path, draw: Draw) -> None:
    np.save(tmp_path / "a.npy", draw((64, 64)))
    np.save(tmp_path / "b.npy", draw((64, 64), 1))
    with pytest.raises(DataError, match="raise --max-image-gib"):
        inspect_folder(tmp_path, max_image_gib=2**-20)
    assert len(survey(tmp_path, max_image_gib=2**-10).items) == 2


def test_nothing_is_no_picture() -> None:
    with pytest.raises(Unreadable, match="without pixels"):
        check_size(0, 10)

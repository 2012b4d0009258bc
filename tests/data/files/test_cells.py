"""Bits of a DICOM cell that are no value: overlays, rubbish, values at the upper end, padding outside the value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from memobench.data.files.decode import decode, read
from memobench.data.files.picture import Unreadable
from pydicom.uid import RLELossless

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def _twelve(draw: Draw, signed: bool = False) -> np.ndarray:
    values = draw((24, 30)).astype(np.int16) * 16
    return values - 2048 if signed else values.astype(np.uint16)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_what_lies_above_the_value_is_left_out(
    tmp_path: Path, draw: Draw, save_dicom: Save, signed: bool, packed: bool
) -> None:
    values = _twelve(draw, signed)
    cells = values.view(np.uint16) & 0x0FFF
    cells[3:9, 4:20] |= 0x1000  # an overlay
    cells[0, 0] |= 0xE000
    file = save_dicom(tmp_path / "a", cells.view(values.dtype))
    dataset = pydicom.dcmread(file)
    if packed:
        dataset.compress(RLELossless)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(file)
    assert np.array_equal(read([file], None, 2).values, values)


@pytest.mark.parametrize("signed", [False, True])
def test_values_at_the_upper_end_of_their_cells(tmp_path: Path, draw: Draw, save_dicom: Save, signed: bool) -> None:
    values = _twelve(draw, signed)
    file = save_dicom(tmp_path / "a", values << 4, BitsStored=12, HighBit=15)
    assert np.array_equal(read([file], None, 2).values, values)


def test_a_high_bit_that_the_pixels_contradict(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    values = _twelve(draw) | 1
    file = save_dicom(tmp_path / "a", values, BitsStored=12, HighBit=15)  # the pixels are where they usually are
    assert np.array_equal(read([file], None, 2).values, values)
    file = save_dicom(tmp_path / "b", values * 8 + 1, BitsStored=12, HighBit=15)
    with pytest.raises(Unreadable, match="HighBit 15 and BitsStored 12 do not fit its pixels"):
        read([file], None, 2)


@pytest.mark.parametrize("bits", [0, 20])
def test_more_bits_than_a_cell_has(tmp_path: Path, draw: Draw, save_dicom: Save, bits: int) -> None:
    file = save_dicom(tmp_path / "a", _twelve(draw), BitsStored=bits)
    with pytest.raises(Unreadable, match=f"declares {bits} bits in cells of 16"):
        read([file], None, 2)


@pytest.mark.parametrize(("signed", "padding"), [(False, 63536), (True, -32768), (True, -2049)])
def test_padding_that_needs_more_bits_than_the_values(
    tmp_path: Path, draw: Draw, save_dicom: Save, signed: bool, padding: int
) -> None:
    values = _twelve(draw, signed)
    edge = np.zeros(values.shape, dtype=bool)
    edge[:4], edge[:, -5:] = True, True
    padded = np.where(edge, values.dtype.type(padding), values)
    more: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
    file = save_dicom(tmp_path / "a", padded, **more)
    dataset = pydicom.dcmread(file)
    dataset.add_new("PixelPaddingValue", "SS" if signed else "US", padding)
    dataset.save_as(file)
    real = np.where(edge, values[~edge].min(), values)
    truth = decode([save_dicom(tmp_path / "b", real, **more)], None, 2)
    assert np.array_equal(decode([file], None, 2).pixels, truth.pixels)


def test_frames_are_taken_out_one_by_one(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((5, 11, 13))
    file = save_dicom(tmp_path / "a", volume)
    for frame, plane in enumerate(volume):
        assert np.array_equal(read([file], frame, 2).values, plane)

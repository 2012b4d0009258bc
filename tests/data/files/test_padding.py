"""PixelPaddingValue is background, whatever the modality, the sign of its VR, and which end is white."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from memobench.data.files.decode import decode
from memobench.data.files.picture import Raw, Unreadable, picture, stretched

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def _pad(file: Path, vr: str, value: int, limit: int | None = None) -> Path:
    dataset = pydicom.dcmread(file)
    dataset.add_new("PixelPaddingValue", vr, value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", vr, limit)
    dataset.save_as(file)
    return file


def _edge(shape: tuple[int, ...]) -> np.ndarray:
    edge = np.zeros(shape, dtype=bool)
    edge[:4], edge[:, -5:] = True, True
    return edge


@pytest.mark.parametrize(("vr", "value"), [("SS", -2000), ("US", 63536)])
def test_padding_takes_the_smallest_real_value(
    tmp_path: Path, draw: Draw, save_dicom: Save, vr: str, value: int
) -> None:
    hounsfield = draw().astype(np.int16) * 4 - 700
    edge = _edge(hounsfield.shape)
    low = hounsfield[~edge].min()
    bare = save_dicom(tmp_path / "bare", np.where(edge, low, hounsfield), RescaleSlope=1, RescaleIntercept=-5)
    padded = save_dicom(
        tmp_path / "padded", np.where(edge, -2000, hounsfield).astype(np.int16), RescaleSlope=1, RescaleIntercept=-5
    )
    seen, expected = decode([_pad(padded, vr, value)], None, 2), decode([bare], None, 2)
    assert np.array_equal(seen.pixels, expected.pixels)
    assert (seen.low, seen.high) == (expected.low, expected.high)


def test_padding_is_black_where_small_is_white(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    values = draw().astype(np.uint16) + 800
    edge = _edge(values.shape)
    file = save_dicom(
        tmp_path / "a", np.where(edge, 0, values).astype(np.uint16), PhotometricInterpretation="MONOCHROME1"
    )
    pixels = decode([_pad(file, "US", 0)], None, 2).pixels
    assert (pixels[edge] == 0).all()
    assert np.array_equal(pixels[~edge], 1 - stretched(values[~edge]))


def test_a_range_of_padding(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    values = draw().astype(np.int16) + 100
    edge = _edge(values.shape)
    noisy = np.where(edge, np.random.default_rng(0).integers(-1005, -994, values.shape), values).astype(np.int16)
    file = save_dicom(tmp_path / "a", noisy)
    expected = stretched(np.where(edge, values[~edge].min(), values))
    assert np.array_equal(decode([_pad(file, "SS", -1005, -995)], None, 2).pixels, expected)


def test_a_series_is_padded_slice_by_slice(tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]]) -> None:
    volume = draw((9, 12, 10)).astype(np.int16)
    volume[:, :2] = -999
    names = save_series(tmp_path, volume)
    for name in names:
        _pad(tmp_path / name, "SS", -999)
    seen = decode([tmp_path / name for name in names], None, 3).pixels
    assert np.array_equal(seen, stretched(np.where(volume == -999, volume[volume != -999].min(), volume)))


def test_nothing_but_padding_is_refused() -> None:
    with pytest.raises(Unreadable, match="nothing but padding"):
        picture(Raw(np.zeros((4, 4)), background=np.ones((4, 4), dtype=bool)))

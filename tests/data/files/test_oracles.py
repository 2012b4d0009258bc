"""The values that other libraries read from the same files: pydicom's LUT functions, SimpleITK, nibabel, tifffile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from memobench.data.files.decode import decode, read
from memobench.data.files.picture import stretched
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
Series = Callable[..., list[str]]
TURNED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)


def _table(name: str, descriptor: list[int], entries: NDArray[np.integer]) -> dict[str, Any]:
    item = Dataset()
    item.LUTDescriptor = descriptor
    item.add_new("LUTData", "US", entries.tolist())
    return {name: [item]}


TRANSFORMATIONS = {
    "none": {},
    "whole numbers": {"RescaleSlope": 1, "RescaleIntercept": -1024},
    "fractions": {"RescaleSlope": "0.0137", "RescaleIntercept": "-3.25"},
    "falling": {"RescaleSlope": -2, "RescaleIntercept": 7},
    "table": _table("ModalityLUTSequence", [200, 40, 16], np.arange(200) ** 2),
    "table from below zero": _table("ModalityLUTSequence", [300, 0, 16], np.arange(300)[::-1] * 7),
}
LOOKS: dict[str, dict[str, Any]] = {
    "none": {},
    "window": {"WindowCenter": 100, "WindowWidth": 90},
    "exact": {"WindowCenter": 100, "WindowWidth": 90, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 100, "WindowWidth": 90, "VOILUTFunction": "SIGMOID"},
    "table": _table("VOILUTSequence", [256, 0, 16], (np.arange(256) ** 2)),
}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_units_are_those_of_pydicom(tmp_path: Path, draw: Draw, save_dicom: Save, name: str, kind: type) -> None:
    values = draw((40, 48)).astype(kind)
    file = save_dicom(tmp_path / "a", values, **TRANSFORMATIONS[name])
    dataset = pydicom.dcmread(file)
    theirs = apply_modality_lut(pixel_array(dataset), dataset)
    assert np.array_equal(read([file], None, 2).values, theirs)
    assert np.array_equal(decode([file], None, 2).pixels, stretched(np.asarray(theirs)))


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_shown_is_what_pydicom_shows(tmp_path: Path, draw: Draw, save_dicom: Save, name: str) -> None:
    values = draw((40, 48)).astype(np.uint16)
    file = save_dicom(tmp_path / "a", values, **LOOKS[name])
    dataset = pydicom.dcmread(file)
    theirs = np.asarray(apply_voi_lut(pixel_array(dataset), dataset)).astype(np.float64)
    assert np.allclose(decode([file], None, 2).pixels, stretched(theirs), atol=2e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_picture_is_as_simpleitk_reads_it(tmp_path: Path, draw: Draw, save_dicom: Save, signed: bool) -> None:
    itk = pytest.importorskip("SimpleITK")
    values = draw((33, 47)).astype(np.int16 if signed else np.uint16) * 9 - (700 if signed else 0)
    file = save_dicom(tmp_path / "a.dcm", values, RescaleSlope="2", RescaleIntercept="-1024")
    theirs = itk.GetArrayFromImage(itk.ReadImage(str(file)))[0]
    assert np.array_equal(read([file], None, 2).values, theirs)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), TURNED])
@pytest.mark.parametrize("step", [2.5, -2.5])
def test_a_series_is_as_simpleitk_reads_it(
    tmp_path: Path, draw: Draw, save_dicom: Save, orientation: tuple[float, ...], step: float
) -> None:
    itk = pytest.importorskip("SimpleITK")
    volume = draw((7, 12, 10)).astype(np.int16)
    normal = np.cross(orientation[:3], orientation[3:])
    files = []
    for index, plane in enumerate(volume):
        place = [*map(float, np.array([3.0, -4.0, 5.0]) + step * index * normal)]
        slope = 1 + index % 3  # of each slice, as in positron emission tomography
        files.append(
            save_dicom(
                tmp_path / f"{(index * 5) % 7}.dcm",
                plane,
                SeriesInstanceUID="1.2.3",
                StudyInstanceUID="1.2.4",
                InstanceNumber=index + 1,
                ImagePositionPatient=place,
                ImageOrientationPatient=list(orientation),
                PixelSpacing=[1.5, 0.8],
                RescaleSlope=slope,
                RescaleIntercept=-100,
            )
        )
    ordered = files if step > 0 else files[::-1]
    names = itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = itk.DICOMOrient(itk.ReadImage(names), "LPS")
    raw = read(ordered, None, 3)
    assert np.array_equal(raw.values, itk.GetArrayFromImage(image))
    assert raw.spacing is not None
    assert np.allclose(raw.spacing, image.GetSpacing()[::-1], atol=1e-5)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL", "ILA"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_volume_is_as_nibabel_and_simpleitk_read_it(tmp_path: Path, draw: Draw, codes: str, kind: type) -> None:
    turn = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(tuple(codes)), (9, 10, 12))
    affine = np.linalg.inv(np.linalg.inv(np.diag([1.5, 0.8, 3.0, 1.0])) @ np.linalg.inv(turn))
    file = tmp_path / "a.nii.gz"
    image = nibabel.Nifti1Image(draw((9, 10, 12)).astype(kind), affine)
    image.header.set_slope_inter(2.0, -7.0)
    nibabel.save(image, file)
    raw = read([file], None, 3)
    canonical = nibabel.as_closest_canonical(nibabel.load(file)).get_fdata()
    assert np.allclose(raw.values, canonical[::-1, ::-1].transpose(2, 1, 0))
    itk = pytest.importorskip("SimpleITK")
    theirs = itk.DICOMOrient(itk.ReadImage(str(file)), "LPS")
    assert np.allclose(raw.values, itk.GetArrayFromImage(theirs))
    assert raw.spacing is not None
    assert np.allclose(raw.spacing, theirs.GetSpacing()[::-1])


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_any_type_is_as_tifffile_reads_it(tmp_path: Path, draw: Draw, kind: str, order: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    volume = (draw((3, 20, 24)).astype(np.float64) / 2 - (60 if kind[0] != "u" else 0)).astype(kind)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, volume, byteorder=order, photometric="minisblack", compression="zlib")
    assert np.array_equal(read([file], None, 3).values, tifffile.imread(file))
    assert np.array_equal(read([file], 1, 2).values, volume[1])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_tiff_of_sixteen_bit_colour_keeps_its_bits(tmp_path: Path, draw: Draw, planar: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    grey = draw((20, 24)).astype(np.uint16) * 16
    colour = np.stack([grey] * 3, axis=0 if planar == "separate" else -1)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, colour, photometric="rgb", planarconfig=planar)
    raw = read([file], None, 2)
    assert not raw.colour
    assert np.array_equal(raw.values, grey)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Save = Callable[..., Path]


@pytest.fixture
def draw() -> Callable[..., NDArray[np.uint8]]:
    """A smooth picture without any symmetry, uint8, with several percent each of black and of white."""

    def make(shape: tuple[int, ...] = (48, 40), seed: int = 0) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        axes = np.meshgrid(*[np.linspace(0, 1, side) for side in shape], indexing="ij")
        field = sum(np.sin(axis * rng.uniform(2, 9) + rng.uniform(0, 6)) + axis for axis in axes)
        low, high = np.percentile(field, [5, 95])
        return np.asarray(np.clip((field - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)

    return make


@pytest.fixture
def save_dicom() -> Save:
    """A DICOM file by hand: the values as they are stored, and any attributes beside."""

    def save(path: Path, values: NDArray[Any], **attributes: Any) -> Path:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = attributes.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=attributes.pop("preamble", b"\0" * 128))
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = values.shape[-2:]
        if values.ndim == 3:
            dataset.NumberOfFrames = len(values)
        dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(values.dtype.kind == "i")
        dataset.PixelData = values.tobytes()
        for name, value in attributes.items():
            setattr(dataset, name, value)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return save


@pytest.fixture
def save_series(save_dicom: Save) -> Callable[..., list[str]]:
    """The slices (D, H, W) of a volume as files of one series; their names, which sort otherwise than the slices."""

    def save(root: Path, volume: NDArray[Any], prefix: str = "", **attributes: Any) -> list[str]:
        root.mkdir(exist_ok=True)
        series, study = generate_uid(), generate_uid()
        names = []
        for index, plane in enumerate(volume):
            names.append(f"{prefix}{(index * 7) % 31:02d}")
            given = {
                "SeriesInstanceUID": series,
                "StudyInstanceUID": study,
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
                "ImagePositionPatient": [0, 0, 3.0 * index - 20],
                "InstanceNumber": len(volume) - index,
            } | attributes
            save_dicom(root / names[-1], plane, **{name: value for name, value in given.items() if value is not None})
        return names

    return save


@pytest.fixture
def save_nifti() -> Save:
    """A NIfTI file of values (D, H, W) or (H, W) whose axes run to superior, posterior and left."""

    def save(path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None) -> Path:
        if affine is None:
            affine = np.diag([-1.0, -1.0, 1.0, 1.0])
            values = np.atleast_3d(values.T)
        nibabel.save(nibabel.Nifti1Image(values, affine), path)
        return path

    return save


@pytest.fixture
def shipped() -> Callable[[str], Path]:
    """A test file inside the pydicom package, never downloaded."""

    def find(name: str) -> Path:
        file = Path(pydicom.__file__).parent / "data" / "test_files" / name
        if not file.is_file():
            pytest.skip(f"this pydicom does not ship {name}")
        assert get_testdata_file(name.split("/")[-1], download=False)
        return file

    return find

"""Real names in the names and headers of synthetic files."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from memobench.audit.carriers import RealNames, carriers, people_of
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

REAL = RealNames(["MRN-4711", "Lovelace^Ada"], ["site/chest_0815_b.nii.gz", "img_0001.png", "image.png", "7.png"])
PIXELS = np.zeros((4, 4), dtype=np.uint8)


def picture(file: Path, **texts: str) -> None:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text, zip=True)
    Image.fromarray(PIXELS).save(file, pnginfo=info)


def dicom(file: Path, name: str, comment: str = "") -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PatientName = name
    data.PatientID = "S1"
    nested = Dataset()
    nested.ImageComments = comment
    data.RequestAttributesSequence = [nested]
    data.save_as(file, enforce_file_format=True)


def test_names_are_found_whole_and_in_any_spelling() -> None:
    for text in ("mrn_4711_copy", "x/MRN-4711/7", "Ada LOVELACE, Lovelace Ada", "chest-0815-b (2)"):
        assert REAL.within(text), text
    for text in ("mrn-47111", "4711", "chest_0815", "image", "7", "Lovelace", ""):
        assert not REAL.within(text), text


@pytest.mark.smoke
def test_headers_of_every_format_are_searched(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", Comment="from MRN-4711")
    Image.fromarray(PIXELS).save(tmp_path / "c.jpg", comment=b"chest_0815_b")
    exif = Image.Exif()
    exif[0x010E] = "Lovelace, Ada"
    Image.fromarray(PIXELS).save(tmp_path / "d.jpg", exif=exif)
    Image.fromarray(PIXELS).save(tmp_path / "e.tif", description="MRN 4711")
    dicom(tmp_path / "f.dcm", "Nobody", comment="copy of mrn-4711")
    dicom(tmp_path / "g", "Lovelace^Ada")
    volume = nibabel.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4))
    volume.header["descrip"] = b"MRN-4711"
    nibabel.save(volume, tmp_path / "h.nii.gz")
    picture(tmp_path / "chest_0815_b_new.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    names = sorted(file.name for file in tmp_path.iterdir())
    found = carriers(tmp_path, names, REAL)
    headers = dict.fromkeys(["b.png", "c.jpg", "d.jpg", "e.tif", "f.dcm", "g", "h.nii.gz"], "header")
    assert found == {**headers, "chest_0815_b_new.png": "name"}
    assert people_of(tmp_path, names) == {"Nobody", "Lovelace^Ada", "S1"}


def test_numbered_files_do_not_carry_the_numbers_of_other_numbered_files(tmp_path: Path) -> None:
    names = [f"img_{k:04d}.png" for k in range(6)]
    for name in (*names, "patient_9021.png", "img_0001_MRN-4711.png"):
        picture(tmp_path / name)
    real = RealNames(["0003", "9021", "MRN-4711"], names)
    assert carriers(tmp_path, names, real) == {}
    found = carriers(tmp_path, [*names, "patient_9021.png", "img_0001_MRN-4711.png"], real)
    assert found == {"patient_9021.png": "name", "img_0001_MRN-4711.png": "name"}

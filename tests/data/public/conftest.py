"""Miniatures of the publishers' folders, with generated content; each layout's source is cited in its module."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from memobench.data.public._source import SOURCES
from numpy.typing import NDArray
from PIL import Image

PATIENTS = 32
LISTED = 12  # of them on the publisher's test list: then test has images enough for every metric of a run
OTHERS = PATIENTS - LISTED
SLICES = 8  # of a DICOM series; with fewer it counts as a scout


def blocks(seed: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, [-(-side // 4) for side in shape], dtype=np.uint8)
    for axis in range(len(shape)):
        coarse = coarse.repeat(4, axis=axis)
    return coarse[tuple(slice(side) for side in shape)]


def raster(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks(seed, (72, 64))).save(file)


def table(file: Path, rows: list[dict[str, object]]) -> None:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "wt", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def nifti(file: Path, seed: int, low: int = 0, channels: int = 0, steps: tuple[float, ...] = (1.0, 1.0, 2.5)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = blocks(seed, (20, 24, 16)).astype(np.int16) * 4 + low
    if channels:
        values = np.stack([values] * channels, axis=-1)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*steps, 1.0])), file)


def chestxray14(root: Path) -> None:
    """https://nihcc.app.box.com/v/ChestXray-NIHCC, as mirrors describe it."""
    rows, test = [], []
    for patient in range(1, PATIENTS + 1):
        for visit in range(2):
            name = f"{patient:08d}_{visit:03d}.png"
            raster(root / f"images_{1 + patient % 2:03d}" / "images" / name, patient * 2 + visit)
            rows.append(
                {"Image Index": name, "Finding Labels": "No Finding", "Follow-up #": visit, "Patient ID": patient}
            )
            test += [name] if patient > OTHERS else []
    table(root / "Data_Entry_2017_v2020.csv", rows)
    (root / "test_list.txt").write_text("\n".join(test))
    (root / "train_val_list.txt").write_text("\n".join(r["Image Index"] for r in rows if r["Image Index"] not in test))


def chexpert(root: Path) -> None:
    """The columns Path, Sex, Age, Frontal/Lateral, AP/PA: huggingface.co/datasets/danjacobellis/chexpert."""
    for name, patients in (("train", range(OTHERS)), ("valid", range(OTHERS, PATIENTS))):
        rows = []
        for patient in patients:
            for view in ("frontal", "lateral"):
                path = f"CheXpert-v1.0-small/{name}/patient{patient:05d}/study1/view1_{view}.jpg"
                raster(root / path, patient)
                rows.append({"Path": path, "Sex": "Male", "Age": 60, "Frontal/Lateral": view.title(), "AP/PA": "AP"})
        table(root / "CheXpert-v1.0-small" / f"{name}.csv", rows)


def mimic_cxr_jpg(root: Path) -> None:
    """https://physionet.org/content/mimic-cxr-jpg/2.1.0."""
    split, meta = [], []
    for number in range(PATIENTS):
        subject, study, dicom = 10000032 + number, 50414267 + number, f"02aa804e-{number:08x}"
        raster(root / f"files/p{subject}"[:-6] / f"p{subject}" / f"s{study}" / f"{dicom}.jpg", number)
        split.append(
            {
                "dicom_id": dicom,
                "study_id": study,
                "subject_id": subject,
                "split": "train" if number < OTHERS else "test",
            }
        )
        meta.append({"dicom_id": dicom, "subject_id": subject, "study_id": study, "ViewPosition": "PA"})
    table(root / "mimic-cxr-2.0.0-split.csv.gz", split)
    table(root / "mimic-cxr-2.0.0-metadata.csv.gz", meta)


def medmnist(name: str) -> Callable[[Path], None]:
    """github.com/MedMNIST/MedMNIST: {train,val,test}_{images,labels}."""

    def make(root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        shape = (64,) * (3 if name.endswith("3d") else 2)
        parts = {"train": range(OTHERS - 2), "val": range(OTHERS - 2, OTHERS), "test": range(OTHERS, PATIENTS)}
        images = {f"{part}_images": np.stack([blocks(i, shape) for i in rows]) for part, rows in parts.items()}
        labels = {f"{part}_labels": np.zeros((len(rows), 1), np.uint8) for part, rows in parts.items()}
        np.savez_compressed(root / f"{name}_64.npz", **images, **labels)

    return make


def series(collection: str) -> Callable[[Path], None]:
    """The tree of TCIA's NBIA Data Retriever."""

    def make(root: Path) -> None:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

        for patient in range(PATIENTS):
            name = f"{collection}-{patient:04d}"
            folder = root / collection / name / "01-01-2000-NA-NA-30178" / "3000566.000000-NA-03192"
            folder.mkdir(parents=True)
            volume = blocks(patient, (SLICES, 16, 16)).astype(np.int16) * 4
            for number, plane in enumerate(volume):
                one = Dataset()
                one.file_meta = FileMetaDataset()
                one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
                one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
                one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
                one.Modality, one.PatientID = "CT", name
                one.Rows, one.Columns, one.SamplesPerPixel = 16, 16, 1
                one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
                one.PhotometricInterpretation = "MONOCHROME2"
                one.RescaleSlope, one.RescaleIntercept = 1, -1024
                one.PixelSpacing, one.ImageOrientationPatient = [16.0, 16.0], [1, 0, 0, 0, 1, 0]
                one.ImagePositionPatient, one.InstanceNumber = [0, 0, 20.0 * number], SLICES - number
                one.PixelData = plane.tobytes()
                one.save_as(folder / f"1-{SLICES - number:02d}.dcm", enforce_file_format=True)

    return make


def decathlon(name: str) -> Callable[[Path], None]:
    """monai.apps.DecathlonDataset: dataset.json with ./imagesTr/NAME_001.nii.gz."""

    def make(root: Path) -> None:
        task = SOURCES.get(name).title.rpartition(" ")[2]
        stem, channels = task.partition("_")[2].lower(), 4 if name.endswith("brain") else 0
        each = 2 if name.endswith("hippocampus") else 1  # volumes of a patient
        training = [f"./imagesTr/{stem}_{number:03d}.nii.gz" for number in range(1, each * OTHERS + 1)]
        test = [f"./imagesTs/{stem}_{number:03d}.nii.gz" for number in range(each * OTHERS + 1, each * PATIENTS + 1)]
        for number, file in enumerate(training + test):
            nifti(root / task / file, number, -600 if task in ("Task06_Lung",) else -160, channels)
        about = {"training": [{"image": f, "label": f.replace("images", "labels")} for f in training], "test": test}
        (root / task / "dataset.json").write_text(json.dumps(about))

    return make


def ct_rate(root: Path) -> None:
    """Listings of huggingface.co data sets that derive from CT-RATE: dataset/train_fixed/train_1/train_1_a/..."""
    for part, patients in (("train", range(1, OTHERS + 1)), ("valid", range(1, LISTED + 1))):
        for number in patients:
            folder = root / "dataset" / f"{part}_fixed" / f"{part}_{number}" / f"{part}_{number}_a"
            for reconstruction in (1, 2):  # of a whole chest, 240x240x256 mm
                file, seed = folder / f"{part}_{number}_a_{reconstruction}.nii.gz", number + 100 * (part == "valid")
                nifti(file, seed, -600, steps=(12.0, 10.0, 16.0))


def mrnet(root: Path) -> None:
    """https://stanfordmlgroup.github.io/competitions/mrnet/."""
    for part, exams in (("train", range(OTHERS)), ("valid", range(1130, 1130 + LISTED))):
        folder = root / "MRNet-v1.0" / part / "sagittal"
        folder.mkdir(parents=True)
        for exam in exams:
            np.save(folder / f"{exam:04d}.npy", blocks(exam, (17 + exam % 5, 32, 32)))


def fastmri(root: Path) -> None:
    """github.com/facebookresearch/fastMRI, fastmri/data/README.md."""
    h5py = pytest.importorskip("h5py", reason='needs the extra "public" (h5py)')
    for part, files in (("train", range(OTHERS)), ("val", range(OTHERS, PATIENTS)), ("test", range(99, 100))):
        folder = root / f"singlecoil_{part}"
        folder.mkdir(parents=True)
        for number in files:
            with h5py.File(folder / f"file{1000000 + number}.h5", "w") as opened:
                opened.attrs["patient_id"] = f"{number:064x}"
                opened["kspace"] = np.zeros((12, 40, 32), np.complex64)
                if part != "test":
                    target = blocks(number, (12, 32, 32)).astype(np.float32) * 1e-6
                    opened.attrs["max"], opened.attrs["norm"] = target.max(), np.linalg.norm(target)
                    opened["reconstruction_rss"], opened["reconstruction_esc"] = target, target


def acdc(root: Path) -> None:
    """github.com/mathpluscode/CineMA, cinema/data/acdc/README.md."""
    for part, patients in (("training", range(1, OTHERS + 1)), ("testing", range(101, 101 + LISTED))):
        for number in patients:
            for frame in (1, 12):
                stem = root / "database" / part / f"patient{number:03d}" / f"patient{number:03d}_frame{frame:02d}"
                nifti(stem.with_suffix(".nii.gz"), number * 20 + frame)
                nifti(stem.with_name(stem.name + "_gt.nii.gz"), 0)


def ixi(root: Path) -> None:
    """https://brain-development.org/ixi-dataset/."""
    for number in range(PATIENTS):
        nifti(root / "IXI-T1" / f"IXI{number:03d}-Guys-{700 + number:04d}-T1.nii.gz", number)


def oasis(root: Path) -> None:
    """OASIS-1 as its users describe it."""
    for number in range(1, PATIENTS + 1):
        for visit in (1, 2) if number < 4 else (1,):
            session = f"OAS1_{number:04d}_MR{visit}"
            folder = root / "disc1" / session / "PROCESSED" / "MPRAGE" / "T88_111"
            folder.mkdir(parents=True)
            values = blocks(number * 2 + visit, (20, 24, 16)).astype(np.int16)
            nibabel.save(
                nibabel.Spm2AnalyzeImage(values, np.diag([-1.0, 1.0, 1.0, 1.0])),
                folder / f"{session}_mpr_n4_anon_111_t88_masked_gfc.img",
            )


MAKERS: dict[str, Callable[[Path], None]] = {
    "chestxray14": chestxray14,
    "chexpert": chexpert,
    "mimic_cxr_jpg": mimic_cxr_jpg,
    **{name: medmnist(name) for name in ("chestmnist", "organmnist3d", "nodulemnist3d")},
    "lidc_idri": series("LIDC-IDRI"),
    "nlst": series("NLST"),
    "ct_rate": ct_rate,
    "mrnet": mrnet,
    "fastmri": fastmri,
    "acdc": acdc,
    "ixi": ixi,
    "oasis": oasis,
}


@pytest.fixture
def miniature(tmp_path: Path) -> Callable[[str], Path]:
    """Build the miniature of a source and give its folder."""

    def build(name: str) -> Path:
        root = tmp_path / name
        (decathlon(name) if name.startswith("decathlon") else MAKERS[name])(root)
        return root

    return build

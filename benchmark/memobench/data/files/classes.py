"""DICOM objects that carry pixels or places but are no picture of a patient: segmentations, doses, maps, documents."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from memobench.data.files.attributes import text

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NO_PICTURES = (  # PS3.4, B.5; a number stands for itself and for all that continue it
    *("66", "67"),  # raw data, registrations, segmentations, surfaces, tractography, real-world value mappings
    *("30", "68", "90", "4.2"),  # parametric maps, surface scans, content assessment, spectroscopy
    *(
        "8",
        "10",
        "11",
        "88",
        "104",
        "9",
        "129",
        "131",
    ),  # overlays, LUTs, presentation states, reports, documents, curves
    *("77.1.5.3", "77.1.5.8", "78", "79", "80", "81", "82", "91"),  # ophthalmic measurements and maps, annotations
    *("200", "201", "501", "601"),  # protocols, inventories, baggage, materials
)
_RADIOTHERAPY, _ITS_IMAGES = "481", ("481.1", "481.23", "481.24")
_MODALITIES = {
    "SEG": "a segmentation",
    "RTDOSE": "a dose",
    "RTSTRUCT": "structures",
    "RTPLAN": "a plan",
    "RTRECORD": "a treatment record",
    "PR": "a presentation state",
    "KO": "a list of key objects",
    "SR": "a report",
    "REG": "a registration",
    "RWV": "a value mapping",
    "DOC": "a document",
    "PLAN": "a plan",
    "FID": "fiducials",
    "SMR": "a stereometric relationship",
}


def no_picture(dataset: Dataset) -> str | None:
    """What an object is that is no picture of a patient, by its class or modality; None where it may be one."""
    uid = text(dataset, "SOPClassUID")
    if uid.startswith(_STORAGE):
        rest = uid.removeprefix(_STORAGE)
        therapy = _within(rest, _RADIOTHERAPY) and rest not in _ITS_IMAGES
        if therapy or any(_within(rest, one) for one in _NO_PICTURES):
            return UID(uid).name
    modality = text(dataset, "Modality").upper()
    return f"{_MODALITIES[modality]}, Modality {modality}" if modality in _MODALITIES else None


def _within(number: str, root: str) -> bool:
    return number == root or number.startswith(f"{root}.")

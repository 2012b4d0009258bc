"""MIMIC-CXR-JPG: files/p10/p10000032/s50414267/ID.jpg, with the tables of splits and metadata; frontal images only.

Layout and tables after PhysioNet, https://physionet.org/content/mimic-cxr-jpg/2.1.0 (mimic-cxr-2.0.0-split.csv.gz
with dicom_id, study_id, subject_id, split; mimic-cxr-2.0.0-metadata.csv.gz with dicom_id, ViewPosition). The metadata
table is optional; without it all views are taken. Patients: the abstract of MIMIC-CXR, from which these images come.
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import matching, read_raster, rows
from memobench.data.public._source import SOURCES, Record, Source


def records(root: Path) -> list[Record]:
    """The frontal (AP, PA) images that the table lists, with the official split."""
    # wget -r keeps the address as folders
    bases = [root, *matching(root, "physionet.org/files/mimic-cxr-jpg/*"), *matching(root, "mimic-cxr-jpg*")]
    base = next((one for one in bases if matching(one, "mimic-cxr-2.*-split.csv*")), root)
    before = "" if base == root else f"{base.relative_to(root).as_posix()}/"
    table, views = (next(iter(matching(base, f"mimic-cxr-2.*-{kind}.csv*")), None) for kind in ("split", "metadata"))
    if table is None:
        return []
    frontal = (
        {row["dicom_id"] for row in rows(views, "dicom_id", "ViewPosition") if row["ViewPosition"] in ("AP", "PA")}
        if views
        else None
    )
    found = []
    for row in rows(table, "dicom_id", "study_id", "subject_id", "split"):
        patient, image = f"p{row['subject_id']}", row["dicom_id"]
        file = f"{before}files/{patient[:3]}/{patient}/s{row['study_id']}/{image}.jpg"
        if frontal is None or image in frontal:
            found.append(Record((file,), patient, image, row["split"] == "test"))
    return found


SOURCE = SOURCES.register("mimic_cxr_jpg")(
    Source(
        name="mimic_cxr_jpg",
        title="MIMIC-CXR-JPG",
        modality="chest radiograph",
        dim=2,
        tasks=("xray",),
        patients="65,379",
        images="377,110, frontal ones are used",
        size="about 570 GB",
        licence="PhysioNet Credentialed Health Data License",
        licence_source="physionet.org/content/mimic-cxr-jpg/2.1.0: credentialed access; the licence's name as others "
        "cite it, its text was not opened",
        access="registration",
        citation="Johnson et al., MIMIC-CXR-JPG, PhysioNet 2024, doi:10.13026/jsn5-t979; arXiv:1901.07042",
        how_to_get="become a credentialed user of https://physionet.org, sign the agreement of mimic-cxr-jpg 2.1.0, "
        "and download files/ (or a part) and the tables.",
        stands_for="NIH ChestX-ray14",
        split="patient ids; the official test split gives test and fresh",
        records=records,
        read=read_raster,
    )
)

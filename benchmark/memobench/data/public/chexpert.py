"""CheXpert: train.csv and valid.csv, whose Path names the files; frontal images only.

Layout after the columns of the published tables (Path, Sex, Age, Frontal/Lateral, AP/PA, ...) and TensorFlow
Datasets' description of the folder. Path begins with the folder's own name (CheXpert-v1.0-small/train/...).
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import read_raster, rows
from memobench.data.public._source import SOURCES, Record, Source


def records(root: Path) -> list[Record]:
    """The frontal images that are there; the validation table stands for a test list."""
    folders = [root, *sorted(root.glob("CheXpert-v1.0*"))]
    folder = next((one for one in folders if (one / "train.csv").is_file()), None)
    if folder is None:
        return []
    found = []
    for table in ("train.csv", "valid.csv"):
        if not (folder / table).is_file():
            continue
        for row in rows(folder / table, "Path", "Frontal/Lateral"):
            name = row["Path"].partition("/")[2]
            if row["Frontal/Lateral"] == "Frontal" and (folder / name).is_file():
                file = (folder / name).relative_to(root).as_posix()
                found.append(Record((file,), name.split("/")[1], name, table == "valid.csv"))
    return found


SOURCE = SOURCES.register("chexpert")(
    Source(
        name="chexpert",
        title="CheXpert",
        modality="chest radiograph",
        dim=2,
        tasks=("xray",),
        patients="65,240",
        images="224,316, frontal ones are used",
        size="11 GB (small version)",
        licence="Stanford's CheXpert Dataset Research Use Agreement: no redistribution; the rest unknown",
        licence_source="tensorflow.org/datasets/catalog/chexpert: to be agreed to before the download; of its text one "
        "clause was read, as others quote it",
        access="registration",
        citation="Irvin et al., CheXpert, AAAI 2019, arXiv:1901.07031",
        how_to_get="register at https://stanfordmlgroup.github.io/competitions/chexpert/ and unpack the small version.",
        stands_for="NIH ChestX-ray14",
        split="patient ids; the validation table gives test and fresh",
        records=records,
        read=read_raster,
    )
)

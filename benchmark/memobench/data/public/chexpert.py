"""CheXpert: train.csv and valid.csv, whose Path names the files; frontal images only.

Layout after the columns of the published tables (Path, Sex, Age, Frontal/Lateral, AP/PA, ...) and TensorFlow
Datasets' description of the folder. Path begins with the folder's own name (CheXpert-v1.0-small/train/...). The parts
in which it is handed out now ("CheXpert-v1.0 batch 2 (train 1)" with the patients in it) are read side by side.
"""

from __future__ import annotations

import os
from pathlib import Path

from memobench.data.public._readers import read_raster, rows
from memobench.data.public._source import SOURCES, Record, Source


def records(root: Path) -> list[Record]:
    """The frontal images that the tables list; the validation table stands for a test list."""
    folders = [root, *sorted(one for one in root.glob("CheXpert*") if one.is_dir())]
    folder = next((one for one in folders if (one / "train.csv").is_file()), None)
    if folder is None:
        return []
    places = _patients(root, [folder, *folders])
    found = []
    for table in ("train.csv", "valid.csv"):
        if not (folder / table).is_file():
            continue
        for row in rows(folder / table, "Path", "Frontal/Lateral"):
            if row["Frontal/Lateral"] != "Frontal":
                continue
            name = row["Path"].partition("/")[2]
            part, patient, rest = name.split("/", 2)
            file = f"{places.get((part, patient)) or places.get(('', patient), name.removesuffix('/' + rest))}/{rest}"
            found.append(Record((file,), patient, name, table == "valid.csv"))
    return found


def _patients(root: Path, folders: list[Path]) -> dict[tuple[str, str], str]:
    """The folder of each patient, by the part ("train", "valid" or "" where it is not said) and the patient's name."""
    found: dict[tuple[str, str], str] = {}
    for folder in folders:
        for part in ("train", "valid", ""):
            place = folder / part
            if not place.is_dir():
                continue
            before = place.relative_to(root).as_posix()
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("patient") and entry.is_dir():
                        name = entry.name if before == "." else f"{before}/{entry.name}"
                        found.setdefault((part, entry.name), name)
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

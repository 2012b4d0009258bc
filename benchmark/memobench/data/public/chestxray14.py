"""NIH ChestX-ray14, the folder as NIH gives it: images_*/images/*.png, Data_Entry_2017*.csv, test_list.txt.

The layout is that of NIH's own README in the Box folder as mirrors repeat it (columns "Image Index", "Patient ID");
the README itself could not be opened here. A folder with all PNGs in images/ (as unpacked from the .tar.gz files) is
read too, and
so are the resized mirrors (images-224/images-224/).
"""

from __future__ import annotations

import os
from pathlib import Path

from memobench.data.public._readers import read_raster, rows
from memobench.data.public._source import SOURCES, Record, Source


def records(root: Path) -> list[Record]:
    """The images that the table lists, with the patient of the table and the official test list."""
    tables = sorted(root.glob("Data_Entry_2017*.csv"))
    if not tables:
        return []
    listed = root / "test_list.txt"
    test = set(listed.read_text().split()) if listed.is_file() else set()
    folders = [one for pattern in ("images*", "images*/images*") for one in root.glob(pattern) if one.is_dir()]
    files = {
        name: f"{folder.relative_to(root).as_posix()}/{name}"
        for folder in folders
        for name in os.listdir(folder)  # noqa: PTH208  (names are enough, and there are 112,120 of them)
        if name.endswith(".png") and not name.startswith(".")
    }
    return [
        Record((files.get(name, f"images/{name}"),), row["Patient ID"], name, name in test)
        for row in rows(tables[0], "Image Index", "Patient ID")
        for name in [row["Image Index"]]
    ]


SOURCE = SOURCES.register("chestxray14")(
    Source(
        name="chestxray14",
        title="NIH ChestX-ray14",
        modality="chest radiograph",
        dim=2,
        tasks=("xray",),
        patients="30,805",
        images="112,120",
        size="about 45 GB",
        licence="usage unrestricted; name and link NIH Clinical Center, cite the paper",
        licence_source="NIH's FAQ_CHESTXRAY.pdf, question 4, beside the images, as others quote it; so does "
        "cloud.google.com/healthcare-api/docs/resources/public-datasets/nih-chest",
        access="open",
        citation="Wang et al., ChestX-ray8, CVPR 2017, arXiv:1705.02315",
        how_to_get="download all images_*.tar.gz, Data_Entry_2017*.csv and test_list.txt from "
        "https://nihcc.app.box.com/v/ChestXray-NIHCC and unpack them side by side.",
        stands_for="NIH ChestX-ray14",
        split="patient ids; the official test list gives test and fresh",
        records=records,
        read=read_raster,
        shares=True,
    )
)

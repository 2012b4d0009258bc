"""ACDC: database/training/patient001/patient001_frame01.nii.gz, and the same in database/testing/.

Names after the listing in github.com/mathpluscode/CineMA, cinema/data/acdc/README.md. The two labelled frames (end of
diastole and of systole) are taken as two images of one patient; the 4D films and the labels (_gt) are not read.
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import inner, matching, read_nifti
from memobench.data.public._source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The frames of all patients; the folder testing/ is the test list."""
    folder, before = inner(root, "database")
    return [
        Record(
            (before + file.relative_to(folder).as_posix(),),
            file.parent.name,
            file.name.partition(".nii")[0],
            part == "testing",
        )
        for part in ("training", "testing")
        for file in matching(folder / part, "patient*/patient*_frame*.nii*")
        if "_gt.nii" not in file.name
    ]


SOURCE = SOURCES.register("acdc")(
    Source(
        name="acdc",
        title="ACDC",
        modality="cardiac MR, short axis",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="150",
        images="300",
        size="about 2 GB",
        licence="unknown (by redistributors CC BY-NC-SA 4.0)",
        licence_source="huggingface.co/datasets/YongchengYAO/ACDC, which links a licence in the publisher's data base, "
        "humanheart-project.creatis.insa-lyon.fr; that one was not opened",
        access="open",
        citation="Bernard et al., IEEE TMI 2018, doi:10.1109/TMI.2018.2837502",
        how_to_get="download acdc.zip from https://humanheart-project.creatis.insa-lyon.fr/database/ and unpack it.",
        stands_for="MRNet",
        split="patient ids; the official test folder gives test and fresh",
        records=records,
        read=read_nifti,
        recipe=Recipe(),
    )
)

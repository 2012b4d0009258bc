"""IXI, T1: IXI002-Guys-0828-T1.nii.gz and so on, side by side or in IXI-T1/.

The names (IXI, subject, hospital, number, contrast) are widely used; the publisher's page was not opened.
"""

from __future__ import annotations

from pathlib import Path

from memobench.sources.public._readers import inner, read_nifti
from memobench.sources.source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The T1 volumes, the subject before the first hyphen."""
    folder, before = inner(root, "IXI-T1")
    return [
        Record((before + file.name,), file.name.partition("-")[0], file.name[:-7])
        for file in sorted(folder.glob("IXI*-T1.nii.gz"))
    ]


SOURCE = SOURCES.register("ixi")(
    Source(
        name="ixi",
        title="IXI, T1",
        modality="brain MR, T1",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="about 580",
        images="about 580",
        size="about 4.5 GB",
        licence="CC BY-SA 3.0",
        licence_source="FLamby, flamby/datasets/fed_ixi/README.md, which quotes brain-development.org/ixi-dataset",
        access="open",
        citation="IXI data set, https://brain-development.org/ixi-dataset/",
        how_to_get="download IXI-T1.tar from https://brain-development.org/ixi-dataset/ and "
        "unpack it (the publisher gives no checksum).",
        stands_for="MRNet",
        split="a patient is a volume",
        records=records,
        read=read_nifti,
        recipe=Recipe(),
    )
)

"""IXI, T1: IXI002-Guys-0828-T1.nii.gz and so on, side by side or in IXI-T1/.

The names (IXI, subject, hospital, number, contrast) are widely used; the publisher's page was not opened. Of the T1
volumes torchio counts 581 (a comment in its torchio/datasets/ixi.py).
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import inner, matching, read_nifti
from memobench.data.public._source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The T1 volumes, the subject before the first hyphen."""
    folder, before = inner(root, "IXI-T1")
    return [
        Record((before + file.name,), file.name.partition("-")[0], file.name.partition(".nii")[0])
        for file in matching(folder, "IXI*-T1.nii*")
    ]


SOURCE = SOURCES.register("ixi")(
    Source(
        name="ixi",
        title="IXI, T1",
        modality="brain MR, T1",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="581",
        images="581",
        size="about 4.5 GB",
        licence="CC BY-SA 3.0",
        licence_source="torchio (torchio/datasets/ixi.py) and FLamby (fed_ixi/README.md), which both quote the "
        "publisher's page, brain-development.org/ixi-dataset; the page itself was not opened",
        access="open",
        citation="IXI data set, https://brain-development.org/ixi-dataset/",
        how_to_get="download IXI-T1.tar from https://brain-development.org/ixi-dataset/ and "
        "unpack it (the publisher gives no checksum).",
        stands_for="MRNet",
        split="a patient is a volume",
        records=records,
        read=read_nifti,
        recipe=Recipe(),
        shares=True,
    )
)

"""CT-RATE: dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz, as Hugging Face gives it.

Paths after the listings of huggingface.co/datasets/ibrahimhamamci/CT-RATE in derived data sets, licence and terms after
its card. The older folders train/ and valid/ hold values that are not rescaled to Hounsfield units and are not read. Of
the reconstructions of a scan (train_1_a_1, train_1_a_2) the first is taken.
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import matching, read_nifti
from memobench.data.public._source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The first reconstruction of each scan; the validation folder stands for a test list."""
    found = []
    for part in ("train", "valid"):
        for file in matching(root, f"dataset/{part}_fixed/{part}_*/{part}_*/{part}_*_1.nii.gz"):
            scan = file.parent.name
            found.append(Record((file.relative_to(root).as_posix(),), file.parts[-3], scan, part == "valid"))
    return found


SOURCE = SOURCES.register("ct_rate")(
    Source(
        name="ct_rate",
        title="CT-RATE",
        modality="chest CT",
        dim=3,
        tasks=("ct", "ct2d"),
        patients="21,304",
        images="25,692 scans",
        size="over 10 TB, a part will do",
        licence="CC BY-NC-SA 4.0",
        licence_source="the publisher's card, huggingface.co/datasets/ibrahimhamamci/CT-RATE (README.md); its terms of "
        "access also forbid redistribution and re-identification",
        access="registration",
        citation="Hamamci et al., arXiv:2403.17834",
        how_to_get="accept the terms at https://huggingface.co/datasets/ibrahimhamamci/CT-RATE and "
        "download a part of dataset/train_fixed and dataset/valid_fixed with huggingface-cli.",
        stands_for="PCCTA (private CT)",
        split="patient ids; the validation folder gives test and fresh",
        records=records,
        read=read_nifti,
        recipe=Recipe(window=(-1000, 400), field_mm=256),
    )
)

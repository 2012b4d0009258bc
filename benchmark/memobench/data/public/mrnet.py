"""MRNet knee MR, sagittal: train/sagittal/0000.npy, valid/sagittal/*.npy, each (slices, 256, 256).

Counts after stanfordmlgroup.github.io/competitions/mrnet. Which exams are of one patient is not published (1,130 exams
of 1,088 patients for training), so each exam stands as a patient. The study rescales each volume by its minimum and
maximum; here its percentiles count, as everywhere. Its 32x256x256 becomes the task's shape.
"""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._readers import matching, read_array
from memobench.data.public._source import SOURCES, Recipe, Record, Source


def records(root: Path) -> list[Record]:
    """The sagittal series of the training and the validation exams."""
    folder = next((one for one in (root, root / "MRNet-v1.0") if (one / "train" / "sagittal").is_dir()), None)
    if folder is None:
        return []
    return [
        Record((file.relative_to(root).as_posix(),), file.stem, file.stem, part == "valid")
        for part in ("train", "valid")
        for file in matching(folder / part / "sagittal", "*.npy")
    ]


SOURCE = SOURCES.register("mrnet")(
    Source(
        name="mrnet",
        title="MRNet",
        modality="knee MR, sagittal",
        dim=3,
        tasks=("mr", "mr2d"),
        patients="1,199 of the 1,250 public exams, ids not published",
        images="1,250",
        size="about 6 GB",
        licence="unknown (Stanford's MRNet Dataset Research Use Agreement, agreed to on registration)",
        licence_source="stanfordmlgroup.github.io/competitions/mrnet; what was read of it holds no terms",
        access="registration",
        citation="Bien et al., PLOS Medicine 2018, doi:10.1371/journal.pmed.1002699",
        how_to_get="register at https://stanfordmlgroup.github.io/competitions/mrnet/ and unpack MRNet-v1.0.",
        stands_for="MRNet",
        split="an exam stands as a patient; the validation exams give test and fresh",
        records=records,
        read=read_array,
        recipe=Recipe(),
    )
)

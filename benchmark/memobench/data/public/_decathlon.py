"""What the sources of the Medical Segmentation Decathlon share: dataset.json, imagesTr/ and imagesTs/*.nii.gz.

Layout, addresses and checksums: monai.apps.DecathlonDataset. Licence: http://medicaldecathlon.com. The numbers of
labelled volumes are those of dataset.json; where the publisher's page counts otherwise the source says so. Labels are
not read, so the images of imagesTs, whose labels are secret, are used like the others. Of volumes with several channels
(BrainTumour, Prostate) the first is taken; that it is FLAIR and T2 is what dataset.json's "modality" says.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from memobench.base.errors import DataError
from memobench.data.public._readers import inner, read_nifti
from memobench.data.public._source import SOURCES, Download, Recipe, Record, Source

_MIRROR = "https://msd-for-monai.s3-us-west-2.amazonaws.com"


def records(root: Path, folder: str, halves: bool) -> list[Record]:
    """The volumes that dataset.json lists.

    Args:
        root: The task's folder, or the one in which it lies.
        folder: The task's folder as published, for example "Task09_Spleen".
        halves: Volumes 2k-1 and 2k belong to one subject.

    Raises:
        DataError: dataset.json is not the publisher's.
    """
    task, before = inner(root, folder)
    table = task / "dataset.json"
    if not table.is_file():
        return []
    try:
        about = json.loads(table.read_text(encoding="utf-8"))
        names = [entry["image"] for entry in about["training"]] + list(about.get("test", []))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{table} is not the publisher's ({error}); unpack it again") from error
    found = []
    for name in names:
        name = name.removeprefix("./")
        file = task / name
        if not file.resolve().is_relative_to(task.resolve()):
            raise DataError(f"{table} lists {name}, which leaves its folder; unpack it again")
        scan = file.name.removesuffix(".gz").removesuffix(".nii")
        if not file.is_file() and file.with_suffix("").is_file():  # unpacked .nii.gz
            name = name.removesuffix(".gz")
        found.append(Record((before + name,), subject(scan) if halves else scan, scan))
    return found


def subject(scan: str) -> str:
    """The subject of a volume where two in a row are the two sides of one.

    >>> subject("hippocampus_003"), subject("hippocampus_004"), subject("hippocampus_005")
    ('hippocampus_s002', 'hippocampus_s002', 'hippocampus_s003')
    """
    stem, _, number = scan.rpartition("_")
    return f"{stem}_s{(int(number) + 1) // 2:03d}"


def decathlon(  # noqa: PLR0913  a data set's publisher, layout and recipe
    name: str,
    folder: str,
    modality: str,
    tasks: tuple[str, ...],
    labelled: int,
    size: str,
    md5: str,
    window: tuple[float, float] | None,
    stands_for: str,
    halves: bool = False,
) -> Source:
    """Register a task of the Decathlon."""
    return SOURCES.register(name)(
        Source(
            name=name,
            title=f"Medical Segmentation Decathlon, {folder}",
            modality=modality,
            dim=3,
            tasks=tasks,
            patients="pairs of volumes, very probably" if halves else "one per volume",
            images=f"{labelled} with labels, and those of imagesTs",
            size=size,
            licence="CC BY-SA 4.0",
            licence_source="the publisher's page, medicaldecathlon.com, under Data",
            access="open",
            citation="Antonelli et al., Nature Communications 2022; Simpson et al., arXiv:1902.09063",
            how_to_get=f"download {folder}.tar from http://medicaldecathlon.com and unpack it.",
            stands_for=stands_for,
            split="a subject is two volumes" if halves else "a patient is a volume",
            records=partial(records, folder=folder, halves=halves),
            read=read_nifti,
            recipe=Recipe(window=window),
            shares=True,
            downloads=(Download(f"{_MIRROR}/{folder}.tar", md5, unpack=True),),
        )
    )

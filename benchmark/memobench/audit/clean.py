"""The cleaned set: the synthetic files that are not left out, unchanged, and nothing else.

The list of those that are left out names real patients, so it stands among the confidential files.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memobench.audit.results import AuditedImage
from memobench.base.errors import DataError, MemobenchError
from memobench.base.store import writing_into

LIST = "left_out.csv"
MARK = "confidential_do_not_hand_on"  # last column of each table, so that its first line says so


@dataclass(frozen=True)
class Sorted:
    """The synthetic files, kept or left out.

    Attributes:
        kept: Files that may be handed on as far as this audit can tell.
        left_out: For each other file, the image that is the reason.
    """

    kept: tuple[str, ...]
    left_out: dict[str, AuditedImage]


@dataclass(frozen=True)
class Cleaned:
    """How many files were kept and left out."""

    kept: int
    left_out: int


def plain_cell(text: str) -> str:
    """A name for a table, with a quote before it where a spreadsheet would take it for a formula and run it.

    >>> plain_cell("=HYPERLINK(1).png"), plain_cell("a, b.png")
    ("'=HYPERLINK(1).png", 'a, b.png')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def check_target(target: Path, sources: Sequence[Path]) -> None:
    """Refuse a folder that holds something, or that lies in a folder that is read.

    Raises:
        DataError: It is not empty, or lies within the synthetic or real images.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"--clean {target} is not an empty folder; give a new one")
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise DataError(f"--clean {target} lies within {source}, which is read; give a folder elsewhere")


def sort_files(images: Sequence[AuditedImage], files: Sequence[tuple[str, ...]]) -> Sorted:
    """Which files are kept: those of which no image is left out. A file of several frames falls with one of them.

    Args:
        images: The audited images.
        files: For each, the files that it was read from.
    """
    reasons: dict[str, AuditedImage] = {}
    for image, own in zip(images, files, strict=True):
        if image.left_out is not None:
            for file in own:
                if file not in reasons or image.strength > reasons[file].strength:
                    reasons[file] = image
    return Sorted(tuple(sorted({file for own in files for file in own} - reasons.keys())), reasons)


def write_clean(target: Path, root: Path, sorted_files: Sorted) -> Cleaned:
    """Copy the files that are kept, byte for byte, under their own names; no other file is written.

    Args:
        target: Where to; made here.
        root: Folder of the synthetic images.
        sorted_files: From :func:`sort_files`.
    """
    with writing_into(target):
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted_files.kept:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            if (target / file).exists():  # the folder was empty
                raise MemobenchError(
                    f"{target} cannot hold {file} beside another file whose name differs in case alone; choose a "
                    "folder for --clean on a disk that tells them apart, or rename one"
                )
            shutil.copyfile(root / file, target / file)
    return Cleaned(len(sorted_files.kept), len(sorted_files.left_out))


def left_out_csv(sorted_files: Sorted) -> str:
    """The files that are left out and why, the strongest match first; confidential."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "reason", "score", "matched_training_image", MARK])
    reasons = sorted_files.left_out
    for file in sorted(reasons, key=lambda name: -reasons[name].strength):
        image = reasons[file]
        score = "" if image.score is None else f"{image.score:.3f}"
        writer.writerow([plain_cell(file), plain_cell(image.left_out or ""), score, plain_cell(image.match or ""), ""])
    return text.getvalue()

"""The cleaned set: the synthetic files that are not left out, unchanged, and a list of those that are."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memobench.audit.results import AuditedImage
from memobench.base.errors import DataError
from memobench.base.store import writing_into

LIST = "left_out.csv"


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


def write_clean(target: Path, root: Path, images: Sequence[AuditedImage], files: Sequence[tuple[str, ...]]) -> Cleaned:
    """Copy the files that are safe at the stated rate, byte for byte, under their own names.

    A file of several frames is left out when one of them is. ``left_out.csv`` says what was left out and why.

    Args:
        target: Where to; made here.
        root: Folder of the synthetic images.
        images: The audited images.
        files: For each, the files under ``root`` that it was read from.
    """
    reasons: dict[str, AuditedImage] = {}
    for image, own in zip(images, files, strict=True):
        if image.left_out:
            for file in own:
                if file not in reasons or image.strength > reasons[file].strength:
                    reasons[file] = image
    kept = sorted({file for own in files for file in own} - reasons.keys())
    with writing_into(target):
        target.mkdir(parents=True, exist_ok=True)
        for file in kept:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target / file)
        with (target / LIST).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(["file", "reason", "score", "matched_training_image"])
            for file in sorted(reasons, key=lambda name: -reasons[name].strength):
                image = reasons[file]
                reason = f"copy of patient {image.copy_of}" if image.copy_of else "too like a training image"
                writer.writerow([plain_cell(file), reason, f"{image.strength:.3f}", plain_cell(image.match or "")])
    return Cleaned(len(kept), len(reasons))

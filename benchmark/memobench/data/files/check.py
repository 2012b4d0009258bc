"""The preflight of a folder, in words: ``bench data check``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from memobench.base.progress import silent
from memobench.data.files.inspect import Inspection, Track, survey
from memobench.data.files.limits import MAX_IMAGE_GIB
from memobench.data.files.walk import counted, shown

_SHAPES = 5


def check_folder(
    root: Path,
    *,
    dim: int | None = None,
    patient_regex: str | None = None,
    skip_unreadable: bool = False,
    max_image_gib: float = MAX_IMAGE_GIB,
    track: Track = silent,
) -> tuple[str, bool]:
    """Look at a folder and say what is in it.

    Args:
        root: The folder.
        dim: 2 or 3; None for the dimension of most files.
        patient_regex: Finds the patient in a relative path.
        skip_unreadable: Whether files that cannot be used are tolerated as long as others can.
        max_image_gib: A file that declares more pixels is refused.
        track: Shows progress.

    Returns:
        The text, and whether the folder can be used as it is.

    Raises:
        UsageError: The dimension or the pattern is wrong.
        DataError: There is no folder, or nothing in it that could be an image.
    """
    found = survey(root, dim=dim, patient_regex=patient_regex, max_image_gib=max_image_gib, track=track)
    return check_text(found), bool(found.items) and (skip_unreadable or not found.unreadable)


def check_text(found: Inspection) -> str:
    """What a folder holds, line by line: images, patients, shapes, values, notes, and every file that is no use."""
    words = ("image", "images") if found.dim == 2 else ("volume", "volumes")
    patients = len({item.patient for item in found.items})
    scans = len({(item.patient, item.scan) for item in found.items})
    root = found.given or shown(str(found.root))
    lines = [
        f"{root}: {counted(len(found.items), *words)} ({found.dim}D), "
        f"{counted(patients, 'patient', 'patients')}, {counted(scans, 'scan', 'scans')}",
        f"Patients: from {shown(found.how)}" if found.patients_known else f"Patients: {found.how}",
    ]
    if found.items:
        lines.append(f"Shapes: {_shapes(found)}")
    lines += [f"Values: {one.count} {one.kind}, {one.low:g} to {one.high:g}, {one.scaling}" for one in found.found]
    lines += [f"Note: {note}" for note in found.notes]
    if found.unreadable:
        lines.append(
            f"Cannot be used ({counted(len(found.unreadable), 'file', 'files')}; --skip-unreadable goes on without):"
        )
        lines += [f"  {shown(file)} {reason}" for file, reason in found.unreadable]
    return "\n".join(lines)


def _shapes(found: Inspection) -> str:
    counts = Counter(item.shape for item in found.items)
    if len(counts) <= _SHAPES:
        return ", ".join(f"{'x'.join(map(str, shape))} ({count})" for shape, count in counts.most_common())
    sides = np.array([item.shape for item in found.items])
    low, middle, high = sides.min(axis=0), np.median(sides, axis=0).astype(int), sides.max(axis=0)
    return f"{len(counts)} different, from {_by(low)} to {_by(high)}, median {_by(middle)}"


def _by(sides: np.ndarray) -> str:
    return "x".join(map(str, sides.tolist()))

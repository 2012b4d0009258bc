"""The test files that pydicom and nibabel ship, read: a table of what is read, what is refused and why.

``python tests/.../test_shipped.py`` prints it. What is read is compared with pydicom's own arrays and with nibabel's.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from memobench.data.files import decode as reader
from memobench.data.files.kinds import kind_of
from memobench.data.files.picture import Unreadable
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

LIMIT = 2**31


def files() -> list[Path]:
    """Every file below the packages' folders of test data that is there."""
    roots = (Path(pydicom.__file__).parent / "data" / "test_files", Path(nibabel.__file__).parent / "tests" / "data")
    return sorted(file for root in roots if root.is_dir() for file in root.rglob("*") if file.is_file())


def outcome(file: Path) -> tuple[str, str]:
    """("read", what), ("refused", why), ("passed over", "") or ("wrong", what differs)."""
    try:
        kind = kind_of(file)
        head = reader.header(file, LIMIT)
        if head is None:
            return "passed over", "an index"
        dim = 3 if len(head.shape) == 3 else 2
        frames = [None] if head.frames == 1 else list(range(min(head.frames, 3)))
        seen = [reader.read([file], frame, dim, LIMIT).values for frame in frames]
    except Unreadable as error:
        return "refused", str(error)
    for frame, values in zip(frames, seen, strict=True):
        if kind == "DICOM":
            theirs = _by_pydicom(file, frame or 0)
        elif kind == "NIfTI":
            theirs = _by_nibabel(file)
        else:
            continue
        if not np.allclose(np.sort(values.ravel()), np.sort(theirs.ravel()), atol=1e-3, equal_nan=True):
            return "wrong", f"values differ from the library's in frame {frame}"
    return "read", f"{kind} {'x'.join(map(str, head.shape))}, {head.frames} of them"


def _by_pydicom(file: Path, frame: int) -> np.ndarray:
    dataset = pydicom.dcmread(file, force=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if dataset.original_encoding[0] else pydicom.uid.ExplicitVRLittleEndian
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    values = dataset.pixel_array[frame] if frames > 1 else dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        return np.asarray(values[..., :3].astype(float) @ np.array([0.299, 0.587, 0.114]))
    return np.asarray(apply_modality_lut(values, dataset))


def _by_nibabel(file: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(file).dataobj)


def table() -> list[tuple[str, str, str]]:
    """(file, outcome, what) of all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(file.name, *outcome(file)) for file in files()]


def test_none_of_the_files_that_the_libraries_ship_is_read_wrongly() -> None:
    rows = table()
    if len(rows) < 50:
        pytest.skip("pydicom and nibabel are installed without their test files")
    counts = Counter(what for _, what, _ in rows)
    assert not [row for row in rows if row[1] == "wrong"]
    assert counts["read"] >= 40
    assert all(why and "\n" not in why for _, what, why in rows if what == "refused")


if __name__ == "__main__":
    rows = table()
    for name, what, why in rows:
        sys.stdout.write(f"{name:48} {what:11} {why[:110]}\n")
    for word in ("read", "refused", "passed over", "wrong"):
        sys.stdout.write(f"{word}: {sum(what == word for _, what, _ in rows)}\n")

"""Damaged files: flipped bytes, cut ends, changed lengths; each is read, or refused with a reason, and nothing else.

The test mutates 1,000 files. ``python tests/.../test_mutated.py 10000`` mutates as many as asked and prints a table.
"""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.data.files.decode import decode, examine
from memobench.data.files.inspect import survey
from memobench.data.files.picture import Unreadable
from memobench.data.files.series import parts
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

LIMIT = 2**28  # bytes of pixels: far more than any of the valid files has
SLOW = 30.0  # seconds, on a machine that does other things too; a hang has no end
CHECKED = ("png", "npz", "nii.gz", "zip", "tar", "tar.gz")  # carry checksums: what is read must be what was written


def _plane(seed: int, shape: tuple[int, ...] = (40, 48)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 1, side) for side in shape], indexing="ij")
    field = sum(np.sin(axis * rng.uniform(2, 9) + rng.uniform(0, 6)) for axis in axes)
    return (np.asarray(field + 3) * 40).astype(np.uint8)


def _dicom(values: np.ndarray, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID("1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = CTImageStorage, UID("1.2.3"), "P1"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth = 1, -1024, 100, 4000
    dataset.PixelData = (values.astype(np.uint16) * 10).tobytes()
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def valid_files() -> dict[str, bytes]:
    """One valid file of every kind, by the ending that says which."""
    plane, volume = _plane(0), _plane(1, (6, 20, 24))
    found = {}
    for name, form, options in (
        ("png", "PNG", {}),
        ("jpg", "JPEG", {"quality": 90}),
        ("raw.tif", "TIFF", {}),
        ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
    ):
        stream = io.BytesIO()
        Image.fromarray(plane).save(stream, form, **options)
        found[name] = stream.getvalue()
    stream = io.BytesIO()
    pages = [Image.fromarray(page) for page in volume]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    found["pages.tif"] = stream.getvalue()
    for name, save in (("npy", np.save), ("npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, plane)
        found[name] = stream.getvalue()
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    found["nii"] = nibabel.Nifti1Image(volume.T.astype(np.int16), affine).to_bytes()
    found["nii.gz"] = gzip.compress(found["nii"])
    found["dcm"] = _dicom(plane)
    found["frames.dcm"] = _dicom(volume)
    found["rle.dcm"] = _dicom(plane, RLELossless)
    found["dfl.dcm"] = _dicom(plane, DeflatedExplicitVRLittleEndian)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", found["npy"])
    found["zip.npz"] = stream.getvalue()
    members = {f"set/{index}.png": _png(_plane(index)) for index in range(3)}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    found["zip"] = stream.getvalue()
    for form in ("tar", "tar.gz"):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz" if form == "tar.gz" else "w") as packed:
            for name, content in members.items():
                about = tarfile.TarInfo(name)
                about.size = len(content)
                packed.addfile(about, io.BytesIO(content))
        found[form] = stream.getvalue()
    return found


def _png(plane: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(plane).save(stream, "PNG")
    return stream.getvalue()


def mutate(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A damaged copy, and what was done to it."""
    data = bytearray(content)
    kind = str(rng.choice(["flip", "header", "cut", "length", "zeros", "doubled", "swap"]))
    if kind == "cut":
        return bytes(data[: rng.integers(0, len(data))]), kind
    if kind == "doubled":
        start = int(rng.integers(0, len(data)))
        return bytes(data[:start] + data[start : start + 64] + data[start:]), kind
    if kind == "zeros":
        start = int(rng.integers(0, len(data)))
        data[start : start + 512] = bytes(len(data[start : start + 512]))
    elif kind == "length":  # a number of 2, 4 or 8 bytes that is far too large, or negative
        start = int(rng.integers(0, min(len(data), 700)))
        width = int(rng.choice([2, 4, 8]))
        data[start : start + width] = bytes(rng.choice([0x00, 0x01, 0x7F, 0xFF], width).tolist())
    elif kind == "swap":
        start = int(rng.integers(0, max(len(data) - 16, 1)))
        data[start : start + 16] = data[start : start + 16][::-1]
    else:
        end = len(data) if kind == "flip" else min(len(data), 700)
        for place in rng.integers(0, end, int(rng.integers(1, 6))):
            data[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(data), kind


def look(file: Path) -> list[np.ndarray] | str:
    """The pixels of all images or volumes of a file, as ``bench data check`` reads them; or why there are none."""
    try:
        if file.suffix in (".zip", ".tar", ".gz") and not file.name.endswith(".nii.gz"):
            found = survey(file)
            if found.unreadable:
                return found.unreadable[0][1]
            return [
                decode([found.root / one for one in item.files], item.frame, found.dim).pixels for item in found.items
            ]
        head, single = examine(file, LIMIT)
        if head is None:
            return "an index"
        if single is not None:
            return single if isinstance(single, str) else [single.pixels]
        dim = head.dim if head.batch or len(head.shape) == 3 else 3 if head.frames > 1 else 2
        pieces, other, _ = parts({file.name: head}, dim)
        if other:
            return next(iter(other.values()))
        return [decode([file], piece.frame, dim, LIMIT).pixels for piece in pieces]
    except (Unreadable, DataError) as error:
        return str(error)


def fuzz(count: int, seed: int, folder: Path) -> tuple[Counter[tuple[str, str]], list[str], float]:
    """Mutate and look.

    Returns:
        How many of each kind were read as they were, read otherwise, and refused; what went wrong; the longest time.
    """
    rng = np.random.default_rng(seed)
    contents = valid_files()
    truth = {}
    for name, content in contents.items():
        file = folder / f"valid.{name}"
        file.write_bytes(content)
        seen = look(file)
        assert not isinstance(seen, str), f"{name}: {seen}"
        truth[name] = seen
    names, tally, wrong, longest = list(contents), Counter[tuple[str, str]](), [], 0.0
    for index in range(count):
        name = names[index % len(names)]
        content, kind = mutate(contents[name], rng)
        file = folder / f"{index}.{name}"
        file.write_bytes(content)
        start = time.perf_counter()
        try:
            seen = look(file)
        except BaseException as error:
            wrong.append(f"{file.name} ({kind}): {type(error).__name__}: {error}")
            continue
        finally:
            longest = max(longest, time.perf_counter() - start)
        if isinstance(seen, str):
            tally[name, "refused"] += 1
            if "\n" in seen or not seen.strip():
                wrong.append(f"{file.name} ({kind}): a reason on several lines, or none")
            file.unlink()
            continue
        same = sorted(one.tobytes() for one in seen) == sorted(one.tobytes() for one in truth[name])
        tally[name, "as it was" if same else "otherwise"] += 1
        cut = kind == "cut" and not name.endswith("jpg") and len(content) < len(contents[name]) - 1
        if not same and (name.endswith(CHECKED) or cut):
            wrong.append(f"{file.name} ({kind}): read with other pixels, though the damage can be seen")
        else:
            file.unlink()
    return tally, wrong, longest


def test_a_thousand_damaged_files(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tally, wrong, longest = fuzz(1000, 0, tmp_path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    assert not wrong, wrong[:5]
    assert sum(tally.values()) == 1000
    assert sum(count for (_, what), count in tally.items() if what == "refused") > 300
    assert longest < SLOW
    assert grown < 2**30


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, faults, slowest = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1, Path(scratch))
        for (kind, what), number in sorted(found.items()):
            sys.stdout.write(f"{kind:12} {what:10} {number}\n")
        sys.stdout.write(f"wrong: {len(faults)}, slowest {slowest:.2f} s\n")
        sys.stdout.writelines(f"{fault}\n" for fault in faults[:40])

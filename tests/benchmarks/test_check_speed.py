"""``bench data check`` against a plain loop over the same decoders, and its memory.

    pytest tests/benchmarks/test_check_speed.py -s

writes 400 generated files of each kind (MEMOBENCH_BENCHMARK_SIZE=20000 is the published run, and
MEMOBENCH_BENCHMARK_SIDE their side in pixels, 256) and prints the ratio of the speeds, which should not be below 0.6.
Both sides run in the order plain, check, check, plain, so that a machine that is busy with other work slows both
alike; the processor times ("busy", of all threads) are what such work disturbs least. That the memory kept for each
file stays below 1 kB is asserted; times are not.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from memobench.data.files.inspect import survey
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

FILES = int(os.environ.get("MEMOBENCH_BENCHMARK_SIZE", "400"))
SIDE = int(os.environ.get("MEMOBENCH_BENCHMARK_SIDE", "256"))
KEPT = 1000  # bytes per file


def _picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (SIDE // 16, SIDE // 16), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _write_dicom(file: Path, seed: int, *, placed: bool) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = (
        CTImageStorage,
        meta.MediaStorageSOPInstanceUID,
        "CT",
    )
    series = f"1.2.{seed // 20}" if placed else generate_uid()
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"P{seed // 20}", series, series
    dataset.Rows, dataset.Columns = SIDE, SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth = 1, -1024, 40, 400
    if placed:
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 2.0 * (seed % 20)], [1, 0, 0, 0, 1, 0]
    dataset.PixelData = (_picture(seed).astype(np.uint16) * 8).tobytes()
    dataset.save_as(file, enforce_file_format=True)


WRITE: dict[str, Callable[[Path, int], None]] = {
    "png": lambda file, seed: Image.fromarray(_picture(seed)).save(file, "PNG"),
    "jpeg": lambda file, seed: Image.fromarray(_picture(seed)).save(file, "JPEG"),
    "dicom": lambda file, seed: _write_dicom(file, seed, placed=False),
    "dicom series": lambda file, seed: _write_dicom(file, seed, placed=True),
}


def _pillow(file: Path) -> None:
    with Image.open(file) as image:
        np.asarray(image)


PLAIN: dict[str, Callable[[Path], object]] = {
    "png": _pillow,
    "jpeg": _pillow,
    "dicom": lambda file: pydicom.dcmread(file).pixel_array,
    "dicom series": lambda file: pydicom.dcmread(file).pixel_array,
}


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


@pytest.mark.parametrize("kind", WRITE)
def test_a_folder_is_checked_nearly_as_fast_as_it_is_decoded(kind: str, tmp_path: Path) -> None:
    for seed in range(FILES):
        WRITE[kind](tmp_path / f"{seed:06d}", seed)
    files = sorted(tmp_path.iterdir())

    def plain() -> None:
        for file in files:
            PLAIN[kind](file)

    def check() -> None:
        assert not survey(tmp_path).unreadable

    check()
    runs = [_timed(work) for work in (plain, check, check, plain)]
    ratios = [(runs[0][clock] + runs[3][clock]) / (runs[1][clock] + runs[2][clock]) for clock in (0, 1)]
    speed = 2 * FILES / (runs[1][0] + runs[2][0])
    said = f"{speed:.0f} files/s, {ratios[0]:.2f} of the plain loop's speed (busy: {ratios[1]:.2f})"

    tracemalloc.start()
    found = survey(tmp_path)
    kept = tracemalloc.get_traced_memory()[0] / FILES
    tracemalloc.stop()
    sys.stdout.write(f"\n{kind}: {said}, {kept:.0f} bytes are kept for each file\n")
    assert found.items
    assert kept < KEPT

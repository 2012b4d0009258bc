"""The same images in every format, depth and transfer syntax: the same pixels, to the bit where numbers allow it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from memobench.challenge.perturb import perturb
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.prepare import prepare
from memobench.images import Images
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder, get_encoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
Write = Callable[[Path, NDArray[np.uint8]], None]


@pytest.fixture
def writers(save_dicom: Save, save_nifti: Save) -> dict[str, Write]:
    """How each format takes an image of 8 bit: deeper, in other units, big endian, inverted, through a window."""

    def png(file: Path, values: NDArray[np.uint8]) -> None:
        Image.fromarray(values).save(file.with_suffix(".png"))

    def png16(file: Path, values: NDArray[np.uint8]) -> None:
        Image.fromarray(values.astype(np.uint16) * 257).save(file.with_suffix(".png"))

    def tiff16(file: Path, values: NDArray[np.uint8]) -> None:
        Image.fromarray(values.astype(np.uint16) * 257).save(file.with_suffix(".tif"))

    def tiff_float(file: Path, values: NDArray[np.uint8]) -> None:
        Image.fromarray(values.astype(np.float32) / 255).save(file.with_suffix(".tif"))

    def dicom_12_bit(file: Path, values: NDArray[np.uint8]) -> None:
        units = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1, "RescaleIntercept": -1024}
        save_dicom(file.with_suffix(".dcm"), values.astype(np.uint16) * 16, **units)

    def dicom_window(file: Path, values: NDArray[np.uint8]) -> None:
        window = {"WindowCenter": 1024, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
        save_dicom(file.with_suffix(".dcm"), values.astype(np.int16) * 12 - 1000, **window)

    def dicom_inverted(file: Path, values: NDArray[np.uint8]) -> None:
        save_dicom(file.with_suffix(".dcm"), 255 - values, PhotometricInterpretation="MONOCHROME1")

    def nifti_integer(file: Path, values: NDArray[np.uint8]) -> None:
        save_nifti(file.with_suffix(".nii"), values.astype(np.int16) * 9 - 1000)

    def nifti_float(file: Path, values: NDArray[np.uint8]) -> None:
        save_nifti(file.with_suffix(".nii.gz"), values.astype(np.float32))

    def numpy_float(file: Path, values: NDArray[np.uint8]) -> None:
        np.save(file.with_suffix(".npy"), values / 255)

    found = [png, png16, tiff16, tiff_float, dicom_12_bit, dicom_window, dicom_inverted]
    return {write.__name__: write for write in [*found, nifti_integer, nifti_float, numpy_float]}


def _read(root: Path) -> NDArray[np.float32]:
    return prepare(inspect_folder(root), (32, 24)).pixels


@pytest.fixture
def dull(draw: Draw) -> list[NDArray[np.uint8]]:
    """Images that neither reach black nor white, which no rule may guess to be whole ranges."""
    return [(draw(seed=seed) // 2 + 30).astype(np.uint8) for seed in range(3)]


def test_every_format_gives_the_same_pixels(
    tmp_path: Path, dull: list[NDArray[np.uint8]], writers: dict[str, Write]
) -> None:
    read = {}
    for name, write in writers.items():
        (tmp_path / name).mkdir()
        for number, values in enumerate(dull):
            write(tmp_path / name / f"{number}", values)
        read[name] = _read(tmp_path / name)
    assert len(read) == 10
    for name, pixels in read.items():
        # floating point of 32 bit and windows round before they are scaled
        error = 2e-6 if name in ("tiff_float", "dicom_window") else 0
        assert np.abs(pixels - read["png"]).max() <= error, name


def test_a_volume_of_every_format_gives_the_same_voxels(
    tmp_path: Path, draw: Draw, save_dicom: Save, save_nifti: Save, save_series: Callable[..., list[str]]
) -> None:
    volume = (draw((10, 20, 16)) // 2 + 30).astype(np.uint8)
    save_series(tmp_path, volume.astype(np.int16) * 4 - 1000, "slice")
    save_dicom(tmp_path / "frames", volume)
    save_nifti(tmp_path / "a.nii", volume.astype(np.int16) * 3)
    save_nifti(tmp_path / "b.nii.gz", volume.astype(np.float32))
    np.savez_compressed(tmp_path / "a.npz", volume.astype(np.uint16) * 257)
    first, *rest = [Image.fromarray(page.astype(np.uint16) * 257) for page in volume]
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    images = prepare(inspect_folder(tmp_path, dim=3), (16, 16, 16))
    assert len(images) == 6
    assert np.array_equal(images.pixels, np.broadcast_to(images.pixels[:1], images.pixels.shape))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
)
def test_every_transfer_syntax_gives_the_same_pixels(
    tmp_path: Path, dull: list[NDArray[np.uint8]], save_dicom: Save, syntax: UID, depth: int
) -> None:
    values = dull[0] if depth == 8 else dull[0].astype(np.uint16) * 257
    (tmp_path / "plain").mkdir()
    plain = save_dicom(tmp_path / "plain" / "a.dcm", values)
    other = tmp_path / "other" / "a.dcm"
    other.parent.mkdir()
    dataset = pydicom.dcmread(plain)
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        if not get_decoder(syntax).is_available or not get_encoder(syntax).is_available:
            pytest.skip(f"no installed handler writes and reads {syntax.name}")
        dataset.compress(syntax)
        dataset.save_as(other)
    else:
        _save_encoded(dataset, other, syntax)
    assert pydicom.dcmread(other).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(_read(other.parent), _read(plain.parent))


def _save_encoded(dataset: Dataset, file: Path, syntax: UID) -> None:
    if syntax == ExplicitVRBigEndian:
        width = dataset.BitsAllocated // 8
        dataset.PixelData = np.frombuffer(dataset.PixelData, f"<u{width}").astype(f">u{width}").tobytes()
        dataset["PixelData"].VR = "OB" if width == 1 else "OW"
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        *(file, dataset),
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=True,
    )


def _audit_sets() -> dict[str, Sequence[NDArray[np.uint8]]]:
    """Made-up patients: train, holdout, and a synthetic set of which a quarter are copies of train."""
    coarse = np.random.default_rng(5).random((78, 8, 8)).astype(np.float32)
    pixels = coarse.repeat(4, axis=1).repeat(4, axis=2) * 0.6 + 0.2
    copies = np.concatenate([perturb(pixels[k : k + 1], "gamma", "weak", seed=k) for k in range(10)])
    sets = {"train": pixels[:24], "holdout": pixels[24:48], "synthetic": np.concatenate([pixels[48:], copies])}
    return {name: np.rint(images * 255).clip(0, 255).astype(np.uint8) for name, images in sets.items()}


def _write_sets(root: Path, write: Write) -> None:
    for name, images in _audit_sets().items():
        (root / name).mkdir(parents=True)
        rows = []
        for number, values in enumerate(images):
            write(root / name / f"{number:02d}", values)
        for number, file in enumerate(sorted(path.name for path in (root / name).iterdir())):
            rows.append([file, f"{name} {number:02d}", f"{number:02d}"])
        with (root / name / "manifest.csv").open("w", newline="") as handle:
            csv.writer(handle).writerows([["file", "patient_id", "scan_id"], *rows])


@pytest.mark.smoke
def test_the_sets_of_an_audit_are_the_same_images(tmp_path: Path, writers: dict[str, Write]) -> None:
    digests: dict[str, set[str]] = {name: set() for name in _audit_sets()}
    for kind in ("png", "tiff16", "dicom_12_bit", "nifti_integer"):
        _write_sets(tmp_path / kind, writers[kind])
        for name, found in digests.items():
            images: Images = prepare(inspect_folder(tmp_path / kind / name), (32, 32))
            assert len(images) == (40 if name == "synthetic" else 24)
            found.add(images.digest)
    assert all(len(found) == 1 for found in digests.values())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_format_gives_the_same_verdict(
    tmp_path: Path, writers: dict[str, Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    from memobench.audit.run import audit_folders
    from memobench.audit.settings import AuditSettings

    results = []
    for kind in ("png", "tiff16", "dicom_12_bit", "nifti_integer"):
        _write_sets(tmp_path / kind, writers[kind])
        folders = [tmp_path / kind / name for name in ("synthetic", "train", "holdout")]
        settings = AuditSettings(*folders, size=32, preset="smoke", out=tmp_path / f"{kind}-audit")
        results.append(audit_folders(settings).result)
    first = results[0]
    assert first.decision.word == "do not release"
    for other in results[1:]:
        names = re.compile(r"(\d+)(\.\w+)+")  # the files' endings differ, and nothing else
        assert names.sub(r"\1", other.decision.sentence) == names.sub(r"\1", first.decision.sentence)
        assert (other.decision.word, other.decision.reasons) == (first.decision.word, first.decision.reasons)
        assert other.guarantee == first.guarantee
        assert (other.counts, other.affected, other.metrics) == (first.counts, first.affected, first.metrics)
        assert [one.copy_of for one in other.images] == [one.copy_of for one in first.images]

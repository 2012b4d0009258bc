from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from memobench.data.files.kinds import kind_of
from memobench.data.files.picture import Unreadable
from PIL import Image


@pytest.mark.parametrize("style", ["PNG", "JPEG", "TIFF"])
def test_the_content_counts_and_not_the_name(tmp_path: Path, style: str) -> None:
    file = tmp_path / "image.txt"
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(file, format=style)
    assert kind_of(file) == style


def test_arrays_dicom_and_nifti(
    tmp_path: Path, draw: Callable[..., np.ndarray], save_dicom: Callable[..., Path], save_nifti: Callable[..., Path]
) -> None:
    np.save(tmp_path / "a.npy", draw())
    np.savez(tmp_path / "a.npz", draw())
    assert kind_of(tmp_path / "a.npy") == "NPY"
    assert kind_of(tmp_path / "a.npz") == "NPZ"
    assert kind_of(save_dicom(tmp_path / "no ending", draw())) == "DICOM"
    assert kind_of(save_nifti(tmp_path / "a.nii", draw())) == "NIfTI"
    assert kind_of(save_nifti(tmp_path / "a.nii.gz", draw())) == "NIfTI"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"MZ\x90\0" + b"\0" * 400, "is a program for Windows, not an image"),
        (b"\x7fELF" + b"\0" * 400, "is a program for Linux"),
        (b"#!/bin/sh\nrm -r .\n", "is a script"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"<!doctype html><img src=x>", "is a text with markup"),
        (b"\x80\x04\x95", "is a pickle, which is never loaded"),
        (b"PK\x03\x04" + b"\0" * 60, "is a ZIP archive"),
        (b"PK\x03\x04" + b"\0" * 26 + b"archive/data.pkl" + b"\0" * 60, "is a PyTorch file, a pickle, which is never"),
        (b"\x40" + b"\0" * 7 + b'{"images":{}}', "is a safetensors file; PNG"),
        (b"\x1f\x8b\x08" + b"\0" * 60, "is compressed, or NIfTI under another name"),
        (b"MZ" + b"\0" * 126 + b"DICM" + b"\0" * 60, "is DICOM behind the beginning of a program"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS .* git lfs pull$"),
        (b"/annex/objects/MD5E-s5--ab.png", "is a pointer of git-annex"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 60, "is a HEIC image"),
        (b"\0\0\0\x18ftypavif" + b"\0" * 60, "is an AVIF image"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 60, "is a film"),
        (b"ObjectType = Image\n", "is a MetaImage volume"),
        (b"\xff\x4f\xff\x51" + b"\0" * 60, "is a JPEG 2000 image"),
        (b"nothing in particular", "no image of a known kind; PNG, JPEG"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "scan.png"
    file.write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        kind_of(file)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a.mgz", "FreeSurfer"), ("a.dcm.gz", r"unpack it \(gunzip\)"), ("a.img.gz", "one of a pair")],
)
def test_what_is_compressed_is_called_what_it_is(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"anything"))
    with pytest.raises(Unreadable, match=reason):
        kind_of(tmp_path / name)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.AnalyzeImage, nibabel.Nifti2Pair])
def test_both_files_of_a_pair_say_what_to_do(tmp_path: Path, kind: Any) -> None:
    nibabel.save(kind(np.ones((4, 5, 6), dtype=np.int16), np.eye(4)), tmp_path / "a.img")
    for ending in ("img", "hdr"):
        with pytest.raises(Unreadable, match=r"pair of \.hdr and \.img.* save each volume as one \.nii file"):
            kind_of(tmp_path / f"a.{ending}")

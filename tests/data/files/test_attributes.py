"""Optional attributes that are empty or odd count as missing; the picture is read, and the odd ones are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from memobench.data.files.attributes import number, odd, vector, whole
from memobench.data.files.decode import decode, header, read
from memobench.data.files.inspect import survey
from memobench.data.files.picture import Unreadable
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def test_a_picture_that_says_it_holds_text_is_noted(draw: Draw, save_dicom: Save, tmp_path: Path) -> None:
    for name, said in (("a", "YES"), ("b", "NO"), ("c", "")):
        save_dicom(tmp_path / f"{name}.dcm", draw().astype(np.uint16), BurnedInAnnotation=said, PatientID=name)
    notes = survey(tmp_path).notes
    assert [note for note in notes if "BurnedIn" in note] == [
        "BurnedInAnnotation is YES, so a name or a number may stand in the picture itself, in 1 file (such as a.dcm)"
    ]


def _with_bytes(file: Path, name: str, vr: str, value: bytes) -> None:
    """Put an element with these very bytes into a file."""
    dataset = pydicom.dcmread(file)
    value += b" " * (len(value) % 2)
    tag = Tag(name)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    dataset.save_as(file)


@pytest.mark.parametrize(
    ("name", "vr", "value"),
    [
        ("RescaleSlope", "DS", b""),
        ("RescaleSlope", "DS", b"1,0"),
        ("RescaleSlope", "DS", b"0"),
        ("RescaleIntercept", "DS", b""),
        ("RescaleIntercept", "DS", b"none"),
        ("WindowCenter", "DS", b"400,5"),
        ("WindowWidth", "DS", b"auto"),
        ("WindowWidth", "DS", b"0"),
        ("WindowWidth", "DS", b"-5"),
        ("InstanceNumber", "IS", b"A1"),
        ("InstanceNumber", "IS", b"12.5"),
        ("NumberOfFrames", "IS", b""),
        ("NumberOfFrames", "IS", b"0"),
        ("NumberOfFrames", "IS", b"many"),
        ("ImagePositionPatient", "DS", b"1,5\\2,5\\3,5"),
        ("ImagePositionPatient", "DS", b"1\\2"),
        ("ImageOrientationPatient", "DS", b"1\\0\\x\\0\\1\\0"),
    ],
)
def test_an_odd_value_counts_as_missing(
    tmp_path: Path, draw: Draw, save_dicom: Save, name: str, vr: str, value: bytes
) -> None:
    plain = save_dicom(tmp_path / "plain.dcm", draw())
    file = save_dicom(tmp_path / "odd.dcm", draw())
    _with_bytes(file, name, vr, value)
    head = header(file)
    assert head
    assert head.odd == (name,)
    assert np.array_equal(decode([file], None, 2).pixels, decode([plain], None, 2).pixels)
    assert any(
        f"{name} is empty or cannot be read in 1 file (such as odd.dcm)" in note for note in survey(tmp_path).notes
    )


def test_a_window_in_units_that_are_not_known_is_not_used(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw(), WindowCenter=50, WindowWidth=20)
    assert read([file], None, 2).window is not None
    _with_bytes(file, "RescaleIntercept", "DS", b"-1024,0")
    assert read([file], None, 2).window is None


def test_a_volume_needs_one_unit(tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]]) -> None:
    names = save_series(tmp_path, draw((9, 12, 10)).astype(np.int16), RescaleSlope=2, RescaleIntercept=0)
    _with_bytes(tmp_path / names[4], "RescaleSlope", "DS", b"2,0")
    reasons = [reason for _, reason in survey(tmp_path).unreadable]
    assert len(reasons) == 9
    assert "RescaleSlope or RescaleIntercept of some slices cannot be read" in reasons[0]


@pytest.mark.parametrize(
    "name",
    ["BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"],
)
def test_what_every_picture_needs_is_demanded(tmp_path: Path, draw: Draw, save_dicom: Save, name: str) -> None:
    file = save_dicom(tmp_path / "a", draw())
    dataset = pydicom.dcmread(file)
    delattr(dataset, name)
    dataset.save_as(file)
    with pytest.raises(Unreadable, match=f"lacks {name}"):
        header(file)


def test_lower_case_is_read(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    inverted = save_dicom(tmp_path / "a", draw(), PhotometricInterpretation="MONOCHROME1")
    lower = save_dicom(tmp_path / "b", draw())
    _with_bytes(lower, "PhotometricInterpretation", "CS", b"monochrome1")
    assert np.array_equal(decode([inverted], None, 2).pixels, decode([lower], None, 2).pixels)


@pytest.mark.parametrize(("value", "expected"), [([40, 80], 40.0), (None, None), ([], None)])
def test_the_first_number(value: Any, expected: float | None) -> None:
    dataset = Dataset()
    dataset.WindowCenter = value
    assert number(dataset, "WindowCenter") == expected
    assert vector(dataset, "RescaleSlope") is None
    assert whole(dataset, "InstanceNumber") is None
    assert odd(dataset) == (() if expected else ("WindowCenter",))


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("ModalityLUTSequence", {}),
        ("ModalityLUTSequence", {"LUTDescriptor": [4, 0, 16]}),
        ("VOILUTSequence", {}),
        ("VOILUTSequence", {"LUTDescriptor": [4, 0, 16]}),
    ],
)
def test_a_table_that_is_none_counts_as_missing(
    tmp_path: Path, draw: Draw, save_dicom: Save, name: str, item: dict[str, Any]
) -> None:
    empty = Dataset()
    for attribute, value in item.items():
        setattr(empty, attribute, value)
    window = {"WindowCenter": 90, "WindowWidth": 100} if name == "VOILUTSequence" else {}
    file = save_dicom(tmp_path / "a.dcm", draw(), **window, **{name: [empty]})
    plain = save_dicom(tmp_path / "b.dcm", draw(), **window)
    assert np.array_equal(decode([file], None, 2).pixels, decode([plain], None, 2).pixels)
    assert decode([file], None, 2).scaling == decode([plain], None, 2).scaling
    head = header(file)
    assert head
    assert head.odd == (name,)


def test_an_unknown_function_is_noted_and_counts_as_linear(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    window = {"WindowCenter": 90, "WindowWidth": 100}
    file = save_dicom(tmp_path / "a.dcm", draw(), **window, VOILUTFunction="SIGMOIDAL")
    plain = save_dicom(tmp_path / "b.dcm", draw(), **window)
    assert np.array_equal(decode([file], None, 2).pixels, decode([plain], None, 2).pixels)
    head = header(file)
    assert head
    assert head.odd == ("VOILUTFunction",)

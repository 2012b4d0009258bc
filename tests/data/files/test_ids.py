"""Ids that mean one person, ids that look as if they did, and numbers that are no stand-ins."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from memobench.audit.agreement import check_apart, identity_notes
from memobench.base.errors import DataError
from memobench.data.files.ids import likeness, lookalikes, respelt, spelling
from memobench.data.files.inspect import survey
from memobench.data.files.patients import owners
from memobench.data.files.picture import Header
from memobench.data.manifest import Manifest
from memobench.images import Images
from PIL import Image

COMPOSED = "Müller-1"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize("other", [DECOMPOSED, "müller-1", "MÜLLER-1 ", "Mü ller-1"])
def test_one_id_in_several_spellings_is_one_person(other: str) -> None:
    assert spelling(other) == spelling(COMPOSED)
    canon, notes = respelt([COMPOSED, other])
    assert len(set(canon.values())) == 1
    assert "spelt in several ways" in notes[0]


@pytest.mark.parametrize(("one", "other"), [("007", "7"), ("P07", "p7"), ("7.0", "7"), ("a-01-002", "A-1-2")])
def test_what_tables_do_to_numbers_is_noted_and_not_joined(one: str, other: str) -> None:
    assert likeness(one) == likeness(other)
    assert spelling(one) != spelling(other)
    assert "differ only in leading zeros or .0" in lookalikes([one, other, "x"])[0]


@pytest.mark.parametrize(("one", "other"), [("1.5", "15"), ("10", "1"), ("P1", "Q1"), ("0.07", "0.7"), ("1.05", "1.5")])
def test_different_numbers_do_not_look_like_one(one: str, other: str) -> None:
    assert likeness(one) != likeness(other)
    assert not lookalikes([one, other])


def _manifest(ids: list[str]) -> tuple[dict[str, Header], Manifest]:
    root = Path("root")
    names = [f"{k}.png" for k in range(len(ids))]
    return dict.fromkeys(names, Header((8, 8))), Manifest(
        root, tuple(root / name for name in names), tuple(ids), tuple(names)
    )


def test_a_manifest_is_read_as_dicom_is() -> None:
    found = owners(*_manifest([COMPOSED, DECOMPOSED, "nan", "nan", "7", "07"]), None)
    assert len(set(found.patient.values())) == 5  # two for the scans that nobody is named for
    text = " ".join(found.notes)
    for words in ("spelt in several ways", "2 lines of manifest.csv have a stand-in", "leading zeros"):
        assert words in text


def test_numbers_among_numbers_are_no_stand_ins() -> None:
    plain = [f"{k}" for k in range(9, 34)]  # 11, 22 and 33 among them
    found = owners(*_manifest(plain), None)
    assert sorted(set(found.patient.values())) == sorted(plain)
    assert not found.notes
    headers = {f"{k}.dcm": Header((8, 8), patient=one, study=str(k)) for k, one in enumerate(plain[:5])}
    assert not any("stand-in" in note for note in owners(headers, None, None).notes)
    lone = {f"{k}.dcm": Header((8, 8), patient=one, study=str(k)) for k, one in enumerate(["9999", "9999", "P7"])}
    assert any("stand-in" in note for note in owners(lone, None, None).notes)


def test_folders_in_two_forms_of_unicode_are_one_patient(tmp_path: Path) -> None:
    for k, name in enumerate((COMPOSED, DECOMPOSED, "x-2")):
        (tmp_path / name).mkdir()
        Image.fromarray(np.arange(k, k + 64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / name / "a.png")
    found = survey(tmp_path)
    assert found.guessed
    assert len({item.patient for item in found.items}) == 2


def test_a_table_that_is_not_read_is_noted(tmp_path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("image;patient_id\na.png;1\n")
    assert any("metadata.csv has a column of patients and was not read" in note for note in survey(tmp_path).notes)


def _images(ids: list[str], seed: int) -> Images:
    pixels = np.random.default_rng(seed).random((len(ids), 8, 8), dtype=np.float32)
    return Images(pixels, np.array(ids), np.array(ids))


def test_a_patient_of_both_sides_is_found_in_any_spelling() -> None:
    train, holdout = _images([COMPOSED, "b"], 0), _images([DECOMPOSED, "c"], 1)
    with pytest.raises(DataError, match=r"1 patient stands in train and in holdout .* in train .* manifest\.csv"):
        check_apart(train, holdout)
    assert not identity_notes(train, _images(["c"], 2))
    assert "differ only in leading zeros" in identity_notes(_images(["007"], 0), _images(["7"], 1))[0]

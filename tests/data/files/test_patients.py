from __future__ import annotations

from pathlib import Path

import pytest
from memobench.base.errors import DataError, UsageError
from memobench.data.files.patients import by_pattern, owners
from memobench.data.files.picture import Header
from memobench.data.folder import Manifest

PLAIN = Header((8, 8))


def test_a_manifest_comes_first() -> None:
    manifest = Manifest(Path("r"), (Path("r/a/1.png"), Path("r/2.png")), ("p", "q"), ("s", "t"))
    headers = {"a/1.png": Header((8, 8), patient="x"), "2.png": Header((8, 8), patient="y")}
    found = owners(headers, manifest, "(.)")
    assert found.patient == {"a/1.png": "p", "2.png": "q"}
    assert found.scan == {"a/1.png": "s", "2.png": "t"}
    assert found.known
    assert any("--patient-regex was not used" in note for note in found.notes)


def test_a_pattern_comes_before_dicom() -> None:
    headers = {"p1/x": Header((8, 8), patient="anonymous"), "p2/x": Header((8, 8), patient="anonymous")}
    assert owners(headers, None, "(p[0-9])").patient == {"p1/x": "p1", "p2/x": "p2"}


def test_dicom_ids_come_before_folders() -> None:
    headers = {"a/1": Header((8, 8), patient="x", study="1.2"), "b/2": Header((8, 8), patient="x"), "b/3": PLAIN}
    found = owners(headers, None, None)
    assert found.patient == {"a/1": "x", "b/2": "x", "b/3": "b/3"}
    assert found.scan == {"a/1": "1.2", "b/2": "b/2", "b/3": "b/3"}
    assert found.how == "DICOM PatientID"
    assert any("1 file has no PatientID" in note for note in found.notes)


def test_one_id_for_all_is_remarked() -> None:
    found = owners({name: Header((8, 8), patient="anon") for name in "ab"}, None, None)
    assert any("the same PatientID" in note for note in found.notes)


def test_sub_folders_where_they_hold_everything() -> None:
    found = owners(dict.fromkeys(["p1/1.png", "p1/x/2.png", "p2/1.png"], PLAIN), None, None)
    assert found.patient == {"p1/1.png": "p1", "p1/x/2.png": "p1", "p2/1.png": "p2"}
    assert found.known


@pytest.mark.parametrize("files", [["a/1.png", "b/1.png", "c.png"], ["a/1.png", "a/2.png"], ["1.png"]])
def test_otherwise_each_file_is_a_patient(files: list[str]) -> None:
    found = owners(dict.fromkeys(files, PLAIN), None, None)
    assert found.patient == {file: file for file in files}
    assert not found.known


def test_the_named_group_counts() -> None:
    assert by_pattern(["2020_p7.png"], "([0-9]+)_(?P<patient>p[0-9])") == {"2020_p7.png": "p7"}


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("(", UsageError, "is no regular expression"),
        ("p[0-9]", UsageError, "has no group"),
        ("(p[0-9])", DataError, "finds no patient in 1 of 2 file names, such as x.png; widen it"),
    ],
)
def test_a_wrong_pattern(pattern: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        by_pattern(["p1.png", "x.png"], pattern)

from __future__ import annotations

import pytest
from memobench.data.files.guess import bids, folders, pattern, plausible
from memobench.data.files.patients import owners, stand_in
from memobench.data.files.picture import Header
from memobench.data.files.places import Place

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PLAIN = Header((8, 8))


@pytest.mark.parametrize(
    "names",
    [
        {"COVID", "NORMAL"},
        {"train", "test"},
        {"left", "right"},
        {"train", "val", "patient1"},
        {"fold1", "fold2"},
        {"0", "1", "2", "3", "4"},
        {"T1", "T2"},
        {"covid_19", "viral_pneumonia"},
        {"benign", "malignant"},
        {"images_001", "images_002"},
        {"apple", "pear"},
    ],
)
def test_classes_splits_sides_and_sequences_are_no_patients(names: set[str]) -> None:
    assert not plausible(names)
    files = [f"{name}/{index}.png" for name in names for index in range(3)]
    found = owners(dict.fromkeys(files, PLAIN), None, None)
    assert not found.known
    assert set(found.patient.values()) == set(files)


@pytest.mark.parametrize(
    "names",
    [{"P01", "P02"}, {"LIDC-IDRI-0001", "LIDC-IDRI-0002"}, {"12", "13"}, {f"family{chr(97 + k)}" for k in range(26)}],
)
def test_folders_that_may_be_patients_are_a_guess_with_examples(names: set[str]) -> None:
    files = sorted(f"{name}/{index}.png" for name in names for index in range(3))
    found = owners(dict.fromkeys(files, PLAIN), None, None)
    assert found.known
    assert found.guessed
    assert set(found.patient.values()) == names
    assert found.how.startswith("a guess from first-level sub-folders (")
    assert found.how.count(" is of ") == min(3, len(names))
    assert any("a guess from folder names" in note for note in found.notes)


def test_patients_below_classes() -> None:
    files = ["train/p01/a.png", "train/p02/a.png", "test/p03/a.png"]
    level, patient = folders(files) or (None, {})
    assert level == 1
    assert patient == {"train/p01/a.png": "p01", "train/p02/a.png": "p02", "test/p03/a.png": "p03"}


def test_bids_names_subjects_and_sessions() -> None:
    files = ["sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"]
    found = owners(dict.fromkeys(files, PLAIN), None, None)
    assert list(found.patient.values()) == ["sub-01", "sub-02"]
    assert list(found.scan.values()) == ["ses-a", files[1]]
    assert not found.guessed
    assert bids([*files, "README"]) is None


def test_a_pattern_is_suggested_and_not_applied() -> None:
    files = ["00002237_000.png", "00002237_001.png", "00002238_000.png"]
    found = owners(dict.fromkeys(files, PLAIN), None, None)
    assert not found.known
    (note,) = found.notes
    assert "ids of 2 patients" in note
    suggested = pattern(files)
    assert suggested
    assert f'--patient-regex "{suggested}"' in note
    assert len(set(owners(dict.fromkeys(files, PLAIN), None, suggested).patient.values())) == 2
    assert pattern(["a.png", "b.png"]) is None


def _slices(patient: list[str], study: str, series: str) -> dict[str, Header]:
    return {
        f"{series}/{index}": Header(
            (8, 8),
            patient=one,
            study=study,
            series=series,
            places=(Place((0.0, 0.0, 2.0 * index), AXIAL, index, f"{series}.{index}"),),
        )
        for index, one in enumerate(patient)
    }


def test_a_series_is_one_patient_whatever_its_files_say() -> None:
    first, second = ([f"ANON{k + start}" for k in range(9)] for start in (0, 50))
    headers = _slices(first, "1", "1.1") | _slices(second, "2", "2.1")
    found = owners(headers, None, None)
    assert len(set(found.patient.values())) == 2
    assert any("carry different PatientIDs (2 series" in note for note in found.notes)


def test_an_id_that_two_series_share_joins_them() -> None:
    headers = _slices(["A"] * 8 + ["B"], "1", "1.1") | _slices(["B"] * 9, "2", "2.1") | _slices(["C"] * 9, "3", "3.1")
    assert set(owners(headers, None, None).patient.values()) == {"A", "C"}


def test_uids_that_all_share_are_stand_ins() -> None:
    headers = {}
    for patient in range(8):
        for file, head in _slices([f"P{patient}"] * 9, "1", "1.1").items():
            headers[f"{patient}/{file}"] = head
    found = owners(headers, None, None)
    assert len(set(found.patient.values())) == 8
    assert any("shared by more than 5 PatientIDs" in note for note in found.notes)


@pytest.mark.parametrize("word", ["ANONYMOUS", "", "unknown", "0000"])
def test_a_stand_in_names_nobody(word: str) -> None:
    assert stand_in(word)
    headers = {}
    for study in range(6):
        one = "P1" if study == 0 else word
        headers |= _slices([one] * 3, str(study), f"{study}.1")
    found = owners(headers, None, None)
    assert len(set(found.patient.values())) == 6
    assert any("each study counts as a patient of its own" in note for note in found.notes)


def test_one_id_with_many_studies_is_noted() -> None:
    headers: dict[str, Header] = {}
    for study in range(14):
        headers |= _slices(["12345" if study % 2 else f"P{study}"] * 3, str(study), f"{study}.1")
    assert any("PatientID 12345 has 7 studies, others 1" in note for note in owners(headers, None, None).notes)


def test_spellings_of_one_id_are_one_patient() -> None:
    headers = _slices(["P3"] * 3, "1", "1.1") | _slices(["p3"] * 3, "2", "2.1") | _slices(["P 3"] * 3, "3", "3.1")
    found = owners(headers, None, None)
    assert len(set(found.patient.values())) == 1
    assert any("spelt in several ways" in note for note in found.notes)


@pytest.mark.parametrize(
    "names", [{"2015", "2016"}, {"subset0", "subset1"}, {"visit1", "visit2"}, {"siemens3", "ge15"}, {"seed0", "seed1"}]
)
def test_years_parts_and_machines_are_no_patients(names: set[str]) -> None:
    assert not plausible(names)


def test_a_few_strays_do_not_hide_the_subjects() -> None:
    files = [f"sub-{k // 2:02d}/anat/sub-{k // 2:02d}_run-{k % 2}_T1w.nii.gz" for k in range(20)]
    found = bids([*files, "atlas.nii.gz"])
    assert found
    assert len({subject for subject, _ in found.values()}) == 11
    assert found["atlas.nii.gz"] == ("atlas.nii.gz", "")

"""Whose image each file is: from a manifest, a pattern, DICOM, BIDS, a guess from sub-folders, or nowhere."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from memobench.base.errors import DataError, UsageError
from memobench.data.files import guess
from memobench.data.files.ids import lookalikes, respelt
from memobench.data.files.picture import Header
from memobench.data.files.series import by_series
from memobench.data.files.walk import counted, shown
from memobench.data.manifest import Manifest

NONE = "nowhere: every file counts as a patient of its own"
_STAND_INS = {
    *("anonymous", "anonymized", "anonymised", "anon", "deidentified", "de-identified", "removed", "redacted"),
    *("unknown", "none", "null", "nan", "n/a", "na", "nil", "missing", "not available", "not specified", "default"),
    *("patient", "patientid", "patient id", "test", "dummy", "noid", "no id", "no_id", "id", "subject", "xxx", "xxxx"),
}
_CROWDED = 5  # studies of one id where others have few; and ids of one study
_EXAMPLES = 3


@dataclass(frozen=True)
class Owners:
    """The patient and the scan of each file.

    Attributes:
        patient: By file.
        scan: By file.
        known: False where every file counts as a patient of its own.
        how: In words, where the ids come from.
        notes: What the reader should know of them.
        guessed: Whether that is a guess, from names alone.
        by_image: Whether the images of a batch in one file are patients of their own.
    """

    patient: dict[str, str]
    scan: dict[str, str]
    known: bool
    how: str
    notes: tuple[str, ...] = ()
    guessed: bool = False
    by_image: bool = True


def owners(headers: Mapping[str, Header], manifest: Manifest | None, pattern: str | None) -> Owners:
    """Find the ids of files, from the first of these that there is.

    1. ``manifest.csv`` (``file``, ``patient_id``, optionally ``scan_id``);
    2. the pattern that was asked for: its group ``patient``, or its first group, in the relative path;
    3. DICOM PatientID, where at least one file has one; the scan is the StudyInstanceUID;
    4. ``sub-...`` in the paths (BIDS), the scan is ``ses-...``;
    5. sub-folders that plausibly are patients (see :mod:`memobench.data.files.guess`), which is a guess;
    6. none: each file is a patient.

    A scan is the file where nothing else says what it is.

    Args:
        headers: Of every file, by its path relative to the root.
        manifest: Where there is one, it lists all these files.
        pattern: A regular expression.

    Raises:
        UsageError: The pattern is no regular expression, or has no group.
        DataError: The pattern does not fit a file.
    """
    files = list(headers)
    scan = {file: head.study or file for file, head in headers.items()}
    if manifest:
        names = [file.relative_to(manifest.root).as_posix() for file in manifest.files]
        notes = ("--patient-regex was not used, because there is a manifest.csv",) if pattern else ()
        scans = dict(zip(names, manifest.scans, strict=True))
        patient, about = _of_manifest(dict(zip(names, manifest.patients, strict=True)), scans)
        return Owners(patient, scans, True, "manifest.csv", (*notes, *about), by_image=False)
    if pattern:
        patient, about = _in_one_way(by_pattern(files, pattern))
        return Owners(patient, scan, True, f"the pattern {pattern} on file names", about, by_image=False)
    if any(head.patient for head in headers.values()):
        patient, about = _of_dicom(headers)
        return Owners(patient, scan, True, "DICOM PatientID", about)
    if subjects := guess.bids(files):
        sessions = {file: session or scan[file] for file, (_, session) in subjects.items()}
        patient, about = _in_one_way({file: subject for file, (subject, _) in subjects.items()})
        return Owners(patient, sessions, True, "sub-... in the paths (BIDS)", about)
    if folders := guess.folders(files):
        level, (patient, about) = folders[0], _in_one_way(folders[1])
        shown_names = "; ".join(f"{shown(file)} is of {shown(patient[file])}" for file in _spread(patient))
        how = f"a guess from {guess.ORDINALS[level]}-level sub-folders ({shown_names})"
        notes = ("patients are a guess from folder names; give --patient-regex or a manifest.csv if it is wrong",)
        return Owners(patient, scan, True, how, (*notes, *about), guessed=True)
    suggested = guess.pattern(files)
    about_names: tuple[str, ...] = ()
    if suggested:
        count = len(set(by_pattern(files, suggested).values()))
        about_names = (
            f"file names look like ids of {count} patients ({shown(files[0])}); if they are, give --patient-regex "
            f'"{suggested}"',
        )
    return Owners({file: file for file in files}, scan, False, NONE, about_names)


def _in_one_way(patient: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The patient of each file with one spelling for each person, and notes on ids that are or may be the same."""
    canon, notes = respelt(patient.values())
    return {file: canon[one] for file, one in patient.items()}, (*notes, *lookalikes(canon.values()))


def _of_manifest(patient: Mapping[str, str], scan: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """As :func:`_in_one_way`; where an id is a stand-in each scan is a patient of its own."""
    none = _stand_ins(patient.values())
    words = Counter(one for one in patient.values() if one in none)
    named = {one for one in patient.values() if one not in words}
    if not words or not named:  # a manifest of nothing but 000 and 111 means them
        return _in_one_way(patient)
    known, notes = _in_one_way({file: one for file, one in patient.items() if one not in words})
    found = {file: known.get(file, f"scan {scan[file]}") for file in patient}
    note = (
        counted(sum(words.values()), "line of manifest.csv has", "lines of manifest.csv have")
        + f" a stand-in as patient_id "
        f"({', '.join(map(shown, sorted(words)[:3]))}); each scan counts as a patient of its own"
    )
    return found, (note, *notes)


def _spread(patient: Mapping[str, str]) -> list[str]:
    """Files of as many patients as examples are shown."""
    first: dict[str, str] = {}
    for file, whose in patient.items():
        first.setdefault(whose, file)
    return list(first.values())[:_EXAMPLES]


def stand_in(patient: str) -> bool:
    """Whether an id is none: empty, words such as ANONYMOUS and no others, or one sign repeated.

    >>> stand_in("ANONYMOUS"), stand_in("Anonymized^Patient"), stand_in("00000"), stand_in("P07"), stand_in("Patient 7")
    (True, True, True, False, False)
    """
    plain = patient.strip().casefold()
    if not plain or plain in _STAND_INS or (len(plain) > 1 and len(set(plain)) == 1 and not plain.isalpha()):
        return True
    words = re.split(r"[^\w]+|_", plain)
    return all(word in _STAND_INS for word in words if word) and any(words)


def _stand_ins(patients: Iterable[str]) -> set[str]:
    """The ids that are none, unless they are numbers among numbers: 11 where there is a 10 or a 12.

    >>> sorted(_stand_ins(["10", "11", "9999", "ANON"]))
    ['9999', 'ANON']
    """
    every = set(patients)

    def counted(one: str) -> bool:
        return one.isdecimal() and any(str(int(one) + step).zfill(len(one)) in every for step in (-1, 1))

    return {one for one in every if stand_in(one) and not counted(one)}


def _of_dicom(headers: Mapping[str, Header]) -> tuple[dict[str, str], tuple[str, ...]]:  # noqa: C901  one pass from ids to patients; each odd thing is noted where it is seen
    """The patient of each file: its PatientID, made consistent within series and studies; and what was odd."""
    notes = []
    none = _stand_ins(head.patient for head in headers.values())
    ids = {file: "" if head.patient in none else head.patient for file, head in headers.items()}
    absent = [file for file, head in headers.items() if not head.patient]
    words = Counter(head.patient for head in headers.values() if head.patient and head.patient in none)
    if set(words) == {head.patient for head in headers.values()} and len(words) == 1 and len(headers) > 1:
        notes.append("all files have the same PatientID; if that is a stand-in, give --patient-regex")
    if words:
        notes.append(
            counted(sum(words.values()), "file carries", "files carry")
            + f" a stand-in as PatientID ({', '.join(map(shown, sorted(words)[:3]))}); "
            "each study counts as a patient of its own"
        )
    if absent:
        notes.append(
            f"{counted(len(absent), 'file has', 'files have')} no PatientID; each study counts as a patient of its own"
        )

    canon, about = respelt(one for one in ids.values() if one)
    notes += [*about, *lookalikes(canon.values())]
    ids = {file: canon.get(one, one) for file, one in ids.items()}

    groups = _Groups()
    mixed_series, mixed_studies, crowded = 0, 0, 0
    for files in by_series(headers).values():
        named = sorted({ids[file] for file in files if ids[file]})
        mixed_series += len(named) > 1
        groups.join([f"id {one}" for one in named] + ([f"file {file}" for file in files if not ids[file]]))
    studies: dict[str, list[str]] = defaultdict(list)
    for file, head in headers.items():
        if head.study:
            studies[head.study].append(file)
    for files in studies.values():
        named = sorted({groups.of(f"id {ids[file]}") for file in files if ids[file]})
        if len(named) > _CROWDED:
            crowded += 1
            continue
        mixed_studies += len(named) > 1
        groups.join([*named, *(f"file {file}" for file in files if not ids[file])])
    if mixed_series or mixed_studies:
        notes.append(
            f"slices of one series or study carry different PatientIDs ({mixed_series} series, {mixed_studies} further "
            "studies); each series and study counts as one patient"
        )
    if crowded:
        notes.append(
            counted(crowded, "StudyInstanceUID is", "StudyInstanceUIDs are")
            + f" shared by more than {_CROWDED} PatientIDs and "
            f"{'counts as a stand-in' if crowded == 1 else 'count as stand-ins'}"
        )
    name_of: dict[str, str] = {}
    for file, one in ids.items():
        root = groups.of(f"id {one}" if one else f"file {file}")
        label = one or headers[file].study or file
        name_of[root] = min(name_of.get(root, label), label) if one else name_of.get(root, label)
    patient = {file: name_of[groups.of(f"id {one}" if one else f"file {file}")] for file, one in ids.items()}
    notes += _crowds(patient, headers)
    if len(set(patient.values())) == 1 and len(headers) > 1 and not words:
        notes.insert(0, "all files have the same PatientID; if that is a stand-in, give --patient-regex")
    return patient, tuple(notes)


def _crowds(patient: Mapping[str, str], headers: Mapping[str, Header]) -> list[str]:
    """A note on a patient with many studies where others have few, which may be a stand-in."""
    studies: dict[str, set[str]] = defaultdict(set)
    for file, head in headers.items():
        studies[patient[file]].add(head.study or file)
    counts = sorted(len(one) for one in studies.values())
    usual = counts[len(counts) // 2]
    many = [one for one, those in studies.items() if len(those) > _CROWDED and len(those) > _CROWDED * usual]
    return [
        f"PatientID {shown(one)} has {len(studies[one])} studies, others {usual}; if it is a stand-in, give "
        "--patient-regex"
        for one in sorted(many)[:_EXAMPLES]
        if len(studies) > 1
    ]


class _Groups:
    """Names that belong together (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The name that stands for the group."""
        while (above := self._parent.get(name, name)) != name:
            name = above
        return name

    def join(self, names: Sequence[str]) -> None:
        """Make them one group."""
        roots = sorted({self.of(name) for name in names})
        for root in roots[1:]:
            self._parent[root] = roots[0]


def by_pattern(files: Sequence[str], pattern: str) -> dict[str, str]:
    """The patient in each path.

    Raises:
        UsageError: The pattern is no regular expression, or has no group.
        DataError: It does not fit a file.

    >>> by_pattern(["p1_a.png", "p1_b.png"], r"(p[0-9]+)_")
    {'p1_a.png': 'p1', 'p1_b.png': 'p1'}
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f'--patient-regex "{pattern}" is no regular expression ({error})') from error
    if not compiled.groups:
        raise UsageError(f'--patient-regex "{pattern}" has no group; put the patient in brackets, like ([^_]+)_')
    group: int | str = "patient" if "patient" in compiled.groupindex else 1
    found = {file: match[group] or "" for file in files if (match := compiled.search(file))}
    missing = [file for file in files if not found.get(file)]
    if missing:
        raise DataError(
            f'--patient-regex "{pattern}" finds no patient in {len(missing)} of {len(files)} file names, '
            f"such as {shown(missing[0])}; widen it"
        )
    return found

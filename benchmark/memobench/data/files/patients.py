"""Whose image each file is: from a manifest, a pattern, DICOM, sub-folders, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memobench.base.errors import DataError, UsageError
from memobench.data.files.picture import Header
from memobench.data.files.walk import shown
from memobench.data.manifest import Manifest

NONE = "nowhere: every file counts as a patient of its own"


@dataclass(frozen=True)
class Owners:
    """The patient and the scan of each file.

    Attributes:
        patient: By file.
        scan: By file.
        known: False where every file counts as a patient of its own.
        how: In words, where the ids come from.
        notes: What the reader should know of them.
    """

    patient: dict[str, str]
    scan: dict[str, str]
    known: bool
    how: str
    notes: tuple[str, ...] = ()


def owners(headers: Mapping[str, Header], manifest: Manifest | None, pattern: str | None) -> Owners:
    """Find the ids of files, from the first of these that there is.

    1. ``manifest.csv`` (``file``, ``patient_id``, optionally ``scan_id``);
    2. the pattern that was asked for: its group ``patient``, or its first group, in the relative path;
    3. DICOM PatientID, where at least one file has one; the scan is the StudyInstanceUID;
    4. the first-level sub-folders, where there are at least two and they hold every file;
    5. none: each file is a patient.

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
        patient = dict(zip(names, manifest.patients, strict=True))
        return Owners(patient, dict(zip(names, manifest.scans, strict=True)), True, "manifest.csv", notes)
    if pattern:
        return Owners(by_pattern(files, pattern), scan, True, f"the pattern {pattern} on file names")
    if any(head.patient for head in headers.values()):
        without = sum(not head.patient for head in headers.values())
        patient = {file: head.patient or file for file, head in headers.items()}
        notes = (f"{without} files have no PatientID; each counts as a patient of its own",) if without else ()
        if len(set(patient.values())) == 1 and len(files) > 1:
            notes = ("all files have the same PatientID; if that is a stand-in, give --patient-regex", *notes)
        return Owners(patient, scan, True, "DICOM PatientID", notes)
    folders = {file: file.split("/")[0] for file in files if "/" in file}
    if len(folders) == len(files) and len(set(folders.values())) > 1:
        return Owners(folders, scan, True, "the first-level sub-folders")
    return Owners({file: file for file in files}, scan, False, NONE)


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

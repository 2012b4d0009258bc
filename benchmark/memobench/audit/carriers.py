"""Synthetic files that carry the name of a real patient or file, in their own names or headers.

A file can give a patient away without a pixel: copied names, DICOM headers taken over from a training image, text
chunks of a PNG, a NIfTI description. Names are compared in parts: letters and digits between other signs, whole parts
only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import nibabel
import pydicom
from PIL import ExifTags, Image

SHORTEST = 4  # signs of a name that can be told from a word or a number by itself
LONGEST = 100_000  # signs of header text that are looked at, for each file
PEOPLE = ("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "AccessionNumber", "PatientBirthName")
PARTS = re.compile(r"[^\W_]+")
Parts = tuple[str, ...]


class RealNames:
    """Names of real patients and files, to be found again in other texts.

    Args:
        patients: Ids and names of patients.
        files: Names of files, from which folders and endings are taken off.
    """

    def __init__(self, patients: Iterable[str], files: Iterable[str]) -> None:
        self._known: dict[str, set[Parts]] = {}
        for name in patients:
            self._add(name, digits=False)
        for file in files:
            self._add(_stem(file), digits=True)

    def _add(self, name: str, *, digits: bool) -> None:
        parts = _parts(name)
        signs = sum(map(len, parts))
        # a file called "image" tells nothing, and neither does a short number
        if signs >= SHORTEST and (not digits or any(sign.isdigit() for sign in name)):
            self._known.setdefault(parts[0], set()).add(parts)

    def within(self, text: str, *, without: Collection[Parts] = ()) -> bool:
        """Whether a text holds one of the names, apart from those that are excused."""
        parts = _parts(text[:LONGEST])
        return any(
            name not in without and parts[place : place + len(name)] == name
            for place, part in enumerate(parts)
            for name in self._known.get(part, ())
        )


def carriers(root: Path, files: Sequence[str], real: RealNames) -> dict[str, str]:
    """The files that carry a real name, with the place: "name" or "header".

    Files that are merely numbered share their numbers with other numbered files; such a number in a name is no name.

    Args:
        root: Folder of the synthetic images.
        files: Relative paths of its files.
        real: What must not be found.
    """
    numbered = _numbered(files)
    found = {}
    for file in files:
        if real.within(str(PurePosixPath(file).with_suffix("")), without=numbered.get(file, ())):
            found[file] = "name"
        elif any(real.within(text) for text in header_texts(root / file)):
            found[file] = "header"
    return found


def header_texts(file: Path) -> Iterator[str]:
    """The texts in a file's header: DICOM elements, text chunks and EXIF of a picture, the texts of a NIfTI header.

    A file that cannot be read so has none: what it holds was looked at when its pixels were read.
    """
    name = file.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            yield from _nifti(file)
        elif name.endswith((".npy", ".npz", ".h5", ".pt")):
            return
        elif _is_dicom(file):
            yield from dicom_texts(file)
        else:
            yield from _picture(file)
    except Exception:  # libraries raise anything on damaged headers; the pixels were read before
        return


def people_of(root: Path, files: Iterable[str]) -> set[str]:
    """Names and numbers of people in the DICOM headers of real files."""
    found: set[str] = set()
    for file in files:
        if not _is_dicom(root / file):
            continue
        try:
            head = pydicom.dcmread(root / file, stop_before_pixels=True, force=True, specific_tags=list(PEOPLE))
        except Exception:  # noqa: S112  # as above
            continue
        found |= {str(head.get(name, "")) for name in PEOPLE} - {"", "None"}
    return found


def dicom_texts(file: Path) -> Iterator[str]:
    """Every text of a DICOM header, of nested sequences too."""
    head = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    for element in head.iterall():
        if element.VR in ("PN", "LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE", "UI", "IS", "DS"):
            yield str(element.value)


def _is_dicom(file: Path) -> bool:
    if file.suffix.lower() in (".dcm", ".ima", ".dicom"):
        return True
    with file.open("rb") as handle:
        return handle.read(132)[128:] == b"DICM"


def _picture(file: Path) -> Iterator[str]:
    with Image.open(file) as image:
        image.load()  # text may stand behind the pixels
        held: dict[Any, Any] = {**image.info, **getattr(image, "text", {})}
        exif = image.getexif()
        blocks = [exif, *(exif.get_ifd(block) for block in ExifTags.IFD)]
    for value in [*held.keys(), *held.values(), *(value for block in blocks for value in block.values())]:
        if isinstance(value, bytes):
            for coding in ("utf-8", "utf-16-le", "utf-16-be"):
                yield value[:LONGEST].decode(coding, errors="replace")
        elif isinstance(value, str | int):
            yield str(value)


def _nifti(file: Path) -> Iterator[str]:
    header: Any = nibabel.load(file).header
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        if name in header:
            yield bytes(header[name].tobytes()).decode("utf-8", errors="replace").replace("\0", " ")
    for extension in getattr(header, "extensions", ()):
        content = extension.get_content()
        yield content.decode("utf-8", errors="replace") if isinstance(content, bytes) else str(content)


def _stem(file: str) -> str:
    return PurePosixPath(file).name.split(".")[0]


def _parts(text: str) -> Parts:
    return tuple(PARTS.findall(text.casefold()))


def _numbered(files: Sequence[str]) -> dict[str, tuple[Parts, ...]]:
    """What is excused in the name of each file that is merely numbered: its number.

    Where most files are called so, the whole name is excused too: two sets may both be called image_0001, image_0002.

    >>> _numbered(["a/img_0007.png", "a/img_0008.png"])["a/img_0007.png"]
    (('0007',), ('img', '0007'))
    >>> _numbered(["90210007.png", "31330008.png"])
    {}
    """
    found: dict[str, tuple[str, int]] = {}
    for file in files:
        if match := re.fullmatch(r"(.*?)(\d{1,18})(\D*)", _stem(file)):
            found[file] = (f"{match[1]}*{match[3]}", int(match[2]))
    largest: Counter[str] = Counter()
    count = Counter(template for template, _ in found.values())
    for template, number in found.values():
        largest[template] = max(largest[template], number)
    excused: dict[str, tuple[Parts, ...]] = {}
    for file, (template, _) in found.items():
        if largest[template] <= 10 * count[template]:  # a running number, of which some may have been taken out
            parts = _parts(_stem(file))
            last = tuple(part for part in parts if part.isdigit())[-1:]
            excused[file] = (last, parts) if 2 * count[template] >= len(files) else (last,)
    return excused

"""The files of a folder that may be images, never beyond the folder itself; and names fit to be printed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memobench.base.errors import DataError

_BESIDE = (".csv", ".json", ".txt", ".tsv", ".bval", ".bvec", ".md", ".rst")
_NAMES = (
    *("dicomdir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    *("readme", "changes", "license", "licence"),
)
_OF_SYSTEMS = ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
_BIDS = ("dataset_description.json", "participants.tsv")
_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_DERIVED = ("derivatives", "sourcedata", "code", "stimuli", "phenotype")
_MASK = re.compile(r"_(mask|dseg|probseg|roi|label|seg)\.(nii|nii\.gz)$", re.IGNORECASE)


_LABELS = re.compile(
    r"(^|[/_\-. ])(masks?|segs?|segmentations?|labels?|labels?t[rs]|gt|ground_?truth|dseg|annotations?)([/_\-. ]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        files: Paths relative to the root with forward slashes, sorted.
        links: How many symbolic links were passed over.
        derived: How many files of a BIDS folder were passed over, since they are masks or derivatives.
    """

    files: list[str]
    links: int
    derived: int


def files_in(root: Path) -> Listing:
    """Every file below a folder, sorted, but hidden ones, tables and notes (.csv, .json, .txt, ...) and DICOMDIR.

    Symbolic links are not followed, neither to files nor to folders. Of a BIDS folder (with its description, its table
    of participants or folders ``sub-...``), at any depth, derivatives and masks are passed over.

    Raises:
        DataError: A folder cannot be opened, so that nobody knows what is missing.
    """
    found: list[str] = []
    links = derived = 0
    bids: list[Path] = []
    for folder, folders, names in walk(root):
        here = Path(folder)
        inside = any(here.is_relative_to(one) for one in bids)
        is_root = not inside and _is_bids(folders, names)
        bids += [here] if is_root else []
        is_bids = inside or is_root
        kept = [name for name in folders if not _hidden(name)]
        links += sum((here / name).is_symlink() for name in kept)
        folders[:] = [name for name in kept if not (here / name).is_symlink()]
        if is_root:
            derived += sum(len(some) for name in _DERIVED if name in folders for _, _, some in walk(here / name))
            folders[:] = [name for name in folders if name not in _DERIVED]
        for name in names:
            if _hidden(name) or name.lower() in _NAMES or name.lower().endswith(_BESIDE):
                continue
            file = here / name
            if file.is_symlink():
                links += 1
            elif is_bids and _MASK.search(name):
                derived += 1
            elif file.is_file():  # no pipe, socket or device, which would block
                found.append(file.relative_to(root).as_posix())
    return Listing(sorted(found), links, derived)


def like_labels(files: Sequence[str]) -> list[str]:
    """The files whose names say that they are masks or labels, where others' do not.

    >>> like_labels(["imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "b-seg.nii.gz"])
    ['labelsTr/a.nii.gz', 'b-seg.nii.gz']
    """
    found = [file for file in files if _LABELS.search(file)]
    return found if len(found) < len(files) else []


def walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As :func:`os.walk` without links, but a folder that cannot be opened stops it.

    Raises:
        DataError: It names the folder and the reason.
    """

    def stop(error: OSError) -> None:
        raise DataError(
            f"the folder {shown(str(error.filename))} cannot be opened ({error.strerror}), so files would be left out; "
            "allow it to be read, or take it out"
        )

    yield from os.walk(root, onerror=stop, followlinks=False)


def shown(name: str) -> str:
    r"""A file's name on one line of a terminal: what cannot be printed is escaped.

    >>> shown("胸部 'a' <b>.png"), shown("a\n\x1b[2J.png")
    ("胸部 'a' <b>.png", 'a\\n\\x1b[2J.png')
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def counted(number: int, one: str, more: str) -> str:
    """A number with the words that follow it, for one and for more.

    >>> counted(1, "file looks", "files look"), counted(2, "file looks", "files look")
    ('1 file looks', '2 files look')
    """
    return f"{number} {one if number == 1 else more}"


def _is_bids(folders: Sequence[str], names: Sequence[str]) -> bool:
    return any(name in _BIDS for name in names) or any(_SUBJECT.fullmatch(name) for name in folders)


def _hidden(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in _OF_SYSTEMS

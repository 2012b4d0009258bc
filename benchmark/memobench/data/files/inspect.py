"""What a folder holds: images or volumes with their patients, what cannot be read, and what a reader should know."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from memobench.base.errors import DataError, UsageError
from memobench.base.processors import workers
from memobench.base.progress import silent
from memobench.data.files.archives import folder_of
from memobench.data.files.decode import Scale, decode, examine, header
from memobench.data.files.limits import MAX_IMAGE_GIB, gib
from memobench.data.files.patients import Owners, owners
from memobench.data.files.picture import Header, Picture, Unreadable, picture
from memobench.data.files.series import Part, likely_dim, parts
from memobench.data.files.walk import counted, files_in, like_labels, shown
from memobench.data.manifest import find_manifest, read_manifest, unread_tables

T = TypeVar("T")
R = TypeVar("R")
Track = Callable[..., Iterator[Any]]
_NAMED = 3  # files that an error names
_VOLUMES_AT_ONCE = 4  # decoded volumes are large
_AT_ONCE = 32  # things that one job takes at most


@dataclass(frozen=True)
class Item:
    """One image or volume to be.

    Attributes:
        file: Path relative to the root, with forward slashes.
        files: All files that it is made of (a DICOM series), the first is ``file``.
        frame: Which image of a file of several, from 0; else None.
        patient: Whose it is.
        scan: The examination of that patient.
        shape: Its own (H, W) or (D, H, W).
    """

    file: str
    files: tuple[str, ...]
    frame: int | None
    patient: str
    scan: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Images of one kind: how many, how their values become [0, 1], and the range of the values in their own units."""

    kind: str
    scaling: str
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Inspection:
    """What a folder holds.

    Attributes:
        root: The folder.
        items: The images or volumes, sorted by file and frame.
        unreadable: (file, reason) of what is left out.
        dim: 2 or 3.
        patients_known: False where every file counts as a patient of its own.
        how: In words, where the patient ids come from.
        notes: Duplicates, colour, links, mixed dimension: what a reader should know.
        found: The images by kind.
        other_dim: How many of the unreadable files are whole, but of the other dimension.
        guessed: Whether the patients are a guess from names.
        limit: Bytes of pixels that one file may declare.
        given: The folder or archive that was asked for, fit to be printed.
        scale: How values become [0, 1].
    """

    root: Path
    items: tuple[Item, ...]
    unreadable: tuple[tuple[str, str], ...]
    dim: int
    patients_known: bool
    how: str
    notes: tuple[str, ...]
    found: tuple[Found, ...] = ()
    other_dim: int = 0
    guessed: bool = False
    limit: int = gib(MAX_IMAGE_GIB)
    given: str = ""
    scale: Scale = picture


@dataclass(frozen=True)
class _Facts:
    shape: tuple[int, ...]
    low: float
    high: float
    scaling: str
    kind: str
    colour: bool
    sums: tuple[int, int]


def inspect_folder(
    root: Path,
    *,
    dim: int | None = None,
    patient_regex: str | None = None,
    skip_unreadable: bool = False,
    max_image_gib: float = MAX_IMAGE_GIB,
    track: Track = silent,
) -> Inspection:
    """Look at every file of a folder once, decoded.

    Args:
        root: The folder, or an archive (zip, tar, tar.gz); with a manifest.csv, only the files that it lists count.
        dim: 2 or 3; None for the dimension of most files.
        patient_regex: Finds the patient in a relative path: its group ``patient``, or its first.
        skip_unreadable: Go on without the files that are no images to be used, instead of raising.
        max_image_gib: A file that declares more pixels is refused.
        track: Shows progress.

    Raises:
        UsageError: The dimension or the pattern is wrong.
        DataError: There is no folder, no image in it, or a file that cannot be used; three are named.
    """
    found = survey(root, dim=dim, patient_regex=patient_regex, max_image_gib=max_image_gib, track=track)
    return usable(found, root, skip_unreadable=skip_unreadable)


def usable(found: Inspection, root: Path, *, skip_unreadable: bool = False) -> Inspection:
    """What was found, unless files cannot be used and are not to be left out.

    Args:
        found: By :func:`survey`.
        root: As it was asked for.
        skip_unreadable: See :func:`inspect_folder`.

    Raises:
        DataError: There is no image, or a file that cannot be used; three are named.
    """
    if not found.unreadable:
        return found
    folder, count = shown(str(root)), len(found.unreadable)
    if not found.items and found.other_dim == count:
        kinds = ("2D images", "3D volumes") if found.dim == 3 else ("3D volumes", "2D images")
        raise DataError(
            f"{folder} holds only {kinds[0]} ({_files(count)}, such as {shown(found.unreadable[0][0])}), and "
            f"{kinds[1]} are asked for (by the task, --dim or the training images); choose a {5 - found.dim}D task, or "
            "give all folders in one dimension"
        )
    named = "; ".join(f"{shown(file)} {reason}" for file, reason in found.unreadable[:_NAMED])
    named += f"; and {count - _NAMED} more (bench data check lists all)" if count > _NAMED else ""
    if not found.items:
        raise DataError(f"{folder} holds no image that can be used: {named}; correct these, or give another folder")
    if not skip_unreadable:
        raise DataError(
            f"{_files(count)} of {folder} cannot be used: {named}; repair or remove what is named (and its line in "
            "manifest.csv), or leave it out with --skip-unreadable"
        )
    return found


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def survey(
    root: Path,
    *,
    dim: int | None = None,
    patient_regex: str | None = None,
    max_image_gib: float = MAX_IMAGE_GIB,
    scale: Scale = picture,
    track: Track = silent,
) -> Inspection:
    """As :func:`inspect_folder`, but what cannot be read is only listed, even if it is everything.

    ``scale`` says how values become [0, 1].

    Raises:
        UsageError: The dimension or the pattern is wrong.
        DataError: There is no folder, or nothing in it that could be an image.
    """
    given, root = shown(str(root)), folder_of(Path(root), max_image_gib)
    if dim not in (None, 2, 3):
        raise UsageError(f"--dim {dim} is no dimension of images; give 2 or 3")
    limit = gib(max_image_gib)
    if not root.is_dir():
        raise DataError(f"there is no folder {given}; give a folder of images")
    listing = files_in(root)
    names = listing.files
    manifest = read_manifest(root) if find_manifest(root) else None
    notes = []
    if manifest:
        listed = sorted(file.relative_to(root).as_posix() for file in manifest.files)
        unlisted = len(set(names) - set(listed))
        names = listed
        if unlisted:
            notes.append(
                counted(
                    unlisted, "file that manifest.csv does not list was", "files that manifest.csv does not list were"
                )
                + " left out"
            )
    if listing.links:
        notes.append(
            f"{counted(listing.links, 'symbolic link was', 'symbolic links were')} not followed; put the files "
            "themselves there if they are meant"
        )
    if listing.derived:
        one, more = "mask or derivative of the BIDS folder was", "masks and derivatives of the BIDS folder were"
        notes.append(f"{counted(listing.derived, one, more)} left out")
    if labels := like_labels(names):
        notes.append(
            counted(len(labels), "file looks like a mask or label", "files look like masks or labels")
            + f" by name (such "
            f"as {shown(labels[0])}); take out what is no image"
        )
    if not names:
        reason = f" ({notes[-1]})" if notes else ""
        raise DataError(f"{given} holds no file that could be an image{reason}; give a folder of images")

    reading = _Reading(limit, scale)
    seen = _first_look(root, names, dim, reading, track)
    headers, unreadable = seen.headers, seen.unreadable
    whose = owners(headers, manifest, patient_regex)
    likely, votes = likely_dim(headers)
    chosen = dim or likely
    if dim is None and len(votes) > 1:
        notes.append(
            f"{counted(votes[2], 'file looks like a 2D image', 'files look like 2D images')} and {votes[3]} like "
            f"{'a part' if votes[3] == 1 else 'parts'} of 3D volumes; {chosen}D was taken, --dim decides otherwise"
        )
    pieces, other, about = parts(headers, chosen)
    notes += [*_odd_notes(headers), *_unread(root, whose)]
    unreadable |= other
    other_dim = sum(headers[file].dim != chosen and not headers[file].series for file in other)
    facts: list[tuple[Part, _Facts]] = []
    looked = _looked(seen, pieces, partial(_look, root, chosen, reading), chosen, track)
    for part, fact in zip(pieces, looked, strict=True):
        if isinstance(fact, str):
            where = "" if part.frame is None else f"(frame {part.frame + 1}) "
            unreadable |= {file: where + fact for file in part.files if file not in unreadable}
        else:
            facts.append((part, fact))
    items = tuple(_item(part, headers[part.files[0]], whose, fact.shape) for part, fact in facts)
    notes += [*whose.notes, *about, *_content_notes(facts, partial(_digest, root, chosen, reading), chosen)]
    left_out = tuple(sorted(unreadable.items()))
    named = whose.known or any(headers[item.file].patients for item in items)
    how = whose.how if whose.known or not named else "the arrays of each batch that name them"
    kinds = _kinds(facts)
    return Inspection(
        root, items, left_out, chosen, named, how, tuple(notes), kinds, other_dim, whose.guessed, limit, given, scale
    )


def _item(part: Part, head: Header, whose: Owners, shape: tuple[int, ...]) -> Item:
    """The image with its patient: its own in a batch, unless a manifest or pattern names the file's."""
    file = part.files[0]
    patient, scan = whose.patient[file], whose.scan[file]
    if head.batch and whose.by_image and part.frame is not None:
        patient = head.patients[part.frame] if head.patients else f"{file}#{part.frame}"
        scan = f"{file}#{part.frame}"
    return Item(file, part.files, part.frame, patient, scan, shape)


def _unread(root: Path, whose: Owners) -> list[str]:
    """A note on a table that seems to say whose the images are, where nothing else does."""
    tables = unread_tables(root) if whose.guessed or not whose.known else []
    return [
        f"{shown(name)} has a column of patients and was not read; write it as manifest.csv, with the columns file and "
        "patient_id"
        for name in tables[:1]
    ]


def _odd_notes(headers: Mapping[str, Header]) -> list[str]:
    """In how many files optional DICOM attributes are empty or cannot be read, and other things are in doubt."""
    files: dict[str, list[str]] = defaultdict(list)
    doubtful: dict[str, list[str]] = defaultdict(list)
    for file, head in headers.items():
        for name in head.odd:
            files[name].append(file)
        for doubt in head.doubts:
            doubtful[doubt].append(file)
    return [
        *(
            f"{name} is empty or cannot be read in {_files(len(those))} (such as {shown(those[0])}) and counts as "
            "missing"
            for name, those in files.items()
        ),
        *(f"{doubt} in {_files(len(those))} (such as {shown(those[0])})" for doubt, those in doubtful.items()),
    ]


def threaded(work: Callable[[T], R], things: Sequence[T], description: str, dim: int, track: Track) -> list[R]:
    """Do the work on several cores, with progress; the results in the order of the things."""
    threads = min(workers(), _VOLUMES_AT_ONCE) if dim == 3 else workers()
    # One catch around all threads, since filters belong to the process: what the libraries warn about (odd UIDs,
    # unusual padding) is either harmless or ends as a reason.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")
        # Several things to a job, since handing one over takes as long as looking at a small file.
        size = max(1, min(_AT_ONCE, len(things) // (8 * threads)))
        jobs = [things[start : start + size] for start in range(0, len(things), size)]
        done = (one for several in pool.map(lambda job: [work(thing) for thing in job], jobs) for one in several)
        try:
            return list(track(done, description, len(things)))
        except BaseException:  # an interruption too must not wait for what is still queued
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(frozen=True)
class _Reading:
    """How files are read: the bytes of pixels that are allowed, and how values become [0, 1]."""

    limit: int
    scale: Scale


@dataclass(frozen=True)
class _Seen:
    """What a first look at all files gives: headers, why some are no use, and what single images hold."""

    headers: dict[str, Header]
    unreadable: dict[str, str]
    single: dict[str, _Facts | str]


def _first_look(root: Path, names: Sequence[str], dim: int | None, reading: _Reading, track: Track) -> _Seen:
    def look(name: str) -> tuple[Header | None, _Facts | str | None] | str:
        try:
            if dim == 3:
                return header(root / name, reading.limit), None
            head, seen_as = examine(root / name, reading.limit, reading.scale)
        except Unreadable as error:
            return str(error)
        return head, _facts(seen_as) if isinstance(seen_as, Picture) else seen_as

    seen = _Seen({}, {}, {})
    for name, answer in zip(names, threaded(look, names, "looking at files", 2, track), strict=True):
        if isinstance(answer, str):
            seen.unreadable[name] = answer
        elif answer[0]:
            seen.headers[name] = answer[0]
            if answer[1] is not None:
                seen.single[name] = answer[1]
    return seen


def _looked(
    seen: _Seen, pieces: Sequence[Part], look: Callable[[Part], _Facts | str], dim: int, track: Track
) -> list[_Facts | str]:
    """What each image holds; those of which the first look did not say it are read."""
    known = seen.single if dim == 2 else {}
    rest = [part for part in pieces if part.files[0] not in known]
    read = iter(threaded(look, rest, "reading images", dim, track) if rest else [])
    return [known[part.files[0]] if part.files[0] in known else next(read) for part in pieces]


def _look(root: Path, dim: int, reading: _Reading, part: Part) -> _Facts | str:
    try:
        return _facts(decode([root / file for file in part.files], part.frame, dim, reading.limit, reading.scale))
    except Unreadable as error:
        return str(error)


def _facts(seen: Picture) -> _Facts:
    return _Facts(seen.shape, seen.low, seen.high, seen.scaling, seen.kind, seen.colour, seen.sums)


def _content_notes(facts: Sequence[tuple[Part, _Facts]], digest: Callable[[Part], bytes], dim: int) -> list[str]:
    """Images that are there twice, and colour.

    Args:
        facts: Of each image.
        digest: Of an image's pixels; asked only of images whose sums are equal, since it reads them again.
        dim: 2 or 3.
    """
    notes = []
    alike: dict[tuple[Any, ...], list[Part]] = defaultdict(list)
    for part, fact in facts:
        alike[fact.shape, fact.sums].append(part)
    asked = [part for several in alike.values() if len(several) > 1 for part in several]
    digests = dict(zip(asked, threaded(digest, asked, "", dim, silent), strict=True)) if asked else {}
    first: dict[bytes, Part] = {}
    repeated = [(part, digests[part]) for part in asked if first.setdefault(digests[part], part) is not part]
    if repeated:
        part, content = min(repeated, key=lambda one: (one[0].files, one[0].frame or 0))
        notes.append(
            counted(len(repeated), "image is", "images are")
            + f" identical to an earlier one ({_part(part)} to {_part(first[content])}, ...)"
        )
    colour = sum(fact.colour for _, fact in facts)
    if colour:
        notes.append(f"{counted(colour, 'colour image was', 'colour images were')} converted to grey (luminance)")
    return notes


def _part(part: Part) -> str:
    return shown(part.files[0]) + ("" if part.frame is None else f" (frame {part.frame + 1})")


def _digest(root: Path, dim: int, reading: _Reading, part: Part) -> bytes:
    try:
        pixels = decode([root / file for file in part.files], part.frame, dim, reading.limit, reading.scale).pixels
    except Unreadable as error:
        raise DataError(
            f"{shown(part.files[0])} {error}; it was changed while it was looked at, start again"
        ) from error
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


def _kinds(facts: Sequence[tuple[Part, _Facts]]) -> tuple[Found, ...]:
    counts = Counter((fact.kind, fact.scaling) for _, fact in facts)
    found = []
    for (kind, scaling), count in counts.most_common():
        those = [fact for _, fact in facts if (fact.kind, fact.scaling) == (kind, scaling)]
        found.append(Found(kind, scaling, count, min(f.low for f in those), max(f.high for f in those)))
    return tuple(found)

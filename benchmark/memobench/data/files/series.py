"""From files to images: frames one by one in 2D; in 3D the slices of a DICOM series together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memobench.data.files.dicom import along
from memobench.data.files.picture import Header, Place, Unreadable

MIN_SLICES = 8  # single slices of one series at so many places are taken for a volume where --dim is not given
_GAP = 1.5  # times the median distance of slices


@dataclass(frozen=True)
class Part:
    """What one image or volume is made of: its files in order, and its frame in 2D."""

    files: tuple[str, ...]
    frame: int | None = None


def likely_dim(headers: Mapping[str, Header]) -> tuple[int, Counter[int]]:
    """The dimension of most files (2 where there are as many of each), and how many files look like which."""
    votes = Counter(head.dim for head in headers.values() if not head.series)
    for files in _by_series(headers).values():
        places = [head.place for file in files if (head := headers[file]).place]
        votes[3 if len(_positions(places)) >= MIN_SLICES else 2] += len(files)
    return (3 if votes[3] > votes[2] else 2), +votes


def parts(headers: Mapping[str, Header], dim: int) -> tuple[list[Part], dict[str, str], list[str]]:
    """The images or volumes of a folder, in the order of their first files.

    Args:
        headers: Of every file, by its path.
        dim: 2 or 3.

    Returns:
        The parts; files that are of the other dimension, with the reason; and notes.
    """
    return _images(headers) if dim == 2 else _volumes(headers)


def _images(headers: Mapping[str, Header]) -> tuple[list[Part], dict[str, str], list[str]]:
    found: list[Part] = []
    other: dict[str, str] = {}
    for file, head in headers.items():
        if len(head.shape) == 3:
            other[file] = (
                f"is a 3D volume ({'x'.join(map(str, head.shape))}) among 2D images; take it out, save its slices as "
                "files, or give --dim 3"
            )
        elif head.frames == 1:
            found.append(Part((file,)))
        else:
            found += [Part((file,), frame) for frame in range(head.frames)]
    return found, other, []


def _volumes(headers: Mapping[str, Header]) -> tuple[list[Part], dict[str, str], list[str]]:
    found: list[Part] = []
    other: dict[str, str] = {}
    gaps = 0
    series = _by_series(headers)
    for file, head in headers.items():
        if len(head.shape) == 3 or head.frames > 1:
            found.append(Part((file,)))
        elif not head.series:
            other[file] = (
                f"is a 2D image ({'x'.join(map(str, head.shape))}) among 3D volumes; take it out, or give --dim 2"
            )
    for files in series.values():
        try:
            order, gap = _sorted([headers[file] for file in files])
        except Unreadable as error:
            other |= dict.fromkeys(files, str(error))
            continue
        gaps += gap
        found.append(Part(tuple(files[index] for index in order)))
    notes = []
    assembled = [part for part in found if len(part.files) > 1]
    if assembled:
        slices = sum(len(part.files) for part in assembled)
        notes.append(
            f"{len(assembled)} volumes were assembled from {slices} files of single slices; --dim 2 takes each slice "
            "as an image"
        )
    if gaps:
        notes.append(f"{gaps} DICOM series seem to lack slices (a gap between neighbours is wider than the others)")
    return sorted(found, key=lambda part: part.files[0]), other, notes


def _by_series(headers: Mapping[str, Header]) -> dict[tuple[str, str], list[str]]:
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, head in headers.items():
        if head.series:
            series[head.patient, head.series].append(file)
    return series


def _sorted(heads: Sequence[Header]) -> tuple[list[int], bool]:
    """The order of a series' slices, and whether there is a gap.

    Raises:
        Unreadable: They are no volume; the reason holds for each file.
    """
    if len(heads) == 1:
        raise Unreadable("is a single slice among 3D volumes (no other file has its SeriesInstanceUID)")
    places = [head.place for head in heads if head.place]
    instances = Counter(place.instance for place in places if place.instance)
    if instances and max(instances.values()) > 1:
        raise Unreadable("belongs to a series of which a slice is there twice; delete the copy")
    if len({head.shape for head in heads}) > 1:
        raise Unreadable("belongs to a series of slices of different size, so they are no volume")
    if all(place.position and place.orientation for place in places):
        first = places[0].orientation or ()
        if any(not np.allclose(place.orientation or (), first, atol=1e-3) for place in places):
            raise Unreadable("belongs to a series of slices in several orientations, so they are no volume")
        distance = [along(place.position or (), first) for place in places]
        order = sorted(range(len(heads)), key=distance.__getitem__)
        steps = np.diff(np.array(distance)[order])
        if (steps < 1e-3).any():
            raise Unreadable(
                "belongs to a series with several slices at one place (echoes, times, or all without places); "
                "save each volume as a series of its own"
            )
        return order, bool(steps.max() > _GAP * np.median(steps))
    numbers = [place.number for place in places if place.number is not None]
    if len(set(numbers)) < len(heads):
        raise Unreadable("belongs to a series whose slices have neither a place nor distinct numbers to sort them by")
    return sorted(range(len(heads)), key=numbers.__getitem__), False


def _positions(places: Sequence[Place]) -> set[tuple[float, ...]]:
    return {place.position for place in places if place.position and place.orientation}

"""From files to images: frames one by one in 2D; in 3D the slices of a DICOM series together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memobench.data.files.picture import Header
from memobench.data.files.places import NoVolume, in_order, spread
from memobench.data.files.walk import counted, shown

MIN_SLICES = 8  # single slices of one series at so many places are taken for a volume where --dim is not given


@dataclass(frozen=True)
class Part:
    """What one image or volume is made of: its files in order, and which image of a file of several."""

    files: tuple[str, ...]
    frame: int | None = None


def likely_dim(headers: Mapping[str, Header]) -> tuple[int, Counter[int]]:
    """The dimension of most files (2 where there are as many of each), and how many files look like which."""
    votes = Counter(head.dim for head in headers.values() if not head.series)
    for files in by_series(headers).values():
        places = [place for file in files for place in headers[file].places]
        votes[3 if spread(places) >= MIN_SLICES else 2] += len(files)
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
    batches = all(head.sliceable for head in headers.values())
    for file, head in headers.items():
        if head.sliceable and batches:
            found += [Part((file,), plane) for plane in range(head.shape[0])]
        elif len(head.shape) == 3:
            other[file] = (
                f"is a 3D volume ({_by(head)}) among 2D images; take it out, save its slices as files, or give --dim 3"
            )
        elif head.frames == 1:
            found.append(Part((file,), 0 if head.batch else None))
        else:
            found += [Part((file,), frame) for frame in range(head.frames)]
    notes = []
    if batches and headers:
        notes.append(
            counted(
                len(headers), "array of three axes was taken as a batch", "arrays of three axes were taken as batches"
            )
            + " of 2D images (N, H, W), each of one patient "
            "unless a further array patient_id names them; --dim 3 takes each as a volume"
        )
    return found, other, notes


def _volumes(headers: Mapping[str, Header]) -> tuple[list[Part], dict[str, str], list[str]]:
    found: list[Part] = []
    other: dict[str, str] = {}
    gaps: list[str] = []
    series, scouts = _without_localizers(by_series(headers), headers)
    for file, head in headers.items():
        if head.batch and len(head.shape) == 3:
            found += [Part((file,), frame) for frame in range(head.frames)]
        elif head.film:
            other[file] = (
                f"is a film or holds several volumes (by {head.film}), no single volume; give --dim 2 for its frames"
            )
        elif len(head.shape) == 3 or (head.frames > 1 and not head.batch):
            try:
                if head.places and in_order(head.places)[1]:
                    gaps.append(file)
            except NoVolume as error:
                other[file] = f"holds a series {error}"
                continue
            found.append(Part((file,)))
        elif not head.series:
            other[file] = f"is a 2D image ({_by(head)}) among 3D volumes; take it out, or give --dim 2"
    for files in series.values():
        try:
            order, gap = _sorted([headers[file] for file in files])
        except NoVolume as error:
            odd = f" (here {', '.join(shown(files[index]) for index in error.odd[-2:])})" if error.odd else ""
            other |= dict.fromkeys(files, f"{'is' if len(files) == 1 else 'belongs to a series'} {error}{odd}")
            continue
        if gap:
            gaps.append(files[order[0]])
        found.append(Part(tuple(files[index] for index in order)))
    notes = _notes_on_volumes(headers, found, gaps)
    if scouts:
        one, more = "DICOM localizer (scout image) was", "DICOM localizers (scout images) were"
        notes.append(f"{counted(len(scouts), one, more)} left out, such as {shown(scouts[0])}")
    return sorted(found, key=lambda part: part.files[0]), other, notes


def _without_localizers(
    series: Mapping[tuple[str, str, str], list[str]], headers: Mapping[str, Header]
) -> tuple[Mapping[tuple[str, str, str], list[str]], list[str]]:
    """The series without localizers, and the files of these; where there is nothing else, all are kept."""
    planned = {key: files for key, files in series.items() if not headers[files[0]].localizer}
    if not planned:
        return series, []
    return planned, [file for key, files in series.items() if key not in planned for file in files]


def _notes_on_volumes(headers: Mapping[str, Header], found: Sequence[Part], gaps: Sequence[str]) -> list[str]:
    notes = []
    sliceable = [part.files[0] for part in found if headers[part.files[0]].sliceable]
    if sliceable:
        notes.append(
            counted(
                len(sliceable),
                "array of three axes was taken as a volume",
                "arrays of three axes were taken as volumes",
            )
            + f" (such as {shown(sliceable[0])}); --dim 2 "
            "takes each as a batch of 2D images (N, H, W)"
        )
    assembled = [part for part in found if len(part.files) > 1]
    if assembled:
        slices = sum(len(part.files) for part in assembled)
        notes.append(
            counted(len(assembled), "volume was", "volumes were")
            + f" assembled from {slices} files of single slices; --dim 2 takes each slice "
            "as an image"
        )
    placeless = [part for part in found if _without_place([headers[file] for file in part.files])]
    if placeless:
        notes.append(
            counted(len(placeless), "DICOM volume does", "DICOM volumes do")
            + f" not say of every slice where it stands (ImagePositionPatient and ImageOrientationPatient; such as "
            f"{shown(placeless[0].files[0])}); the slices stand as they are stored, in the order of their numbers, and "
            "in no common orientation"
        )
    if gaps:
        notes.append(
            counted(len(gaps), "DICOM series seems", "DICOM series seem")
            + f" to lack slices (a gap between neighbours is wider than the others), "
            f"such as {shown(gaps[0])}"
        )
    return notes


def _without_place(heads: Sequence[Header]) -> bool:
    """Whether a DICOM volume lacks the place of some slice, so that it cannot be brought to a common orientation."""
    return any(head.kind and not (head.places and all(place.known for place in head.places)) for head in heads)


def by_series(headers: Mapping[str, Header]) -> dict[tuple[str, str, str], list[str]]:
    """The files of each DICOM series of single slices, by study, series with kind, and (where that decides) patient.

    A screen shot among slices is of another kind of object, and no slice of theirs; nor is the localizer on which they
    were planned.

    Slices of one series that fit together as one volume are one patient's, whatever PatientID a de-identifier wrote
    into each. Where they do not fit, the UIDs are stand-ins, and PatientID keeps the patients apart.
    """
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, head in headers.items():
        if head.series:
            series[head.study, f"{head.series} {head.kind}"].append(file)
    found: dict[tuple[str, str, str], list[str]] = {}
    for (study, name), files in series.items():
        if len({headers[file].patient for file in files}) == 1 or _fits([headers[file] for file in files]):
            found[study, name, ""] = files
            continue
        apart: dict[str, list[str]] = defaultdict(list)
        for file in files:
            apart[headers[file].patient].append(file)
        found |= {(study, name, patient): those for patient, those in apart.items()}
    return found


def _fits(heads: Sequence[Header]) -> bool:
    if not all(place.known for head in heads for place in head.places):
        return False
    try:
        _sorted(heads)
    except NoVolume:
        return False
    return True


def _sorted(heads: Sequence[Header]) -> tuple[list[int], bool]:
    """The order of a series' slices, and whether there is a gap.

    Raises:
        NoVolume: They are no volume; the reason holds for each file.
    """
    if len(heads) == 1:
        raise NoVolume("a single slice among 3D volumes (no other slice has its SeriesInstanceUID)")
    usual = Counter(head.shape for head in heads).most_common(1)[0][0]
    if odd := [index for index, head in enumerate(heads) if head.shape != usual]:
        raise NoVolume("of slices of different size, so they are no volume; take the odd ones out", odd)
    return in_order([place for head in heads for place in head.places])


def _by(head: Header) -> str:
    return "x".join(map(str, head.shape))

"""Where slices stand in the patient: one list of places, and one set of checks, for files and for frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GAP = 1.5  # times the median distance of slices
_TOGETHER = 1e-3  # mm; slices nearer than this stand at one place
_JITTER = 0.1  # mm, and share of the widest step: what positions of one place are written apart
_SAME = 0.02  # share by which echo times and the like of one volume differ


@dataclass(frozen=True)
class Place:
    """Where a single DICOM slice stands in its series.

    Attributes:
        position: ImagePositionPatient in mm, or None.
        orientation: ImageOrientationPatient, or None.
        number: InstanceNumber (of a frame, InStackPositionNumber), or None.
        instance: SOPInstanceUID, "" where it is missing or many frames share it.
        shows: What tells volumes at one place apart, by name and value: echoes, times, b-values, stacks.
    """

    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    number: int | None = None
    instance: str = ""
    shows: tuple[tuple[str, str | float], ...] = ()

    @property
    def known(self) -> bool:
        """Whether it has both a position and an orientation."""
        return self.position is not None and self.orientation is not None


class NoVolume(Exception):
    """Slices that make no volume; the message is the reason, to be put behind "belongs to a series" or "holds"."""

    def __init__(self, reason: str, odd: Sequence[int] = ()) -> None:
        """Keep the reason, and the indices of the slices that do not fit, where that is known."""
        super().__init__(reason)
        self.odd = tuple(odd)


def along(position: Sequence[float], orientation: Sequence[float]) -> float:
    """How far a slice stands along the normal of its plane, in mm (PS3.3, C.7.6.2.1.1).

    >>> along((0, 0, 7), (1, 0, 0, 0, 1, 0))
    7.0
    """
    return float(np.dot(np.cross(orientation[:3], orientation[3:]), position))


def in_order(places: Sequence[Place]) -> tuple[list[int], bool]:
    """The order of slices along their normal (by their numbers where places are missing), and whether there is a gap.

    Raises:
        NoVolume: A slice is there twice, several stand at one place or show several things (echoes, times), they are
            turned differently, or nothing says their order.

    >>> in_order([Place((0, 0, z), (1, 0, 0, 0, 1, 0)) for z in (6.0, 0.0, 3.0)])
    ([1, 2, 0], False)
    """
    instances = Counter(place.instance for place in places if place.instance)
    if instances and max(instances.values()) > 1:
        twice = max(instances, key=instances.__getitem__)
        raise NoVolume("of which a slice is there twice; delete the copy", _where(places, "instance", twice))
    if all(place.known for place in places):
        first = places[0].orientation or ()
        turned = [not np.allclose(place.orientation or (), first, atol=1e-3) for place in places]
        if any(turned):
            fewer = sum(turned) <= len(turned) // 2  # they are the odd ones, else the first and its like
            odd = [index for index, one in enumerate(turned) if one == fewer]
            raise NoVolume("of slices in several orientations, so they are no volume; take the odd ones out", odd)
        distance = [along(place.position or (), first) for place in places]
        order = sorted(range(len(places)), key=distance.__getitem__)
        steps = np.diff(np.array(distance)[order])
        if len(steps) and steps.min() < max(_TOGETHER, min(_JITTER, _JITTER * float(steps.max()))):
            raise NoVolume(
                "with several slices at one place (echoes, phases, b-values, times, or all without places); save each "
                "volume as a series of its own"
            )
        _check_one(places)
        return order, bool(len(steps) and steps.max() > _GAP * np.median(steps))
    _check_one(places)
    numbers = [place.number for place in places if place.number is not None]
    if len(set(numbers)) < len(places):
        raise NoVolume("whose slices have neither a place nor distinct numbers to sort them by")
    return sorted(range(len(places)), key=numbers.__getitem__), False


def _where(places: Sequence[Place], name: str, value: object) -> list[int]:
    return [index for index, place in enumerate(places) if getattr(place, name) == value]


def _check_one(places: Sequence[Place]) -> None:
    """Refuse slices of several volumes.

    Raises:
        NoVolume: They show several things.
    """
    several = _several(places)
    if several:
        raise NoVolume(f"of several {several}, each a volume of its own; save each as a series of its own")


def _several(places: Sequence[Place]) -> str:
    """What slices show several of, each in two slices at least; "" where they are one volume's.

    >>> _several([Place(shows=(("echoes", time),)) for time in (10.0, 90.0, 10.0, 90.0)])
    'echoes'
    """
    names = {name: None for place in places for name, _ in place.shows}
    for name in names:
        found = [dict(place.shows).get(name) for place in places]
        if None in found:  # not said of every slice
            continue
        counts = Counter(_rounded(found))
        if len(counts) > 1 and sorted(counts.values())[-2] > 1:
            return name
    return ""


def _rounded(values: Sequence[str | float | None]) -> list[str | int]:
    """Words as they are; numbers by the step on which they stand, a step being wider than what rounding makes."""
    numbers = sorted({value for value in values if isinstance(value, float)})
    step, steps = 0, dict[float, int]()
    for number, before in zip(numbers, [None, *numbers], strict=False):
        step += before is not None and number - before > _SAME * max(abs(number), abs(before))
        steps[number] = step
    return [steps[value] if isinstance(value, float) else str(value) for value in values]


def spread(places: Sequence[Place]) -> int:
    """At how many different places the slices stand."""
    return len({place.position for place in places if place.known})

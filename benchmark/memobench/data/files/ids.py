"""Ids of patients that mean the same person though they are written differently, or look as if they did."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from memobench.data.files.walk import shown


def spelling(patient: str) -> str:
    r"""What two spellings of one id have in common: case, spaces and Unicode's composed or decomposed letters aside.

    >>> spelling("M\u00fcller 1") == spelling("mu\u0308ller1")
    True
    """
    return "".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", patient).casefold()).split())


def likeness(patient: str) -> str:
    """As :func:`spelling`, with what tables do to numbers aside: leading zeros, and ``.0`` behind them.

    >>> likeness("P007") == likeness("p7"), likeness("12.0") == likeness("12"), likeness("1.5") == likeness("15")
    (True, True, False)
    """
    plain = re.sub(r"^([0-9]+)\.0+$", r"\1", spelling(patient))
    return re.sub(r"(?<![0-9.])0+(?=[0-9])", "", plain)


def respelt(patients: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """One spelling for each person, the first in order, and a note where there are several.

    >>> respelt(["P1", "p1", "P2"])[0]
    {'P1': 'P1', 'p1': 'P1', 'P2': 'P2'}
    """
    same: dict[str, set[str]] = defaultdict(set)
    for one in patients:
        same[spelling(one)].add(one)
    canon = {one: min(spellings) for spellings in same.values() for one in sorted(spellings)}
    several = [sorted(spellings) for spellings in same.values() if len(spellings) > 1]
    if not several:
        return canon, ()
    ids = "1 patient id is" if len(several) == 1 else f"{len(several)} patient ids are"
    return canon, (f"{ids} spelt in several ways (such as {_listed(several[0])}); each counts as one patient",)


def lookalikes(patients: Iterable[str]) -> tuple[str, ...]:
    """A note on ids that differ only in leading zeros or ``.0``, and so are perhaps one person's.

    >>> lookalikes(["007", "7", "8"])[0][:60]
    '1 patient id stands in several forms that differ only in lea'
    """
    like: dict[str, set[str]] = defaultdict(set)
    for one in patients:
        like[likeness(one)].add(one)
    several = [sorted(forms) for forms in like.values() if len({spelling(one) for one in forms}) > 1]
    if not several:
        return ()
    ids = "1 patient id stands" if len(several) == 1 else f"{len(several)} patient ids stand"
    return (
        f"{ids} in several forms that differ only in leading zeros or .0 (such as {_listed(several[0])}); they count "
        "as different people; write them in one way if they are not",
    )


def _listed(forms: Sequence[str]) -> str:
    return ", ".join(shown(one) or "nothing" for one in forms[:3])

"""What copied regions say to the decision: the numbers that its rows ask for, and their sentences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from memobench.results import PartFound, RegionsFound

FOUND = 0.8  # of planted parts of a size, for it to count as found
UNSEEN = (
    "Not covered: parts that lie elsewhere in the body than in the training image, or are turned, mirrored or "
    "zoomed by themselves. Detail finer than 64 pixels (volumes 32) along the longest side is not covered either."
)
SIZES = (  # what parts of a size are, for people: from this share of the image on
    (0.45, "half of an image"),
    (0.2, "quarter of an image (a large organ)"),
    (0.1, "eighth (about one lung of a chest radiograph)"),
    (0.05, "sixteenth (a small organ)"),
    (0.0, "thirty-second (a nodule, a device)"),
)


@dataclass(frozen=True)
class RegionFindings:
    """What is known of regions. Samples that are copies as a whole are not counted again.

    Attributes:
        images: Samples that were searched.
        called: Further samples that repeat a region of a training patient's image at the threshold of a copy.
        certain: Further samples of which that is certain.
        certain_patients: Of how many patients.
        held_out_called: As ``called``, of held-out patients.
        held_out_certain: As ``certain``.
        expected: How many of ``called`` chance gives.
        held_out_expected: As ``expected``.
        p_count: How often chance gives as many of training patients, whole copies included.
        p_held_out: The same of held-out patients.
        p_single: Smallest p-value of a match, adjusted for the number of samples.
        parts: Planted parts, the largest first: share of the image, and share found.
        groups: Groups of planted copies: name, and share found as a whole or by a region.
    """

    images: int
    called: int = 0
    certain: int = 0
    certain_patients: int = 0
    held_out_called: int = 0
    held_out_certain: int = 0
    expected: float = 0.0
    held_out_expected: float = 0.0
    p_count: float = 1.0
    p_held_out: float = 1.0
    p_single: float = 1.0
    parts: tuple[tuple[float, float], ...] = ()
    groups: tuple[tuple[str, float], ...] = ()

    @property
    def further(self) -> int:
        """Samples of either side that regions alone show."""
        return max(self.called, self.certain) + max(self.held_out_called, self.held_out_certain)


def region_findings(found: RegionsFound, known: Collection[int]) -> RegionFindings:
    """Findings from a record.

    Args:
        found: Of the regions.
        known: Numbers of the samples that are called copies as a whole.
    """
    new = [call for call in found.calls if call.sample not in known]
    of_train, held_out = [call for call in new if call.image >= 0], [call for call in new if call.image < 0]
    sure = [call for call in of_train if call.certain]
    return RegionFindings(
        images=found.searched,
        called=sum(call.score >= found.tau for call in of_train),
        certain=len(sure),
        certain_patients=len({call.patient for call in sure}),
        held_out_called=sum(call.score >= found.tau for call in held_out),
        held_out_certain=sum(call.certain for call in held_out),
        expected=found.train.expected,
        held_out_expected=found.holdout.expected,
        p_count=found.train.p_count,
        p_held_out=found.holdout.p_count,
        p_single=found.train.p_single,
        parts=tuple((part.share, part.found) for part in found.parts),
        groups=tuple((group.name, group.found) for group in found.groups),
    )


def region_rows(found: RegionsFound | None) -> tuple[int, ...]:
    """Numbers of the samples to hold back for a region, the strongest match first."""
    return () if found is None else tuple(call.sample for call in found.calls)


def parts_words(parts: Sequence[tuple[float, float]] | Sequence[PartFound]) -> str:
    """What planted parts of an image say: the smallest that is found, and the largest that is not.

    >>> parts_words([(0.5, 1.0), (0.25, 0.85), (0.125, 0.5)])
    'Of parts, a copied quarter of an image (a large organ) would be found (85% of those planted, at 1% false \
positives). A copied eighth (about one lung of a chest radiograph) would not (50%).'
    """
    pairs = [(one.share, one.found) if isinstance(one, PartFound) else one for one in parts]
    if not pairs:
        return "No parts were planted to see what is found of them."
    ordered = sorted(pairs, reverse=True)
    seen = 0
    while seen < len(ordered) and ordered[seen][1] >= FOUND:
        seen += 1
    if not seen:
        share, found = ordered[0]
        return (
            f"Of parts, not even a copied {_size(share)} would be found reliably ({100 * found:.0f}% of those planted, "
            "at 1% false positives)."
        )
    share, found = ordered[seen - 1]
    words = (
        f"Of parts, a copied {_size(share)} would be found ({100 * found:.0f}% of those planted, at 1% false positives)"
    )
    if seen == len(ordered):
        return f"{words}; smaller parts were not tried."
    share, found = ordered[seen]
    return f"{words}. A copied {_size(share)} would not ({100 * found:.0f}%)."


def groups_words(groups: Sequence[tuple[str, float]], *, most: int | None = None) -> str:
    """What groups of planted copies say: the kinds that this measurement does not find reliably; "" for none planted.

    Args:
        groups: Name, and share found.
        most: How many kinds are named, those found least; None for all.

    >>> groups_words([("half", 1.0), ("tenth", 0.4), ("text", 0.0)])
    'Planted copies not found reliably: text (0%), tenth (40%). Of 1 other kind of copies, at \
least 80% were found.'
    >>> groups_words([(name, 0.0) for name in "abcde"], most=3)
    'Planted copies not found reliably: a (0%), b (0%), c (0%) and 2 further kinds.'
    """
    if not groups:
        return ""
    missed = sorted((found, name) for name, found in groups if found < FOUND)
    rest = len(groups) - len(missed)
    if not missed:
        return f"Of each of {rest} kinds of planted copies, at least {100 * FOUND:.0f}% were found."
    shown = missed if most is None or len(missed) <= most + 1 else missed[:most]
    named = ", ".join(f"{name} ({100 * found:.0f}%)" for found, name in shown)
    if len(shown) < len(missed):
        named += f" and {len(missed) - len(shown)} further kinds"
    kinds = "kind" if rest == 1 else "kinds"
    others = f" Of {rest} other {kinds} of copies, at least {100 * FOUND:.0f}% were found." if rest else ""
    return f"Planted copies not found reliably: {named}.{others}"


def _size(share: float) -> str:
    return next(words for least, words in SIZES if share >= least)

"""The decision on a synthetic set: one table of conditions, words and sentences, for audits, runs and the board.

"Do not release": a certain copy, more copies than chance gives, or a generator that has seen the held-out patients.
"Review": an image is called a copy, the set leans towards the training patients, or something is odd about the sets.
"No copies found": none of these. Then the sentence says what could not have been seen.

The tests that may convict share 5% of sets without copies in which they may do so wrongly:

| test | regions searched | whole images alone |
|---|---|---|
| exact permutation tests, two, with regions three (Bonferroni) | 2% | 2% |
| number of training matches, number of held-out matches, each | 0.375% | 1% |
| the same two of regions, each | 0.375% | |
| single matches of both sides (Holm 1979) | 1% | 1% |
| single matches of regions, of both sides (Holm 1979) | 0.1% | |

as :mod:`memobench.memorization.certainty` and :mod:`memobench.measure.regions` compute them. Results of versions that
searched no regions keep the last column. The tests of counts and of single matches rest on the tail of the null scores,
which is extrapolated; for regions of real images it was tried on few sets so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from memobench.measure.region_words import RegionFindings, groups_words, parts_words

Word = Literal["no copies found", "review", "do not release"]
WORDS: tuple[Word, ...] = ("no copies found", "review", "do not release")  # the mildest first

PERMUTED = 0.02  # of the two permutation tests together, or of the three where regions were searched
PERMUTED_WEAK = 0.001  # the same where no image matches a training patient better than 95% of new patients' images
COUNTED = 0.01  # of each of two counts, where regions were not searched,
COUNTED_OF_FOUR = 0.00375  # and of each of four, where they were
SURE = 0.05  # below it a p-value is a reason to look
TOO_LITTLE = 0.25  # where a greater share of copies than this is not excluded, too little is known
LEAST_SENSITIVITY = 0.75  # a detector that finds fewer planted copies than this is blind to too much
FEW_PATIENTS = 20  # fewer on a side are too few to tell chance from copies
NAMED = 5  # files in a sentence
KINDS = 4  # of copies that are not found, in a first paragraph
UNDER = 0.95  # planted copies found, below which a kind of change is named


@dataclass(frozen=True)
class Findings:
    """What is known of a set: plain numbers and names.

    Attributes:
        images: Synthetic images that were compared.
        called: How many match a training patient at the threshold of a copy, and no held-out patient better.
        held_out_called: How many match a held-out patient so.
        names: The images to hold back, strongest match first; empty where names are not known or must not be given.
        where: The file that lists them all; empty for none.
        led: How many of these are held back only because they lead the list of matches.
        exact: How many images are pixel for pixel a training image, apart from brightness and contrast.
        certain: How many match a training patient so strongly that chance is excluded.
        certain_patients: Of how many patients.
        held_out_certain: How many match a held-out patient so.
        p_single: Smallest p-value of a match with a training patient, adjusted for the number of images.
        p_closest: How often the image of a new patient matches anybody as the strongest match with a training patient
            does; 0 where it is not known.
        groups: ``called``, with near-identical images and images of one patient counted once; None where not known.
        expected: How many of ``groups`` chance gives; None where not known.
        p_count: How often chance gives as many.
        held_out_groups: As ``groups``, of held-out patients.
        held_out_expected: As ``expected``.
        p_held_out: As ``p_count``.
        p_permuted: p-value of the permutation tests, smallest times their number; None where none is valid.
        rate: Estimated share of copies with the ends of its 95% interval.
        patients: Training patients copied, as estimated.
        share: Share of images nearer to training than to held-out patients; None without held-out patients.
        p_share: Its p-value; None where it is not valid.
        preset: Of the detector.
        train_patients: Patients in train; None where not known.
        holdout_patients: Patients held out; 0 where there are none.
        shifted: How well train and held-out patients can be told apart (0.5 to 1) where they differ; None where not.
        strata: Columns within which labels were exchanged.
        pose: In words, which sets lie or look differently; empty where none does.
        empty: Synthetic images with nothing to compare.
        sheets: Synthetic images that seem to show several images each.
        unread: Synthetic files that could not be read.
        carriers: Synthetic files whose name or header carries a real patient's id or a real file's name.
        sensitivity: Share of planted copies that the detector finds here; None where it was not measured.
        weakest: Kinds of planted copies with the share found, the least first.
        unmet: Which limits of the policy the set does not keep, in words.
        noun: What one image is called.
        real: Whether the patients are real people.
        elsewhere: What the generator was declared to be trained on instead of these training images, "" for nothing;
            None where it learned from these.
        regions: What is known of copied regions; None where they were not searched.
    """

    images: int
    called: int = 0
    held_out_called: int = 0
    names: tuple[str, ...] = ()
    where: str = ""
    led: int = 0
    exact: int = 0
    certain: int = 0
    certain_patients: int = 0
    held_out_certain: int = 0
    p_single: float = 1.0
    p_closest: float = 0.0
    groups: int | None = None
    expected: float | None = None
    p_count: float = 1.0
    held_out_groups: int | None = None
    held_out_expected: float | None = None
    p_held_out: float = 1.0
    p_permuted: float | None = None
    rate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    patients: float = 0.0
    share: float | None = None
    p_share: float | None = None
    preset: str = "quick"
    train_patients: int | None = None
    holdout_patients: int = 0
    shifted: float | None = None
    strata: tuple[str, ...] = ()
    pose: str = ""
    empty: int = 0
    sheets: int = 0
    unread: int = 0
    carriers: int = 0
    sensitivity: float | None = None
    weakest: tuple[tuple[str, float], ...] = ()
    unmet: tuple[str, ...] = ()
    noun: str = "image"
    real: bool = True
    elsewhere: str | None = None
    regions: RegionFindings | None = None

    @property
    def all_called(self) -> int:
        """Images that match a real patient of either side at the threshold of a copy, or certainly, all or a region."""
        whole = max(self.called, self.certain, self.exact) + max(self.held_out_called, self.held_out_certain)
        return whole + self.parts.further

    @property
    def parts(self) -> RegionFindings:
        """What is known of regions; nothing where they were not searched."""
        return RegionFindings(0) if self.regions is None else self.regions

    @property
    def counted(self) -> float:
        """Below which the p-value of a count convicts."""
        return COUNTED if self.regions is None else COUNTED_OF_FOUR

    @property
    def most(self) -> float:
        """The largest share of copies that is not excluded.

        n images without a copy exclude no smaller share than about 3 / n (Hanley & Lippman-Hand 1983).
        """
        return min(1.0, max(self.rate[2], 1 - float(0.05 ** (1 / max(self.images, 1)))))


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: Of the condition.
        word: The mildest word that the set can get where it holds.
        holds: Whether it holds.
        says: The reason in a sentence, for people who know no statistics.
    """

    name: str
    word: Word
    holds: Callable[[Findings], bool]
    says: Callable[[Findings], str]


@dataclass(frozen=True)
class Decision:
    """What to do with a set.

    Attributes:
        word: "do not release", "review" or "no copies found".
        sentence: The first paragraph of every report: what to do, why, which files to hold back, whom to inform, what
            was not checked.
        reasons: Every reason, a sentence each, the strongest first.
        hold_back: The images to hold back, the strongest match first.
        rows: Names of the rows that hold, in the order of ``reasons``.
    """

    word: Word
    sentence: str
    reasons: tuple[str, ...]
    hold_back: tuple[str, ...]
    rows: tuple[str, ...]


def decide_set(findings: Findings) -> Decision:
    """The decision: the strictest word of all rows that hold, with the reason of each.

    >>> decide_set(Findings(images=300, called=1, certain=1, certain_patients=1, names=("7.png",))).word
    'do not release'
    >>> decide_set(Findings(images=300, called=1, expected=0.3, names=("7.png",), holdout_patients=50)).word
    'review'
    """
    held = [row for row in TABLE if row.holds(findings)]
    stopped = [row for row in held if row.word == "do not release"]
    word: Word = "do not release" if stopped else "review" if held else "no copies found"
    ordered = [*stopped, *(row for row in held if row not in stopped)]
    reasons = tuple(row.says(findings) for row in ordered)
    named = () if word == "no copies found" else findings.names
    return Decision(word, _sentence(findings, word, ordered), reasons, named, tuple(row.name for row in ordered))


def not_checked(findings: Findings) -> str:
    """What the detector cannot see: the kinds of planted copies that it misses most often, with their figures."""
    whole = _whole_not_checked(findings)
    if findings.regions is None:  # of versions that did not search them
        return whole
    searched, compared = findings.regions.images, findings.images - findings.empty
    some = (
        f"Parts were searched in {searched} of the {compared} {findings.noun}s only, drawn at random."
        if 0 < searched < compared
        else ""
    )
    said = (whole, some, parts_words(findings.regions.parts), groups_words(findings.regions.groups, most=KINDS))
    return " ".join(words for words in said if words)


def _whole_not_checked(findings: Findings) -> str:
    if findings.sensitivity is None:
        return "What share of changed copies the detector finds was not measured here."
    missed = [(kind, share) for kind, share in findings.weakest if share < UNDER][:3]
    whole = f"Of copies planted to test it, the detector finds {percent(findings.sensitivity)}"
    if missed:
        kinds = listed([f"{kind} ({percent(share)})" for kind, share in missed])
        return f"{whole}; it sees least of those changed by {kinds}. Copies changed more strongly were not checked."
    return f"{whole}. Copies changed more strongly, or in other ways, were not checked."


def planted_words(findings: Findings) -> str:
    """The share of planted copies that is found, for each kind of change, the least first."""
    missed = [(kind, share) for kind, share in findings.weakest if share < 1]
    if not findings.weakest:
        return "No copies were planted to see what the detector finds."
    if not missed:
        return "All planted copies were found; what is changed in other ways, or more strongly, may be missed."
    kinds = listed([f"{kind} {percent(share)}" for kind, share in missed])
    others = " (all of the others)" if len(missed) < len(findings.weakest) else ""
    return f"Planted copies that were found, by how they were changed: {kinds}{others}."


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.1234), percent(0.5), percent(0.00004), percent(0.0), percent(1.0)
    ('12.3%', '50%', '0.01%', '0%', '100%')
    """
    if share <= 0:
        return "0%"
    value = 100 * share
    shown = f"{value:.1f}" if value >= 0.05 else f"{max(value, 0.01):.2f}"
    return f"{shown.removesuffix('.0')}%"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def files_words(names: Sequence[str], count: int, where: str, noun: str = "image") -> str:
    """The files to hold back: all if few, else the first ones and where the full list stands.

    >>> files_words(["a.png", "b.png"], 2, "audit.csv")
    'a.png and b.png'
    >>> files_words([f"{k}.png" for k in range(9)], 9, "audit.csv")
    '0.png, 1.png, 2.png, 3.png, 4.png and 4 more (all are listed in audit.csv)'
    """
    all_of_them = f" (all are listed in {where})" if where else ""
    if not names:
        return f"{_count(count, noun)}{all_of_them}"
    if len(names) <= NAMED:
        return listed(list(names))
    return f"{listed([*names[:NAMED], f'{len(names) - NAMED} more'])}{all_of_them}"


def _sentence(findings: Findings, word: Word, rows: Sequence[Row]) -> str:
    things = f"{findings.noun}s"
    these = "this set" if findings.noun == "image" else "these samples"
    parts = []
    if word == "do not release":
        parts.append(f"Do not release {these}.")
        lead = [row for row in rows if row.word == word]
        parts += [row.says(findings) for row in lead[:2]]
    elif word == "review":
        # a policy has a line of its own below; it leads only where nothing else is to be said
        lead = [row for row in rows if row.name != "policy"][:3] or list(rows[:1])
        parts.append(f"Have {these} reviewed before anybody shares {'it' if findings.noun == 'image' else 'them'}.")
        parts += [row.says(findings) for row in lead]
    else:
        lead = []
        parts.append(
            f"No copies were found among {_count(findings.images, findings.noun)}. At most {percent(findings.most)} of "
            f"them could be copies of the kinds that were tested (95% interval)."
        )
    parts += [row.says(findings) for row in rows if row.name in FIRST and row not in lead]
    count = len(findings.names) or findings.all_called
    if word == "do not release" and findings.led:
        one, more, why = LED if findings.p_permuted is not None else CLOSE
        parts.append(f"{_count(findings.led, f'more {findings.noun}')} {one if findings.led == 1 else more} {why}")
    if count and word != "no copies found":
        parts.append(f"Hold back {files_words(findings.names, count, findings.where, findings.noun)}.")
    elif word == "do not release":
        parts.append(f"No single {findings.noun} can be named, so hold back all {things}.")
    if findings.real and (word == "do not release" or findings.all_called):
        parts.append(_inform(findings, word))
    parts.append(not_checked(findings))
    return " ".join(parts)


def _inform(findings: Findings, word: Word) -> str:
    if word != "do not release":
        return "If a person who knows the images takes one for a copy, inform your data protection officer."
    number = findings.certain_patients or max(round(findings.patients), 0)
    who = {0: "the patients concerned", 1: "the patient concerned"}.get(
        number, f"the {number} or so patients concerned"
    )
    return f"Inform your data protection officer, who decides whether {who} must be told."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _are(findings: Findings, number: int) -> str:
    """How many of the images, with the verb."""
    return f"{number} of the {_count(findings.images, findings.noun)} {'is' if number == 1 else 'are'}"


def _match(findings: Findings, number: int) -> str:
    return f"{number} of the {_count(findings.images, findings.noun)} {'matches' if number == 1 else 'match'}"


def _seldom(p_value: float) -> str:
    """How seldom chance does something, in words.

    >>> _seldom(0.004), _seldom(1e-12)
    ('in about 1 of 250 such sets', 'in fewer than 1 of 1,000,000 such sets')
    """
    if p_value < 1e-6:
        return "in fewer than 1 of 1,000,000 such sets"
    return f"in about 1 of {round(1 / p_value):,} such sets"


def _by_chance(groups: int, expected: float | None, *, convicts: bool = False) -> str:
    """What chance explains, never more than it does; nothing where one certain match may convict."""
    if expected is None:
        return "."
    about = "fewer than 0.1" if expected < 0.1 else f"about {expected:.1f}"
    if expected >= groups and convicts:
        return "."
    if expected >= groups:
        return f"; chance alone gives {about}, so chance can explain this."
    return f"; chance alone gives {about}."


def _exact(findings: Findings) -> str:
    return f"{_are(findings, findings.exact)} pixel for pixel a training image, apart from brightness and contrast."


def _certain(findings: Findings) -> str:
    patients = (
        "1 training patient" if findings.certain_patients == 1 else f"{findings.certain_patients} training patients"
    )
    kind = "a certain copy" if findings.certain == 1 else "certain copies"
    of = f" of {patients}" if findings.certain_patients else " of training patients"
    return (
        f"{_are(findings, findings.certain)} {kind}{of}: chance would give so strong a match "
        f"{_seldom(findings.p_single)}."
    )


def _leak(findings: Findings) -> str:
    number = max(findings.held_out_called, findings.held_out_certain)
    groups = findings.held_out_groups if findings.held_out_groups is not None else number
    chance = _by_chance(groups, findings.held_out_expected, convicts=True)
    return (
        f"The generator has seen the held-out patients: {_match(findings, number)} one of them as a copy does{chance} "
        "Ask who trained it which patients it saw."
    )


def _more_than_chance(findings: Findings) -> str:
    groups = findings.groups if findings.groups is not None else findings.called
    alone = "" if groups == findings.called else f" ({groups} with near-identical images counted once)"
    matched = f"{_match(findings, findings.called)} training patients as copies do"
    return f"{matched}{alone}{_by_chance(groups, findings.expected)}"


def _leads(findings: Findings) -> bool:
    """Whether training patients lead the strongest matches; weak matches must lead by more.

    Noise matches nobody, yet its weak matches can lean to one side, by chance or by the contrast of one scanner, and
    every control of a task meets the same patients. Copies that have lost their detail match weakly too, but all of
    them lead.
    """
    if findings.p_permuted is None:
        return False
    strong = findings.p_closest < SURE or findings.parts.called > 0 or findings.parts.certain > 0
    return findings.p_permuted < (PERMUTED if strong else PERMUTED_WEAK)


def _led(findings: Findings) -> str:
    rate, low, high = (max(value, 0.0) for value in findings.rate)
    chance = _seldom(findings.p_permuted or 1.0)
    if rate > 0:
        number = max(round(findings.patients), 1)
        patients = "1 training patient" if number == 1 else f"{number} training patients"
        return (
            f"About {percent(rate)} of the {_count(findings.images, findings.noun)} are copies of about {patients} "
            f"(95% interval {percent(low)} to {percent(high)}); chance does as much {chance}."
        )
    return (
        f"The strongest matches are with training patients more often than chance gives ({chance}); up to "
        f"{percent(findings.most)} of the {_count(findings.images, findings.noun)} are copies."
    )


def _region(findings: Findings, number: int, whose: str) -> str:
    repeat = "repeats" if number == 1 else "repeat"
    return f"{number} of the {_count(findings.parts.images, findings.noun)} {repeat} a region of {whose}'s image"


def _certain_region(findings: Findings) -> str:
    parts = findings.parts
    whose = "a training patient"
    return (
        f"{_region(findings, parts.certain, whose)} with certainty: chance would give so strong a match "
        f"{_seldom(parts.p_single)}."
    )


def _leaked_region(findings: Findings) -> str:
    parts = findings.parts
    number = max(parts.held_out_called, parts.held_out_certain)
    return (
        f"The generator has seen the held-out patients: {_region(findings, number, 'a held-out patient')} as a copy "
        f"does{_by_chance(number, parts.held_out_expected, convicts=True)} Ask who trained it which patients it saw."
    )


def _region_called(findings: Findings) -> str:
    parts = findings.parts
    return (
        f"{_region(findings, parts.called, 'a training patient')} as closely as a copy"
        f"{_by_chance(parts.called, parts.expected)}"
    )


def _held_out_region_called(findings: Findings) -> str:
    parts = findings.parts
    return (
        f"{_region(findings, parts.held_out_called, 'a held-out patient')} as closely as a copy"
        f"{_by_chance(parts.held_out_called, parts.held_out_expected)}"
    )


def _called(findings: Findings) -> str:
    groups = findings.groups if findings.groups is not None else findings.called
    matched = f"{_match(findings, findings.called)} a training patient as closely as a copy"
    return f"{matched}{_by_chance(groups, findings.expected)}"


def _held_out_called(findings: Findings) -> str:
    groups = findings.held_out_groups if findings.held_out_groups is not None else findings.held_out_called
    return (
        f"{_match(findings, findings.held_out_called)} a held-out patient as closely as a copy"
        f"{_by_chance(groups, findings.held_out_expected)}"
    )


def _shift(findings: Findings) -> str:
    within = f" even within {listed(findings.strata)}" if findings.strata else ""
    apart = (
        ""
        if findings.shifted is None
        else f" (told apart in {percent(findings.shifted)} of pairs, 50% if they do not differ)"
    )
    return (
        f"Train and held-out patients differ{within}{apart}, so the exact tests do not apply and fewer copies are "
        "found. Hold out patients of the same sources, or name the manifest columns that explain the difference, for "
        "example --strata site,view."
    )


def _little(findings: Findings) -> str:
    if findings.images == 1:
        return f"Too little is known of 1 {findings.noun}. Compare more images, against more held-out patients."
    return (
        f"Too little is known: even {percent(findings.most)} of the {_count(findings.images, findings.noun)} could be "
        "copies (95% interval). Compare more images, against more held-out patients."
    )


def _few(findings: Findings) -> str:
    number = min(findings.train_patients or FEW_PATIENTS, findings.holdout_patients or FEW_PATIENTS)
    return (
        f"There are only {_count(number, 'patient')} in train or held out; give at least {FEW_PATIENTS} on each side, "
        "or copies cannot be told from chance."
    )


def _elsewhere(findings: Findings) -> str:
    declared = f'on "{findings.elsewhere}"' if findings.elsewhere else "on images that were not declared"
    return (
        f"The generator was trained {declared}, and copies of those images cannot be seen here. Compare with the "
        "images that it learned from, or say --trained-on task if they are the training images of the task."
    )


def _too_few(findings: Findings) -> bool:
    train, held_out = findings.train_patients, findings.holdout_patients
    return (train is not None and train < FEW_PATIENTS) or 0 < held_out < FEW_PATIENTS


def _empty(findings: Findings) -> str:
    are = "has" if findings.empty == 1 else "have"
    return (
        f"{_count(findings.empty, findings.noun)} {are} nothing to compare (even grey, or hardly any content) and "
        f"{'was' if findings.empty == 1 else 'were'} not matched with anybody."
    )


def _sheets(findings: Findings) -> str:
    seem, them = ("seems to be a sheet", "it") if findings.sheets == 1 else ("seem to be sheets", "them")
    return (
        f"{_count(findings.sheets, findings.noun)} {seem} of several images, whose parts were not compared. Cut {them} "
        f"into single images, or leave {them} out."
    )


def _leaning(findings: Findings) -> bool:
    return (
        findings.share is not None
        and findings.share > 0.5
        and (1.0 if findings.p_share is None else findings.p_share) < SURE
    )


TABLE: tuple[Row, ...] = (
    Row("exact copy", "do not release", lambda f: f.exact > 0, _exact),
    Row("certain copy", "do not release", lambda f: f.certain > 0, _certain),
    Row(
        "held-out patients seen",
        "do not release",
        lambda f: f.held_out_certain > 0 or (f.p_held_out < f.counted and f.held_out_called > 0),
        _leak,
    ),
    Row(
        "more copies than chance", "do not release", lambda f: f.p_count < f.counted and f.called > 0, _more_than_chance
    ),
    Row("certain copy of a region", "do not release", lambda f: f.parts.certain > 0, _certain_region),
    Row(
        "regions of held-out patients seen",
        "do not release",
        lambda f: f.parts.held_out_certain > 0 or (f.parts.p_held_out < f.counted and f.parts.held_out_called > 0),
        _leaked_region,
    ),
    Row(
        "more copied regions than chance",
        "do not release",
        lambda f: f.parts.p_count < f.counted and f.parts.called > 0,
        _region_called,
    ),
    Row("training patients lead", "do not release", _leads, _led),
    Row(
        "preset smoke",
        "review",
        lambda f: f.preset == "smoke",
        lambda f: (
            "This only tested the path (preset smoke): its detector is hardly trained, so it says nothing about "
            "whether the images can be shared. Use preset quick or above."
        ),
    ),
    Row("trained elsewhere", "review", lambda f: f.elsewhere is not None, _elsewhere),
    Row("called", "review", lambda f: f.called > 0, _called),
    Row("called of held-out patients", "review", lambda f: f.held_out_called > 0, _held_out_called),
    Row("region called", "review", lambda f: f.parts.called > 0, _region_called),
    Row("region called of held-out patients", "review", lambda f: f.parts.held_out_called > 0, _held_out_region_called),
    Row(
        "regions not searched",
        "review",
        lambda f: f.regions is not None and not f.regions.images,
        lambda f: "Parts of images were not searched, so copied regions would stay unseen; the notes say why.",
    ),
    Row("shifted holdout", "review", lambda f: f.shifted is not None, _shift),
    Row("other pose", "review", lambda f: bool(f.pose), lambda f: f"{f.pose[:1].upper()}{f.pose[1:].rstrip('.')}."),
    Row("nothing to compare", "review", lambda f: f.empty > 0, _empty),
    Row("sheets of images", "review", lambda f: f.sheets > 0, _sheets),
    Row(
        "no held-out patients",
        "review",
        lambda f: f.holdout_patients == 0,
        lambda f: "There were no held-out patients, so chance itself was not measured.",
    ),
    Row("too little to tell", "review", lambda f: f.most > TOO_LITTLE, _little),
    Row("few patients", "review", _too_few, _few),
    Row(
        "training patients lead somewhat",
        "review",
        lambda f: f.p_permuted is not None and f.p_permuted < SURE and not _leads(f),
        lambda f: (
            f"The strongest matches are with training patients more often than usual; chance does as much "
            f"{_seldom(f.p_permuted or 1.0)}."
            + (
                f" But no {f.noun} matches them better than 95% of new patients' images match somebody."
                if f.p_closest >= SURE
                else ""
            )
        ),
    ),
    Row(
        "leans towards the training patients",
        "review",
        _leaning,
        lambda f: (
            f"The {f.noun}s lean towards the training patients: {percent(f.share or 0.0)} are nearer to them than to "
            "held-out patients, where 50% is expected. That is no copy by itself."
        ),
    ),
    Row(
        "blind detector",
        "review",
        lambda f: f.sensitivity is not None and f.sensitivity < LEAST_SENSITIVITY,
        lambda f: (
            f"The detector finds only {percent(f.sensitivity or 0.0)} of planted copies here, less than "
            f"{percent(LEAST_SENSITIVITY)}: many copies would stay unseen."
        ),
    ),
    Row(
        "unread files",
        "review",
        lambda f: f.unread > 0,
        lambda f: (
            f"{_count(f.unread, 'synthetic file')} could not be read and "
            f"{'was' if f.unread == 1 else 'were'} not checked."
        ),
    ),
    Row(
        "real names",
        "review",
        lambda f: f.carriers > 0,
        lambda f: (
            f"{_count(f.carriers, 'synthetic file')} {'carries' if f.carriers == 1 else 'carry'} the id of a real "
            "patient or the name of a real file, in the name or the header; --clean leaves such files out."
        ),
    ),
    Row(
        "policy",
        "review",
        lambda f: bool(f.unmet),
        lambda f: f"The policy is not met: {'; '.join(f.unmet)}.",
    ),
)
LED = (
    "leads",
    "lead",
    "the list of matches: training patients stand there so often that chance explains at most 1 in 10.",
)
CLOSE = ("matches", "match", "training patients so closely that chance explains at most 1 in 10.")  # nobody is a decoy
FIRST = (
    "preset smoke",
    "trained elsewhere",
    "shifted holdout",
)  # reasons that every first paragraph gives where they hold

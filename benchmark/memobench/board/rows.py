"""Rows of the board: submissions that differ only in their seed stand in one, and the worst known attack counts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memobench.base.store import digest_of
from memobench.board.combine import Number, combine
from memobench.board.read import Frame, Listed
from memobench.report.words import SURE
from memobench.results import Metric
from memobench.submissions.ranges import WIDEST, span_of
from memobench.submissions.weigh import Weighed

MIN_SEEDS = 3
LEVELS = ("failed", "unverified", "self-reported", "rescored", "reproduced")  # from the least to the most trusted
LEAK_ASKED = (
    "images not clearly worse than real ones of other patients: the leak test is asked for (bench verify --level "
    "rescored)"
)
MEASURED = ("rescored", "reproduced")
QUALITY, RATE, EVIDENCE = "fd_ssl", "copy_rate", "copy_evidence"
DECISIONS = ("no copies found", "review", "do not release")  # from the mildest to the hardest
SEEN = 0.01  # p-value of a row below which its generator has seen held-out patients, or copies for certain
COPIES, LEANS = "copies", "leans towards the training patients"


@dataclass(frozen=True)
class Row:
    """One row of the board.

    Attributes:
        key: Its name in files and links: lower-case letters, digits and hyphens.
        seeds: The submissions, by seed.
        attacks: Passed attacks on them, by the name of the submission attacked.
        numbers: Every metric that all seeds have, by name; ``copy_rate`` is the worst known.
        source: Where the copy rate comes from: "own detector", or the attack that found more.
        p_value: Of finding so many copies by chance, over seeds and looks (Bonferroni); None where incomplete.
        missing: What an entry must have to be ranked, and this one has not.
        unranked: Why the row has no rank; empty where it has one.
        marks: What a reader must know before comparing.
    """

    key: str
    task: str
    model: str
    submitter: str
    preset: str
    control: bool
    level: str
    seeds: tuple[Listed, ...]
    attacks: dict[str, tuple[Listed, ...]]
    numbers: dict[str, Number]
    source: str
    p_value: float | None
    missing: tuple[str, ...]
    unranked: str
    marks: tuple[str, ...]

    @property
    def measured(self) -> bool:
        """Whether somebody measured every seed again."""
        return self.level in MEASURED

    @property
    def at_zero(self) -> bool:
        """Whether the copy rate is statistically at zero.

        The lower end of its interval is not above 0, and none of the p-values of copy rate and copy evidence over all
        seeds is below 0.05 after multiplying by their number (:func:`p_value_of`), as the decision table wants.
        """
        low = self.numbers[RATE].low
        return low is not None and low <= 0 and self.p_value is not None and self.p_value >= SURE

    @property
    def copies(self) -> bool:
        """Whether samples are copies.

        The row is not at zero, and more samples are called for train than for holdout; or single matches with train are
        so certain, or so many, as new patients give once in a hundred rows.
        """
        certain = any(w is not None and w.p_copies < SEEN / len(self.seeds) for w in self._weighed)
        return certain or (not self.at_zero and self.numbers[RATE].value > 0)

    @property
    def convicted(self) -> bool:
        """Whether the tests say that training patients are given away, over all seeds or by one of them."""
        return self.copies or self.decision == DECISIONS[-1]

    @property
    def decision(self) -> str:
        """What to do with the samples, by the seed that is worst."""
        return max((one.decision.word for one in self.seeds), key=DECISIONS.index)

    @property
    def _weighed(self) -> list[Weighed | None]:
        return [one.weighed for one in self.seeds]

    @property
    def standing(self) -> str:
        """What the tests say of copying: "copies", "leans towards the training patients", or nothing.

        It leans where no more samples reach tau for train than for holdout, but the strongest matches, or most samples,
        are nearer to training patients than chance explains.
        """
        if self.missing:
            return ""
        if self.copies:
            return COPIES
        share = self.numbers.get("train_share")
        nearer = share is not None and share.value > 0.5 and share.p_value is not None and share.p_value < SURE
        return "" if self.at_zero and not nearer else LEANS


def make_rows(listed: Sequence[Listed], frame: Frame) -> list[Row]:
    """The rows of one task, in the order of their keys.

    A row is what one submitter submitted of one generator with the same parameters, code, data and measure: everything
    in the identity but the seed. Anybody can write another's name into a submission, so a name alone joins nothing that
    ranks: seeds join where their verifier attests that the same account handed them in (:func:`_submitter_of`).

    Args:
        listed: All submissions to the task.
        frame: What the board ranks.
    """
    groups: dict[str, list[Listed]] = {}
    for one in listed:
        if one.submission.kind == "run":
            groups.setdefault(_key(one), []).append(one)
    attacks: dict[str, list[Listed]] = {}
    for one in listed:
        if one.submission.attack is not None:
            attacks.setdefault(one.submission.attack.against, []).append(one)
    return [_row(key, groups[key], attacks, frame) for key in sorted(groups)]


def counts(attack: Listed, attacked: Listed) -> bool:
    """Whether an attack counts: somebody measured it again, and it is about the very samples of the submission.

    An attack worsens another's rank, so scores that agree with each other (self-reported) are not enough.
    """
    return attack.level in MEASURED and attack.submission.samples.sha256 == attacked.submission.samples.sha256


def worst_known(attacked: Listed, attacks: Sequence[Listed]) -> tuple[Metric, str]:
    """The copy rate that ranks, and its source.

    An attack replaces the task's own detector where the lower end of its interval is the higher one: what it is sure
    to have found. A blind or a noisy detector therefore worsens nobody's rank, and cannot better it.

    Args:
        attacked: A complete submission.
        attacks: Those on it that count.
    """
    rate, source = attacked.submission.result.metrics[RATE], "own detector"
    for one in attacks:
        found = one.submission.result.metrics.get(RATE)
        if found is None or found.low is None or one.submission.attack is None:
            continue
        if found.low > (rate.low if rate.low is not None else -math.inf):
            rate, source = found, f"{one.submission.attack.detector} by {one.submission.submitter.name}"
    return rate, source


def looks(listed: Sequence[Listed]) -> list[float]:
    """The p-values of all looks at some samples."""
    metrics = [one.submission.result.metrics for one in listed]
    found = [held[name].p_value for held in metrics for name in (RATE, EVIDENCE) if name in held]
    return [p_value for p_value in found if p_value is not None]


def p_value_of(own: Sequence[float], attacks: Sequence[float]) -> float:
    """Of finding so many copies by chance in any look (Bonferroni).

    Where there are attacks, half of the error is spent on the task's own detector and half on all of them together: a
    row's own finding weakens by half at most, however many vain attacks are submitted against it.

    >>> p_value_of([0.01, 0.2], []), p_value_of([0.01, 0.2], [0.5] * 100), p_value_of([0.5], [0.001, 0.1])
    (0.02, 0.04, 0.004)
    """
    if not attacks:
        return min(1.0, len(own) * min(own))
    return min(1.0, 2 * len(own) * min(own), 2 * len(attacks) * min(attacks))


def _row(key: str, group: Sequence[Listed], attacks: dict[str, list[Listed]], frame: Frame) -> Row:
    group = sorted(group, key=lambda one: one.submission.result.identity.seed)
    first = group[0].submission
    identity = first.result.identity
    shared = [name for name in first.result.metrics if all(name in one.submission.result.metrics for one in group)]
    numbers = {
        name: combine([one.submission.result.metrics[name] for one in group], lowest=low, highest=high)
        for name in shared
        for low, high in [_range(name)]
    }
    missing = _missing(group)
    against = {one.name: tuple(a for a in attacks.get(one.name, []) if counts(a, one)) for one in group}
    source, p_value = "own detector", None
    if not missing:
        found = [worst_known(one, against[one.name]) for one in group]
        low, high = _range(RATE)
        p_value = p_value_of(looks(group), looks([one for attacks in against.values() for one in attacks]))
        numbers[RATE] = replace(combine([rate for rate, _ in found], lowest=low, highest=high), p_value=p_value)
        source = "; ".join(dict.fromkeys(s for _, s in found if s != "own detector")) or source
    level = min((one.level for one in group), key=LEVELS.index)
    return Row(
        key=key,
        task=identity.task,
        model=identity.model,
        submitter=first.submitter.name,
        preset=first.result.preset,
        control=first.result.control,
        level=level,
        seeds=tuple(group),
        attacks=against,
        numbers=numbers,
        source=source,
        p_value=p_value,
        missing=missing,
        unranked=_unranked(group, level, missing, numbers, frame),
        marks=_marks(group, numbers),
    )


def _unranked(
    group: Sequence[Listed], level: str, missing: Sequence[str], numbers: dict[str, Number], frame: Frame
) -> str:
    """Why a row has no rank, the first reason of all; empty where it has one."""
    if misfit := frame.misfit(group[0].submission.result.identity):
        return misfit
    if group[0].submission.result.control:
        return "control"
    origin = group[0].submission.result.identity.origin
    if origin is not None and origin.elsewhere is not None:
        return "not declared to be trained on the task's training images, so its copies of others cannot be seen"
    if missing:
        return f"incomplete: {', '.join(missing)}"
    if level not in MEASURED:
        return {"failed": "failed its verification", "unverified": "not verified yet"}.get(
            level, "self-reported: nobody has measured it again"
        )
    if leak := leak_of(group):
        return leak
    return LEAK_ASKED if as_good_as_real(numbers[QUALITY]) and not all(map(leak_tested, group)) else ""


def as_good_as_real(quality: Number) -> bool:
    """Whether images are not clearly worse than real images of other patients: their own null, in the same measure.

    Few generators are as good. One that gives away real patients is, be they those of train, of test or of dev.
    """
    return quality.null is not None and (quality.value if quality.low is None else quality.low) <= quality.null


def leak_tested(one: Listed) -> bool:
    """Whether a verifier has looked for images of patients outside of train and holdout among the samples."""
    return one.verification is not None and one.verification.leaks is not None


def leak_of(group: Sequence[Listed]) -> str:
    """Which patients outside of train a row gives away, in words; empty for none that is known.

    Those of holdout show in the scores. Those of test, dev and fresh are the verifier's leak test to find.
    """
    found: dict[str, int] = {}
    for weighed in (one.weighed for one in group):
        if weighed is not None and weighed.p_leak < SEEN / len(group):
            found["holdout"] = max(found.get("holdout", 0), weighed.leaked)
    for one in group:
        for leak in (one.verification.leaks or []) if one.verification is not None else []:
            if leak.found:
                found[leak.pool] = max(found.get(leak.pool, 0), leak.patients)
    words = [f"{count} patient{'' if count == 1 else 's'} of {pool}" for pool, count in found.items()]
    return f"gives away patients that it was not to see: {', '.join(words)}" if words else ""


def _missing(group: Sequence[Listed]) -> tuple[str, ...]:
    """Which of the ranked metrics a seed lacks, or has without interval or p-value."""
    found: list[str] = []
    for one in group:
        metrics = one.submission.result.metrics
        found += [f"no {name}" for name in (RATE, EVIDENCE, QUALITY) if name not in metrics]
        for name in (RATE, QUALITY):
            if name in metrics and (metrics[name].low is None or metrics[name].high is None):
                found.append(f"no interval of {name}")
        known = [name for name in (RATE, EVIDENCE) if name in metrics]
        found += [f"no p-value of {name}" for name in known if metrics[name].p_value is None]
    return tuple(dict.fromkeys(found))


def _marks(group: Sequence[Listed], numbers: dict[str, Number]) -> tuple[str, ...]:
    seeds = [one.submission.result.identity.seed for one in group]
    marks = []
    origin = group[0].submission.result.identity.origin
    if origin is not None:
        marks.append(origin.words)
    if QUALITY in numbers and as_good_as_real(numbers[QUALITY]) and all(map(leak_tested, group)):
        marks.append(
            "images not clearly worse than real ones of other patients; the leak test found none of test, dev and fresh"
        )
    if len(seeds) < MIN_SEEDS:
        marks.append(f"{len(seeds)} of {MIN_SEEDS} seeds: the interval says little of training again")
    if seeds != list(range(len(seeds))):
        marks.append(f"seeds {', '.join(map(str, seeds[:10]))}, not the first ones: they may have been chosen")
    if any(one.submission.disclosures.tuned_on_test for one in group):
        marks.append("tuned on test")
    if any(one.submission.disclosures.other_training_data for one in group):
        marks.append("other training data")
    return tuple(marks)


def _key(one: Listed) -> str:
    identity = one.submission.result.identity
    content = identity.model_dump(mode="json", exclude={"seed"})
    if identity.origin is not None:  # each seed has samples, or weights, of its own
        del content["origin"]["digest"]
    digest = digest_of({"identity": content, "submitter": _submitter_of(one)})
    word = re.sub(r"[^a-z0-9]+", "-", identity.model.lower())[:40].strip("-")
    return f"{identity.task}-{word or 'model'}-{digest}"


def _submitter_of(one: Listed) -> list[str]:
    """Whose seed it is, as far as anybody knows.

    A verified seed is its account's, as the verifier attests; where none is attested it stands alone. Seeds that nobody
    has verified stand together under the name that they give, beside the verified ones: they rank nobody.
    """
    name = one.submission.submitter.name
    if one.verification is None:
        return ["unverified", name]
    if one.verification.submitted_by:
        return ["account", name, one.verification.submitted_by]
    return ["alone", name, one.name]


def _range(name: str) -> tuple[float, float]:
    """The smallest and the largest value that a metric can take."""
    span = span_of(name)
    low, high = (-WIDEST, WIDEST) if span is None else (span.low, span.high)
    return (low if low > -WIDEST else -math.inf), (high if high < WIDEST else math.inf)

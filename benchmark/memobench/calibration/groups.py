"""Groups of copies, each among strangers treated in the same way: what is found, and what an audit says of the set.

For each group (:mod:`memobench.challenge.groups`) a set of samples is audited of which a tenth are copies; of the
strangers among them half are treated as the copies are, and half left as they are. Then come sets of strangers alone,
all treated: none of them may be accused. An audit has two scores of each sample, of the whole image and of its best
region, and a p-value for either; what is *found* are copies with a smaller p-value than 99% of all treated strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from memobench.audit.run import AuditReport, audit
from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.calibration.scene import Scene
from memobench.challenge.groups import Group, Material, Pixels, Random
from memobench.images import Images

TENTH = 10  # one sample of so many is a copy
FALSE = 0.01
STRANGERS = 90  # in a set of strangers alone


@dataclass(frozen=True)
class GroupOutcome:
    """What was found of one group.

    Attributes:
        group: Its name.
        copies: How many were planted, a tenth of the samples.
        strangers: How many strangers were treated in the same way.
        found: Share of the copies that are found at 1% false positives among these, by the better of both scores.
        whole: The same by the score of whole images alone.
        region: The same by the score of regions alone.
        right: Share of those found whose best match is an image of the patient who was copied.
        word: The audit's decision on the set.
        truth: Share of the samples that are copies.
        rate: The audit's copy rate, corrected for its sensitivity where it was, with its 95% interval.
        least: Whether that rate is said to be an "at least".
        accused: How many sets of strangers alone were given "do not release".
        sets: How many there were.
    """

    group: str
    copies: int
    strangers: int
    found: float
    whole: float
    region: float
    right: float
    word: str
    truth: float
    rate: tuple[float, float, float]
    least: bool
    accused: int
    sets: int

    @property
    def reassured(self) -> bool:
        """Whether the set, a tenth of which are copies, got an all-clear."""
        return self.word == "no copies found"

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth, or is marked "at least" and lies below it."""
        _, low, high = self.rate
        return low - 1e-12 <= self.truth and (self.least or self.truth <= high + 1e-12)


@dataclass(frozen=True)
class Plot:
    """How groups are planted.

    Attributes:
        copies: Planted copies of each group.
        sets: Sets of strangers alone for each group.
        preset: The detector's.
        seed: Of all choices.
        out: Where stages are stored; all groups share the detector and the null scores.
    """

    copies: int
    sets: int
    preset: str
    seed: int
    out: Path


def run_groups(
    scene: Scene,
    chosen: Sequence[Group],
    plot: Plot,
    *,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> list[GroupOutcome]:
    """Audit each group.

    Args:
        scene: Whose images these are.
        chosen: Which groups.
        plot: How they are planted.
        track: Shows progress.
        say: Is told one line per group.
    """
    outcomes = []
    for one in track(chosen, "groups", len(chosen)):
        outcomes.append(_outcome(scene, one, plot))
        say(_line(outcomes[-1]))
    return outcomes


def _line(one: GroupOutcome) -> str:
    found = f"{100 * one.found:.0f}% found ({100 * one.whole:.0f}% as a whole, {100 * one.region:.0f}% by region)"
    return f"{one.group}: {found}; {one.word}; {one.accused} of {one.sets} sets of strangers accused"


def _outcome(scene: Scene, group: Group, plot: Plot) -> GroupOutcome:
    random = generator_for(plot.seed, "group", group.name)
    n = plot.copies
    copies, owners = _copies(scene, group, n, random)
    total = TENTH * n
    treated = _strangers(scene, group, (total - n) // 2, random)
    plain = scene.some("strangers", total - n - len(treated), random)
    samples = np.concatenate([copies, treated, plain])
    kind = np.repeat([0, 1, 2], [len(copies), len(treated), len(plain)])
    order = random.permutation(total)
    report = _audited(scene, samples[order], plot)
    place = np.argsort(order)  # of each sample as it was made
    nobodies = [_audited(scene, _strangers(scene, group, STRANGERS, random), plot) for _ in range(plot.sets)]
    tables = []
    for name in ("whole", "region", "either"):
        own = _p_values(report, name)[place]
        others = np.concatenate([own[kind == 1], *(_p_values(one, name) for one in nobodies)])
        tables.append(own[kind == 0] < _limit(others))
    whole, region, found = tables
    right = np.array(
        [str(name) in who for name, who in zip(_matched(report, scene)[place][kind == 0], owners, strict=True)]
    )
    metrics = report.result.metrics
    rate = metrics.get("copy_rate_corrected", metrics["copy_rate"])
    value = float(rate.value)
    return GroupOutcome(
        group=group.name,
        copies=n,
        strangers=int((kind == 1).sum()) + plot.sets * STRANGERS,
        found=float(found.mean()),
        whole=float(whole.mean()),
        region=float(region.mean()),
        right=float(right[found].mean()) if found.any() else float("nan"),
        word=report.result.decision.word,
        truth=n / total,
        rate=(value, value if rate.low is None else rate.low, 1.0 if rate.high is None else rate.high),
        least="at least" in (rate.note or ""),
        accused=sum(one.result.decision.word == "do not release" for one in nobodies),
        sets=plot.sets,
    )


def _copies(scene: Scene, group: Group, count: int, random: Random) -> tuple[Pixels, list[set[str]]]:
    """Copies of training patients, and of whom each is."""
    first = _one_each(scene.train, count, random)
    second = first[_elsewhere(scene.train.patients[first])]
    real = np.asarray(scene.train.pixels)
    material = Material(real[first], real[second], scene.some("strangers", count, random), _others(scene.strangers))
    owners = [{str(scene.train.patients[row])} for row in first]
    if group.both:
        owners = [own | {str(scene.train.patients[row])} for own, row in zip(owners, second, strict=True)]
    return _made(group, material, random), owners


def _strangers(scene: Scene, group: Group, count: int, random: Random) -> Pixels:
    """Images of strangers, treated in the same way."""
    asked = scene.strangers.take(~_teaching(scene.strangers))
    rows = _one_each(asked, 3 * count, random)
    real = np.asarray(asked.pixels)
    first, second, body = (real[rows[start::3]] for start in range(3))
    material = Material(first, second, body, _others(scene.strangers))
    return _made(group, material, random)


def _made(group: Group, material: Material, random: Random) -> Pixels:
    return np.clip(np.ascontiguousarray(group.make(material, random)), 0, 1).astype(np.float32)


def _teaching(strangers: Images) -> NDArray[np.bool_]:
    """(N,) images of every second stranger: from them reconstructions learn, and nothing else is made of them."""
    return np.isin(strangers.patients, np.unique(strangers.patients)[::2])


def _others(strangers: Images) -> Pixels:
    return np.asarray(strangers.pixels[_teaching(strangers)])


def _one_each(images: Images, count: int, random: Random) -> NDArray[np.int64]:
    """Rows of so many images, every patient once before any comes again."""
    order = random.permutation(len(images))
    _, first = np.unique(images.patients[order], return_index=True)
    again = np.setdiff1d(np.arange(len(order)), first)
    return np.resize(order[np.concatenate([np.sort(first), random.permutation(again)])], count)


def _elsewhere(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """(N,) for each place another one, of another patient where there is one."""
    count = len(patients)
    shifted = np.roll(np.arange(count), -1)
    for place in range(count):
        for step in range(1, count):
            if patients[(place + step) % count] != patients[place]:
                shifted[place] = (place + step) % count
                break
    return shifted


def _audited(scene: Scene, samples: Pixels, plot: Plot) -> AuditReport:
    # published as 8-bit images
    return audit(
        np.rint(255 * samples).astype(np.uint8),
        np.asarray(scene.train.pixels),
        np.asarray(scene.holdout.pixels),
        train_patients=scene.train.patients.tolist(),
        holdout_patients=scene.holdout.patients.tolist(),
        preset=plot.preset,
        out=plot.out,
    )


def _p_values(report: AuditReport, name: str) -> NDArray[np.float64]:
    """(N,) how often a new patient's image matches anybody so strongly: as a whole, in a region, in either way."""
    audited = report.audited
    whole = audited.evidence.p_match
    region = audited.searched.p_value if len(audited.searched.p_value) else np.ones(len(whole))
    return {"whole": whole, "region": region, "either": np.minimum(whole, region)}[name]


def _limit(p_values: NDArray[np.float64]) -> float:
    """The p-value below which at most 1% of these lie."""
    allowed = int(FALSE * len(p_values))
    return float(np.sort(p_values)[allowed])


def _matched(report: AuditReport, scene: Scene) -> NDArray[np.str_]:
    """(N,) the patient whom each sample matches best, by the score with the smaller p-value."""
    audited = report.audited
    score, other = audited.train_score, audited.holdout_score
    patient = scene.train.patients[audited.train_index].astype(np.str_)
    if other is not None:
        patient = np.where(score >= other, patient, "")
    searched = audited.searched
    if not len(searched.p_value):
        return patient
    both = np.concatenate([scene.train.patients, np.full(len(scene.holdout), "")])
    return np.where(searched.p_value < audited.evidence.p_match, both[searched.image], patient)


def groups_json(outcomes: Sequence[GroupOutcome]) -> list[dict[str, Any]]:
    """As plain values."""
    return [asdict(one) | {"reassured": one.reassured, "covered": one.covered} for one in outcomes]


def _rate_words(one: GroupOutcome) -> str:
    value, low, high = (f"{100 * end:.1f}" for end in one.rate)
    return f"at least {value}% ({low}% or more)" if one.least else f"{value}% ({low} to {high})"


def groups_text(outcomes: Sequence[GroupOutcome]) -> str:
    """The table: what is found of each group, and what the audit says."""
    rows = [
        (
            "WRONG" if one.reassured or not one.covered else "",
            one.group,
            *(f"{100 * share:.0f}%" for share in (one.found, one.whole, one.region)),
            "" if np.isnan(one.right) else f"{100 * one.right:.0f}%",
            one.word,
            _rate_words(one),
            f"{one.accused} of {one.sets}",
        )
        for one in outcomes
    ]
    headers = ["", "group", "found", "as a whole", "by region", "right patient", "decision", "copy rate", "accused"]
    wrong = sum(one.reassured for one in outcomes)
    copies = outcomes[0].copies if outcomes else 0
    accused, sets = sum(one.accused for one in outcomes), sum(one.sets for one in outcomes)
    lines = [
        f"{copies} copies of each group, a tenth of the samples; found at 1% false positives among strangers treated "
        "in the same way.",
        f"{wrong} of {len(outcomes)} sets with copies get an all-clear; {accused} of {sets} sets of strangers alone, "
        "treated in the same way, are accused.",
        "",
        tabulate(rows, headers, disable_numparse=True),
    ]
    return "\n".join(lines)

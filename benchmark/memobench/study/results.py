"""What a study finds: ``study.json``, and the same for the terminal."""

from __future__ import annotations

from pydantic import Field
from tabulate import tabulate

from memobench.report.words import entry_of, shown
from memobench.results import Finite, Strict

STUDY_VERSION = 4
METRICS = ("train_share", "copy_rate", "memorized_patients", "fd_ssl", "recall")  # that a study shows of each arm


class StudyEstimate(Strict):
    """A number with its 95% interval over patients and seeds."""

    value: Finite
    low: Finite
    high: Finite


class StudyArm(Strict):
    """One way to train: its runs, and each metric's mean over them and value in each."""

    label: str
    runs: list[str]
    metrics: dict[str, StudyEstimate]
    values: dict[str, list[Finite]]


class StudyDifference(Strict):
    """By how much an arm's metric lies above another's, with an interval of the finding's ``level``."""

    metric: str
    more: str
    less: str
    value: Finite
    low: Finite
    high: Finite


class StudyFinding(Strict):
    """A published finding, the differences that decide it, and what they say."""

    factor: str
    claim: str
    level: float
    differences: list[StudyDifference] = Field(min_length=1)
    verdict: str


class StudyResult(Strict):
    """One study: ``study.json``."""

    study_version: int = STUDY_VERSION
    study_id: str
    task: str
    data: str
    split_digest: str
    preset: str
    settings: dict[str, str] = Field(default_factory=dict)
    seeds: list[int]
    brief: bool = False
    train_patients: int | None = None
    arms: list[StudyArm] = Field(min_length=1)
    findings: list[StudyFinding]

    @property
    def preset_words(self) -> str:
        """The preset, and what differs from it."""
        return ", ".join([self.preset, *(f"{name}={value}" for name, value in self.settings.items())])


def study_text(result: StudyResult, style: str = "simple") -> str:
    """The study as the terminal shows it: a row per arm, then what became of each finding."""
    rows = [
        [arm.label, *(_cell(name, arm.metrics[name]) if name in arm.metrics else "missing" for name in METRICS)]
        for arm in result.arms
    ]
    decided = [
        [finding.verdict if k == 0 else "", finding.claim if k == 0 else "", *_words(one)]
        for finding in result.findings
        for k, one in enumerate(finding.differences)
    ]
    seeds = f"seed{'s' if len(result.seeds) > 1 else ''} {', '.join(map(str, result.seeds))}"
    head = f"{result.task} ({result.data}), preset {result.preset_words}, {seeds}"
    if result.train_patients is not None:
        head += f", {result.train_patients} training patients"
    table = tabulate(rows, ["arm", *(entry_of(name).label for name in METRICS)], tablefmt=style, disable_numparse=True)
    columns = ["verdict", "finding", "difference", "of", "value and interval"]
    verdicts = tabulate(decided, columns, tablefmt=style, disable_numparse=True)
    note = (
        "Means over seeds, with 95% intervals over patients and seeds together. A finding is reproduced where each of "
        "its differences is surely positive by one score at least; intervals of two scores hold together with 95%."
    )
    if len(result.seeds) == 1:
        note += " One seed: the intervals are over patients alone; what training again would change is not known."
    return f"{head}\n\n{table}\n\n{verdicts}\n\n{note}"


def _cell(name: str, found: StudyEstimate) -> str:
    return _with_interval(found, entry_of(name).style, "%")


def _words(found: StudyDifference) -> list[str]:
    entry = entry_of(found.metric)
    return [f"{found.more} minus {found.less}", entry.label, _with_interval(found, entry.style, "points")]


def _with_interval(found: StudyEstimate | StudyDifference, style: str, unit: str) -> str:
    """Such as ``17.1% [7.2 to 26.9]``; a difference of percentages is one of points."""
    value, low, high = (shown(one, style).removesuffix("%") for one in (found.value, found.low, found.high))
    return f"{value}{f' {unit}' if style == 'percent' else ''} [{low} to {high}]"

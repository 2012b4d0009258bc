"""The detector track: how well detectors find planted copies, from results of ``bench challenge``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memobench.base.store import digest_of
from memobench.board.combine import Number, combine
from memobench.board.rank import clearly_below
from memobench.challenge.results import ChallengeResult

MAIN = "tpr_at_1"
COLUMNS = {
    MAIN: "found at 1% false positives",
    "right_source": "right source",
    "sensitivity": "found at tau",
    "false_positive_rate": "false positives at tau",
    "other_scans_at_1": "other scans flagged",
}


@dataclass(frozen=True)
class DetectorRow:
    """One detector under one set of conditions, over seeds.

    Attributes:
        conditions: Strengths, preset and number of planted copies: only equal ones are ranked together.
        numbers: The summary's metrics, by name.
        rank: 1 + the number of detectors whose interval of :data:`MAIN` lies wholly above; shared on overlap.
    """

    task: str
    detector: str
    version: str
    conditions: str
    seeds: tuple[int, ...]
    numbers: dict[str, Number]
    rank: int


def detector_rows(results: Sequence[ChallengeResult]) -> list[DetectorRow]:
    """The rows of one task: by conditions, then the detector first that finds most.

    A detector that was challenged twice under the same conditions and seed (beside other detectors) counts once.
    """
    groups: dict[str, dict[str, dict[int, tuple[str, ChallengeResult]]]] = {}
    for result in sorted(results, key=lambda one: one.run_id):
        identity = result.identity
        shared = identity.model_dump(mode="json", exclude={"seed", "detectors"})
        for name, code in identity.detectors.items():
            if name in result.detectors and MAIN in result.detectors[name].summary:
                key = digest_of({"detector": name, "code": code})
                seeds = groups.setdefault(digest_of(shared), {}).setdefault(key, {})
                seeds.setdefault(identity.seed, (name, result))
    rows = [row for one in groups.values() for row in _ranked(list(one.values()))]
    return sorted(rows, key=lambda row: (row.conditions, -row.numbers[MAIN].value, row.detector, row.version))


def _ranked(detectors: Sequence[dict[int, tuple[str, ChallengeResult]]]) -> list[DetectorRow]:
    rows = [_row(seeds) for seeds in detectors]
    mains = [row.numbers[MAIN] for row in rows]
    better = [sum(clearly_below(own, other) for other in mains) for own in mains]  # the higher the better
    return [replace(row, rank=1 + count) for row, count in zip(rows, better, strict=True)]


def _row(seeds: dict[int, tuple[str, ChallengeResult]]) -> DetectorRow:
    (name, first), *_ = seeds.values()
    identity = first.identity
    summaries = [result.detectors[name].summary for _, result in seeds.values()]
    return DetectorRow(
        task=identity.task,
        detector=name,
        version=identity.detectors[name].get("version", ""),
        conditions=f"{' and '.join(identity.strengths)}, {identity.preset}, {identity.count} copies each, "
        f"task version {identity.task_version}",
        seeds=tuple(sorted(seeds)),
        numbers={
            metric: combine([summary[metric] for summary in summaries], lowest=0.0, highest=1.0)
            for metric in COLUMNS
            if all(metric in summary for summary in summaries)
        },
        rank=1,  # until the others are known
    )

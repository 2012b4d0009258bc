from __future__ import annotations

from memobench.board.detectors import detector_rows
from memobench.challenge.results import ChallengeIdentity, ChallengeResult
from memobench.results import DetectorScores, Metric


def _challenge(
    found: dict[str, float], seed: int = 0, strength: str = "medium", reach: float = 0.02
) -> ChallengeResult:
    identity = ChallengeIdentity(
        version=1,
        task="xray",
        task_version="1",
        data="phantom",
        shape=(64, 64),
        split_digest="0" * 64,
        detectors={name: {"version": "1", "code": name} for name in found},
        perturbations=("blur",),
        strengths=(strength,),
        count=100,
        preset="quick",
        seed=seed,
    )
    scores = {
        name: DetectorScores(
            rows=[],
            thresholds={},
            summary={"tpr_at_1": Metric(value=v, low=v - reach, high=v + reach, null=0.01, better="higher")},
            other_scans=0,
        )
        for name, v in found.items()
    }
    return ChallengeResult(
        run_id=identity.run_id, identity=identity, counts={}, detectors=scores, notes=[], environment={}, seconds={}
    )


def test_detectors_are_ranked_by_what_they_find_and_share_ranks() -> None:
    rows = detector_rows([_challenge({"l2": 0.3, "verified": 0.9, "ssim": 0.32})])
    assert [(row.detector, row.rank) for row in rows] == [("verified", 1), ("ssim", 2), ("l2", 2)]


def test_seeds_are_joined_and_the_same_challenge_counts_once() -> None:
    results = [_challenge({"l2": 0.3}, 0), _challenge({"l2": 0.5}, 1), _challenge({"l2": 0.3, "ssim": 0.1}, 0)]
    rows = {row.detector: row for row in detector_rows(results)}
    assert rows["l2"].seeds == (0, 1)
    assert rows["l2"].numbers["tpr_at_1"].value == 0.4
    assert rows["ssim"].seeds == (0,)


def test_other_conditions_are_another_ranking() -> None:
    rows = detector_rows([_challenge({"l2": 0.3}), _challenge({"ssim": 0.1}, strength="strong")])
    assert [row.rank for row in rows] == [1, 1]
    assert len({row.conditions for row in rows}) == 2


def test_no_challenge_no_rows() -> None:
    assert detector_rows([]) == []

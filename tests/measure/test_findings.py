"""Findings from metrics: what a result says, with and without the evidence of single matches."""

from __future__ import annotations

import numpy as np
from memobench.measure.decision import decide_set
from memobench.measure.findings import (
    EMPTY,
    POSED,
    STRANGE,
    decided_samples,
    evidence_of_scores,
    hold_back,
    measured_findings,
    run_findings,
    weakest,
)
from memobench.memorization.decide import decide, threshold
from memobench.memorization.rates import Pools
from memobench.results import ChallengeRow, Decided, DetectorScores, Metric


def metric(value: float, p: float | None = None) -> Metric:
    return Metric(value=value, low=value - 0.02, high=value + 0.02, null=0.0, better="lower", p_value=p)


def planted(**found: float) -> DetectorScores:
    rows = [
        ChallengeRow(
            perturbation=name, strength=strength, copies=20, non_copies=20, metrics={"sensitivity": metric(value)}
        )
        for name, value in found.items()
        for strength in ("weak", "strong")
    ]
    return DetectorScores(rows=rows, thresholds={}, summary={"sensitivity": metric(0.9)}, other_scans=0)


METRICS = {
    "copy_rate": metric(0.0, 0.6),
    "copy_evidence": metric(0.2, 0.004),
    "train_share": metric(0.5, 0.5),
    "memorized_patients": metric(3.0),
    "copies_of_train": metric(0.02),
    "copies_of_holdout": metric(0.01),
}
COUNTS = {"samples": 200, "train_patients": 96, "holdout_patients": 96}


def test_two_looks_count_double_and_calls_follow_from_the_shares() -> None:
    found = measured_findings(METRICS, planted(noise=0.5, blur=1.0), COUNTS)
    assert found.p_permuted == 0.008
    assert (found.called, found.held_out_called) == (4, 2)
    assert found.sensitivity == 0.9
    assert found.weakest == (("noise", 0.5), ("blur", 1.0))
    assert (found.train_patients, found.holdout_patients) == (96, 96)
    assert decide_set(found).rows[0] == "training patients lead"
    quiet = measured_findings({**METRICS, "copy_evidence": metric(0.0, 0.9)}, planted(), {"synthetic_images": 200})
    assert decide_set(quiet).rows[0] == "called"
    assert weakest(planted()) == ()


def test_a_run_speaks_of_samples_by_number_and_of_no_real_patient() -> None:
    scores = np.array([1.0, 9.0, 2.0, 7.0], dtype=np.float32)
    decisions = decide(scores, np.arange(4), scores - 3, np.arange(4), tau=5.0)
    assert hold_back(decisions).tolist() == [1, 3]
    found = run_findings(METRICS, planted(noise=0.9), COUNTS, preset="smoke", data="phantom")
    decided = decided_samples(found, decisions)
    assert decided.word == "do not release"
    assert "Hold back sample 1 and sample 3." in decided.sentence
    assert "only tested the path" in decided.sentence
    assert "data protection officer" not in decided.sentence
    real = decided_samples(run_findings(METRICS, planted(), COUNTS, preset="quick", data="folder"), decisions)
    assert "data protection officer" in real.sentence


def test_odd_samples_ask_for_a_review_and_ordinary_ones_say_nothing() -> None:
    plain = run_findings(METRICS, planted(), COUNTS, preset="quick", data="folder")
    assert (plain.pose, plain.empty) == ("", 0)
    odd = {POSED: 2, EMPTY: 1, STRANGE: 200}
    found = run_findings(METRICS, planted(), COUNTS | odd, preset="quick", data="folder")
    assert found.pose.startswith("2 samples were compared in another pose")
    assert "in no orientation" in found.pose
    assert {"other pose", "nothing to compare"} <= set(decide_set(found).rows)


def test_stored_scores_convict_one_certain_copy_and_a_leak() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"p{k:03d}" for k in range(200)])
    pools = Pools(names[:100], names[100:])
    null = rng.normal(size=200).astype(np.float32)
    limit = threshold(null, 1.0)
    ordinary = rng.normal(size=(2, 60)).astype(np.float32) - 1
    rows = np.arange(60)

    def decided(train: np.ndarray, holdout: np.ndarray) -> Decided:
        decisions = decide(train, rows, holdout, rows, limit.tau)
        evidence = evidence_of_scores(decisions, pools, null, limit)
        quiet = {**METRICS, "copy_evidence": metric(0.0, 0.9)}
        counts = {**COUNTS, "samples": 60}
        found = run_findings(quiet, planted(), counts, preset="quick", data="folder", evidence=evidence)
        return decided_samples(found, decisions, evidence)

    train, holdout = ordinary.copy()
    train[7] = 40.0
    one = decided(train, holdout)
    assert one.word == "do not release"
    assert one.reasons[0].startswith("1 of the 60 samples is a certain copy of 1 training patient")
    assert "Hold back sample 7." in one.sentence
    train, holdout = ordinary.copy()
    holdout[:12] = 40.0
    leak = decided(train, holdout)
    assert leak.word == "do not release"
    assert leak.reasons[0].startswith("The generator has seen the held-out patients: 12 of the 60 samples match one")
    assert "certain copy" not in leak.sentence
    assert decided(*ordinary).word == "no copies found"

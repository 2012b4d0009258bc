"""Findings from what was measured: metrics, planted copies, counts and, where it was weighed, the evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memobench.measure.decision import COUNTED_OF_FOUR, PERMUTED, Decision, Findings, decide_set
from memobench.measure.region_words import region_findings, region_rows
from memobench.memorization.certainty import Evidence, NullScores, evidence_of
from memobench.memorization.decide import TAIL, Decisions, Threshold
from memobench.memorization.leading import discovered
from memobench.memorization.rates import Pools
from memobench.memorization.shift import BY_DESIGN, Shift
from memobench.results import Decided, DetectorScores, Metric, Origin, RegionsFound

# counts of a result that stand there only where they are not 0
TESTED = ("copy_rate", "copy_evidence", "region_copy_rate")  # by permutation of patients
POSED, EMPTY, STRANGE = "samples_in_another_pose", "samples_with_nothing_to_compare", "samples_unlike_any"
SHEETS = "samples_that_are_sheets"


def measured_findings(
    metrics: Mapping[str, Metric],
    challenge: DetectorScores,
    counts: Mapping[str, int],
    *,
    evidence: Evidence | None = None,
) -> Findings:
    """What the numbers of a measurement say; what is known of the files is added by the caller.

    Without evidence, as in results of older versions, no single match is certain, and calls are counted from the shares
    that ``copies_of_train`` and ``copies_of_holdout`` give.

    Args:
        metrics: ``copy_rate`` at least.
        challenge: Planted copies.
        counts: ``samples`` or ``synthetic_images``, where known ``train_patients`` and ``holdout_patients``, and where
            there are any, samples in another pose, without content, or unlike any real image.
        evidence: Of the same samples; None where it was not weighed.
    """
    images = counts["samples"] if "samples" in counts else counts["synthetic_images"]
    rate, share, patients = metrics["copy_rate"], metrics.get("train_share"), metrics.get("memorized_patients")
    sensitivity = metrics.get("sensitivity", challenge.summary.get("sensitivity"))
    exchangeable = evidence is None or evidence.shift.exchangeable
    findings = Findings(
        images=images,
        p_permuted=permuted(metrics) if exchangeable else None,
        rate=(rate.value, rate.value if rate.low is None else rate.low, 1.0 if rate.high is None else rate.high),
        patients=0.0 if patients is None else patients.value,
        share=None if share is None else share.value,
        p_share=share.p_value if share is not None and exchangeable else None,
        train_patients=counts.get("train_patients"),
        holdout_patients=counts.get("holdout_patients", 0),
        sensitivity=None if sensitivity is None else sensitivity.value,
        weakest=weakest(challenge),
        pose=_pose(counts),
        empty=counts.get(EMPTY, 0),
        sheets=counts.get(SHEETS, 0),
    )
    if evidence is None:
        called, held_out = (
            round(metrics[name].value * images) if name in metrics else 0
            for name in ("copies_of_train", "copies_of_holdout")
        )
        chance = TAIL * images
        return replace(findings, called=called, held_out_called=held_out, expected=chance, held_out_expected=chance)
    train, holdout, shift = evidence.train, evidence.holdout, evidence.shift
    leaked = int(metrics["leaked_patients"].value) if "leaked_patients" in metrics else 0  # of test and dev
    return replace(
        findings,
        called=train.called,
        held_out_called=holdout.called,
        certain=int(train.certain.sum()),
        certain_patients=train.patients,
        held_out_certain=int(holdout.certain.sum()) + leaked,
        p_single=train.p_set,
        p_closest=train.p_least,
        groups=train.clusters,
        expected=train.expected,
        p_count=train.p_count,
        held_out_groups=holdout.clusters,
        held_out_expected=holdout.expected,
        p_held_out=holdout.p_count,
        shifted=None if shift.exchangeable else shift.auc,
        strata=shift.strata,
    )


def permuted(metrics: Mapping[str, Metric]) -> float | None:
    """The p-value of the permutation tests together; None where there is none.

    They are two looks at the same samples, three where regions were searched, so the smallest p-value counts so many
    times (Bonferroni).
    """
    tested = [metrics[name].p_value for name in TESTED if name in metrics]
    known = [p_value for p_value in tested if p_value is not None]
    return min(1.0, len(known) * min(known)) if known else None


def led(p_permuted: float | None, decisions: Decisions, evidence: Evidence) -> NDArray[np.bool_]:
    """(N,) samples that are not called, but lead the list of a set in which copies are called and certain.

    Tau then lies too far out to name all of them. Where none is called no single one can be named. Where the
    permutation tests are not valid, the p-values of the single matches say which samples these are.

    Args:
        p_permuted: p-value of the permutation tests of the set; None where none is valid.
        decisions: What each sample matches.
        evidence: Of the same samples.
    """
    on_train, train = decisions.side >= 0, evidence.train
    called = bool((decisions.called & on_train).any())
    if p_permuted is not None:
        return evidence.leading & (called and p_permuted < PERMUTED)
    convicted = called and (train.p_count < COUNTED_OF_FOUR or bool(train.certain.any()))
    return discovered(evidence.p_match, on_train, evidence.cluster) & convicted


def _pose(counts: Mapping[str, int]) -> str:
    """What is odd about the poses of a run's samples; "" where nothing is."""
    parts = []
    if posed := counts.get(POSED, 0):
        are = "1 sample was" if posed == 1 else f"{posed} samples were"
        parts.append(f"{are} compared in another pose, inverted or without a frame (the notes say how)")
    if counts.get(STRANGE, 0):
        parts.append("most samples resemble the real images in no orientation")
    return "; ".join(parts)


def run_findings(  # noqa: PLR0913  what is known of a run, each by its name
    metrics: Mapping[str, Metric],
    challenge: DetectorScores,
    counts: Mapping[str, int],
    *,
    preset: str,
    data: str,
    origin: Origin | None = None,
    evidence: Evidence | None = None,
) -> Findings:
    """What the numbers of a run, or of an attack on one, say.

    Args:
        metrics: As in the result.
        challenge: Planted copies.
        counts: As in the result.
        preset: As in the result.
        data: Kind of the task's images: "phantom" shows no real patients.
        origin: Of a generator that was trained elsewhere.
        evidence: Of the samples; None where it was not weighed.
    """
    findings = measured_findings(metrics, challenge, counts, evidence=evidence)
    elsewhere = None if origin is None else origin.elsewhere
    return replace(findings, preset=preset, noun="sample", real=data != "phantom", elsewhere=elsewhere)


def decided_samples(
    findings: Findings, decisions: Decisions, evidence: Evidence | None = None, *, regions: RegionsFound | None = None
) -> Decided:
    """The decision on a run's samples, with the samples to hold back by their number.

    Args:
        findings: From :func:`run_findings`.
        decisions: What each sample matches.
        evidence: The evidence of ``findings``.
        regions: What was found of copied regions; None where they were not searched.
    """
    called = held = hold_back(decisions, evidence).tolist()
    if evidence is not None:
        held = hold_back(decisions, evidence, led(findings.p_permuted, decisions, evidence)).tolist()
    if regions is not None:
        findings = replace(findings, regions=region_findings(regions, set(called)))
    names = tuple(f"sample {row}" for row in dict.fromkeys([*held, *region_rows(regions)]))
    return recorded(decide_set(replace(findings, names=names, where="calls.csv", led=len(held) - len(called))))


def evidence_of_scores(
    decisions: Decisions,
    pools: Pools,
    null: NDArray[np.floating],
    limit: Threshold,
    *,
    blind: bool = False,
    shift: Shift = BY_DESIGN,
) -> Evidence:
    """The evidence of a run's samples from its stored scores alone, so that they can be recomputed by others.

    Near-identical samples cannot be told without pixels; of those that are called, one patient's count once.

    Args:
        decisions: What each sample matches.
        pools: Who stands in train and in holdout.
        null: The real images' best scores against other patients.
        limit: The threshold.
        blind: Whether the null scores stand in the order of an attack's blind pool.
        shift: Whether train and holdout are exchangeable; a run draws them at random.

    Raises:
        DataError: Too few null scores.
    """
    owners = np.concatenate([pools.train, pools.holdout])
    known = len(owners) == len(null) and not blind
    of_patients = NullScores(null, owners if known else None, min(1.0, limit.tail / (2 * TAIL)))
    return evidence_of(decisions, pools, of_patients, limit.tau, shift=shift)


def recorded(decision: Decision) -> Decided:
    """A decision as results keep it."""
    return Decided(
        word=decision.word, sentence=decision.sentence, reasons=list(decision.reasons), rows=list(decision.rows)
    )


def weakest(challenge: DetectorScores) -> tuple[tuple[str, float], ...]:
    """Kinds of planted copies with the share that is found at tau, over all strengths, the least first."""
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row in challenge.rows:
        if "sensitivity" in row.metrics:
            found[row.perturbation.replace("_", " ")].append((row.metrics["sensitivity"].value, row.copies))
    shares = {
        kind: sum(value * copies for value, copies in rows) / max(sum(copies for _, copies in rows), 1)
        for kind, rows in found.items()
    }
    return tuple(sorted(shares.items(), key=lambda item: (item[1], item[0])))


def hold_back(
    decisions: Decisions, evidence: Evidence | None = None, more: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Rows of the samples that match a real patient of either side as a copy does, or certainly; strongest first.

    Args:
        decisions: What each sample matches.
        evidence: Of the same samples.
        more: (N,) samples that are held back besides (:func:`led`).
    """
    chosen = decisions.called.copy()
    if more is not None:
        chosen |= more
    if evidence is not None:
        chosen |= evidence.train.certain | evidence.holdout.certain
    strength = np.maximum(decisions.train_score, decisions.holdout_score)
    order = np.argsort(-strength, kind="stable")
    return order[chosen[order]].astype(np.int64)

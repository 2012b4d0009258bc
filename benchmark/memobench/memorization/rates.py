"""Copy rate, memorized patients and images, and the train share: train minus holdout, counted by patient.

The two pools are exchangeable when nothing was memorized, so each difference here has the null value 0 and the train
share 0.5, exactly, for any generator, any detector and any number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.copies.decide import Decisions
from memobench.exchange import (
    clopper_pearson,
    clustered_share,
    difference,
    effective_size,
    exclusive_correlation,
    keep_null,
    per_patient,
    permutation_test,
)
from memobench.results import Metric


@dataclass(frozen=True)
class Pools:
    """Who stands in the two pools: the patient of each training image and of each holdout image."""

    train: NDArray[np.str_]
    holdout: NDArray[np.str_]

    @property
    def names(self) -> NDArray[np.str_]:
        """All patients, sorted."""
        return np.unique(np.concatenate([self.train, self.holdout]))

    @property
    def in_train(self) -> NDArray[np.bool_]:
        """(P,) whether each of :attr:`names` is a training patient."""
        return np.isin(self.names, self.train)


def rates(decisions: Decisions, pools: Pools, *, seed: int = 0) -> dict[str, Metric]:
    """All that follows from the decisions.

    Args:
        decisions: What each of the N samples matches.
        pools: The patients of the pools' images; as many patients in train as in holdout.
        seed: Seed of the permutations.

    Returns:
        ``copy_rate``: share of samples that are copies of training images, minus the same of holdout images.
        ``memorized_patients``: training patients with at least one copy, minus holdout patients, as a count.
        ``memorized_rate``: the share of training images with at least one copy, minus that of holdout images.
        ``train_share``: share of samples that match train better than holdout (ties count half).
        ``false_discovery_rate``: of the training patients called copied, the share expected to be false.
        Each with a 95 % interval over patients; the first four with a one-sided permutation p-value.
    """
    names, in_train = pools.names, pools.in_train
    n = len(decisions.side)
    toward_train = decisions.side >= 0
    matched = np.where(toward_train, pools.train[decisions.train_index], pools.holdout[decisions.holdout_index])
    sizes = per_patient(np.ones(n), matched, names)  # samples per patient
    hits = per_patient(decisions.called, matched, names)  # copies per patient

    # copies
    of_train = clustered_share(hits * in_train, sizes)
    of_holdout = clustered_share(hits * ~in_train, sizes)
    rate = difference(of_train, of_holdout, exclusive_correlation(of_train[0], of_holdout[0]))
    metrics = {
        "copy_rate": _tested(rate, 0.0, permutation_test(hits, in_train, seed=seed)),
        "copies_of_train": _untested(of_train, of_holdout[0]),
        "copies_of_holdout": _untested(of_holdout, None),
    }

    # patients
    hit = (hits > 0).astype(float)
    patients = int(in_train.sum())
    held = int((~in_train).sum())
    found, decoys = float(hit[in_train].sum()), float(hit[~in_train].sum())
    patient_rate = difference(
        (found / patients, *clopper_pearson(found, patients)), (decoys / held, *clopper_pearson(decoys, held))
    )
    scaled = (patient_rate[0] * patients, patient_rate[1] * patients, patient_rate[2] * patients)
    metrics["memorized_patients"] = _tested(scaled, 0.0, permutation_test(hit, in_train, seed=seed))

    # images
    train_images = np.unique(decisions.train_index[decisions.called & toward_train])
    holdout_images = np.unique(decisions.holdout_index[decisions.called & ~toward_train])
    image_rate = difference(_image_share(train_images, pools.train), _image_share(holdout_images, pools.holdout))
    image_hits = per_patient(np.ones(len(train_images)), pools.train[train_images], names)
    image_hits += per_patient(np.ones(len(holdout_images)), pools.holdout[holdout_images], names)
    metrics["memorized_rate"] = _tested(image_rate, 0.0, permutation_test(image_hits, in_train, seed=seed))

    # nearer to train than to holdout, at any score
    points = np.where(decisions.side > 0, 1.0, np.where(decisions.side < 0, 0.0, 0.5))
    share = float(points.mean())
    trials = effective_size(sizes)
    low, high = clopper_pearson(share * trials, trials)
    tied = per_patient(decisions.side == 0, matched, names)
    metrics["train_share"] = _tested((share, low, high), 0.5, permutation_test(sizes - tied, in_train, seed=seed))

    # single calls
    false = min(1.0, (1 + decoys) / found) if found else 1.0
    metrics["false_discovery_rate"] = Metric(value=false, null=1.0, better="lower")
    return metrics


def _image_share(hit: NDArray[np.int64], patients: NDArray[np.str_]) -> tuple[float, float, float]:
    """Share of a pool's images that were hit, images of one patient counted as one cluster."""
    names = np.unique(patients)
    return clustered_share(
        per_patient(np.ones(len(hit)), patients[hit], names), per_patient(np.ones(len(patients)), patients, names)
    )


def _tested(estimate: tuple[float, float, float], null: float, test: tuple[float, float]) -> Metric:
    value, low, high = keep_null(estimate, null, test)
    return Metric(value=value, low=low, high=high, null=null, better="lower", p_value=test[0])


def _untested(estimate: tuple[float, float, float], null: float | None) -> Metric:
    value, low, high = estimate
    return Metric(value=value, low=low, high=high, null=null, better="lower")

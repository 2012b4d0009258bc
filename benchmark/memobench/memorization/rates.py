"""Copy rate, memorized patients and images, and the train share: train minus holdout, counted by patient.

The two pools are exchangeable when nothing was memorized, so each difference here has the null value 0 and the train
share 0.5, for any generator, any detector and any number of samples. Pools of unequal size are weighted: T training
and H holdout patients stand for the same population, so every count over holdout is multiplied by T / H before it is
subtracted, and the odds of the train share are divided by T / H. Labels are permuted with the true sizes T and H.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.images import Images
from memobench.memorization.decide import Decisions
from memobench.results import Metric
from memobench.stats.exchange import ExactTest, Floats, keep_null, per_patient, permutation_tests
from memobench.stats.intervals import (
    Interval,
    beyond_chance,
    difference,
    effective_size,
    influence_covariance,
    repetition,
    scaled,
    share_interval,
)
from memobench.stats.strata import Strata

NULLS = {"copy_rate": 0.0, "memorized_patients": 0.0, "memorized_rate": 0.0, "train_share": 0.5}


@dataclass(frozen=True)
class Pools:
    """Who stands in the two pools.

    Attributes:
        train: (n,) the patient of each training image.
        holdout: (m,) the patient of each holdout image.
        train_content: (n,) equal for training images that are pixel for pixel the same, which then count as one;
            None where all differ.
        holdout_content: The same of the holdout images.
        strata: Within what labels are exchanged; None for everywhere.
        decoys: Whether patients are held out. Where none are, what stands for the holdout side of a sample is its
            strongest match with another training patient.
    """

    train: NDArray[np.str_]
    holdout: NDArray[np.str_]
    train_content: NDArray[np.generic] | None = None
    holdout_content: NDArray[np.generic] | None = None
    strata: Strata | None = None
    decoys: bool = True

    @classmethod
    def without_holdout(cls, train: Images) -> Self:
        """The pools of a measurement in which nobody is held out."""
        return cls(train.patients, np.array(["nobody is held out"]), decoys=False)

    @classmethod
    def of(cls, train: Images, holdout: Images, strata: Strata | None = None) -> Self:
        """The pools of a measurement."""
        return cls(train.patients, holdout.patients, train.contents, holdout.contents, strata)

    @property
    def names(self) -> NDArray[np.str_]:
        """All patients, sorted."""
        return np.unique(np.concatenate([self.train, self.holdout]))

    @property
    def in_train(self) -> NDArray[np.bool_]:
        """(P,) whether each of :attr:`names` is a training patient."""
        return np.isin(self.names, self.train)

    @property
    def stratum(self) -> NDArray[np.int64] | None:
        """(P,) the number of the stratum of each of :attr:`names`; None where there is one for all."""
        return None if self.strata is None else self.strata.numbers(self.names)

    @property
    def ratio(self) -> float:
        """Training patients per holdout patient, T / H: the weight of whatever is counted over holdout."""
        train = int(self.in_train.sum())
        return train / (len(self.in_train) - train)


@dataclass(frozen=True)
class Tally:
    """What each patient received: arrays over the P patients of :attr:`Pools.names`.

    A sample that train and holdout match equally well counts half for either patient. It is made once of a set of
    decisions and handed on to whatever counts them.

    Attributes:
        pools: Who stands in the two pools.
        in_train: (P,) whether each is a training patient.
        samples: Samples that match the patient best.
        copies: Those of them at or above tau.
        hit: 1 where the patient has a copy, else 0.
        images: Number of different images.
        images_hit: Those of them with a copy.
        single_images: Those with exactly one copy.
    """

    pools: Pools
    in_train: NDArray[np.bool_]
    samples: Floats
    copies: Floats
    hit: Floats
    images: Floats
    images_hit: Floats
    single_images: Floats


def tally(decisions: Decisions, pools: Pools) -> Tally:
    """Sum the decisions by patient.

    Raises:
        DataError: There are no samples, or a pool is empty, or a patient stands in both pools.
    """
    if not len(decisions.side):
        raise DataError("there are no samples to judge; give at least one")
    if not len(pools.train) or not len(pools.holdout):
        raise DataError("train and holdout need one image each at least; without holdout no count has a null")
    if shared := np.intersect1d(pools.train, pools.holdout).tolist():
        raise DataError(f'patient "{shared[0]}" stands in train and in holdout; split the data by patient')
    names = pools.names
    toward_train = (1.0 + decisions.side) / 2  # 1, 0, or a half each for a tie
    counts_of = ("samples", "copies", "images", "images_hit", "single_images")
    total: dict[str, Floats] = {name: np.zeros(len(names)) for name in counts_of}
    for share, index, patients, content in (
        (toward_train, decisions.train_index, pools.train, pools.train_content),
        (1 - toward_train, decisions.holdout_index, pools.holdout, pools.holdout_content),
    ):
        matched = patients[index]
        total["samples"] += per_patient(share, matched, names)
        total["copies"] += per_patient(share * decisions.called, matched, names)
        # one image for each content
        _, first, which = np.unique(
            np.arange(len(patients)) if content is None else content, return_index=True, return_inverse=True
        )
        counts = np.bincount(which.reshape(-1)[index[decisions.called & (share > 0)]], minlength=len(first))
        total["images"] += per_patient(np.ones(len(first)), patients[first], names)
        total["images_hit"] += per_patient(counts > 0, patients[first], names)
        total["single_images"] += per_patient(counts == 1, patients[first], names)
    return Tally(pools, pools.in_train, hit=(total["copies"] > 0).astype(np.float64), **total)


def rates(count: Tally, *, seed: int = 0, draws: int = 9999) -> dict[str, Metric]:
    """All that follows from what each patient received.

    The sampling model, the parameters and the intervals are those of :mod:`memobench.stats.intervals`; an
    interval holds the null wherever the exact test does not reject it at 2.5% a side.

    Args:
        count: What each patient received of the N samples (:func:`tally`).
        seed: Seed of the permutations.
        draws: Number of permutations.

    Returns:
        ``copy_rate``: share of samples that are copies of training images, minus the same of holdout images.
        ``memorized_patients``: training patients with a copy beyond those that chance hits as it hits holdout
        patients, as a count (:func:`memobench.stats.intervals.beyond_chance`).
        ``memorized_rate``: the same share of training images.
        ``train_share``: share of samples that match train better than holdout (ties count half).
        Each with a 95% interval over patients and a one-sided permutation p-value.
        ``copies_of_train``, ``copies_of_holdout``: the two shares that ``copy_rate`` is the difference of.
        ``false_discovery_rate``: of the training patients called copied, the share expected to be false.
    """
    return rates_and_tests(count, seed=seed, draws=draws)[0]


def rates_and_tests(
    count: Tally, *, seed: int = 0, draws: int = 9999
) -> tuple[dict[str, Metric], dict[str, ExactTest]]:
    """:func:`rates` with the exact tests behind its p-values."""
    pools, in_train = count.pools, count.in_train
    estimates = _estimates(count, in_train, pools.ratio)
    images_expected = count.images * (count.images_hit.sum() / count.images.sum())
    # Column by column the quantity whose sum over train decides; the second last is the linear part of a ratio.
    contributions = [count.copies, count.hit, count.images_hit - images_expected, count.samples]
    exact = permutation_tests(np.stack(contributions, axis=1), in_train, draws=draws, seed=seed, strata=pools.stratum)
    tests = dict(zip(NULLS, exact, strict=True))
    metrics = {name: _tested(estimates[name], null, tests[name]) for name, null in NULLS.items()}
    of_train, of_holdout = estimates["copies_of_train"], estimates["copies_of_holdout"]
    metrics["copies_of_train"] = _untested(of_train, pools.ratio * of_holdout[0])
    metrics["copies_of_holdout"] = _untested(of_holdout, None)
    metrics["false_discovery_rate"] = Metric(
        value=false_discovery_rate(float(count.hit[in_train].sum()), float(count.hit[~in_train].sum()), pools.ratio),
        null=1.0,
        better="lower",
    )
    return metrics, tests


def false_discovery_rate(found: float, decoys: float, ratio: float = 1.0) -> float:
    """The share of false ones among the training patients called copied, by target-decoy competition.

    When a called patient is false, chance put the patient in train with odds ``ratio``, so the expected number of false
    ones is at most ratio * (1 + decoys); the added 1 makes the estimate an upper bound on average (Barber & Candes
    2015, the knockoff+ estimate; He et al. 2015 for unequal sizes).

    Args:
        found: Training patients with a call.
        decoys: Holdout patients with a call.
        ratio: Training patients per holdout patient.

    >>> false_discovery_rate(40, 1), false_discovery_rate(0, 0)
    (0.05, 1.0)
    """
    return min(1.0, ratio * (1 + decoys) / found) if found else 1.0


def _estimates(count: Tally, in_train: NDArray[np.bool_], weight: float) -> dict[str, Interval]:
    """Every estimate with its interval, before the exact tests; ``weight`` is T / H."""
    n = float(count.samples.sum())
    value, covariance = _copying(count, in_train, n)
    patients, held = int(in_train.sum()), int((~in_train).sum())
    whole = {"train": (n, patients, count.images[in_train].sum()), "holdout": (n, held, count.images[~in_train].sum())}
    # where none is hit, the variance is unknown: samples count as far as they do not repeat, images by patient
    size = {"train": patients, "holdout": held}
    interval: dict[str, Interval] = {}
    for position, name in enumerate(value):
        kind, side = name.split("_of_")
        if kind == "copies":
            most = n
            fallback = effective_size(count.samples) if value[name] == 1 else n / repetition(count.samples)
        else:  # fewer new patients are hit than samples drawn, so the variance may lie below the binomial one
            most, fallback = 4.0 * float(whole[side][1 if kind == "patients" else 2]), float(size[side])
        interval[name] = share_interval(value[name], covariance[position, position], most=most, fallback=fallback)
    names = list(value)
    first, second = names.index("copies_of_train"), names.index("copies_of_holdout")
    spread = float(np.sqrt(covariance[first, first] * covariance[second, second]))
    correlation = float(np.clip(covariance[first, second] / spread, -1, 1)) if spread > 0 else 0.0
    rate = difference(interval["copies_of_train"], scaled(interval["copies_of_holdout"], weight), correlation)
    return {
        "copies_of_train": interval["copies_of_train"],
        "copies_of_holdout": interval["copies_of_holdout"],
        "copy_rate": (rate[0], max(rate[1], -weight), min(rate[2], 1.0)),
        "memorized_patients": scaled(
            beyond_chance(interval["patients_of_train"], interval["patients_of_holdout"]), patients
        ),
        "memorized_rate": beyond_chance(interval["images_of_train"], interval["images_of_holdout"]),
        "train_share": _nearer(count, in_train, weight, covariance[np.ix_([first, second], [first, second])]),
    }


def _copying(count: Tally, in_train: NDArray[np.bool_], n: float) -> tuple[dict[str, float], Floats]:
    """Shares of samples, patients and images that are hit on either side, and their covariance.

    N samples are drawn whatever the rates are. So what more copies would have changed is taken off again: each sample
    beyond N adds one hit in N for every copy, patient or image with exactly one copy (Good 1953).
    """
    once = (count.copies > 0) & (count.copies <= 1)
    value: dict[str, float] = {}
    influence, slope = [], []
    for side, pool in (("train", in_train), ("holdout", ~in_train)):
        for kind, received, grows, whole in (
            ("copies", count.copies, count.copies, n),
            ("patients", count.hit, once, float(pool.sum())),
            ("images", count.images_hit, count.single_images, float(count.images[pool].sum())),
        ):
            value[f"{kind}_of_{side}"] = float(received[pool].sum()) / whole
            slope.append(float(grows[pool].sum()) / n / whole)
            influence.append(received * pool / whole - slope[-1] * count.copies)
    covariance = influence_covariance(np.stack(influence, axis=1), in_train, count.images)
    others = count.samples - count.copies
    return value, covariance + np.outer(slope, slope) * float(others.sum()) * repetition(others)


def _nearer(count: Tally, in_train: NDArray[np.bool_], weight: float, covariance: Floats) -> Interval:
    """The train share that pools of equal size would show: the odds of the share that was seen, divided by T / H.

    The share is a + (1 - a - b) u, with a and b the shares of copies of either pool, ``covariance`` (2, 2) theirs, and
    u the share of all other samples that lie nearer to train.
    """
    n = float(count.samples.sum())
    others = count.samples - count.copies
    left = float(others.sum())
    share = float((count.samples * in_train).sum()) / n
    nearer = float((others * in_train).sum()) / left if left else 0.5
    # A patient who attracts many samples pulls the share toward that patient: the leave-one-out residual (as HC3)
    influence = others * (in_train - nearer) * left / np.maximum(left - others, 1e-9) / n
    slope = np.array([1 - nearer, -nearer])
    variance = float(slope @ covariance @ slope) + float(influence_covariance(influence[:, None], in_train)[0, 0])
    seen = share_interval(share, variance, most=n, fallback=effective_size(count.samples))
    value, low, high = (s / (s + (1 - s) * weight) for s in seen)
    return value, low, high


def _tested(estimate: Interval, null: float, test: ExactTest) -> Metric:
    value, low, high = keep_null(estimate, null, test)
    return Metric(value=value, low=low, high=high, null=null, better="lower", p_value=test.more)


def _untested(estimate: Interval, null: float | None) -> Metric:
    value, low, high = estimate
    return Metric(value=value, low=low, high=high, null=null, better="lower")

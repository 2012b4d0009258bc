"""Membership inference from losses: can one tell from the model's loss on an image whether it was trained on?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed, generator_for
from memobench.memorization._points import one_each
from memobench.results import Metric
from memobench.stats.auc import probability_above
from memobench.stats.exchange import per_patient, permutation_tests
from memobench.stats.intervals import clustered_share
from memobench.stats.jackknife import block_jackknife, wilson

RATES = {"membership_tpr_at_1_fpr": 0.01, "membership_tpr_at_0_1_fpr": 0.001}
SPLITS = 200  # random halves of the members

Floats = NDArray[np.float64]


def auc(members: ArrayLike, others: ArrayLike) -> float:
    """Probability that a member's loss is lower than another image's, ties half (Hanley & McNeil 1982).

    Args:
        members: (N,) losses of images that the generator was trained on.
        others: (M,) losses of images that it was not.

    Raises:
        DataError: A set is empty or holds NaN or infinite values.

    >>> auc([0.1, 0.3], [0.2, 0.4])
    0.75
    """
    first, second = _losses(members, "members"), _losses(others, "others")
    return probability_above(second, first)


def true_positive_rate(members: ArrayLike, others: ArrayLike, false_positive_rate: float) -> float:
    """Share of members found at a false positive rate (Carlini et al., S&P 2022), by the step function.

    With M others, floor(rate * M) false positives are allowed; a member counts where its loss is strictly below that
    of the next other image. Nothing is interpolated between thresholds, so with fewer than 1 / rate others the answer
    is the share of members below every other image: a true positive rate without false positives in this sample,
    which does not say that the rate in the population is as low as asked for.

    Args:
        members: (N,) losses of images that the generator was trained on.
        others: (M,) losses of images that it was not.
        false_positive_rate: In [0, 1).

    Raises:
        DataError: A set is empty or holds NaN or infinite values.

    >>> true_positive_rate([0.1, 0.3, 0.5], [0.2, 0.4], 0.5), true_positive_rate([0.1, 0.3, 0.5], [0.2, 0.4], 0.01)
    (0.6666666666666666, 0.3333333333333333)
    """
    return float(_found(members, others, false_positive_rate).mean())


def membership(  # noqa: PLR0913  three sets, each with its patients
    train_losses: ArrayLike,
    holdout_losses: ArrayLike,
    test_losses: ArrayLike,
    *,
    train_patients: NDArray[Any],
    holdout_patients: NDArray[Any],
    test_patients: NDArray[Any],
    seed: int,
) -> dict[str, Metric]:
    """The loss attack (Yeom et al., CSF 2018) on train against holdout, with its two controls.

    An attack that only sees how the two sets were collected (a split bias) can score high, so it is run where there is
    nothing to find: with test in train's place, which is the null of every metric here, and between random halves of
    the members themselves.

    Args:
        train_losses: (N,) the model's loss on each training image; lower is more like a member.
        holdout_losses: (M,) on each holdout image.
        test_losses: (K,) on each test image.
        train_patients: (N,) patients, and likewise the other two; two at least in each set.
        holdout_patients: (M,) patients.
        test_patients: (K,) patients.
        seed: Seed of blocks, permutations and halves.

    Returns:
        ``membership_auc``: :func:`auc` with a 95% jackknife interval over patients of both sets (where all pairs are
            ordered in the same way, Wilson's interval over the smaller number of patients), and the one-sided p-value
            of the rank sum when patients' labels are permuted.
        ``membership_tpr_at_1_fpr``, ``membership_tpr_at_0_1_fpr``: :func:`true_positive_rate`; the interval counts
            training patients and takes the threshold as given.
        ``membership_auc_members``: the member-only control, the mean over 200 random halves of the training patients;
            its interval holds the AUC of 95% of the halves.

    Raises:
        DataError: NaN, lengths that differ, or a set with fewer than two patients.
    """
    train, holdout, test = (
        _losses(values, name)
        for values, name in [(train_losses, "train"), (holdout_losses, "holdout"), (test_losses, "test")]
    )
    of_train, of_holdout = np.asarray(train_patients).astype(str), np.asarray(holdout_patients).astype(str)
    for losses, patients, name in [
        (train, of_train, "training"),
        (holdout, of_holdout, "holdout"),
        (test, np.asarray(test_patients), "test"),
    ]:
        one_each(patients, len(losses), name)
        if len(np.unique(patients)) < 2:
            raise DataError(f"the {name} images are of one patient; an interval needs two at least")
    low, high = _auc_interval(train, holdout, of_train, of_holdout, seed)
    metrics = {
        "membership_auc": Metric(
            value=auc(train, holdout),
            low=low,
            high=high,
            null=auc(test, holdout),
            better="lower",
            p_value=_rank_sum_test(train, holdout, of_train, of_holdout, seed),
        )
    }
    names = np.unique(of_train)
    sizes = per_patient(np.ones(len(train)), of_train, names)
    for name, rate in RATES.items():
        hits = per_patient(_found(train, holdout, rate), of_train, names)
        share, low, high = clustered_share(hits, sizes)
        null = true_positive_rate(test, holdout, rate)
        note = None
        if _allowed(len(holdout), rate) == 0:
            note = f"{len(holdout)} holdout images resolve no rate of {rate:.1%}: counted below all of their losses"
        metrics[name] = Metric(value=share, low=low, high=high, null=null, better="lower", note=note)
    halves = member_halves(train, of_train, seed=seed)
    low, high = (float(end) for end in np.quantile(halves, [0.025, 0.975]))
    metrics["membership_auc_members"] = Metric(
        value=float(halves.mean()), low=low, high=high, null=0.5, better="null", note="members against members"
    )
    return metrics


def member_halves(losses: ArrayLike, patients: NDArray[Any], *, splits: int = SPLITS, seed: int) -> Floats:
    """The AUC between random halves of the members, whole patients to either half.

    Args:
        losses: (N,) losses of the members.
        patients: (N,) the patient of each; two at least.
        splits: How many random halvings.
        seed: Their seed.

    Returns:
        (splits,) values of :func:`auc`, about 0.5: their spread is what chance alone does to the attack.
    """
    values = _losses(losses, "members")
    names, owner = np.unique(patients, return_inverse=True)
    random = generator_for(seed, "member halves")
    result = np.empty(splits)
    for split in range(splits):
        first = np.zeros(len(names), dtype=bool)
        first[random.permutation(len(names))[: len(names) // 2]] = True
        inside = first[owner.reshape(-1)]
        result[split] = auc(values[inside], values[~inside])
    return result


def _losses(values: ArrayLike, name: str) -> Floats:
    losses = np.asarray(values, dtype=np.float64)
    if losses.ndim != 1 or not len(losses):
        raise DataError(f"losses of {name} have shape {losses.shape}; give one per image, of one image at least")
    if not np.isfinite(losses).all():
        raise DataError(f"losses of {name} hold {int((~np.isfinite(losses)).sum())} NaN or infinite values")
    return losses


def _allowed(others: int, rate: float) -> int:
    return math.floor(rate * others * (1 + 1e-12))  # 0.01 * 300 is 3, whatever its last digit


def _found(members: ArrayLike, others: ArrayLike, rate: float) -> NDArray[np.bool_]:
    if not 0 <= rate < 1:
        raise ValueError(f"a false positive rate of {rate} is outside [0, 1)")
    first, second = _losses(members, "members"), np.sort(_losses(others, "others"))
    found: NDArray[np.bool_] = first < second[_allowed(len(second), rate)]
    return found


def _auc_interval(
    train: Floats, holdout: Floats, of_train: NDArray[np.str_], of_holdout: NDArray[np.str_], seed: int
) -> tuple[float, float]:
    jackknife = block_jackknife(
        lambda index: auc(train[index[0]], holdout[index[1]]),
        [of_train, of_holdout],
        seed=derive_seed(seed, "membership"),
    )
    low, high = jackknife.interval()
    if jackknife.standard_error["value"] == 0:
        patients = min(len(np.unique(of_train)), len(np.unique(of_holdout)))
        low, high = wilson(jackknife.values["value"] * patients, patients)
    return max(0.0, low), min(1.0, high)


def _rank_sum_test(
    train: Floats, holdout: Floats, of_train: NDArray[np.str_], of_holdout: NDArray[np.str_], seed: int
) -> float:
    """P-value of "members have the lower ranks". Ranks are centred, so that many images alone are no evidence."""
    ranks = rankdata(np.concatenate([train, holdout]))
    patients = np.concatenate([of_train, of_holdout])
    names = np.unique(patients)
    contributions = per_patient((len(ranks) + 1) / 2 - ranks, patients, names)
    tests = permutation_tests(contributions[:, None], np.isin(names, of_train), seed=derive_seed(seed, "membership"))
    return tests[0].more

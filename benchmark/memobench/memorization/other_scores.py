"""The other scores of the field on one set of features, each beside the value that fresh real images get."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.errors import DataError
from memobench.exchange import clustered_share, per_patient
from memobench.memorization._points import both, different, one_each
from memobench.memorization.authenticity import authentic, authenticity
from memobench.memorization.c_t import CELLS, CellDistances, cell_distances
from memobench.memorization.fld import Mixture, fld_gap, gap
from memobench.memorization.l2_ratio import NEIGHBOURS, calibrated_threshold, l2_ratio
from memobench.neighbours import as_points
from memobench.results import Metric
from memobench.seeds import derive_seed, generator_for
from memobench.statistics import block_jackknife

FLD_BLOCKS = 10  # each of the generated images' asks for a new fit

Rows = NDArray[np.float64]


def other_scores(
    generated: ArrayLike,
    train: ArrayLike,
    holdout: ArrayLike,
    test: ArrayLike,
    *,
    train_patients: NDArray[Any],
    holdout_patients: NDArray[Any],
    test_patients: NDArray[Any],
    seed: int,
) -> dict[str, Metric]:
    """Authenticity, C_T, the FLD gap and the calibrated l2 ratio, for comparison with the literature.

    The null of each is the value of fresh real images in the generated images' place: holdout (for the l2 ratio test,
    as holdout sets its threshold), as many as there are generated images, or all where there are fewer. Holdout is
    not in the reference of C_T and of the FLD gap, which is test. Fresh images are as good as images can be, so the
    null says what a perfect generator gets; a blurry or an odd generator moves these scores without having memorized
    anything. Therefore the note holds the same score of the generated images with holdout in train's place, which for
    a generator that memorized nothing differs by chance alone.

    All intervals are 95 %, given the training images and the threshold. Those of shares (authenticity, l2 ratio) count
    the training patients that the generated images are nearest to, as samples near one patient are one observation;
    those of C_T and the FLD gap are the delete-a-block jackknife over generated images and test patients. The null has
    a spread of its own, which they do not hold. C_T is a z-score: without memorization it lies within about +-2 for
    independent images, and more widely where test patients have several alike.

    Args:
        generated: (N, D) features of the generated images.
        train: (M, D) features of the training images.
        holdout: (H, D) features of as many other patients' images.
        test: (K, D) features of still other patients' images, the reference of C_T and of the FLD gap.
        train_patients: (M,) patient of each training image; two at least.
        holdout_patients: (H,) patient of each holdout image; two at least.
        test_patients: (K,) patient of each test image; two at least.
        seed: Seed of k-means, blocks and the draw of fresh images.

    Returns:
        ``authenticity``: the share of authentic generated images, the "nearest other training image" being of another
            patient.
        ``c_t``: in three cells of at least 20 generated images, or in one where no such cell can be had.
        ``fld_gap``: test minus train, in hundredths of a nat per dimension.
        ``l2_ratio_copies``: the share of generated images whose ratio to train is below what one in a thousand fresh
            images falls below (or the least share that as many holdout images can tell), with the 50 nearest training
            images, or half of them where there are fewer than 100.

    Raises:
        DataError: Dimensions or lengths differ, NaN, or a set too small: two generated images, two patients of each
            other set, four different images of train and of holdout.
    """
    samples, real = both(generated, train)
    decoys, others = as_points(holdout, "features of holdout"), as_points(test, "features of test")
    one_each(train_patients, len(real), "training")
    one_each(holdout_patients, len(decoys), "holdout")
    one_each(test_patients, len(others), "test")
    for rows, name in [(samples, "generated"), (decoys, "holdout")]:
        if len(rows) < 2:
            raise DataError(f"{len(rows)} {name} image(s) are too few for an interval; give two at least")
    owners = np.asarray(train_patients).astype(str)
    return {
        "authenticity": _authenticity(samples, real, decoys, owners, np.asarray(holdout_patients), seed),
        "c_t": _c_t(samples, real, decoys, others, np.asarray(test_patients), seed),
        "fld_gap": _fld_gap(samples, real, decoys, others, np.asarray(test_patients), seed),
        "l2_ratio_copies": _l2_ratio(samples, real, decoys, others, owners, seed),
    }


def _fresh(rows: Rows, count: int, seed: int) -> Rows:
    """As many of the rows as there are generated images, at random, or all of them."""
    if len(rows) <= count:
        return rows
    return rows[generator_for(seed, "fresh").permutation(len(rows))[:count]]


def _note(of_holdout: float, fresh: int, samples: int, *more: str) -> str:
    parts = [f"{of_holdout:.4g} with holdout in train's place"]
    if fresh < samples:
        parts.append(f"null of {fresh} fresh images")
    return "; ".join([*parts, *more])


def _clustered(hits: NDArray[np.bool_], owners: NDArray[np.str_]) -> tuple[float, float, float]:
    """A share of generated images, counted by the patient of the nearest training image."""
    names = np.unique(owners)
    return clustered_share(per_patient(hits, owners, names), per_patient(np.ones(len(hits)), owners, names))


def _authenticity(
    samples: Rows, real: Rows, decoys: Rows, owners: NDArray[np.str_], decoy_owners: NDArray[Any], seed: int
) -> Metric:
    found, index = authentic(samples, real, train_groups=owners)
    value, low, high = _clustered(found, owners[index])
    fresh = _fresh(decoys, len(samples), seed)
    return Metric(
        value=value,
        low=low,
        high=high,
        null=authenticity(fresh, real, train_groups=owners),
        better="null",
        note=_note(authenticity(samples, decoys, train_groups=decoy_owners), len(fresh), len(samples)),
    )


def _c_t(samples: Rows, real: Rows, decoys: Rows, others: Rows, patients: NDArray[Any], seed: int) -> Metric:
    def measure(rows: Rows, members: Rows) -> tuple[CellDistances, int]:
        try:
            return cell_distances(rows, members, others, cells=CELLS, seed=seed), CELLS
        except DataError:  # a collapsed or odd generator fills no cell that test fills
            return cell_distances(rows, members, others, cells=1, least=1, seed=seed), 1

    found, cells = measure(samples, real)
    estimate = block_jackknife(
        lambda index: found.statistic(index[0], index[1]),
        [np.arange(len(samples)), patients],
        seed=derive_seed(seed, "c_t"),
    )
    low, high = estimate.interval()
    fresh = _fresh(decoys, len(samples), seed)
    ideal, swapped = measure(fresh, real)[0], measure(samples, decoys)[0]
    everything = np.arange(len(others))
    return Metric(
        value=estimate.values["value"],
        low=low,
        high=high,
        null=ideal.statistic(np.arange(len(fresh)), everything),
        better="null",
        note=_note(
            swapped.statistic(np.arange(len(samples)), everything),
            len(fresh),
            len(samples),
            f"{len(found.kept)} of {cells} cells count",
        ),
    )


def _fld_gap(samples: Rows, real: Rows, decoys: Rows, others: Rows, patients: NDArray[Any], seed: int) -> Metric:
    mixture = Mixture.prepare(samples, real, others)
    whole = mixture.likelihoods(np.arange(len(samples)))

    def statistic(index: list[NDArray[np.int64]]) -> float:
        of_train, of_test = whole if len(index[0]) == len(samples) else mixture.likelihoods(index[0])
        return gap(of_train, of_test[index[1]])

    estimate = block_jackknife(
        statistic, [np.arange(len(samples)), patients], blocks=FLD_BLOCKS, seed=derive_seed(seed, "fld")
    )
    low, high = estimate.interval()
    fresh = _fresh(decoys, len(samples), seed)
    return Metric(
        value=estimate.values["value"],
        low=low,
        high=high,
        null=fld_gap(fresh, real, others),
        better="lower",
        note=_note(fld_gap(samples, decoys, others), len(fresh), len(samples)),
    )


def _l2_ratio(samples: Rows, real: Rows, decoys: Rows, others: Rows, owners: NDArray[np.str_], seed: int) -> Metric:
    neighbours = min(NEIGHBOURS, min(len(different(real)), len(different(decoys))) // 2)
    if neighbours < 2:
        raise DataError("the l2 ratio wants four different images in train and in holdout; give more")
    ratios, index = l2_ratio(samples, real, neighbours=neighbours)
    threshold, level = calibrated_threshold(l2_ratio(decoys, real, neighbours=neighbours)[0])
    value, low, high = _clustered(ratios < threshold, owners[index])
    fresh = _fresh(others, len(samples), seed)
    swapped = calibrated_threshold(l2_ratio(real, decoys, neighbours=neighbours)[0])[0]
    of_holdout = float((l2_ratio(samples, decoys, neighbours=neighbours)[0] < swapped).mean())
    return Metric(
        value=value,
        low=low,
        high=high,
        null=float((l2_ratio(fresh, real, neighbours=neighbours)[0] < threshold).mean()),
        better="lower",
        note=_note(
            of_holdout,
            len(fresh),
            len(samples),
            f"threshold {threshold:.4g} on {neighbours} neighbours, for {level:.2%} of fresh images",
        ),
    )

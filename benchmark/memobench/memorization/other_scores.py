"""The other scores of the field on one set of features, each beside the value that fresh real images get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed, generator_for
from memobench.memorization._points import both, different, one_each
from memobench.memorization.authenticity import authentic, authenticity
from memobench.memorization.c_t import CELLS, LEAST, CellDistances, cell_distances
from memobench.memorization.fld import Mixture, fld_gap, gap
from memobench.memorization.l2_ratio import NEIGHBOURS, calibrated_threshold, l2_ratio
from memobench.neighbours.nearest import as_points, nearest
from memobench.results import Metric
from memobench.stats.exchange import per_patient
from memobench.stats.intervals import clustered_share
from memobench.stats.jackknife import block_jackknife

FLD_BLOCKS = 10  # each block of generated images asks for a new fit

Rows = NDArray[np.float64]


def other_scores(  # noqa: PLR0913  four sets, three of them with their patients
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
    null says what a perfect generator gets. A blurry or odd generator moves authenticity and C_T far without having
    memorized anything; so each score stands beside the same score with holdout in train's place
    (``<name>_of_holdout``), from which it then differs by chance alone.

    All intervals are 95%, given the training images and the threshold. Generated images nearest to one training
    patient are one observation, so that a generator that repeats five images has five: shares (authenticity, l2 ratio)
    have the interval of a clustered share, C_T and the FLD gap the delete-a-block jackknife over those clusters and
    the test patients, and none where all generated images are nearest to one patient. The null has a spread of its
    own, which the intervals do not hold, and the values of holdout have no interval.

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
        ``c_t``: in three cells, or in one where some of the comparisons fill no three.
        ``fld_gap``: test minus train, in hundredths of a nat per dimension.
        ``l2_ratio_copies``: the share of generated images whose ratio to train is below what one in a thousand fresh
            images falls below (or the least share that as many holdout images can tell), with the 50 nearest training
            images, or half of them where there are fewer than 100.
        ``<name>_of_holdout``: each with holdout in train's place and train in holdout's.

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
    sets = _Sets(
        samples,
        real,
        decoys,
        others,
        owners,
        np.asarray(holdout_patients).astype(str),
        np.asarray(test_patients).astype(str),
        owners[nearest(samples, real)[1][:, 0]],
        seed,
    )
    metrics: dict[str, Metric] = {}
    for name, score in [
        ("authenticity", _authenticity),
        ("c_t", _c_t),
        ("fld_gap", _fld_gap),
        ("l2_ratio_copies", _l2_ratio),
    ]:
        metric, of_holdout = score(sets)
        metrics[name] = metric
        metrics[f"{name}_of_holdout"] = Metric(value=of_holdout, better="null")
    return metrics


@dataclass(frozen=True)
class _Sets:
    """The four sets of features, the patients of the real ones, and (N,) the patient that each sample is nearest to."""

    generated: Rows
    train: Rows
    holdout: Rows
    test: Rows
    train_patients: NDArray[np.str_]
    holdout_patients: NDArray[np.str_]
    test_patients: NDArray[np.str_]
    nearest_patients: NDArray[np.str_]
    seed: int

    def fresh(self, rows: Rows) -> Rows:
        """As many of the rows as there are generated images, at random, or all of them."""
        if len(rows) <= len(self.generated):
            return rows
        return rows[generator_for(self.seed, "fresh").permutation(len(rows))[: len(self.generated)]]

    def note(self, fresh: Rows, *more: str) -> str | None:
        """What is special about these sets."""
        fewer = [f"null of {len(fresh)} fresh images"] if len(fresh) < len(self.generated) else []
        return "; ".join([*fewer, *more]) or None

    def share(self, hits: NDArray[np.bool_]) -> tuple[float, float, float]:
        """A share of generated images with its interval."""
        names, sizes = np.unique(self.nearest_patients, return_counts=True)
        return clustered_share(per_patient(hits, self.nearest_patients, names), sizes.astype(np.float64))

    def jackknife(
        self, statistic: Callable[[list[NDArray[np.int64]]], float], role: str, blocks: int = 20
    ) -> tuple[float, float | None, float | None]:
        """A statistic of some generated and some test images, with its interval where there are two clusters."""
        if len(np.unique(self.nearest_patients)) < 2:
            return statistic([np.arange(len(self.generated)), np.arange(len(self.test))]), None, None
        estimate = block_jackknife(
            statistic,
            [self.nearest_patients, self.test_patients],
            blocks=blocks,
            seed=derive_seed(self.seed, role),
        )
        return estimate.values["value"], *estimate.interval()


def _authenticity(sets: _Sets) -> tuple[Metric, float]:
    found, _ = authentic(sets.generated, sets.train, train_groups=sets.train_patients)
    value, low, high = sets.share(found)
    fresh = sets.fresh(sets.holdout)
    null = authenticity(fresh, sets.train, train_groups=sets.train_patients)
    metric = Metric(value=value, low=low, high=high, null=null, better="null", note=sets.note(fresh))
    return metric, authenticity(sets.generated, sets.holdout, train_groups=sets.holdout_patients)


def _c_t(sets: _Sets) -> tuple[Metric, float]:
    fresh = sets.fresh(sets.holdout)
    pairs = [(sets.generated, sets.train), (fresh, sets.train), (sets.generated, sets.holdout)]

    def measure(cells: int, least: int) -> list[CellDistances]:
        return [
            cell_distances(rows, members, sets.test, cells=cells, least=least, seed=sets.seed)
            for rows, members in pairs
        ]

    try:
        cells, measured = CELLS, measure(CELLS, LEAST)
    except DataError:  # few images, or a collapsed generator in cells without test images: the global test remains
        cells, measured = 1, measure(1, 1)
    found, ideal, swapped = measured
    value, low, high = sets.jackknife(lambda index: found.statistic(index[0], index[1]), "c_t")
    metric = Metric(
        value=value,
        low=low,
        high=high,
        null=ideal.of_all(),
        better="null",
        note=sets.note(fresh, f"{len(found.kept)} of {cells} cell(s) count"),
    )
    return metric, swapped.of_all()


def _fld_gap(sets: _Sets) -> tuple[Metric, float]:
    mixture = Mixture.prepare(sets.generated, sets.train, sets.test)
    whole = mixture.likelihoods(np.arange(len(sets.generated)))

    def statistic(index: list[NDArray[np.int64]]) -> float:
        of_train, of_test = whole if len(index[0]) == len(sets.generated) else mixture.likelihoods(index[0])
        return gap(of_train, of_test[index[1]])

    value, low, high = sets.jackknife(statistic, "fld", FLD_BLOCKS)
    fresh = sets.fresh(sets.holdout)
    metric = Metric(
        value=value,
        low=low,
        high=high,
        null=fld_gap(fresh, sets.train, sets.test),
        better="lower",
        note=sets.note(fresh),
    )
    return metric, fld_gap(sets.generated, sets.holdout, sets.test)


def _l2_ratio(sets: _Sets) -> tuple[Metric, float]:
    neighbours = min(NEIGHBOURS, len(different(sets.train)) // 2, len(different(sets.holdout)) // 2)
    if neighbours < 2:
        raise DataError("the l2 ratio wants four different images in train and in holdout; give more")

    def ratios(rows: Rows, members: Rows) -> Rows:
        return l2_ratio(rows, members, neighbours=neighbours)[0]

    threshold, level = calibrated_threshold(ratios(sets.holdout, sets.train))
    value, low, high = sets.share(ratios(sets.generated, sets.train) < threshold)
    fresh = sets.fresh(sets.test)
    metric = Metric(
        value=value,
        low=low,
        high=high,
        null=float((ratios(fresh, sets.train) < threshold).mean()),
        better="lower",
        note=sets.note(
            fresh, f"ratio below {threshold:.4g} with {neighbours} neighbours, as of {level:.2%} of fresh images"
        ),
    )
    swapped = calibrated_threshold(ratios(sets.train, sets.holdout))[0]
    return metric, float((ratios(sets.generated, sets.holdout) < swapped).mean())

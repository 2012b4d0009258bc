"""Every quality metric of one generator, each with its interval and what real images score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed, generator_for
from memobench.neighbours.distances import Floats, as_points
from memobench.quality.fd import extrapolation_needs, frechet_distance, frechet_infinity
from memobench.quality.kid import kernel_distance
from memobench.quality.ms_ssim import diversity
from memobench.quality.prdc import prdc, prdc_items
from memobench.stats.jackknife import Jackknife, block_jackknife, wilson

NEIGHBOURS = 5
PAIRS = 512
POINTS, REPEATS = 8, 4  # subset sizes of an extrapolation, and extrapolations


@dataclass(frozen=True)
class Quality:
    """How good generated images are.

    Attributes:
        metrics: By metric: value, low, high, null (the value of the floor in the generated images' place; for
            ``ms_ssim`` that of the reference, pairs of different patients), better: "lower", "higher", or "null" for
            best near the null, and where there is something to say about it, note. A Frechet distance falls with the
            number of images, so its null is comparable where F >= N.
        deviations: Of the Frechet distance, ``by_samples`` (A,) and ``by_patients`` (B,): what it owes to each block of
            its sets (:class:`memobench.stats.jackknife.Jackknife`). Most of its variance is that of the reference,
            which two generators share; the difference of their distances has the differences of their deviations.
    """

    metrics: dict[str, dict[str, float | str]]
    deviations: dict[str, Floats]


def measure_quality(  # noqa: PLR0913  three sets, and what is known of them
    fake_features: ArrayLike,
    real_features: ArrayLike,
    real_patients: NDArray[Any],
    floor_features: ArrayLike,
    fake_pixels: NDArray[Any],
    real_pixels: NDArray[Any],
    *,
    feature_name: str,
    seed: int,
) -> Quality:
    """Frechet and kernel distance, precision, recall, density, coverage and diversity against real images.

    With images enough there is also ``fd_inf_<name>``, the Frechet distance extrapolated to endless sets: its interval
    adds the variance of the drawn subsets, from repeated extrapolations, to that of the distance itself (simulated, the
    two make up its variance). With fewer there is no line to draw, and ``fd_<name>`` carries a note that says so.

    The interval is 95%, by the delete-a-block jackknife over generated images and real patients (about the
    expectation at these numbers of images: a Frechet distance keeps its bias). Proportions take the wider of that and
    of Wilson's interval over images (precision) or patients (recall, coverage), so that 0 and 1 have one too, and stay
    in [0, 1]; density and the Frechet distance stay at 0 or above. The interval of ``ms_ssim`` leaves out generated
    images with all their pairs, as in an incomplete U-statistic. Where a metric is near its floor, or turns on single
    nearest neighbours, the jackknife is wide: simulated intervals cover 95 to 100%.

    Args:
        fake_features: (N, D) features of generated images.
        real_features: (M, D) features of the reference, real images that no generator saw.
        real_patients: (M,) the patient of each.
        floor_features: (F, D) features of real images of still other patients; at most N of them are drawn.
        fake_pixels: (N, *S) the generated images, in [0, 1].
        real_pixels: (M, *S) the reference's images.
        feature_name: Name of the features, for ``fd_<name>``, ``fd_inf_<name>`` and ``kid_<name>``.
        seed: Seed of the blocks, the pairs and the draw of the floor.

    Raises:
        DataError: A set is too small (5 images or fewer, fewer than two patients), lengths or dimensions differ, or
            features hold NaN.
    """
    fake, real, floor = as_points(fake_features), as_points(real_features), as_points(floor_features)
    if not (len(fake) == len(fake_pixels) and len(real) == len(real_pixels) == len(real_patients)):
        raise DataError(
            f"{len(fake)} and {len(real)} rows of features, {len(fake_pixels)} and {len(real_pixels)} images and "
            f"{len(real_patients)} patients; give one of each per image"
        )
    patients = len(np.unique(real_patients))
    if patients < 2:
        raise DataError(f"the reference of quality holds {patients} patient(s); an interval needs two at least")
    if len(floor) <= NEIGHBOURS:
        raise DataError(
            f"{len(floor)} real images of other patients are too few for the floor of quality; give {NEIGHBOURS + 1} "
            "at least, of patients outside the reference"
        )
    floor = _floor(floor, len(fake), seed)
    names = _names(feature_name)

    def on_features(index: list[NDArray[np.int64]]) -> dict[str, float]:
        x, y = fake[index[0]], real[index[1]]
        distances = {names["fd"]: frechet_distance(x, y), names["kid"]: kernel_distance(x, y)}
        return distances | prdc_items(y, x, NEIGHBOURS).means()

    prdc(real, fake, NEIGHBOURS)  # refuses sets that are too small, before the long part
    null = {names["fd"]: frechet_distance(floor, real), names["kid"]: kernel_distance(floor, real)}
    null |= prdc(real, floor, NEIGHBOURS)
    estimate = block_jackknife(on_features, [np.arange(len(fake)), real_patients], seed=seed)
    trials = {"precision": len(fake), "recall": patients, "coverage": patients}
    result: dict[str, dict[str, float | str]] = {}
    for name, value in estimate.values.items():
        low, high = _interval(estimate, name, trials.get(name))
        if name != names["kid"]:
            low = max(0.0, low)
        better = "lower" if name in names.values() else "higher"
        result[name] = {"value": value, "low": low, "high": high, "null": null[name], "better": better}
    result |= _endless(result[names["fd"]], names["inf"], estimate, names["fd"], (fake, real, floor), seed)
    result["ms_ssim"] = _diversity(fake_pixels, real_pixels, real_patients, seed)
    by_samples, by_patients = (deviations[names["fd"]] for deviations in estimate.deviations)
    return Quality(result, {"by_samples": by_samples, "by_patients": by_patients})


def measure_distances(
    fake_features: ArrayLike,
    real_features: ArrayLike,
    floor_features: ArrayLike,
    real_patients: NDArray[Any],
    *,
    feature_name: str,
    seed: int,
) -> dict[str, dict[str, float | str]]:
    """The Frechet and the kernel distance on further features, as :func:`measure_quality` gives them.

    On Inception features the Frechet distance goes by its published name, ``fid``, and ``fid_inf`` for endless sets.
    """
    fake, real, floor = as_points(fake_features), as_points(real_features), as_points(floor_features)
    floor = _floor(floor, len(fake), seed)
    names = _names(feature_name)

    def distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, float]:
        return {names["fd"]: frechet_distance(x, y), names["kid"]: kernel_distance(x, y)}

    null = distances(floor, real)
    # a Frechet distance in 2048 dimensions takes seconds: fewer blocks than elsewhere
    estimate = block_jackknife(
        lambda index: distances(fake[index[0]], real[index[1]]),
        [np.arange(len(fake)), real_patients],
        blocks=5,
        seed=seed,
    )
    result: dict[str, dict[str, float | str]] = {}
    for name, value in estimate.values.items():
        low, high = estimate.interval(name)
        low = max(0.0, low) if name == names["fd"] else low
        result[name] = {"value": value, "low": low, "high": high, "null": null[name], "better": "lower"}
    return result | _endless(result[names["fd"]], names["inf"], estimate, names["fd"], (fake, real, floor), seed)


def _names(features: str) -> dict[str, str]:
    if features == "inception":
        return {"fd": "fid", "inf": "fid_inf", "kid": "kid_inception"}
    return {"fd": f"fd_{features}", "inf": f"fd_inf_{features}", "kid": f"kid_{features}"}


def _floor(floor: Floats, count: int, seed: int) -> Floats:
    """As many images of the floor as there are generated ones, or all."""
    return floor[generator_for(seed, "floor").permutation(len(floor))[:count]] if len(floor) > count else floor


def _endless(
    finite: dict[str, float | str],
    name: str,
    estimate: Jackknife,
    finite_name: str,
    sets: tuple[Floats, Floats, Floats],
    seed: int,
) -> dict[str, dict[str, float | str]]:
    """The distance of endless sets by name, or nothing, and then a note beside the finite distance."""
    fake, real, floor = sets
    smallest, needed = min(map(len, sets)), extrapolation_needs(fake.shape[1])
    if smallest < needed:
        finite["note"] = (
            f"no {name}: the smallest set holds {smallest} images, an extrapolation in {fake.shape[1]} dimensions "
            f"needs {needed}"
        )
        return {}
    draws = [
        frechet_infinity(fake, real, points=POINTS, seed=derive_seed(seed, "endless", draw)) for draw in range(REPEATS)
    ]
    value = float(np.mean(draws))
    variance = estimate.standard_error[finite_name] ** 2 + float(np.var(draws, ddof=1)) / REPEATS
    spread = Jackknife({"value": value}, {"value": math.sqrt(variance)}, {"value": estimate.degrees[finite_name]})
    low, high = spread.interval()
    null = frechet_infinity(floor, real, points=POINTS, seed=derive_seed(seed, "endless"))
    return {name: {"value": value, "low": low, "high": high, "null": null, "better": "lower"}}


def _interval(estimate: Jackknife, name: str, trials: int | None) -> tuple[float, float]:
    low, high = estimate.interval(name)
    if trials is None:
        return low, high
    share = estimate.values[name]
    wilson_low, wilson_high = wilson(share * trials, trials)
    return max(0.0, min(low, wilson_low)), min(1.0, max(high, wilson_high))


def _diversity(
    fake_pixels: NDArray[Any], real_pixels: NDArray[Any], real_patients: NDArray[Any], seed: int
) -> dict[str, float | str]:
    fake = diversity(fake_pixels, pairs=PAIRS, seed=seed)
    real = diversity(real_pixels, pairs=PAIRS, seed=seed, groups=real_patients)

    def mean_of_pairs(index: list[NDArray[np.int64]]) -> float:
        kept = np.isin(fake.pairs, index[0]).all(axis=1)
        return float(fake.values[kept].mean())

    estimate = block_jackknife(mean_of_pairs, [np.arange(len(fake_pixels))], seed=seed)
    # Each pair falls with either of its images, so the jackknife counts the variance between pairs, s^2 / P, twice.
    between = float(fake.values.var()) / len(fake.values)
    variance = max(estimate.standard_error["value"] ** 2 - between, between)
    low, high = Jackknife(estimate.values, {"value": math.sqrt(variance)}, estimate.degrees).interval()
    return {
        "value": fake.value,
        "low": max(0.0, low),
        "high": min(1.0, high),
        "null": real.value,
        "better": "null",
    }

"""Intervals and tests that respect patients: what is drawn together is left out or permuted together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for

Statistic = Callable[[list[NDArray[np.int64]]], float | Mapping[str, float]]


@dataclass(frozen=True)
class Jackknife:
    """Statistics of the full sets with what the jackknife knows of their spread.

    Attributes:
        values: The statistics on all items; under the name "value" where the function gave a single number.
        standard_error: The standard error of each.
        degrees: Degrees of freedom of each standard error (Welch-Satterthwaite over the sets).
        deviations: For each set, by name, (B,) by how much each of its blocks moves the statistic, so scaled that the
            mean of their squares is the variance that the set brings. They are linear: where two statistics are made
            with the same blocks of a set, the differences of their deviations are those of the difference.
    """

    values: dict[str, float]
    standard_error: dict[str, float]
    degrees: dict[str, float]
    deviations: tuple[dict[str, NDArray[np.float64]], ...] = ()

    def interval(self, name: str = "value", level: float = 0.95) -> tuple[float, float]:
        """The two-sided interval value -+ t * standard error of Student's t with ``degrees`` degrees of freedom."""
        half = float(stdtrit(self.degrees[name], 0.5 + level / 2)) * self.standard_error[name]
        return self.values[name] - half, self.values[name] + half


def block_jackknife(
    function: Statistic, groups: Sequence[NDArray[np.generic]], *, blocks: int = 20, seed: int
) -> Jackknife:
    """The delete-a-block jackknife of statistics over one or several independent sets.

    Whole groups (patients) are assigned at random to blocks of about equal size; each block in turn is left out of its
    set while the other sets stay whole. Blocks may differ in size, so the variance of one set is that of the
    delete-m_j jackknife (Busing, Meijer & van der Leeden 1999, eq. 8); sets are independent and their variances add.
    The interval that follows is one for the expectation of the statistic at these set sizes: a statistic that is
    biased at n items, as the Frechet distance is, keeps its bias.

    Args:
        function: Given one index array per set, the statistic or several by name.
        groups: For each set, (n,) the group of each item; ``np.arange(n)`` where the items are independent.
        blocks: Blocks per set; as many as there are groups where those are fewer.
        seed: Seed of the assignment.

    Raises:
        DataError: A set has fewer than two groups, so that nothing can be left out.

    >>> x = np.random.default_rng(0).normal(size=400)
    >>> result = block_jackknife(lambda index: float(x[index[0]].mean()), [np.arange(400)], seed=0)
    >>> bool(abs(result.standard_error["value"] - 1 / 20) < 0.02)
    True
    """
    everything = [np.arange(len(labels), dtype=np.int64) for labels in groups]
    values = _named(function(everything))
    deviations: list[dict[str, NDArray[np.float64]]] = []
    degrees: list[int] = []
    for position, labels in enumerate(groups):
        block_of = _deal(labels, blocks, position, seed)
        count = int(block_of.max()) + 1
        kept: dict[str, list[float]] = {name: [] for name in values}
        for block in range(count):
            index = [*everything]
            index[position] = np.flatnonzero(block_of != block)
            for name, value in _named(function(index)).items():
                kept[name].append(value)
        ratio = len(labels) / np.bincount(block_of)  # n / m_j
        deviations.append({name: _deviations(values[name], np.array(kept[name]), ratio) for name in values})
        degrees.append(count - 1)
    variances = [{name: float(np.mean(found**2)) for name, found in of_set.items()} for of_set in deviations]
    total = {name: sum(variance[name] for variance in variances) for name in values}
    return Jackknife(
        values,
        {name: math.sqrt(total[name]) for name in values},
        {
            name: total[name] ** 2 / sum(v[name] ** 2 / d for v, d in zip(variances, degrees, strict=True))
            if total[name] > 0
            else float(min(degrees))
            for name in values
        },
        tuple(deviations),
    )


def _named(result: float | Mapping[str, float]) -> dict[str, float]:
    return dict(result) if isinstance(result, Mapping) else {"value": float(result)}


def _deal(labels: NDArray[np.generic], blocks: int, position: int, seed: int) -> NDArray[np.int64]:
    """The block of each item: groups in random order, each to the block that holds the fewest items so far."""
    _, group_of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    count = min(blocks, len(sizes))
    if count < 2:
        raise DataError(
            f"set {position + 1} of the jackknife has {len(sizes)} group(s) in {count} block(s); "
            "an interval needs two patients (or samples) at least"
        )
    held = np.zeros(count, dtype=np.int64)
    block_of_group = np.empty(len(sizes), dtype=np.int64)
    for group in generator_for(seed, "jackknife", position).permutation(len(sizes)):
        block_of_group[group] = np.argmin(held)
        held[block_of_group[group]] += sizes[group]
    block_of: NDArray[np.int64] = block_of_group[group_of.reshape(-1)]
    return block_of


def _deviations(value: float, kept: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    pseudo = ratio * value - (ratio - 1) * kept
    centre = len(kept) * value - float(np.sum((1 - 1 / ratio) * kept))
    deviations: NDArray[np.float64] = (pseudo - centre) / np.sqrt(ratio - 1)
    return deviations


def wilson(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927), always within [0, 1].

    Args:
        successes: Number of successes, in [0, trials].
        trials: Number of trials, above 0.
        level: Coverage of the interval.

    Raises:
        ValueError: No trials, or successes outside [0, trials].

    >>> tuple(round(end, 4) for end in wilson(0, 10))
    (0.0, 0.2775)
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes of {trials} trials is not a proportion")
    z = float(ndtri(0.5 + level / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))

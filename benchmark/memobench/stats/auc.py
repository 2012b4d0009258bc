"""The area under the ROC curve of two samples, as the Mann-Whitney U statistic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu


def probability_above(higher: NDArray[np.floating], lower: NDArray[np.floating]) -> float:
    """Probability that a value of the first sample exceeds one of the second, ties counting half.

    Mann & Whitney 1947; as an AUC: Hanley & McNeil 1982.

    Args:
        higher: (N,) finite values, N at least 1.
        lower: (M,) finite values, M at least 1.

    >>> probability_above(np.array([2.0, 1.0]), np.array([0.0, 1.0]))
    0.875
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of its p-value, where all values are equal
        found = mannwhitneyu(higher, lower, method="asymptotic")
    return float(found.statistic) / (len(higher) * len(lower))

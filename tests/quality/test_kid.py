from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.kid import kernel_distance


def by_loops(x, y):
    kernel = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_equals_the_definition_pair_by_pair():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(17, 5)), rng.normal(0.3, 1, (11, 5))
    assert kernel_distance(x, y) == pytest.approx(by_loops(x, y), rel=1e-12)
    assert kernel_distance(x, y, block=4) == pytest.approx(kernel_distance(x, y), rel=1e-12)
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x), rel=1e-12)


def test_equals_torch_fidelity_and_piq_on_one_subset_of_everything():
    torch = pytest.importorskip("torch")
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 16)), rng.normal(0.2, 1.1, (60, 16))
    theirs = fidelity.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=1, kid_subset_size=60, verbose=False
    )["kernel_inception_distance_mean"]
    assert kernel_distance(x, y) == pytest.approx(theirs, rel=1e-9)
    piq = pytest.importorskip("piq")
    metric = piq.KID(degree=3, average=False)
    assert kernel_distance(x, y) == pytest.approx(
        float(metric.compute_metric(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-6
    )


def test_unbiased_between_sets_of_one_distribution():
    rng = np.random.default_rng(2)
    values = [kernel_distance(rng.normal(size=(20, 3)), rng.normal(size=(30, 3))) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20
    assert 0.3 < np.mean(np.array(values) < 0) < 0.8


@pytest.mark.parametrize("mean", [0, 10**4, 10**6])
def test_equals_exact_arithmetic_at_extreme_means(mean):
    rng = np.random.default_rng(4)
    x, y = rng.integers(-9, 10, (9, 5)), rng.integers(-7, 12, (7, 5))

    def kernel(a, b):
        return (Fraction(sum(int(p + mean) * int(q + mean) for p, q in zip(a, b, strict=True)), 5) + 1) ** 3

    def mean_of(first, second, same):
        values = [kernel(a, b) for i, a in enumerate(first) for j, b in enumerate(second) if not (same and i == j)]
        return sum(values) / len(values)

    exact = mean_of(x, x, True) + mean_of(y, y, True) - 2 * mean_of(x, y, False)
    assert kernel_distance(x + mean, y + mean) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("shape", [(6, 40), (50, 3)])
def test_every_image_ten_times_and_fewer_rows_than_dimensions(shape):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=shape), rng.normal(0.4, 1, shape)
    assert kernel_distance(x, y) == pytest.approx(by_loops(x, y), rel=1e-10)
    ten = np.repeat(x[:6], 10, axis=0)
    assert kernel_distance(ten, y) == pytest.approx(by_loops(ten, y), rel=1e-10)  # a set that repeats itself, no error


def test_large_means_and_equal_sets():
    rng = np.random.default_rng(3)
    x = rng.normal(1e3, 1, (50, 8))
    assert kernel_distance(x, x) < 0  # an unbiased estimate counts no image against itself
    assert np.isfinite(kernel_distance(x, x + 1))
    assert kernel_distance(np.ones((4, 2)), np.ones((3, 2))) == pytest.approx(0, abs=1e-12)


def test_refusals():
    with pytest.raises(DataError, match="not 1"):
        kernel_distance(np.zeros((1, 2)), np.zeros((3, 2)))
    with pytest.raises(DataError, match="dimensions"):
        kernel_distance(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(DataError, match="NaN"):
        kernel_distance(np.full((3, 2), np.nan), np.zeros((3, 2)))

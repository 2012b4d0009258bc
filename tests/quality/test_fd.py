from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.fd import frechet_distance, frechet_infinity


def by_matrix_root(x, y):
    """The textbook form, by scipy's matrix root."""
    linalg = pytest.importorskip("scipy.linalg")
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    shift = x.mean(axis=0) - y.mean(axis=0)
    return shift @ shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root).real


def sets(n=120, m=90, d=12, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * np.linspace(0.2, 3, d)
    return x @ rng.normal(size=(d, d)) + mean, y @ rng.normal(size=(d, d)) + mean + 0.5


@pytest.mark.parametrize("mean", [0.0, 10.0, 1e3])
def test_equals_the_textbook_and_other_libraries(mean):
    x, y = sets(mean=mean)
    ours = frechet_distance(x, y)
    assert ours == pytest.approx(by_matrix_root(x, y), rel=1e-8)
    moments = x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False)
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    keys = ("mu", "sigma")
    first, second = dict(zip(keys, moments[:2], strict=True)), dict(zip(keys, moments[2:], strict=True))
    theirs = fidelity.fid_statistics_to_metric(first, second, False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
@pytest.mark.parametrize("module", ["pytorch_fid.fid_score", "cleanfid.fid"])
def test_equals_pytorch_fid_and_clean_fid(module):
    library = pytest.importorskip(module)
    function = getattr(library, "calculate_frechet_distance", None) or library.frechet_distance
    x, y = sets()
    moments = x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False)
    try:
        theirs = function(*moments)
    except TypeError as error:  # scipy 1.18 takes no disp any more
        pytest.skip(f"{module} fails with this scipy: {error}")
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-6)


def test_gaussians_in_closed_form():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 6))
    # Scaled by s and shifted: tr((1 - s)^2 S) + |shift + (s - 1) mean|^2.
    covariance, mean = np.cov(x, rowvar=False), x.mean(axis=0)
    expected = 0.25 * np.trace(covariance) + np.sum((2 + 0.5 * mean) ** 2)
    assert frechet_distance(x, 1.5 * x + 2) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(10, 50), (50, 10), (2, 7), (30, 30)])
def test_equal_sets_are_at_zero_and_order_does_not_matter(shape):
    rng = np.random.default_rng(2)
    x, y = rng.normal(1e3, 1, shape), rng.normal(1e3, 1, (13, shape[1]))
    assert 0 <= frechet_distance(x, x) < 1e-9
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-9
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-10)


@pytest.mark.parametrize("mean", [1e4, 1e6])
@pytest.mark.parametrize("shape", [(40, 6), (8, 30)])
def test_an_extreme_mean_changes_nothing(mean, shape):
    rng = np.random.default_rng(7)
    x, y = (rng.integers(-64, 64, shape) / 64 for _ in range(2))  # the sums with the mean are exact
    assert frechet_distance(x + mean, y + mean) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_every_image_ten_times():
    x, y = sets()
    ten = np.repeat(x, 10, axis=0)
    assert frechet_distance(ten, y) == pytest.approx(by_matrix_root(ten, y), rel=1e-8)
    assert frechet_distance(ten, y) == pytest.approx(frechet_distance(x, y), rel=0.02)  # N - 1 is all that differs


def test_fewer_rows_than_dimensions_against_a_regularized_root():
    x, y = sets(n=9, m=14, d=20, seed=3)
    rotation = np.linalg.qr(np.concatenate([x - x.mean(axis=0), y - y.mean(axis=0)]).T)[0]  # spans both
    assert frechet_distance(x, y) == pytest.approx(
        frechet_distance(np.concatenate([x @ rotation]), y @ rotation), rel=1e-9
    )
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    shift = x.mean(axis=0) - y.mean(axis=0)
    expected = shift @ shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * overlap
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)


def test_constants():
    assert frechet_distance(np.ones((5, 3)), np.ones((4, 3))) == 0
    assert frechet_distance(np.ones((5, 3)), np.full((4, 3), 3.0)) == pytest.approx(12)


def test_refusals():
    rows = np.zeros((3, 2))
    with pytest.raises(DataError, match="two images at least, not 1"):
        frechet_distance(rows, rows[:1])
    with pytest.raises(DataError, match="2 and 4 dimensions"):
        frechet_distance(rows, np.zeros((3, 4)))
    with pytest.raises(DataError, match="NaN or infinite"):
        frechet_distance(rows, np.full((3, 2), np.inf))


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_extrapolation_finds_the_distance_of_the_populations(shift):
    rng = np.random.default_rng(5)
    spread = np.linspace(1, 0.1, 40)
    truth = 40 * shift**2 + 0.04 * np.sum(spread**2)
    sets = [(rng.normal(size=(300, 40)) * spread, rng.normal(size=(250, 40)) * spread * 1.2 + shift) for _ in range(6)]
    finite = [frechet_distance(x, y) for x, y in sets]
    endless = [frechet_infinity(x, y, seed=0) for x, y in sets]
    assert np.mean(finite) - truth > 1
    assert abs(np.mean(endless) - truth) < 4 * np.std(endless) / np.sqrt(6) < 0.5
    assert frechet_infinity(*sets[0], seed=0) == endless[0]


def test_extrapolation_of_constants_and_of_one_set():
    ones = np.ones((20, 3))
    assert frechet_infinity(ones, ones, seed=0) == pytest.approx(0, abs=1e-9)
    assert frechet_infinity(ones, 3 * ones, seed=0) == pytest.approx(12)
    x = np.random.default_rng(8).normal(1e6, 1, (60, 4))
    assert -1 < frechet_infinity(x, x, seed=0) < 0  # subsets differ where the whole does not: below 0, but not far


def test_extrapolation_refuses_where_the_law_is_not_linear():
    with pytest.raises(DataError, match="20 images are too few to extrapolate a Frechet distance in 10 dimensions"):
        frechet_infinity(np.zeros((20, 10)), np.zeros((50, 10)), seed=0)

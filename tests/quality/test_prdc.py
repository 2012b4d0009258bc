from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.prdc import prdc, prdc_items
from numpy.testing import assert_array_equal


def sets(n=130, m=110, d=8, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(mean, 1, (m, d)), rng.normal(mean + 0.3, 0.8, (n, d))


@pytest.mark.parametrize(("k", "mean", "d"), [(1, 0.0, 8), (3, 0.0, 3), (5, 0.0, 64), (5, 1e3, 8)])
def test_equals_the_prdc_package(k, mean, d):
    package = pytest.importorskip("prdc")
    real, fake = sets(mean=mean, d=d)
    theirs = package.compute_prdc(real, fake, nearest_k=k)
    ours = prdc(real, fake, k)
    assert ours == pytest.approx({name: float(value) for name, value in theirs.items()}, rel=1e-12)


def test_generated_equal_to_real_as_in_the_prdc_package():
    package = pytest.importorskip("prdc")
    real, _ = sets(d=2)
    ours = prdc(real, real)
    assert ours == {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    grid = np.unique(np.round(real * 8), axis=0)  # ties between neighbours, no duplicates
    moved = grid[::2] + np.array([1, 0])
    theirs = package.compute_prdc(grid, moved, nearest_k=5)
    assert prdc(grid, moved) == pytest.approx({name: float(value) for name, value in theirs.items()})


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_equal_torch_fidelity(k):
    torch = pytest.importorskip("torch")
    fidelity = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = sets()
    theirs = fidelity.prc_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        prc_neighborhood=k,
        prc_batch_size=1000,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = prdc(real, fake, k)
    # Counts, since torch-fidelity rounds its means to float32.
    assert round(ours["precision"] * len(fake)) == round(theirs["precision"] * len(fake))
    assert round(ours["recall"] * len(real)) == round(theirs["recall"] * len(real))


def test_items_average_to_the_measures_and_name_the_images():
    real, fake = sets()
    fake[7] += 50  # leaves every neighbourhood
    items = prdc_items(real, fake)
    assert items.precision.shape == items.density.shape == (130,)
    assert items.recall.shape == items.coverage.shape == (110,)
    assert not items.precision[7]
    assert items.density[7] == 0
    assert items.means() == prdc(real, fake)
    assert_array_equal(items.density > 0, items.precision)


@pytest.mark.parametrize("repeats", [2, 10])
def test_repeating_every_image_changes_nothing(repeats):
    real, fake = sets()
    once = prdc(real, fake)
    assert 0.5 < once["precision"] < 1  # the strict rule alone gives 0.0 here
    assert prdc(np.repeat(real, repeats, axis=0), fake) == pytest.approx(once)
    assert prdc(real, np.tile(fake, (repeats, 1))) == pytest.approx(once)
    rng = np.random.default_rng(1)
    noisy = np.repeat(real, repeats, axis=0) * (1 + 1e-7 * rng.normal(size=(110 * repeats, 8)))  # another batch
    assert prdc(noisy, fake)["precision"] == pytest.approx(once["precision"], abs=0.02)


@pytest.mark.parametrize("mean", [1e4, 1e6])
@pytest.mark.parametrize("d", [2, 200])
def test_an_extreme_mean_changes_nothing(mean, d):
    rng = np.random.default_rng(9)
    real, fake = rng.integers(-512, 512, (60, d)) / 512, rng.integers(-400, 500, (70, d)) / 512
    assert prdc(real + mean, fake + mean) == prdc(real, fake)
    away = prdc(real, fake + mean)
    assert (away["precision"], away["density"], away["coverage"]) == (0, 0, 0)


def test_constants_collapse_and_strangers():
    ones = np.ones((20, 4))
    assert prdc(ones, ones) == {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    assert prdc(ones, ones + 1) == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}
    real, _ = sets(d=4)
    collapsed = prdc(real, np.repeat(real[:1], 50, axis=0))
    assert collapsed["precision"] == 1
    assert collapsed["recall"] == pytest.approx(1 / 110)
    assert collapsed["coverage"] < 0.2


def test_one_image_and_refusals():
    real, fake = sets()
    items = prdc_items(real, real[:1])
    assert items.precision.tolist() == [True]
    assert items.recall.sum() == 1
    with pytest.raises(DataError, match="5 generated images have no 5 nearest others"):
        prdc(real, fake[:5])
    with pytest.raises(DataError, match="1 real images"):
        prdc(real[:1], fake)
    with pytest.raises(DataError, match="NaN"):
        prdc(real, np.full((9, 8), np.nan))
    with pytest.raises(DataError, match="dimensions"):
        prdc(real, fake[:, :3])
    with pytest.raises(DataError, match="0 generated"):
        prdc_items(real, fake[:0])

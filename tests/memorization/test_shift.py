"""Exchangeability: valid where the sides are drawn from one population, and seen where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.memorization.shift import Shift, Side, exchangeability
from memobench.stats.strata import Strata

WIDTH = 24


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.memorization.shift.DRAWS", 599)


def sides(
    train: int, holdout: int, seed: int, *, moved: float = 0.0, sharper: float = 1.0, images: int = 4
) -> tuple[Side, Side, np.ndarray, np.ndarray]:
    """Features of patients with 1 to ``images`` images each, and their best scores against others."""
    rng = np.random.default_rng(seed)
    total = train + holdout
    size = np.linspace(1, 0.1, WIDTH)
    centre = rng.normal(size=(total, WIDTH)) * size
    centre[train:] *= sharper
    centre[train:, :3] += moved * size[:3]
    owner = np.repeat(np.arange(total), rng.integers(1, images + 1, size=total))
    rows = centre[owner] + 0.5 * rng.normal(size=(len(owner), WIDTH)) * size
    square = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
    square[owner[:, None] == owner[None]] = np.inf
    names = np.array([f"p{k:04}" for k in owner])
    of_train = owner < train
    return Side(rows[of_train], names[of_train]), Side(rows[~of_train], names[~of_train]), -square.min(axis=1), names


def told(*args: int, **kwargs: float) -> Shift:
    train, holdout, null, names = sides(*args, **kwargs)  # type: ignore[arg-type]
    return exchangeability(train, holdout, null_scores=null, null_patients=names)


@pytest.mark.parametrize(("train", "holdout", "images"), [(8, 8, 4), (20, 20, 12), (12, 40, 4)])
def test_patients_of_one_population_are_seldom_told_apart(train: int, holdout: int, images: int) -> None:
    p_values = np.array([told(train, holdout, seed, images=images).p_value for seed in range(12)])
    assert (p_values < 0.05).mean() <= 0.05 + 2.5 * np.sqrt(0.05 / 12)
    assert (p_values < 0.01).sum() <= 2


def test_an_offset_and_another_sharpness_are_seen() -> None:
    for seed in range(3):
        moved, sharper = told(40, 40, seed, moved=2.0), told(40, 40, seed, sharper=0.4)
        assert not moved.exchangeable
        assert moved.auc > 0.75
        assert moved.train_nearest > 0.6
        assert not sharper.exchangeable


def test_strata_that_explain_the_shift_give_the_test_back() -> None:
    rng = np.random.default_rng(3)
    names = np.array([f"p{k:03}" for k in range(80)])
    site = np.where(rng.permutation(80) < 40, "a", "b")
    rows = rng.normal(size=(80, WIDTH)) + 4.0 * (site == "b")[:, None]
    # nine in ten of site a are in train, one in ten of site b
    in_train = np.zeros(80, dtype=bool)
    for one, share in (("a", 36), ("b", 4)):
        in_train[rng.permutation(np.flatnonzero(site == one))[:share]] = True
    train, holdout = Side(rows[in_train], names[in_train]), Side(rows[~in_train], names[~in_train])
    strata = Strata.from_columns(names, {"site": site})
    assert not exchangeability(train, holdout).exchangeable
    within = exchangeability(train, holdout, strata=strata)
    assert within.exchangeable
    assert within.strata == ("site",)


def test_where_nothing_can_be_tested_nothing_is_claimed() -> None:
    names = np.array(["a", "b", "c", "d"])
    found = exchangeability(Side(None, names[:2]), Side(None, names[2:]))
    assert found.exchangeable
    assert found.p_value == 1.0
    assert found.auc == 0.5
    same = exchangeability(Side(np.ones((2, 3)), names[:2]), Side(np.ones((2, 3)), names[2:]))
    assert same.exchangeable
    assert same.p_value == 1.0

"""The coarse search in made-up images: copies that lost all detail are named, and no stranger stands out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from memobench.detection.coarse import FEWEST, coarse_null, coarse_pool, coarse_vectors, find_coarse
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.float32]
PATIENTS = 60


def anatomy(count: int, seed: int, shape: tuple[int, ...] = (32, 32)) -> Pixels:
    """One body for all, with coarse shading and fine detail of each one's own."""
    rng = np.random.default_rng(seed)
    common = gaussian_filter(np.random.default_rng(99).random(shape), 3)
    coarse, fine = (np.stack([gaussian_filter(rng.random(shape), s) for _ in range(count)]) for s in (2.0, 0.7))
    made = 6 * (common - 0.5) + 3 * (coarse - 0.5) + fine - 0.5 + 0.5
    pixels: Pixels = np.clip(made, 0, 1).astype(np.float32)
    return pixels


def from_components(pixels: Pixels, others: Pixels, count: int) -> Pixels:
    """Images from the first principal components of other patients."""
    flat, mean = others.reshape(len(others), -1), others.reshape(len(others), -1).mean(axis=0)
    axes = np.linalg.svd(flat - mean, full_matrices=False)[2][:count]
    again = mean + (pixels.reshape(len(pixels), -1) - mean) @ axes.T @ axes
    made: Pixels = np.clip(again, 0, 1).reshape(pixels.shape).astype(np.float32)
    return made


def softened(pixels: Pixels, sigma: float) -> Pixels:
    return np.stack([gaussian_filter(one, sigma) for one in pixels])


POOL, STRANGERS, TEACHERS = anatomy(PATIENTS, 1), anatomy(PATIENTS, 2), anatomy(2 * PATIENTS, 3)
OWNERS = np.arange(PATIENTS)
READY = coarse_pool(POOL, OWNERS)
NULL = coarse_null(POOL, READY, OWNERS)


def under_strangers(pixels: Pixels) -> Pixels:
    """Low frequencies of images under the detail of strangers."""
    detail = STRANGERS - softened(STRANGERS, 1.0)
    made: Pixels = np.clip(softened(pixels, 1.0) + detail, 0, 1).astype(np.float32)
    return made


WAYS: dict[str, Callable[[Pixels], Pixels]] = {
    "components": lambda pixels: from_components(pixels, TEACHERS, 80),
    "a stranger's detail": under_strangers,
    "blur": lambda pixels: softened(pixels, 1.2),
}


@pytest.mark.parametrize("way", WAYS)
def test_copies_without_detail_of_their_own_are_named_and_strangers_treated_likewise_are_not(way: str) -> None:
    treat = WAYS[way]
    found = find_coarse(treat(POOL), READY)
    assert (found.index == OWNERS).mean() >= 0.95
    assert (found.score > np.quantile(NULL, 0.99)).mean() >= 0.8
    strangers = find_coarse(treat(np.roll(STRANGERS, 1, axis=0)), READY).score
    assert (strangers > np.quantile(NULL, 0.95)).mean() <= 0.1
    assert strangers.max() < np.median(found.score)


def test_new_patients_score_like_the_null() -> None:
    scores = [find_coarse(anatomy(PATIENTS, seed), READY).score for seed in range(10, 15)]
    reached = (np.concatenate(scores) > np.quantile(NULL, 0.9)).mean()
    assert reached < 0.15


def test_a_patient_who_is_passed_over_is_not_named() -> None:
    found = find_coarse(POOL, READY, passed=OWNERS)
    assert (found.index != OWNERS).all()
    assert np.median(found.score) < np.quantile(NULL, 0.9)


def test_several_images_of_a_patient_are_no_rivals() -> None:
    pool = np.concatenate([POOL, softened(POOL, 0.8)])
    ready = coarse_pool(pool, np.concatenate([OWNERS, OWNERS]))
    found = find_coarse(POOL, ready)
    assert (found.index % PATIENTS == OWNERS).all()
    assert np.median(found.score) > 3
    assert coarse_null(POOL, ready, OWNERS).max() < np.median(found.score)


def test_other_shapes_even_images_and_few_patients() -> None:
    for shape in ((16, 16, 16), (4, 32, 32), (48, 32)):
        pool = anatomy(20, 1, shape)
        ready = coarse_pool(pool, np.arange(20))
        assert int(np.prod(ready.shape)) == ready.vectors.shape[1]
        assert (find_coarse(softened(pool, 0.5), ready).index == np.arange(20)).all()
    assert np.isfinite(coarse_vectors(np.full((2, 32, 32), 0.5, np.float32))).all()
    assert np.isfinite(find_coarse(np.full((2, 32, 32), 0.5, np.float32), READY).score).all()
    assert len(find_coarse(POOL[:0], READY).score) == 0
    assert READY.searchable
    assert not coarse_pool(POOL[: FEWEST - 1], OWNERS[: FEWEST - 1]).searchable

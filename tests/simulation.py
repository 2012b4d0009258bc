"""Features with known truth: two pools of patients, and samples that copy a known share of one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from memobench.copies.decide import Decisions, decide, threshold
from memobench.memorization.rates import Pools


@dataclass(frozen=True)
class Scenario:
    """A generator in feature space.

    Attributes:
        name: What it is.
        spread: Spread of its samples relative to the patients' (below 1: blurry).
        collapsed: Number of different images it ever makes; 0 for no limit.
        offset: Distance of its domain from the patients'.
        planted: Share of samples that are copies of training images.
    """

    name: str
    spread: float = 1.0
    collapsed: int = 0
    offset: float = 0.0
    planted: float = 0.0


def draw(
    scenario: Scenario, seed: int, *, patients: int = 96, samples: int = 256, dimensions: int = 16, most_images: int = 3
) -> tuple[Decisions, Pools]:
    """Draw pools and samples and decide, as a run does with embeddings."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most_images + 1, size=2 * patients)
    owner = np.repeat(np.arange(2 * patients), counts)
    centres = rng.normal(size=(2 * patients, dimensions))
    real = centres[owner] + 0.3 * rng.normal(size=(len(owner), dimensions))
    in_train = owner < patients
    made = scenario.spread * rng.normal(size=(samples, dimensions)) * np.sqrt(1 + 0.3**2)
    made[:, 0] += scenario.offset
    if scenario.collapsed:
        made = made[rng.integers(scenario.collapsed, size=samples)] + 0.01 * rng.normal(size=made.shape)
    copied = rng.random(samples) < scenario.planted
    train = real[in_train]
    made[copied] = train[rng.integers(len(train), size=copied.sum())] + 0.05 * rng.normal(
        size=(int(copied.sum()), dimensions)
    )

    names = np.char.add("p", np.char.zfill(owner.astype(str), 4))
    between = _score(real, real)
    between[owner[:, None] == owner[None, :]] = -np.inf
    limit = threshold(between.max(axis=1), pool_fraction=1.0)
    to_train, to_holdout = _score(made, train), _score(made, real[~in_train])
    decisions = decide(
        to_train.max(axis=1), to_train.argmax(axis=1), to_holdout.max(axis=1), to_holdout.argmax(axis=1), limit.tau
    )
    return decisions, Pools(names[in_train], names[~in_train])


def _score(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    square = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
    return -np.sqrt(np.maximum(square, 0)).astype(np.float64)

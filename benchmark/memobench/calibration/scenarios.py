"""Generators with known truth: two pools of patients, and samples that copy a known share of one of them.

A scenario fixes how many patients have how many images, as a data set does; which of them are train, their images, who
is copied and the samples are drawn again each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import generator_for
from memobench.memorization.decide import Decisions, decide, threshold
from memobench.memorization.rates import Pools

Array = NDArray[np.float64]
Planting = Literal["images", "patients"]
Level = Literal["features", "images"]

SIDE = 32  # pixels of an image
SMOOTHNESS = 2.5  # standard deviation in pixels of the smoothing that makes a patient's image
COMPONENTS = 16  # dimensions of a feature
WITHIN = 0.3  # spread between the images of one patient, relative to that between patients

Variation = Callable[[int, np.random.Generator], Array]


@dataclass(frozen=True)
class Scenario:
    """A generator, its data and what it copies.

    Attributes:
        name: What it is.
        train: Training patients.
        holdout: Holdout patients.
        images: Smallest and largest number of images of a patient.
        samples: Number of samples.
        spread: Spread of the samples relative to the patients' (below 1: blurry).
        collapsed: Number of different images that it ever makes; 0 for no limit.
        offset: Distance of its domain from the patients'.
        planted: Share of samples that are copies of training images.
        planting: "images": each copy is of an image drawn evenly from all of train, as the control ``replay`` does.
            "patients": a share ``memorized`` of the patients is copied, each at a rate of its own (gamma), and the
            share of all samples that are copies varies with the patients drawn.
        memorized: Share of patients that can be copied at all ("patients" only).
        shape: Shape of the gamma law of their rates ("patients" only).
        noise: Spread of a copy about its source, relative to the patients' spread.
    """

    name: str
    train: int = 100
    holdout: int = 100
    images: tuple[int, int] = (1, 3)
    samples: int = 256
    spread: float = 1.0
    collapsed: int = 0
    offset: float = 0.0
    planted: float = 0.0
    planting: Planting = "images"
    memorized: float = 0.5
    shape: float = 2.0
    noise: float = 0.15


NULLS = (
    Scenario("good model"),
    Scenario("blurry model", spread=0.5),
    Scenario("collapsed to five images", collapsed=5),
    Scenario("another domain", offset=4.0),
    Scenario("unequal pools", train=150, holdout=75),
    Scenario("few patients, many images", train=15, holdout=15, images=(1, 20)),
)
SHARES = (0.005, 0.01, 0.05, 0.2, 0.5)
PLANTED = tuple(
    Scenario(f"planted {100 * share:g}%, {planting}", planted=share, planting=planting, samples=1000)
    for planting in ("images", "patients")
    for share in SHARES
)


@dataclass(frozen=True)
class Draw:
    """One draw of a scenario, with the scores that the published rule needs beside the decisions.

    Attributes:
        decisions: What each sample matches.
        pools: The patients.
        source: (N,) the training image that each sample copies; -1 for none.
        null_scores: (n + m,) best score of each real image against other patients of both pools.
        train_holdout: (n, m) score of each training image against each holdout image.
        samples_train: (N, n) score of each sample against each training image.
        samples_holdout: (N, m) the same against each holdout image.
        tau: The threshold.
    """

    decisions: Decisions
    pools: Pools
    source: NDArray[np.int64]
    null_scores: Array
    train_holdout: Array
    samples_train: Array
    samples_holdout: Array
    tau: float


def _drawn_as(scenario: Scenario) -> str:
    """The name as older versions spelled it, so that its draws stay the same."""
    return scenario.name.replace("%", " %")


def draw(scenario: Scenario, seed: int, *, level: Level = "features") -> Draw:
    """Draw pools and samples, score and decide, as a run does.

    Args:
        scenario: What to draw.
        seed: Seed of everything that is random.
        level: "features": points, compared by a decreasing function of their distance, by which a copy scores about
            0.99 and the nearest other patient 0.8. "images": smooth random images of 32 x 32 pixels, compared by
            normalized correlation.
    """
    rng = generator_for(seed, "calibration", _drawn_as(scenario), level)
    owner = owners(scenario, rng)
    in_train = owner < scenario.train
    source = plant(scenario, owner[in_train], rng)
    variation = _points if level == "features" else _fields
    real = variation(scenario.train + scenario.holdout, rng)[owner] + WITHIN * variation(len(owner), rng)
    made = _generated(scenario, variation, level, rng)
    copies = source >= 0
    made[copies] = real[in_train][source[copies]] + scenario.noise * variation(int(copies.sum()), rng)

    score = _closeness if level == "features" else _correlation
    between = score(real, real)
    others = np.where(owner[:, None] == owner[None, :], -np.inf, between)
    null_scores: Array = others.max(axis=1)
    tau = threshold(null_scores, pool_fraction=1.0).tau
    to_train, to_holdout = score(made, real[in_train]), score(made, real[~in_train])
    decisions = decide(
        to_train.max(axis=1), to_train.argmax(axis=1), to_holdout.max(axis=1), to_holdout.argmax(axis=1), tau
    )
    names = np.char.add("p", np.char.zfill(owner.astype(str), 4))
    pools = Pools(names[in_train], names[~in_train])
    return Draw(decisions, pools, source, null_scores, between[in_train][:, ~in_train], to_train, to_holdout, tau)


def owners(scenario: Scenario, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n + m,) the patient of each image, training patients first.

    The numbers of images are those of one data set, each number equally often; which patients are train is drawn.
    """
    total = scenario.train + scenario.holdout
    low, high = scenario.images
    return np.repeat(np.arange(total), rng.permutation(np.resize(np.arange(low, high + 1), total)))


def plant(scenario: Scenario, patients: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(N,) the training image that each sample copies, -1 for none; ``patients`` (n,) are those of the images."""
    n = len(patients)
    if scenario.planting == "images" or not scenario.planted:
        share, weight = scenario.planted, np.full(n, 1 / n)
    else:
        # Patients attract copies at rates of their own, all else attracts samples at one rate: a race.
        rate = rng.gamma(scenario.shape, 1 / scenario.shape, size=scenario.train)
        rate *= rng.random(scenario.train) < scenario.memorized
        other = scenario.train * scenario.memorized * (1 - scenario.planted) / scenario.planted
        share = float(rate.sum() / (rate.sum() + other))
        per_image = rate[patients] / np.bincount(patients, minlength=scenario.train)[patients]
        weight = per_image / per_image.sum() if per_image.sum() else np.full(n, 1 / n)
    copied = rng.random(scenario.samples) < share
    source = rng.choice(n, size=scenario.samples, p=weight)
    return np.where(copied, source, -1)


def expected_hits(scenario: Scenario, *, draws: int = 1500) -> tuple[Array, Array]:
    """What planting hits on average, by simulation of the planting alone.

    Returns:
        (k,) the probability that a patient with 0, 1, 2, ... images is copied by one of the N samples at least, and the
        expected number of that patient's images that are.
    """
    rng = generator_for(0, "expected hits", _drawn_as(scenario))
    size = scenario.images[1] + 1
    patients, images, seen = np.zeros(size), np.zeros(size), np.zeros(size)
    for _ in range(draws):
        owner = owners(scenario, rng)
        owner = owner[owner < scenario.train]
        counts = np.bincount(owner, minlength=scenario.train)
        source = plant(scenario, owner, rng)
        hit = np.unique(source[source >= 0])
        seen += np.bincount(counts, minlength=size)
        images += np.bincount(counts[owner[hit]], minlength=size)
        patients += np.bincount(counts[np.unique(owner[hit])], minlength=size)
    return patients / np.maximum(seen, 1), images / np.maximum(seen, 1)


def _generated(scenario: Scenario, variation: Variation, level: Level, rng: np.random.Generator) -> Array:
    """(N, ...) the samples that are not copies."""
    count = scenario.collapsed or scenario.samples
    made = variation(count, rng) + WITHIN * variation(count, rng)
    if scenario.spread < 1 and level == "images":
        blur = _smoothing(SMOOTHNESS / scenario.spread)
        made = blur @ made @ blur.T
    else:
        made = scenario.spread * made
    if scenario.offset:
        made[:, 0] += scenario.offset  # one coordinate, or one row of pixels
    if scenario.collapsed:
        made = made[rng.integers(count, size=scenario.samples)] + 0.01 * variation(scenario.samples, rng)
    return made


def _points(count: int, rng: np.random.Generator) -> Array:
    return rng.normal(size=(count, COMPONENTS))


def _fields(count: int, rng: np.random.Generator) -> Array:
    """(count, 32, 32) smooth Gaussian random fields of variance about 1."""
    smooth = _smoothing(SMOOTHNESS)
    fields: Array = smooth @ rng.normal(size=(count, SIDE, SIDE)) @ smooth.T
    return fields


@cache
def _smoothing(width: float) -> Array:
    """(32, 32) matrix that smooths by a Gaussian; its rows have unit norm, so that white noise keeps its variance."""
    place = np.arange(SIDE)
    kernel = np.exp(-0.5 * ((place[:, None] - place[None, :]) / width) ** 2)
    matrix: Array = kernel / np.sqrt((kernel**2).sum(axis=1, keepdims=True))
    return matrix


def _closeness(x: Array, y: Array) -> Array:
    """(N, M) exp(-d^2 / (4 * dimensions)) of Euclidean distances d."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
    closeness: Array = np.exp(-np.maximum(square, 0) / (4 * x.shape[1]))
    return closeness


def _correlation(x: Array, y: Array) -> Array:
    """(N, M) Pearson correlation of images over their pixels."""
    flat = [images.reshape(len(images), -1) for images in (x, y)]
    flat = [images - images.mean(axis=1, keepdims=True) for images in flat]
    flat = [images / np.linalg.norm(images, axis=1, keepdims=True) for images in flat]
    correlation: Array = flat[0] @ flat[1].T
    return correlation

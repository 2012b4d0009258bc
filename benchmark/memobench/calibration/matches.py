"""Match scores of known truth, in hundreds of draws: how often do certainty and count convict, rightly and wrongly?

Scores are drawn, not measured, so that a thousand sets cost seconds. Real images' best scores against one side follow a
Gumbel law, the law of maxima; a new patient's image is one draw for either side. Its location and scale, -2.4 and 0.75,
are about those of the benchmark's tasks, as are the copies' 11.5 and 1.2. Copies are planted in real images by
:mod:`memobench.calibration.own_images`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import generator_for
from memobench.memorization.certainty import Evidence, NullScores, evidence_of
from memobench.memorization.decide import decide, threshold
from memobench.memorization.rates import Pools
from memobench.memorization.shift import Shift

LOCATION, SCALE = -2.4, 0.75  # of real images' best score against one side
COPY = (11.5, 1.2)  # mean and standard deviation of a copy's score
WITHIN = 0.7  # correlation of the scores of one patient's images
JITTER = 0.3  # of the scores of near-identical samples
COUNTED = 0.01  # p-value of the number of calls that convicts


@dataclass(frozen=True)
class Situation:
    """A set of samples of known truth.

    Attributes:
        name: For the table.
        samples: N.
        patients: Patients of either side.
        images: Images of each patient.
        copies: Samples that copy a training image of a patient each.
        leaked: Samples that copy a holdout image of a patient each.
        collapsed: Different images among the samples, each repeated with noise; 0 for as many as samples.
        blur: How much more strongly every sample matches everybody, on both sides.
        shifted: By how much train patients match each other more strongly than they match holdout.
        pool_fraction: Share of both pools that each real image was compared with.
    """

    name: str
    samples: int = 300
    patients: int = 100
    images: int = 1
    copies: int = 0
    leaked: int = 0
    collapsed: int = 0
    blur: float = 0.0
    shifted: float = 0.0
    pool_fraction: float = 0.5


SITUATIONS = (
    Situation("new patients"),
    Situation("new patients, 60 samples", samples=60),
    Situation("8 patients a side", patients=8),
    Situation("20 patients a side", patients=20),
    Situation("6 images of each patient", patients=40, images=6),
    Situation("blurred, matches everybody", blur=6.0),
    Situation("collapsed to 1 new image", collapsed=1),
    Situation("collapsed to 5 new images", collapsed=5),
    Situation("collapsed to 20 new images", collapsed=20),
    Situation("train's source, another holdout", shifted=1.0),
    *(Situation(f"{k} copies of 300", copies=k) for k in range(1, 6)),
    *(Situation(f"{k} copies of 60", samples=60, copies=k) for k in range(1, 6)),
    Situation("1 training image, 300 times", copies=300, collapsed=1),
    Situation("15 copies of 300, another holdout", copies=15, shifted=1.0),
    Situation("10 copies, 1 of holdout", copies=9, leaked=1),
    Situation("10 copies, 5 of holdout", copies=5, leaked=5),
    Situation("10 copies of holdout", leaked=10),
)


@dataclass(frozen=True)
class Drawn:
    """A set of samples with its evidence.

    Attributes:
        evidence: What speaks for copies.
        copied: (N,) which samples are copies, of either side.
        on_train: (N,) which samples match train better.
    """

    evidence: Evidence
    copied: NDArray[np.bool_]
    on_train: NDArray[np.bool_]


@dataclass(frozen=True)
class Convictions:
    """How often sets of a situation are convicted.

    Attributes:
        situation: Which.
        draws: Number of sets.
        certain: Share with a certain copy of train.
        counted: Share with more calls on train than chance gives (p < 0.01).
        leak: Share with a certain copy of holdout.
        either: Share with a certain copy of train, or too many calls.
        called: Share with any call.
        named: Share of the copies that are certain.
        wrong: Certain samples that are not copies, in all sets.
    """

    situation: Situation
    draws: int
    certain: float
    counted: float
    leak: float
    either: float
    called: float
    named: float
    wrong: int


def draw_matches(situation: Situation, seed: int) -> Drawn:
    """Draw a set and weigh it.

    Args:
        situation: What to draw.
        seed: Seed of the scores.
    """
    rng = generator_for(seed, "matches", situation.name)
    patients, n = situation.patients, situation.samples
    owner = np.repeat(np.arange(2 * patients), situation.images)
    names = np.char.add("p", np.char.zfill(owner.astype(str), 5))
    train = owner < patients
    pools = Pools(names[train], names[~train])
    null = np.maximum(*_real(situation, owner, rng))
    null = np.where(train, null + situation.shifted, null)
    if situation.pool_fraction < 1:  # compared with fewer: the best of fewer is lower
        null = null + SCALE * np.log(situation.pool_fraction)

    different = situation.collapsed or n
    of = np.arange(n) if not situation.collapsed else rng.integers(different, size=n)
    scores = rng.gumbel(LOCATION, SCALE, size=(2, different)) + situation.blur
    scores[0] += situation.shifted
    scores = scores[:, of] + (rng.normal(0, JITTER, size=(2, n)) if situation.collapsed else 0)
    index = rng.integers(len(owner) // 2, size=(2, different))[:, of]
    copied = np.zeros(n, dtype=np.bool_)
    planted = rng.permutation(n)[: situation.copies + situation.leaked]
    for side, rows in ((0, planted[: situation.copies]), (1, planted[situation.copies :])):
        if situation.collapsed and len(rows):
            scores[side, rows] = rng.normal(*COPY) + rng.normal(0, JITTER, size=len(rows))
        else:
            scores[side, rows] = rng.normal(*COPY, size=len(rows))
        copied[rows] = True
    tau = threshold(null, situation.pool_fraction).tau
    decisions = decide(scores[0].astype(np.float32), index[0], scores[1].astype(np.float32), index[1], tau)
    shift = Shift(exchangeable=not situation.shifted, p_value=1.0, auc=0.5)
    evidence = evidence_of(
        decisions,
        pools,
        NullScores(null, names, situation.pool_fraction),
        tau,
        near=of if situation.collapsed else None,
        shift=shift,
    )
    return Drawn(evidence, copied, decisions.side >= 0)


def _real(situation: Situation, owner: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, M) best scores of real images against either side; those of one patient resemble each other."""
    own = rng.gumbel(LOCATION, SCALE, size=(2, 2 * situation.patients))[:, owner]
    apart = rng.gumbel(LOCATION, SCALE, size=(2, len(owner)))
    return np.where(rng.random((2, len(owner))) < WITHIN, own, apart)


def convictions(situation: Situation, *, draws: int = 200, seed: int = 0) -> Convictions:
    """Draw sets and count the convictions.

    Args:
        situation: What to draw.
        draws: Number of sets.
        seed: Base seed.
    """
    sets = [draw_matches(situation, seed + number) for number in range(draws)]
    certain = np.array([bool(one.evidence.train.certain.any()) for one in sets])
    counted = np.array([one.evidence.train.p_count < COUNTED for one in sets])
    either_side = [one.evidence.train.certain | one.evidence.holdout.certain for one in sets]
    copies = sum(int(one.copied.sum()) for one in sets)
    found = sum(int((one.copied & named).sum()) for one, named in zip(sets, either_side, strict=True))
    return Convictions(
        situation,
        draws,
        float(certain.mean()),
        float(counted.mean()),
        float(np.mean([bool(one.evidence.holdout.certain.any()) for one in sets])),
        float((certain | counted).mean()),
        float(np.mean([one.evidence.train.called + one.evidence.holdout.called > 0 for one in sets])),
        found / copies if copies else float("nan"),
        sum(int((named & ~one.copied).sum()) for one, named in zip(sets, either_side, strict=True)),
    )

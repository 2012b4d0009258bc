"""Groups of planted copies in a run or audit: what this very measurement, with its own thresholds, would have called.

The sensitivity of :mod:`memobench.challenge.planted` is measured on changes of the kind that the verifier was taught.
Generators make other copies too: parts, composites, reconstructions, deformed and turned ones
(:mod:`memobench.challenge.groups`). A few of each are made of the training images here and go the way of the samples:
brought to the pose of the real ones, matched as a whole, searched for regions. One counts as found where either way
calls it at its threshold and names the patient. Where groups differ, what was counted is an "at least".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import generator_for
from memobench.challenge.groups import Group, Material, groups
from memobench.challenge.planted import one_per_patient_first
from memobench.detection.poses import upright
from memobench.images import Images
from memobench.measure.region_search import Arrays, Ground, search_samples
from memobench.results import GroupFound, Metric

COUNT = {2: 5, 3: 2}  # copies of each group
FEW = 256  # real images asked for null scores, below which only the path is tested: one copy of every sixth group
NULL = {
    2: 128,
    3: 40,
}  # real images whose blurred versions are searched for the null of planted copies, where no sample needed it
FOUND = 0.8  # of a group's copies, for it to count as found
PAIRS = 1_000_000  # of real images for such a null: in larger pools planted copies are searched as if they were sharp
CORRECTED = ("copy_rate_corrected", "memorized_patients_corrected")

Whole = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.int64]]]


@dataclass(frozen=True)
class Limits:
    """From which score on a copy is called.

    Attributes:
        whole: As a whole.
        region: By a region.
    """

    whole: float
    region: float


@dataclass(frozen=True)
class Planted:
    """Copies of groups, all in a row.

    Attributes:
        pixels: (P, *S).
        group: (P,) number of the group of each.
        sources: (P, 2) rows of the training images of which each is made; twice the same where it is one.
        body: (P,) the row, train before holdout, of the image that bears each.
        chosen: The groups.
    """

    pixels: NDArray[np.float32]
    group: NDArray[np.int64]
    sources: NDArray[np.int64]
    body: NDArray[np.int64]
    chosen: list[Group]


def plant_groups(train: Images, holdout: Images | None, null_images: int | None) -> Planted | None:
    """Make a few copies of each group of the training images; bodies are held-out images, or else training ones.

    Args:
        train: The images to copy.
        holdout: Images of other patients; None where there are none.
        null_images: Real images that are asked for null scores, at most; None for as many as serve.

    Returns:
        The copies; None where there are too few patients.
    """
    dim = len(train.shape)
    chosen, count = groups(dim), COUNT[dim]
    if null_images is not None and null_images < FEW:
        chosen, count = chosen[::6], 1
    if train.patient_count < 3:
        return None
    bodies, first_body = (train, 0) if holdout is None else (holdout, len(train))
    others = np.asarray(bodies.pixels)
    pixels, group, sources, body = [], [], [], []
    for number, one in enumerate(chosen):
        random = generator_for(0, "planted group", one.name)
        rows = np.resize(one_per_patient_first(train.patients, count + 1, random), count + 1)
        first, second = rows[:-1], rows[1:]
        bearers = one_per_patient_first(bodies.patients, len(bodies), random)
        if holdout is None:  # neither of those who are copied
            bearers = bearers[~np.isin(bodies.patients[bearers], train.patients[rows])]
        if not len(bearers):
            return None
        bearers = np.resize(bearers, count)
        real = np.asarray(train.pixels)
        made = one.make(Material(real[first], real[second], others[bearers], others), random)
        pixels.append(np.clip(np.ascontiguousarray(made), 0, 1).astype(np.float32))
        group.append(np.full(count, number))
        sources.append(np.stack([first, second if one.both else first], axis=1))
        body.append(first_body + bearers)
    return Planted(
        pixels=np.concatenate(pixels),
        group=np.concatenate(group),
        sources=np.concatenate(sources),
        body=np.concatenate(body),
        chosen=chosen,
    )


def groups_found(planted: Planted, ground: Ground, whole: Whole, limits: Limits) -> list[GroupFound]:
    """How the copies of each group fare.

    It depends on the real images and the limits alone, so the ground keeps it.

    Args:
        planted: The copies.
        ground: Where regions are searched.
        whole: From (P, *S) images to their best score and row among the training images, as wholes.
        limits: From which score on either way calls a copy.
    """

    def make() -> Arrays:
        return {"called": _called(planted, ground, whole, limits)}

    called = ground.keep(f"groups above {limits.whole:.6g} and {limits.region:.6g}", make)["called"]
    return [
        GroupFound(
            name=one.name,
            kind=one.kind,
            found=float(called[planted.group == number].mean()),
            count=int((planted.group == number).sum()),
        )
        for number, one in enumerate(planted.chosen)
    ]


def _called(planted: Planted, ground: Ground, whole: Whole, limits: Limits) -> NDArray[np.bool_]:
    """(P,) which copies are called, as wholes or by a region, with the right patient."""
    seen = upright(planted.pixels, ground.real).pixels
    patients = ground.real.patients
    names = patients[planted.sources]
    score, row = whole(seen)
    called = (score >= limits.whole) & (patients[row][:, None] == names).any(axis=1)
    most = NULL[seen.ndim - 1]
    blurs = ground.most >= FEW and len(ground.real) * most <= PAIRS
    smaller = replace(ground, most=min(ground.most, most), blurs=blurs)
    found = search_samples(seen, smaller, passed=ground.owners[planted.body])
    strongest, column = found.score.max(axis=1), found.score.argmax(axis=1)
    index = np.take_along_axis(found.index, column[:, None], axis=1)[:, 0]
    by_region = (strongest >= limits.region) & (patients[index][:, None] == names).any(axis=1)
    either: NDArray[np.bool_] = called | by_region
    return either


def marked(metrics: Mapping[str, Metric], found: list[GroupFound]) -> dict[str, Metric]:
    """The corrected counts, said to be an "at least" where a group of copies is found less often than the others.

    Args:
        metrics: By name.
        found: How each group fared.
    """
    missed = [one for one in found if one.found < FOUND]
    if not missed:
        return dict(metrics)
    names = ", ".join(one.name for one in sorted(missed, key=lambda one: one.found))
    changed = {
        name: metrics[name].model_copy(
            update={"note": f"at least: copies of some kinds are found less often ({names}); {metrics[name].note}"}
        )
        for name in CORRECTED
        if name in metrics
    }
    return {**metrics, **changed}

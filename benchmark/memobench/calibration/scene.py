"""Who stands where in a set with known truth, and what an audit of it must say.

A scene is made from the patients of one data source: those of train, as many of holdout, and strangers, who are on
neither side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memobench.images import Images
from memobench.task import Splits

Pixels = NDArray[np.float32]
Random = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """Who there is.

    Attributes:
        train: What a generator learned from.
        holdout: As many other patients, drawn in the same way.
        strangers: Images of patients who stand in neither.
    """

    train: Images
    holdout: Images
    strangers: Images

    @classmethod
    def of(cls, splits: Splits) -> Scene:
        """The scene of a task's images; all patients of test, dev and fresh are strangers."""
        others = splits.test.joined(splits.fresh)
        return cls(splits.train, splits.holdout, others if splits.dev is None else others.joined(splits.dev))

    def some(self, side: str, count: int, random: Random) -> Pixels:
        """Images of a side, each patient once before any comes again."""
        images: Images = getattr(self, side)
        order = random.permutation(len(images))
        _, first = np.unique(images.patients[order], return_index=True)
        again = np.setdiff1d(np.arange(len(order)), first)
        rows = order[np.concatenate([np.sort(first), again])]
        return np.array(images.pixels[np.resize(rows, count)])

    def fewer(self, patients: int) -> Scene:
        """The same with fewer patients on either side."""
        sides = {}
        for name in ("train", "holdout"):
            images: Images = getattr(self, name)
            sides[name] = images.take(np.isin(images.patients, np.unique(images.patients)[:patients]))
        return replace(self, **sides)

    def assigned_again(self, random: Random) -> Scene:
        """The same with other patients on each side; as many patients on each as before."""
        every = self.train.joined(self.holdout).joined(self.strangers)
        names = random.permutation(np.unique(every.patients))
        first = self.train.patient_count
        last = first + self.holdout.patient_count
        parts = (names[:first], names[first:last], names[last:])
        return Scene(*(every.take(np.isin(every.patients, part)) for part in parts))


@dataclass(frozen=True)
class Sets:
    """What an audit is given.

    Attributes:
        synthetic: (N, *S) the set.
        train: What a generator learned from.
        holdout: Other patients; None for none.
        preset: The detector's; None for that of all situations.
        copies: (N,) which of the set are copies of somebody; None where the question makes no sense.
    """

    synthetic: Pixels
    train: Images
    holdout: Images | None
    preset: str | None = None
    copies: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Situation:
    """A set with known truth.

    Attributes:
        name: What was done.
        truth: What the set is.
        required: The words of which the decision must be one; "refused" for an error in one line.
        make: Builds the sets from a scene.
        fast: Whether it is part of the quick table.
    """

    name: str
    truth: str
    required: frozenset[str]
    make: Callable[[Scene, Random], Sets]
    fast: bool = False

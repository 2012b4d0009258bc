"""``memobench.MemorizationMonitor``: does the generator that is being trained copy its training images yet?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.face.copies import CopyDetector
from memobench.memorization.decide import Decisions
from memobench.memorization.rates import Pools
from memobench.memorization.repeats import repeats
from memobench.memorization.sequential import Against, Look, Spending, look_at

__all__ = ["Look", "MemorizationMonitor"]


@dataclass
class MemorizationMonitor:
    """Watches a training: a few samples every so many steps, and an alarm once they are copies of training images.

    In the manner of torchmetrics: ``update(images)`` takes the samples of a look, ``compute()`` ends the look and says
    what was seen. The alarm is valid at any time: over all looks together, however many, it is raised without copies in
    at most ``alpha`` of trainings (:mod:`memobench.memorization.sequential`). It needs held-out patients, whom the
    generator never sees::

        monitor = memobench.MemorizationMonitor().fit(train, holdout)
        for step in range(steps):
            ...                                             # train
            if monitor.look(step, lambda n: model.sample(n)):
                break                                       # it copies: take an earlier checkpoint

    Attributes:
        alpha: Chance of ever raising a false alarm.
        looks: How many looks are planned; more are allowed.
        every: Steps from one look to the next, of :meth:`look`.
        samples: Samples of a look, of :meth:`look`.
        window: How many of the last looks are weighed together.
        detector: What finds copies; a :class:`memobench.CopyDetector`, fitted or not.

    >>> monitor = MemorizationMonitor(every=500)
    >>> monitor.compute()
    Traceback (most recent call last):
    memobench.base.errors.DataError: this monitor knows no images yet; call fit(train, holdout) first
    """

    alpha: float = 0.05
    looks: int = 50
    every: int = 1000
    samples: int = 32
    window: int = 8
    detector: CopyDetector = field(default_factory=CopyDetector)

    def fit(
        self, train: Any, holdout: Any, dev: Any = None, *, patients: Mapping[str, Sequence[str]] | None = None
    ) -> Self:
        """Learn to tell copies, from real images; see :meth:`memobench.CopyDetector.fit`.

        A detector that is fitted already is taken with the images that it was fitted to, and these are not needed.

        Raises:
            DataError: The images cannot be used, have to be explained, or are too few.
        """
        if not hasattr(self.detector, "detector_"):
            self.detector.fit(train, holdout, dev, patients=patients)
        self.reset()
        return self

    def reset(self) -> None:
        """Forget all looks: a new training begins."""
        self.history_: list[Look] = []
        self._spending = Spending(self.alpha, self.looks)
        self._kept: deque[tuple[NDArray[np.float32], Decisions]] = deque(maxlen=max(self.window, 1))
        self._open: list[tuple[NDArray[np.float32], Decisions]] = []

    def update(self, images: Any) -> None:
        """Take samples of the present look.

        Args:
            images: (N, *S) samples, as :mod:`memobench.data.arrays` reads them; of another shape they are resampled.

        Raises:
            DataError: The monitor is not fitted, or the images cannot be used.
        """
        self._require_fitted()
        self._open.append(self.detector.decided(images))

    def compute(self) -> Look:
        """End the look and say what was seen; without new samples, what the last look saw.

        Raises:
            DataError: The monitor is not fitted, or has seen no samples.
        """
        self._require_fitted()
        if self._open:
            self._kept.append(_joined(self._open))
            self._open = []
            pixels, decisions = _joined(list(self._kept))
            detector, number = self.detector, len(self.history_) + 1
            pools = Pools.of(detector.train_, detector.holdout_)
            against = Against(pools, detector.null_, detector.tau_)
            look = look_at(decisions, against, self._spending, number=number, near=repeats(pixels))
            self.history_.append(look)
        if not self.history_:
            raise DataError("the monitor has seen no samples; call update(images) first")
        return self.history_[-1]

    @property
    def alarm(self) -> bool:
        """Whether any look so far raised the alarm."""
        return any(look.alarm for look in getattr(self, "history_", []))

    def look(self, step: int, draw: Callable[[int], Any]) -> bool:
        """For a training loop: every so many steps draw samples and look; whether the alarm has been raised.

        Args:
            step: Of the training, from 0.
            draw: Gives so many samples of the generator as it stands. It is not asked at other steps.
        """
        self._require_fitted()
        if (step + 1) % self.every == 0:
            self.update(draw(self.samples))
            self.compute()
        return self.alarm

    def _require_fitted(self) -> None:
        if not hasattr(self, "history_"):
            raise DataError("this monitor knows no images yet; call fit(train, holdout) first")


def _joined(parts: list[tuple[NDArray[np.float32], Decisions]]) -> tuple[NDArray[np.float32], Decisions]:
    decisions = [one for _, one in parts]
    return np.concatenate([pixels for pixels, _ in parts]), Decisions(
        **{one.name: np.concatenate([getattr(each, one.name) for each in decisions]) for one in fields(Decisions)}
    )

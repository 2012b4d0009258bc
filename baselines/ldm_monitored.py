"""Latent diffusion that stops training once its own samples copy training images.

Early stopping by the loss on held-out images (:mod:`ldm_early`) stops where the model fits strangers no better. That
may be long before it copies anybody, or long after. Here the samples themselves are looked at. Every so many steps a
few are drawn and compared with the training patients and with patients set aside
(:class:`memobench.MemorizationMonitor`). The alarm is valid however often one looks (alpha spending; Lan & DeMets,
Biometrika 1983). Training stops at the alarm, with the weights of the look before.

What it costs: the patients set aside are lost to training, a tenth here; each look draws samples; and the detector of
copies is trained first. What it cannot do: a few samples see no copy that is rarer than one in their number, so the
model may copy a little when it is stopped, or copy rarely and never be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from memobench import CopyDetector, MemorizationMonitor
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from numpy.typing import NDArray

from ._frame import HeldOut
from ._on_ldm import ON_LDM_PRESETS, OnLDM
from .ldm import LDM
from .ldm_early import set_aside


@GENERATORS.register("ldm_monitored")
@dataclass
class LDMMonitored(OnLDM):
    """`ldm`, stopped once it copies. The patients set aside are patients of train: those of holdout it never sees.

    The kept weights are the averaged ones of the last look without an alarm, of the first look where that is none.

    Attributes:
        held_out: Share of the training patients who are set aside, in (0, 1); one patient at least.
        looks: How often, evenly spread over the steps, samples are looked at.
        samples: Samples of a look; the last eight looks are weighed together.
        alpha: Chance of ever stopping a training that copies nobody.
        detector: The preset of the detector of copies.
    """

    held_out: float = 0.1
    looks: int = 20
    samples: int = 32
    alpha: float = 0.05
    detector: str = "quick"

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**fields, "detector": name} for name, fields in ON_LDM_PRESETS.items()
    }

    def __post_init__(self) -> None:
        """Refuse shares outside (0, 1), and counts below 1."""
        super().__post_init__()
        for name in ("held_out", "alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a share between 0 and 1")
        for name in ("looks", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Set some patients aside, learn to tell copies, and train on the others until samples copy them."""
        aside = set_aside(images.patients, self.held_out, seed=context.seed)
        shown, unseen = images.take(~aside), images.take(aside)
        detector = CopyDetector(preset=self.detector, seed=context.seed, device=context.device)
        detector.fit(
            shown.pixels,
            unseen.pixels,
            patients={"train": shown.patients.tolist(), "holdout": unseen.patients.tolist()},
            track=context.track,
        )
        model = self._new()
        monitor = MemorizationMonitor(self.alpha, self.looks, samples=self.samples, detector=detector)
        every = max(1, self.steps // self.looks)
        looks = _Looks(model, monitor.fit(None, None), every, context)
        how = f"monitor {self.samples} {self.looks} {self.alpha} {self.detector}"
        watched = HeldOut(unseen, every, patience=1, judge=looks, how=how)
        self.model_ = model.fit(shown, context=context, held_out=watched)
        return self


@dataclass
class _Looks:
    """Looks as something to be minimised: lower each time, and infinite at an alarm.

    The samples of each look are kept beside the checkpoints, so that a training that is resumed has seen them all.

    Attributes:
        model: What is trained.
        monitor: Fitted.
        every: Steps from one look to the next.
        context: Gives seed and folder.
    """

    model: LDM
    monitor: MemorizationMonitor
    every: int
    context: Context

    def __call__(self, step: int) -> float:
        """Draw samples after so many steps, and look; minus the number of the look, or infinity at an alarm."""
        number = math.ceil(step / self.every)
        for earlier in range(len(self.monitor.history_) + 1, number):
            self._look(np.load(self._file(earlier), allow_pickle=False))
        pixels = self.model.sample(self.monitor.samples, seed=derive_seed(self.context.seed, "look", number))
        if self.context.checkpoints is not None:
            self.context.checkpoints.mkdir(parents=True, exist_ok=True)
            np.save(self._file(number), pixels)
        self._look(pixels)
        return math.inf if self.monitor.alarm else -float(number)

    def _look(self, pixels: NDArray[np.float32]) -> None:
        self.monitor.update(pixels)
        self.monitor.compute()

    def _file(self, number: int) -> Path:
        folder = self.context.checkpoints
        if folder is None:  # nothing is resumed without a folder
            raise MemobenchError(f"look {number} of the training is gone; fit again from the start")
        return folder / f"look-{number}.npy"

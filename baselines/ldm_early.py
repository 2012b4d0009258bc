"""Latent diffusion that stops training when images that it is not trained on are modelled no better.

Early stopping: Prechelt, Early Stopping - But When?, in Neural Networks: Tricks of the Trade, 1998. Diffusion models
go on improving their samples while they already memorize, and the loss on held-out images turns where memorization
begins (Bonnaire et al., Why Diffusion Models Don't Memorize, 2025; Dar et al., 2025, find more copies with longer
training).

What it costs: the held-out patients are lost to training, a tenth here, and stopping before the learning rate has
come down leaves samples noisier than a schedule of that length would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.base.seeds import generator_for
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from numpy.typing import NDArray

from ._frame import HeldOut
from ._on_ldm import ON_LDM_PRESETS, OnLDM


@GENERATORS.register("ldm_early")
@dataclass
class LDMEarly(OnLDM):
    """`ldm`, stopped early. The held-out patients are patients of train: those of holdout it never sees.

    The kept weights are the averaged ones with the lowest loss on held-out images; the autoencoder is trained on the
    other patients too, and to its end.

    Attributes:
        held_out: Share of the training patients that tell when to stop, in (0, 1); one patient at least.
        looks: How often, evenly spread over the steps, their loss is looked at.
        patience: Looks without a new lowest loss after which training stops. A few of twenty: the loss is an average
            over times and images with the same noise at every look, and hardly jumps.
    """

    held_out: float = 0.1
    looks: int = 20
    patience: int = 4

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = ON_LDM_PRESETS

    def __post_init__(self) -> None:
        """Refuse shares outside (0, 1), and counts below 1."""
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; give a share between 0 and 1")
        for name in ("looks", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Set some patients aside, and train on the others until those are modelled no better."""
        aside = set_aside(images.patients, self.held_out, seed=context.seed)
        every = max(1, self.steps // self.looks)
        watched = HeldOut(images.take(aside), every, self.patience)
        self.model_ = self._new().fit(images.take(~aside), context=context, held_out=watched)
        return self


def set_aside(patients: NDArray[np.str_], share: float, *, seed: int) -> NDArray[np.bool_]:
    """Which images belong to a random share of the patients.

    Args:
        patients: (N,) the patient of each image; at least two different ones.
        share: In (0, 1); at least one patient is set aside, and at least one is not.
        seed: Seed of the draw.

    Returns:
        (N,) True for images of patients set aside.

    Raises:
        MemobenchError: There are fewer than two patients.

    >>> int(set_aside(np.array(list("aabbccdd")), 0.25, seed=0).sum())
    2
    """
    names = np.unique(patients)
    if len(names) < 2:
        raise MemobenchError(f"early stopping sets patients aside, and there is {len(names)}; give at least two")
    count = min(max(1, round(share * len(names))), len(names) - 1)
    return np.isin(patients, generator_for(seed, "held out").permutation(names)[:count])

"""The frame of a mitigation on latent diffusion: an `ldm` inside, and what every such entry hands on to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from memobench.generator import Generator
from memobench.images import Images
from numpy.typing import NDArray

from ._frame import unfitted
from .ldm import LDM

ON_LDM_PRESETS: Mapping[str, Mapping[str, Any]] = {
    name: {"ldm": name, "steps": LDM(**values).steps} for name, values in LDM.PRESETS.items()
}


@dataclass
class OnLDM(Generator):
    """A latent diffusion model under a mitigation; abstract.

    Everything that the mitigation does not change is as in `ldm` of the same preset, so that a comparison of the two
    under one seed is one of the mitigation alone.

    Attributes:
        ldm: The preset of `ldm` whose networks and training these are.
        steps: Optimizer steps of the diffusion model.
        width: "small", "base" or "large": half, once or twice the channels.
        augment: "none", "study" or "strong": what is done to training images.
        accumulate: Minibatches per optimizer step.
    """

    ldm: str = "quick"
    steps: int = LDM.steps
    width: str = "base"
    augment: str = "none"
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that `ldm` cannot have.

        Raises:
            ValueError: There is no such preset, or `ldm` refuses a value.
        """
        if self.ldm not in LDM.PRESETS:
            raise ValueError(f'ldm has no preset "{self.ldm}"; choose one of {", ".join(LDM.PRESETS)}')
        self._new()

    def _new(self) -> LDM:
        """The model inside, not fitted."""
        own = {"steps": self.steps, "width": self.width, "augment": self.augment, "accumulate": self.accumulate}
        return LDM(**{**LDM.PRESETS[self.ldm], **own})

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images from the model inside, (n, *S) float32 in [0, 1]."""
        return self._fitted().sample(n, seed=seed)

    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """The model's loss of each image, (N,), as :meth:`ldm.LDM.loss`."""
        return self._fitted().loss(images, seed=seed)

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of the model inside."""
        return self._fitted().state()

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        self.model_ = self._new().restore(state, device=device)
        return self

    def _fitted(self) -> LDM:
        if not hasattr(self, "model_"):
            raise unfitted("mitigated ldm")
        return self.model_

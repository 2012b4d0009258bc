"""The detector's hyper-parameters, apart from its code so that a stored run is found again without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from memobench.base.errors import UsageError, suggest

MEASURE_VERSION = "6"  # changes with anything else that changes a metric
DETECTOR_VERSION = "5"  # changes with anything that changes a score or a feature
REGION_VERSION = "4"  # changes with anything that changes what is found of regions; older results have none


@dataclass(frozen=True)
class EmbeddingParameters:
    """How the contrastive embedding and the verifier are built and trained.

    Attributes:
        channels: Feature channels of the four stages.
        dimension: Length of the projections that the loss compares.
        steps: Optimizer steps.
        batch: Images per step; each is seen in two augmented views.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: AdamW's decoupled weight decay.
        temperature: Temperature of the contrastive loss.
        planted: Copies planted to teach the verifier.
        null_images: Real images, at most, that are matched as if they were new patients', for the threshold and for
            the p-values of single samples; of more, whole patients are drawn at random.
    """

    channels: tuple[int, ...] = (24, 48, 96, 128)
    dimension: int = 128
    steps: int = 220
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    temperature: float = 0.1
    planted: int = 400
    null_images: int = 1024

    @classmethod
    def preset(cls, name: str) -> Self:
        """The parameters of a run's preset: smoke, quick, standard or paper.

        Raises:
            UsageError: There is no such preset.

        >>> EmbeddingParameters.preset("quick") == EmbeddingParameters()
        True
        """
        presets = {
            "smoke": cls(channels=(8, 16, 16, 32), dimension=32, steps=8, batch=16, planted=48, null_images=64),
            "quick": cls(),
            "standard": cls(
                channels=(48, 96, 192, 256), steps=4000, batch=128, learning_rate=1e-3, planted=2000, null_images=16384
            ),
        }
        presets["paper"] = presets["standard"]
        if name not in presets:
            raise UsageError(f'the detector has no preset "{name}"; {suggest(name, presets)}')
        return presets[name]

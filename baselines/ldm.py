"""Latent diffusion: a KL autoencoder, and a diffusion model of its latents.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022; for medical images in three
dimensions Pinaya et al., Brain Imaging Generation with Latent Diffusion Models, DGM4MICCAI 2022. The networks are
MONAI's; noise schedule, sampler and averaged weights are those of diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from diffusers import DDPMScheduler
from memobench.generator import GENERATORS
from torch import Tensor

from ._diffusion import follow_flow, loss_steps, step_times, velocity_errors
from ._first_stage import LATENT_PRESETS, LatentGenerator


@GENERATORS.register("ldm")
@dataclass
class LDM(LatentGenerator):
    """Latent diffusion in two or three dimensions, by the shape of the images.

    1. Autoencoder: image to latent and back, trained by L1 and a small KL divergence (:mod:`_first_stage`).
    2. Diffusion: at a random time t the U-Net sees a_t latent + s_t noise and predicts the velocity
       v = a_t noise - s_t latent (Salimans & Ho, ICLR 2022). The noise variances b_t are linear in their square roots;
       a_t^2 = prod(1 - b), s_t^2 = 1 - a_t^2.
    3. Sampling: the probability flow from noise to a latent, then the decoder.

    The published study found it to memorize most (Dar et al., 2025). The fields are those of
    :class:`_first_stage.LatentGenerator` and these.

    Attributes:
        timesteps: Length of the diffusion in training.
        beta_start: Noise variance of the first time step; the schedule is linear in its square root.
        beta_end: Noise variance of the last time step. Both as in MONAI's tutorials and the study.
        sampling_steps: Network evaluations per sample (DPM-Solver++, second order; Lu et al., 2022).
    """

    timesteps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    sampling_steps: int = 25

    NAME: ClassVar[str] = "ldm"
    STAGE: ClassVar[str] = "diffusion model"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**LATENT_PRESETS["smoke"], "sampling_steps": 5},
        "quick": LATENT_PRESETS["quick"],
        "standard": {**LATENT_PRESETS["standard"], "sampling_steps": 50},
        "paper": {**LATENT_PRESETS["paper"], "sampling_steps": 100},
    }

    def _build(self, shape: tuple[int, ...], device: str, *, seed: int) -> None:
        super()._build(shape, device, seed=seed)
        self.schedule_ = DDPMScheduler(**self._schedule_settings())

    def _schedule_settings(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.timesteps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction",
        }

    def _errors(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return velocity_errors(self.unet_, self.schedule_, latents, noise, times)

    def _training_times(self, shares: Tensor) -> Tensor:
        return step_times(shares, self.timesteps)

    def _loss_times(self) -> Sequence[int]:
        return loss_steps(self.timesteps)

    def _solve(self, noise: Tensor) -> Tensor:
        return follow_flow(self.unet_, noise, self._schedule_settings(), self.sampling_steps)

"""Latent rectified flow: the autoencoder of latent diffusion, and straight paths from noise to its latents.

Liu et al., Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow, ICLR 2023; Esser et al.,
Scaling Rectified Flow Transformers for High-Resolution Image Synthesis, ICML 2024, whose times are used here. The
networks are MONAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from memobench.generator import GENERATORS
from memobench.training.loop import batch_indices
from torch import Tensor, nn

from ._device import autocast
from ._diffusion import LOSS_TIMES, Denoiser
from ._first_stage import LATENT_PRESETS, FirstStage, check_latent_fields
from ._frame import Fit, Losses, TrainedGenerator, training_of
from ._nets import scaled, unet

NETWORK_TIME = 1000.0  # the U-Net's sinusoidal embedding is made for times from 0 (clean) to 1000 (noise)
SOLVERS = ("euler", "heun")


@GENERATORS.register("flow")
@dataclass
class Flow(TrainedGenerator):
    """Rectified flow of latents in two or three dimensions, by the shape of the images.

    1. Autoencoder: as that of `ldm`, under the same seed the very same (:mod:`_first_stage`).
    2. Flow: at a random time t in (0, 1) the U-Net sees x_t = (1 - t) noise + t latent and predicts the velocity
       dx_t/dt = latent - noise (Liu et al., equation 1). Times are logit-normal, t = 1 / (1 + exp(-m - s z)) with
       z ~ N(0, 1): dense in the middle, where the velocity is hardest to tell (Esser et al., equation 19).
    3. Sampling: dx = v dt from t = 0 to 1 in equal steps by Euler or Heun, then the decoder.

    Simpler than diffusion (no noise schedule) and good with few sampling steps; memorizes like it. There is one pass of
    training; the straightening by re-training on the model's own pairs ("reflow", Liu et al., section 2.2) is left out.
    The fields up to ``accumulate`` are those of :class:`ldm.LDM`, with the same values.

    Attributes:
        time_mean: Mean m of the times' logits; above 0 trains more near the data.
        time_sd: Standard deviation s of the times' logits, above 0. 0 and 1 are the best of Esser et al., table 1.
        solver: "euler" or "heun" (second order; the last of its steps is Euler's, Karras et al., NeurIPS 2022).
        sampling_steps: Steps per sample; Euler evaluates the network once per step, Heun twice.
    """

    downsampling: tuple[int, ...] = (8, 8)
    patch: tuple[int, ...] = (4, 4)
    channels: tuple[int, ...] = (64, 64)
    autoencoder_blocks: int = 1
    latent_channels: int = 4
    kl: float = 1e-4
    gradient: float = 0.5
    autoencoder_steps: int = 2000
    autoencoder_batch: tuple[int, ...] = (8, 4)
    autoencoder_rate: float = 3e-3
    adversarial_steps: int = 0
    adversarial_rate: float = 1e-3
    adversarial: float = 0.5
    features: float = 10.0
    discriminator_channels: int = 16
    perceptual: float = 1.0
    perceptual_weights: str = ""
    width: str = "base"
    augment: str = "none"
    views: int = 16
    unet_channels: tuple[int, ...] = (64, 128)
    blocks: int = 1
    steps: int = 1650
    batch: tuple[int, ...] = (32, 16)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    ema: float = 0.995
    accumulate: int = 1
    time_mean: float = 0.0
    time_sd: float = 1.0
    solver: str = "heun"
    sampling_steps: int = 13

    NAME: ClassVar[str] = "flow"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**LATENT_PRESETS["smoke"], "sampling_steps": 5},
        "quick": LATENT_PRESETS["quick"],
        "standard": {**LATENT_PRESETS["standard"], "sampling_steps": 25},
        "paper": {**LATENT_PRESETS["paper"], "sampling_steps": 50},
    }

    def __post_init__(self) -> None:
        """Refuse settings that no model can have.

        Raises:
            ValueError: As :class:`ldm.LDM`; or an unknown solver, or times without spread.
        """
        check_latent_fields(self)
        if self.solver not in SOLVERS:
            raise ValueError(f'solver is "{self.solver}"; give one of {", ".join(SOLVERS)}')
        if self.time_sd <= 0:
            raise ValueError(f"time_sd is {self.time_sd}; give a number above 0")

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.batch_ = self._value(self.batch)
        self.first_stage_ = FirstStage(self, self.shape_, self.device_)
        channels = scaled(self.unet_channels, self.width)
        self.unet_ = unet(dimensions, channels, self.latent_channels, self.blocks)
        return {"latent": self.first_stage_.scale, "autoencoder": self.first_stage_.net, "unet": self.unet_}

    def _multiple(self) -> int:
        return self.first_stage_.multiple

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        losses = self.first_stage_.train(pixels, fit)
        latents = self.first_stage_.learn_scale(pixels, seed=fit.seed("views"))
        seed = fit.seed("diffusion")
        losses["rectified flow"] = self._denoiser().train(
            lambda k: latents[batch_indices(len(latents), self.batch_, k, seed=seed)],
            training_of(self, self.steps, self.learning_rate),
            fit,
            name="rectified flow",
        )
        return losses

    def _denoiser(self) -> Denoiser:
        return Denoiser(
            self.unet_,
            self._errors,
            times=lambda shares: logit_normal(shares, self.time_mean, self.time_sd),
            loss_times=LOSS_TIMES,
            batch=self.batch_,
        )

    def _errors(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The squared error (N,) of the predicted velocity of latents mixed with noise (N, C, *S)."""
        t = times.reshape(-1, *[1] * (latents.ndim - 1))
        velocity = self._velocity((1 - t) * noise + t * latents, times)  # at x_t
        return ((velocity - (latents - noise)) ** 2).flatten(1).mean(dim=1)  # from dx_t/dt

    def _velocity(self, mixed: Tensor, times: Tensor) -> Tensor:
        """The predicted velocity (N, C, *S) at x_t (N, C, *S) and times (N,)."""
        with autocast(mixed.device):
            predicted: Tensor = self.unet_(mixed, NETWORK_TIME * (1 - times))
        return predicted.float()

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The mean error over several times; at each, every image gets the same noise."""
        return self._denoiser().losses(self.first_stage_.encode(pixels), seed=seed)

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.first_stage_.latent_shape, generator=random)

    def _draw(self, noise: Tensor) -> Tensor:
        return self.first_stage_.decode(integrate(self._velocity, noise, self.sampling_steps, self.solver))

    def _samples_at_once(self) -> int:
        return self.batch_


def logit_normal(shares: Tensor, mean: float, sd: float) -> Tensor:
    """The quantiles in (0, 1) of a logit-normal distribution at shares in [0, 1].

    >>> logit_normal(torch.tensor([0.0, 0.5, 1.0]), 0.0, 1.0)
    tensor([0.0085, 0.5000, 0.9915])
    """
    # Cut at about the millionth, where float32 would give an infinite quantile; the shares 0 and 1 are drawn at times.
    normal = torch.special.ndtri(shares.double().clamp(1e-6, 1 - 1e-6))
    return torch.sigmoid(mean + sd * normal).float()


def integrate(velocity: Any, start: Tensor, steps: int, solver: str) -> Tensor:
    """Follow dx = velocity(x, t) dt from t = 0 to 1.

    Args:
        velocity: ``velocity(x, times)`` with x (N, *S) and times (N,) gives (N, *S).
        start: (N, *S), x at time 0.
        steps: Equal steps.
        solver: "euler", or "heun": x + dt (v + v') / 2, v' the velocity where Euler's step would end; at the last step,
            whose end no training time comes near, Euler's.

    Returns:
        (N, *S), x at time 1.

    >>> growth = lambda x, t: x
    >>> integrate(growth, torch.ones(1), 1, "euler"), integrate(growth, torch.ones(1), 100, "heun")
    (tensor([2.]), tensor([2.7181]))
    """
    x = start
    for step in range(steps):
        now, then = (torch.full((len(x),), at / steps, device=x.device) for at in (step, step + 1))
        slope = velocity(x, now)
        if solver == "heun" and step + 1 < steps:
            slope = (slope + velocity(x + slope / steps, then)) / 2
        x = x + slope / steps
    return x

"""Training goes on from a checkpoint's weights, on the task's images: how small data sets are modelled in practice.

The network learns by the objective that its scheduler names (noise, velocity or image), on images brought to its own
size, in its own latents where it has an autoencoder, which stays as it is. The loop is that of every model here: AdamW
with warm-up and cosine decay, averaged weights, resumed after an interruption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memobench.base.errors import MemobenchError
from memobench.data.resample import resize
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import Training, batch_indices, step_generator, train_loop


@dataclass(frozen=True)
class Parts:
    """What a latent or pixel diffusion model is made of, loaded and on its device.

    Attributes:
        unet: A UNet2DModel of diffusers.
        scheduler: Adds noise.
        autoencoder: Of latent diffusion; None for pixels.
        sides: Height and width of its images.
    """

    unet: Any
    scheduler: Any
    autoencoder: Any
    sides: tuple[int, int]


@dataclass(frozen=True)
class Tuning:
    """How long and how fast it learns.

    Attributes:
        steps: Optimizer steps.
        learning_rate: The highest.
        batch: Images per step.
    """

    steps: int
    learning_rate: float
    batch: int


def fine_tune(parts: Parts, images: Images, tuning: Tuning, context: Context, *, identity: str) -> None:
    """Train the network of a diffusion model further.

    Args:
        parts: The model; its network is changed.
        images: What it learns from; 2D.
        tuning: How long and how fast.
        context: Of the fit.
        identity: Of the checkpoint, for the training's own checkpoints.

    Raises:
        MemobenchError: The scheduler cannot be trained with, or the loss is not finite.
    """
    scheduler = parts.scheduler
    kind = getattr(scheduler.config, "prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction", "sample") or not hasattr(scheduler, "add_noise"):
        raise MemobenchError(
            f"{type(scheduler).__name__} with prediction_type {kind} is no scheduler to train with; fine-tune one "
            "with a DDPMScheduler or a DDIMScheduler"
        )
    if kind == "v_prediction" and not hasattr(scheduler, "get_velocity"):
        raise MemobenchError(f"{type(scheduler).__name__} gives no velocity to train with; take a DDPMScheduler")
    device = next(parts.unet.parameters()).device
    clean = _clean(parts, images.pixels, device)
    times = int(scheduler.config.num_train_timesteps)

    def loss(k: int) -> Tensor:
        rows = batch_indices(len(clean), tuning.batch, k, seed=context.seed)
        random = step_generator(context.seed, "fine-tune", k)
        image = clean[torch.from_numpy(rows)].to(device)
        noise = torch.randn(image.shape, generator=random).to(device)
        time = torch.randint(times, (len(rows),), generator=random).to(device)
        given = parts.unet(scheduler.add_noise(image, noise, time), time).sample
        wanted = {"epsilon": noise, "sample": image}.get(kind)
        if wanted is None:
            wanted = scheduler.get_velocity(image, noise, time)
        return torch.nn.functional.mse_loss(given, wanted)

    parts.unet.requires_grad_(True)
    train_loop(
        parts.unet,
        loss,
        Training(tuning.steps, tuning.learning_rate),
        name="unet",
        context=context,
        identity=f"{identity} {images.digest}",
        batch=tuning.batch,
    )


@torch.no_grad()
def _clean(parts: Parts, pixels: NDArray[np.float32], device: torch.device) -> Tensor:
    """(N, C, h, w) what the network learns to draw, on the CPU: images in [-1, 1], or their scaled latents."""
    found = []
    channels = parts.unet.config.in_channels if parts.autoencoder is None else parts.autoencoder.config.in_channels
    for image in pixels:
        small = torch.from_numpy(resize(np.ascontiguousarray(image), parts.sides)) * 2 - 1
        grey = small[None, None].repeat(1, channels, 1, 1).to(device)
        found.append(grey if parts.autoencoder is None else _latent(parts.autoencoder, grey))
    return torch.cat(found).float().cpu()


def _latent(autoencoder: Any, image: Tensor) -> Tensor:
    """The middle of what the encoder gives, scaled as the network knows it."""
    coded = autoencoder.encode(image)
    latent: Tensor = coded.latent_dist.mode() if hasattr(coded, "latent_dist") else coded.latents
    return latent * getattr(autoencoder.config, "scaling_factor", 1.0)

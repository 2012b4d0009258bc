"""What the models that turn noise into data share: objectives at random times, the probability flow, the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from memobench.training.loop import Training, Watch, step_generator, train_loop
from numpy.typing import NDArray
from torch import Tensor, nn

from ._device import autocast
from ._frame import Fit

LOSS_TIMES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # where the loss of an image is taken, as shares of the time
MOST_WEIGHT = 5.0  # as the largest signal-to-noise ratio that Hang et al. count in full

Errors = Callable[[Tensor, Tensor, Tensor], Tensor]  # errors(clean (N, C, *S), noise (N, C, *S), times (N,)): (N,)


@dataclass(frozen=True)
class Denoiser:
    """A network that is trained on data mixed with noise at random times, and judges data in the same way.

    Attributes:
        net: The network, on its device.
        errors: The error of what it predicts of each member at its time.
        times: Evenly spread shares (B,) in [0, 1] to the times (B,) of one minibatch.
        loss_times: The times at which :meth:`losses` takes the errors.
        batch: Members of a minibatch.
    """

    net: nn.Module
    errors: Errors
    times: Callable[[Tensor], Tensor]
    loss_times: Sequence[int | float]
    batch: int

    def train(
        self, data: Callable[[int], Tensor], training: Training, fit: Fit, *, name: str, held_out: Tensor | None = None
    ) -> NDArray[np.float32]:
        """Minimise the mean error at random times.

        Args:
            data: ``data(k)`` is minibatch k, (B, C, *S), on the device.
            training: Steps, learning rate and so on.
            fit: The fit that this is part of.
            name: Of the network, in progress and checkpoints.
            held_out: Data that the network is not trained on, whose mean loss, or what ``fit`` names instead, says when
                to stop; None: do all steps.

        Returns:
            The loss of each step.
        """
        watch = None
        if held_out is not None and fit.held_out is not None:
            unseen, seed = held_out, fit.seed("held out")
            judge = fit.held_out.judge or (lambda step: float(self.losses(unseen, seed=seed).mean()))
            watch = Watch(judge, fit.held_out.every, fit.held_out.patience)
        return train_loop(
            self.net,
            objective(self.errors, data, self.times, seed=fit.seed("diffusion")),
            training,
            name=name,
            context=fit.context,
            identity=fit.identity,
            batch=self.batch,
            compiled=[self.net],
            watch=watch,
        )

    @torch.no_grad()
    def losses(self, data: Tensor, *, seed: int) -> Tensor:
        """The mean error of each member of (N, C, *S) over ``loss_times``, (N,)."""
        return mean_errors(self.errors, data, self.loss_times, batch=self.batch, seed=seed)


def even_shares(count: int, random: torch.Generator) -> Tensor:
    """One number from each of ``count`` equal strata of [0, 1], in random order, with one random shift: (count,).

    A quieter loss than independent times (Kingma et al., Variational Diffusion Models, NeurIPS 2021, appendix I.1).

    >>> (even_shares(4, torch.Generator().manual_seed(0)) * 4).long().sort().values.tolist()
    [0, 1, 2, 3]
    """
    shift = torch.rand((), generator=random)
    return (torch.randperm(count, generator=random) + shift) / count


def objective(
    errors: Errors, batch: Callable[[int], Tensor], times: Callable[[Tensor], Tensor], *, seed: int
) -> Callable[[int], Tensor]:
    """The loss of a minibatch, as :func:`memobench.training.loop.train_loop` wants it.

    Args:
        errors: The error of each member at its time.
        batch: ``batch(k)`` is minibatch k, (B, C, *S), on the device.
        times: Evenly spread shares (B,) to times (B,).
        seed: Seed of noise and times.
    """

    def loss(k: int) -> Tensor:
        clean = batch(k)
        random = step_generator(seed, "noise", k)
        noise = torch.randn(clean.shape, generator=random).to(clean.device)
        return errors(clean, noise, times(even_shares(len(clean), random)).to(clean.device)).mean()

    return loss


def mean_errors(errors: Errors, clean: Tensor, times: Sequence[int | float], *, batch: int, seed: int) -> Tensor:
    """The mean error of each image over given times; at each time every image gets the same noise.

    So images are compared with each other and not with their luck.

    Args:
        errors: The error of each member at its time.
        clean: (N, C, *S).
        times: At least one.
        batch: Images at once.
        seed: Seed of the noise.

    Returns:
        (N,) on the device of the images.
    """
    total = torch.zeros(len(clean), device=clean.device)
    for time in times:
        noise = torch.randn(clean.shape[1:], generator=step_generator(seed, "loss", str(time))).to(clean.device)
        parts = [
            errors(part, noise.expand_as(part), torch.full((len(part),), time, device=part.device))
            for part in clean.split(batch)  # type: ignore[no-untyped-call]
        ]
        total += torch.cat(parts)
    return total / len(times)


def step_times(shares: Tensor, timesteps: int) -> Tensor:
    """Shares in [0, 1] to time steps from 0 to ``timesteps`` - 1."""
    return (shares * timesteps).long().clamp(max=timesteps - 1)


def loss_steps(timesteps: int) -> list[int]:
    """``LOSS_TIMES`` as time steps."""
    return [round(share * (timesteps - 1)) for share in LOSS_TIMES]


def image_errors(net: nn.Module, schedule: DDPMScheduler, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Squared error (N,) of the velocity that follows from the predicted clean data, capped where noise is faint.

    From x_t = a_t clean + s_t noise the prediction p gives the velocity (a_t x_t - p) / s_t, so its squared error is
    that of p over s_t^2 = 1 + SNR. This weight is cut at ``MOST_WEIGHT`` (Hang et al., Efficient Diffusion Training via
    Min-SNR Weighting Strategy, ICCV 2023).
    """
    a, s = amplitudes(schedule, times, clean.ndim)
    with autocast(clean.device):
        predicted = net(a * clean + s * noise, times)
    errors: Tensor = ((predicted.float() - clean) ** 2).flatten(1).mean(dim=1)
    noise_variance: Tensor = 1 - schedule.alphas_cumprod.to(clean.device)[times]
    return errors * (1 / noise_variance).clamp(max=MOST_WEIGHT)


def amplitudes(schedule: DDPMScheduler, times: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """The shares a_t of the data and s_t of the noise in data mixed with noise; a_t^2 + s_t^2 = 1.

    Args:
        schedule: Knows a_t^2 of each time step.
        times: (N,) time steps.
        axes: Of the data, to whose form (N, 1, ...) both are brought.
    """
    kept: Tensor = schedule.alphas_cumprod.to(times.device)[times].reshape(-1, *[1] * (axes - 1))
    return kept**0.5, (1 - kept) ** 0.5


@torch.no_grad()
def follow_flow(net: nn.Module, noise: Tensor, settings: Mapping[str, Any], steps: int) -> Tensor:
    """From noise to data along the probability flow, with DPM-Solver++ (Lu et al., 2022, algorithm 2).

    Args:
        net: Predicts what the settings' ``prediction_type`` says.
        noise: (N, C, *S) standard normal.
        settings: The arguments of the noise schedule, as diffusers' DDPMScheduler takes them.
        steps: Network evaluations.
    """
    solver = DPMSolverMultistepScheduler(
        **settings, solver_order=2, timestep_spacing="trailing", final_sigmas_type="zero"
    )
    solver.set_timesteps(steps)
    made = noise
    for time in solver.timesteps:
        with autocast(made.device):
            predicted = net(made, time.expand(len(made)).to(made.device))
        made = solver.step(predicted.float(), time, made).prev_sample
    return made

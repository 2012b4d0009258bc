"""Latent diffusion's training against a plain float32 loop over the same network, on the same device.

    pytest tests/benchmarks/test_training_speed.py -s

trains the diffusion network of `ldm` on made-up latents in the order plain, ours, ours, plain and prints images per
second and their ratio, which on a GPU should not be below 2. There it takes the preset `standard` at 128 pixels, with
torch.compile (MEMOBENCH_BENCHMARK_STEPS=300 steps each, after 30 that compile); on a CPU the preset
`smoke`, to try the path. Ours is what a run does: mixed precision where the device has it, clipped gradients, averaged
weights, a rate for each step, noise that is the same on every device. The plain loop is that of tutorials: noise,
velocity, squared error, AdamW. That both learn is asserted, times are not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from memobench.base.cost import Trained
from memobench.baselines._device import reproducible
from memobench.baselines._frame import Fit
from memobench.generator import GENERATORS, Context, build
from memobench.training.acceleration import Acceleration, accelerated
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GPU = DEVICE == "cuda"
PRESET, STEPS, WARM_UP = ("standard", 300, 30) if GPU else ("smoke", 200, 2)
STEPS = int(os.environ.get("MEMOBENCH_BENCHMARK_STEPS", STEPS))
SHAPES = {"2d": (128, 128), "3d": (64, 64, 64)} if GPU else {"2d": (32, 32), "3d": (16, 16, 16)}
IMAGES = 512


def model_of(shape: tuple[int, ...], steps: int):
    model = build(GENERATORS.get("ldm"), "ldm", PRESET, {"steps": str(steps)})
    model._build(shape, DEVICE, seed=0)
    return model


def latents_of(model) -> torch.Tensor:
    """Flat ones, each of its own levels: soon learned, as white noise, whose velocity nobody can tell, is not."""
    channels, *sides = model.first_stage_.latent_shape
    levels = torch.randn((IMAGES, channels, *[1] * len(sides)), generator=torch.Generator().manual_seed(0))
    return levels.expand(-1, -1, *sides).contiguous().to(DEVICE)


def ours(shape: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """Images per second of the harness's loop, and its losses."""
    costs: list[Trained] = []
    with accelerated(Acceleration("auto", compile=GPU)), reproducible():
        model = model_of(shape, WARM_UP)
        latents = latents_of(model)
        model._learn_diffusion(latents, Fit(Context(0, DEVICE), "warm-up"))  # compiles
        model.unet_.requires_grad_(True)
        model.steps = STEPS
        model._learn_diffusion(latents, Fit(Context(0, DEVICE, report=costs.append), "timed"))
    return costs[0].images_per_second, costs[0].losses


def plain(shape: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """Images per second of a loop as a tutorial writes it, in float32, and its losses."""
    model = model_of(shape, STEPS)
    net, schedule, batch, latents = model.unet_, model.schedule_, model.batch_, latents_of(model)
    net.to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=model.learning_rate)
    losses = []
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            wait()
            begun = time.perf_counter()
        clean = latents[torch.randint(len(latents), (batch,), device=DEVICE)]
        noise = torch.randn_like(clean)
        times = torch.randint(model.timesteps, (batch,), device=DEVICE)
        predicted = net(schedule.add_noise(clean, noise, times), times)
        loss = functional.mse_loss(predicted, schedule.get_velocity(clean, noise, times))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    wait()
    return STEPS * batch / (time.perf_counter() - begun), torch.stack(losses).cpu().numpy()


def wait() -> None:
    if GPU:
        torch.cuda.synchronize()


@pytest.mark.parametrize("dimension", list(SHAPES))
def test_diffusion_against_a_plain_loop(dimension: str) -> None:
    torch.manual_seed(0)
    runs: dict[Callable[..., tuple[float, np.ndarray]], list[float]] = {plain: [], ours: []}
    for way in (plain, ours, ours, plain):
        speed, losses = way(SHAPES[dimension])
        runs[way].append(speed)
        assert np.isfinite(losses).all()
        assert losses[-len(losses) // 4 :].mean() < losses[: len(losses) // 4].mean()
    tutorial, harness = (float(np.median(runs[way])) for way in (plain, ours))
    name = torch.cuda.get_device_name() if GPU else "CPU"
    print(  # noqa: T201 (the ratio is what this is for)
        f"\nldm {PRESET} {dimension} on {name}: plain float32 {tutorial:.1f} images/s, ours {harness:.1f} images/s, "
        f"ratio {harness / tutorial:.2f}"
    )

"""A variational autoencoder trained with differential privacy for patients.

Abadi et al., Deep Learning with Differential Privacy, CCS 2016 (DP-SGD, algorithm 1), by Opacus (Yousefpour et al.,
2021), with AdamW in the place of SGD, which sees the noisy gradients alone. Each step draws every patient with
probability q, takes one random image of each, clips each image's gradient to a norm C and adds normal noise with
standard deviation s C to their sum:

    g = sum_i min(1, C / |g_i|) g_i + s C N(0, 1)

One patient changes this sum by at most C, however many images he has, so the guarantee is one for patients: whatever
the trained weights show, they would show with a probability at most e^epsilon times larger (and delta more) if he had
not been there. s is the smallest noise that keeps epsilon over all steps (moments accountant, Mironov et al., Renyi
Differential Privacy of the Sampled Gaussian Mechanism, 2019). Samples come from the prior N(0, 1): the aggregate
posterior, which `vae` samples from, is a statistic of the patients without noise.

What it costs: a great deal. With a few hundred patients the noise of a useful epsilon exceeds the signal, and samples
stay near the mean image; with tens of thousands it is bearable. The guarantee holds for the weights and
the samples, not for the losses that the harness keeps beside the fit, nor against somebody who knows the seed.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from memobench.base.cost import Trained, write_scalars
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed, generator_for
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from memobench.training.loop import step_generator
from memobench.training.processes import current
from numpy.typing import NDArray

from ._device import reproducible
from ._frame import foreign_state, unfitted
from .vae import VAE

ABSENT = "Opacus is not installed: pip install memobench[private]"


@GENERATORS.register("vae_private")
@dataclass
class VAEPrivate(Generator):
    """A small `vae` with (epsilon, delta)-differential privacy for patients.

    Attributes:
        channels: Feature channels, as of `vae`; few, because noise grows with the number of weights.
        latent: Length of the latent vector.
        beta: Weight of the Kullback-Leibler divergence.
        width: "small", "base" or "large": half, once or twice the channels.
        augment: "none": a patient's image is looked at as it is.
        epsilon: The privacy budget; 8 is the largest in common use (De et al., Unlocking High-Accuracy Differentially
            Private Image Classification through Scale, 2022).
        delta: Times one over the number of patients, the probability that the guarantee fails; well below 1.
        clip: C above, in nats per pixel and weight; below the usual norm, so that the direction is what counts.
        steps: Optimizer steps.
        batch: Patients per step, on average.
        learning_rate: Of AdamW, constant.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    latent: int = 16
    beta: float = 1.0
    width: str = "base"
    augment: str = "none"
    epsilon: float = 8.0
    delta: float = 0.1
    clip: float = 0.1
    steps: int = 400
    batch: int = 64
    learning_rate: float = 1e-3

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"channels": (8, 8), "latent": 4, "steps": 5, "batch": 4},
        "quick": {},
        "standard": {"steps": 4000, "batch": 512},
        "paper": {"steps": 10_000, "batch": 2048},
    }

    def __post_init__(self) -> None:
        """Refuse values that give no guarantee, and those that `vae` refuses."""
        self.channels = tuple(self.channels)
        for name in ("epsilon", "delta", "clip", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0")
        if self.delta >= 1:
            raise ValueError(f"delta is {self.delta}; give less than 1, in units of one over the number of patients")
        if self.augment != "none":
            raise ValueError(f'augment is "{self.augment}"; vae_private knows "none" only')
        self._new()

    @classmethod
    def skip(cls, shape: tuple[int, ...]) -> str | None:
        """It needs Opacus."""
        return None if importlib.util.find_spec("opacus") else ABSENT

    def _new(self) -> VAE:
        """The model inside, not fitted."""
        size = max(1, self.batch)
        return VAE(
            channels=self.channels,
            latent=self.latent,
            beta=self.beta,
            width=self.width,
            steps=self.steps,
            batch=(size, size),
        )

    def fit(self, images: Images, *, context: Context) -> Self:
        """Minimise the negative evidence lower bound by DP-SGD."""
        if not importlib.util.find_spec("opacus"):
            raise MemobenchError(ABSENT)
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        from opacus.grad_sample import GradSampleModule
        from opacus.optimizers import DPOptimizer

        self.model_ = self._new()
        self.model_._build(images.shape, context.device, seed=context.seed)
        net, device = self.model_.net_, self.model_.device_
        pixels = self.model_._pixels(images)
        names, owner = np.unique(images.patients, return_inverse=True)
        rate = min(1.0, self.batch / len(names))
        delta = self.delta / len(names)
        noise = noise_for(self.epsilon, delta, rate, self.steps)
        self.privacy_ = np.array([self.epsilon, delta, noise])

        hooked = GradSampleModule(net, loss_reduction="sum")
        hooked.train()
        # Adam's steps do not depend on the scale of gradients, so the sum of them will do for their mean.
        optimizer = DPOptimizer(
            torch.optim.AdamW(net.parameters(), lr=self.learning_rate, weight_decay=0.0),
            noise_multiplier=noise,
            max_grad_norm=self.clip,
            expected_batch_size=None,
            loss_reduction="sum",
            generator=torch.Generator(device).manual_seed(derive_seed(context.seed, "privacy")),
        )
        losses = np.zeros(self.steps, dtype=np.float32)
        seen, begun = 0, time.monotonic()
        with reproducible(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook")  # of layers whose input needs no gradient
            for step in context.track(range(self.steps), "training the private autoencoder"):
                optimizer.zero_grad()
                chosen = drawn(owner.reshape(-1), len(names), rate, generator_for(context.seed, "patients", step))
                if len(chosen):
                    real = pixels[chosen].to(device)
                    random = step_generator(context.seed, "latent", step)
                    latent = torch.randn(len(chosen), self.latent, generator=random).to(device)
                    bound = self.model_._negative_elbo(real, latent) / pixels[0].numel()  # nats per pixel
                    bound.sum().backward()  # type: ignore[no-untyped-call]
                    losses[step] = float(bound.detach().mean())
                else:  # nobody was drawn: the noise alone, or the number of steps would tell
                    for weight in net.parameters():
                        weight.grad_sample = torch.zeros((0, *weight.shape), device=device)  # type: ignore[attr-defined]
                    losses[step] = losses[step - 1] if step else 0.0
                optimizer.step()
                seen += len(chosen)
        hooked.remove_hooks()
        net.requires_grad_(False).eval()
        for weight in net.parameters():
            weight.grad = weight.grad_sample = None  # type: ignore[attr-defined]
        if context.log and current().main:
            write_scalars(context.log, "private autoencoder", losses, 0)
        context.report(Trained("private autoencoder", losses, seen, max(time.monotonic() - begun, 1e-9)))
        return self

    def notes(self) -> list[str]:
        """The guarantee."""
        epsilon, delta, noise = self.privacy_.tolist()
        return [
            f"trained with differential privacy for patients: epsilon {epsilon:g}, delta {delta:.2g}, by noise of "
            f"{noise:.3g} times the largest gradient of one patient"
        ]

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n mean images of latents from the prior, (n, *S) float32 in [0, 1]."""
        return self._fitted().sample(n, seed=seed)

    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """Negative evidence lower bound of each image in nats, (N,), as :meth:`vae.VAE.loss`."""
        return self._fitted().loss(images, seed=seed)

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of the model inside, and epsilon, delta and the noise."""
        return {**self._fitted().state(), "privacy": self.privacy_}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        if "privacy" not in state:
            raise foreign_state("vae_private", KeyError("privacy"))
        inside = {name: array for name, array in state.items() if name != "privacy"}
        self.model_ = self._new().restore(inside, device=device)
        self.privacy_ = np.asarray(state["privacy"])
        return self

    def _fitted(self) -> VAE:
        if not hasattr(self, "model_"):
            raise unfitted("vae_private")
        return self.model_


def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The smallest noise, in units of the clipping norm, that keeps (epsilon, delta) over all steps.

    Args:
        epsilon: Above 0.
        delta: In (0, 1).
        rate: Probability that a patient is in a step, in (0, 1].
        steps: Number of steps.
    """
    from opacus.accountants.utils import get_noise_multiplier

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")  # the bound holds, if a little loose
        return float(get_noise_multiplier(target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps))


def drawn(owner: NDArray[np.int64], patients: int, rate: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw each patient with the same probability, and one image of each that was drawn.

    Args:
        owner: (N,) the number of each image's patient.
        patients: How many patients there are.
        rate: The probability, in (0, 1].
        random: Where the draw comes from.

    Returns:
        Rows of images, each of another patient.

    >>> owner = np.array([0, 0, 1, 2])
    >>> rows = drawn(owner, 3, 1.0, np.random.default_rng(0))
    >>> owner[rows].tolist()
    [0, 1, 2]
    """
    chosen = np.flatnonzero(random.random(patients) < rate)
    order = random.permutation(len(owner))  # the first of a patient's images in random order is one at random
    first = dict(zip(owner[order[::-1]].tolist(), order[::-1].tolist(), strict=True))
    return np.array([first[patient] for patient in chosen.tolist()], dtype=np.int64)

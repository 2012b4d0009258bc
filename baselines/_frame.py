"""The frame of an entry that trains networks: everything but its paper.

An entry inherits from :class:`TrainedGenerator` and from nothing else, and gives what is its own: which networks it has
(``_make``), how they learn (``_learn``), how random numbers become images (``_noise``, ``_draw``), how badly it models
an image (``_losses``). The frame checks the input, places and seeds the networks, samples in batches, and stores and
loads what was learned.
"""

from __future__ import annotations

import dataclasses
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.generator import Context, Generator
from memobench.images import Images
from memobench.training.loop import Training, batch_indices, seeded, step_generator
from memobench.training.processes import drawn
from numpy.typing import NDArray
from torch import Tensor, nn

from ._augment import augmented
from ._device import load_weights, place, reproducible, to_images, to_pixels, weights

Losses = dict[str, NDArray[np.float32]]  # of each network by its name, one per step


@dataclass(frozen=True)
class HeldOut:
    """Images that tell when to stop training, and how.

    Attributes:
        images: What the model is not trained on.
        every: Steps from one evaluation of their loss to the next.
        patience: Evaluations without a new lowest loss after which training stops.
        judge: What is evaluated after so many steps instead of their loss, lower being better, with the averaged
            weights in the networks; None: their loss.
        how: Names the judge and its settings: a checkpoint of another one is refused.
    """

    images: Images
    every: int
    patience: int
    judge: Callable[[int], float] | None = None
    how: str = ""


@dataclass(frozen=True)
class Fit:
    """What the networks of one fit are trained under.

    Attributes:
        context: Seed, progress, checkpoints.
        identity: What the fit depends on; a checkpoint of another fit is refused.
        held_out: Images that tell when to stop; None: do all steps.
    """

    context: Context
    identity: str
    held_out: HeldOut | None = None

    def seed(self, role: str) -> int:
        """The seed of one role in this fit."""
        return derive_seed(self.context.seed, role)


@dataclass
class TrainedGenerator(Generator):
    """Networks that are trained on images and then sampled; abstract, without a field.

    Images are padded inside to sides that the networks can halve, and samples are cropped back. Where 2D and 3D differ,
    a field holds two values, the first for 2D.

    Attributes:
        NAME: The registry's name, for messages.
    """

    NAME: ClassVar[str]

    # -------------------------------------------------------------------------------------------- what an entry gives

    @abstractmethod
    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        """New networks for images of ``shape_``, by the names under which their weights are stored."""

    @abstractmethod
    def _multiple(self) -> int:
        """What the sides of padded images are multiples of, so that the networks can halve them."""

    @abstractmethod
    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        """Train the networks on padded images (N, 1, *S) in [-1, 1]."""

    @abstractmethod
    def _noise(self, random: torch.Generator) -> Tensor:
        """The random numbers of one sample."""

    @abstractmethod
    def _draw(self, noise: Tensor) -> Tensor:
        """The random numbers of several samples (B, ...) to padded images (B, 1, *S) in about [-1, 1]."""

    @abstractmethod
    def _samples_at_once(self) -> int:
        """How many samples are drawn in one batch."""

    @abstractmethod
    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The loss (N,) of each padded image (N, 1, *S); the same random numbers for every image."""

    # ---------------------------------------------------------------------------------------------------- the contract

    def fit(self, images: Images, *, context: Context) -> Self:
        """Train the networks from the start.

        Raises:
            MemobenchError: There are no images, or the training fails.
        """
        return self._fit(images, context)

    def _fit(self, images: Images, context: Context, held_out: HeldOut | None = None) -> Self:
        """As :meth:`fit`; an entry that can stop early offers ``held_out`` to its callers."""
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        self._build(images.shape, context.device, seed=context.seed)
        parts: list[Any] = [images.digest, dataclasses.asdict(self)]
        if held_out is not None:
            parts += [held_out.images.digest, held_out.every, held_out.patience]
            parts += [held_out.how] if held_out.how else []
        fit = Fit(context, json.dumps(parts, sort_keys=True), held_out)
        with reproducible():
            self.history_ = self._learn(self._pixels(images), fit)
        return self

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; image i has random numbers of its own, however many are drawn."""
        self._require_fitted()

        def draw(members: range) -> NDArray[np.float32]:
            noise = torch.stack([self._noise(step_generator(seed, "sample", i)) for i in members])
            return to_images(self._draw(noise.to(self.device_)), self.shape_)

        with reproducible():
            return drawn(n, self.shape_, self._samples_at_once(), draw)

    @torch.no_grad()
    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """How badly each image is modelled, (N,): lower for images that the model has learned.

        Raises:
            MemobenchError: The images have another shape than those fitted.
        """
        self._require_fitted()
        if images.shape != self.shape_:
            raise MemobenchError(f"images of shape {images.shape} cannot be judged; the fitted ones are {self.shape_}")
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        with reproducible():
            losses = self._losses(self._pixels(images), seed)
        return losses.cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """What the networks hold, averaged weights and buffers, and the images' shape."""
        self._require_fitted()
        return {**weights(self.networks_), "shape": np.array(self.shape_, dtype=np.float32)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        try:
            self._build(tuple(int(side) for side in state["shape"]), device, seed=0)
            load_weights(self.networks_, state)
        except (KeyError, RuntimeError) as error:
            raise foreign_state(self.NAME, error) from error
        return self

    # -------------------------------------------------------------------------------------------------------- the rest

    def _build(self, shape: tuple[int, ...], device: str, *, seed: int) -> None:
        """Make the networks for images of a shape, with new weights."""
        self.shape_ = tuple(shape)
        self.device_ = torch.device(device)
        with seeded(derive_seed(seed, "weights")):
            self.networks_ = dict(self._make(len(shape)))
        for net in self.networks_.values():
            place(net, self.device_, len(shape))

    def _pixels(self, images: Images) -> Tensor:
        """Images as the networks see them: padded, (N, 1, *S) in [-1, 1], on the CPU."""
        return to_pixels(images, self._multiple())

    def _value(self, pair: Sequence[int]) -> int:
        """Of a field with two values that for the images' axes: the first in 2D, the second in 3D."""
        return pair[len(self.shape_) - 2]

    def _require_fitted(self) -> None:
        if not hasattr(self, "networks_"):
            raise unfitted(self.NAME)


def unfitted(name: str) -> MemobenchError:
    """The error of a model that is used before it has learned anything."""
    return MemobenchError(f"this {name} is not fitted; call fit or restore first")


def foreign_state(name: str, error: Exception) -> MemobenchError:
    """The error of a state that belongs to another model, from the first line of what went wrong."""
    return MemobenchError(f"the state is not of this {name} ({str(error).splitlines()[0]}); give its fields too")


def training_of(generator: Any, steps: int, rate: float) -> Training:
    """How a network of a generator is trained, by its fields weight_decay, warm_up, ema and accumulate."""
    return Training(
        steps=steps,
        learning_rate=rate,
        weight_decay=generator.weight_decay,
        warm_up=generator.warm_up,
        ema=generator.ema,
        accumulate=generator.accumulate,
    )


def minibatch(pixels: Tensor, size: int, k: int, *, augment: str, seed: int) -> Tensor:
    """Minibatch k of training images (N, 1, *S), augmented: (size, 1, *S)."""
    chosen = batch_indices(len(pixels), size, k, seed=seed)
    return augmented(pixels[chosen], augment, step_generator(seed, "augment", k))


def augmented_views(pixels: Tensor, augment: str, views: int, *, seed: int) -> Tensor:
    """Every training image, or ``views`` augmented versions of every one: (N * views, 1, *S)."""
    if augment == "none":
        return pixels
    return torch.cat([augmented(pixels, augment, step_generator(seed, "view", view)) for view in range(views)])

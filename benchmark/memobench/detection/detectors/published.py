"""The study's recipe: a ResNet contrasted with small turns and mirror images; correlation of its embeddings.

Dar et al., "Unconditional latent diffusion models memorize patient imaging data" (arXiv 2402.01054; Nature Biomedical
Engineering 2025): trained on the training images; the positive pair is an image and one copy of it, turned by up to 5
degrees and mirrored, each with probability one half; NT-Xent at temperature 0.07, every other image being a negative;
Adam from 1e-4, by a cosine down to half of it; similarity is the Pearson correlation of two embeddings. In two
dimensions a ResNet-50 with 128 outputs, 200 epochs, batches of 64. In three dimensions the study builds on a VQ-GAN's
encoder trained beforehand, with 32 outputs and batches of 10; here a 3D ResNet-10 takes its place.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from memobench.base.errors import DataError, UsageError, suggest
from memobench.base.seeds import derive_seed
from memobench.detection.augment import rotate
from memobench.detection.contract import Matches
from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._pairs import strongest
from memobench.detection.detectors.correlation import standardized
from memobench.detection.embed import contrastive_loss
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import Training, batch_indices, seeded, step_generator, train_loop

DEGREES = 5.0
BLOCK = 64


@dataclass(frozen=True)
class Recipe:
    """How far a preset follows the recipe.

    Attributes:
        depth: Layers of the ResNet in 2D, 18 or 50.
        epochs: Passes over the training images, or None for a number of steps.
        steps: Optimizer steps where ``epochs`` is None.
        batch: Images per step in 2D, at most the number of images.
        batch_3d: The same in 3D.
    """

    depth: int = 50
    epochs: int | None = 200
    steps: int = 0
    batch: int = 64
    batch_3d: int = 10


PRESETS: Mapping[str, Recipe] = {
    "smoke": Recipe(depth=18, epochs=None, steps=2, batch=4, batch_3d=4),
    "quick": Recipe(depth=18, epochs=None, steps=60),  # about two minutes on two cores at 64 pixels
    "standard": Recipe(),
    "paper": Recipe(),
}


@dataclass(frozen=True)
class CosineToHalf(Training):
    """Plain Adam without warm-up, whose learning rate falls by a cosine to half of where it began."""

    weight_decay: float = 0.0
    clip: float = math.inf
    ema: float = 0.0  # the weights as they are, no average

    def rate(self, step: int) -> float:
        """The learning rate of a step.

        >>> training = CosineToHalf(steps=100, learning_rate=1e-4)
        >>> training.rate(0), round(training.rate(50), 8), round(training.rate(100), 8)
        (0.0001, 7.5e-05, 5e-05)
        """
        return self.learning_rate * (0.75 + 0.25 * math.cos(math.pi * step / self.steps))


@DETECTORS.register("published")
class Published:
    """The published detector, trained on the members themselves."""

    VERSION: ClassVar[str] = "1"
    TRAINED_AS: ClassVar[str | None] = "published"

    network: nn.Module
    shape: tuple[int, ...]

    def fit(
        self, train: Images, holdout: Images, dev: Images | None, *, context: Context, preset: str = "quick"
    ) -> Self:
        """Train on the training images.

        Raises:
            UsageError: There is no such preset.
            DataError: Fewer than four images.
        """
        recipe = _recipe(preset)
        if len(train) < 4:
            raise DataError(f"{len(train)} training images are too few to contrast; give at least 4")
        self.shape = train.shape
        with seeded(derive_seed(context.seed, "published", "weights")):
            self.network = _network(len(self.shape), recipe)
        self.network.to(context.device)
        images = torch.tensor(np.asarray(train.pixels))[:, None]  # (N, 1, *S)
        batch = min(recipe.batch if len(self.shape) == 2 else recipe.batch_3d, len(images))
        steps = recipe.steps if recipe.epochs is None else recipe.epochs * math.ceil(len(images) / batch)
        seed = derive_seed(context.seed, "published")

        def loss(step: int) -> Tensor:
            chosen = batch_indices(len(images), batch, step, seed=seed)
            pair = torch.cat([images[chosen], views(images[chosen], step_generator(seed, "views", step))])
            made = nn.functional.normalize(self.network(pair.to(context.device)), dim=1)
            image = torch.from_numpy(chosen).to(context.device).repeat(2)
            return contrastive_loss(made, image, temperature=0.07)

        content = hashlib.sha256(images.numpy().tobytes()).hexdigest()
        identity = f"{asdict(recipe)} {self.shape} {content}"
        training = CosineToHalf(steps=steps, learning_rate=1e-4)
        train_loop(self.network, loss, training, name="published detector", context=context, identity=identity)
        _settle(self.network, images, context.device)
        return self

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k highest Pearson correlations of embeddings; see :func:`strongest`."""
        real = standardized(self._embed(pool.pixels))
        made = standardized(self._embed(queries))
        return strongest(lambda rows: made[rows] @ real.T, len(queries), pool.patients, k, query_patients)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], float]:
        """The best scores against other patients, each image compared with the whole pool."""
        return self.match(pool.pixels, pool, query_patients=pool.patients).score[:, 0], 1.0

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights and running moments."""
        arrays = {f"weight.{key}": value.cpu().numpy() for key, value in self.network.state_dict().items()}
        return {**arrays, "shape": np.array(self.shape)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, preset: str, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave."""
        self.shape = tuple(int(side) for side in state["shape"])
        with seeded(0):
            self.network = _network(len(self.shape), _recipe(preset))
        prefix = "weight."
        weights = {key.removeprefix(prefix): torch.tensor(value) for key, value in state.items() if prefix in key}
        self.network.load_state_dict(weights)
        self.network.to(device).eval()
        return self

    @torch.no_grad()
    def _embed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (N, *S) to embeddings (N, D)."""
        if tuple(pixels.shape[1:]) != self.shape:
            raise DataError(f"images of shape {pixels.shape[1:]} cannot be embedded; the detector learned {self.shape}")
        device = next(self.network.parameters()).device
        blocks = []
        for start in range(0, len(pixels), BLOCK):
            block = torch.tensor(np.asarray(pixels[start : start + BLOCK]))[:, None].to(device)
            blocks.append(self.network(block).float().cpu().numpy())
        return np.concatenate(blocks)


def views(images: Tensor, random: torch.Generator) -> Tensor:
    """The copy in each positive pair: (N, 1, *S), turned by up to 5 degrees and mirrored, each with probability 1/2."""
    drawn = torch.rand((len(images), 3), generator=random)
    made = []
    for image, (turned, angle, mirrored) in zip(images, drawn.tolist(), strict=True):
        view = rotate(image[None], DEGREES * (2 * angle - 1)) if turned < 0.5 else image[None]
        made.append(view.flip(-1) if mirrored < 0.5 else view)
    return torch.cat(made)


def _recipe(preset: str) -> Recipe:
    if preset not in PRESETS:
        raise UsageError(f'the published detector has no preset "{preset}"; {suggest(preset, PRESETS)}')
    return PRESETS[preset]


def _network(dim: int, recipe: Recipe) -> nn.Module:
    """The ResNet with one input channel and its last layer as the embedding."""
    if dim == 3:
        from monai.networks.nets import resnet10

        small: nn.Module = resnet10(spatial_dims=3, n_input_channels=1, num_classes=32, conv1_t_stride=2)
        return small
    from torchvision.models import resnet18, resnet50

    network: nn.Module = {18: resnet18, 50: resnet50}[recipe.depth](weights=None, num_classes=128)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return network


@torch.no_grad()
def _settle(network: nn.Module, images: Tensor, device: str) -> None:
    """Set the running moments of batch normalization to averages over the training images.

    Checkpoints hold the weights alone; moments taken afterwards are the same whether or not the training was
    interrupted, and are what running averages estimate.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    network.train()
    for part in torch.split(images, BLOCK):
        if len(part) > 1:
            network(part.to(device))
    network.eval()

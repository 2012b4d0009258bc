"""A self-supervised embedding of images that brings a copy close to its source, whatever was done to it.

It decides nothing: copies are found by search, registration and verification (:mod:`detector`). The embedding narrows
down pools that are too large to be searched in full, its early stages give the quality features ``ssl``, the published
rule is computed on it for comparison, and alone it is the detector ``embedding`` of ``bench challenge``.

Contrastive learning as in SimCLR (Chen et al., ICML 2020): two random views of an image attract each other, views of
other patients repel. Two images of one patient neither attract nor repel each other. Group normalization (Wu & He,
ECCV 2018) makes an image's embedding independent of the batch it is computed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed
from memobench.detection.augment import augment, rotate
from memobench.detection.parameters import EmbeddingParameters
from memobench.features._ssl import statistics
from memobench.generator import Context
from memobench.images import content_digests
from memobench.training.loop import Training, batch_indices, seeded, step_generator, train_loop

MIN_PATIENTS = 4
BLOCK = 128
TURNS = (0.0, -10.0, 10.0)  # degrees


class Network(nn.Module):
    """A small residual network: a strided stem, four stages of one block, the mean, and a projection head.

    Args:
        shape: Shape of an image. In 3D the first stage is strided as well, since a level costs eight times less. Images
            are not shrunk below two cells a side, where a normalization group would hold next to nothing.
        parameters: Channels and embedding length.
    """

    def __init__(self, shape: tuple[int, ...], parameters: EmbeddingParameters) -> None:
        super().__init__()
        convolution: Callable[..., nn.Module] = nn.Conv2d if len(shape) == 2 else nn.Conv3d
        channels = parameters.channels
        self.stem = convolution(1, channels[0], 5, stride=2, padding=2)
        side, strides = (min(shape) + 1) // 2, []
        for wanted in (1, 2, 2, 2) if len(shape) == 2 else (2, 2, 2, 1):
            strides.append(wanted if side >= 4 else 1)
            side = -(-side // strides[-1])
        before = [channels[0], *channels[:-1]]
        self.stages = nn.ModuleList(
            _Block(convolution, a, b, stride) for a, b, stride in zip(before, channels, strides, strict=True)
        )
        self.head = nn.Sequential(
            nn.Linear(channels[-1], channels[-1]), nn.ReLU(), nn.Linear(channels[-1], parameters.dimension)
        )

    def stage_outputs(self, images: Tensor) -> list[Tensor]:
        """Images (N, 1, *S) to the activations of each stage, (N, C, *smaller)."""
        x = self.stem(images - 0.5)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def represent(self, images: Tensor) -> Tensor:
        """Images (N, 1, *S) to what stands before the head: the means of the last two stages, (N, C3 + C4)."""
        return torch.cat([x.flatten(2).mean(dim=2) for x in self.stage_outputs(images)[-2:]], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1, *S) to projections (N, D) of length one, which the loss compares."""
        pooled = self.stage_outputs(images)[-1].flatten(2).mean(dim=2)
        return F.normalize(self.head(pooled), dim=1)


class _Block(nn.Module):
    """Two convolutions with group normalization beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, convolution: Callable[..., nn.Module], before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(before, after, 3, stride=stride, padding=1, bias=False)
        self.second = convolution(after, after, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(8 if after % 8 == 0 else 1, after) for _ in range(2))
        plain = before == after and stride == 1
        self.shortcut = nn.Identity() if plain else convolution(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.shortcut(x))


class Embedding:
    """A trained network with what is needed to standardize its activations.

    Args:
        network: The trained network.
        parameters: What it was built from.
        shape: Shape of the images.
        moments: (2, F) mean and standard deviation of the activations over the images learned from.
    """

    def __init__(
        self,
        network: Network,
        parameters: EmbeddingParameters,
        shape: tuple[int, ...],
        moments: NDArray[np.float32] | None = None,
    ) -> None:
        # channels last: the same numbers but for rounding, 1.4 times as fast on a CPU
        self.layout = torch.channels_last if len(shape) == 2 else torch.channels_last_3d
        self.network = network.eval().to(memory_format=self.layout)
        self.parameters = parameters
        self.shape = shape
        self.moments = moments
        self.device = next(network.parameters()).device
        self._known: dict[str, NDArray[np.float32]] = {}  # embeddings by the content of images

    def embed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (N, *S) to embeddings (N, D) of length one, the same for an image and its mirror image.

        They are the means of the last two stages, not the head's projections, which were spread over the sphere by the
        images learned from: on images never seen, the stages tell many more copies from other patients. Averaged over
        the image and its mirror image, as they stand and turned both ways, they overlook larger rotations too. An image
        is embedded once, and known again by its content.
        """

        def averaged(images: Tensor) -> Tensor:
            total = torch.zeros((), device=self.device)
            for image in (images, images.flip(-1)):
                for degrees in TURNS:
                    total = total + self.network.represent(rotate(image, degrees) if degrees else image)
            return F.normalize(total)

        keys = content_digests(pixels).tolist()
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new or not keys:
            made = self._blocks(np.asarray(pixels)[list(new.values())], averaged)
            self._known.update(zip(new, made, strict=True))
        return np.stack([self._known[key] for key in keys]) if keys else made

    def activations(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (N, *S) to the quality features ``ssl`` (N, F), standardized over the images learned from.

        They come from the first two stages and the image's bands (:mod:`memobench.features._ssl`); the later stages,
        which were trained to overlook blur, noise and contrast, are left out.
        """

        def early(images: Tensor) -> Tensor:
            return statistics(images, self.network.stage_outputs(images)[:2])

        raw = self._blocks(pixels, early)
        return raw if self.moments is None else (raw - self.moments[0]) / self.moments[1]

    @torch.no_grad()
    def _blocks(self, pixels: NDArray[np.float32], function: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        if tuple(pixels.shape[1:]) != self.shape:
            raise DataError(f"images of shape {pixels.shape[1:]} cannot be embedded; the detector learned {self.shape}")
        blocks = []
        for start in range(0, max(len(pixels), 1), BLOCK):
            # equal block sizes, so that an image's numbers do not depend on what stands beside it
            block = np.asarray(pixels[start : start + BLOCK])
            padded = np.concatenate([block, np.zeros((BLOCK - len(block), *self.shape), dtype=np.float32)])
            images = torch.from_numpy(padded)[:, None].to(self.device, memory_format=self.layout)
            made = function(images)
            blocks.append(made[: len(block)].float().cpu().numpy())
        return np.concatenate(blocks)

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights and moments as named arrays."""
        arrays = {f"weight.{key}": value.cpu().numpy() for key, value in self.network.state_dict().items()}
        assert self.moments is not None  # noqa: S101  # train_embedding sets it
        return {**arrays, "moments": self.moments, "shape": np.array(self.shape)}

    @classmethod
    def restore(
        cls, state: Mapping[str, NDArray[Any]], parameters: EmbeddingParameters, *, device: str = "cpu"
    ) -> Self:
        """Take up what :meth:`state` gave."""
        shape = tuple(int(side) for side in state["shape"])
        with seeded(0):
            network = Network(shape, parameters)
        prefix = "weight."
        weights = {key.removeprefix(prefix): torch.tensor(value) for key, value in state.items() if prefix in key}
        network.load_state_dict(weights)
        return cls(network.to(device), parameters, shape, np.asarray(state["moments"]))


def train_embedding(
    pixels: NDArray[np.float32],
    patients: NDArray[np.str_],
    parameters: EmbeddingParameters,
    *,
    context: Context,
    name: str = "detector",
) -> Embedding:
    """Train an embedding on images of patients, blind to everything else about them.

    Args:
        pixels: (N, *S) in [0, 1].
        patients: (N,) ids; images of one patient do not repel each other.
        parameters: Hyper-parameters.
        context: Seed, device, progress, checkpoints.
        name: What is trained, for the progress bar and the checkpoint.

    Raises:
        DataError: Fewer than four patients, or images that are all equal.
    """
    if len(np.unique(patients)) < MIN_PATIENTS:
        raise DataError(f"{len(np.unique(patients))} patients are too few to learn from; give at least {MIN_PATIENTS}")
    flat = np.asarray(pixels).reshape(len(pixels), -1)
    if (flat == flat[:1]).all() or (flat == flat[:, :1]).all():
        raise DataError("all images are equal or blank, so there is nothing to tell apart; give other images")
    shape = tuple(pixels.shape[1:])
    with seeded(derive_seed(context.seed, name, "weights")):
        network = Network(shape, parameters)
    network = network.to(context.device)
    images = torch.tensor(np.asarray(pixels))[:, None]  # (N, 1, *S)
    owners = torch.from_numpy(np.unique(patients, return_inverse=True)[1])
    seed = derive_seed(context.seed, name)

    def loss(step: int) -> Tensor:
        chosen = batch_indices(len(images), parameters.batch, step, seed=seed)
        random = step_generator(seed, "views", step)
        batch = images[chosen].to(context.device)
        views = torch.cat([augment(batch, random), augment(batch, random)])  # (2B, 1, *S)
        owner = owners[chosen].to(context.device).repeat(2)
        return contrastive_loss(network(views), owner, parameters.temperature)

    training = Training(parameters.steps, parameters.learning_rate, parameters.weight_decay, warm_up=0.1, ema=0.99)
    content = hashlib.sha256(images.numpy().tobytes() + owners.numpy().tobytes()).hexdigest()
    identity = f"{asdict(parameters)} {shape} {content}"
    train_loop(network, loss, training, name=name, context=context, identity=identity)
    embedding = Embedding(network, parameters, shape)
    raw = embedding.activations(pixels)
    embedding.moments = np.stack([raw.mean(axis=0), raw.std(axis=0) + 1e-4])
    return embedding


def contrastive_loss(embeddings: Tensor, owners: Tensor, temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020, eq. 1), without repulsion between images of one patient.

    Args:
        embeddings: (2B, D) of length one; view i and view i + B are of the same image.
        owners: (2B,) the patient of each view.
        temperature: Scale of the similarities.

    >>> apart = torch.eye(4)[[0, 1, 0, 1]]
    >>> float(contrastive_loss(apart, torch.tensor([0, 1, 0, 1]), 0.1)) < 1e-3
    True
    """
    n = len(embeddings)
    similarity = embeddings @ embeddings.T / temperature  # (2B, 2B)
    partner = torch.arange(n, device=embeddings.device).roll(n // 2)
    hidden = owners[:, None] == owners[None, :]  # oneself and one's other images
    hidden[torch.arange(n, device=embeddings.device), partner] = False
    return F.cross_entropy(similarity.masked_fill(hidden, float("-inf")), partner)

"""Latent diffusion whose samples are compared with the training images, and drawn again where one is too similar.

Rejection sampling against a similarity to the training set, such as Somepalli et al., Diffusion Art or Digital
Forgery?, CVPR 2023, find copies with. The similarity is the embedding of the copy detector
(:mod:`memobench.detection.embed`), learned from train alone. It is not the verified score that the benchmark measures
with, so the filter is not fitted to its judge.

What it costs: draws, and the images of a mode that training images fill. The model itself stays as it was: the filter
hides copies and does not keep it from learning them, and the weights still reveal the patients. Its state
carries embeddings of all training images: publish samples of it, not the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed, generator_for
from memobench.detection.embed import Embedding, train_embedding
from memobench.detection.parameters import EmbeddingParameters
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.training.processes import single_process
from numpy.typing import NDArray

from ._frame import foreign_state
from ._on_ldm import ON_LDM_PRESETS, OnLDM
from .ldm_deduplicated import usual

FOLDS = 2
LEAST = 8  # patients: an embedding learns from at least four


@GENERATORS.register("ldm_filtered")
@dataclass
class LDMFiltered(OnLDM):
    """`ldm` with rejection of samples that are more similar to a training image than other patients' images are.

    An image that an embedding has learned from is not comparable with one that it has not. So the training patients are
    assigned to two folds, and each fold is compared with samples by the embedding that learned from the other. The
    threshold of a fold comes from its own images: a percentile of their highest similarity to another patient's.

    Attributes:
        percentile: Of the similarities between patients; a sample above it is rejected. 99: one new patient in a
            hundred would be, per fold.
        rounds: How often rejected samples are drawn again. Of what is still too similar then, the least similar draw is
            kept, since n samples were asked for.
    """

    percentile: float = 99.0
    rounds: int = 10

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = ON_LDM_PRESETS

    def __post_init__(self) -> None:
        """Refuse a percentile outside [0, 100] and fewer than one round."""
        super().__post_init__()
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}; give 0 to 100")
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; give at least 1")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Train the model; learn an embedding of each fold's patients and the other fold's threshold in it."""
        names = np.unique(images.patients)
        if len(names) < LEAST:
            raise MemobenchError(f"a filter cannot be learned from {len(names)} patients; give at least {LEAST}")
        self.model_ = self._new().fit(images, context=context)
        self.embeddings_, self.vectors_, self.thresholds_ = [], [], []
        folds = np.array_split(generator_for(context.seed, "folds").permutation(names), FOLDS)
        for number, fold in enumerate(folds):
            judged = np.isin(images.patients, fold)
            others, own = images.take(~judged), images.take(judged)
            # Its only minibatch per step cannot be shared: each process learns the same by itself, and quickly.
            with single_process():
                embedding = train_embedding(
                    others.pixels,
                    others.patients,
                    self._parameters(),
                    context=replace(context, checkpoints=None, log=None),
                    name=f"filter, fold {number + 1} of {FOLDS}",
                )
            vectors = embedding.embed(own.pixels)
            self.embeddings_.append(embedding)
            self.vectors_.append(vectors)
            self.thresholds_.append(usual(vectors, own.patients, self.percentile))
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, and draw those again that are too similar to a training image, (n, *S) float32 in [0, 1]."""
        samples = self._fitted().sample(n, seed=derive_seed(seed, "round", 0))
        excess = self._excess(samples)
        for number in range(1, self.rounds + 1):
            rejected = np.flatnonzero(excess > 0)
            if not len(rejected):
                break
            redrawn = self._fitted().sample(len(rejected), seed=derive_seed(seed, "round", number))
            found = self._excess(redrawn)
            better = found < excess[rejected]
            samples[rejected[better]], excess[rejected[better]] = redrawn[better], found[better]
        return samples

    def _excess(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """By how much the highest similarity of each sample (N, *S) to a training image exceeds its threshold, (N,)."""
        folds = zip(self.embeddings_, self.vectors_, self.thresholds_, strict=True)
        over = [
            (embedding.embed(samples) @ vectors.T).max(axis=1) - threshold for embedding, vectors, threshold in folds
        ]
        excess: NDArray[np.float32] = np.max(over, axis=0)
        return excess

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of the model inside, and of each fold the embedding, its training images in it, the threshold."""
        arrays = super().state()
        for number, (embedding, vectors) in enumerate(zip(self.embeddings_, self.vectors_, strict=True)):
            arrays |= {f"filter.{number}.{name}": array for name, array in embedding.state().items()}
            arrays[f"filter.{number}.vectors"] = vectors
        return {**arrays, "filter.thresholds": np.array(self.thresholds_)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        super().restore({name: array for name, array in state.items() if not name.startswith("filter.")}, device=device)
        try:
            parts = [_under(state, f"filter.{number}.") for number in range(FOLDS)]
            self.vectors_ = [np.asarray(part.pop("vectors")) for part in parts]
            self.embeddings_ = [Embedding.restore(part, self._parameters(), device=device) for part in parts]
            self.thresholds_ = [float(value) for value in state["filter.thresholds"]]
        except (KeyError, RuntimeError) as error:
            raise foreign_state("ldm_filtered", error) from error
        return self

    def _parameters(self) -> EmbeddingParameters:
        return EmbeddingParameters.preset(self.ldm)


def _under(state: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(start): array for name, array in state.items() if name.startswith(start)}

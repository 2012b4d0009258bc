"""The copy detector: how strongly an image matches a real image, learned without knowing who is a member.

Contrastive training pushes apart the images that it saw, so images that an embedding has learned from and images that
it has not are not comparable in it. Therefore no image is ever judged by an embedding that learned from it:

- where there are other patients enough (``dev``), one embedding is trained on them;
- otherwise two embeddings are cross-fitted: the patients of train and holdout together, unlabelled, are dealt to two
  folds at random, and each fold is matched in the embedding that learned from the other fold alone.

A score is Fisher's z of the cosine similarity, standardized by the median and the spread that the same embedding gives
to the best matches between unseen images of different patients, so that the scores of two embeddings can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.copies.embed import Embedding, train_embedding
from memobench.copies.parameters import EmbeddingParameters
from memobench.generator import Context
from memobench.images import Images
from memobench.seeds import generator_for

FOLDS = 2
BLOCK = 1024


@dataclass(frozen=True)
class Matches:
    """The strongest matches of N queries in a pool, strongest first.

    Attributes:
        score: (N, k) standardized match scores.
        index: (N, k) rows of the pool.
    """

    score: NDArray[np.float32]
    index: NDArray[np.int64]


@dataclass
class Detector:
    """Embeddings, each with the patients that it may judge, and its null's median and spread.

    Attributes:
        embeddings: One, or one per fold.
        folds: The patients judged by each embedding; None where one embedding judges everybody.
        nulls: (embeddings, 2) median and spread of the null similarities of each.
    """

    embeddings: list[Embedding]
    folds: list[NDArray[np.str_]] | None
    nulls: NDArray[np.float64]

    @classmethod
    def fit(cls, pool: Images, dev: Images | None, parameters: EmbeddingParameters, *, context: Context) -> Self:
        """Train on other patients, or cross-fit over the pool.

        Args:
            pool: Train and holdout together, unlabelled.
            dev: Other patients, or None where there are too few.
            parameters: Hyper-parameters of the embeddings.
            context: Seed, device, progress, checkpoints.

        Raises:
            DataError: Too few patients, or images that are all equal.
        """
        folds: list[NDArray[np.str_]] | None = None
        if dev is not None:
            embeddings = [train_embedding(dev.pixels, dev.patients, parameters, context=context)]
        else:
            names = generator_for(context.seed, "folds").permutation(np.unique(pool.patients))
            folds = [np.sort(part) for part in np.array_split(names, FOLDS)]
            embeddings = []
            for number, fold in enumerate(folds):
                others = pool.take(~np.isin(pool.patients, fold))
                name = f"detector, fold {number + 1} of {FOLDS}"
                embeddings.append(
                    train_embedding(others.pixels, others.patients, parameters, context=context, name=name)
                )
        detector = cls(embeddings, folds, np.tile([0.0, 1.0], (len(embeddings), 1)))
        detector.nulls = detector._null_moments(pool)
        return detector

    def match(
        self, queries: NDArray[np.float32], pool: Images, *, k: int = 1, query_patients: NDArray[np.str_] | None = None
    ) -> Matches:
        """The k strongest matches of each query in a pool.

        Args:
            queries: (N, *S) images that no embedding learned from (synthetic, or of new patients).
            pool: Real images.
            k: How many matches, at most the size of the pool.
            query_patients: (N,) the queries' patients, whose own images are passed over; None for synthetic images.
        """
        score = np.full((len(queries), k), -np.inf, dtype=np.float32)
        index = np.zeros((len(queries), k), dtype=np.int64)
        for number, embedding in enumerate(self.embeddings):
            members = np.flatnonzero(self._judged(number, pool.patients))
            if not len(members):
                continue
            real = embedding.embed(pool.pixels[members])  # (M, D)
            for start in range(0, len(queries), BLOCK):
                rows = slice(start, start + BLOCK)
                found = self._standardized(number, embedding.embed(queries[rows]) @ real.T)  # (B, M)
                if query_patients is not None:
                    found[query_patients[rows][:, None] == pool.patients[members][None, :]] = -np.inf
                both = np.concatenate([score[rows], found], axis=1)
                where = np.concatenate([index[rows], np.broadcast_to(members, found.shape)], axis=1)
                order = np.argsort(-both, axis=1, kind="stable")[:, :k]
                score[rows] = np.take_along_axis(both, order, axis=1)
                index[rows] = np.take_along_axis(where, order, axis=1)
        return Matches(score, index)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
        """Each pool image's best score against images of other patients, as if it were a new patient's.

        An image is judged only by the embedding that has not learned from it, and only against images that this
        embedding has not learned from either.

        Returns:
            (N,) scores, (N,) patients, and the share of the pool that each image was compared with.
        """
        scores, patients = [], []
        for number in range(len(self.embeddings)):
            part = pool.take(self._judged(number, pool.patients))
            if part.patient_count > 1:
                scores.append(self._best_of_others(number, part))
                patients.append(part.patients)
        return np.concatenate(scores), np.concatenate(patients), 1 / len(self.embeddings)

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality features (N, F) of images, by the first embedding."""
        return self.embeddings[0].activations(pixels)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything as named arrays."""
        arrays: dict[str, NDArray[Any]] = {"nulls": self.nulls}
        for number, embedding in enumerate(self.embeddings):
            arrays |= {f"{number}.{key}": value for key, value in embedding.state().items()}
            if self.folds is not None:
                text = "\x1f".join(self.folds[number].tolist()).encode()
                arrays[f"fold.{number}"] = np.frombuffer(text, dtype=np.uint8)
        return arrays

    @classmethod
    def restore(
        cls, state: Mapping[str, NDArray[Any]], parameters: EmbeddingParameters, *, device: str = "cpu"
    ) -> Self:
        """Take up what :meth:`state` gave."""
        nulls = np.asarray(state["nulls"])
        embeddings = []
        for number in range(len(nulls)):
            prefix = f"{number}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            embeddings.append(Embedding.restore(own, parameters, device=device))
        folds = None
        if "fold.0" in state:
            texts = [np.asarray(state[f"fold.{number}"]).tobytes().decode() for number in range(len(nulls))]
            folds = [np.array(text.split("\x1f")) for text in texts]
        return cls(embeddings, folds, nulls)

    def _judged(self, number: int, patients: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Which images an embedding judges, by patient. A patient of no fold is judged by all of them."""
        if self.folds is None:
            return np.ones(len(patients), dtype=bool)
        others = np.concatenate([fold for k, fold in enumerate(self.folds) if k != number])
        judged: NDArray[np.bool_] = ~np.isin(patients, others)
        return judged

    def _standardized(self, number: int, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        median, spread = self.nulls[number]
        # A cosine of 1 has no finite z; beyond 1 - 1e-6 float32 cannot tell similarities apart anyhow.
        z = np.arctanh(np.clip(cosine.astype(np.float64), -1 + 1e-6, 1 - 1e-6))
        standardized: NDArray[np.float32] = ((z - median) / spread).astype(np.float32)
        return standardized

    def _best_of_others(self, number: int, part: Images) -> NDArray[np.float32]:
        vectors = self.embeddings[number].embed(part.pixels)
        best = np.empty(len(vectors), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK):
            rows = slice(start, start + BLOCK)
            found = self._standardized(number, vectors[rows] @ vectors.T)
            found[part.patients[rows][:, None] == part.patients[None, :]] = -np.inf
            best[rows] = found.max(axis=1)
        return best

    def _null_moments(self, pool: Images) -> NDArray[np.float64]:
        """Median and spread (interquartile range of a normal law, scaled) of each embedding's raw null scores."""
        moments = []
        for number in range(len(self.embeddings)):
            raw = self._best_of_others(number, pool.take(self._judged(number, pool.patients)))
            low, median, high = np.quantile(raw.astype(np.float64), [0.25, 0.5, 0.75])
            moments.append([median, max((high - low) / 1.349, 1e-6)])
        return np.array(moments)

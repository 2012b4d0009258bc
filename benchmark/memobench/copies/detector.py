"""The copy detector: how strongly an image matches a real image, learned without knowing who is a member.

Contrastive training pushes apart the images that it saw, so images that an embedding has learned from and images that
it has not are not comparable in it. Therefore no image is ever judged by an embedding that learned from it:

- where there are other patients enough (``dev``, at least 64), one embedding is trained on them;
- otherwise two embeddings are cross-fitted: the patients of train and holdout together, unlabelled, are dealt to two
  folds at random, and each fold is matched in the embedding that learned from the other fold alone.

A score is Fisher's z of the cosine similarity, standardized by the median and the spread that the same embedding gives
to the best matches between unseen images of different patients, so that the scores of two embeddings can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.copies.embed import Embedding, train_embedding
from memobench.copies.parameters import EmbeddingParameters
from memobench.errors import DataError
from memobench.generator import Context
from memobench.images import Images
from memobench.seeds import generator_for

FOLDS = 2
MIN_DEV_PATIENTS = 64  # with fewer, an embedding learns less from them than from half of the pool
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
            pool: Train and holdout together, unlabelled. Their order is of no consequence.
            dev: Other patients; None, or too few of them (``MIN_DEV_PATIENTS``), and the pool is cross-fitted.
            parameters: Hyper-parameters of the embeddings.
            context: Seed, device, progress, checkpoints.

        Raises:
            DataError: Too few patients, or images that are all equal.
        """
        folds: list[NDArray[np.str_]] | None = None
        pool = _in_canonical_order(pool)
        if dev is not None and dev.patient_count >= MIN_DEV_PATIENTS:
            dev = _in_canonical_order(dev)
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

        A pair is compared in every embedding that learned from neither side: a synthetic image with each real image in
        the one that did not learn from it, and two real images of different folds not at all.

        Args:
            queries: (N, *S) images.
            pool: Real images.
            k: How many matches, at most the size of the pool.
            query_patients: (N,) the patients of real queries, whose own images are passed over; None for synthetic
                images.

        Raises:
            DataError: A query can be compared with fewer than k images.
        """
        if not 1 <= k <= len(pool):
            raise DataError(f"k = {k} matches cannot be found in a pool of {len(pool)} images")
        score = np.full((len(queries), k), -np.inf, dtype=np.float32)
        index = np.full((len(queries), k), -1, dtype=np.int64)
        for number, embedding in enumerate(self.embeddings):
            members = np.flatnonzero(self._judged(number, pool.patients))
            asked = np.arange(len(queries))
            if query_patients is not None:
                asked = np.flatnonzero(self._judged(number, query_patients))
            if not len(members) or not len(asked):
                continue
            real = embedding.embed(pool.pixels[members]).astype(np.float64)  # (M, D); near 1, single precision shows
            for start in range(0, len(asked), BLOCK):
                rows = asked[start : start + BLOCK]
                found = self._standardized(number, embedding.embed(queries[rows]) @ real.T)  # (B, M)
                if query_patients is not None:
                    found[query_patients[rows][:, None] == pool.patients[members][None, :]] = -np.inf
                both = np.concatenate([score[rows], found], axis=1)
                where = np.concatenate([index[rows], np.broadcast_to(members, found.shape)], axis=1)
                order = np.argsort(-both, axis=1, kind="stable")[:, :k]
                score[rows] = np.take_along_axis(both, order, axis=1)
                index[rows] = np.take_along_axis(where, order, axis=1)
        if np.isneginf(score).any():
            row = int(np.isneginf(score).any(axis=1).argmax())
            raise DataError(
                f"query {row} can be compared with fewer than {k} images of other patients; give a larger pool"
            )
        return Matches(score, index)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
        """Each pool image's best score against images of other patients, as if it were a new patient's.

        An image is judged only by the embedding that has not learned from it, and only against images that this
        embedding has not learned from either.

        Args:
            pool: The images that the detector was fitted with, train and holdout together.

        Returns:
            (N,) scores, (N,) patients, and the share of the pool that each image was compared with.

        Raises:
            DataError: An image has no other patient to be compared with.
        """
        best = self.match(pool.pixels, pool, query_patients=pool.patients)
        return best.score[:, 0], pool.patients, 1 / len(self.embeddings)

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

    def _standardized(self, number: int, cosine: NDArray[np.float64]) -> NDArray[np.float32]:
        median, spread = self.nulls[number]
        # A cosine of 1 has no finite z; beyond 1 - 1e-6 float32 embeddings cannot be told apart anyhow.
        z = np.arctanh(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))
        standardized: NDArray[np.float32] = ((z - median) / spread).astype(np.float32)
        return standardized

    def _null_moments(self, pool: Images) -> NDArray[np.float64]:
        """Median and spread (interquartile range of a normal law, scaled) of each embedding's raw null scores."""
        scores, patients, _ = self.null_scores(pool)  # not standardized yet: median 0, spread 1
        moments = []
        for number in range(len(self.embeddings)):
            raw = scores[self._judged(number, patients)]
            low, median, high = np.quantile(raw.astype(np.float64), [0.25, 0.5, 0.75])
            moments.append([median, max((high - low) / 1.349, 1e-6)])
        return np.array(moments)


def _in_canonical_order(images: Images) -> Images:
    """The images sorted by patient, scan and content, so that their order tells the detector nothing."""
    content = np.array([hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images.pixels])
    return images.take(np.lexsort([content, images.scans, images.patients]))

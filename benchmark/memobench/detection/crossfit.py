"""The copy detector: how strongly an image matches a real image, learned without knowing who is a member.

Three steps (:mod:`retrieve`, :mod:`register`, :mod:`verify`): find the few real images that a query may be a copy of,
lay each over the query, and weigh how well they agree. The score of a pair is the log odds that it is a copy.

What learns here are an embedding (it narrows large pools down, and its early stages are the quality features) and the
verifier's few weights. Images that something has learned from and images that it has not are not comparable in it, so
no image is ever judged by what learned from it:

- where there are other patients enough (``dev``, at least 64), embedding and verifier are trained on them;
- otherwise two of each are cross-fitted: the patients of train and holdout together, unlabelled, are assigned to two
  folds at random, and each fold is matched by those that learned from the other fold alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import silent
from memobench.base.seeds import generator_for
from memobench.base.threads import side_by_side
from memobench.detection.contract import Matches
from memobench.detection.embed import Embedding, train_embedding
from memobench.detection.pairs import _strongest, pair_scores
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.pool import MatchingPool, Part, shortlist
from memobench.detection.register import CoarseSearch
from memobench.detection.retrieve import Prepared, grids
from memobench.detection.teach import train_verifier
from memobench.detection.verify import Verifier, compare
from memobench.generator import Context
from memobench.images import Images, content_digests

FOLDS = 2
MIN_DEV_PATIENTS = 64  # with fewer, an embedding learns less from them than from half of the pool
BLOCK = 4096
EXACT = 16
EMBEDDED = 1024  # images at once


@dataclass
class Detector:
    """Embeddings and verifiers, and which patients each pair of them may judge.

    Attributes:
        embeddings: One, or one per fold.
        verifiers: As many.
        folds: The patients judged by each; None where one judges everybody.
    """

    embeddings: list[Embedding]
    verifiers: list[Verifier]
    folds: list[NDArray[np.str_]] | None

    @classmethod
    def fit(cls, pool: Images, dev: Images | None, parameters: EmbeddingParameters, *, context: Context) -> Self:
        """Train on other patients, or cross-fit over the pool.

        Args:
            pool: Train and holdout together, unlabelled. Their order is of no consequence.
            dev: Other patients; None, or too few of them (``MIN_DEV_PATIENTS``), and the pool is cross-fitted.
            parameters: Hyper-parameters.
            context: Seed, device, progress, checkpoints.

        Raises:
            DataError: Too few patients, or images that are all equal.
        """
        folds: list[NDArray[np.str_]] | None = None
        if dev is not None and dev.patient_count >= MIN_DEV_PATIENTS:
            lessons, names = [_in_canonical_order(dev)], ["detector"]
        else:
            pool = _in_canonical_order(pool)
            patients = generator_for(context.seed, "folds").permutation(np.unique(pool.patients))
            folds = [np.sort(part) for part in np.array_split(patients, FOLDS)]
            lessons = [pool.take(~np.isin(pool.patients, fold)) for fold in folds]
            names = [f"detector, fold {number + 1} of {FOLDS}" for number in range(FOLDS)]
        embeddings, verifiers = [], []
        for lesson, name in zip(lessons, names, strict=True):
            embeddings.append(train_embedding(lesson.pixels, lesson.patients, parameters, context=context, name=name))
            verifiers.append(train_verifier(lesson, parameters.planted, context=context, name=name))
        return cls(embeddings, verifiers, folds)

    def matching_pool(self, pool: Images, tables: Mapping[str, NDArray[np.float32]] | None = None) -> MatchingPool:
        """A pool made ready for :meth:`match`, which several calls can share.

        Args:
            pool: Real images.
            tables: What another process has prepared of it (:meth:`MatchingPool.tables`).
        """
        judges = np.stack([self._judged(number, pool.patients) for number in range(len(self.embeddings))])
        return MatchingPool(pool, judges, self.embeddings[0].device, tables)

    def prepare(self, pool: MatchingPool, *, apart: bool) -> None:
        """Make what every query of a large pool needs; else the first query makes it.

        Args:
            pool: From :meth:`matching_pool`.
            apart: Whether the queries are real images.
        """
        jobs = [
            (self.embeddings[number], rows)
            for part in pool.parts(apart=apart)
            for number, judged in part.judged.items()
            for rows in (np.split(part.members[judged], range(EMBEDDED, judged.sum(), EMBEDDED)) if part.large else ())
        ]
        for _ in side_by_side(lambda job: job[0].embed(pool.images.pixels[job[1]]), jobs):
            pass  # what was embedded is known again
        for part in pool.parts(apart=apart):
            for grid in grids(len(pool.images.shape), large=part.large):
                part.prepared.coarse(CoarseSearch(pool.images.shape, grid, pool.device))

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images | MatchingPool,
        *,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
        second: NDArray[np.bool_] | None = None,
        track: Callable[..., Iterator[Any]] = silent,
    ) -> Matches:
        """The k strongest matches of each query in a pool.

        A pair is compared by what learned from neither of them (:mod:`comparison`): a synthetic image with each real
        image by those that did not learn from it, and two real images of different folds not at all.

        With two sides the pool is searched as one, blind to them: how many candidates stand on either depends on how
        similar they are. Searched apart, they would give a new patient's image twice the candidates, and so a better
        best score, than the same image has against the same pool as one.

        Args:
            queries: (N, *S) images.
            pool: Real images, as they are or from :meth:`matching_pool`.
            k: How many matches, at most the size of the pool.
            query_patients: (N,) the patients of real queries, whose own images are passed over; None for synthetic
                images.
            second: (M,) which images of the pool stand on the second of two sides, of each of which the strongest match
                is wanted (k = 1); None for one side.
            track: Shows progress.

        Raises:
            DataError: A query can be compared with fewer than k images, or images have another shape than those that
                the detector learned from.
        """
        images = pool.images if isinstance(pool, MatchingPool) else pool
        learned = self.embeddings[0].shape
        for name, shape in (("queries", tuple(queries.shape[1:])), ("pool", images.shape)):
            if shape != learned:
                raise DataError(f"{name} of shape {shape} cannot be matched; the detector learned {learned}")
        if not 1 <= k <= len(images):
            raise DataError(f"k = {k} matches cannot be found in a pool of {len(images)} images")
        ready = pool if isinstance(pool, MatchingPool) else self.matching_pool(pool)
        sides = [np.ones(len(images), dtype=bool)] if second is None else [~second, second]
        score = np.full((len(queries), len(sides), k), -np.inf, dtype=np.float32)
        index = np.full((len(queries), len(sides), k), -1, dtype=np.int64)
        for part in ready.parts(apart=query_patients is not None):
            asked = np.arange(len(queries))
            if query_patients is not None:
                asked = np.flatnonzero(self._judged(next(iter(part.judged)), query_patients))
            for start in range(0, len(asked), BLOCK):
                rows = asked[start : start + BLOCK]
                own = None if query_patients is None else query_patients[rows]
                row, column, value = self._scores(queries[rows], part, own, k, track)
                for number, side in enumerate(sides):
                    on = side[part.members[column]]
                    best = _strongest(row[on], column[on], value[on], len(rows), k)
                    both = np.concatenate([score[rows, number], best[0]], axis=1)
                    found = np.where(best[1] >= 0, part.members[best[1]], -1)
                    where = np.concatenate([index[rows, number], found], axis=1)
                    order = np.argsort(-both, axis=1, kind="stable")[:, :k]
                    score[rows, number] = np.take_along_axis(both, order, axis=1)
                    index[rows, number] = np.take_along_axis(where, order, axis=1)
        short = np.isneginf(score.max(axis=1)).any(axis=1)
        if short.any():
            row_short = int(short.argmax())
            raise DataError(
                f"query {row_short} can be compared with fewer than {k} images of other patients; give a larger pool"
            )
        return Matches(score.reshape(len(queries), -1), index.reshape(len(queries), -1))

    def null_scores(
        self, pool: Images | MatchingPool, *, most: int | None = None, track: Callable[..., Iterator[Any]] = silent
    ) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
        """Each pool image's best score against images of other patients, as if it were a new patient's.

        An image is judged only by what has not learned from it, and only against images that this has not learned from
        either.

        Args:
            pool: The images that the detector was fitted with, train and holdout together, as they are or from
                :meth:`matching_pool`.
            most: How many of them to ask about, at most (:meth:`memobench.images.Images.some_patients`); None for all.
            track: Shows progress.

        Returns:
            (N,) scores, (N,) patients, and the share of the pool that each image was compared with.

        Raises:
            DataError: An image has no other patient to be compared with.
        """
        images = pool.images if isinstance(pool, MatchingPool) else pool
        asked = images if most is None else images.some_patients(most, generator_for(0, "null scores"))
        best = self.match(asked.pixels, pool, query_patients=asked.patients, track=track)
        return best.score[:, 0], asked.patients, 1 / len(self.embeddings)

    def exact_scores(self, images: Images) -> NDArray[np.float32]:
        """(N,) the score of each real image against itself: what an exact copy reaches.

        An image is judged only by what has not learned from it.
        """
        dim = len(images.shape)
        scores = np.empty(len(images), dtype=np.float32)
        for number, verifier in enumerate(self.verifiers):
            rows = np.flatnonzero(self._judged(number, images.patients))
            for start in range(0, len(rows), EXACT):
                part = rows[start : start + EXACT]
                pixels = torch.from_numpy(np.array(images.pixels[part]))[:, None].to(self.embeddings[number].device)
                as_it_stands = torch.eye(dim, dim + 1, device=pixels.device).expand(len(part), -1, -1)
                scores[part] = verifier.score(compare(pixels, pixels, as_it_stands)).cpu().numpy()
        return scores

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality features (N, F) of images, by the first embedding."""
        return self.embeddings[0].activations(pixels)

    def embed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (N, D) of length one, by the first embedding."""
        return self.embeddings[0].embed(pixels)

    def judged_first(self, images: Images) -> Images:
        """The images that the first embedding has not learned from."""
        return images.take(self._judged(0, images.patients))

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything as named arrays."""
        arrays: dict[str, NDArray[Any]] = {}
        for number, (embedding, verifier) in enumerate(zip(self.embeddings, self.verifiers, strict=True)):
            arrays |= {f"{number}.embedding.{key}": value for key, value in embedding.state().items()}
            arrays |= {f"{number}.verifier.{key}": value for key, value in verifier.state().items()}
            if self.folds is not None:
                text = "\x1f".join(self.folds[number].tolist()).encode()
                arrays[f"fold.{number}"] = np.frombuffer(text, dtype=np.uint8)
        return arrays

    @classmethod
    def restore(
        cls, state: Mapping[str, NDArray[Any]], parameters: EmbeddingParameters, *, device: str = "cpu"
    ) -> Self:
        """Take up what :meth:`state` gave."""
        embeddings: list[Embedding] = []
        verifiers: list[Verifier] = []
        while own := _under(state, f"{len(embeddings)}.embedding."):
            verifiers.append(Verifier.restore(_under(state, f"{len(embeddings)}.verifier.")))
            embeddings.append(Embedding.restore(own, parameters, device=device))
        folds = None
        if "fold.0" in state:
            texts = [np.asarray(state[f"fold.{number}"]).tobytes().decode() for number in range(len(embeddings))]
            folds = [np.array(text.split("\x1f")) for text in texts]
        return cls(embeddings, verifiers, folds)

    def _judged(self, number: int, patients: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Which images a fold's embedding and verifier judge, by patient. A patient of no fold is judged by all."""
        if self.folds is None:
            return np.ones(len(patients), dtype=bool)
        others = np.concatenate([fold for k, fold in enumerate(self.folds) if k != number])
        judged: NDArray[np.bool_] = ~np.isin(patients, others)
        return judged

    def _scores(
        self,
        queries: NDArray[np.float32],
        part: Part,
        query_patients: NDArray[np.str_] | None,
        k: int,
        track: Callable[..., Iterator[Any]],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Rows, columns and scores of the candidate pairs."""
        device = self.embeddings[0].device
        allowed = None
        if query_patients is not None:
            allowed = query_patients[:, None] != part.images.patients[part.members][None, :]
        near = None
        if part.large:
            near = shortlist(queries, part, self.embeddings, allowed).to(device)
        return pair_scores(
            Prepared(torch.from_numpy(np.ascontiguousarray(queries))[:, None].to(device)),
            part.prepared,
            [(self.verifiers[number], torch.from_numpy(judged).to(device)) for number, judged in part.judged.items()],
            allowed=None if allowed is None else torch.from_numpy(allowed).to(device),
            near=near,
            least=k + 1,
            track=track,
        )


def _under(state: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _in_canonical_order(images: Images) -> Images:
    """The images sorted by patient, scan and content, so that their order tells the detector nothing."""
    return images.take(np.lexsort([content_digests(images.pixels), images.scans, images.patients]))

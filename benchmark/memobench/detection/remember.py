"""A detector that keeps what it has matched, block by block, so that a long measurement goes on where it stopped.

With a memory of single images (:mod:`memobench.detection.recall`) it matches each synthetic image once, whatever set it
comes in, and keeps these matches there alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.base.store import Store
from memobench.base.threads import side_by_side, until
from memobench.detection.contract import Matches
from memobench.detection.crossfit import Detector
from memobench.detection.pool import MatchingPool
from memobench.detection.recall import Recall
from memobench.detection.shards import Elsewhere, Question, match_block, match_elsewhere
from memobench.images import Images

KEPT = 2560  # queries in a block, at most: each block turns the whole pool once more
LEAST = 32  # and at least, where there are several


@dataclass(frozen=True)
class RememberingDetector:
    """A detector whose matches are stored under the content of queries and pool (an ``OwnDetector``).

    Attributes:
        detector: The one that matches what is not stored.
        store: Where matches are kept.
        name: What tells it from other detectors: the name of its stored stage.
        elsewhere: Where blocks are matched by jobs; None for this process.
        recall: Where the answers for single images are remembered; None for nowhere.
    """

    detector: Detector
    store: Store
    name: str
    elsewhere: Elsewhere | None = None
    recall: Recall | None = None

    @property
    def embeddings(self) -> Sequence[Any]:
        """Those of the detector."""
        return self.detector.embeddings

    @property
    def verifiers(self) -> Sequence[Any]:
        """Those of the detector."""
        return self.detector.verifiers

    def matching_pool(self, pool: Images) -> MatchingPool:
        """See ``Detector.matching_pool``."""
        return self.detector.matching_pool(pool)

    def exact_scores(self, images: Images) -> NDArray[np.float32]:
        """See ``Detector.exact_scores``."""
        return self.detector.exact_scores(images)

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``Detector.features``."""
        if self.recall is None or not len(pixels):
            return self.detector.features(pixels)
        found = self.recall.rows(
            f"features {self.name}", pixels, lambda some: {"features": self.detector.features(some)}
        )
        return found["features"]

    def embed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``Detector.embed``."""
        return self.detector.embed(pixels)

    def judged_first(self, images: Images) -> Images:
        """See ``Detector.judged_first``."""
        return self.detector.judged_first(images)

    def null_scores(
        self, pool: Images | MatchingPool, *, most: int | None = None, track: Track = silent
    ) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
        """See ``Detector.null_scores``; its matches are kept too."""
        images = pool.images if isinstance(pool, MatchingPool) else pool
        asked = images if most is None else images.some_patients(most, generator_for(0, "null scores"))
        best = self.match(asked.pixels, pool, query_patients=asked.patients, track=track)
        return best.score[:, 0], asked.patients, 1 / len(self.embeddings)

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images | MatchingPool,
        *,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
        second: NDArray[np.bool_] | None = None,
        track: Track = silent,
    ) -> Matches:
        """The k strongest matches; see ``Detector.match``."""
        ready = pool if isinstance(pool, MatchingPool) else self.matching_pool(pool)  # prepared once, when it is needed
        question = Question(queries, query_patients, k, second)
        if self.recall is None or query_patients is not None or not len(queries):
            return self._in_blocks(question, ready, track)
        sides = "" if second is None else hashlib.sha256(second.tobytes()).hexdigest()
        name = f"{k} matches {self.name} {ready.images.digest} {sides}"
        found = self.recall.rows(
            name, queries, lambda some: vars(self.detector.match(some, ready, k=k, second=second, track=track))
        )
        return Matches(**found)

    def _in_blocks(self, question: Question, ready: MatchingPool, track: Track) -> Matches:
        """The matches of a question, block by block, each stored."""
        queries, query_patients, k, second = question.queries, question.patients, question.k, question.second
        # an even number of blocks, for two threads; it depends on nothing else, so that they are found again
        blocks = 2 * math.ceil(len(queries) / (2 * KEPT)) if len(queries) >= 2 * LEAST else 1
        size = max(1, math.ceil(len(queries) / blocks))
        rows = [slice(start, min(start + size, len(queries))) for start in range(0, len(queries), size)]
        parts = [(part, question.key(part, self.name, ready.images.digest)) for part in rows]
        missing = [part for part in parts if not self.store.holds("match", part[1])]
        if missing:
            # in all threads, before each has a block of its own
            self.detector.prepare(ready, apart=query_patients is not None)
        if self.elsewhere is not None and missing and len(parts) > 1:
            match_elsewhere(self.elsewhere, self.detector, ready, question, missing, self.store)
        stop = Event()

        def block(part: tuple[slice, dict[str, Any]]) -> Matches:
            path = match_block(self.detector, ready, question, part, self.store, until(stop))
            with np.load(path / "matches.npz", allow_pickle=False) as archive:
                return Matches(archive["score"], archive["index"])

        found = list(track(side_by_side(block, parts, stop), "matching", len(parts)))
        if not found:
            return self.detector.match(queries, ready, k=k, query_patients=query_patients, second=second)
        return Matches(np.concatenate([one.score for one in found]), np.concatenate([one.index for one in found]))

"""A detector that keeps what it has matched, block by block, so that a long audit goes on where it stopped."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
    """

    detector: Detector
    store: Store
    name: str

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
        return self.detector.features(pixels)

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
        # an even number of blocks, for two threads; it depends on nothing else, so that they are found again
        blocks = 2 * math.ceil(len(queries) / (2 * KEPT)) if len(queries) >= 2 * LEAST else 1
        size = max(1, math.ceil(len(queries) / blocks))
        starts = range(0, len(queries), size)

        def asked(start: int) -> tuple[NDArray[np.float32], NDArray[np.str_] | None]:
            part = slice(start, start + size)
            return np.asarray(queries[part]), None if query_patients is None else query_patients[part]

        keys: dict[int, dict[str, Any]] = {}
        for start in starts:
            some, patients = asked(start)
            keys[start] = {
                "detector": self.name,
                "queries": hashlib.sha256(np.ascontiguousarray(some).tobytes()).hexdigest(),
                "patients": None if patients is None else patients.tolist(),
                "pool": ready.images.digest,
                "k": k,
                "second": None if second is None else hashlib.sha256(second.tobytes()).hexdigest(),
            }
        stop = Event()

        def block(start: int) -> Matches:
            def write(into: Path, scratch: Path) -> None:
                some, patients = asked(start)
                matches = self.detector.match(
                    some, ready, k=k, query_patients=patients, second=second, track=until(stop)
                )
                np.savez(into / "matches.npz", score=matches.score, index=matches.index)

            path, _ = self.store.get("match", keys[start], write)
            with np.load(path / "matches.npz", allow_pickle=False) as archive:
                return Matches(archive["score"], archive["index"])

        if not all(self.store.holds("match", key) for key in keys.values()):
            # in all threads, before each has a block of its own
            self.detector.prepare(ready, apart=query_patients is not None)
        found = list(track(side_by_side(block, starts, stop), "matching", len(starts)))
        if not found:
            return self.detector.match(queries, ready, k=k, query_patients=query_patients, second=second)
        return Matches(np.concatenate([one.score for one in found]), np.concatenate([one.index for one in found]))

"""A detector that keeps what it has matched, block by block, so that a long audit goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.copies.comparison import MatchingPool
from memobench.copies.detector import Detector, Matches
from memobench.generator import silent
from memobench.images import Images
from memobench.store import Store

KEPT = 4096  # queries in a block


class RememberingDetector(Detector):
    """A detector whose matches are stored under the content of queries and pool."""

    store: Store
    name: str

    @classmethod
    def of(cls, detector: Detector, store: Store, name: str) -> Self:
        """Let a detector remember.

        Args:
            detector: Which one.
            store: Where.
            name: What tells it from other detectors: the name of its stored stage.
        """
        made = cls(detector.embeddings, detector.verifiers, detector.folds)
        made.store, made.name = store, name
        return made

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images | MatchingPool,
        *,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
        track: Callable[..., Iterator[Any]] = silent,
    ) -> Matches:
        """The k strongest matches; see ``Detector.match``."""
        starts, ready = range(0, len(queries), KEPT), pool
        if isinstance(ready, Images):
            ready = self.matching_pool(ready)  # prepared once, and only if a block is not stored
        found = []
        for start in track(starts, "matching", len(starts)):
            part = slice(start, start + KEPT)
            patients = None if query_patients is None else query_patients[part]
            found.append(self._block(np.asarray(queries[part]), ready, k, patients))
        if not found:
            return super().match(queries, ready, k=k, query_patients=query_patients)
        return Matches(np.concatenate([one.score for one in found]), np.concatenate([one.index for one in found]))

    def _block(
        self, queries: NDArray[np.float32], pool: MatchingPool, k: int, patients: NDArray[np.str_] | None
    ) -> Matches:
        key = {
            "detector": self.name,
            "queries": hashlib.sha256(np.ascontiguousarray(queries).tobytes()).hexdigest(),
            "patients": None if patients is None else patients.tolist(),
            "pool": pool.images.digest,
            "k": k,
        }

        def write(into: Path, scratch: Path) -> None:
            matches = Detector.match(self, queries, pool, k=k, query_patients=patients)
            np.savez(into / "matches.npz", score=matches.score, index=matches.index)

        path, _ = self.store.get("match", key, write)
        with np.load(path / "matches.npz", allow_pickle=False) as archive:
            return Matches(archive["score"], archive["index"])

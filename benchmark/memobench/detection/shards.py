"""Blocks of queries as jobs: pool, tables and queries lie in the store, and each block's matches do too.

The pool is mapped into memory, so that a machine holds it once for all of its workers; what every query needs of it was
made once, by the process that hands out the jobs. A block depends on nothing but its queries and the pool: its matches
are the same to the last bit wherever it is matched. They are stored by what they depend on, so that a worker that dies
loses the block it was at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.base.store import Store, load_arrays
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.pool import MatchingPool
from memobench.execution.job import Job
from memobench.execution.perform import Workplace, performed
from memobench.images import Images

ROWS = 4096  # hashed at once


@dataclass(frozen=True)
class Elsewhere:
    """Where blocks are matched, and where workers find the detector.

    Attributes:
        place: Where.
        detector: File of the detector.
        parameters: Its hyper-parameters.
        device: A torch device.
    """

    place: Workplace
    detector: Path
    parameters: EmbeddingParameters
    device: str

    @property
    def source(self) -> tuple[Path, EmbeddingParameters, str]:
        """What a worker is told of the detector."""
        return self.detector.resolve(), self.parameters, self.device


@dataclass(frozen=True)
class Question:
    """What is asked of a pool.

    Attributes:
        queries: (N, *S) images.
        patients: (N,) the patients of real queries; None for synthetic images.
        k: How many matches.
        second: (M,) which images of the pool stand on the second side; None for one side.
    """

    queries: NDArray[np.float32]
    patients: NDArray[np.str_] | None
    k: int
    second: NDArray[np.bool_] | None

    def key(self, rows: slice, detector: str, pool: str) -> dict[str, Any]:
        """What the matches of some of the queries depend on."""
        return {
            "detector": detector,
            "queries": hashlib.sha256(np.ascontiguousarray(self.queries[rows]).tobytes()).hexdigest(),
            "patients": None if self.patients is None else self.patients[rows].tolist(),
            "pool": pool,
            "k": self.k,
            "second": None if self.second is None else hashlib.sha256(self.second.tobytes()).hexdigest(),
        }

    def save(self, folder: Path) -> None:
        """Write it into a folder that exists."""
        np.save(folder / "queries.npy", self.queries)
        if self.second is not None:
            np.save(folder / "second.npy", self.second)
        patients = None if self.patients is None else self.patients.tolist()
        (folder / "question.json").write_text(json.dumps({"patients": patients, "k": self.k}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Question:
        """Read what :meth:`save` wrote; the queries stay on disk, memory-mapped."""
        words = json.loads((folder / "question.json").read_text(encoding="utf-8"))
        names = words["patients"]
        second = folder / "second.npy"
        return cls(
            np.load(folder / "queries.npy", mmap_mode="r", allow_pickle=False),
            None if names is None else np.array(names, dtype=np.str_),
            words["k"],
            np.load(second, allow_pickle=False) if second.is_file() else None,
        )


def match_block(
    detector: Detector,
    pool: MatchingPool,
    question: Question,
    block: tuple[slice, Mapping[str, Any]],
    store: Store,
    track: Track = silent,
) -> Path:
    """The folder of the matches of a block of queries, made now unless they are stored.

    Args:
        detector: Fitted.
        pool: What is searched.
        question: What is asked.
        block: Its rows, and their key.
        store: Where matches lie.
        track: Shows progress.
    """
    rows, key = block

    def write(into: Path, scratch: Path) -> None:
        matches = detector.match(
            np.asarray(question.queries[rows]),
            pool,
            k=question.k,
            query_patients=None if question.patients is None else question.patients[rows],
            second=question.second,
            track=track,
        )
        np.savez(into / "matches.npz", score=matches.score, index=matches.index)

    return store.get("match", key, write)[0]


def match_elsewhere(
    elsewhere: Elsewhere,
    detector: Detector,
    pool: MatchingPool,
    question: Question,
    blocks: Sequence[tuple[slice, Mapping[str, Any]]],
    store: Store,
) -> None:
    """Match blocks of queries by jobs; afterwards their matches are stored.

    Raises:
        MemobenchError: A block failed; the others are stored.
    """
    apart = question.patients is not None
    digest = _digest(pool.images.pixels)
    images, _ = store.get("pool", {"pixels": digest, "ids": pool.images.digest}, lambda into, _: pool.images.save(into))
    made = {"pool": digest, "detector": blocks[0][1]["detector"], "apart": apart}
    tables, _ = store.get("tables", made, lambda into, _: _save(pool.tables(detector.embeddings, apart=apart), into))
    asked, _ = store.get("question", {"blocks": [dict(key) for _, key in blocks]}, lambda into, _: question.save(into))
    root = store.root.resolve()
    folders = tuple(path.resolve() for path in (images, tables, asked))
    jobs = [
        Job(f"queries {rows.start} to {rows.stop}", _matched, (root, elsewhere.source, folders, (rows, dict(key))))
        for rows, key in blocks
    ]
    performed(jobs, elsewhere.place, "matching")


def _matched(
    root: Path,
    source: tuple[Path, EmbeddingParameters, str],
    folders: tuple[Path, Path, Path],
    block: tuple[slice, Mapping[str, Any]],
) -> None:
    """Match a block in a worker, in one thread, as blocks that are matched side by side are."""
    images, tables, asked = folders
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        detector = _detector(*source)
        pool = _pool(source, images, tables)
        match_block(detector, pool, Question.load(asked), block, Store(root))
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _detector(file: Path, parameters: EmbeddingParameters, device: str) -> Detector:
    return Detector.restore(load_arrays(file), parameters, device=device)


@lru_cache(maxsize=1)
def _pool(source: tuple[Path, EmbeddingParameters, str], images: Path, tables: Path) -> MatchingPool:
    made = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in sorted(tables.glob("*.npy"))}
    return _detector(*source).matching_pool(Images.load(images), made)


def _save(arrays: Mapping[str, NDArray[np.float32]], folder: Path) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _digest(pixels: NDArray[np.float32]) -> str:
    """SHA-256 of pixels, some at a time."""
    sha = hashlib.sha256(repr(pixels.shape).encode())
    for start in range(0, len(pixels), ROWS):
        sha.update(np.ascontiguousarray(pixels[start : start + ROWS]).tobytes())
    return sha.hexdigest()

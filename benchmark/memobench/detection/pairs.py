"""The scores of pairs: retrieve, register, verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memobench.base.progress import silent
from memobench.detection.retrieve import Prepared, PreparedSome, candidates, register
from memobench.detection.verify import Verifier, compare


def pair_scores(  # noqa: PLR0913  the data of a search, of which most are optional
    queries: Prepared,
    real: Prepared | PreparedSome,
    verifiers: Sequence[tuple[Verifier, Tensor]],
    *,
    allowed: Tensor | None = None,
    near: Tensor | None = None,
    least: int = 1,
    track: Callable[..., Iterator[Any]] = silent,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Retrieve, register and verify: rows, columns and log odds of the candidate pairs.

    ``verifiers`` come with the (M,) real images that each judges; of several opinions the highest counts.
    """
    found = candidates(queries, real, allowed=allowed, near=near, least=least, track=track)
    scores = torch.full((len(found.rows),), -torch.inf, device=found.poses.device)
    with torch.no_grad():
        for part, query, image, pose in register(queries, real, found, track=track):
            compared = compare(query, image, pose)
            for verifier, judged in verifiers:
                own = judged[found.columns[part]]
                scores[part] = torch.where(own, torch.maximum(scores[part], verifier.score(compared)), scores[part])
    return found.rows.cpu().numpy(), found.columns.cpu().numpy(), scores.cpu().numpy()


def _strongest(
    row: NDArray[np.int64], column: NDArray[np.int64], value: NDArray[np.float32], count: int, k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best columns of each row, a pair that came with two poses by its better one: (count, k) each."""
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    _, first = np.unique(np.stack([row, column]), axis=1, return_index=True)
    keep = np.sort(first)
    row, column, value = row[keep], column[keep], value[keep]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    best = np.full((count, k), -np.inf, dtype=np.float32)
    where = np.full((count, k), -1, dtype=np.int64)
    within = place < k
    best[row[within], place[within]] = value[within]
    where[row[within], place[within]] = column[within]
    return best, where

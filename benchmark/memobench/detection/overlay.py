"""A real image laid over the image that it matches, for people to look at."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from memobench.detection.crossfit import Detector
from memobench.detection.register import grid_sample, places, seen_through
from memobench.detection.retrieve import Prepared, candidates, register
from memobench.detection.verify import compare


def overlay(detector: Detector, query: NDArray[np.float32], real: NDArray[np.float32]) -> NDArray[np.float32]:
    """The real image, moved, turned, zoomed or mirrored as it agrees best with the query.

    Args:
        detector: Its verifier chooses among the poses.
        query: (*S) in [0, 1].
        real: (*S) in [0, 1].

    Returns:
        (*S) in [0, 1]; what the real image does not cover repeats its edge.
    """
    device = detector.embeddings[0].device
    pair = _prepared(query, device), _prepared(real, device)
    best, laid = -np.inf, pair[1].images[0, 0]
    with torch.no_grad():
        for _, first, second, pose in register(*pair, candidates(*pair)):
            scores = detector.verifiers[0].score(compare(first, second, pose))
            k = int(scores.argmax())
            if float(scores[k]) > best:
                values, _ = grid_sample(second[k : k + 1], seen_through(pose[k : k + 1], places(query.shape, device)))
                best, laid = float(scores[k]), values.reshape(query.shape)
    moved: NDArray[np.float32] = laid.clamp(0, 1).cpu().numpy()
    return moved


def _prepared(image: NDArray[np.float32], device: torch.device) -> Prepared:
    return Prepared(torch.from_numpy(np.array(image))[None, None].to(device))

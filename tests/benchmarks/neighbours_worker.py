"""One method on one pair of sets, alone in its process: prints seconds, peak memory and values as JSON.

Usage: python neighbours_worker.py METHOD FOLDER, the folder holding real.npy and fake.npy. The sets are drawn
elsewhere, because what a process held while it drew them would hide what the method needs.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
K = 5


def draw(images: int, dimensions: int) -> tuple[Floats, Floats]:
    """Real and generated features on a curved sheet of 12 dimensions, the generated ones drawn in a little."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(12, 64)) / 3, rng.normal(size=(64, dimensions)) / 8

    def features(spread: float, shift: float) -> Floats:
        latent = rng.normal(shift, spread, size=(images, 12))
        noise = rng.normal(scale=0.1, size=(images, dimensions))
        return (np.tanh(latent @ first) @ second + noise).astype(np.float32)

    return features(1, 0), features(0.9, 0.1)


def ours(real: Floats, fake: Floats) -> dict[str, float]:
    """All five measures from one set of passes."""
    return _all_five(real, fake, K)


def ours_k3(real: Floats, fake: Floats) -> dict[str, float]:
    """As ours, with torch-fidelity's k."""
    return _all_five(real, fake, 3)


def _all_five(real: Floats, fake: Floats, k: int) -> dict[str, float]:
    from memobench.neighbours.neighbourhoods import neighbourhoods
    from memobench.quality.prdc import items_of

    found = neighbourhoods(real, fake, k)
    authentic = found.nearest_distance > found.real_distances[found.nearest_index, 0]
    return items_of(found).means() | {"authenticity": float(authentic.mean())}


def prdc(real: Floats, fake: Floats) -> dict[str, float]:
    """The prdc package."""
    import prdc as package

    return {name: float(value) for name, value in package.compute_prdc(real, fake, nearest_k=K).items()}


def torch_fidelity(real: Floats, fake: Floats) -> dict[str, float]:
    """torch-fidelity's precision and recall as its command line has them: k = 3, batches of 10,000."""
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    values = prc_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        prc_neighborhood=3,
        prc_batch_size=10000,
        save_cpu_ram=False,
        verbose=False,
    )
    return {name: float(values[name]) for name in ("precision", "recall")}


def scikit_learn(real: Floats, fake: Floats) -> dict[str, float]:
    """Authenticity (Alaa et al. 2022) by scikit-learn's exact neighbours."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(real)
    distance, index = search.kneighbors(fake, n_neighbors=1)
    own = search.kneighbors(real)[0][:, 1]
    return {"authenticity": float((distance[:, 0] > own[index[:, 0]]).mean())}


def nearest(real: Floats, fake: Floats) -> dict[str, float]:
    """Five neighbours of each generated image."""
    from memobench.neighbours.nearest import nearest as search

    return {"mean_distance": float(search(fake, real, k=K)[0].mean())}


def faiss_flat(real: Floats, fake: Floats) -> dict[str, float]:
    """The same neighbours by faiss, in float32."""
    import faiss

    index = faiss.IndexFlatL2(real.shape[1])
    index.add(real)
    return {"mean_distance": float(np.sqrt(index.search(fake, K)[0].astype(np.float64)).mean())}


def faiss_three(real: Floats, fake: Floats) -> dict[str, float]:
    """The three searches that the five measures begin with, by faiss: what they would take at least.

    What comes on top is not in it: refining near ties in float64, and who lies in whose ball, which its searches at
    one radius do not answer.
    """
    import faiss

    within = [np.sqrt(faiss.knn(rows, rows, K + 1)[0][:, K].astype(np.float64)) for rows in (real, fake)]
    between = np.sqrt(faiss.knn(fake, real, 1)[0].astype(np.float64))
    return {"mean_radius": float(np.mean(within)), "mean_distance": float(between.mean())}


def sklearn_neighbours(real: Floats, fake: Floats) -> dict[str, float]:
    """The same neighbours by scikit-learn, in float32 with float64 sums."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(real)
    return {"mean_distance": float(search.kneighbors(fake)[0].astype(np.float64).mean())}


METHODS: dict[str, tuple[Callable[[Floats, Floats], dict[str, float]], tuple[str, ...]]] = {
    "ours": (ours, ("memobench.quality.prdc",)),
    "ours_k3": (ours_k3, ("memobench.quality.prdc",)),
    "prdc": (prdc, ("prdc",)),
    "torch_fidelity": (torch_fidelity, ("torch_fidelity.metric_prc",)),
    "scikit_learn": (scikit_learn, ("sklearn.neighbors",)),
    "nearest": (nearest, ("memobench.neighbours.nearest",)),
    "faiss_flat": (faiss_flat, ("memobench", "faiss")),  # memobench settles how idle threads wait
    "faiss_three": (faiss_three, ("memobench", "faiss")),
    "sklearn_neighbours": (sklearn_neighbours, ("sklearn.neighbors",)),
}


def matrix_rate(seconds: float = 1.0) -> float:
    """The machine's float32 matrix products, in GFLOP/s: the best of blocks of 2048 x 512 x 2048."""
    a, b = (np.random.default_rng(0).normal(size=(2048, 512)).astype(np.float32) for _ in range(2))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b.T
        best = min(best, time.perf_counter() - start)
    return 2 * a.shape[0] * b.shape[0] * a.shape[1] / best / 1e9


def main(method: str, folder: Path) -> None:
    """Run a method and print what it took; memory is the peak less what stood after imports and data."""
    function, modules = METHODS[method]
    for module in modules:
        importlib.import_module(module)
    real, fake = np.load(folder / "real.npy"), np.load(folder / "fake.npy")
    function(real[:50], fake[:50])  # threads start, libraries load
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.perf_counter(), time.process_time()
    values = function(real, fake)
    took = {"seconds": time.perf_counter() - start, "processor": time.process_time() - busy}
    took["gigabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
    print(json.dumps({**took, "rate": matrix_rate(), "values": values}))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

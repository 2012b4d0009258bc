"""The neighbour measures against other libraries: time, memory, the share of the machine's matrix products, values.

    OMP_NUM_THREADS=2 pytest tests/benchmarks/test_neighbours_speed.py

draws 20,000 + 20,000 images with 512 features (MEMOBENCH_BENCHMARK_SIZE=2000 is a small run; prdc and torch-fidelity
need 6 GB at full size), runs each method alone in a process and prints the tables. Values are asserted, times are not:
compare ratios, and of processor time where the machine is shared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import memobench
import numpy as np
import pytest

IMAGES = int(os.environ.get("MEMOBENCH_BENCHMARK_SIZE", "20000"))
DIMENSIONS = 512
WORKER = Path(__file__).with_name("neighbours_worker.py")
PACKAGES = {
    "prdc": "prdc",
    "torch_fidelity": "torch_fidelity",
    "scikit_learn": "sklearn",
    "sklearn_neighbours": "sklearn",
    "faiss_flat": "faiss",
    "faiss_three": "faiss",
}


class Runs:
    """Each method's run on each pair of sets, made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[tuple[str, int, int], dict] = {}

    def sets(self, images: int, dimensions: int) -> Path:
        folder = self.folder / f"{images}x{dimensions}"
        if not folder.exists():
            folder.mkdir()
            spec = importlib.util.spec_from_file_location("neighbours_worker", WORKER)
            worker = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(worker)
            for name, rows in zip(("real", "fake"), worker.draw(images, dimensions), strict=True):
                np.save(folder / f"{name}.npy", rows)
        return folder

    def get(self, method: str, images: int = IMAGES, dimensions: int = DIMENSIONS) -> dict:
        if method in PACKAGES:
            pytest.importorskip(PACKAGES[method])
        key = (method, images, dimensions)
        if key not in self.done:
            source = str(Path(memobench.__file__).parents[1])
            answer = subprocess.run(
                [sys.executable, str(WORKER), method, str(self.sets(images, dimensions))],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])},
            )
            self.done[key] = json.loads(answer.stdout.strip().splitlines()[-1])
        return self.done[key]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("neighbours"))


def timed(benchmark, runs, method):
    """The run of a method under pytest-benchmark, whose own figure includes the start of the process."""
    run = benchmark.pedantic(runs.get, args=(method,), rounds=1, iterations=1)
    benchmark.extra_info.update({key: run[key] for key in ("seconds", "processor", "gigabytes", "rate")})
    return run


@pytest.mark.benchmark(group="neighbour measures")
def test_precision_recall_density_coverage_and_authenticity_together(benchmark, runs):
    run = timed(benchmark, runs, "ours")
    assert set(run["values"]) == {"precision", "recall", "density", "coverage", "authenticity"}
    if IMAGES == 20000:
        assert run["gigabytes"] < 0.8


@pytest.mark.benchmark(group="neighbour measures")
def test_values_equal_those_of_prdc(benchmark, runs):
    theirs = timed(benchmark, runs, "prdc")["values"]
    ours = runs.get("ours")["values"]
    for name in ("precision", "recall", "coverage"):
        assert round(ours[name] * IMAGES) == round(theirs[name] * IMAGES)
    assert ours["density"] == pytest.approx(theirs["density"], rel=1e-6)


@pytest.mark.benchmark(group="neighbour measures")
def test_precision_and_recall_equal_those_of_torch_fidelity(benchmark, runs):
    theirs = timed(benchmark, runs, "torch_fidelity")["values"]
    ours = runs.get("ours_k3")["values"]
    for name in ("precision", "recall"):
        # its distances are float32 and carry errors of 1e-6: an image at the very surface of a ball may change sides
        assert ours[name] * IMAGES == pytest.approx(theirs[name] * IMAGES, abs=1e-4 * IMAGES)


@pytest.mark.benchmark(group="neighbour measures")
def test_authenticity_equals_that_from_the_neighbours_of_scikit_learn(benchmark, runs):
    theirs = timed(benchmark, runs, "scikit_learn")["values"]
    assert round(runs.get("ours")["values"]["authenticity"] * IMAGES) == round(theirs["authenticity"] * IMAGES)


def test_table_of_the_measures(runs, capsys):
    """Times and memory over ours; the share of the rate is that of the products a method has to make at least."""
    ours = runs.get("ours")
    products = 2 * IMAGES**2 * 2 * DIMENSIONS / 1e9  # half of real x real and of generated x generated, and the cross
    rate = max(ours["rate"], runs.get("ours_k3")["rate"])
    lines = [
        f"{IMAGES} + {IMAGES} images, {DIMENSIONS} features, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}",
        "method             seconds    ratio  processor    ratio  memory, GB  measures",
    ]
    for method, measures in [
        ("ours", "precision, recall, density, coverage, authenticity"),
        ("prdc", "precision, recall, density, coverage"),
        ("torch_fidelity", "precision, recall"),
        ("scikit_learn", "authenticity"),
    ]:
        run = runs.get(method)
        ratios = [run[key] / ours[key] for key in ("seconds", "processor")]
        lines.append(
            f"{method:16} {run['seconds']:9.1f} {ratios[0]:8.2f} {run['processor']:10.1f} {ratios[1]:8.2f} "
            f"{run['gigabytes']:11.2f}  {measures}"
        )
    if importlib.util.find_spec("faiss"):
        run = runs.get("faiss_three")
        ratios = [run[key] / ours[key] for key in ("seconds", "processor")]
        lines.append(
            f"{'faiss_three':16} {run['seconds']:9.1f} {ratios[0]:8.2f} {run['processor']:10.1f} {ratios[1]:8.2f} "
            f"{run['gigabytes']:11.2f}  the three searches that all five begin with, unrefined"
        )
    achieved = products / ours["seconds"]
    lines.append(
        f"matrix products in float32: {rate:.0f} GFLOP/s; ours achieves {achieved:.0f}, {achieved / rate:.0%} of it"
    )
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201
    assert set(runs.get("prdc")["values"]) <= set(ours["values"])


@pytest.mark.parametrize("dimensions", [32, 512])
@pytest.mark.parametrize("images", sorted({min(5000, IMAGES), IMAGES}))
def test_table_of_five_neighbours(runs, capsys, images, dimensions):
    """Ours, exact, against faiss's flat index in float32 and scikit-learn."""
    ours = runs.get("nearest", images, dimensions)
    lines = [f"five neighbours, {images} x {images}, {dimensions} features"]
    for method in ("nearest", "faiss_flat", "sklearn_neighbours"):
        run = runs.get(method, images, dimensions)
        assert run["values"]["mean_distance"] == pytest.approx(ours["values"]["mean_distance"], rel=1e-5)
        lines.append(f"{method:20} {run['seconds']:8.2f} s, {run['processor']:8.2f} s of processor time")
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201

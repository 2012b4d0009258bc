"""Two short trainings at once against one after the other, and one alone with and without memobench's waiting policy.

    python tests/benchmarks/side_by_side.py [--pairs 5] [--steps 40]

Prints medians of wall-clock seconds of the training, without imports; "unchanged" is the runtime's own policy. On a
machine that does other work too, only the ratios say something. Seen with 2 cores (AMD EPYC, torch 2.15, GNU OpenMP)
beside other work, the median of three alone and one pair at once, for ``GOMP_SPINCOUNT`` (another session saw 1,000 up
to 30% slower alone, so measure it where it matters):

    setting        alone   two at once
    300,000 (GNU)  4.4 s   39 s each
    10,000         4.6 s   29 s
    1,000          4.5 s   9.1 s           what memobench chooses
    0              5.2 s   6.8 s
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

TRAIN = """
import sys, time
import memobench
import numpy as np
from memobench.generator import GENERATORS, Context, build
from memobench.images import Images

random = np.random.default_rng(0)
names = np.array([f"p{k}" for k in range(64)])
images = Images(random.random((64, 64, 64), dtype=np.float32), names, names)
def fit(steps):
    settings = {"steps": steps, "autoencoder_steps": steps}
    build(GENERATORS.get("ldm"), "ldm", "smoke", settings).fit(images, context=Context(0, "cpu"))
fit("1")  # what is imported and set up once
start = time.perf_counter()
fit(sys.argv[1])
print(time.perf_counter() - start)
"""


def start(steps: int, settings: dict[str, str]) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP", "KMP"))}
    path = {"PYTHONPATH": str(Path(__file__).parents[2] / "benchmark")}
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(steps)], env=kept | path | settings, stdout=subprocess.PIPE, text=True
    )


def seconds(processes: list[subprocess.Popen[str]]) -> float:
    """Of the slower one."""
    return max(float(process.communicate()[0].split()[-1]) for process in processes)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=5)
    words.add_argument("--steps", type=int, default=40)
    asked = words.parse_args()
    found: dict[str, list[float]] = {"unchanged": [], "alone": [], "two at once": []}
    for _ in range(asked.pairs):
        found["unchanged"].append(seconds([start(asked.steps, {"GOMP_SPINCOUNT": "300000"})]))
        found["alone"].append(seconds([start(asked.steps, {})]))
        found["two at once"].append(seconds([start(asked.steps, {}) for _ in range(2)]))
    medians = {name: statistics.median(times) for name, times in found.items()}
    for name, value in medians.items():
        sys.stdout.write(f"{name}: {value:.2f} s\n")
    alone = medians["alone"]
    sys.stdout.write(f"alone against unchanged: {alone / medians['unchanged']:.2f}\n")
    sys.stdout.write(f"two at once against one after the other: {medians['two at once'] / (2 * alone):.2f}\n")


if __name__ == "__main__":
    main()

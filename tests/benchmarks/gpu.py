"""What a GPU makes of memobench, in at most ten minutes: training, detector, matching, an audit, a `standard` run.

    python tests/benchmarks/gpu.py                     # on the first GPU; --tiny tries the path on any machine
    python tests/benchmarks/gpu.py --only training,audit

prints a table, a line as each part ends. "Share of peak" is what the network's multiplications need, as PyTorch counts
them, beside what a large matrix product reaches on the same device in the same precision. Parts that would begin after
--minutes are left out, and say so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import memobench
import numpy as np
import test_training_speed as training
import torch
from memobench.base.progress import silent
from memobench.baselines._frame import Fit
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.generator import GENERATORS, Context, build
from memobench.images import Images
from memobench.training.acceleration import Acceleration, accelerated
from numpy.typing import NDArray
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        product: Side of the matrices whose product stands for the peak.
        lesson: Images that the detector learns from.
        steps: Steps of its training.
        queries: Images that are matched.
        pool: Images that they are matched with.
        audits: Synthetic images, training images (as many are held out), side in pixels.
        preset: Of the detector in audits.
        standard: Preset, side in pixels and steps of the run whose steps are timed.
    """

    product: int
    lesson: int
    steps: int
    queries: int
    pool: int
    audits: tuple[tuple[int, int, int], ...]
    preset: str
    standard: tuple[str, int, int]


FULL = Sizes(
    8192, 2000, 200, 2000, 4000, ((10_000, 10_000, 64), (10_000, 10_000, 256)), "quick", ("standard", 256, 200)
)
TINY = Sizes(256, 80, 4, 8, 64, ((8, 20, 32),), "smoke", ("smoke", 32, 4))


def fields(count: int, side: int, seed: int) -> NDArray[np.float32]:
    """(N, side, side) smooth random images in [0, 1], each another patient's."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, 8, 8), dtype=np.float32)
    out = np.empty((count, side, side), dtype=np.float32)
    for number, one in enumerate(coarse):
        out[number] = ndimage.zoom(one, side / 8, order=1, mode="nearest", grid_mode=True)
    return np.clip(out + rng.normal(0, 0.01, out.shape).astype(np.float32), 0, 1)


def images(count: int, side: int, seed: int) -> Images:
    """The same as images of so many patients."""
    names = np.array([f"{seed}-{number}" for number in range(count)])
    return Images(fields(count, side, seed), names, names)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, the device's work included."""
    training.wait()
    begun = time.perf_counter()
    work()
    training.wait()
    return time.perf_counter() - begun


def peak(sizes: Sizes) -> float:
    """Operations per second of a large matrix product in the precision that training has."""
    kind = torch.bfloat16 if CUDA else torch.float32
    a = torch.randn(sizes.product, sizes.product, device=DEVICE, dtype=kind)
    seconds(lambda: a @ a)
    return 10 * 2 * sizes.product**3 / seconds(lambda: [a @ a for _ in range(10)])


def train(sizes: Sizes) -> list[str]:
    """`ldm` against a plain float32 loop over the same network."""
    lines, most = [], peak(sizes)
    for name, shape in training.SHAPES.items():
        plain, ours = (way(shape)[0] for way in (training.plain, training.ours))
        model = training.model_of(shape, 1)
        latents = training.latents_of(model)[: model.batch_]
        with FlopCounterMode(display=False) as counted:
            times = torch.zeros(len(latents), dtype=torch.long, device=DEVICE)
            model._errors(latents, torch.randn_like(latents), times).mean().backward()
        share = counted.get_total_flops() / len(latents) * ours / most
        lines.append(
            f"ldm {training.PRESET} {name}: plain float32 {plain:.0f} images/s, ours {ours:.0f}, ratio "
            f"{ours / plain:.2f}, {100 * share:.1f}% of a peak of {most / 1e12:.1f} Tflop/s"
        )
    return lines


def detect(sizes: Sizes) -> list[str]:
    """Training of the detector, and matching."""
    lesson, side = images(sizes.lesson, 64 if CUDA else 32, 1), 64 if CUDA else 32
    parameters = EmbeddingParameters(steps=sizes.steps, batch=32, planted=48)
    found: list[Detector] = []
    spent = seconds(lambda: found.append(Detector.fit(lesson, lesson, parameters, context=Context(0, DEVICE))))
    pool, queries = images(sizes.pool, side, 2), fields(sizes.queries, side, 3)
    matching = seconds(lambda: found[0].match(queries, pool, track=silent))
    return [
        f"detector: {sizes.steps * 2 * parameters.batch / spent:.0f} views/s in training, its verifier included",
        f"matching: {sizes.queries / matching:.1f} queries/s with {sizes.pool} images of {side} pixels",
    ]


def audit(sizes: Sizes) -> list[str]:
    """A whole audit."""
    lines = []
    for made, real, side in sizes.audits:
        given = (fields(made, side, 4), fields(real, side, 5), fields(real, side, 6))
        with tempfile.TemporaryDirectory() as out:
            spent = seconds(
                lambda given=given, out=out: memobench.audit(*given, preset=sizes.preset, device=DEVICE, out=Path(out))
            )
        lines.append(f"audit: {made} x {2 * real} images of {side} pixels in {spent:.0f} s")
    return lines


def standard(sizes: Sizes) -> list[str]:
    """Time per step of a run, stage by stage of the model."""
    preset, side, steps = sizes.standard
    words = {"steps": str(steps), "autoencoder_steps": str(steps)}
    model = build(GENERATORS.get("ldm"), "ldm", preset, words)
    costs: list[training.Trained] = []
    with accelerated(Acceleration("auto", compile=CUDA)), training.reproducible():
        context = Context(0, DEVICE, report=costs.append)
        model._build((side, side), DEVICE, seed=0)
        model._learn(model._pixels(images(64, side, 7)), Fit(context, "timed"))
    return [
        f"ldm {preset} at {side} pixels, {cost.name}: {1000 * cost.seconds / len(cost.losses):.0f} ms a step"
        for cost in costs
    ]


PARTS = {"training": train, "detector": detect, "standard": standard, "audit": audit}


def main() -> None:
    """Print each part as it ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="try the path, in a minute on a CPU")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--minutes", type=float, default=10, help="no part begins later than this")
    asked = parser.parse_args()
    if odd := sorted(set(asked.only.split(",")) - set(PARTS)):
        parser.error(f"--only {odd[0]}: the parts are {', '.join(PARTS)}")
    if not asked.tiny and not CUDA:
        parser.error("there is no GPU here; --tiny tries the path")
    begun = time.perf_counter()
    sys.stdout.write(f"{torch.cuda.get_device_name() if CUDA else 'CPU'}, torch {torch.__version__}\n")
    for name in asked.only.split(","):
        if time.perf_counter() - begun > 60 * asked.minutes:
            sys.stdout.write(f"{name}: left out, --minutes {asked.minutes:g} are over\n")
            continue
        for line in PARTS[name](TINY if asked.tiny else FULL):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

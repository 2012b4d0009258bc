"""What another detector finds on a generator's samples, measured as the task's own detector measures.

The threshold comes from the null scores of real images of train and holdout by the same rule, the counts and tests are
the same functions, and planted copies show what the detector is blind to. What differs is how it is asked: it is a
stranger's, so it is never told who is a member (:mod:`memobench.measure.blind`), and it answers the same questions
about images of new patients, whom nobody can have copied. A detector that finds more of those in train than in holdout
knows the labels, and what it finds is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.clock import Clock
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.base.store import Store, load_arrays, save_arrays
from memobench.challenge.planted import PLANTED, challenge, one_per_patient_first
from memobench.detection.contract import CopyDetector
from memobench.detection.detectors import DETECTORS
from memobench.generator import Context
from memobench.measure.blind import BlindPool, exact_limit
from memobench.measure.counts import Answers, Counts, count_copies
from memobench.memorization.certainty import NullScores
from memobench.memorization.counted import with_sensitivity
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools, rates, tally
from memobench.memorization.repeats import repeats
from memobench.memorization.shift import BY_DESIGN
from memobench.provenance import code_digest
from memobench.results import DetectorScores, Metric
from memobench.task import Splits
from memobench.training.acceleration import device_of

KNOWING = 0.005  # p-values of strangers below it show a detector that knows the labels; of two, so 1% of honest ones
STRANGERS = {"copy_rate_of_strangers": "copy_rate", "train_share_of_strangers": "train_share"}


@dataclass(frozen=True)
class Attacked(Counts):
    """What a detector finds on the samples of a generator; the metrics hold the two of :data:`STRANGERS` too.

    Attributes:
        exact_scores: (M,) best scores of the real images against the pool that holds them.
        challenge: Planted copies through the same detector with the same tau.
    """

    exact_scores: NDArray[np.float32]
    challenge: DetectorScores

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What ``scores.npz`` holds beside the pools."""
        scores = {"null": self.null_scores, "exact": self.exact_scores}
        return {**scores, **asdict(self.decisions), "p_value": self.calls.p_value}


def measure_attack(
    samples: NDArray[np.float32], splits: Splits, detector: CopyDetector, pool: BlindPool, *, track: Track = silent
) -> Attacked:
    """Count copies with a detector that has been fitted blind.

    Args:
        samples: (N, *S) float32 in [0, 1].
        splits: The task's images.
        detector: From :func:`fit_blind`.
        pool: The two sides of the splits.
        track: Shows progress.

    Raises:
        DataError: The detector does not answer as a detector must.
    """
    seed = derive_seed(0, "inference")
    strangers = splits.test.joined(splits.fresh)
    chosen = one_per_patient_first(strangers.patients, len(samples), generator_for(0, "strangers"))
    null, share = pool.null_scores(detector)
    of_samples, of_strangers, of_pool = pool.tables(
        detector, samples, strangers.pixels[np.sort(chosen)], pool.images.pixels
    )
    exact = of_pool.max(axis=1)
    answers = Answers(NullScores(null, pool.images.patients, share), exact_limit(null, exact), _sides(of_samples, pool))
    pools = Pools.of(splits.train, splits.holdout)
    counts = count_copies(answers, pools, BY_DESIGN, near=repeats(samples))
    tau, metrics = counts.threshold.tau, dict(counts.metrics)
    planted = challenge(
        lambda queries, among: pool.match(detector, queries, among),
        splits,
        count=PLANTED[len(splits.train.shape)],
        seed=seed,
        tau=tau,
    )
    metrics |= with_sensitivity(metrics, planted.summary["sensitivity"], counts.tally)
    of_nobody = rates(tally(decide(*_sides(of_strangers, pool), tau), pools), seed=derive_seed(0, "strangers"))
    note = "of images of new patients, whom nobody can have copied: the null shows that the detector knows no labels"
    metrics |= {name: of_nobody[held].model_copy(update={"note": note}) for name, held in STRANGERS.items()}
    return Attacked(**{**vars(counts), "metrics": metrics}, exact_scores=exact, challenge=planted)


def knowing(metrics: Mapping[str, Metric]) -> str | None:
    """Why a detector is held to know who is a member; None where nothing says so.

    A blind detector gets there by chance once in a hundred tasks, and always in the same ones.
    """
    for name in STRANGERS:
        found = metrics.get(name)
        if found is None or found.p_value is None:
            return f"{name} is missing, or has no p-value; without it nobody knows whether the detector knows labels"
        if found.p_value < KNOWING:
            return (
                f"the detector prefers train on images of new patients ({name} {found.value:.3f}, null {found.null}, "
                f"p = {found.p_value:.4f}): it tells members from others without any copy, so its counts prove "
                "nothing; let it learn from what fit gives it alone"
            )
    return None


def fit_blind(  # noqa: PLR0913  what is fitted, and where it is kept
    kind: type[CopyDetector], pool: BlindPool, splits: Splits, *, preset: str, store: Store, device: str, track: Track
) -> tuple[CopyDetector, bool]:
    """A detector that learned without knowing who is a member, trained now unless what it learned is stored.

    Args:
        kind: A detector of the registry.
        pool: The two sides of the splits.
        splits: The task's images.
        preset: How much to train, as the attacked run's own detector was.
        store: Where what it learned is kept.
        device: A torch device.
        track: Shows progress.

    Returns:
        The detector, and whether it was stored.
    """

    def fit(context: Context) -> CopyDetector:
        return kind().fit(*pool.halves, splits.dev, context=context, preset=preset)

    seed = derive_seed(0, "attack", str(kind.TRAINED_AS))
    if kind.TRAINED_AS is None:
        return fit(Context(seed, device, track)), False
    key = {
        "split": splits.digest,
        "trained_as": kind.TRAINED_AS,
        "version": kind.VERSION,
        "code": code_digest(kind),
        "preset": preset,
    }

    def write(into: Path, scratch: Path) -> None:
        save_arrays(into / "detector.safetensors", fit(Context(seed, device, track, checkpoints=scratch)).state())

    path, stored = store.get("attack-detector", key, write)
    arrays = load_arrays(path / "detector.safetensors")
    return kind().restore(arrays, preset=preset, device=device), stored


def _sides(
    table: NDArray[np.float32], pool: BlindPool
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Score and row of each query's best match on either side, from its scores with the whole pool."""
    train, holdout = table[:, pool.train], table[:, pool.holdout]
    return train.max(axis=1), train.argmax(axis=1), holdout.max(axis=1), holdout.argmax(axis=1)


def measure_again(  # noqa: PLR0913  what is measured, and where
    samples: NDArray[np.float32],
    splits: Splits,
    detector: str,
    preset: str,
    *,
    out: Path,
    device: str,
    track: Track = silent,
    clock: Clock | None = None,
) -> Attacked:
    """What a detector of the registry finds on the samples of a run, asked blind.

    Args:
        samples: (N, *S) the run's samples.
        splits: The images on which it ran.
        detector: Name of the detector.
        preset: The run's.
        out: Where stages are stored.
        device: A torch device, or "auto".
        track: Shows progress.
        clock: Says each stage as it ends; None to say nothing.
    """
    clock = Clock(lambda text: None) if clock is None else clock
    store, kind = Store(out / ".stages"), DETECTORS.get(detector)
    pool = BlindPool.of(splits.train, splits.holdout)
    with clock("detector"):
        fitted, clock.stored = fit_blind(
            kind, pool, splits, preset=preset, store=store, device=device_of(device), track=track
        )
    with clock("attack"):
        return measure_attack(samples, splits, fitted, pool, track=track)

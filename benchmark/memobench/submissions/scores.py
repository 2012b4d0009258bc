"""The scores of a submission: what each sample matches and who stands in the pools, as numbers, without any image.

Whatever counts copies follows from them to the last digit, since every permutation has its seed by role. Patients are
numbered by the order of their names, which is the order in which labels are assigned.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed
from memobench.measure.blind import exact_limit
from memobench.memorization.calls import Calls, sample_p_values, single_calls
from memobench.memorization.counted import counted, with_sensitivity
from memobench.memorization.decide import TAIL, Decisions, Threshold, decide, threshold
from memobench.memorization.rates import Pools, tally
from memobench.results import Metric

Arrays = Mapping[str, NDArray[Any]]

OF_SAMPLES = {
    "train_score": "<f4",
    "train_index": "<i8",
    "holdout_score": "<f4",
    "holdout_index": "<i8",
    "side": "|i1",
    "called": "|b1",
    "p_value": "<f8",
}
OF_TRAIN = {"train_patient": "<i8", "train_content": "<i8"}
OF_HOLDOUT = {"holdout_patient": "<i8", "holdout_content": "<i8"}
TYPES = {"null": "<f4", **OF_SAMPLES, **OF_TRAIN, **OF_HOLDOUT}
OF_ATTACK = {**TYPES, "exact": "<f4"}
BELOW = ("train_score", "holdout_score")  # minus infinity where a side had no candidate
MOST_BYTES = 4_000_000  # a hundred times what the largest task needs


def pool_arrays(pools: Pools) -> dict[str, NDArray[np.int64]]:
    """Who stands in the pools, as numbers that keep the order of the names.

    >>> found = pool_arrays(Pools(np.array(["b", "d"]), np.array(["a", "c", "c"])))
    >>> found["train_patient"].tolist(), found["holdout_patient"].tolist()
    ([1, 3], [0, 2, 2])
    """
    names = pools.names

    def content(given: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
        return np.arange(count) if given is None else np.unique(given, return_inverse=True)[1].reshape(-1)

    return {
        "train_patient": np.searchsorted(names, pools.train).astype(np.int64),
        "holdout_patient": np.searchsorted(names, pools.holdout).astype(np.int64),
        "train_content": content(pools.train_content, len(pools.train)).astype(np.int64),
        "holdout_content": content(pools.holdout_content, len(pools.holdout)).astype(np.int64),
    }


def pools_of(arrays: Arrays) -> Pools:
    """The pools of a submission; patients are named by their numbers."""

    def names(numbers: NDArray[Any]) -> NDArray[np.str_]:
        return np.array([f"{number:09d}" for number in numbers.tolist()], dtype=np.str_)

    return Pools(
        names(arrays["train_patient"]),
        names(arrays["holdout_patient"]),
        arrays["train_content"],
        arrays["holdout_content"],
    )


def decisions_of(arrays: Arrays, tau: float) -> Decisions:
    """What each sample matches, decided again from the scores."""
    return decide(arrays["train_score"], arrays["train_index"], arrays["holdout_score"], arrays["holdout_index"], tau)


def check_arrays(arrays: Arrays, samples: int) -> None:
    """Refuse scores that no measurement gives.

    Args:
        arrays: As :data:`TYPES` names them, or of an attack :data:`OF_ATTACK`.
        samples: How many samples there must be.

    Raises:
        DataError: Lengths, indices, patients or p-values are out of range.
    """
    for name, found in arrays.items():
        if found.ndim != 1 or not len(found):
            raise DataError(f"scores.npz: {name} has shape {found.shape}; it must be one number for each")
    pools = {"train": len(arrays["train_patient"]), "holdout": len(arrays["holdout_patient"])}
    lengths = dict.fromkeys(OF_SAMPLES, samples)
    lengths |= dict.fromkeys(OF_TRAIN, pools["train"]) | dict.fromkeys(OF_HOLDOUT, pools["holdout"])
    if "exact" in arrays:  # an attack's, whose detector is asked about all real images
        lengths |= dict.fromkeys(("null", "exact"), pools["train"] + pools["holdout"])
    for name, length in lengths.items():
        if len(arrays[name]) != length:
            raise DataError(f"scores.npz: {name} has {len(arrays[name])} values for {length}")
    for side, length in pools.items():
        index, owners = arrays[f"{side}_index"], arrays[f"{side}_patient"]
        if index.min() < 0 or index.max() >= length:
            raise DataError(f"scores.npz: {side}_index points outside the {length} images of {side}")
        if owners.min() < 0 or owners.max() >= 10**9:
            raise DataError(f"scores.npz: {side}_patient holds numbers outside 0 to 10^9")
    if np.isneginf(np.maximum(arrays["train_score"], arrays["holdout_score"])).any():
        raise DataError("scores.npz: a sample matches neither train nor holdout; every image matches one of them")
    p_value = arrays["p_value"]
    if p_value.min() <= 0 or p_value.max() > 1:
        raise DataError("scores.npz: p_value holds numbers outside (0, 1]")
    order = np.lexsort([-p_value, arrays["train_score"]])  # ties of the score must be ties of the p-value
    steps, ordered = np.diff(p_value[order]), arrays["train_score"][order]
    if (steps > 1e-12).any() or (np.abs(steps[ordered[1:] == ordered[:-1]]) > 1e-12).any():
        raise DataError("scores.npz: a stronger match has a larger p_value; they are of different samples")


def recomputed(arrays: Arrays, tau: float, sensitivity: Metric | None) -> tuple[dict[str, Metric], Calls]:
    """Every metric that follows from the scores, as a run computes it, and the list of calls.

    Args:
        arrays: Checked scores.
        tau: The threshold.
        sensitivity: As the run's own challenge found it; None leaves out the metrics that are corrected for it.

    Raises:
        DataError: A patient stands in both pools.
    """
    seed = derive_seed(0, "inference")
    decisions, pools = decisions_of(arrays, tau), pools_of(arrays)
    count = tally(decisions, pools)
    metrics = counted(decisions, count, seed=seed)
    # the p-values of single samples need images; the list's words do not
    calls = single_calls(decisions, count, arrays["null"][:1], pools.train[:1], 1.0)
    if sensitivity is not None:
        metrics |= with_sensitivity(metrics, sensitivity, count)
    return metrics, calls


def claimed_threshold(values: Mapping[str, Any]) -> Threshold:
    """The threshold that a result names.

    Raises:
        DataError: It has other fields, or a value of another type.
    """
    if odd := sorted({*values} ^ {field.name for field in dataclasses.fields(Threshold)}):
        raise DataError(f"threshold: {odd[0][:40]!a} is missing, or too much; submit the run as it was measured")
    try:
        return TypeAdapter(Threshold).validate_json(json.dumps({**values}), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise DataError(f"threshold: {where}: {first['msg'][:200]}; submit the run as it was measured") from error


def threshold_of(
    null: NDArray[np.float32], claimed: Threshold, tail: float | None, exact: NDArray[np.float32] | None = None
) -> Threshold:
    """The threshold that the null scores give.

    A cap, the score of exact copies, needs images; that it lowers tau does not. An attack says what exact copies score,
    so that no tau is lowered by a word.

    Args:
        null: (M,) best scores of real images against other patients.
        claimed: As submitted: of a run its cap counts, of an attack its tail.
        tail: The share of null scores beyond tau that the task aims at; None for an attack, whose detector says with
            how much of the pool it compared them. One that says too little has a higher tau, and finds less.
        exact: (M,) their best scores against the pool that holds them, of an attack; None of a run.

    Raises:
        DataError: The claimed tail is not the task's, or none that the rule can aim at, or the null scores give no
            threshold.
    """
    if tail is not None and abs(claimed.tail - tail) > 1e-12:
        raise DataError(f"threshold: the tail is {claimed.tail:.6g}, and this task's is {tail:.6g}; nobody chooses it")
    pool_fraction = (claimed.tail if tail is None else tail) / (2 * TAIL)
    if not 0 < pool_fraction <= 1 + 1e-9:
        raise DataError(f"threshold: a tail of {claimed.tail} is none that the rule aims at (at most {2 * TAIL})")
    if exact is not None:
        return threshold(null, min(pool_fraction, 1.0), highest=exact_limit(null, exact))
    return threshold(null, min(pool_fraction, 1.0), highest=claimed.tau if claimed.capped else np.inf)


def p_values_of(arrays: Arrays, tail: float) -> NDArray[np.float64] | None:
    """(N,) the p-value of each sample's best match in train; None where the null scores are of some images alone.

    Args:
        arrays: Checked scores of a run, whose null scores stand in the order of the pool.
        tail: See :func:`threshold_of`.
    """
    pools = pools_of(arrays)
    owners = np.concatenate([pools.train, pools.holdout])
    if len(arrays["null"]) != len(owners):
        return None
    times = len(pools.train) / (tail / (2 * TAIL) * len(owners))
    return sample_p_values(arrays["train_score"], arrays["null"], owners, times)

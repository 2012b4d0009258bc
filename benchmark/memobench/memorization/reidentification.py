"""Patient re-identification: does a copy lead to the patient, and not only to the one scan that it copies?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.memorization._points import one_each
from memobench.results import Metric
from memobench.stats.exchange import per_patient
from memobench.stats.intervals import clustered_share


def matches_needed(patients: NDArray[Any], scans: NDArray[Any]) -> int:
    """How many matches per sample :func:`reidentification` needs: one more than the largest scan has images.

    >>> matches_needed(np.array(["a", "a", "b"]), np.array(["1", "1", "1"]))
    3
    """
    return 1 + int(np.bincount(_scan_codes(patients, scans)).max())


def reidentification(
    index: NDArray[np.integer], called: NDArray[np.bool_], patients: NDArray[Any], scans: NDArray[Any]
) -> Metric | None:
    """How often the best match after the matched scan is another scan of the same patient.

    Of the samples called copies whose matched patient has another scan in the pool: the images of the matched scan are
    taken out of the pool, and the sample counts where the best match among the rest, the patient's other scans and all
    other patients' images, is of the same patient. (Packhaeuser et al., Sci Rep 2022, re-identify patients between real
    scans; here the query is a synthetic image, and the rank is the first.)

    Args:
        index: (N, k) rows of the pool that match each sample, strongest first: ``Detector.match(samples, pool,
            k=matches_needed(pool.patients, pool.scans)).index``.
        called: (N,) whether each sample is a copy of the image that it matches best in this pool.
        patients: (M,) patient of each image of the pool.
        scans: (M,) scan of each; the same name at two patients is two scans.

    Returns:
        The share with a 95% interval that counts matched patients; null is the chance level, the mean share of the
        remaining pool that is of the patient. None where no copy's patient has another scan: there is nothing to find.

    Raises:
        DataError: Lengths differ, or k is too small for the pool.

    >>> patients, scans = np.array(["a", "a", "b", "c"]), np.array(["1", "2", "1", "1"])
    >>> reidentification(np.array([[0, 1], [1, 2], [2, 0]]), np.array([True, True, True]), patients, scans).value
    0.5
    """
    one_each(scans, len(patients), "pool")
    if index.ndim != 2 or len(index) != len(called):
        raise DataError(f"matches of shape {index.shape} for {len(called)} samples; give (samples, matches)")
    owner = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    scan = _scan_codes(patients, scans)
    patient_images, scan_images = np.bincount(owner)[owner], np.bincount(scan)[scan]
    first = index[:, 0]
    eligible = np.asarray(called, dtype=bool) & (patient_images > scan_images)[first]
    if not eligible.any():
        return None
    rows, first = index[eligible], first[eligible]
    rest = scan[rows] != scan[first][:, None]
    if not rest.any(axis=1).all():
        raise DataError(
            f"{rows.shape[1]} matches per sample are all of the matched scan; ask for {matches_needed(patients, scans)}"
        )
    second = rows[np.arange(len(rows)), rest.argmax(axis=1)]
    again = owner[second] == owner[first]
    names = np.unique(owner[first])
    share, low, high = clustered_share(
        per_patient(again, owner[first], names), per_patient(np.ones(len(first)), owner[first], names)
    )
    chance = (patient_images - scan_images)[first] / (len(owner) - scan_images[first])
    return Metric(
        value=share,
        low=low,
        high=high,
        null=float(chance.mean()),
        better="lower",
        note=f"{len(first)} copies of {len(names)} patients with another scan",
    )


def _scan_codes(patients: NDArray[Any], scans: NDArray[Any]) -> NDArray[np.int64]:
    """(M,) a number per scan, the same name at two patients being two scans."""
    if not len(patients):
        raise DataError("the pool is empty; give images")
    owner = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    name = np.unique(np.asarray(scans), return_inverse=True)[1].reshape(-1)
    codes: NDArray[np.int64] = np.unique(owner * (name.max() + 1) + name, return_inverse=True)[1].reshape(-1)
    return codes

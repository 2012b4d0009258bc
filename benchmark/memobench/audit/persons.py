"""Patients of an audit's real sides who seem to be one person under several ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from memobench.base.errors import DataError
from memobench.data.files.walk import shown
from memobench.data.nearly_same import nearly_same, persons
from memobench.images import Images

MOST = 0.5  # of the held-out patients may be left out as training patients


def apart(train: Images, holdout: Images | None) -> tuple[Images, Images | None, list[str]]:
    """The sides with one id for each person, and without held-out patients who seem to be training patients.

    Args:
        train: The training images.
        holdout: The held-out images; None where there are none.

    Returns:
        Both sides, the very same where nothing was changed, and notes.

    Raises:
        DataError: More than half of the held-out patients seem to be training patients.
    """
    pool = train if holdout is None else train.joined(holdout)
    pairs = nearly_same(pool.pixels, pool.patients)
    if not pairs:
        return train, holdout, []
    notes = []
    if holdout is not None:
        across = [(a, b) for a, b in pairs if a < len(train) <= b]
        both = sorted({str(pool.patients[b]) for _, b in across})
        if both:
            first = f'"{shown(str(pool.patients[across[0][1]]))}" and "{shown(str(pool.patients[across[0][0]]))}"'
            if len(both) > MOST * holdout.patient_count:
                raise DataError(
                    f"{len(both)} of {holdout.patient_count} held-out patients have an image that is nearly the same "
                    f"as a training patient's ({first} for one); give a holdout of patients whom the generator never "
                    "saw"
                )
            notes.append(
                f"{len(both)} HELD-OUT PATIENTS HAVE AN IMAGE THAT IS NEARLY THE SAME AS A TRAINING PATIENT'S "
                f"({first} for one) and were left out: they seem to be the same people under other ids, and a holdout "
                "must hold none of them"
            )
            holdout = holdout.take(~np.isin(holdout.patients, both))
    train, more = _joined(train, "training")
    notes += more
    if holdout is not None:
        holdout, more = _joined(holdout, "held-out")
        notes += more
    return train, holdout, notes


def _joined(images: Images, side: str) -> tuple[Images, list[str]]:
    """The images with one id for each person."""
    pairs = nearly_same(images.pixels, images.patients)
    one = persons(images.patients, pairs)
    if not one:
        return images, []
    a, b = (shown(str(images.patients[index])) for index in pairs[0])
    note = (
        f'{len(one)} {side} patients have an image that is nearly the same as another\'s ("{a}" and "{b}" for one); '
        f"they count as {len(set(one.values()))}, since they seem to be the same people under several ids"
    )
    return replace(images, patients=np.array([one.get(name, name) for name in images.patients.tolist()])), [note]

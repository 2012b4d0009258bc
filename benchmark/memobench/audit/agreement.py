"""What must hold between the sets of an audit, and what a reader must know where it does not quite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from memobench.base.errors import DataError
from memobench.data.files.ids import likeness, spelling
from memobench.data.files.inspect import Inspection
from memobench.data.files.picture import IN_WINDOW
from memobench.data.files.prepare import contrast_agrees
from memobench.data.files.walk import shown
from memobench.detection.content import NAMED, has_content
from memobench.detection.crossfit import FOLDS
from memobench.detection.embed import MIN_PATIENTS
from memobench.detection.poses import oriented, set_pose
from memobench.images import Images, content_digests

_APART = 0.5  # shares of images shown in a window that differ by more are worth a note
_CROWDED = 0.5  # share of a side's images that one patient has, above which a note says so
_FEWER = 0.5  # held-out patients per training patient, below which a note says what that costs


def check_enough(train: Images, holdout: Images | None) -> None:
    """Refuse real images of too few patients to learn a detector from, or to measure chance by.

    Raises:
        DataError: There are fewer than the detector needs for each of its folds, or next to no decoys.
    """
    if holdout is None and train.patient_count < FOLDS * MIN_PATIENTS:
        raise DataError(
            f"the training images are of {_patients(train)}, too few to learn from what tells a copy from another "
            f"patient's image; give at least {FOLDS * MIN_PATIENTS}"
        )
    for name, images in {"training": train, "held-out": holdout}.items():
        if images is not None and images.patient_count < MIN_PATIENTS:
            remedy = ", or leave --holdout out and take the weaker guarantee" if images is holdout else ""
            raise DataError(
                f"the {name} images are of {_patients(images)}, too few to tell copies from chance; give at least "
                f"{MIN_PATIENTS}, best as many in train as held out{remedy}"
            )


def balance_notes(train: Images, holdout: Images | None) -> list[str]:
    """What few held-out patients cost, and one patient with most images."""
    crowded = [
        *_crowded(train, "training"),
        *([] if holdout is None else _crowded(holdout, "held-out")),
    ]
    if holdout is None or holdout.patient_count >= _FEWER * train.patient_count:
        return crowded
    return [
        *crowded,
        f"only {_patients(holdout)} were held out against {_patients(train)} in train: what chance does is known less "
        "surely, so intervals are wide and few copies may stay unseen; hold out as many as are trained on",
    ]


def _crowded(images: Images, side: str) -> list[str]:
    """A note on a patient who has more images than all others of a side."""
    names, counts = np.unique(images.patients, return_counts=True)
    most = int(counts.max()) if len(counts) > 1 else 0
    if most <= _CROWDED * len(images):
        return []
    return [
        f'{most} of the {len(images)} {side} images are of one patient ("{shown(str(names[counts.argmax()]))}"): he '
        "counts as one, so what is known of copies rests on the few others; if the id is a stand-in, correct it"
    ]


def _patients(images: Images) -> str:
    return "1 patient" if images.patient_count == 1 else f"{images.patient_count} patients"


def check_apart(train: Images, holdout: Images) -> None:
    """Refuse a holdout that is no holdout.

    Raises:
        DataError: A patient, or an image, stands on both sides.
    """
    forms = {spelling(one): one for one in train.patients.tolist()}
    if shared := sorted(one for one in set(holdout.patients.tolist()) if spelling(one) in forms):
        count = "1 patient stands" if len(shared) == 1 else f"{len(shared)} patients stand"
        other = forms[spelling(shared[0])]
        as_well = "" if other == shared[0] else f', in train "{shown(other)}"'
        raise DataError(
            f'{count} in train and in holdout ("{shown(shared[0])}"{as_well} for one); give a holdout of patients whom '
            "the generator never saw, or, where different people have one id, give them different ones in manifest.csv"
        )
    held_out = content_digests(holdout.pixels).tolist()
    if same := set(content_digests(train.pixels).tolist()) & set(held_out):
        first = next(k for k, content in enumerate(held_out) if content in same)
        count = "1 image stands" if len(same) == 1 else f"{len(same)} images stand"
        raise DataError(
            f'{count} in train and in holdout (of holdout patient "{shown(str(holdout.patients[first]))}" for one); '
            "take what is shared out of one of the two"
        )


def identity_notes(train: Images, holdout: Images | None) -> list[str]:
    """Whether ids of the two sides look like one person's; how those within a side look is noted with the folder."""
    if holdout is None:
        return []
    forms = {likeness(one): one for one in sorted(set(train.patients.tolist()))}
    close = [(forms[likeness(one)], one) for one in sorted(set(holdout.patients.tolist())) if likeness(one) in forms]
    if not close:
        return []
    ids = "1 patient id" if len(close) == 1 else f"{len(close)} patient ids"
    return [
        f'{ids} of train and holdout differ only in leading zeros or .0 ("{shown(close[0][0])}" and '
        f'"{shown(close[0][1])}"); if they are one person\'s, it is no holdout: take them out of one of the two'
    ]


def with_content(images: Images, names: Sequence[str], side: str) -> tuple[Images, Sequence[str], list[str]]:
    """Real images less those in which there is nothing to compare, such as even ones: nobody can be a copy of them.

    Args:
        images: Of one side.
        names: (N,) what they are called.
        side: What the side is called in the note.

    Returns:
        The others, their names, and a note where there were any.
    """
    kept = has_content(images.pixels)
    if kept.all():
        return images, names, []
    lost = [str(name) for name, keep in zip(names, kept, strict=True) if not keep]
    listed = ", ".join(shown(name) for name in lost[:NAMED]) + (" and more" if len(lost) > NAMED else "")
    are = "image is" if len(lost) == 1 else "images are"
    note = f"{len(lost)} {side} {are} even or nearly all border, with nothing to compare, and left out: {listed}"
    return images.take(kept), [name for name, keep in zip(names, kept, strict=True) if keep], [note]


def in_pose_of(holdout: Images, train: Images) -> tuple[Images, list[str]]:
    """The held-out images, brought to the pose of the training images where they lie in another as a whole.

    Only the whole set is turned, never a single image: which side an image stands on must not decide about it.

    Returns:
        The images, the very same where nothing was changed, and a note where something was.
    """
    change = set_pose(holdout, train)
    if change is None:
        return holdout, []
    note = (
        "THE HELD-OUT IMAGES LIE IN ANOTHER ORIENTATION THAN THE TRAINING IMAGES or are inverted: they were compared "
        f"{change.words}; check how both are written and read, since a holdout must differ from train in nothing"
    )
    return replace(holdout, pixels=oriented(holdout.pixels, change)), [note]


def contrast_notes(synthetic: Images, train: Images, holdout: Images | None) -> list[str]:
    """Which sets are bright where the training images are dark: copies of such are seen less surely."""
    others = {"synthetic": synthetic, "held-out": holdout}
    return [
        f"the {name} images are inverted against the training images, bright where those are dark; invert one of the "
        "two and audit again, since copies are found less surely so"
        for name, images in others.items()
        if images is not None and not contrast_agrees(images, train)
    ]


def window_notes(found: Mapping[str, Inspection]) -> list[str]:
    """Whether one set is shown through DICOM windows and another is not, which clips them differently.

    Args:
        found: The folders, by side; each holds an image.
    """
    windowed = {
        side: sum(kind.count for kind in inspection.found if kind.scaling.startswith(IN_WINDOW)) / len(inspection.items)
        for side, inspection in found.items()
    }
    if max(windowed.values()) - min(windowed.values()) < _APART:
        return []
    words = ", ".join(f"{100 * share:.0f}% of {side}" for side, share in windowed.items())
    return [
        f"not all sets are shown in a DICOM window ({words}); if values beyond the window are cut off in one set and "
        "not in another, copies are found less surely, so export all sets in one way"
    ]

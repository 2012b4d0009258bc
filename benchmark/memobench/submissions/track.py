"""What a task and its data fix: a track of the board is a task on the embedded data, or on a published real split.

Of real data the repository holds who stands where (``tasks/splits``), and no image. So a submission is checked against
the split by its ids alone; anyone who holds the images can measure it again, and is told at once where they are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.progress import Track as Progress
from memobench.base.progress import silent
from memobench.base.store import Store
from memobench.data.phantom import scan_count
from memobench.data.public._published import SIDES, PublishedSplit, names_of, published
from memobench.data.public._source import Source, named_source
from memobench.results import Identity
from memobench.task import TASKS, Splits, TaskInfo

PHANTOM = "phantom"


@dataclass(frozen=True)
class Track:
    """What is fixed for all results of a track.

    Attributes:
        task: The task.
        data: What the results' identities call their data: "phantom", or a source and its split ("mrnet:mini").
        source: The public source; None for the embedded data.
        split_ids: Digest of who stands where; "" for the embedded data.
        counts: Patients and images of each side, as results count them; None for a side that there is not.
        pools: The patients of ``train_patient`` and ``holdout_patient``, image by image, numbered as a submission
            numbers them.
    """

    task: TaskInfo
    data: str
    source: Source | None
    split_ids: str
    counts: Mapping[str, int | None]
    pools: Mapping[str, list[int]]

    @property
    def real(self) -> bool:
        """Whether its images show patients."""
        return self.source is not None

    @property
    def shares(self) -> bool:
        """Whether samples may be published."""
        return self.source is None or self.source.shares

    @property
    def with_dev(self) -> bool:
        """Whether there are patients from whom the detector learns; else it is cross-fitted."""
        return bool(self.counts.get("dev_patients"))

    @property
    def title(self) -> str:
        """The data in words; "" for the embedded ones."""
        return "" if self.source is None else f"{self.source.title}, {self.data.partition(':')[2]} split"


def track_of(task: TaskInfo, data: str) -> Track:
    """The track of a task and of what a result calls its data.

    Raises:
        DataError: There is no such track; the message says which data there are.
    """
    if data == PHANTOM:
        return _embedded(task)
    named = named_source(data)
    if named is None or "=" in data:
        raise DataError(
            "it ran on a folder, which nobody else can measure; submit a run with --data phantom, or with a published "
            "split of a public source"
        )
    if task.name not in named.source.tasks:
        raise DataError(f"{named.source.name} is no source for task {task.name}; see bench list data")
    if not named.split:
        known = [f"--data {named.source.name}:{name}" for name in names_of(named.source.name)]
        fix = f"run it with {' or '.join(known)}" if known else "no split of that source is published yet"
        raise DataError(f"it ran on whatever its folder of {named.source.name} holds; {fix}")
    try:
        return _real(task, named.source, published(named.source.name, named.split))
    except UsageError as error:
        raise DataError(str(error)) from error


def _embedded(task: TaskInfo) -> Track:
    split, count = task.split, task.split.train
    counts = {"train_patients": count, "holdout_patients": count, "test_patients": split.test}
    counts |= {"dev_patients": split.dev, "fresh_patients": split.fresh}
    sides = {"train_patient": range(count), "holdout_patient": range(count, 2 * count)}
    pools = {
        side: [patient for patient in patients for _ in range(scan_count(task.family, patient))]
        for side, patients in sides.items()
    }
    return Track(task, PHANTOM, None, "", counts, pools)


def _real(task: TaskInfo, source: Source, split: PublishedSplit) -> Track:
    counts: dict[str, int | None] = {}
    for side in SIDES:
        patients, images = split.counts.get(side, (None, None))
        counts |= {f"{side}_patients": patients, f"{side}_images": images}
    pools: dict[str, list[int]] = {"train_patient": [], "holdout_patient": []}
    known = [one for one in split.members if one.side in ("train", "holdout")]
    for number, one in enumerate(known):
        pools[f"{one.side}_patient"] += [number] * len(one.scans)
    return Track(task, split.data, source, split.ids, counts, pools)


def given_data(identity: Identity, given: str) -> str:
    """What ``--data`` must say to have a result's images here.

    Args:
        identity: Of the result.
        given: A folder, or NAME:SPLIT=DIR; "" for the default folder of the source.

    Raises:
        UsageError: Other data are given than the result's.
    """
    if identity.data == PHANTOM:
        if given:
            raise UsageError("it ran on the embedded data; leave --data out")
        return PHANTOM
    if not given:
        return identity.data
    name, equals, folder = given.partition("=")
    if equals and name not in (identity.data, identity.data.partition(":")[0]):
        raise UsageError(f"it ran on {identity.data}, not on {name}; give --data {identity.data}=DIR")
    return f"{identity.data}={folder if equals else given}"


def images_of(identity: Identity, given: str, *, out: Path, track: Progress = silent) -> Splits:
    """The very images that a result stands for, read here.

    Args:
        identity: Of the result.
        given: See :func:`given_data`.
        out: Folder of all runs, whose stages are used.
        track: Shows progress.

    Raises:
        UsageError: Other data are given than the result's.
        MemobenchError: They are not here, or are other patients, or were prepared from other files: nothing can be said
            of the result with them.
    """
    from memobench.data.splits import load_splits  # which needs torch, and a board needs none

    task = TASKS.get(identity.task)
    shape = tuple(identity.shape)
    splits, _, _ = load_splits(task, given_data(identity, given), shape, store=Store(out / ".stages"), track=track)
    if identity.split_ids != splits.ids:
        raise MemobenchError(
            f"your images of {identity.data} are of other patients than those of the run (ids {splits.ids[:12]} and "
            f"{identity.split_ids[:12]}); use the published split, with the publisher's files unchanged"
        )
    if identity.split_digest != splits.digest:
        raise MemobenchError(
            f"your images of {identity.data} are not those of the run: the same patients, but other pixels (digest "
            f"{splits.digest[:12]} and {identity.split_digest[:12]}); prepare them from the publisher's own files, "
            "with the same version of memobench"
        )
    return splits

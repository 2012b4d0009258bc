"""Published splits of public sources: who stands where, so that runs of different people make one track of the board.

A split lies in ``tasks/splits/<source>-<name>.json``. It holds ids, where the source's licence lets them be published,
or digests of ids, which say as much to everybody who holds the data and name nobody to others. A digest of a short id
can be guessed by trying all ids; it is there so that no list of a source's patients is handed on.

Where the publisher's tools name an examination differently from version to version, a split names the patient alone
(``"*"``): the only scan that this patient has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from memobench.base.errors import DataError, UsageError
from memobench.data.public._source import Record, Source, named_source

MINI = "mini"
SIDES = ("train", "holdout", "test", "dev", "fresh")
ONLY = "*"  # the patient's only scan, whatever it is called
FOLDER = files("memobench.tasks") / "splits"
VERSION = 1
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Member:
    """One patient of a split.

    Attributes:
        side: One of :data:`SIDES`.
        patient: The id, or its digest.
        scans: Ids of the images, or their digests, in the order of the ids; or :data:`ONLY` alone.
    """

    side: str
    patient: str
    scans: tuple[str, ...]


@dataclass(frozen=True)
class PublishedSplit:
    """Who stands where.

    Attributes:
        source: Name of the source.
        name: Of the split, for example "mini".
        rule: How it was drawn, for people.
        digests: Whether members are named by digests of their ids.
        ids: SHA-256 over the ids, side by side (:func:`ids_digest`): the name by which results know the split.
        members: In the order of the patients' ids.
    """

    source: str
    name: str
    rule: str
    digests: bool
    ids: str
    members: tuple[Member, ...]

    @property
    def data(self) -> str:
        """What ``--data`` takes, without a folder."""
        return f"{self.source}:{self.name}"

    @property
    def content(self) -> str:
        """A digest of all that chooses images; the words of the rule are left out."""
        held = [[one.side, one.patient, one.scans] for one in self.members]
        return hashlib.sha256(json.dumps([self.ids, self.digests, held]).encode()).hexdigest()

    @cached_property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Patients and images of each side that has any."""
        found: dict[str, tuple[int, int]] = {}
        for one in self.members:
            patients, images = found.get(one.side, (0, 0))
            found[one.side] = (patients + 1, images + len(one.scans))
        return found

    def choose(self, records: Sequence[Record]) -> tuple[list[Record], list[str]]:
        """The records of the split and the side of each, in the order of patients and scans.

        Args:
            records: What a folder lists.

        Returns:
            The records, and for each the side on which its patient stands. What is not there is left out.

        Raises:
            DataError: A patient of whom one scan is meant has several.
        """
        held: dict[str, list[Record]] = {}
        for record in records:
            held.setdefault(self._patient(record), []).append(record)
        chosen = []
        for one in self.members:
            there = sorted(held.get(one.patient, []), key=lambda record: record.scan)
            if one.scans == (ONLY,):
                if len(there) > 1:
                    raise DataError(
                        f"{self.data}: {there[0].patient} has {len(there)} scans in that folder, and the split means "
                        "the only one; use the publisher's folder unchanged"
                    )
                chosen += [(record, one.side) for record in there]
                continue
            wanted = set(one.scans)
            chosen += [(record, one.side) for record in there if self._scan(record) in wanted]
        chosen.sort(key=lambda pair: (pair[0].patient, pair[0].scan))
        return [record for record, _ in chosen], [side for _, side in chosen]

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(len(one.scans) for one in self.members)

    def _patient(self, record: Record) -> str:
        return id_digest(self.source, record.patient) if self.digests else record.patient

    def _scan(self, record: Record) -> str:
        return id_digest(self.source, record.patient, record.scan) if self.digests else record.scan


def id_digest(source: str, *ids: str) -> str:
    """The digest that stands for an id in a split that may not hold ids, 16 hexadecimal digits.

    >>> id_digest("mrnet", "0003")
    'c972f2ba3aa11137'
    """
    return hashlib.sha256("\x1f".join([source, *ids]).encode()).hexdigest()[:16]


def ids_digest(source: str, members: Sequence[tuple[str, str, str]]) -> str:
    """SHA-256 over who stands where: no image is needed to compare it.

    Args:
        source: Name of the source.
        members: Side, patient and scan of each image, in any order.
    """
    return hashlib.sha256(json.dumps([source, sorted(members)]).encode()).hexdigest()


def published(source: str, name: str) -> PublishedSplit:
    """A published split.

    Raises:
        UsageError: There is none of this name.
        DataError: Its file is none.
    """
    file = FOLDER / f"{source}-{name}.json"
    if not file.is_file():
        known = [one for one in names_of(source)]
        there = f"it has {', '.join(known)}" if known else f"none is published; leave :{name} out"
        raise UsageError(f'{source} has no split "{name}": {there}')
    try:
        value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        members = tuple(Member(side, patient, tuple(scans)) for side, patient, scans in value["members"])
        split = PublishedSplit(value["source"], value["name"], value["rule"], value["digests"], value["ids"], members)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no split ({error}); restore it from the repository") from error
    if odd := sorted({one.side for one in members} - {*SIDES}):
        raise DataError(f"{file}: there is no side {odd[0]}; restore it from the repository")
    return split


def names_of(source: str) -> list[str]:
    """The names of a source's published splits, sorted."""
    if not FOLDER.is_dir():
        return []
    stems = [one.name.removesuffix(".json") for one in FOLDER.iterdir() if one.name.endswith(".json")]
    return sorted(stem.removeprefix(f"{source}-") for stem in stems if stem.startswith(f"{source}-"))


def draw(
    source: Source, records: Sequence[Record], patients: int, name: str = MINI, *, rule: str = ""
) -> PublishedSplit:
    """Draw a split to be published, from what a folder of the source lists.

    So many patients are drawn with a seed of the source's name, and assigned to the sides by one draw, whatever the
    publisher lists for testing: with fewer than 256 a third each to train, holdout, and test with fresh.

    Args:
        source: The source.
        records: All its records.
        patients: How many patients, at most.
        name: Of the split.
        rule: What a reader should know of the records that were drawn from, in words.
    """
    import numpy as np

    from memobench.base.seeds import generator_for
    from memobench.data.folder import deal  # which needs torch, and a board needs none

    every = np.unique([record.patient for record in records])
    chosen = generator_for(0, "published split", source.name, name).permutation(every)[:patients]
    side_of = {patient: side for side, held in deal(np.sort(chosen)).items() for patient in held.tolist()}
    scans: dict[str, list[str]] = {}
    for record in sorted(records, key=lambda one: (one.patient, one.scan)):
        if record.patient in side_of:
            scans.setdefault(record.patient, []).append(record.scan)
    triples = [(side_of[patient], patient, scan) for patient, held in scans.items() for scan in held]
    hidden = not source.shares
    members = [
        Member(
            side_of[patient],
            id_digest(source.name, patient) if hidden else patient,
            tuple(scan if scan == ONLY or not hidden else id_digest(source.name, patient, scan) for scan in held),
        )
        for patient, held in sorted(scans.items())
    ]
    drawn = f"{len(members)} patients drawn with a seed of the source's name and assigned to the sides by one draw"
    words = f"{drawn}; {rule}".rstrip("; ")
    return PublishedSplit(source.name, name, words, hidden, ids_digest(source.name, triples), tuple(members))


def split_of_folder(data: str, patients: int, name: str = MINI, rule: str = "") -> PublishedSplit:
    """:func:`draw` from the folder of a source.

    Args:
        data: NAME or NAME=DIR.
        patients: How many patients, at most.
        name: Of the split: small letters, digits and hyphens.
        rule: What a reader should know of the images in that folder.

    Raises:
        UsageError: No such source, or no such name.
        DataError: The folder holds none of the source's images, or too few patients.
    """
    from memobench.data.files.archives import folder_of

    named = named_source(data)
    if named is None or named.split:
        raise UsageError(f'"{data}" is no source; give NAME=DIR with a name of bench list data')
    if not NAME.fullmatch(name):
        raise UsageError(f'"{name}" is no name for a split; use small letters, digits and hyphens')
    root = folder_of(named.root)
    there = [one for one in named.source.records(root) if not one.passed]
    records = [one for one in there if all((root / file).is_file() for file in one.files)]
    if not records:
        raise named.source.missing(root, "no image was found in the publisher's layout")
    return draw(named.source, records, patients, name, rule=rule)


def as_text(split: PublishedSplit) -> str:
    """The file of a split: one patient a line."""
    head: Mapping[str, Any] = {
        "version": VERSION,
        "source": split.source,
        "name": split.name,
        "rule": split.rule,
        "digests": split.digests,
        "ids": split.ids,
    }
    lines = [json.dumps([one.side, one.patient, list(one.scans)], ensure_ascii=False) for one in split.members]
    opened = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    return opened + ',\n "members": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"


def ids_of_sides(source: str, sides: Mapping[str, Any]) -> str:
    """:func:`ids_digest` of images that stand side by side.

    Args:
        source: Name of the source.
        sides: Images by side; a side may be None.
    """
    members = [
        (side, patient, scan)
        for side, images in sides.items()
        if images is not None
        for patient, scan in zip(images.patients.tolist(), images.scans.tolist(), strict=True)
    ]
    return ids_digest(source, members)

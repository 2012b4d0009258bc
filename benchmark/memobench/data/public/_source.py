"""What a public data source is: what it holds, who may have it, how its publisher's folder is listed and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.home import home
from memobench.base.registry import Registry
from memobench.data.files.picture import Raw, picture

Access = Literal["open", "registration", "private"]


@dataclass(frozen=True)
class Record:
    """One image or volume in the publisher's folder.

    Attributes:
        files: Paths relative to the folder with forward slashes; several are the slices of one volume.
        patient: Who it shows.
        scan: Which examination, unique within the source.
        test: Whether the publisher lists the patient for testing (or validation).
        member: Array and row within a file that holds many, as ("train_images", 7).
        passed: Why it is not used though it is there, to be put behind a number ("CT series of fewer than 8 slices");
            "" for what is used.
    """

    files: tuple[str, ...]
    patient: str
    scan: str
    test: bool = False
    member: tuple[str, int] | None = None
    passed: str = ""


@dataclass(frozen=True)
class Recipe:
    """What a source adds to the one rule by which values become [0, 1] (:mod:`memobench.data.files.picture`).

    Attributes:
        window: The values that are cut off at both ends before the percentile range is taken (Hounsfield units in
            CT), in place of the file's own window; None for the file's own, if it has one.
        field_mm: Side of a cube or square about the centre that is kept, in mm, padded with 0 where the scan is
            smaller; the pixel's size is then ``field_mm`` by the task's side. None keeps the whole image.
    """

    window: tuple[float, float] | None = None
    field_mm: float | None = None

    def __str__(self) -> str:
        """The recipe in words, for tables."""
        cut = f"window {self.window[0]:g} to {self.window[1]:g}, then percentiles" if self.window else "percentiles"
        return f"{cut}; {'whole image' if self.field_mm is None else f'central {self.field_mm:g} mm'}"


@dataclass(frozen=True)
class Download:
    """A file that its publisher offers to everybody.

    Attributes:
        url: Where it is.
        md5: The publisher's checksum, in hex digits.
        unpack: It is a tar archive that is to be unpacked.
    """

    url: str
    md5: str
    unpack: bool = False

    @property
    def name(self) -> str:
        """The file's name, from the address."""
        return self.url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes:
        name: What ``--data`` takes.
        title: The publisher's name of it.
        modality: For people.
        dim: 2 for images, 3 for volumes (2D tasks then get the middle slice of the first axis).
        tasks: The tasks that it fits.
        patients: How many, in words where it is not known exactly.
        images: How many images or volumes.
        size: What the download takes.
        licence: In the publisher's terms, or "unknown".
        licence_source: Where the licence was read, or what could not be confirmed.
        access: Who may have it.
        citation: What to cite.
        how_to_get: The steps, for people.
        stands_for: Which data set of the study (Dar et al.) it is, or stands for; "" for none.
        split: What the publisher's ids and lists give.
        records: Lists the images of a folder that holds the data as published, and what is there and not used.
        read: Reads one of them.
        recipe: How it is brought to the task's shape.
        shares: Whether its licence lets ids, and derived images such as samples of a generator that learned from it, be
            published.
        downloads: What ``bench data fetch`` gets; none where a registration, or no checksum, is in the way.
        most_patients: As many are used at most, drawn by the split rule.
        version: Changes with anything that changes an image or a split.
    """

    name: str
    title: str
    modality: str
    dim: int
    tasks: tuple[str, ...]
    patients: str
    images: str
    size: str
    licence: str
    licence_source: str
    access: Access
    citation: str
    how_to_get: str
    stands_for: str
    split: str
    records: Callable[[Path], list[Record]]
    read: Callable[[Path, Record], Raw]
    recipe: Recipe = Recipe()
    shares: bool = False
    downloads: tuple[Download, ...] = ()
    most_patients: int = 4096
    version: str = "1"

    def missing(self, root: Path, reason: str) -> DataError:
        """The error for data that are not there, with the way to get them."""
        fetch = f"`bench data fetch {self.name}`, or: " if self.downloads else ""
        return DataError(
            f"{self.name}: {reason} in {root}. How to get it ({self.access}): {fetch}{self.how_to_get} Put it there, "
            f"or say --data {self.name}=DIR; --data phantom needs no data"
        )


SOURCES: Registry[Source] = Registry("data source", "memobench.data.public", "memobench.sources")


def data_folder(name: str) -> Path:
    """The folder of a source's data where no other is given."""
    return home() / "data" / name


@dataclass(frozen=True)
class Named:
    """What ``NAME``, ``NAME=DIR``, ``NAME:SPLIT`` or ``NAME:SPLIT=DIR`` mean.

    Attributes:
        source: The source.
        root: The folder of its data.
        split: Name of a published split of it; "" for all that the folder holds.
    """

    source: Source
    root: Path
    split: str

    @property
    def data(self) -> str:
        """What a result says of its data; never a path."""
        return f"{self.source.name}:{self.split}" if self.split else self.source.name


def named_source(data: str) -> Named | None:
    """The source, folder and split that a word means; None for "phantom" and plain folders."""
    name, equals, folder = data.partition("=")
    name, colon, split = name.partition(":")
    if name not in SOURCES.names() or name == "phantom" or (colon and not split):
        return None
    return Named(SOURCES.get(name), Path(folder).expanduser() if equals else data_folder(name), split)


def data_kind(data: str) -> str:
    """What a result says of its data: "phantom", the name of a source and of its split, or "folder"; never a path."""
    found = named_source(data)
    return "phantom" if data == "phantom" else found.data if found else "folder"


def scaled(raw: Raw, recipe: Recipe) -> NDArray[np.float32]:
    """Values to float32 in [0, 1] as everywhere, within the recipe's window where it has one.

    Raises:
        Unreadable: The values are NaN, infinite or constant, or are all the same within the window.

    >>> scaled(Raw(np.array([[-1000.0, 0.0, 1000.0, 3000.0]])), Recipe(window=(-1000, 1000))).round(2).tolist()
    [[0.0, 0.5, 1.0, 1.0]]
    """
    if recipe.window is None:
        return picture(raw).pixels
    low, high = recipe.window

    def cut(values: NDArray[Any]) -> NDArray[np.floating]:
        return np.asarray(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1))

    return picture(replace(raw, window=cut), within=f"within the window {low:g} to {high:g}").pixels

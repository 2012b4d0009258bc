"""Poses that lie outside the detector's search: whole sets, or single images, turned, reordered, inverted or framed.

The detector finds copies that are mirrored, turned by up to 30 degrees, zoomed and shifted. A sampling script that
forgets the affine of a volume, an array in another axis order, a picture lying on its side, black and white exchanged
or a letterbox lie beyond that, and a set of exact copies would pass. So before anything is matched, each synthetic
image is compared with the real ones in all poses, at low resolution, and is brought to the pose of the real ones where
that is clearly better.

The choice is blind: train and holdout are one unlabelled pool. *Clearly* is set by the real images themselves, which
undergo the same choice against other patients. Ordinary images are therefore left as they are, to the last bit. An
image is changed where one of these holds:

1. **The whole set lies in one other pose.** Most of its images agree better in that pose than as they stand, and real
   images do so too rarely for that to be chance (a binomial test over images that differ from each other). Single
   images may be unclear; together they are not.
2. **A part of the set does.** The p-values of its images, from the real images' gains, pass the procedure of Benjamini
   and Hochberg (1995, doi 10.1111/j.2517-6161.1995.tb02031.x).
3. **A single image** agrees with a real image in another pose far better than any real image does with another
   patient's in any: a copy.

Images with a frame (letterbox, padding) are compared by what is within it, and laid into the content of the real image
that they resemble most.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from torch.nn import functional as F

from memobench.base.seeds import generator_for
from memobench.data.resample import resize
from memobench.detection.content import content_boxes
from memobench.detection.register import band
from memobench.images import Images

SIDES = {2: 16, 3: 8}  # of the images that are compared
ENOUGH = 8  # real images to tell a pose by, at least
NULL = 512  # real images that undergo the choice, at most
CLEAR = 0.5  # by which a single image's gain and agreement surpass those of 99% of real images (Fisher's z)
LEAST = 0.1  # gain that counts at all, in Fisher's z
RARE = 1e-4  # p-value of a set in another pose
MOST = 0.6  # share of a set that lies in another pose, at least, where the set is said to
FALSE = 0.01  # share of false ones among the images of a part in another pose
GROUP = 4  # different images in such a part, at least
TOGETHER = 1024  # images that are asked about the pose of the set, at most
SAME = 0.95  # correlation at low resolution from which on two synthetic images count as one
TYPICAL = 0.05  # quantile of the real images' agreement that a set in another pose must reach on average
STRANGE = 0.01  # quantile of the real images' agreement below which most of a set must lie to be strange
_QUERIES = 1024  # multiplied with the pool at once
_EDGE = 0.9995  # correlation beyond which Fisher's z is cut off


@dataclass(frozen=True)
class Change:
    """What was done to an image before it was matched.

    Attributes:
        axes: The order of the axes, as for ``numpy.transpose``.
        flips: Which of the axes, in the new order, were reversed.
        inverted: Whether bright and dark were exchanged.
        cropped: Whether an even frame was taken away.
    """

    axes: tuple[int, ...]
    flips: tuple[bool, ...]
    inverted: bool = False
    cropped: bool = False

    @property
    def words(self) -> str:
        """In words, to stand behind "shown ...": "turned by 90 degrees, inverted"."""
        parts = [self._turn]
        if self.inverted:
            parts.append("inverted")
        if self.cropped:
            parts.append("without its frame")
        return ", ".join(part for part in parts if part) or "as it stands"

    @property
    def _turn(self) -> str:
        if len(self.axes) == 2:
            return _TURNS[self.axes, self.flips]
        names = "zyx"
        parts = []
        if self.axes != tuple(range(3)):
            parts.append(f"with the axes in the order {', '.join(names[axis] for axis in self.axes)}")
        if any(self.flips):
            reversed_axes = [name for name, flip in zip(names, self.flips, strict=True) if flip]
            parts.append(f"reversed along {' and '.join(reversed_axes)}")
        return ", ".join(parts)

    def turned(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """An image (*S) in the other orientation, a view; its sides change places as the axes do."""
        return image.transpose(self.axes)[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def applied(
        self, image: NDArray[np.float32], box: NDArray[np.int64], target: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """An image (*S) as it is matched.

        Args:
            image: (*S) in [0, 1].
            box: (dim, 2) its content, taken where ``cropped``.
            target: (dim, 2) where the content is laid, taken where ``cropped``.

        Returns:
            (*S), exact where sides are equal and nothing is cropped, else resampled.
        """
        made = image
        if self.cropped:
            made = image[tuple(slice(*ends) for ends in box)]
        made = self.turned(made)
        if self.inverted:
            made = 1 - made
        if not self.cropped:
            return np.ascontiguousarray(resize(np.ascontiguousarray(made), image.shape))
        inner = resize(np.ascontiguousarray(made), tuple(int(last - first) for first, last in target))
        around = [(int(first), int(side - last)) for (first, last), side in zip(target, image.shape, strict=True)]
        return np.pad(inner, around, mode="edge")


@dataclass(frozen=True)
class Upright:
    """Images in the pose of the real ones.

    Attributes:
        pixels: (N, *S) as they are to be matched; the very array that was given where nothing was changed.
        changed: What was done to each; None where it was left as it is.
        set_pose: What was done to the set as a whole; None where it lies as the real images do.
        strange: Whether the set resembles the real images in no pose, so that nothing brings it to common ground.
        notes: What a reader must know, one sentence each.
    """

    pixels: NDArray[np.float32]
    changed: tuple[Change | None, ...]
    set_pose: Change | None
    strange: bool
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many images were changed."""
        return sum(change is not None for change in self.changed)

    @property
    def odd(self) -> bool:
        """Whether the poses should be looked at before the set is released."""
        return self.strange or self.count > 0


def upright(samples: NDArray[np.float32], real: Images, *, name: str = "synthetic") -> Upright:
    """Bring images to the pose of the real ones, each and as a set, where that is clearly better.

    Args:
        samples: (N, *S) in [0, 1].
        real: Train and holdout together, of the same shape; their order is not regarded.
        name: What the samples are called in notes.

    Returns:
        The images and what was done. With fewer than 8 real images, or none of another patient, nothing is done.
    """
    if not _enough(samples, real):
        return Upright(samples, (None,) * len(samples), None, strange=False, notes=())
    made, pool = _Seen.of(samples), _Seen.of(real.pixels)
    return _brought(samples, made, pool, _compared(made, pool, real), name)


def set_pose(images: Images, real: Images) -> Change | None:
    """In what other pose a set of real images lies as a whole, seen from another set; None where in the same.

    Args:
        images: Of one set, such as the holdout.
        real: Of the other, such as train.
    """
    if not _enough(images.pixels, real):
        return None
    choice = _compared(_Seen.of(images.pixels), _Seen.of(real.pixels), real)
    found = None if choice.set_row < 0 else choice.classes.changes[choice.set_row]
    return None if found is None or found.cropped else found


def _enough(samples: NDArray[np.float32], real: Images) -> bool:
    return len(samples) > 0 and len(real) >= ENOUGH and real.patient_count > 1


def oriented(pixels: NDArray[np.float32], change: Change) -> NDArray[np.float32]:
    """All of (N, *S) images in one other orientation; none is cropped.

    >>> half = Change((1, 0), (True, False))
    >>> oriented(np.array([[[0.0, 1.0], [0.0, 1.0]]], dtype=np.float32), half).tolist()
    [[[1.0, 1.0], [0.0, 0.0]]]
    """
    nowhere = np.zeros((pixels.ndim - 1, 2), dtype=np.int64)
    return np.stack([change.applied(np.asarray(image), nowhere, nowhere) for image in pixels])


def _names() -> dict[tuple[tuple[int, ...], tuple[bool, ...]], str]:
    """The eight poses of a picture in words. Turns are clockwise, as the picture is now shown."""
    return {
        ((0, 1), (False, False)): "",
        ((0, 1), (False, True)): "mirrored",
        ((0, 1), (True, True)): "turned by 180 degrees",
        ((0, 1), (True, False)): "turned by 180 degrees and mirrored",
        ((1, 0), (False, True)): "turned by 90 degrees",
        ((1, 0), (False, False)): "turned by 90 degrees and mirrored",
        ((1, 0), (True, False)): "turned by 270 degrees",
        ((1, 0), (True, True)): "turned by 270 degrees and mirrored",
    }


_TURNS = _names()


def orientations(dim: int) -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """All orders of the axes with all reversals: 8 in 2D, 48 in 3D, the one as it stands first."""
    flips = list(itertools.product((False, True), repeat=dim))
    return [(axes, flip) for axes in itertools.permutations(range(dim)) for flip in flips]


@dataclass(frozen=True)
class _Classes:
    """Every pose as a row of a table: orientations by polarity (2) by frame (2).

    Attributes:
        changes: What each row does.
        own: (K,) rows that the detector's own search covers: as it stands, and mirrored along the last axis.
    """

    changes: tuple[Change, ...]
    own: NDArray[np.bool_]

    def kin(self, row: int) -> NDArray[np.bool_]:
        """(K,) rows that differ from one only by what the detector's search covers, framed or not."""
        first = self.changes[row]
        return np.array(
            [
                one.axes == first.axes and one.inverted == first.inverted and one.flips[:-1] == first.flips[:-1]
                for one in self.changes
            ]
        )


def _classes(dim: int) -> _Classes:
    changes = tuple(
        Change(axes, flips, inverted, cropped)
        for axes, flips in orientations(dim)
        for inverted in (False, True)
        for cropped in (False, True)
    )
    straight = tuple(range(dim))
    own = [one.axes == straight and not any(one.flips[:-1]) and not one.inverted and not one.cropped for one in changes]
    return _Classes(changes, np.array(own))


@dataclass(frozen=True)
class _Seen:
    """Images as they are compared.

    Attributes:
        whole: (N, s, ..., s) band-passed at low resolution, each of mean 0 and length 1.
        inner: The same of what lies within the frame.
        boxes: (N, dim, 2) where that is.
        framed: (N,) whether there is a frame.
    """

    whole: NDArray[np.float32]
    inner: NDArray[np.float32]
    boxes: NDArray[np.int64]
    framed: NDArray[np.bool_]

    @classmethod
    def of(cls, pixels: NDArray[np.float32]) -> _Seen:
        """Look at (N, *S) images."""
        shape = pixels.shape[1:]
        boxes = content_boxes(pixels)
        framed = (boxes != [[0, side] for side in shape]).any(axis=(1, 2))
        whole = _low(pixels, None)
        inner = whole.copy()
        if framed.any():
            inner[framed] = _low(pixels[framed], boxes[framed])
        return cls(whole, inner, boxes, framed)

    @cached_property
    def flat(self) -> NDArray[np.float32]:
        """(N, P) as :attr:`whole`."""
        return self.whole.reshape(len(self.whole), -1)

    @cached_property
    def flat_inner(self) -> NDArray[np.float32]:
        """(N, P) as :attr:`inner`."""
        return self.inner.reshape(len(self.inner), -1)


def _low(pixels: NDArray[np.float32], boxes: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """(N, *S) to (N, s, ..., s): averaged to low resolution, band-passed, of mean 0 and length 1."""
    dim = pixels.ndim - 1
    side = (SIDES[dim],) * dim

    def pooled(images: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(images, SIDES[2]) if dim == 2 else F.adaptive_avg_pool3d(images, SIDES[3])

    made = np.empty((len(pixels), *side), dtype=np.float32)
    for start in range(0, len(pixels), _QUERIES // 4):
        some = slice(start, start + _QUERIES // 4)
        if boxes is None:
            small = pooled(torch.from_numpy(np.array(pixels[some], dtype=np.float32))[:, None])
        else:
            parts = [
                image[tuple(slice(*ends) for ends in box)] for image, box in zip(pixels[some], boxes[some], strict=True)
            ]
            small = torch.stack([pooled(torch.from_numpy(np.array(part))[None]) for part in parts])
        detail = band(small, 0.6, SIDES[dim] / 5).flatten(1)
        detail = detail - detail.mean(dim=1, keepdim=True)
        length = detail.norm(dim=1, keepdim=True)
        detail = torch.where(length > 1e-4, detail / length.clamp_min(1e-4), torch.zeros_like(detail))
        made[some] = detail.reshape(-1, *side).numpy()
    return made


def _table(asked: _Seen, pool: _Seen, own: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """(K, N): the best agreement of each image with the pool in each pose, as Fisher's z; -inf where it is not asked.

    Args:
        asked: N images.
        pool: M images.
        own: (N, M) pairs of one patient, which are passed over; None for none.
    """
    dim = asked.whole.ndim - 1
    places = orientations(dim)
    table = np.full((len(places), 2, 2, len(asked.whole)), -np.inf, dtype=np.float32)
    compared = np.flatnonzero(asked.framed | pool.framed.any())
    for number, (axes, flips) in enumerate(places):
        change = Change(axes, flips)
        for start in range(0, len(asked.whole), _QUERIES):
            rows = np.arange(start, min(start + _QUERIES, len(asked.whole)))
            table[number, :, 0, rows] = _best(asked.whole, pool.flat, change, rows, own).T
        for start in range(0, len(compared), _QUERIES):
            rows = compared[start : start + _QUERIES]
            table[number, :, 1, rows] = _best(asked.inner, pool.flat_inner, change, rows, own, asked, pool).T
    table[:, :, 1] -= LEAST  # taking a frame away must be worth it
    return table.reshape(-1, len(asked.whole))


def _products(
    images: NDArray[np.float32], pool: NDArray[np.float32], change: Change, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(len(rows), M) correlations in one orientation."""
    some = np.stack([change.turned(images[row]) for row in rows]).reshape(len(rows), -1)
    return np.asarray(some @ pool.T)


def _best(  # noqa: PLR0913  the data of a comparison
    images: NDArray[np.float32],
    pool: NDArray[np.float32],
    change: Change,
    rows: NDArray[np.int64],
    own: NDArray[np.bool_] | None,
    asked: _Seen | None = None,
    framed: _Seen | None = None,
) -> NDArray[np.float32]:
    """(2, len(rows)): the best agreement as it is, and inverted."""
    products = _products(images, pool, change, rows)
    passed = None if own is None else own[rows]
    if asked is not None and framed is not None:  # where neither has a frame, nothing new is compared
        bare = ~(asked.framed[rows][:, None] | framed.framed[None])
        passed = bare if passed is None else passed | bare
    if passed is None:
        best = np.stack([products.max(axis=1), -products.min(axis=1)])
        plain: NDArray[np.float32] = np.arctanh(np.clip(best, -_EDGE, _EDGE)).astype(np.float32)
        return plain
    best = np.stack(
        [
            np.where(passed, -np.inf, products).max(axis=1),
            np.where(passed, -np.inf, -products).max(axis=1),
        ]
    )
    found = np.arctanh(np.clip(best, -_EDGE, _EDGE))
    return np.where(np.isinf(best), -np.inf, found).astype(np.float32)


@dataclass(frozen=True)
class _Choice:
    """The pose of each image.

    Attributes:
        rows: (N,) the row of the table that is taken; -1 to leave an image as it is.
        set_row: The row of the whole set; -1 where it lies as the real images do.
        strange: Whether the set resembles the real images in no pose.
        classes: The rows.
    """

    rows: NDArray[np.int64]
    set_row: int
    strange: bool
    classes: _Classes


def _compared(made: _Seen, pool: _Seen, real: Images) -> _Choice:
    """What pose each image and the whole set has, judged by the same choice for real images against other patients."""
    asked = real.some_patients(NULL, generator_for(0, "pose null"))
    null = _table(_Seen.of(asked.pixels), pool, asked.patients[:, None] == real.patients[None])
    return _chosen(_table(made, pool, None), null, made, _classes(len(real.shape)))


def _chosen(table: NDArray[np.float32], null: NDArray[np.float32], made: _Seen, classes: _Classes) -> _Choice:
    count = table.shape[1]
    some = np.unique(np.linspace(0, count - 1, min(count, TOGETHER)).astype(np.int64))
    leaders = some[_different(made.flat[some])]
    real_own = null[classes.own].max(axis=0)
    real_gain, real_best = _gain(null, classes.own)
    typical = float(np.quantile(real_own, TYPICAL))
    set_row = _set_row(table[:, leaders], null, classes, typical)
    if set_row < 0:
        base, base_row = classes.own, np.full(count, -1)
    else:
        base = classes.kin(set_row)
        base_row = np.where(base[:, None], table, -np.inf).argmax(axis=0)
    gain, best = _gain(table, base)
    other = np.where(base[:, None], -np.inf, table).argmax(axis=0)
    single = (gain > max(np.quantile(real_gain, 0.99), 0.0) + CLEAR) & (best > np.quantile(real_best, 0.99) + CLEAR)
    p_value = (1 + (real_gain[None] >= gain[:, None]).sum(axis=1)) / (1 + len(real_gain))
    p_value = np.where((gain > LEAST) & (best >= typical), p_value, 1.0)
    part = p_value <= _benjamini_hochberg(p_value[leaders])
    rows = np.where(single | part, other, base_row)
    strange = float(np.median(table.max(axis=0)[leaders])) < float(np.quantile(real_own, STRANGE))
    return _Choice(rows.astype(np.int64), set_row, strange, classes)


def _gain(table: NDArray[np.float32], base: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) by how much the best other pose is better than the best of the base, and how good it is."""
    best = table[~base].max(axis=0).astype(np.float64)
    return best - table[base].max(axis=0), best


def _set_row(table: NDArray[np.float32], null: NDArray[np.float32], classes: _Classes, typical: float) -> int:
    """The pose in which most images agree better than as they stand, where that is no chance; -1 for none."""
    own, real_own = table[classes.own].max(axis=0), null[classes.own].max(axis=0)
    count, found = table.shape[1], []
    for row in np.flatnonzero(~classes.own):
        gain = table[row] - own
        better = int((gain > LEAST).sum())
        if better < MOST * count or float(np.median(table[row])) < typical:
            continue
        chance = (1 + int((null[row] - real_own > LEAST).sum())) / (1 + len(real_own))
        if binom.sf(better - 1, count, chance) * len(classes.own) < RARE:
            found.append((float(np.median(gain)), int(row)))
    return max(found)[1] if found else -1


def _different(flat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of images that differ from each other: of near-identical ones the first stands for all."""
    leaders: list[int] = []
    left = np.ones(len(flat), dtype=bool)
    for row in range(len(flat)):
        if left[row]:
            leaders.append(row)
            left &= ~(flat @ flat[row] >= SAME)
    return np.array(leaders, dtype=np.int64)


def _benjamini_hochberg(p_values: NDArray[np.float64]) -> float:
    """The largest p-value that is rejected at the rate ``FALSE``; 0 where fewer than ``GROUP`` are."""
    ordered = np.sort(p_values)
    passed = np.flatnonzero(ordered <= FALSE * np.arange(1, len(ordered) + 1) / len(ordered))
    return float(ordered[passed[-1]]) if len(passed) and passed[-1] + 1 >= GROUP else 0.0


def _brought(samples: NDArray[np.float32], made: _Seen, pool: _Seen, choice: _Choice, name: str) -> Upright:
    changed: list[Change | None] = [None if row < 0 else choice.classes.changes[row] for row in choice.rows]
    whole = None if choice.set_row < 0 else choice.classes.changes[choice.set_row]
    pixels = samples
    if choice.rows.max() >= 0:
        pixels = np.array(samples, dtype=np.float32)
    for k, change in enumerate(changed):
        if change is None:
            continue
        target = made.boxes[k]
        if change.cropped:
            products = _products(made.inner, pool.flat_inner, change, np.array([k]))[0]
            products = np.where(made.framed[k] | pool.framed, -products if change.inverted else products, -np.inf)
            target = pool.boxes[int(products.argmax())]
        pixels[k] = change.applied(samples[k], made.boxes[k], target)
    notes = _notes(changed, whole, choice.strange, name)
    return Upright(pixels, tuple(changed), whole, choice.strange, tuple(notes))


def _notes(changed: Sequence[Change | None], whole: Change | None, strange: bool, name: str) -> list[str]:
    notes = []
    rest = [change for change in changed if change is not None and (whole is None or _kind(change) != _kind(whole))]
    if whole is not None:
        straight = whole.axes == tuple(range(len(whole.axes))) and not any(whole.flips[:-1])
        ways = [
            *([] if straight else ["LIE IN ANOTHER ORIENTATION THAN THE REAL ONES"]),
            *(["ARE INVERTED AGAINST THE REAL ONES"] if whole.inverted else []),
            *(["SHOW ANOTHER FIELD OF VIEW, OR A FRAME"] if whole.cropped else []),
        ]
        notes.append(
            f"THE {name.upper()} IMAGES {' AND '.join(ways)}: they were compared {whole.words}; "
            "check how they are written and read before they are used"
        )
    if rest:
        kinds: dict[str, int] = {}
        for change in rest:
            kinds[change.words] = kinds.get(change.words, 0) + 1
        most = sorted(kinds.items(), key=lambda one: -one[1])
        listed = "; ".join(f"{words} ({count})" for words, count in most[:4])
        listed += "; and other ways" if len(most) > 4 else ""
        count = "1 IMAGE LIES" if len(rest) == 1 else f"{len(rest)} IMAGES LIE"
        notes.append(
            f"{count} IN ANOTHER POSE than the real images, among {len(changed)} {name} ones; compared {listed}"
        )
    if strange:
        notes.append(
            f"THE {name.upper()} IMAGES RESEMBLE THE REAL ONES IN NO ORIENTATION: most resemble them less than 99% of "
            "real images resemble another patient's. If they should, look for another axis order, an oblique turn, "
            "another region, or a fault in reading: copies cannot be found across it"
        )
    return notes


def _kind(change: Change) -> tuple[tuple[int, ...], tuple[bool, ...], bool, bool]:
    """A pose up to the mirroring that the detector's own search covers."""
    return change.axes, change.flips[:-1], change.inverted, change.cropped

"""The search of regions as samples undergo it, and real images of new patients in the same way: their null.

A query is searched as it stands and, where another pose fits better, turned back (:mod:`memobench.detection.turned`);
its better score counts. Real images always have both tries. Blurred queries are searched among real images that were
blurred as much (:mod:`memobench.detection.sharpness`), and their scores brought to the scale of sharp ones: to the
score that a sharp image of a new patient reaches as seldom as a blurred one reaches theirs. The coarse search
(:mod:`memobench.detection.coarse`), which finds copies without any detail of their own, is brought to the same scale;
the better of both counts, for samples and for the null, a coarse one at a price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.detection.coarse import CoarsePool, coarse_null, coarse_pool, find_coarse
from memobench.detection.regions import Found, RegionPool, find_regions, region_pool
from memobench.detection.sharpness import LEVELS, blur_levels, blurred
from memobench.detection.turned import Turned, box_as_it_was, turned_back
from memobench.images import Images
from memobench.memorization.certainty import NullScores

NULL = 512  # real images that are searched as if they were new patients', at most, if no fewer are asked for
PRICE = 2.0  # what a tail probability of the coarse search is multiplied by, so that regions lose little by its company
FARTHEST, HALVINGS = 1000, 60  # of the search for a score of equal probability


Arrays = Mapping[str, NDArray[Any]]
Keep = Callable[[str, Callable[[], Arrays]], Arrays]


def not_kept(name: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays by a name, made now; the place of a function that finds them where they were made before."""
    return make()


@dataclass
class Ground:
    """All real images as they are searched, and what new patients' images score, at each blur that is asked for.

    Attributes:
        real: All real images, train before holdout.
        owners: (M,) numbers of their patients.
        most: Real images that are searched as if they were new patients', at most.
        keep: Finds arrays that were made before by their name, or makes them; what they depend on beside the images
            and ``most`` is in the name.
        track: Shows progress.
        blurs: Whether blurred queries are searched among images that were blurred as much; else all as sharp ones.

    A copy made by ``dataclasses.replace`` shares what was made already.
    """

    real: Images
    owners: NDArray[np.int64]
    most: int = NULL
    keep: Keep = not_kept
    track: Track = silent
    blurs: bool = True
    _pools: dict[float, RegionPool] = field(default_factory=dict)
    _nulls: dict[float, NullScores] = field(default_factory=dict)
    _coarse: list[CoarsePool] = field(default_factory=list)
    _further: dict[str, NullScores] = field(default_factory=dict)

    def pool(self, blur: float = 0.0) -> RegionPool:
        """The real images, blurred and ready to be searched."""
        if blur not in self._pools:
            self._pools[blur] = region_pool(self.real.pixels, self.owners, blur=blur)
        return self._pools[blur]

    def coarse(self) -> CoarsePool:
        """The real images, ready to be searched coarsely."""
        if not self._coarse:
            self._coarse.append(coarse_pool(self.real.pixels, self.owners))
        return self._coarse[0]

    def null(self) -> NullScores:
        """What real images of new patients score by the better of both searches, sharp as they are."""
        if "either" not in self._further:
            fine = self.fine_null()
            scores = np.asarray(fine.scores, dtype=np.float32)
            if self.coarse().searchable:
                coarse = self.coarse_null()
                scores = np.maximum(scores, _on_scale_of(np.asarray(coarse.scores, np.float32), coarse, fine, PRICE))
            self._further["either"] = NullScores(scores, fine.patients, 1.0)
        return self._further["either"]

    def coarse_null(self) -> NullScores:
        """What the same images score coarsely."""
        if "coarse" not in self._further:
            images = self.real

            def make() -> Arrays:
                rows = null_rows(images, self.most)
                scores = _coarse_null(images, self.coarse(), rows)
                return {"scores": scores, "patients": np.asarray(images.patients[rows])}

            self._further["coarse"] = self._kept(f"coarse null of {self.most}", make)
        return self._further["coarse"]

    def fine_null(self, blur: float = 0.0) -> NullScores:
        """What they score by regions alone, blurred as much."""
        if blur not in self._nulls:

            def make() -> Arrays:
                found = region_null(self.real, self.pool(blur), most=self.most, track=self.track)
                return {"scores": found.scores, "patients": np.asarray(found.patients)}

            self._nulls[blur] = self._kept(f"null of {self.most} at blur {blur:g}", make)
        return self._nulls[blur]

    def _kept(self, name: str, make: Callable[[], Arrays]) -> NullScores:
        arrays = self.keep(name, make)
        return NullScores(arrays["scores"], arrays["patients"].astype(np.str_), 1.0)


def null_rows(images: Images, most: int) -> NDArray[np.int64]:
    """Rows of the real images that are searched as if they were new patients', whole patients at random.

    Args:
        images: All real images.
        most: How many, at most.
    """
    if len(images) <= most:
        return np.arange(len(images))
    names = generator_for(0, "region null").permutation(np.unique(images.patients))
    rank = {name: place for place, name in enumerate(names.tolist())}
    order = np.argsort([rank[name] for name in images.patients.tolist()], kind="stable")
    return np.sort(order[:most])


def region_null(images: Images, pool: RegionPool, *, most: int = NULL, track: Track = silent) -> NullScores:
    """What real images score against other patients, searched as samples are, and blurred as the pool is.

    Args:
        images: All real images.
        pool: The same, ready to be searched.
        most: How many of them are searched, at most.
        track: Shows progress.
    """
    rows = null_rows(images, most)
    owners = pool.owners.cpu().numpy()
    queries = blurred(np.asarray(images.pixels[rows]), pool.blur)
    score = find_regions(queries, pool, owners=owners[rows], track=track).score.max(axis=1)
    turned = turned_back(queries, images.pixels, owners[rows][:, None] == owners[None], always=True)
    if len(turned.rows):
        again = find_regions(turned.pixels, pool, owners=owners[rows][turned.rows], track=track)
        np.maximum.at(score, turned.rows, again.score.max(axis=1))
    return NullScores(score, images.patients[rows], 1.0)


def _coarse_null(images: Images, pool: CoarsePool, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) what some images score coarsely against other patients, as they stand or in their best other pose."""
    owners = pool.owners
    queries = np.asarray(images.pixels[rows])
    score = coarse_null(queries, pool, owners[rows])
    turned = turned_back(queries, images.pixels, owners[rows][:, None] == owners[None], always=True)
    if len(turned.rows):
        np.maximum.at(score, turned.rows, coarse_null(turned.pixels, pool, owners[rows][turned.rows]))
    return score


def search_samples(samples: NDArray[np.float32], ground: Ground, *, passed: NDArray[np.int64] | None = None) -> Found:
    """What samples repeat, each searched as sharp as it is, as it stands and turned back.

    Args:
        samples: (N, *S) in [0, 1].
        ground: Where they are searched.
        passed: (N,) a patient of the ground, by number, whom each is not compared with; None for nobody.

    Returns:
        The candidates of the better pose of each sample, with boxes in the sample as it was given.
    """
    real, null = ground.real, ground.fine_null()
    turned = turned_back(samples, real.pixels, None if passed is None else passed[:, None] == ground.owners[None])
    queries = np.concatenate([samples, turned.pixels]) if len(turned.rows) else np.asarray(samples)
    owners = None if passed is None else np.concatenate([passed, passed[turned.rows]])
    level = blur_levels(queries, real.pixels) if ground.blurs else np.zeros(len(queries), dtype=np.int64)
    parts, order = [], []
    for number, blur in enumerate(LEVELS):
        rows = np.flatnonzero(level == number)
        if not len(rows):
            continue
        own = None if owners is None else owners[rows]
        found = find_regions(queries[rows], ground.pool(blur), owners=own, track=ground.track)
        if blur:
            found = replace(found, score=_on_scale_of(found.score, ground.fine_null(blur), null))
        parts.append(found)
        order.append(rows)
    back = np.argsort(np.concatenate(order), kind="stable")
    names = ("score", "index", "box", "source")
    every = Found(**{name: np.concatenate([getattr(part, name) for part in parts])[back] for name in names})
    if ground.coarse().searchable:
        every = _with_coarse(every, queries, ground, owners)
    return _better(every, turned, len(samples))


def _with_coarse(every: Found, queries: NDArray[np.float32], ground: Ground, passed: NDArray[np.int64] | None) -> Found:
    """One more candidate for each query: whom it repeats coarsely, as a whole."""
    found = find_coarse(queries, ground.coarse(), passed=passed)
    score = _on_scale_of(found.score, ground.coarse_null(), ground.fine_null(), PRICE)
    whole = np.array([[0, side] for side in queries.shape[1:]], dtype=np.int64)
    box = np.broadcast_to(whole, (len(queries), 1, *whole.shape))
    return Found(
        np.concatenate([every.score, score[:, None]], axis=1),
        np.concatenate([every.index, found.index[:, None]], axis=1),
        np.concatenate([every.box, box], axis=1),
        np.concatenate([every.source, box], axis=1),
    )


def _better(every: Found, turned: Turned, count: int) -> Found:
    """Of each sample the candidates in its better pose."""
    chosen = np.arange(count)
    strongest = every.score.max(axis=1)
    box = every.box.copy()
    shape = turned.pixels.shape[1:]
    for place, row in enumerate(turned.rows.tolist(), start=count):
        if strongest[place] > strongest[row]:
            chosen[row] = place
            box[place] = [box_as_it_was(one, turned.poses[place - count], shape) for one in box[place]]
    return Found(every.score[chosen], every.index[chosen], box[chosen], every.source[chosen])


def _on_scale_of(
    score: NDArray[np.float32], theirs: NullScores, ours: NullScores, price: float = 1.0
) -> NDArray[np.float32]:
    """Scores with the same tail probability, times a price, under another null; kept in order."""
    tail = ours.tail
    wanted = np.minimum(price * theirs.tail.survival(score.ravel()), 1.0)
    spread = float(np.ptp(tail.ordered)) + 1e-6
    low = np.full(wanted.shape, tail.ordered[0] - spread)
    high = np.full(wanted.shape, tail.ordered[-1] + FARTHEST * spread)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        likelier = tail.survival(middle) > wanted
        low, high = np.where(likelier, middle, low), np.where(likelier, high, middle)
    return high.reshape(score.shape).astype(np.float32)

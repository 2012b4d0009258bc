"""The search of regions as samples undergo it, and real images of new patients in the same way: their null.

A query is searched as it stands and, where another pose fits better, turned back (:mod:`memobench.detection.turned`);
its better score counts. Real images always have both tries. Blurred queries are searched among real images that were
blurred as much (:mod:`memobench.detection.sharpness`), and their scores brought to the scale of sharp ones: to the
score that a sharp image of a new patient reaches as seldom as a blurred one reaches theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.detection.regions import Found, RegionPool, find_regions, region_pool
from memobench.detection.sharpness import LEVELS, blur_levels, blurred
from memobench.detection.turned import Turned, box_as_it_was, turned_back
from memobench.images import Images
from memobench.memorization.certainty import NullScores
from memobench.stats.tails import fit_tail

NULL = 512  # real images that are searched as if they were new patients', at most, if no fewer are asked for
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

    def pool(self, blur: float = 0.0) -> RegionPool:
        """The real images, blurred and ready to be searched."""
        if blur not in self._pools:
            self._pools[blur] = region_pool(self.real.pixels, self.owners, blur=blur)
        return self._pools[blur]

    def null(self, blur: float = 0.0) -> NullScores:
        """What real images of new patients score, blurred as much."""
        if blur not in self._nulls:

            def make() -> Arrays:
                found = region_null(self.real, self.pool(blur), most=self.most, track=self.track)
                return {"scores": found.scores, "patients": np.asarray(found.patients)}

            arrays = self.keep(f"null of {self.most} at blur {blur:g}", make)
            self._nulls[blur] = NullScores(arrays["scores"], arrays["patients"].astype(np.str_), 1.0)
        return self._nulls[blur]


def region_null(images: Images, pool: RegionPool, *, most: int = NULL, track: Track = silent) -> NullScores:
    """What real images score against other patients, searched as samples are, and blurred as the pool is.

    Args:
        images: All real images.
        pool: The same, ready to be searched.
        most: How many of them are searched, at most.
        track: Shows progress.
    """
    rows = np.arange(len(images))
    if len(rows) > most:
        names = generator_for(0, "region null").permutation(np.unique(images.patients))
        rank = {name: place for place, name in enumerate(names.tolist())}
        order = np.argsort([rank[name] for name in images.patients.tolist()], kind="stable")
        rows = np.sort(order[:most])
    owners = pool.owners.cpu().numpy()
    queries = blurred(np.asarray(images.pixels[rows]), pool.blur)
    score = find_regions(queries, pool, owners=owners[rows], track=track).score.max(axis=1)
    turned = turned_back(queries, images.pixels, owners[rows][:, None] == owners[None], always=True)
    if len(turned.rows):
        again = find_regions(turned.pixels, pool, owners=owners[rows][turned.rows], track=track)
        np.maximum.at(score, turned.rows, again.score.max(axis=1))
    return NullScores(score, images.patients[rows], 1.0)


def search_samples(samples: NDArray[np.float32], ground: Ground, *, passed: NDArray[np.int64] | None = None) -> Found:
    """What samples repeat, each searched as sharp as it is, as it stands and turned back.

    Args:
        samples: (N, *S) in [0, 1].
        ground: Where they are searched.
        passed: (N,) a patient of the ground, by number, whom each is not compared with; None for nobody.

    Returns:
        The candidates of the better pose of each sample, with boxes in the sample as it was given.
    """
    real, null = ground.real, ground.null()
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
            found = replace(found, score=_on_scale_of(found.score, ground.null(blur), null))
        parts.append(found)
        order.append(rows)
    back = np.argsort(np.concatenate(order), kind="stable")
    names = ("score", "index", "box", "source")
    every = Found(**{name: np.concatenate([getattr(part, name) for part in parts])[back] for name in names})
    return _better(every, turned, len(samples))


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


def _on_scale_of(score: NDArray[np.float32], theirs: NullScores, ours: NullScores) -> NDArray[np.float32]:
    """Scores with the same tail probability under another null; kept in order."""
    tail = fit_tail(ours.scores, ours.patients)
    wanted = fit_tail(theirs.scores, theirs.patients).survival(score.ravel())
    spread = float(np.ptp(tail.ordered)) + 1e-6
    low = np.full(wanted.shape, tail.ordered[0] - spread)
    high = np.full(wanted.shape, tail.ordered[-1] + FARTHEST * spread)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        likelier = tail.survival(middle) > wanted
        low, high = np.where(likelier, middle, low), np.where(likelier, high, middle)
    return high.reshape(score.shape).astype(np.float32)

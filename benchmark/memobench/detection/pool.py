"""Which images are compared, and by what: each is judged by an embedding that did not learn from it.

Real images of different folds are never compared: each fold's own images are matched among themselves. A synthetic
image is compared with every real image, and each pair is judged by what did not learn from the real one. In pools small
enough to be searched in full, each fold is searched as deeply as if it were the pool; in a large one the candidates are
those of the whole pool, so that the search costs the same with two folds as with one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memobench.detection.embed import Embedding
from memobench.detection.register import SearchGrid
from memobench.detection.retrieve import AT_ONCE, Prepared, PreparedSome, grids
from memobench.images import Images

LARGE = 1024  # images of a pool, from which on not every one is turned and shifted for every query, but only
SHORTLIST = 256  # those that an embedding finds most similar
EMBEDDED = "embedded-"  # and the number of a fold: the name of a table


@dataclass(frozen=True)
class Part:
    """Images of a pool that are searched together.

    Attributes:
        members: (M,) their rows in the pool.
        images: The pool.
        prepared: (M,) they themselves, ready to be compared.
        judged: For the number of each fold that judges here, (M,) which of the images it judges.
    """

    members: NDArray[np.int64]
    images: Images
    prepared: Prepared | PreparedSome
    judged: dict[int, NDArray[np.bool_]]
    _embedded: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    _making: Lock = field(default_factory=Lock)

    @property
    def large(self) -> bool:
        """Whether it is too large for every pair to be turned and shifted."""
        return len(self.members) > LARGE

    def embedded(self, number: int, embedding: Embedding) -> NDArray[np.float32]:
        """The embeddings (J, D) of the images that a fold judges, made once.

        Args:
            number: The fold's.
            embedding: Its embedding.
        """
        with self._making:
            if number not in self._embedded:
                self._embedded[number] = embedding.embed(self.images.pixels[self.members[self.judged[number]]])
            return self._embedded[number]


class MatchingPool:
    """A pool whose parts are prepared on first use, and once for all queries.

    Args:
        images: The real images.
        judges: (F, N) which image each fold judges.
        device: A torch device.
        tables: What :meth:`tables` gave of the same pool; may be memory-mapped.
    """

    def __init__(
        self,
        images: Images,
        judges: NDArray[np.bool_],
        device: torch.device,
        tables: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self.images = images
        self.judges = judges
        self.device = device
        grids_of, given = _grids(len(images.shape)), dict(tables or {})
        with warnings.catch_warnings():  # of pixels that cannot be written; nothing here writes them
            warnings.simplefilter("ignore", UserWarning)
            made = {grid: torch.from_numpy(given[n]).to(device) for n, grid in grids_of.items() if n in given}
            self._whole = Prepared(torch.from_numpy(np.asarray(images.pixels))[:, None].to(device), made)
        self._embedded = {n: given[f"{EMBEDDED}{n}"] for n in range(len(judges)) if f"{EMBEDDED}{n}" in given}
        self._parts: dict[bool, list[Part]] = {}
        self._making = Lock()  # several threads may ask

    def parts(self, *, apart: bool) -> list[Part]:
        """What is searched, part by part.

        Args:
            apart: Whether the folds must be kept apart, as for real queries; else they are where the pool is small.
        """
        apart = apart or len(self.images) <= LARGE
        with self._making:
            if apart not in self._parts:
                groups = [[number] for number in range(len(self.judges))] if apart else [list(range(len(self.judges)))]
                self._parts[apart] = [self._part(group) for group in groups if self.judges[group].any()]
            return self._parts[apart]

    def tables(self, embeddings: Sequence[Embedding], *, apart: bool) -> dict[str, NDArray[np.float32]]:
        """What has been prepared for every query, by name: for other processes, which need not make it again.

        Args:
            embeddings: Of each fold.
            apart: As of :meth:`parts`.
        """
        made = self._whole.made()
        found = {
            name: made[grid].cpu().numpy() for name, grid in _grids(len(self.images.shape)).items() if grid in made
        }
        for part in self.parts(apart=apart):
            for number in part.judged if part.large else ():
                found[f"{EMBEDDED}{number}"] = part.embedded(number, embeddings[number])
        return found

    def _part(self, group: list[int]) -> Part:
        members = np.flatnonzero(self.judges[group].any(axis=0))
        judged = {number: self.judges[number][members] for number in group}
        known = {number: self._embedded[number] for number in group if number in self._embedded}
        if len(members) == len(self.images):
            return Part(members, self.images, self._whole, judged, known)
        some = PreparedSome(self._whole, torch.from_numpy(members).to(self.device))
        return Part(members, self.images, some, judged, known)


def _grids(dim: int) -> dict[str, SearchGrid]:
    """The grids of small and of large pools, by name."""
    turned, unmoved = grids(dim, large=False)
    return {"turned": turned, "unmoved": unmoved, "still": grids(dim, large=True)[1]}


def shortlist(
    queries: NDArray[np.float32],
    part: Part,
    embeddings: Sequence[Embedding],
    allowed: NDArray[np.bool_] | None,
) -> Tensor:
    """The images that the embeddings find most similar, as many by each fold that judges: (N, SHORTLIST) columns.

    Cosines of embeddings that learned from different images cannot be compared, so each names its own.

    Args:
        queries: (N, *S) images.
        part: Where they are searched.
        embeddings: Of each fold.
        allowed: (N, M) which pairs may be compared; None for all.
    """
    each, lists = SHORTLIST // len(part.judged), []
    for number, judged in part.judged.items():
        real, made = part.embedded(number, embeddings[number]), embeddings[number].embed(queries)
        near = []
        for start in range(0, len(queries), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            cosine = np.full((len(made[some]), len(judged)), -np.inf, np.float32)
            cosine[:, judged] = made[some] @ real.T
            if allowed is not None:
                cosine[~allowed[some]] = -np.inf
            near.append(torch.from_numpy(cosine).topk(each, dim=1, sorted=False).indices)
        lists.append(torch.cat(near))
    return torch.cat(lists, dim=1)

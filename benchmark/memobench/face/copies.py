"""The copy detector on arrays: ``memobench.CopyDetector`` and ``memobench.copy_rate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed
from memobench.data.arrays import Range, Reading, images_of, pixels_of, same_shape
from memobench.data.samples import brought_to
from memobench.detection.content import has_content
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.poses import upright
from memobench.generator import Context
from memobench.measure.measurement import ROUNDING, Ask, match_content, measure_copies
from memobench.memorization.certainty import NullScores
from memobench.memorization.decide import Decisions, decide, threshold
from memobench.results import Metric
from memobench.training.acceleration import device_of


@dataclass(frozen=True)
class Matched:
    """What each of N images matches.

    Attributes:
        score: (N,) log odds that it is a copy of its strongest match in train; -inf where there was no candidate.
        index: (N,) that training image.
        patient: (N,) its patient.
        is_copy: (N,) whether the score reaches tau and no held-out image matches better.
        tau: The score that an image of a new patient reaches once in a thousand times.
    """

    score: NDArray[np.float32]
    index: NDArray[np.int64]
    patient: NDArray[np.str_]
    is_copy: NDArray[np.bool_]
    tau: float


@dataclass
class CopyDetector:
    """Says of any image whether it is a copy of a training image, and of which.

    It learns from real images which pairs are copies of each other, without knowing which of them are training images.
    What it calls a copy matches more strongly than an image of another patient does once in a thousand times. For a
    judgement on a whole set use :meth:`copy_rate`, ``memobench.measure`` or ``memobench.audit``.

    Attributes:
        preset: How much it is trained: "smoke" (tests only), "quick", "standard" or "paper".
        seed: Of its training.
        device: "auto", or a torch device.
        value_range: Black and white of arrays, for example (-1, 1), or a pair for each of "train", "holdout", "dev" and
            "images".
        axes: One letter per axis, for example "NCHW", where the shape leaves doubt.

    >>> CopyDetector(preset="standard")
    CopyDetector(preset='standard', seed=0, device='auto', value_range=None, axes=None)
    >>> CopyDetector().match(np.zeros((1, 8, 8)))
    Traceback (most recent call last):
    memobench.base.errors.DataError: this detector has seen no images yet; call fit(train, holdout) first
    """

    preset: str = "quick"
    seed: int = 0
    device: str = "auto"
    value_range: Range | Mapping[str, Range] | None = None
    axes: str | None = None

    def fit(
        self,
        train: Any,
        holdout: Any,
        dev: Any = None,
        *,
        patients: Mapping[str, Sequence[str]] | None = None,
        track: Track = silent,
    ) -> Self:
        """Learn from real images, and find tau among them.

        Args:
            train: (n, *S) images that a generator learns from, as :mod:`memobench.data.arrays` reads them.
            holdout: (m, *S) images of other patients, drawn in the same way, which it never sees.
            dev: (d, *S) images of further patients to learn from; with 64 patients or more the detector learns from
                them alone and is about twice as quick.
            patients: Whose each of "train", "holdout" and "dev" is; those that are not named count as one each.
            track: Shows progress.

        Raises:
            DataError: The images cannot be used, have to be explained, or are too few.
        """
        whose = patients or {}
        sides = {"train": train, "holdout": holdout} | ({} if dev is None else {"dev": dev})
        read = {
            side: images_of(given, side, whose.get(side), self._reading(), stretch=False)
            for side, given in sides.items()
        }
        same_shape(read)
        if not len(read["train"]) or not len(read["holdout"]):
            raise DataError("train and holdout must hold images; give both")
        if both := {*read["train"].patients.tolist()} & {*read["holdout"].patients.tolist()}:
            raise DataError(f"patient {sorted(both)[0]!r} is in train and in holdout; put each on one side")
        device, parameters = device_of(self.device), EmbeddingParameters.preset(self.preset)
        pool = read["train"].joined(read["holdout"])
        context = Context(derive_seed(self.seed, "detector"), device, track)
        self.detector_ = Detector.fit(pool, read.get("dev"), parameters, context=context)
        self.train_, self.holdout_ = read["train"], read["holdout"]
        self._pool = self.detector_.matching_pool(pool)
        self.null_ = NullScores(*self.detector_.null_scores(self._pool, most=parameters.null_images, track=track))
        exact = float(self.detector_.exact_scores(pool).min()) - ROUNDING
        self.tau_ = threshold(self.null_.scores, self.null_.pool_fraction, highest=exact).tau
        return self

    def match(self, images: Any, *, track: Track = silent) -> Matched:
        """The strongest match of each image in train.

        Args:
            images: (N, *S) images; of another shape they are resampled.
            track: Shows progress.

        Raises:
            DataError: The detector is not fitted, or the images cannot be used.
        """
        pixels, decided = self.decided(images, track=track)
        score = np.where(has_content(pixels), decided.train_score, np.float32(-np.inf))
        copies = decided.called & (decided.side >= 0) & np.isfinite(score)
        return Matched(score, decided.train_index, self.train_.patients[decided.train_index], copies, self.tau_)

    def decided(self, images: Any, *, track: Track = silent) -> tuple[NDArray[np.float32], Decisions]:
        """The images as they were read, and what each matches in train and in holdout.

        Images with nothing to compare match both sides equally, and less than anything does.

        Args:
            images: (N, *S) images; of another shape they are resampled.
            track: Shows progress.

        Raises:
            DataError: The detector is not fitted, or the images cannot be used.
        """
        pixels = self._pixels(images)
        seen, blank = upright(pixels, self._pool.images).pixels, ~has_content(pixels)
        least = float(np.asarray(self.null_.scores).min())
        found = match_content(self.detector_, seen, blank, self._pool, len(self.train_), least, track)
        return pixels, decide(*found, self.tau_)

    def copy_rate(self, images: Any, *, track: Track = silent) -> Metric:
        """The share of images that are copies of training images, less what chance gives on held-out patients.

        Args:
            images: (N, *S) images; of another shape they are resampled.
            track: Shows progress.

        Returns:
            ``value`` with the 95% interval ``low`` to ``high`` over patients, and ``p_value``; 0 where nothing was
            copied.

        Raises:
            DataError: The detector is not fitted, or the images cannot be used.
        """
        ask = Ask(EmbeddingParameters.preset(self.preset).null_images)
        pixels = self._pixels(images)
        found = measure_copies(pixels, self.train_, self.holdout_, self.detector_, ask, track=track)
        return found.metrics["copy_rate"]

    def features(self, images: Any) -> NDArray[np.float32]:
        """(N, F) features of images, on which quality is measured (``fd_ssl`` and its like)."""
        pixels = self._pixels(images)
        return self.detector_.features(pixels)

    def _pixels(self, images: Any) -> NDArray[np.float32]:
        if not hasattr(self, "detector_"):
            raise DataError("this detector has seen no images yet; call fit(train, holdout) first")
        pixels = pixels_of(images, "images", self._reading())
        if not len(pixels):
            raise DataError("there are no images; give at least one")
        if pixels.ndim - 1 != len(self.train_.shape):
            raise DataError(f"the images are {pixels.ndim - 1}D, and those of train {len(self.train_.shape)}D")
        return pixels if pixels.shape[1:] == self.train_.shape else brought_to(pixels, self.train_.shape)

    def _reading(self) -> Reading:
        return Reading(self.value_range, self.axes)


def copy_rate(
    images: Any, train: Any, holdout: Any, *, patients: Mapping[str, Sequence[str]] | None = None, **detector: Any
) -> Metric:
    """The share of images that are copies of training images: :meth:`CopyDetector.copy_rate` in one call.

    Args:
        images: (N, *S) synthetic images, as :mod:`memobench.data.arrays` reads them.
        train: The images that their generator learned from.
        holdout: Images of other patients, drawn in the same way, which it never saw.
        patients: Whose each of "train" and "holdout" is; those that are not named count as one each.
        detector: Attributes of :class:`CopyDetector`, for example ``preset="standard"`` or ``value_range=(-1, 1)``.

    Raises:
        DataError: The images cannot be used, have to be explained, or are too few.

    >>> copy_rate(np.zeros((4, 16, 16)), np.zeros((0, 16, 16)), np.zeros((0, 16, 16)))
    Traceback (most recent call last):
    memobench.base.errors.DataError: train and holdout must hold images; give both
    """
    return CopyDetector(**detector).fit(train, holdout, patients=patients).copy_rate(images)

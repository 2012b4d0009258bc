"""Verification: is this real image, laid over the query, the one that the query was made from?

After registration the two are compared band by band, over the whole overlap and in local windows, and by their phases.
Blur takes away the fine bands, noise drowns them, a gamma bends the coarse ones, a pasted region spoils some windows, a
blend with another patient weakens all: no single number holds for all of these, so a logistic regression weighs them.
It learns from copies planted in images of patients whom it never judges, knows nothing of who is a member, and gives
one score per pair: the log odds that it is a copy, as far as planted copies tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from memobench.detection.register import grid_sample, masked_correlation, places, seen_through

BANDS = 4
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
WINDOW = 5  # windows across an image's side; they overlap
CUTS = (0.2, 0.35, 0.6, 1.0)  # shares of the highest frequency up to which phases are compared
REACH = 2  # pixels by which registration may be off
LARGEST = 0.995  # correlations beyond it count as it, so that Fisher's z stays finite
RIDGE = 10.0  # of the squared weights, in units of one pair's log likelihood
TINY = 1e-8


def compare(query: Tensor, real: Tensor, pose: Tensor) -> Tensor:
    """How similar two images are under a pose: the numbers that the regression weighs.

    Args:
        query: (B, 1, *S) in [0, 1].
        real: (B, 1, *S) in [0, 1].
        pose: (B, dim, dim + 1) from :func:`memobench.detection.register.refine`.

    Returns:
        (B, 7 * bands + 6): for each band Fisher's z of the correlation over the overlap and of five quantiles of the
        correlation in local windows, and the log ratio of the band's energies; then Fisher's z of the phase
        correlation up to four frequencies, the share covered, and the log of the scale.
    """
    at = places(query.shape[2:], query.device)
    values, inside = grid_sample(real, seen_through(pose, at))
    mask = inside.float().reshape(query.shape)
    laid = values.reshape(query.shape)
    alike, energies = [], []
    # the same mask for both, so that what lies beyond the real image's border enters neither
    for (a, weight), (b, _) in zip(pyramid(query, mask), pyramid(laid, mask), strict=True):
        flat = weight.flatten(1)
        alike += [masked_correlation(a.flatten(1), b.flatten(1), flat)[:, None], local_correlation(a, b, weight)]
        energy = [(band * band * weight).flatten(1).sum(dim=1) / flat.sum(dim=1).clamp(min=1) for band in (a, b)]
        energies.append(0.5 * torch.log((energy[0] + TINY) / (energy[1] + TINY)))
    alike.append(phase_correlation(query, laid, mask))
    z = torch.atanh(torch.cat(alike, dim=1).clamp(-LARGEST, LARGEST))
    scale = torch.linalg.det(pose[:, :, :-1]).abs().clamp(min=TINY).log() / pose.shape[1]
    return torch.cat([z, torch.stack([*energies, mask.flatten(1).mean(dim=1), scale], dim=1)], dim=1)


def pyramid(images: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Bands of images from fine to coarse, each with its share of covered pixels (Burt & Adelson 1983).

    Args:
        images: (B, 1, *S).
        mask: (B, 1, *S) 1 where the image is known, else 0.

    Returns:
        For each band, (B, 1, *smaller) values and weights: as many as halvings leave 8 pixels a side, at most four.
    """
    mode, pool = ("bilinear", F.avg_pool2d) if images.ndim == 4 else ("trilinear", F.avg_pool3d)
    bands: list[tuple[Tensor, Tensor]] = []
    while len(bands) < BANDS and min(images.shape[2:]) >= 8:
        coarse, share = pool(images, 2), pool(mask, 2)
        fine = images - F.interpolate(coarse, size=images.shape[2:], mode=mode, align_corners=False)
        bands.append((fine, mask))
        images, mask = coarse, share
    return bands


def local_correlation(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Quantiles of the correlation of two bands in local windows: (B, len(QUANTILES)).

    A twentieth of the band's mean variance is added to each window's, so that blank windows say little.

    Args:
        a: (B, 1, *S).
        b: (B, 1, *S).
        weight: (B, 1, *S) share of each pixel that is covered; windows covered by less than half are left out.
    """
    pool = F.avg_pool2d if a.ndim == 4 else F.avg_pool3d
    window = [max(3, side // WINDOW) for side in a.shape[2:]]
    stride = [max(1, side // 3) for side in window]
    maps = torch.cat([weight, weight * a, weight * b, weight * a * a, weight * b * b, weight * a * b], dim=1)
    share, ma, mb, maa, mbb, mab = pool(maps, window, stride).flatten(2).unbind(dim=1)  # (B, windows) each
    known = share > 0.5
    share = share.clamp(min=TINY)
    va, vb = (maa / share - (ma / share) ** 2).clamp(min=0), (mbb / share - (mb / share) ** 2).clamp(min=0)
    covariance = mab / share - (ma / share) * (mb / share)
    floor_a, floor_b = va.mean(dim=1, keepdim=True) / 20, vb.mean(dim=1, keepdim=True) / 20
    local = covariance / torch.sqrt((va + floor_a) * (vb + floor_b) + TINY * TINY)
    ordered, _ = torch.where(known, local, torch.inf).sort(dim=1)
    count = known.sum(dim=1)
    ranks = [(q * (count - 1).clamp(min=0)).round().long() for q in QUANTILES]
    picked = torch.stack([ordered.gather(1, rank[:, None])[:, 0] for rank in ranks], dim=1)
    return torch.where((count > 0)[:, None], picked, 0.0)


def phase_correlation(query: Tensor, laid: Tensor, mask: Tensor) -> Tensor:
    """The peak of the band-limited phase-only correlation within two pixels of no shift: (B, len(CUTS)).

    Every frequency has one vote, whatever its energy (Kuglin & Hines 1975; band-limited: Ito et al. 2004). Another
    patient's image agrees in the few coarse frequencies that hold most of the energy; a copy agrees in most of them,
    and a blend in those in which it outweighs the other. An image too small to have frequencies below a cut gets 0.

    Args:
        query: (B, 1, *S).
        laid: (B, 1, *S) the real image laid over it.
        mask: (B, 1, *S) where it covers the query.
    """
    sides, axes = query.shape[2:], tuple(range(2, query.ndim))
    window = mask
    for axis, side in zip(axes, sides, strict=True):
        taper = torch.hann_window(side + 2, periodic=False, device=query.device)[1:-1].sqrt()
        window = window * taper.reshape([-1 if k == axis else 1 for k in range(query.ndim)])
    total = window.sum(dim=axes, keepdim=True).clamp(min=TINY)
    spectra = [
        torch.fft.fftn((image - (image * window).sum(dim=axes, keepdim=True) / total) * window, dim=axes)
        for image in (query, laid)
    ]
    cross = spectra[0] * spectra[1].conj()
    cross = cross / (cross.abs() + 1e-6)
    radius = torch.zeros((), device=query.device)
    for axis, side in zip(axes, sides, strict=True):
        frequency = torch.fft.fftfreq(side, device=query.device) * 2  # 1 is the highest
        radius = radius + frequency.square().reshape([-1 if k == axis else 1 for k in range(query.ndim)])
    radius = radius.sqrt()
    peaks = []
    for cut in CUTS:
        kept = (radius <= cut) & (radius > 0.04)
        surface = torch.fft.ifftn(cross * kept, dim=axes).real * (kept.numel() / kept.sum().clamp(min=1))
        for axis, side in zip(axes, sides, strict=True):
            reach = min(REACH, (side - 1) // 2)
            surface = torch.cat([surface.narrow(axis, 0, reach + 1), surface.narrow(axis, side - reach, reach)], axis)
        peaks.append(surface.flatten(1).amax(dim=1))
    return torch.stack(peaks, dim=1)


@dataclass(frozen=True)
class Verifier:
    """A logistic regression from the numbers of :func:`compare` to the log odds of a copy.

    Attributes:
        moments: (2, F) mean and standard deviation of each number.
        weights: (F + 1,) of the standardized numbers, then the constant.
    """

    moments: NDArray[np.float64]
    weights: NDArray[np.float64]

    def score(self, numbers: Tensor) -> Tensor:
        """Numbers (B, F) to log odds (B,)."""
        mean, spread, slope = (
            torch.as_tensor(row, dtype=torch.float32, device=numbers.device)
            for row in (self.moments[0], self.moments[1], self.weights[:-1])
        )
        made: Tensor = ((numbers - mean) / spread) @ slope + float(self.weights[-1])
        return made

    @classmethod
    def fit(cls, numbers: NDArray[np.floating], copies: NDArray[np.bool_]) -> Self:
        """Learn from pairs of which it is known whether they are copies, by Newton's method (the optimum is unique).

        Args:
            numbers: (B, F) of all pairs.
            copies: (B,) True for a copy; both kinds have equal weight, however many there are of each.
        """
        rows = np.asarray(numbers, dtype=np.float64)
        moments = np.stack([rows.mean(axis=0), rows.std(axis=0) + 1e-3])
        design = np.column_stack([(rows - moments[0]) / moments[1], np.ones(len(rows))])
        share = max(float(copies.mean()), 1 / len(rows))
        balance = np.where(copies, 0.5 / share, 0.5 / max(1 - share, 1 / len(rows)))
        penalty = np.full(design.shape[1], RIDGE)
        penalty[-1] = 1e-6
        weights = np.zeros(design.shape[1])
        for _ in range(50):
            odds = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
            slope = design.T @ (balance * (odds - copies)) + penalty * weights
            curvature = (design * (balance * odds * (1 - odds))[:, None]).T @ design + np.diag(penalty)
            step = np.linalg.solve(curvature, slope)
            weights -= step / max(1.0, float(np.linalg.norm(step)))  # far from the optimum a full step overshoots
            if float(np.abs(step).max()) < 1e-8:
                break
        return cls(moments, weights)

    def state(self) -> dict[str, NDArray[Any]]:
        """Moments and weights as named arrays."""
        return {"moments": self.moments, "weights": self.weights}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Take up what :meth:`state` gave."""
        return cls(np.asarray(state["moments"]), np.asarray(state["weights"]))

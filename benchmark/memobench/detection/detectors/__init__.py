"""Copy detectors, one file each, by name in the registry: ours and those that the field uses.

A detector learns from real images, or not at all, and then says of any image which image of a pool it matches best and
how strongly (:class:`memobench.detection.contract.CopyDetector`). Scores of different detectors are not comparable;
only what they separate is.
"""

from __future__ import annotations

from memobench.base.registry import Registry
from memobench.detection.contract import CopyDetector

DETECTORS: Registry[type[CopyDetector]] = Registry("detector", "memobench.detection.detectors", "memobench.detectors")

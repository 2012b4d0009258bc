"""The control that is blurry: the mean of all training patients, varied along a few smooth principal components.

A sample is ``mean + sum_k sd_k c_k component_k`` with c ~ N(0, 1), all blurred: the probabilistic principal components
of Tipping & Bishop (1999), without their noise. Nothing but the mean and ``components`` directions is kept, each a sum
over all patients, so no sample can be a copy: a measure that finds copies in it is wrong. It resembles every
patient a little, as blurry generators do, and so it shows what blur alone does to a score. (An average of a few random
patients would not serve: each of ``n`` averaged patients keeps a correlation of about 1/sqrt(n) with it.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from numpy.typing import NDArray
from scipy import ndimage

from ._controls import gaussian_images


@GENERATORS.register("mean")
@dataclass
class Mean(Generator):
    """Blurry averages of many patients.

    Attributes:
        components: Principal components along which the samples vary.
        blur: Standard deviation of the Gaussian blur, as a share of each side.
    """

    CONTROL: ClassVar[bool] = True

    components: int = 3
    blur: float = 0.03

    def __post_init__(self) -> None:
        """Refuse what gives no variety or no image.

        Raises:
            ValueError: No component, or a blur below 0 or above half a side.
        """
        if self.components < 1:
            raise ValueError(f"components is {self.components}; give at least 1")
        if not 0 <= self.blur <= 0.5:
            raise ValueError(f"blur is {self.blur}; give 0 to 0.5")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Average each patient's images, then learn the mean and the first components of the patients.

        Raises:
            MemobenchError: There are too few patients for a component to be shared by many.
        """
        least = 2 * (self.components + 1)
        patients, members = np.unique(images.patients, return_inverse=True)
        if len(patients) < least:
            raise MemobenchError(
                f"{len(patients)} patients are too few for {self.components} components that are nobody's own; "
                f"give at least {least} patients or fewer components"
            )
        pixels = np.asarray(images.pixels)
        averages = np.stack([pixels[members == i].mean(axis=0) for i in range(len(patients))])  # (P, *S)
        mean = averages.mean(axis=0)
        centred = (averages - mean).reshape(len(averages), -1)
        _, spread, directions = np.linalg.svd(centred, full_matrices=False)  # (P,), (P, pixels)
        spread = spread[: self.components] / np.sqrt(len(averages))  # each score's standard deviation over patients
        modes = (spread[:, None] * directions[: self.components]).reshape(-1, *images.shape)
        widths = [self.blur * side for side in images.shape]
        smooth = np.stack([ndimage.gaussian_filter(image, widths) for image in (mean, *modes)]).astype(np.float32)
        self._mean, self._modes = smooth[0].copy(), smooth[1:].copy()  # (*S), (K, *S)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images; blurring is linear, so blurred components give blurred images."""
        return gaussian_images(self._mean, self._modes, n, seed=seed)

    def state(self) -> dict[str, NDArray[Any]]:
        """The blurred mean and the blurred components, each as long as its score's standard deviation."""
        return {"mean": self._mean, "modes": self._modes}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the mean and the components."""
        self._mean, self._modes = np.asarray(state["mean"]), np.asarray(state["modes"])
        return self

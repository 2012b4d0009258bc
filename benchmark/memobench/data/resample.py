"""Images brought to another shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resample to a shape by antialiased linear interpolation, values staying in [0, 1].

    >>> resize(np.eye(4, dtype=np.float32), (2, 2)).shape
    (2, 2)
    """
    if image.shape == shape:
        return image
    if image.ndim == 3:
        planes = np.stack([resize(plane, shape[1:]) for plane in image])  # (D0, H, W)
        rows = planes.reshape(len(planes), -1)  # (D0, H * W)
        flat = Image.fromarray(rows).resize((rows.shape[1], shape[0]), Image.Resampling.BILINEAR)
        out = np.asarray(flat).reshape(shape)
    else:
        height, width = shape
        out = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    resized: NDArray[np.float32] = np.clip(out, 0, 1).astype(np.float32)
    return resized

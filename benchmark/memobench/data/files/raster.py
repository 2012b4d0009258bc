"""PNG, JPEG and TIFF, by Pillow: 8 and 16 bit, floating point, and TIFF of several pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from memobench.data.files.picture import Header, Picture, Unreadable, grey, picture

Image.init()  # Pillow looks up the formats that it is asked for only among those that it has loaded
FORMATS = ("PNG", "JPEG", "TIFF")
_MIN_IS_WHITE = 0  # of the TIFF tag PhotometricInterpretation, which Pillow heeds for 8 bit only
_PHOTOMETRIC = 262


def header(file: Path) -> Header:
    """Size and number of pages; pages of a TIFF look like the slices of a volume."""
    with Image.open(file, formats=FORMATS) as image:
        pages = int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
        return Header((image.height, image.width), frames=pages, dim=2 if pages == 1 else 3)


def decode(file: Path, frame: int | None, dim: int) -> Picture:
    """One page as an image, or all pages as a volume.

    Args:
        file: A PNG, JPEG or TIFF file.
        frame: The page; None for the only one, or for all in 3D.
        dim: 2 or 3.

    Raises:
        Unreadable: The pages of a volume differ in size, or the values are no image.
    """
    with Image.open(file, formats=FORMATS) as image:
        if dim == 2:
            values, inverted, colour = _page(image, frame or 0)
            return picture(values, inverted=inverted, colour=colour)
        pages = [_page(image, page) for page in range(int(getattr(image, "n_frames", 1)))]
    if len({(values.shape, values.dtype.kind, values.dtype.itemsize, inverted) for values, inverted, _ in pages}) > 1:
        raise Unreadable("has pages of different size or type, so they are no slices of one volume")
    volume = np.stack([values for values, *_ in pages])
    return picture(volume, inverted=pages[0][1], colour=any(colour for *_, colour in pages))


def _page(image: Image.Image, page: int) -> tuple[NDArray[Any], bool, bool]:
    """(H, W) values, whether the smallest means white, whether there was colour."""
    if page or image.format == "TIFF":
        image.seek(page)
    tags = getattr(image, "tag_v2", {})
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return np.asarray(upright), tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE, False
    if upright.mode in ("1", "L", "LA", "La"):
        return np.asarray(upright.convert("L")), False, False
    values, colour = grey(np.asarray(upright.convert("RGB")))
    return values, False, colour

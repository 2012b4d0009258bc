"""The picture of README and of the manual's first page: a sample, the training image that it copies, their difference.

Made of phantom patients by ``bench run --model flow --task xray`` and ``python docs/_pages/copy_picture.py runs/...``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import memobench
import numpy as np
from memobench.face.measured import Run
from memobench.task import Splits
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, WORDS = 256, 16, 28
TITLES = ("synthetic image", "training image", "difference")


def triples(run: Run, splits: Splits) -> NDArray[np.float32]:
    """(3, H, W): the called sample that matches train most strongly, the image that it matches, their difference."""
    copies = np.where(run.scores["called"] & (run.scores["side"] > 0), run.scores["train_score"], -np.inf)
    row = int(copies.argmax())
    sample, real = run.samples[row], splits.train.pixels[run.scores["train_index"][row]]
    return np.stack([sample, real, np.abs(sample - real)])


def picture(images: NDArray[np.float32]) -> Image.Image:
    """The three images side by side with their titles, on white."""
    sheet = Image.new("L", (3 * SIDE + 2 * GAP, SIDE + WORDS), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for column, (title, pixels) in enumerate(zip(TITLES, images, strict=True)):
        left = column * (SIDE + GAP)
        one = Image.fromarray(np.round(255 * pixels.clip(0, 1)).astype(np.uint8)).resize((SIDE, SIDE), Image.NEAREST)
        sheet.paste(one, (left, WORDS))
        draw.text((left + SIDE // 2, WORDS // 2), title, fill=0, font=font, anchor="mm")
    return sheet


if __name__ == "__main__":
    finished = memobench.load(sys.argv[1])
    out = Path(__file__).resolve().parents[1] / "pictures" / "copy.png"
    picture(triples(finished, memobench.load_task("xray"))).save(out, optimize=True)

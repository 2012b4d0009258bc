"""The Python of README and of the manual runs, page by page, on small images and with a detector that hardly learns."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import memobench
import numpy as np
import pytest
import torch
from memobench.detection.parameters import EmbeddingParameters
from PIL import Image

from .conftest import ROOT, blocks_of, written

PAGES = {
    file.relative_to(ROOT).as_posix(): text
    for file in written()
    if (text := "\n".join(b.text for b in blocks_of(file.read_text(encoding="utf-8"), "") if b.language == "python"))
}


def images(count: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((count, 8, 8)).astype(np.float32)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def folder(root: Path) -> Path:
    root.mkdir()
    rows = ["file,patient_id"]
    for number, image in enumerate(images(48, 6)):
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(root / f"{number}.png")
        rows.append(f"{number}.png,{number}")
    (root / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    return root


class Model:
    """A generator of images that nobody has seen."""

    def sample(self, n: int) -> np.ndarray:
        return images(n, 5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the pages take for granted."""
    smoke = EmbeddingParameters.preset("smoke")
    monkeypatch.setattr(EmbeddingParameters, "preset", lambda name: smoke)
    train, holdout, test = images(24, 1), images(24, 2), images(30, 3)

    load_task, measure = memobench.load_task, memobench.measure
    small = {"data": str(folder(tmp_path / "data")), "size": 32}
    monkeypatch.setattr(memobench, "load_task", lambda name: load_task(name, **small))
    monkeypatch.setattr(
        memobench, "measure", lambda samples, **words: measure(samples, **words, **(small if "task" in words else {}))
    )
    monkeypatch.chdir(tmp_path)
    samples = images(24, 4)
    return {
        "memobench": memobench,
        "synthetic": samples,
        "samples": samples,
        "scaled": samples * 2 - 1,
        "train": train,
        "holdout": holdout,
        "test": test,
        "model": Model(),
    }


LONG = ("docs/python.md", "docs/audit/index.md")  # README makes the same calls, and they are its smoke test
WHOLE = [page for page in PAGES if page != "docs/measure/torch.md"]


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow if p in LONG else pytest.mark.smoke) for p in WHOLE]
)
def test_the_python_of_a_page_runs(page: str, names: dict[str, Any]) -> None:
    with contextlib.redirect_stdout(None):
        exec(compile(PAGES[page], page, "exec"), names)  # noqa: S102  the manual's own lines


def test_the_torch_class_is_complete() -> None:
    names: dict[str, Any] = {}
    exec(compile(PAGES["docs/measure/torch.md"], "torch.md", "exec"), names)  # noqa: S102
    drawn = names["Net"]().sample(3, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (3, 64, 64)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1

"""An audit of a generator: it draws the images that it then looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.audit.drawn import check_source, draw_images
from memobench.audit.run import audit_folders
from memobench.audit.settings import AuditSettings
from memobench.base.errors import UsageError
from memobench.base.place import Place
from memobench.base.store import Store
from memobench.cli.main import main
from memobench.data.export import export_images
from memobench.images import Images
from PIL import Image

CLASS = '''"""A model that knows its training images by heart."""
from pathlib import Path

import numpy as np
import torch


class Parrot:
    def load_state_dict(self, state):
        raise AssertionError("it has no weights")

    def sample(self, n, seed=0):
        held = torch.from_numpy(np.load(Path(__file__).with_name("known.npy")))
        return held[torch.arange(n) % len(held)]
'''


@pytest.fixture
def parrot(tmp_path: Path) -> Callable[[np.ndarray], str]:
    """A file of plain torch that gives out images."""

    def make(pixels: np.ndarray) -> str:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "parrot.py").write_text(CLASS)
        np.save(folder / "known.npy", pixels)
        return f"torch:{folder / 'parrot.py'}:Parrot"

    return make


def test_a_folder_or_a_generator_and_what_belongs_to_it(tmp_path: Path) -> None:
    check_source(AuditSettings(tmp_path, tmp_path))
    check_source(AuditSettings(None, tmp_path, generator="ldm", settings={"steps": "3"}))
    for settings in (
        AuditSettings(None, tmp_path),
        AuditSettings(tmp_path, tmp_path, generator="diffusers:x"),
    ):
        with pytest.raises(UsageError, match="give --synthetic DIR, or --generator"):
            check_source(settings)
    with pytest.raises(UsageError, match="are for --generator"):
        check_source(AuditSettings(tmp_path, tmp_path, settings={"steps": "3"}))


@pytest.mark.smoke
def test_images_are_drawn_once_and_lie_in_the_audits_folder(
    make_images: Callable[..., Images], parrot: Callable[[np.ndarray], str], tmp_path: Path
) -> None:
    train, place = make_images(patients=8), Place(Store(tmp_path / ".stages"))
    settings = AuditSettings(
        None, tmp_path, generator=parrot(train.pixels), count=5, out=tmp_path / "audit", preset="smoke"
    )
    folder, words = draw_images(settings, train, place)
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(5)]
    with Image.open(files[3]) as image:
        assert np.abs(np.asarray(image) / 255 - train.pixels[3]).max() <= 0.5 / 255 + 1e-6
    assert words.startswith("5 images drawn from torch:")
    assert "sampled as it is, seed 0" in words
    (folder / "mark").write_text("here")
    assert draw_images(settings, train, place)[0] == folder
    assert (folder / "mark").is_file()
    learned, words = draw_images(AuditSettings(None, tmp_path, generator="noise", out=tmp_path / "audit"), train, place)
    assert len([*learned.iterdir()]) == 256
    assert "after learning from the training images" in words
    for name, reason in (("fresh", "which an audit has not"), ("nothing", "nothing")):
        with pytest.raises(UsageError, match=reason):
            draw_images(AuditSettings(None, tmp_path, generator=name, out=tmp_path / "audit"), train, place)


@pytest.mark.slow
def test_a_generator_that_knows_its_training_images_by_heart_is_found_out(
    make_images: Callable[..., Images],
    parrot: Callable[[np.ndarray], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train, holdout = make_images(patients=24, seed=1), make_images(patients=24, seed=2)
    export_images(train, tmp_path / "train")
    export_images(holdout, tmp_path / "holdout")
    words = ["audit", "--generator", parrot(train.pixels), "--count", "16", "--train", str(tmp_path / "train")]
    words += ["--holdout", str(tmp_path / "holdout"), "--size", "32", "--preset", "smoke"]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert "Do not release" in capsys.readouterr().out
    (drawn,) = (tmp_path / "out").glob("drawn-*")
    report = audit_folders(
        AuditSettings(
            drawn,
            tmp_path / "train",
            tmp_path / "holdout",
            size=32,
            preset="smoke",
            out=tmp_path / "out",
            device="cpu",
        )
    )
    assert report.result.metrics["copy_rate"].value == 1.0

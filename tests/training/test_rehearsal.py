from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from memobench.base.errors import MemobenchError, UsageError
from memobench.baselines.gan import GAN
from memobench.baselines.ldm import LDM
from memobench.baselines.noise import Noise
from memobench.cli.generators import run_command
from memobench.generator import Generator
from memobench.images import Images
from memobench.run import run
from memobench.settings import RunSettings
from memobench.task import Splits
from memobench.training import rehearsal
from memobench.training.rehearsal import comparison, foreseen_peak, shortened

MakeImages = Callable[..., Images]
Write = Callable[..., Path]


def test_all_that_takes_steps_takes_two() -> None:
    short = shortened(LDM(steps=900, adversarial_steps=700, batch=(5, 5)))
    assert (short.steps, short.autoencoder_steps, short.adversarial_steps, short.sampling_steps) == (2, 2, 2, 2)
    assert shortened(LDM()).adversarial_steps == 0  # what is left out is not rehearsed
    assert short.batch == (5, 5)
    assert shortened(GAN(steps=1)).steps == 1


def test_a_fit_is_rehearsed_in_a_process_of_its_own(make_images: MakeImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "imported", tuple)
    monkeypatch.setattr(rehearsal, "peak_memory", lambda device: (0, "process"))  # of this one, which has run tests
    sides = [make_images(6, shape=(48, 32), seed=seed) for seed in range(5)]
    splits = Splits(sides[0], sides[1], sides[2], sides[3], sides[4], "")
    model = GAN(channels=(16, 16), patch=(2, 2), noise=4, steps=900, batch=(64, 4))
    # two networks, each with a map of 16 channels at 24 x 16 of every image at least, beside Python and torch
    least = 2 * 64 * 16 * 24 * 16 * 4
    assert 100_000_000 + least < foreseen_peak(model, splits, "cpu") < 8_000_000_000


class Elsewhere(Noise):
    """A model whose module no other process can import."""


Elsewhere.__module__ = "nowhere"


def test_a_model_that_cannot_be_rehearsed_is_named_in_one_line(make_images: MakeImages) -> None:
    images = make_images(2)
    splits = Splits(images, images, images, None, images, "")
    model: Generator = Elsewhere()
    with pytest.raises(MemobenchError, match=r"cannot be rehearsed \(.*\); leave out --rehearse"):
        foreseen_peak(model, splits, "cpu")


def test_a_control_has_nothing_to_rehearse(write_folder: Write, tmp_path: Path) -> None:
    settings = RunSettings("noise", "xray", str(write_folder()), 32, "smoke", samples=8, out=tmp_path)
    with pytest.raises(UsageError, match="noise is not trained here, so there is nothing to rehearse"):
        run(settings, rehearse=True)
    ended = CliRunner().invoke(run_command, ["--model", "ldm", "--task", "xray", "--rehearse", "--dry-run"])
    assert isinstance(ended.exception, UsageError)


def test_the_comparison_says_by_how_much() -> None:
    assert comparison(900_000_000, 1_000_000_000).endswith("foreseen were 0.90 GB (-10%)")
    assert comparison(3 * 10**9, 10**9).startswith("the fit held 1.00 GB at most")

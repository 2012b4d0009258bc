from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.cost import Trained
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.baselines.ldm import LDM
from memobench.baselines.ldm_deduplicated import LDMDeduplicated, coarse, usual, without_duplicates
from memobench.baselines.ldm_early import LDMEarly, set_aside
from memobench.baselines.ldm_filtered import LDMFiltered
from memobench.baselines.ldm_monitored import LDMMonitored
from memobench.baselines.vae_private import ABSENT, VAEPrivate, drawn, noise_for
from memobench.generator import Context
from memobench.images import Images
from memobench.provenance import code_digest

opacus = pytest.mark.skipif(importlib.util.find_spec("opacus") is None, reason=ABSENT)
Make = Callable[..., Images]


def test_whole_patients_are_set_aside() -> None:
    patients = np.repeat([f"p{i}" for i in range(20)], 3)
    aside = set_aside(patients, 0.1, seed=0)
    assert aside.sum() == 6
    assert not set(patients[aside]) & set(patients[~aside])
    assert not np.array_equal(aside, set_aside(patients, 0.1, seed=1))
    assert set_aside(np.array(["a", "b"]), 0.9, seed=0).sum() == 1
    with pytest.raises(MemobenchError, match="there is 1; give at least two"):
        set_aside(np.array(["a", "a"]), 0.5, seed=0)


def test_early_stopping_stops_once_the_held_out_loss_rises(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([3.0, 2.0, 4.0, 5.0])
    monkeypatch.setattr("memobench.baselines._diffusion.mean_errors", lambda *all, **more: torch.tensor([next(looks)]))
    told: list[Trained] = []
    model = LDMEarly(**{**LDMEarly.PRESETS["smoke"], "looks": 10, "patience": 2})
    model.fit(make_images(), context=Context(seed=0, report=told.append))
    assert [len(one.losses) for one in told] == [20, 8]


class Alarms:
    """A monitor that raises its alarm at one look, and remembers the samples of each."""

    def __init__(self, at: int) -> None:
        self.at, self.samples, self.history_, self.seen = at, 4, [], []

    def fit(self, train: object, holdout: object) -> Alarms:
        return self

    def update(self, images: np.ndarray) -> None:
        self.seen.append(images.copy())

    def compute(self) -> None:
        self.history_.append(len(self.seen))

    @property
    def alarm(self) -> bool:
        return len(self.seen) >= self.at


class Interrupted(Exception):
    """Ends a training at some look."""


@pytest.fixture
def monitored(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[LDMMonitored, Alarms, list[Trained]]]:
    """Trains with a monitor that alarms at a given look, of ten in twenty steps."""

    def train(images: Images, at: int, *, folder: Path | None = None, stop: int = 0) -> Any:
        alarms, told = Alarms(at), []
        if stop:
            update = alarms.update

            def interrupted(pixels: np.ndarray) -> None:
                if len(alarms.seen) == stop:
                    raise Interrupted
                update(pixels)

            alarms.update = interrupted  # type: ignore[method-assign]
        monkeypatch.setattr("memobench.baselines.ldm_monitored.CopyDetector.fit", lambda self, *all, **more: self)
        monkeypatch.setattr("memobench.baselines.ldm_monitored.MemorizationMonitor", lambda *all, **more: alarms)
        monkeypatch.setattr("memobench.training.loop.CHECKPOINT_SECONDS", 0.0)
        model = LDMMonitored(**{**LDMMonitored.PRESETS["smoke"], "looks": 10, "samples": 4})
        context = Context(seed=0, report=told.append, checkpoints=folder)
        return model.fit(images, context=context), alarms, told

    return train


def test_training_stops_at_the_alarm_with_the_weights_of_the_look_before(make_images: Make, monitored: Any) -> None:
    images = make_images()
    model, alarms, told = monitored(images, 4)
    assert [len(one.losses) for one in told] == [20, 8]
    assert len(alarms.seen) == 4
    again = model.model_.sample(4, seed=derive_seed(0, "look", 3))
    assert np.allclose(again, alarms.seen[2], atol=1e-5)
    assert not np.allclose(again, alarms.seen[3], atol=1e-5)
    _, _, whole = monitored(images, 99)
    assert [len(one.losses) for one in whole] == [20, 20]


def test_a_resumed_training_has_seen_all_looks(make_images: Make, monitored: Any, tmp_path: Path) -> None:
    images = make_images()
    with pytest.raises(Interrupted):
        monitored(images, 7, folder=tmp_path / "a", stop=5)
    model, alarms, told = monitored(images, 7, folder=tmp_path / "a")
    other, at_once, _ = monitored(images, 7, folder=tmp_path / "b")
    assert len(told[-1].losses) == 14
    assert all(np.array_equal(one, two) for one, two in zip(alarms.seen, at_once.seen, strict=True))
    assert all(np.array_equal(value, other.state()[name]) for name, value in model.state().items())


@pytest.mark.smoke
def test_a_model_that_copies_is_stopped_by_the_real_monitor(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    images, told = make_images(60), []
    monkeypatch.setattr(LDM, "sample", lambda self, n, *, seed: np.asarray(images.pixels[seed % 5 : seed % 5 + n]))
    model = LDMMonitored(**{**LDMMonitored.PRESETS["smoke"], "looks": 5, "samples": 20})
    model.fit(images, context=Context(seed=0, report=told.append))
    assert len(told[-1].losses) < 20


def test_near_duplicates_go_and_the_first_stays(make_images: Make) -> None:
    images = make_images(20)
    noisy = (images.pixels[:5] + 0.02 * np.random.default_rng(0).normal(size=images.pixels[:5].shape)).clip(0, 1)
    copies = Images(noisy.astype(np.float32), images.patients[:5], np.array([f"again {i}" for i in range(5)]))
    thumbnails = coarse(images.joined(copies).pixels, 16)
    kept = without_duplicates(thumbnails, usual(thumbnails, images.joined(copies).patients, 100))
    assert kept[:20].all()
    assert not kept[20:].any()


def test_what_is_usual_between_patients_is_a_percentile() -> None:
    angles = np.array([0.0, 0.1, 0.5, 2.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    patients = np.array(["a", "a", "b", "c"])
    highest = np.cos([0.5, 0.4, 0.4, 1.5])  # of the closest other patient
    assert usual(vectors, patients, 50) == pytest.approx(np.percentile(highest, 50))
    with pytest.raises(MemobenchError, match="give at least two patients"):
        usual(vectors, np.array(["a"] * 4), 50)


def test_deduplication_says_what_it_removed(make_images: Make) -> None:
    images = make_images(8)
    model = LDMDeduplicated(**{**LDMDeduplicated.PRESETS["smoke"], "steps": 2, "percentile": 100})
    model.fit(images.joined(images), context=Context(seed=0))
    assert model.notes() == ["8 of 16 training images were removed as near-duplicates before training"]
    again = LDMDeduplicated(**{**LDMDeduplicated.PRESETS["smoke"], "steps": 2, "percentile": 100}).restore(
        model.state()
    )
    assert again.notes() == model.notes()


def test_the_filter_draws_copies_anew(make_images: Make) -> None:
    images = make_images(12)
    model = LDMFiltered(**{**LDMFiltered.PRESETS["smoke"], "steps": 2}).fit(images, context=Context(seed=0))
    others = make_images(6, seed=5).pixels
    assert (model._excess(images.pixels) > 0).all()  # every training image is too like itself
    rounds: list[int] = []

    def sample(n: int, *, seed: int) -> np.ndarray:
        rounds.append(n)
        return np.concatenate([images.pixels[:3], others[:3]]) if len(rounds) == 1 else others[:n].copy()

    model.model_.sample = sample  # type: ignore[method-assign]
    made = model.sample(6, seed=0)
    copied = [bool((image == images.pixels).all(axis=(1, 2)).any()) for image in made]
    assert rounds[0] == 6
    assert rounds[1] >= 3
    assert not any(copied)


@opacus
@pytest.mark.filterwarnings("ignore:GDP accounting")
def test_the_noise_keeps_epsilon_by_another_accountant() -> None:
    from opacus.accountants import GaussianAccountant, RDPAccountant

    for rate, steps in ((0.2, 100), (1.0, 10)):
        noise = noise_for(4.0, 1e-3, rate, steps)
        spent = RDPAccountant()
        spent.history = [(noise, rate, steps)]
        assert 3.9 < spent.get_epsilon(1e-3) <= 4.0
    wholly = GaussianAccountant()  # exact where everybody is in each step, so the bound must lie above
    wholly.history = [(noise, 1.0, 10)]
    assert wholly.get_epsilon(1e-3) <= 4.0
    assert noise_for(1.0, 1e-3, 0.2, 100) > noise_for(4.0, 1e-3, 0.2, 100)


def test_each_patient_is_drawn_as_often_and_gives_one_image() -> None:
    owner = np.array([0, 0, 0, 1, 2, 2])
    random = np.random.default_rng(0)
    seen = np.zeros(6)
    for _ in range(3000):
        rows = drawn(owner, 3, 0.5, random)
        assert len(set(owner[rows])) == len(rows)
        seen[rows] += 1
    np.testing.assert_allclose(seen / 3000, [1 / 6, 1 / 6, 1 / 6, 1 / 2, 1 / 4, 1 / 4], atol=0.035)


@opacus
def test_one_patient_moves_no_step_by_more_than_the_clipping_norm(
    make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opacus.optimizers import DPOptimizer

    sums: list[float] = []
    clip_and_accumulate = DPOptimizer.clip_and_accumulate

    def watched(self: DPOptimizer) -> None:
        clip_and_accumulate(self)
        sums.append(float(sum((p.summed_grad**2).sum() for p in self.params)) ** 0.5)

    monkeypatch.setattr(DPOptimizer, "clip_and_accumulate", watched)
    one = make_images(1, scans=4)
    model = VAEPrivate(**{**VAEPrivate.PRESETS["smoke"], "clip": 1e-3}).fit(one, context=Context(seed=0))
    assert max(sums) == pytest.approx(1e-3, rel=1e-3)  # four images of one patient count once
    assert "epsilon 8, delta 0.1" in model.notes()[0]


@opacus
def test_a_step_without_patients_adds_noise(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.baselines.vae_private.drawn", lambda *all: np.zeros(0, dtype=np.int64))
    first = VAEPrivate(**VAEPrivate.PRESETS["smoke"]).fit(make_images(), context=Context(seed=0))
    start = VAEPrivate(**VAEPrivate.PRESETS["smoke"])._new()
    start._build((32, 32), "cpu", seed=0)
    before = torch.cat([weight.reshape(-1) for weight in start.net_.parameters()])
    after = torch.cat([weight.reshape(-1) for weight in first.model_.net_.parameters()])
    assert (before != after).float().mean() > 0.99


def test_without_opacus_the_private_model_is_skipped_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert VAEPrivate.skip((32, 32)) == ABSENT
    assert "memobench[private]" in ABSENT


@pytest.mark.parametrize("kind", [LDMEarly, LDMDeduplicated, LDMFiltered])
def test_an_unknown_preset_inside_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match='ldm has no preset "quik"'):
        kind(ldm="quik")


def test_a_mitigated_model_is_ldm_inside() -> None:
    for preset, values in LDM.PRESETS.items():
        assert LDMDeduplicated(**LDMDeduplicated.PRESETS[preset])._new() == LDM(**values)


def test_the_code_of_a_mitigation_is_not_that_of_the_model_inside() -> None:
    assert code_digest(LDMEarly) != code_digest(LDM)

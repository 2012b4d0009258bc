from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.errors import DataError, UsageError
from memobench.detection.embed import Embedding, Network, contrastive_loss, train_embedding
from memobench.detection.parameters import EmbeddingParameters
from memobench.generator import Context
from memobench.images import Images
from memobench.training import loop as training
from torch.nn import functional as F

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=3, batch=8)
Make = Callable[..., Images]


def train(images: Images, parameters: EmbeddingParameters = SMALL, **words: Any) -> Embedding:
    return train_embedding(images.pixels, images.patients, parameters, context=Context(**{"seed": 0, **words}))


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (16, 16, 16)])
def test_embeddings_have_length_one_and_do_not_depend_on_their_neighbours(make_images: Make, shape: Any) -> None:
    images = make_images(shape=shape)
    embedding = train(images)
    vectors = embedding.embed(images.pixels)
    assert vectors.shape == (len(images), 32)  # the channels of the last two stages
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(embedding.embed(images.pixels[5:6])[0], vectors[5])
    mirrored = embedding.embed(np.ascontiguousarray(images.pixels[..., ::-1]))
    assert np.allclose(mirrored, vectors, atol=1e-5)
    assert embedding.embed(images.pixels[:0]).shape == (0, 32)


def test_training_is_a_function_of_the_seed_and_leaves_global_randomness_alone(make_images: Make) -> None:
    images = make_images()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the very state that must not move
    one, two, other = train(images).state(), train(images).state(), train(images, seed=1).state()
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert not np.array_equal(one["weight.stem.weight"], other["weight.stem.weight"])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    make_images: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    images = make_images()
    whole = train(images).state()

    def stop_at_two(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        for item in items:
            if item == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        train(images, track=stop_at_two, checkpoints=tmp_path)
    assert list(tmp_path.glob("*.safetensors"))
    resumed = train(images, checkpoints=tmp_path).state()
    assert all(np.array_equal(whole[key], resumed[key]) for key in whole)


def test_a_checkpoint_of_other_patients_is_refused(make_images: Make, tmp_path: Path) -> None:
    images = make_images()
    train(images, checkpoints=tmp_path)
    paired = np.repeat(images.patients[::2], 2)
    with pytest.raises(Exception, match="another training"):
        train(Images(images.pixels, paired, images.scans), checkpoints=tmp_path)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_restored_embeddings_are_equal(make_images: Make, shape: Any) -> None:
    images = make_images(shape=shape)
    embedding = train(images)
    again = Embedding.restore(embedding.state(), SMALL)
    assert np.array_equal(again.embed(images.pixels), embedding.embed(images.pixels))
    assert np.array_equal(again.activations(images.pixels), embedding.activations(images.pixels))


def test_activations_are_standardized_over_the_images_learned_from(make_images: Make) -> None:
    images = make_images(patients=30)
    values = train(images).activations(images.pixels)
    assert values.dtype == np.float32
    assert np.allclose(values.mean(axis=0), 0, atol=1e-2)
    live = values.std(axis=0) > 0.5
    assert live.mean() > 0.5
    assert np.allclose(values.std(axis=0)[live], 1, atol=0.2)


def test_training_brings_an_image_and_its_view_together(make_images: Make) -> None:
    images = make_images(patients=60)
    seen, new = images.take(np.arange(48)), images.take(np.arange(48, 60))
    learned = train(seen, replace(SMALL, steps=100, batch=24))
    views = np.clip(np.roll(new.pixels, 1, axis=2) ** 0.8, 0, 1)
    similarity = learned.embed(views) @ learned.embed(new.pixels).T
    assert (similarity.argmax(axis=1) == np.arange(12)).mean() >= 0.7  # of patients never seen; chance is 1 / 12


def test_the_loss_is_nt_xent_and_leaves_out_images_of_the_same_patient() -> None:
    random = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn((8, 5), generator=random), dim=1)
    own = torch.arange(4).repeat(2)
    wanted = 0.0
    for i in range(8):  # eq. 1 of Chen et al., term by term
        j = (i + 4) % 8
        terms = [torch.exp(z[i] @ z[k] / 0.5) for k in range(8) if k != i]
        wanted -= float(torch.log(torch.exp(z[i] @ z[j] / 0.5) / torch.stack(terms).sum())) / 8
    assert float(contrastive_loss(z, own, 0.5)) == pytest.approx(wanted, rel=1e-5)

    # Two images of one patient: moving one must not change the other's terms but through its own partner.
    twins = torch.tensor([0, 0, 1, 2]).repeat(2)
    z = z.clone().requires_grad_()
    similarity_gradient = torch.autograd.grad(contrastive_loss(z, twins, 0.5), z)[0]
    others = [2, 3, 4, 6, 7]  # what may pull at view 0: its partner 4 and the views of other patients
    assert similarity_gradient[0].abs().sum() > 0
    basis = torch.stack([z[k].detach() for k in others], dim=1)
    residual = similarity_gradient[0] - basis @ torch.linalg.lstsq(basis, similarity_gradient[0]).solution
    assert residual.abs().max() < 1e-5
    z = z.detach()
    assert float(contrastive_loss(z, twins, 0.5)) < float(contrastive_loss(z, own, 0.5))


def test_what_cannot_be_learned_from_is_refused(make_images: Make) -> None:
    with pytest.raises(DataError, match="3 patients are too few"):
        train(make_images(patients=3, scans=5))
    grey = np.full((8, 16, 16), 0.5, dtype=np.float32)
    with pytest.raises(DataError, match="equal"):
        train_embedding(grey, np.array(list("abcdefgh")), SMALL, context=Context(0))
    with pytest.raises(DataError, match="cannot be embedded"):
        train(make_images()).embed(np.zeros((2, 16, 16), dtype=np.float32))


def test_presets() -> None:
    assert EmbeddingParameters.preset("smoke").steps < EmbeddingParameters.preset("quick").steps
    with pytest.raises(UsageError, match='did you mean "quick"'):
        EmbeddingParameters.preset("quik")


def test_the_network_keeps_no_running_statistics() -> None:
    network = Network((32, 32), SMALL)
    assert not list(network.buffers())

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.seeds import derive_seed
from memobench.checkpoints.checkpoint import Checkpoint
from memobench.checkpoints.diffusers_folder import DiffusersSampler
from memobench.checkpoints.named import find_checkpoint
from memobench.data.samples import brought_to
from memobench.generator import Context
from memobench.images import Images

Make = Callable[..., Path]


def _ready(folder: Path, shape: tuple[int, ...] = (16, 16), **settings: str) -> Checkpoint:
    found = find_checkpoint(f"diffusers:{folder}", settings, shape)
    names = np.array(["a"])
    return found.generator.fit(Images(np.zeros((1, *shape), np.float32), names, names), context=Context(0))


@pytest.mark.parametrize("latent", [False, True])
def test_samples_are_those_of_the_pipeline(latent: bool, ddpm: Make) -> None:
    from diffusers import DiffusionPipeline

    folder = ddpm(latent=latent)
    sampler = DiffusersSampler()
    sampler.at(folder)
    sampler.load("cpu")
    ours = sampler.draw(range(3), seed=5)
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(derive_seed(5, "image", k)) for k in range(3)]
    steps = 10 if latent else 4
    theirs = pipeline(batch_size=3, generator=generators, num_inference_steps=steps, output_type="np").images[..., 0]
    assert ours.shape == theirs.shape == (3, 16, 16)
    assert np.allclose(ours, theirs, atol=1e-5)


def test_an_image_does_not_depend_on_how_many_are_drawn_at_once(ddpm: Make) -> None:
    folder = ddpm()
    whole, parts = _ready(folder), _ready(folder, batch="2")
    before = torch.random.get_rng_state()
    drawn = whole.sample(5, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.abs(drawn - parts.sample(5, seed=1)).max() <= 1 / 255 + 1e-6
    assert np.array_equal(drawn, whole.sample(5, seed=1))
    assert not np.array_equal(drawn, whole.sample(5, seed=2))
    assert np.array_equal(drawn, brought_to(drawn, (16, 16)))


def test_colour_becomes_grey_and_other_sizes_are_resampled(ddpm: Make) -> None:
    assert _ready(ddpm(channels=3), (24, 24)).sample(2, seed=0).shape == (2, 24, 24)


def test_pickles_are_never_loaded(ddpm: Make) -> None:
    generator = _ready(ddpm(safe_serialization=False))
    with pytest.raises(MemobenchError, match="is a pickle, which is never loaded; save the weights again"):
        generator.sample(1, seed=0)


def test_the_digest_is_of_the_weights_and_not_of_the_place(ddpm: Make, tmp_path: Path) -> None:
    folder = ddpm()
    first = find_checkpoint(f"diffusers:{folder}", {}, (16, 16))
    moved = folder.rename(tmp_path / "elsewhere")
    second = find_checkpoint(f"diffusers:{moved}", {}, (16, 16))
    assert (first.digest, first.name, second.name) == (second.digest, "ddpm", "elsewhere")
    config = moved / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"num_train_timesteps": 4', '"num_train_timesteps": 5'))
    assert find_checkpoint(f"diffusers:{moved}", {}, (16, 16)).digest != first.digest


def test_what_is_no_unconditional_pipeline_is_refused(ddpm: Make, tmp_path: Path) -> None:
    folder = ddpm()
    index = json.loads((folder / "model_index.json").read_text())
    for change in (
        {"text_encoder": ["transformers", "CLIPTextModel"]},
        {"unet": ["diffusers", "UNet2DConditionModel"]},
        {"unet": ["my_code", "UNet2DModel"]},
        {"scheduler": [None, None]},
    ):
        (folder / "model_index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(UsageError, match="unconditional pipelines are read"):
            find_checkpoint(f"diffusers:{folder}", {}, (16, 16))
    (folder / "model_index.json").write_text("[1]")
    with pytest.raises(UsageError, match="no JSON object"):
        find_checkpoint(f"diffusers:{folder}", {}, (16, 16))
    with pytest.raises(UsageError, match=r"holds no model_index\.json"):
        find_checkpoint(f"diffusers:{tmp_path}", {}, (16, 16))
    with pytest.raises(UsageError, match="there is no folder"):
        find_checkpoint(f"diffusers:{tmp_path / 'x'}", {}, (16, 16))


def test_volumes_and_unknown_fields_are_refused(ddpm: Make) -> None:
    folder = ddpm()
    with pytest.raises(UsageError, match="2D images"):
        find_checkpoint(f"diffusers:{folder}", {}, (8, 8, 8))
    with pytest.raises(UsageError, match="has no field"):
        find_checkpoint(f"diffusers:{folder}", {"stpes": "3"}, (16, 16))
    with pytest.raises(UsageError, match="--weights is for torch"):
        find_checkpoint(f"diffusers:{folder}", {}, (16, 16), weights=folder)
    with pytest.raises(UsageError, match="run-their-code is for monai"):
        find_checkpoint(f"diffusers:{folder}", {}, (16, 16), run_their_code=True)
    with pytest.raises(UsageError, match='unknown model "difusers:x"'):
        find_checkpoint("difusers:x", {}, (16, 16))

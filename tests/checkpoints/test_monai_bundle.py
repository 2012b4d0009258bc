from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError, UsageError
from memobench.checkpoints.checkpoint import Checkpoint
from memobench.checkpoints.monai_bundle import resolved
from memobench.checkpoints.named import find_checkpoint
from memobench.generator import Context
from memobench.images import Images

Make = Callable[..., Path]
OWN = {"sample": "$torch.rand(4, 1, 16, 16)"}


def _ready(place: Path, shape: tuple[int, ...] = (16, 16), *, run: bool = False, **settings: str) -> Checkpoint:
    found = find_checkpoint(f"monai:{place}", {"black": "-20", "white": "20", **settings}, shape, run_their_code=run)
    names = np.array(["a"])
    return found.generator.fit(Images(np.zeros((1, *shape), np.float32), names, names), context=Context(0))


@pytest.mark.parametrize(("latent", "dim"), [(False, 2), (True, 2), (True, 3)])
def test_a_bundle_is_sampled_without_its_code(latent: bool, dim: int, bundle: Make) -> None:
    generator = _ready(bundle(latent=latent, dim=dim), (16,) * dim)
    drawn = generator.sample(3, seed=1)
    assert drawn.shape == (3, *(16,) * dim)
    assert drawn.std() > 0
    assert np.array_equal(drawn, generator.sample(3, seed=1))
    assert np.array_equal(drawn[:2], generator.sample(2, seed=1))
    assert not np.array_equal(drawn, generator.sample(3, seed=2))


def test_samples_are_those_of_monais_inferer(bundle: Make) -> None:
    from memobench.checkpoints.monai_bundle import BundleSampler
    from monai.inferers import DiffusionInferer

    sampler = BundleSampler(black=-20, white=20)
    sampler.at(bundle(), run_their_code=False)
    sampler.refuses((16, 16))
    sampler.load("cpu")
    ours = sampler.draw(range(1), seed=3)
    from memobench.base.seeds import derive_seed

    torch.manual_seed(derive_seed(3, "image", 0))
    noise = torch.randn(1, 1, 16, 16)
    sampler._scheduler.set_timesteps(4)
    theirs = DiffusionInferer(sampler._scheduler).sample(noise, sampler._network, sampler._scheduler, verbose=False)
    assert np.allclose(ours * 40 - 20, theirs.numpy()[:, 0], atol=1e-4)


def test_a_zip_is_a_bundle_too(bundle: Make, tmp_path: Path) -> None:
    folder = bundle()
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, folder.name)
    assert np.array_equal(_ready(Path(packed)).sample(2, seed=1), _ready(folder).sample(2, seed=1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network_def": {"_target_": "os.system", "command": "touch hacked"}}, "and known are DiffusionModelUNet"),
        ({"network_def": {"_target_": "monai.networks.nets.HoVerNet"}}, "and known are DiffusionModelUNet"),
        ({"network_def": {"_target_": "scripts.net.Net"}}, "and known are DiffusionModelUNet"),
        ({"network_def": {"_target_": "monai.networks.nets.torch"}}, "and known are DiffusionModelUNet"),
        ({"noise_scheduler": {"_target_": "$__import__('os').system"}}, "and known are DiffusionModelUNet"),
        (
            {"noise_scheduler": {"_target_": "DDPMScheduler", "num_train_timesteps": "$open('hacked', 'w')"}},
            "would have to be executed",
        ),
        ({"spatial_dims": "$__import__('os').getpid()"}, "would have to be executed"),
        ({"spatial_dims": "%other.json#x"}, "would have to be executed"),
        ({"spatial_dims": "@spatial_dims"}, "in a circle"),
        ({"network_def": None}, "names no diffusion_def"),
    ],
)
def test_what_would_run_code_is_refused_before_any_work(change: dict[str, Any], reason: str, bundle: Make) -> None:
    folder = bundle(**change)
    with pytest.raises(UsageError, match=reason) as caught:
        find_checkpoint(f"monai:{folder}", {}, (16, 16))
    assert "\n" not in str(caught.value)
    assert not Path("hacked").exists()


def test_their_code_runs_only_when_asked_for(bundle: Make) -> None:
    folder = bundle(network_def={"_target_": "scripts.net.Net"}, **OWN)
    generator = _ready(folder, run=True, black="0", white="1")
    drawn = generator.sample(6, seed=1)
    assert drawn.shape == (6, 16, 16)
    assert np.array_equal(drawn, generator.sample(6, seed=1))
    assert len(np.unique(drawn.reshape(6, -1), axis=0)) == 6
    with pytest.raises(MemobenchError, match="its code raised"):
        _ready(bundle(name="bad", sample="$1 / 0"), run=True).sample(1, seed=1)
    with pytest.raises(MemobenchError, match="has no key sample"):
        _ready(bundle(name="none"), run=True).sample(1, seed=1)


def test_pickled_and_missing_and_foreign_weights_are_named(bundle: Make) -> None:
    folder = bundle()
    weights = folder / "models" / "model.safetensors"
    torch.save({}, folder / "models" / "model.pt")
    kept = weights.read_bytes()
    weights.unlink()
    with pytest.raises(MemobenchError, match=r"model\.pt is a pickle, which is never loaded"):
        _ready(folder).sample(1, seed=0)
    weights.write_bytes(kept[:100])
    with pytest.raises(MemobenchError, match="cannot be read"):
        _ready(folder).sample(1, seed=0)
    shutil.copy(bundle(latent=True, name="other") / "models" / "autoencoder.safetensors", weights)
    with pytest.raises(MemobenchError, match="holds no weights of DiffusionModelUNet"):
        _ready(folder).sample(1, seed=0)


def test_values_outside_of_black_and_white_are_asked_for(bundle: Make) -> None:
    with pytest.raises(MemobenchError, match="--set black=-1 --set white=1"):
        _ready(bundle(), black="0", white="1e-3").sample(2, seed=0)


def test_references_and_literals_are_resolved() -> None:
    values = {"a": {"b": [1, 2]}, "c": "@a#b", "d": "@a::b::1", "e": "$@d", "f": "$[True, None]"}
    assert resolved(values, dict(values), "all") == {
        "a": {"b": [1, 2]},
        "c": [1, 2],
        "d": 2,
        "e": 2,
        "f": [True, None],
    }
    with pytest.raises(UsageError, match="leads nowhere"):
        resolved(values, "@nothing", "x")

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.seeds import derive_seed
from memobench.checkpoints.checkpoint import Checkpoint
from memobench.checkpoints.fine_tune import Parts, Tuning, fine_tune
from memobench.checkpoints.named import find_checkpoint
from memobench.generator import Context
from memobench.images import Images

Make = Callable[..., Path]


def _found(folder: Path, **settings: str) -> Checkpoint:
    return find_checkpoint(f"diffusers:{folder}", settings, (16, 16)).generator


@pytest.mark.parametrize("latent", [False, True])
def test_training_goes_on_from_the_weights_and_is_kept(
    latent: bool, ddpm: Make, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    folder, images = ddpm(latent=latent), make_images(patients=6, shape=(32, 32))
    losses: list[float] = []
    context = Context(3, report=lambda trained: losses.extend(trained.losses.tolist()))
    tuned = _found(folder, finetune="30", learning_rate="0.003", batch="6").fit(images, context=context)
    assert len(losses) == 30
    assert np.mean(losses[-10:]) < np.mean(losses[:5])
    state = tuned.state()
    assert any(name.startswith("learned.") for name in state)
    assert tuned.notes() == ["fine-tuned for 30 steps on the training images, from the checkpoint's weights"]
    drawn = tuned.sample(2, seed=1)
    again = _found(folder, finetune="30", learning_rate="0.003", batch="6").restore(state)
    assert np.array_equal(drawn, again.sample(2, seed=1))
    plain = _found(folder).fit(images, context=Context(3))
    assert not np.array_equal(drawn, plain.sample(2, seed=1))
    assert list(plain.state()) == ["shape"]
    assert plain.notes() == []


def test_the_random_state_and_the_seed_are_kept(ddpm: Make, make_images: Callable[..., Images]) -> None:
    folder, images = ddpm(), make_images(patients=4, shape=(16, 16))
    before = torch.random.get_rng_state()
    one, two, other = (
        _found(folder, finetune="2", batch="2").fit(images, context=Context(seed)).state() for seed in (5, 5, 6)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_every_objective_of_a_scheduler_is_learned_and_others_are_refused(make_images: Callable[..., Images]) -> None:
    from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel

    def unet() -> UNet2DModel:
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(0, "unet") % 2**31)
            return UNet2DModel(
                sample_size=8,
                in_channels=1,
                out_channels=1,
                block_out_channels=(8,),
                norm_num_groups=4,
                layers_per_block=1,
                down_block_types=("DownBlock2D",),
                up_block_types=("UpBlock2D",),
            )

    images, learned = make_images(patients=4, shape=(16, 16)), []
    for kind in ("epsilon", "v_prediction", "sample"):
        net = unet()
        scheduler = DDPMScheduler(num_train_timesteps=4, prediction_type=kind)
        fine_tune(Parts(net, scheduler, None, (8, 8)), images, Tuning(2, 0.01, 2), Context(0), identity="x")
        learned.append(torch.cat([value.flatten() for value in net.state_dict().values()]))
    assert not torch.equal(learned[0], learned[1])
    assert not torch.equal(learned[0], learned[2])
    parts = Parts(unet(), FlowMatchEulerDiscreteScheduler(), None, (8, 8))
    with pytest.raises(MemobenchError, match="is no scheduler to train with"):
        fine_tune(parts, images, Tuning(2, 0.01, 2), Context(0), identity="x")


def test_a_negative_number_of_steps_is_refused(ddpm: Make) -> None:
    with pytest.raises(UsageError, match="finetune=STEPS takes 0 or more"):
        _found(ddpm(), finetune="-1")

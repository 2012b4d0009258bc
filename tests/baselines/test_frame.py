"""What the frame of trained networks sees to, and that entries keep to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError
from memobench.baselines._frame import TrainedGenerator, minibatch
from memobench.baselines._on_ldm import OnLDM
from memobench.baselines.ddpm import DDPM
from memobench.baselines.flow import Flow
from memobench.baselines.ldm import LDM
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images

MakeImages = Callable[..., Images]
FRAMES = {TrainedGenerator, OnLDM}
TINY: dict[str, Any] = {"unet_channels": (8, 8), "steps": 2, "batch": (4, 4), "sampling_steps": 2}


@pytest.mark.parametrize("name", sorted(GENERATORS.files()))
def test_an_entry_inherits_from_the_contract_or_from_one_frame(name: str) -> None:
    kind = GENERATORS.get(name)
    (base,) = kind.__bases__
    assert base is Generator or base in FRAMES
    assert base is Generator or base.__bases__ == (Generator,)


def test_the_frame_adds_no_field() -> None:
    assert dataclasses.fields(TrainedGenerator) == ()


def test_the_models_of_latents_have_the_same_first_fields() -> None:
    ldm, flow = ([(one.name, one.default) for one in dataclasses.fields(kind)] for kind in (LDM, Flow))
    shared = [one for one in ldm if one in flow]
    assert shared[-1][0] == "accumulate"
    assert ldm[: len(shared)] == flow[: len(shared)] == shared


def test_a_state_of_another_model_is_refused(make_images: MakeImages) -> None:
    model = DDPM(**TINY).fit(make_images(patients=4), context=Context(seed=0))
    state = model.state()
    assert np.array_equal(DDPM(**TINY).restore(state).sample(2, seed=0), model.sample(2, seed=0))
    without = {name: array for name, array in state.items() if name != "shape"}
    for kind, fields, given in (
        (DDPM, {**TINY, "unet_channels": (16, 16)}, state),
        (DDPM, TINY, without),
        (LDM, {}, state),
    ):
        with pytest.raises(MemobenchError, match=r"the state is not of this (ddpm|ldm) \(.*\); give its fields too"):
            kind(**fields).restore(given)


def test_minibatches_are_those_of_the_epochs() -> None:
    pixels = torch.arange(6.0).reshape(6, 1, 1, 1)
    seen = torch.cat([minibatch(pixels, 2, k, augment="none", seed=0) for k in range(3)])
    assert sorted(seen.flatten().tolist()) == list(range(6))

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from memobench.calibration.known_sets import situations
from memobench.calibration.scene import Scene
from memobench.images import Images
from memobench.task import Splits

MakeImages = Callable[..., Images]


@pytest.fixture
def scene(make_images: MakeImages) -> Callable[[tuple[int, ...]], Scene]:
    def make(shape: tuple[int, ...]) -> Scene:
        sides = [make_images(40, shape, seed=seed) for seed in range(5)]
        return Scene.of(Splits(sides[0], sides[1], sides[2], sides[3], sides[4], digest=""))

    return make


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_every_situation_gives_images_that_an_audit_can_read(scene: Any, shape: tuple[int, ...]) -> None:
    every = situations(len(shape))
    assert len(every) >= 60
    assert len({one.name for one in every}) == len(every)
    assert {one.truth for one in every} >= {"copies", "leak", "no copies", "nothing to compare"}
    made = scene(shape)
    known = {image.tobytes() for image in np.asarray(made.train.pixels)}
    for one in every:
        sets = one.make(made, np.random.default_rng(0))
        assert sets.synthetic.shape[1:] == shape, one.name
        assert np.isfinite(sets.synthetic).all(), one.name
        assert len(sets.synthetic) > 0
        if sets.copies is not None:
            assert len(sets.copies) == len(sets.synthetic), one.name
            assert bool(sets.copies.any()) == (one.truth in ("copies", "leak")), one.name
        if one.name == "3 exact copies among 60":
            assert sum(image.tobytes() in known for image in sets.synthetic.astype(np.float32)) == 3
        if one.truth == "no copies":
            assert not any(image.tobytes() in known for image in sets.synthetic.astype(np.float32)), one.name

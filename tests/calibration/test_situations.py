from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.store import Store
from memobench.calibration import situations as module
from memobench.calibration.situations import Outcome, Scene, Situation, run_situations, situations, situations_text
from memobench.data.splits import load_splits
from memobench.images import Images
from memobench.task import TASKS, Splits

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
        if one.name == "3 exact copies among 60":
            assert sum(image.tobytes() in known for image in sets.synthetic.astype(np.float32)) == 3
        if one.truth == "no copies":
            assert not any(image.tobytes() in known for image in sets.synthetic.astype(np.float32)), one.name


def test_a_wrong_decision_is_marked() -> None:
    good, bad = (Situation(name, "copies", module.STOP, lambda scene, random: None) for name in ("good", "bad"))  # type: ignore[arg-type, return-value]
    text = situations_text([Outcome(good, "do not release", ""), Outcome(bad, "no copies found", "")])
    assert text.startswith("1 of 2 audits give a right decision, in 2 situations.")
    assert [line.startswith("WRONG") for line in text.splitlines() if " copies " in line] == [False, True]
    often = situations_text([Outcome(good, word, "") for word in ("do not release", "review", "do not release")])
    assert often.startswith("2 of 3 audits give a right decision, in 1 situations.")
    assert "do not release 2, review 1" in often


def test_an_error_in_one_line_is_a_decision_too(scene: Any, tmp_path: Path) -> None:
    made = scene((32, 32))
    same = next(one for one in situations(2) if one.name == "holdout is train")
    (outcome,) = run_situations(made, [same], out=tmp_path, preset="smoke")
    assert outcome.given == "refused"
    assert "\n" not in outcome.sentence
    assert outcome.right


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_fast_situations_get_the_decision_that_they_must(tmp_path: Path) -> None:
    """On small radiographs of few patients, so that it takes minutes; the command takes those of the task itself."""
    splits, _, _ = load_splits(TASKS.get("xray"), "phantom", 32, store=Store(tmp_path / "data"))
    chosen = [one for one in situations(2) if one.fast]
    outcomes = run_situations(Scene.of(splits.limited(40)), chosen, out=tmp_path)
    assert [f"{one.situation.name}: {one.given}" for one in outcomes if not one.right] == []


@pytest.mark.smoke
def test_copies_are_not_released_and_strangers_not_accused(scene: Any, tmp_path: Path) -> None:
    chosen = [one for one in situations(2) if one.name in ("the training set itself", "preset smoke")]
    copied, strangers = run_situations(scene((32, 32)), chosen, out=tmp_path, preset="smoke")
    assert copied.given == "do not release"
    assert strangers.right

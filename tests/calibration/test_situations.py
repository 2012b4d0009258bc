from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.store import Store
from memobench.calibration.known_sets import STOP, situations
from memobench.calibration.scene import Scene, Situation
from memobench.calibration.situations import DRAWS_PER_SIDES, Outcome, Plan, run_situations, situations_text
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


def test_a_wrong_decision_is_marked() -> None:
    good, bad = (Situation(name, "copies", STOP, lambda scene, random: None) for name in ("good", "bad"))  # type: ignore[arg-type, return-value]
    text = situations_text([Outcome(good, "do not release", ""), Outcome(bad, "no copies found", "")])
    assert text.startswith("1 of 2 audits give a right decision, in 2 situations.")
    assert [line.startswith("WRONG") for line in text.splitlines()[4:]] == [False, True]
    often = situations_text([Outcome(good, word, "") for word in ("do not release", "review", "do not release")])
    assert often.startswith("2 of 3 audits give a right decision, in 1 situations.")
    assert "do not release 2, review 1" in often
    counted = situations_text([Outcome(good, "do not release", "", copies=3, named=2, others=1)] * 2)
    assert counted.splitlines()[-1].split()[-4:] == ["4", "of", "6", "2"]


def test_an_error_in_one_line_is_a_decision_too(scene: Any, tmp_path: Path) -> None:
    made = scene((32, 32))
    same = next(one for one in situations(2) if one.name == "holdout is train")
    (outcome,) = run_situations(made, [same], Plan(tmp_path, "smoke"))
    assert outcome.given == "refused"
    assert "\n" not in outcome.sentence
    assert outcome.right


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_fast_situations_get_the_decision_that_they_must(tmp_path: Path) -> None:
    """On small radiographs of few patients, so that it takes minutes; the command takes those of the task itself."""
    splits, _, _ = load_splits(TASKS.get("xray"), "phantom", 32, store=Store(tmp_path / "data"))
    chosen = [one for one in situations(2) if one.fast]
    outcomes = run_situations(Scene.of(splits.limited(40)), chosen, Plan(tmp_path))
    assert [f"{one.situation.name}: {one.given}" for one in outcomes if not one.right] == []


@pytest.mark.smoke
def test_copies_are_not_released_and_strangers_not_accused(scene: Any, tmp_path: Path) -> None:
    chosen = [one for one in situations(2) if one.name in ("the training set itself", "preset smoke")]
    copied, strangers = run_situations(scene((32, 32)), chosen, Plan(tmp_path, "smoke"))
    assert copied.given == "do not release"
    assert strangers.right


def test_the_patients_change_their_sides_now_and_then(scene: Any) -> None:
    made = scene((32, 32))
    again = made.assigned_again(np.random.default_rng(1))
    sides = [np.unique(getattr(again, side).patients) for side in ("train", "holdout", "strangers")]
    assert [len(side) for side in sides[:2]] == [made.train.patient_count, made.holdout.patient_count]
    everybody = np.concatenate(sides)
    assert len(np.unique(everybody)) == len(everybody)  # nobody stands on two sides
    assert set(sides[0]) != set(np.unique(made.train.patients))


@pytest.mark.smoke
def test_draws_come_in_order_and_are_the_same_alone(scene: Any, tmp_path: Path) -> None:
    """A set is audited alone as among others, though what is found of its images is remembered."""
    chosen = [
        one
        for one in situations(2)
        if one.name in ("3 near-exact copies among 60", "60 new patients, blurred a little")
    ]
    numbers = (0, 1, DRAWS_PER_SIDES)
    every = run_situations(scene((32, 32)), chosen, Plan(tmp_path / "all", "smoke", numbers))
    assert [one.situation.name for one in every] == [one.name for one in chosen for _ in numbers]
    assert [one.copies for one in every] == [3, 3, 3, 0, 0, 0]
    last = run_situations(scene((32, 32)), chosen[:1], Plan(tmp_path / "last", "smoke", numbers[-1:]))
    assert last[0].as_json() == every[2].as_json()
